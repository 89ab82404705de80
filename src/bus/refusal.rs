//! What a publisher is told when a request is not accepted: a status, a word for programs, a sentence for people.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Longest description of a fault, in bytes: the list of all event types is the longest that is needed.
const LONGEST_MESSAGE: usize = 1200;

/// A request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: it is no event of ours.
    #[error("{0}")]
    Malformed(String),
    /// 401: no credentials, or none that hold.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// 403: no right to publish here. A workspace that does not exist is answered alike: nobody can find out names.
    #[error(
        "you may not publish to workspace {workspace}, or it does not exist or is not activated; somebody who administers \
         its namespace has to give you the verb publish on eventbuses {bus}"
    )]
    Forbidden {
        /// The workspace that was asked for.
        workspace: String,
        /// Its bus.
        bus: String,
    },
    /// 404: no such path.
    #[error("there is nothing here; POST events to /v1/workspaces/<workspace>/events")]
    NotFound,
    /// 405: another method than POST.
    #[error("only POST is answered here")]
    MethodNotAllowed,
    /// 408: the body did not come in time.
    #[error("the body did not arrive within {} s; send it again", .0.as_secs())]
    TooSlow(Duration),
    /// 413: too long.
    #[error("{0}")]
    TooLarge(String),
    /// 415: a format that is not understood.
    #[error("{0}")]
    UnknownFormat(String),
    /// 429: too many.
    #[error("{what}; wait {} s", whole_seconds(*.wait))]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How long to wait.
        wait: Duration,
    },
    /// 503: not now. The same request may succeed later, and repeats nothing.
    #[error("{message}; send the same again later: what was stored already is recognised and not notified twice")]
    NotNow {
        /// One word.
        reason: &'static str,
        /// What is wrong.
        message: String,
        /// How long to wait.
        wait: Duration,
    },
}

impl Refusal {
    /// A fault of an event. Cut, because what was sent may be quoted in it.
    pub fn malformed(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
            message.push('…');
        }
        Self::Malformed(message)
    }

    /// Says which event of a batch it is about.
    #[must_use]
    pub fn at(self, index: usize) -> Self {
        match self {
            Self::Malformed(message) => Self::Malformed(format!("event {index} of the batch: {message}")),
            Self::UnknownFormat(message) => Self::UnknownFormat(format!("event {index} of the batch: {message}")),
            other => other,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownFormat(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotNow { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One word for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed",
            Self::Unauthenticated(_) => "Unauthenticated",
            Self::Forbidden { .. } => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::TooSlow(_) => "TooSlow",
            Self::TooLarge(_) => "TooLarge",
            Self::UnknownFormat(_) => "UnknownFormat",
            Self::TooMany { .. } => "TooManyRequests",
            Self::NotNow { reason, .. } => reason,
        }
    }

    const fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany { wait, .. } | Self::NotNow { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// The body: `{"error": {"reason", "message"}}`.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"error": {"reason": self.reason(), "message": self.to_string()}})
    }
}

/// Rounded up: who comes back too early is refused once more.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.wait() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if matches!(self, Self::Unauthenticated(_)) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pai-notification\""));
        }
        if matches!(self, Self::MethodNotAllowed) {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}
