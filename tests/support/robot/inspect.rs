//! What a kind of inbox is: it looks at a request, remembers what it must, and decides. The book records and answers.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::Value;

use super::budget::Spent;
use super::endpoint::{Consented, Handshake};
use super::record::Verdict;

/// A kind of inbox.
pub(super) trait Inspect: Send + Sync {
    /// Whether a request is for this inbox.
    fn owns(&self, request: &Incoming<'_>) -> bool;

    /// Whether this inbox is on the host that the request means, though it is not for this inbox: that host then
    /// answers that it knows nobody by this name.
    fn shares_host(&self, _: &Incoming<'_>) -> bool {
        false
    }

    /// Checks a request.
    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked;

    /// The reply for a verdict.
    fn answer(&self, request: &Incoming<'_>, verdict: &Verdict) -> Response;

    /// Answers OPTIONS, if this inbox knows what to make of it.
    fn shake_hands(&self, _: &Incoming<'_>, _: &mut Memory) -> Option<(Handshake, Response)> {
        None
    }
}

/// What an inbox looks at.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) now: SystemTime,
}

impl Incoming<'_> {
    /// A header that is text; the first if there are several.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body in lower case, without parameters.
    pub(super) fn media_type(&self) -> String {
        let whole = self.header("content-type").unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// What an inbox remembers between requests.
#[derive(Default)]
pub(super) struct Memory {
    /// What was accepted.
    pub(super) spent: Spent,
    /// The same for each number that was called.
    pub(super) spent_on: BTreeMap<String, Spent>,
    /// Words that may be used once.
    pub(super) nonces: HashSet<String>,
    /// To whom an endpoint has consented.
    pub(super) consent: Consented,
}

/// What a check comes to.
pub(super) enum Checked {
    Good { id: Option<String>, title: String, text: String, signed: bool, body: Value },
    Bad { code: i64, message: String },
}

impl From<Refusal> for Checked {
    fn from((code, message): Refusal) -> Self {
        Self::Bad { code, message }
    }
}

/// A code and the words that go with it.
pub(super) type Refusal = (i64, String);
