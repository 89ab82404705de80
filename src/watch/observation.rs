//! An observation: one transition that an object proved, before anybody asked whether a rule wants it.

use jiff::Timestamp;

use crate::detect::Detected;
use crate::lifecycle::{Event, EventKey, EventType, Source, Subject};

/// A kind that is watched. Also the key of its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Job, Self::Pod];

    /// Name for metrics, logs and the checkpoint.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "jobs.batch",
            Self::Pod => "pods",
        }
    }

    /// Path of the cluster-wide list.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Job => "/apis/batch/v1/jobs",
            Self::Pod => "/api/v1/pods",
        }
    }
}

/// A change of a watched kind: its place in that kind's history, for the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind.
    pub kind: Kind,
    /// The resourceVersion of the change.
    pub revision: u64,
}

/// One transition of one subject, seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The change that proved it. What was published has none: nobody watches it, so no checkpoint can vouch for it.
    pub place: Option<Place>,
    /// The subject.
    pub subject: Subject,
    /// Its source.
    pub source: Source,
    /// The transition with its detail.
    pub detected: Detected,
    /// When it was seen.
    pub observed: Timestamp,
    /// The time that counts when asked whether a rule was active: see [`super::index`].
    pub effective: Timestamp,
}

impl Observation {
    /// The event's key in a workspace.
    #[must_use]
    pub fn key<'a>(&'a self, workspace: &'a str) -> EventKey<'a> {
        EventKey {
            workspace,
            uid: &self.subject.uid,
            source: self.source,
            transition: self.detected.transition,
            occurrence: &self.detected.occurrence,
        }
    }

    /// The event in a workspace.
    #[must_use]
    pub fn event(&self, workspace: &str) -> Event {
        let Detected { transition, occurrence: _, time, cause, reason, message, data } = &self.detected;
        Event {
            id: self.key(workspace).id(),
            source: self.source,
            transition: *transition,
            events: EventType::of(self.source, *transition, *cause),
            time: time.unwrap_or(self.observed),
            observed_time: self.observed,
            reason: reason.clone(),
            message: message.clone(),
            subject: self.subject.clone(),
            data: data.clone(),
        }
    }
}
