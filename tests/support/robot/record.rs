//! What a receiver remembers for the test: requests, their verdicts, and the messages that people would see.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted and shown.
    Shown,
    /// Accepted, but its id was shown before.
    Repeat,
    /// Refused, with the receiver's code and words.
    Refused {
        /// Code of a robot; HTTP status of an endpoint or a gateway.
        code: i64,
        /// Why. A gateway's own code stands before the first colon.
        message: String,
    },
    /// Answered by a [`Behaviour`](super::Behaviour), unread.
    Misbehaved,
}

/// One request as it came in. Nearly always a POST: with another method the verdict is a refusal with 405.
#[derive(Clone, Debug)]
pub struct Post {
    /// Since the receiver was started.
    pub at: Duration,
    /// Name of the inbox; empty where no inbox has this address.
    pub inbox: String,
    /// Method.
    pub method: Method,
    /// Path.
    pub path: String,
    /// Query, decoded.
    pub query: BTreeMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, exactly as sent.
    pub body: Bytes,
    /// What became of it.
    pub verdict: Verdict,
}

impl Post {
    /// The body as JSON, `Null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One message as the receiver's people see it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Since the receiver was started.
    pub at: Duration,
    /// Name of the inbox.
    pub inbox: String,
    /// The id that makes a repeat recognisable: `msgUuid`, `webhook-id` or the CloudEvent's source and id.
    pub id: Option<String>,
    /// Title, the CloudEvent's type, or the action of a gateway.
    pub title: String,
    /// Text, the CloudEvent's subject, or the template's variables.
    pub text: String,
    /// Whether a signature was demanded and found right.
    pub signed: bool,
    /// The whole body. Of a CloudEvent in binary mode the event in structured form, of a gateway the parameters.
    pub body: Value,
}

/// Messages as a list for people, one a line.
#[must_use]
pub fn list(messages: &[Message]) -> String {
    messages.iter().map(|m| format!("  {:?} {}: {}", m.at, m.inbox, m.title)).collect::<Vec<_>>().join("\n")
}
