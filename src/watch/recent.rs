//! What was seen lately: for rules that become active a moment after the event that they may claim, and for a standby
//! that takes over.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Observation;

/// How long an observation is kept. Long enough for a rule to be seen after its event, and for a standby to take over.
const KEEP: SignedDuration = SignedDuration::from_mins(10);
/// How many are kept at most, about 25 MB.
const MOST: usize = 50_000;

/// The observations of the last ten minutes, oldest first.
#[derive(Debug)]
pub struct Recent {
    entries: VecDeque<Arc<Observation>>,
    most: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self::of_at_most(MOST)
    }
}

impl Recent {
    /// Keeps at most so many.
    #[must_use]
    pub const fn of_at_most(most: usize) -> Self {
        Self { entries: VecDeque::new(), most }
    }

    /// Keeps one more, and forgets what is too old.
    pub fn push(&mut self, observation: Arc<Observation>) {
        let oldest = observation.observed.checked_sub(KEEP).unwrap_or(Timestamp::MIN);
        self.entries.push_back(observation);
        while self.entries.len() > self.most || self.entries.front().is_some_and(|first| first.observed < oldest) {
            self.entries.pop_front();
        }
    }

    /// What is kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Observation>> {
        self.entries.iter()
    }
}
