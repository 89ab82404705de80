//! Who is above whom: only the topmost is told about, and what is below it tells of it.

use jiff::{SignedDuration, Timestamp};

use super::super::observation::{Kind, Observation};
use super::super::stream::Freshness;
use super::Index;
use super::node::{Node, Patience, View};
use super::told::{Known, Seen};
use crate::detect::Presence;
use crate::detect::declared::{Below, Lent};
use crate::detect::meta::Owner;
use crate::detect::pod::{self, PodFacts, PodView};

/// How long an object waits for its owner, which another watch brings.
pub const OWNER_PATIENCE: SignedDuration = SignedDuration::from_secs(3);
/// How long it waits while the owner's kind is being listed.
const LIST_PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// More owners above each other than this are none.
const MOST_OWNERS: usize = 16;
/// Facts about lost Pods that an owner takes over from the parts that it had, at most.
const MOST_INHERITED: usize = 2000;

/// What is known of one Pod of an owner.
#[derive(Debug)]
pub(super) struct Fact {
    facts: PodFacts,
    /// Whether it was learned by a change, before its owner was known.
    early: bool,
}

/// Who is told about when something happens to an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Top {
    /// This one.
    Is(Box<str>),
    /// The owner of this one, which is of this kind and has yet to come.
    Waits { at: Box<str>, of: Kind },
    /// Nobody: its owner is gone.
    Nobody,
}

/// All that is below an object.
#[derive(Default)]
struct Family {
    pods: Vec<PodFacts>,
    lent: Vec<Lent>,
}

impl Family {
    fn below(&self) -> Below<'_> {
        Below { pods: &self.pods, lent: &self.lent }
    }
}

/// Which part of a family is looked at.
#[derive(Clone, Copy)]
enum Part<'a> {
    All,
    /// What was there before: without these, and without Pods that changed before their owner was known.
    Settled(&'a [Box<str>]),
}

impl Index {
    /// Who is told about when something happens to this object. Owners that own each other end the way up.
    pub(super) fn top(&self, uid: &str) -> Top {
        let mut current = uid;
        for _ in 0..MOST_OWNERS {
            let Some(node) = self.nodes.get(current) else { return Top::Nobody };
            let Some((owner, kind)) = self.owner(node) else { return Top::Is(current.into()) };
            if self.nodes.contains_key(&owner.uid) {
                if &*owner.uid == uid {
                    break;
                }
                current = &owner.uid;
                continue;
            }
            let Some(kind) = kind else { return Top::Nobody };
            return match node.patience {
                Patience::Orphaned => Top::Nobody,
                Patience::Over if self.kinds.is_complete(&kind) => Top::Nobody,
                Patience::Over => Top::Is(current.into()),
                Patience::Fresh if self.kinds.is_hopeless(&kind) => Top::Is(current.into()),
                Patience::Fresh => Top::Waits { at: current.into(), of: kind },
            };
        }
        Top::Is(uid.into())
    }

