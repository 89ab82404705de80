//! Deadlines on calls, and what their errors mean.

use std::future::Future;
use std::time::Duration;

/// Longest wait for an answer to a read.
const READ: Duration = Duration::from_secs(10);
/// Longest wait for an answer to a write.
const WRITE: Duration = Duration::from_secs(10);

/// A call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API server said no.
    #[error("the API server answered {code} {reason}: {message}")]
    Status {
        /// HTTP status.
        code: u16,
        /// `status.reason`.
        reason: String,
        /// `status.message`.
        message: String,
    },
    /// No answer.
    #[error("no answer from the API server within {} s", .0.as_secs())]
    Deadline(Duration),
    /// The call itself failed.
    #[error("the API server cannot be reached: {0}")]
    Call(#[source] Box<kube::Error>),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Self::Status { code: status.code, reason: status.reason.clone(), message: status.message.clone() }
            }
            other => Self::Call(Box::new(other)),
        }
    }
}

impl ApiError {
    const fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Deadline(_) | Self::Call(_) => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self.code() {
            Some(code) => matches!(code, 408 | 409 | 429 | 500..),
            None => true,
        }
    }

    /// One word for logs and metrics: the API server's reason, or why there is none.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Status { reason, .. } if reason.is_empty() => "Unknown",
            Self::Status { reason, .. } => reason,
            Self::Deadline(_) => "Deadline",
            Self::Call(_) => "Unreachable",
        }
    }

    /// 403.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409 because somebody else has changed the object.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { code: 409, reason, .. } if reason == "Conflict")
    }

    /// 409 because the object is there already.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Status { code: 409, reason, .. } if reason == "AlreadyExists")
    }
}

/// A read, within its deadline.
///
/// # Errors
/// [`ApiError`].
pub async fn read<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    within(READ, call).await
}

/// A write, within its deadline. After a deadline, it may have been done all the same.
///
/// # Errors
/// [`ApiError`].
pub async fn write<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    within(WRITE, call).await
}

async fn within<T>(deadline: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(result) => result.map_err(ApiError::from),
        Err(_) => Err(ApiError::Deadline(deadline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_told_from_what_never_will() {
        let status = |code, reason: &str| ApiError::Status { code, reason: reason.to_owned(), message: String::new() };
        for (error, retryable) in [
            (status(403, "Forbidden"), false),
            (status(404, "NotFound"), false),
            (status(409, "Conflict"), true),
            (status(422, "Invalid"), false),
            (status(429, "TooManyRequests"), true),
            (status(500, "InternalError"), true),
            (status(504, "Timeout"), true),
            (ApiError::Deadline(READ), true),
        ] {
            assert_eq!(error.is_retryable(), retryable, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends_at_its_deadline() {
        let error = read(std::future::pending::<kube::Result<()>>()).await.unwrap_err();
        assert!(matches!(error, ApiError::Deadline(_)), "{error}");
    }
}
