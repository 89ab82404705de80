//! What can be wrong with a catalog file.

use std::sync::Arc;

/// A catalog file cannot be used. The others can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct CatalogError {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Counted from 1; absent if it is about the file as a whole.
    pub line: Option<u64>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Longest message, in bytes: a file may repeat itself in it.
const LONGEST: usize = 2000;

impl CatalogError {
    pub(super) fn new(file: &str, line: Option<u64>, mut message: String) -> Self {
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push('…');
        }
        Self { file: file.into(), line, message }
    }
}

/// An expression failed on one object, which counts as not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// The expression, as `file:line`.
    pub place: String,
    /// Why.
    pub message: String,
}
