//! The index: what detection needs to know of every object, who is above whom, and which transitions were told already.
//!
//! Pure: changes in, observations out; the time is an argument. An object's state proves transitions
//! ([`crate::detect`]); each is told once per life of this process. That a restart does not tell them again is the
//! checkpoint's and the Notices' names' doing.
//!
//! Only the topmost of objects that own each other is told about (`index/family.rs`). One whose owner has yet to come
//! waits for a moment, as does the news that one of a declared kind was deleted, since its whole kind may be on its way
//! out (`index/waiting.rs`): whoever feeds the index calls [`Index::wake`] at [`Index::next_wake`], and lets no
//! checkpoint pass [`Index::held`].
//!
//! The time that counts for a rule's `activeSince` ([`Observation::effective`]) depends on how a change became known:
//! what was seen live happened about now, however wrong the clock that wrote it (up to [`CLOCK_TOLERANCE`]); what a list
//! shows without a time may be old, so that it counts as having happened when the object was created.

mod family;
mod kinds;
mod node;
mod told;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::observation::{Kind, Observation};
use super::stream::{Change, Freshness, Watched};
use crate::detect::Presence;
use crate::detect::declared::{self, Catalog, Object, Problem};
use crate::detect::job::JobView;
use crate::detect::pod::{self, PodView};
use family::{Fact, Top, later};
use kinds::Kinds;
use node::{Node, Patience, View};
use told::{Known, Seen};
use waiting::Waiting;

pub use family::OWNER_PATIENCE;
pub use told::CLOCK_TOLERANCE;

/// How long the deletion of an object of a declared kind is kept back: the removal of its whole kind, which deletes all
/// objects and is no event of theirs, may be on its way.
const DEPARTURE: SignedDuration = SignedDuration::from_millis(400);

impl Watched for JobView {
    fn revision(&self) -> u64 {
        self.metadata.revision()
    }
}

impl Watched for PodView {
    fn revision(&self) -> u64 {
        self.metadata.revision()
    }
}

impl Watched for Object {
    fn revision(&self) -> u64 {
        self.metadata.revision()
    }
}

/// A change of one of the watched kinds, or of what is watched.
#[derive(Clone, Debug)]
pub enum KindChange {
    /// Of a Job.
    Job(Change<JobView>),
    /// Of a Pod.
    Pod(Change<PodView>),
    /// Of an object of a declared kind that is watched.
    Declared(Kind, Change<Object>),
    /// A declared kind is watched from now on.
    Started(Kind, declared::Kind),
    /// It is watched no longer, and its objects are forgotten. That is no event of theirs.
    Stopped(Kind),
    /// Whether the watch of a kind fails.
    Failing(Kind, bool),
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Index {
    nodes: HashMap<Box<str>, Box<Node>>,
    /// The objects that an object owns, by its uid. It need not be known.
    children: HashMap<Box<str>, Vec<Box<str>>>,
    /// Facts about the Pods of everything that has not ended, by the owner's uid and the Pod's.
    facts: HashMap<Box<str>, HashMap<Box<str>, Fact>>,
    kinds: Kinds,
    waiting: Waiting,
    problems: Vec<(Kind, Problem)>,
}

impl Index {
    /// An index that knows the kinds of a catalog. Each counts once it is [`KindChange::Started`].
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let mut index = Self::default();
        for kind in catalog.kinds() {
            index.kinds.add(kind);
        }
        index
    }

    /// Takes in a change and returns what it proves for the first time.
    pub fn apply(&mut self, change: KindChange, now: Timestamp) -> Vec<Observation> {
        match change {
            KindChange::Job(change) => self.change(&Kind::Job, change.map(View::Job), now),
            KindChange::Pod(change) => self.change(&Kind::Pod, change.map(View::Pod), now),
            KindChange::Declared(kind, change) => {
                // What comes after the kind was stopped comes too late.
                let Some(declared) = self.kinds.declared(&kind).cloned() else { return Vec::new() };
                let view = |object| View::Declared(kind.clone(), declared.clone(), object);
                let change = change.map(view);
                self.change(&kind, change, now)
            }
            KindChange::Started(kind, declared) => {
                self.kinds.start(&kind, declared);
                Vec::new()
            }
            KindChange::Stopped(kind) => {
                self.stop(&kind);
                Vec::new()
            }
            KindChange::Failing(kind, failing) => {
                self.kinds.failing(&kind, failing);
                if self.kinds.is_hopeless(&kind) {
                    self.waiting.hurry(&kind, now);
                }
                Vec::new()
            }
        }
    }