    /// The owner that counts, and its kind: one that is there, else one that may come. Without a kind, it was there and
    /// its kind is not watched any more.
    fn owner<'a>(&self, node: &'a Node) -> Option<(&'a Owner, Option<Kind>)> {
        if node.stands_alone {
            return None;
        }
        let owners = node.view.owners();
        if let Some(there) = owners.iter().find(|owner| self.nodes.contains_key(&owner.uid)) {
            return Some((there, None));
        }
        if node.patience == Patience::Orphaned {
            return owners.first().map(|owner| (owner, None));
        }
        owners.iter().find_map(|owner| Some((owner, Some(self.kinds.of_owner(owner)?))))
    }

    /// Takes an object out of the children of its owners.
    fn disown(&mut self, uid: &str, owners: &[Owner]) {
        for owner in owners {
            if let Some(siblings) = self.children.get_mut(&owner.uid) {
                siblings.retain(|sibling| &**sibling != uid);
                if siblings.is_empty() {
                    self.children.remove(&owner.uid);
                }
            }
        }
    }

    /// Takes in a newer state of an object, which may have other owners.
    pub(super) fn renew(&mut self, uid: &str, view: View) {
        let Some(node) = self.nodes.get_mut(uid) else { return };
        let before = (node.view.owners() != view.owners()).then(|| node.view.owners().to_vec());
        node.renew(view);
        if let Some(before) = before {
            node.patience = Patience::Fresh;
            self.disown(uid, &before);
            self.adopt(uid);
        }
    }

    /// Enters an object among the children of its owners.
    pub(super) fn adopt(&mut self, uid: &str) {
        let Some(node) = self.nodes.get(uid).filter(|node| !node.stands_alone) else { return };
        for owner in node.view.owners() {
            let children = self.children.entry(owner.uid.clone()).or_default();
            if !children.iter().any(|child| &**child == uid) {
                children.push(uid.into());
            }
        }
    }

    /// What happened to this object is told, of whomever it is told; or it waits.
    pub(super) fn speak(&mut self, uid: &str, seen: &Seen) -> Vec<Observation> {
        let is_subject = |uid: &str| self.nodes.get(uid).is_some_and(|node| node.view.source().is_some());
        if !is_subject(uid) {
            // The queue entry of a group of Pods tells of each of them.
            let owners = self.nodes.get(uid).map(|node| node.view.owners()).unwrap_or_default();
            let all: Vec<Box<str>> =
                owners.iter().map(|owner| owner.uid.clone()).filter(|uid| is_subject(uid)).collect();
            return all.iter().flat_map(|owner| self.speak_of(owner, seen)).collect();
        }
        match self.top(uid) {
            Top::Is(top) => {
                self.ask_anew(uid, &top);
                self.look_at(&top, Presence::Present, seen)
            }
            Top::Waits { at, of } => {
                self.ask_anew(uid, &at);
                let patience = if self.kinds.is_listed(&of) { OWNER_PATIENCE } else { LIST_PATIENCE };
                self.waiting.wait(&at, Some(of), later(seen.now, patience), seen.clone());
                Vec::new()
            }
            Top::Nobody => Vec::new(),
        }
    }

    /// What an object and those above it lend may have changed.
    fn ask_anew(&mut self, uid: &str, top: &str) {
        let mut current: Box<str> = uid.into();
        for _ in 0..MOST_OWNERS {
            if &*current == top {
                return;
            }
            let Some(node) = self.nodes.get_mut(&current) else { return };
            node.lent = None;
            let owners = node.view.owners().to_vec();
            let Some(above) = owners.into_iter().find(|owner| self.nodes.contains_key(&owner.uid)) else { return };
            current = above.uid;
        }
    }

    /// What the object proves for the first time, with all that is below it.
    pub(super) fn look_at(&mut self, uid: &str, presence: Presence, seen: &Seen) -> Vec<Observation> {
        self.look_with(uid, Part::All, presence, seen)
    }

    fn look_with(&mut self, uid: &str, part: Part<'_>, presence: Presence, seen: &Seen) -> Vec<Observation> {
        let family = self.gather(uid, part, 0);
        let Some(node) = self.nodes.get_mut(uid) else { return Vec::new() };
        if node.leaving && presence == Presence::Present {
            return Vec::new();
        }
        let (told, problems) = node.look(&family.below(), presence, seen);
        if let (View::Declared(kind, ..), false) = (&node.view, problems.is_empty()) {
            let kind = kind.clone();
            self.problems.extend(problems.into_iter().map(|problem| (kind.clone(), problem)));
        }
        if self.nodes.get(uid).is_some_and(|node| node.finished) {
            self.forget_pods(uid, 0);
        }
        told
    }

    /// A new object is looked at: those that waited for it are heard through it.
    pub(super) fn welcome(&mut self, uid: &str, seen: &Seen) -> Vec<Observation> {
        let children: Vec<Box<str>> = self.children.get(uid).cloned().unwrap_or_default();
        let waited: Vec<Box<str>> = children.into_iter().filter(|child| self.waiting.contains(child)).collect();
        let early = self.facts.get(uid).is_some_and(|pods| pods.values().any(|fact| fact.early));
        if waited.is_empty() && !early {
            return self.speak(uid, seen);
        }
        let top = self.top(uid);
        let is_change = |known| matches!(known, Known::Changed(_));
        let mut news = early.then(|| Seen { known: Known::Changed(Freshness::Replayed), ..seen.clone() });
        let mut released = Vec::new();
        for child in waited {
            let Some(wait) = self.waiting.release(&child) else { continue };
            if self.nodes.get(&child).is_some_and(|node| node.leaving) {
                self.remove(&child);
                continue;
            }
            match &top {
                Top::Waits { at, of } => {
                    self.waiting.wait(at, Some(of.clone()), later(seen.now, OWNER_PATIENCE), wait.seen);
                }
                Top::Is(_) if is_change(wait.seen.known) => {
                    news = Some(Seen { now: seen.now, ..wait.seen.clone() });
                    released.push(child);
                }
                Top::Is(_) | Top::Nobody => {}
            }
        }
        let mut told = Vec::new();
        if let (Top::Is(top), false, Some(_)) = (&top, is_change(seen.known), &news) {
            // What was there before is told apart from what has just come with those below it.
            told = self.look_with(top, Part::Settled(&released), Presence::Present, seen);
        }
        for fact in self.facts.get_mut(uid).into_iter().flat_map(|pods| pods.values_mut()) {
            fact.early = false;
        }
        let news = news.filter(|_| !is_change(seen.known));
        told.extend(self.speak(uid, news.as_ref().unwrap_or(seen)));
        told
    }

    /// All that is below an object. What waits for another owner, or stands alone, is not.
    fn gather(&mut self, uid: &str, part: Part<'_>, depth: usize) -> Family {
        let counts = |fact: &&Fact| matches!(part, Part::All) || !fact.early;
        let is_new = |child: &str| matches!(part, Part::Settled(new) if new.iter().any(|new| &**new == child));
        let facts = self.facts.get(uid).into_iter().flat_map(|pods| pods.values());
        let mut family =
            Family { pods: facts.filter(counts).map(|fact| fact.facts.clone()).collect(), lent: Vec::new() };
        let Some(children) = self.children.get(uid).filter(|_| depth < MOST_OWNERS).cloned() else { return family };
        for child in children {
            let is_part = |node: &Node| !node.stands_alone && !matches!(node.view, View::Pod(_));
            let counts = self.nodes.get(&child).is_some_and(|node| is_part(node));
            if !counts || self.waiting.contains(&child) || is_new(&child) {
                continue;
            }
            let Family { pods, mut lent } = self.gather(&child, part, depth + 1);
            let Some(node) = self.nodes.get_mut(&child) else { continue };
            let (own, problems) = node.lend(&Below { pods: &pods, lent: &lent });
            let kind = node.view.kind();
            self.problems.extend(problems.into_iter().map(|problem| (kind.clone(), problem)));
            lent.extend(own);
            family.pods.extend(pods);
            family.lent.extend(lent);
        }
        family
    }

    /// A Pod of a watched owner tells of the owner's restarts, preemptions and causes. Whether there is news.
    pub(super) fn learn(&mut self, pod: &PodView, owner: &Owner, known: Known) -> bool {
        let top = self.top(&owner.uid);
        let is_known = self.nodes.contains_key(&owner.uid);
        if let Top::Is(top) = &top
            && self.nodes.get(top).is_some_and(|top| top.finished)
        {
            return false;
        }
        let newer = pod::facts(pod);
        let early = !is_known && matches!(known, Known::Changed(_));
        let pods = self.facts.entry(owner.uid.clone()).or_default();
        let Some(fact) = pods.get_mut(&pod.metadata.uid) else {
            pods.insert(pod.metadata.uid.clone(), Fact { facts: newer, early });
            return is_known;
        };
        let before = fact.facts.clone();
        fact.facts.merge(newer);
        let news = fact.facts != before;
        fact.early |= early && news;
        news && is_known
    }

    /// Facts outlive a Pod for the sake of its owner only.
    pub(super) fn unlearn(&mut self, pod: &PodView, owner: &Owner) {
        if !self.nodes.contains_key(&owner.uid)
            && let Some(pods) = self.facts.get_mut(&owner.uid)
        {
            pods.remove(&pod.metadata.uid);
            if pods.is_empty() {
                self.facts.remove(&owner.uid);
            }
        }
    }

    /// Nothing needs to be known of the Pods of what has ended.
    fn forget_pods(&mut self, uid: &str, depth: usize) {
        self.facts.remove(uid);
        for child in self.children.get(uid).filter(|_| depth < MOST_OWNERS).cloned().unwrap_or_default() {
            if self.nodes.get(&child).is_some_and(|node| !node.stands_alone) {
                self.forget_pods(&child, depth + 1);
            }
        }
    }

    /// Takes an object out. What its Pods went through stays known to its owner; its own parts have lost theirs.
    pub(super) fn remove(&mut self, uid: &str) {
        self.waiting.release(uid);
        let Some(node) = self.nodes.remove(uid) else { return };
        let pods = self.facts.remove(uid).unwrap_or_default();
        self.disown(uid, node.view.owners());
        let heir = node.view.owners().iter().find(|owner| self.nodes.contains_key(&owner.uid));
        if let Some(owner) = heir.filter(|_| !node.stands_alone && !pods.is_empty()) {
            let inherited = self.facts.entry(owner.uid.clone()).or_default();
            for (uid, fact) in pods {
                if inherited.len() < MOST_INHERITED {
                    inherited.insert(uid, fact);
                }
            }
        }
        for child in self.children.get(uid).into_iter().flatten() {
            if let Some(child) = self.nodes.get_mut(child) {
                child.patience = Patience::Orphaned;
            }
        }
    }
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
