//! What is wrong: with an object, which does not end the simulation; or with the input, which does.

use serde::Serialize;

/// Something wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// Kind, and namespace and name, such as `NoticeRule vision/nightly`.
    pub(super) object: String,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { object: object.into(), message: message.into() }
    }
}

/// A part of the input that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InputError {
    /// A file or a directory that cannot be read.
    #[error("{file}: {message}")]
    File {
        /// As it was named.
        file: String,
        /// Why.
        message: String,
    },
    /// A document that does not parse, or is not what its kind says.
    #[error("{file}, document {document}: {message}")]
    Document {
        /// As it was named.
        file: String,
        /// Counted from 1.
        document: usize,
        /// Field or line, and what is wrong with it.
        message: String,
    },
}

/// Everything that cannot be used; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputErrors(Vec<InputError>);

impl InputErrors {
    /// `Ok` with the value if nothing is wrong.
    pub(super) fn check<T>(value: T, errors: Vec<InputError>) -> Result<T, Self> {
        if errors.is_empty() { Ok(value) } else { Err(Self(errors)) }
    }
}

impl std::fmt::Display for InputErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(InputError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for InputErrors {}
