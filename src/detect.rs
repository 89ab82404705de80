//! What an object's state proves about its life.
//!
//! A detector is a pure function of one object and of what is known of its children. It answers every transition that
//! the state proves, each with an occurrence that is the same for every observer and a time that the object itself
//! states. Asking again answers the same again: what was told before is known by its name, not remembered here.
//!
//! Nothing here reads a clock, talks to a server, or fails: an object of any shape proves what its readable part
//! proves. Start at [`job`] and [`pod`], which are on the hot path; every other kind is a file of `catalog/`, run by
//! [`declared`]. [`role`] says how their states are told for each source.

pub mod condition;
pub mod declared;
pub mod job;
pub mod lenient;
pub mod meta;
pub mod pod;
pub mod role;
pub mod spot;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::lifecycle::{Transition, event_type::Cause};

/// Whether the object that is looked at still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does, as far as the last watch event or list says.
    Present,
    /// A DELETED watch event carried it as its last state.
    Deleted,
    /// It is absent from a list, and this is the last state seen before; what happened to it was not observed.
    Gone,
}

/// One transition that an object's state proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// The transition, in the words of the object's source.
    pub transition: Transition,
    /// Tells apart several occurrences of the transition in the life of one object.
    pub occurrence: String,
    /// When it happened, if the object says so; else the time of the observation stands in.
    pub time: Option<Timestamp>,
    /// Whether a deadline caused it.
    pub cause: Cause,
    /// One word, as the controller wrote it; may be empty.
    pub reason: String,
    /// One sentence; may be empty.
    pub message: String,
    /// Detail for templates and filters.
    pub data: Map<String, Value>,
}

impl Detected {
    fn new(transition: Transition, occurrence: impl Into<String>, time: Option<Timestamp>) -> Self {
        Self {
            transition,
            occurrence: occurrence.into(),
            time,
            cause: Cause::Other,
            reason: String::new(),
            message: String::new(),
            data: Map::new(),
        }
    }

    fn because(mut self, reason: impl Into<String>, message: impl Into<String>) -> Self {
        self.reason = reason.into();
        self.message = message.into();
        self
    }

    fn with(mut self, field: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.data.insert(field.to_owned(), value.into());
        }
        self
    }

    /// Adds when the work started and ended, and how long that took. A negative duration comes from two clocks that
    /// disagree, and is left out.
    fn with_span(self, start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        let seconds = start.zip(end).map(|(start, end)| end.as_second() - start.as_second());
        self.with("startTime", start.map(|time| time.to_string()))
            .with("endTime", end.map(|time| time.to_string()))
            .with("durationSeconds", seconds.filter(|seconds| *seconds >= 0))
    }
}

/// The minute that a time lies in, in RFC 3339: what many workers go through together is one occurrence.
fn minute(time: Timestamp) -> String {
    let second = time.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(time).to_string()
}
