//! What became of one attempt, in one classification for all channels.

use std::time::Duration;

/// What an attempt led to. `code` is the receiver's verdict as text, `message` its words, cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver's own reply said that it accepted the message.
    Delivered {
        /// The verdict.
        code: String,
    },
    /// Too much at once: silence until the receiver wants more.
    Throttled {
        /// The verdict.
        code: String,
        /// The words.
        message: String,
        /// How long the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// Not now: nothing was shown, and the next try may succeed.
    Transient {
        /// The verdict or a word.
        code: String,
        /// The words.
        message: String,
    },
    /// Refused for good.
    Permanent {
        /// The verdict.
        code: String,
        /// The words.
        message: String,
    },
    /// The receiver is gone for good (HTTP 410).
    Gone {
        /// The verdict.
        code: String,
        /// The words.
        message: String,
    },
    /// Sent, but no reply: the message may have been shown.
    Ambiguous {
        /// A word.
        code: String,
        /// What happened.
        message: String,
    },
}

impl Outcome {
    /// Fixed label for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Throttled { .. } => "throttled",
            Self::Transient { .. } => "transient",
            Self::Permanent { .. } => "permanent",
            Self::Gone { .. } => "gone",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }

    /// The receiver's verdict as text, or a word.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Delivered { code }
            | Self::Throttled { code, .. }
            | Self::Transient { code, .. }
            | Self::Permanent { code, .. }
            | Self::Gone { code, .. }
            | Self::Ambiguous { code, .. } => code,
        }
    }

    /// The receiver's words; empty where it accepted.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Delivered { .. } => "",
            Self::Throttled { message, .. }
            | Self::Transient { message, .. }
            | Self::Permanent { message, .. }
            | Self::Gone { message, .. }
            | Self::Ambiguous { message, .. } => message,
        }
    }

    /// The same outcome with its words changed, as by redaction.
    #[must_use]
    pub fn map_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        match &mut self {
            Self::Delivered { .. } => {}
            Self::Throttled { message, .. }
            | Self::Transient { message, .. }
            | Self::Permanent { message, .. }
            | Self::Gone { message, .. }
            | Self::Ambiguous { message, .. } => *message = change(message),
        }
        self
    }
}
