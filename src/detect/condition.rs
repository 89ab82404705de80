//! The conditions of a status, as every Kubernetes kind writes them.

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::{self, Lenient, Structure};

/// One entry of `status.conditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `type`.
    #[serde(rename = "type", deserialize_with = "lenient::or_default")]
    pub kind: Box<str>,
    /// `status`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub status: Status,
    /// One word; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub reason: Box<str>,
    /// One sentence; empty if absent.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message: Box<str>,
    /// `lastTransitionTime`.
    #[serde(rename = "lastTransitionTime", deserialize_with = "lenient::maybe")]
    pub time: Option<Timestamp>,
}

impl Structure for Condition {}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`, absent, or not understood.
    #[default]
    Unknown,
}

impl Lenient for Status {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "True" => Some(Self::True),
            "False" => Some(Self::False),
            _ => None,
        }
    }
}

/// The condition of this type, if it is `True`.
#[must_use]
pub fn holding<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| &*condition.kind == kind && condition.status == Status::True)
}
