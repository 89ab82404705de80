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

/// An expression failed on one object, which counts as not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// The expression, as `file:line`.
    pub place: String,
    /// Why.
    pub message: String,
}
