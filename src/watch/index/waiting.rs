//! What is not told yet: objects that wait for their owner, and those that left a moment ago.
//!
//! As long as something waits, the change that it came with is held: the checkpoint must not pass it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::super::observation::Kind;
use super::told::{Known, Seen};

/// All that waits, by uid.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: HashMap<Box<str>, Wait>,
    queue: BTreeSet<(Timestamp, Box<str>)>,
    held: BTreeMap<Kind, BTreeMap<u64, usize>>,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Wait {
    until: Timestamp,
    /// The kind whose object is waited for; `None` for one that has left.
    of: Option<Kind>,
    /// Under which circumstances it is looked at in the end.
    pub(super) seen: Seen,
    /// The first change of each kind that is not dealt with.
    holds: Vec<(Kind, u64)>,
}

impl Waiting {
    pub(super) fn contains(&self, uid: &str) -> bool {
        self.entries.contains_key(uid)
    }

    /// Lets it wait; one that waits already goes on until its own time.
    pub(super) fn wait(&mut self, uid: &str, of: Option<Kind>, until: Timestamp, seen: Seen) {
        let hold = (seen.known != Known::Baseline).then(|| (seen.kind.clone(), seen.revision));
        let entry = match self.entries.get_mut(uid) {
            Some(entry) => {
                // What was dealt with before does not make less of what was not.
                if seen.known != Known::Baseline {
                    entry.seen = seen;
                }
                entry
            }
            None => {
                self.queue.insert((until, uid.into()));
                self.entries.entry(uid.into()).or_insert(Wait { until, of, seen, holds: Vec::new() })
            }
        };
        if let Some((kind, revision)) = hold
            && !entry.holds.iter().any(|(held, _)| *held == kind)
        {
            *self.held.entry(kind.clone()).or_default().entry(revision).or_default() += 1;
            entry.holds.push((kind, revision));
        }
    }

    /// It waits no longer.
    pub(super) fn release(&mut self, uid: &str) -> Option<Wait> {
        let wait = self.entries.remove(uid)?;
        self.queue.remove(&(wait.until, Box::from(uid)));
        for (kind, revision) in &wait.holds {
            let Some(revisions) = self.held.get_mut(kind) else { continue };
            if let Some(count) = revisions.get_mut(revision) {
                *count -= 1;
                if *count == 0 {
                    revisions.remove(revision);
                }
            }
            if revisions.is_empty() {
                self.held.remove(kind);
            }
        }
        Some(wait)
    }

    /// Those that wait for an object of this kind do so no longer than until then.
    pub(super) fn hurry(&mut self, kind: &Kind, until: Timestamp) {
        for (uid, wait) in &mut self.entries {
            if wait.of.as_ref() == Some(kind) && wait.until > until {
                self.queue.remove(&(wait.until, uid.clone()));
                wait.until = until;
                self.queue.insert((until, uid.clone()));
            }
        }
    }

    /// When the first of them has waited long enough.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(until, _)| *until)
    }

    /// Those that have waited long enough, in that order.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Box<str>> {
        self.queue.iter().take_while(|(until, _)| *until <= now).map(|(_, uid)| uid.clone()).collect()
    }

    /// The first change of the kind that is not dealt with.
    pub(super) fn held(&self, kind: &Kind) -> Option<u64> {
        self.held.get(kind)?.keys().next().copied()
    }
}