    /// Tells what has waited long enough.
    pub fn wake(&mut self, now: Timestamp) -> Vec<Observation> {
        let due = self.waiting.due(now);
        due.iter().flat_map(|uid| self.end_wait(uid, now)).collect()
    }

    /// Tells what waits, since nothing more is to come.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Observation> {
        let due = self.waiting.due(Timestamp::MAX);
        due.iter().flat_map(|uid| self.end_wait(uid, now)).collect()
    }

    /// When [`Self::wake`] has something to do next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.waiting.next()
    }

    /// The first change of the kind that is not dealt with, because it waits.
    #[must_use]
    pub fn held(&self, kind: &Kind) -> Option<u64> {
        self.waiting.held(kind)
    }

    /// The expressions that failed since the last time of asking, by the kind of the object that they failed on.
    pub fn take_problems(&mut self) -> Vec<(Kind, Problem)> {
        std::mem::take(&mut self.problems)
    }

    /// How many objects are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The same for every kind.
    fn change(&mut self, kind: &Kind, change: Change<View>, now: Timestamp) -> Vec<Observation> {
        let seen = |view: &View, known| Seen { kind: kind.clone(), revision: view.revision(), known, now };
        match change {
            Change::ListStarted { since } => {
                self.kinds.list_started(kind, since);
                Vec::new()
            }
            Change::Listed(view) => match self.known_by(kind, &view) {
                Some(known) => {
                    let seen = seen(&view, known);
                    self.applied(view, &seen)
                }
                None => Vec::new(),
            },
            Change::ListEnded { revision } => self.list_ended(kind, revision, now),
            Change::Applied(view, freshness) => {
                let seen = seen(&view, Known::Changed(freshness));
                self.applied(view, &seen)
            }
            Change::Deleted(view, freshness) => {
                let seen = seen(&view, Known::Changed(freshness));
                self.deleted(view, seen)
            }
            Change::Progress(_) => Vec::new(),
        }
    }

    /// What a listed object is to be taken for; `None` if the watch will tell of it again.
    fn known_by(&mut self, kind: &Kind, view: &View) -> Option<Known> {
        let Some(list) = self.kinds.list(kind) else { return Some(Known::Listed) };
        list.uids.insert(view.metadata().uid.clone());
        match list.since {
            None => Some(Known::Listed),
            Some(since) if view.revision() <= since => Some(Known::Baseline),
            Some(_) => None,
        }
    }

    fn list_ended(&mut self, kind: &Kind, revision: u64, now: Timestamp) -> Vec<Observation> {
        let Some(list) = self.kinds.list_ended(kind) else { return Vec::new() };
        self.waiting.hurry(kind, later(now, OWNER_PATIENCE));
        if *kind == Kind::Pod {
            let nodes = &self.nodes;
            self.facts.retain(|owner, pods| {
                // Facts outlive a Pod for the sake of its owner only.
                pods.retain(|uid, _| nodes.contains_key(owner) || list.uids.contains(uid));
                !pods.is_empty()
            });
        }
        let mut gone = self.of_kind(kind);
        gone.retain(|uid| !list.uids.contains(uid));
        let seen = Seen { kind: kind.clone(), revision, known: Known::Changed(Freshness::Live), now };
        gone.iter().flat_map(|uid| self.gone(uid, Presence::Gone, &seen)).collect()
    }

    fn applied(&mut self, view: View, seen: &Seen) -> Vec<Observation> {
        let mut told = Vec::new();
        if let View::Pod(pod) = &view {
            told = self.pod_of_owner(pod, seen);
            if pod::source(pod).is_none() {
                // Not a subject, or not one any more.
                self.remove(&pod.metadata.uid);
                return told;
            }
        }
        let uid: Box<str> = view.metadata().uid.clone();
        match self.nodes.get(&uid) {
            Some(node) if node.view.revision() > seen.revision => return told,
            Some(_) => {
                self.renew(&uid, view);
                told.extend(self.speak(&uid, seen));
            }
            None => {
                self.nodes.insert(uid.clone(), Box::new(Node::new(view)));
                self.adopt(&uid);
                told.extend(self.welcome(&uid, seen));
            }
        }
        told
    }

    /// A Pod tells of its owner, if that may be watched.
    fn pod_of_owner(&mut self, pod: &PodView, seen: &Seen) -> Vec<Observation> {
        let Some(owner) = pod.metadata.owner.as_deref().filter(|owner| self.kinds.may_own_pods(owner)) else {
            return Vec::new();
        };
        if self.learn(pod, owner, seen.known) { self.speak_of(&owner.uid, seen) } else { Vec::new() }
    }

    /// What was learned of an object is told.
    fn speak_of(&mut self, uid: &str, seen: &Seen) -> Vec<Observation> {
        if let Some(node) = self.nodes.get_mut(uid) {
            node.lent = None;
        }
        self.speak(uid, seen)
    }

    fn deleted(&mut self, view: View, seen: Seen) -> Vec<Observation> {
        let mut told = Vec::new();
        if let View::Pod(pod) = &view {
            told = self.pod_of_owner(pod, &seen);
            if let Some(owner) = pod.metadata.owner.as_deref() {
                self.unlearn(pod, owner);
            }
            if pod::source(pod).is_none() {
                self.remove(&pod.metadata.uid);
                return told;
            }
        }
        let uid: Box<str> = view.metadata().uid.clone();
        // The last state may prove an end that no earlier change told.
        if self.nodes.contains_key(&uid) {
            self.renew(&uid, view);
        } else {
            self.nodes.insert(uid.clone(), Box::new(Node::new(view)));
            self.adopt(&uid);
        }
        if self.departs(&uid) {
            self.waiting.wait(&uid, None, later(seen.now, DEPARTURE), seen);
            return told;
        }
        told.extend(self.gone(&uid, Presence::Deleted, &seen));
        told
    }

    /// Whether the deletion is news that may not be meant: see [`DEPARTURE`].
    fn departs(&mut self, uid: &str) -> bool {
        let is_top = self.top(uid) == Top::Is(uid.into());
        let Some(node) = self.nodes.get_mut(uid) else { return false };
        let departs = is_top && !node.finished && matches!(node.view, View::Declared(..));
        node.leaving = departs;
        departs
    }

    /// An object that is told about leaves with a last word; another leaves it to the one above it.
    fn gone(&mut self, uid: &str, presence: Presence, seen: &Seen) -> Vec<Observation> {
        let told = match self.top(uid) {
            Top::Is(top) if &*top == uid => self.look_at(uid, presence, seen),
            Top::Is(_) => self.speak(uid, seen),
            Top::Waits { .. } | Top::Nobody => Vec::new(),
        };
        self.remove(uid);
        told
    }

    fn end_wait(&mut self, uid: &str, now: Timestamp) -> Vec<Observation> {
        let Some(wait) = self.waiting.release(uid) else { return Vec::new() };
        let Some(node) = self.nodes.get_mut(uid) else { return Vec::new() };
        if node.leaving {
            return self.gone(uid, Presence::Deleted, &wait.seen);
        }
        if node.patience == Patience::Fresh {
            node.patience = Patience::Over;
        }
        if self.top(uid) == Top::Nobody
            && let Some(node) = self.nodes.get_mut(uid)
        {
            // Its owner is deleted: nothing that comes later makes it one that speaks for itself.
            node.patience = Patience::Orphaned;
        }
        let seen = Seen { now: now.max(wait.seen.now), ..wait.seen };
        self.speak(uid, &seen)
    }

    fn stop(&mut self, kind: &Kind) {
        for uid in self.of_kind(kind) {
            self.remove(&uid);
        }
        self.kinds.stop(kind);
    }

    fn of_kind(&self, kind: &Kind) -> Vec<Box<str>> {
        self.nodes.iter().filter(|(_, node)| node.view.is_of(kind)).map(|(uid, _)| uid.clone()).collect()
    }
}
