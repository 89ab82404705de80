//! One object that is held.

use super::super::observation::Kind;
use super::told::{Seen, Told};
use crate::detect::declared::{self, Below, Lent, Object, Problem, combine};
use crate::detect::job::{self, JobView};
use crate::detect::meta::{Meta, Owner};
use crate::detect::pod::{self, PodView};
use crate::detect::{Detected, Presence};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{EventType, Source, Subject, Transition};

/// What is held of an object, by kind.
#[derive(Clone, Debug)]
pub(super) enum View {
    Job(JobView),
    Pod(PodView),
    Declared(Kind, declared::Kind, Object),
}

impl View {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Job(_) => Kind::Job,
            Self::Pod(_) => Kind::Pod,
            Self::Declared(kind, ..) => kind.clone(),
        }
    }

    pub(super) fn is_of(&self, kind: &Kind) -> bool {
        match (self, kind) {
            (Self::Job(_), Kind::Job) | (Self::Pod(_), Kind::Pod) => true,
            (Self::Declared(own, ..), kind) => own == kind,
            _ => false,
        }
    }

    pub(super) fn metadata(&self) -> &Meta {
        match self {
            Self::Job(job) => &job.metadata,
            Self::Pod(pod) => &pod.metadata,
            Self::Declared(_, _, object) => &object.metadata,
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.metadata().revision()
    }

    /// The source of its events; `None` if it is no subject.
    pub(super) fn source(&self) -> Option<Source> {
        match self {
            Self::Job(job) => job::source(job),
            Self::Pod(pod) => pod::source(pod),
            Self::Declared(_, kind, object) => kind.source_of(object),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Job(job) => job::subject(job),
            Self::Pod(pod) => pod::subject(pod),
            Self::Declared(_, kind, object) => kind.subject(object),
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            Self::Job(job) => job::is_finished(job),
            Self::Pod(pod) => pod::is_finished(pod),
            Self::Declared(_, kind, object) => kind.is_finished(object),
        }
    }

    /// Whose part it may be: the owner that controls it; for what only adds to others, every owner.
    pub(super) fn owners(&self) -> &[Owner] {
        match self {
            Self::Declared(_, kind, object) if kind.source().is_none() => object.owners(),
            _ => self.metadata().owner.as_deref().map(std::slice::from_ref).unwrap_or_default(),
        }
    }

    /// Whether it is told about whatever owns it: a model or an image is what comes out of a run, and no part of it.
    fn stands_alone(&self) -> bool {
        match self {
            Self::Job(job) => job.metadata.image_of().is_some(),
            Self::Pod(_) => false,
            Self::Declared(_, kind, object) => {
                kind.source_of(object) == Some(Source::Model) || kind.transitions().contains(&Transition::ImageSaved)
            }
        }
    }
}

/// How long it is waited for an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Patience {
    /// For a while.
    #[default]
    Fresh,
    /// No longer.
    Over,
    /// Its owner was known, and is gone.
    Orphaned,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) view: View,
    pub(super) told: Told,
    pub(super) finished: bool,
    pub(super) stands_alone: bool,
    pub(super) patience: Patience,
    /// What it lends to the one above it; `None` if that has to be asked anew.
    pub(super) lent: Option<Box<Lent>>,
    /// Whether it was deleted a moment ago.
    pub(super) leaving: bool,
}

impl Node {
    pub(super) fn new(view: View) -> Self {
        Self {
            finished: view.is_finished(),
            stands_alone: view.stands_alone(),
            view,
            told: Told::default(),
            patience: Patience::Fresh,
            lent: None,
            leaving: false,
        }
    }

    /// Takes in a newer state.
    pub(super) fn renew(&mut self, view: View) {
        let Self { view: own, told: _, finished, stands_alone, patience: _, lent, leaving } = self;
        (*finished, *stands_alone, *leaving) = (view.is_finished(), view.stands_alone(), false);
        *lent = None;
        *own = view;
    }

    /// What it proves as a subject, told for the first time; and the expressions that failed.
    pub(super) fn look(
        &mut self,
        below: &Below<'_>,
        presence: Presence,
        seen: &Seen,
    ) -> (Vec<super::Observation>, Vec<Problem>) {
        let Some(source) = self.view.source() else { return Default::default() };
        let (detected, problems) = match &self.view {
            View::Job(job) => {
                let found = job::detect(job, below.pods, presence);
                (self.with_lent(found, source, below, presence), Vec::new())
            }
            View::Pod(pod) => (self.with_lent(pod::detect(pod, presence), source, below, presence), Vec::new()),
            View::Declared(_, kind, object) => {
                let findings = kind.detect(object, below, presence);
                (findings.found, findings.problems)
            }
        };
        let Self { view, told, .. } = self;
        (told.tell(detected, source, view.metadata().creation, || view.subject(), seen), problems)
    }

    /// Adds what other kinds lend to a Job or Pod.
    fn with_lent(&self, found: Vec<Detected>, source: Source, below: &Below<'_>, presence: Presence) -> Vec<Detected> {
        if below.lent.is_empty() || self.stands_alone || presence != Presence::Present {
            return found;
        }
        let mut all = combine(found, self.finished, below);
        all.retain(|it| !EventType::of(source, it.transition, Cause::Other).is_empty());
        all
    }

    /// What it adds to the one above it, and the expressions that failed. What was lent before is kept in mind.
    pub(super) fn lend(&mut self, below: &Below<'_>) -> (Option<Lent>, Vec<Problem>) {
        if let Some(lent) = &self.lent {
            return (Some(Lent::clone(lent)), Vec::new());
        }
        let (lent, problems) = match &self.view {
            View::Job(job) => (Lent::of_job(job, below.pods), Vec::new()),
            View::Declared(_, kind, object) => kind.lend(object, below),
            // What is known of Pods is known by their facts.
            View::Pod(_) => return (None, Vec::new()),
        };
        self.lent = Some(Box::new(lent.clone()));
        (Some(lent), problems)
    }
}
