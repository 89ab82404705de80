//! How much may be sent in which time.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// At most so many in any time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub most: usize,
    /// In how long.
    pub window: Duration,
}

impl Limit {
    /// So many in a minute.
    #[must_use]
    pub const fn per_minute(most: usize) -> Self {
        Self { most, window: Duration::from_mins(1) }
    }
}

/// Limits, and for how long nothing is taken once one was broken.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) limits: Vec<Limit>,
    pub(super) penalty: Duration,
}

/// When something was accepted, and until when nothing is.
#[derive(Default)]
pub(super) struct Spent {
    accepted_at: VecDeque<SystemTime>,
    blocked: Option<(SystemTime, Limit)>,
}

impl Spent {
    /// Counts one more, or says which limit is in its way. What is refused does not count.
    pub(super) fn spend(&mut self, now: SystemTime, budget: &Budget) -> Result<(), Limit> {
        if let Some((_, limit)) = self.blocked.filter(|(until, _)| now < *until) {
            return Err(limit);
        }
        let broken = |limit: &&Limit| self.recent(now, limit.window) >= limit.most;
        if let Some(limit) = budget.limits.iter().find(broken).copied() {
            self.blocked = Some((now + budget.penalty, limit));
            return Err(limit);
        }
        let longest = budget.limits.iter().map(|limit| limit.window).max().unwrap_or_default();
        while self.accepted_at.front().is_some_and(|at| difference(now, *at) >= longest) {
            self.accepted_at.pop_front();
        }
        self.accepted_at.push_back(now);
        Ok(())
    }

    fn recent(&self, now: SystemTime, window: Duration) -> usize {
        self.accepted_at.iter().filter(|at| difference(now, **at) < window).count()
    }
}

/// The distance of two times, whichever is earlier.
pub(super) fn difference(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}
