//! An observation: one transition that an object proved, before anybody asked whether a rule wants it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::detect::{Detected, declared};
use crate::lifecycle::{Event, EventKey, EventType, Source, Subject};

const JOBS: &str = "jobs.batch";
const PODS: &str = "pods";

/// A kind that is watched. Also the key of its checkpoint. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
    /// One that a file of the catalog declares, by its plural and group, such as `pytorchjobs.kubeflow.org`: the name of
    /// its CRD. One is installed at a time, in whatever version.
    Declared(Arc<str>),
}

impl Kind {
    /// A declared kind.
    #[must_use]
    pub fn declared(kind: &declared::Kind) -> Self {
        Self::Declared(kind.name().into())
    }

    /// The kind of this name; `None` if no kind can be called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            JOBS => Some(Self::Job),
            PODS => Some(Self::Pod),
            _ => name.contains('.').then(|| Self::Declared(name.into())),
        }
    }

    /// Name for metrics, logs and the checkpoint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Job => JOBS,
            Self::Pod => PODS,
            Self::Declared(name) => name,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change of a watched kind: its place in that kind's history, for the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
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
