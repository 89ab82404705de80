//! A lane: what waits for one target, and what is tried when. Pure; the time is an argument.
//!
//! Notices of one subject go out in order. A target that fails is tried with ever fewer messages until one gets through;
//! then everything that waited for it goes at once. A message that alone fails does not hold up the others. Nothing goes
//! out faster than the budget allows.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{NoticeKey, retry};
use crate::channel::{Limits, Outcome};

/// The window of a budget.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// One delivery that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The Notice.
    pub notice: NoticeKey,
    /// Uid of its subject: one subject's Notices go out in order.
    pub subject: Box<str>,
    /// When the event was recorded: its age counts from here.
    pub recorded: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before this.
    pub not_before: Option<Timestamp>,
    /// Whether an attempt ended without a reply: the receiver may have shown the message.
    pub in_doubt: bool,
}

/// What a lane may do, by its channel and its target's settings.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The channel's limits.
    pub limits: Limits,
    /// Most messages a minute.
    pub rate_per_minute: Option<u32>,
    /// Age at which an event is given up.
    pub max_age: Duration,
}

/// What a lane wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this one now.
    Send(Item),
    /// This one is too old to be tried again.
    Expired(Item),
    /// Ask again at this time; `None`: when something changes.
    Wait(Option<Timestamp>),
}

/// What an attempt led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Accepted.
    Delivered,
    /// Given up.
    Failed,
    /// Will be tried again at this time at the earliest.
    Retry(Timestamp),
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Lane {
    waiting: VecDeque<Item>,
    in_flight: HashSet<Box<str>>,
    /// Attempts of the last minute.
    sent: VecDeque<Timestamp>,
    paused_until: Option<Timestamp>,
    throttled: bool,
    failures: u32,
}

impl Lane {
    /// Queues a delivery behind the others.
    pub fn push(&mut self, item: Item) {
        self.waiting.push_back(item);
    }

    /// Takes an attempt of the past into the budget, as a restart finds it on the stored Notices.
    pub fn restore(&mut self, sent: Timestamp) {
        let at = self.sent.partition_point(|&earlier| earlier <= sent);
        self.sent.insert(at, sent);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing waits and nothing is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Until when the receiver asked for silence.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Timestamp> {
        self.paused_until.filter(|_| self.throttled)
    }

    /// Takes out what waits, as when the target is suspended or gone.
    pub fn drain(&mut self) -> Vec<Item> {
        self.waiting.drain(..).collect()
    }

    /// The target was mended: what waits is tried at once.
    pub fn mended(&mut self) {
        self.paused_until = None;
        self.throttled = false;
        self.failures = 0;
        self.waiting.iter_mut().for_each(|item| item.not_before = None);
    }

    /// The oldest item beyond its age, whatever else holds the lane up.
    pub fn expired(&mut self, now: Timestamp, max_age: Duration) -> Option<Item> {
        let at = self.waiting.iter().position(|item| age(item, now) >= max_age)?;
        self.waiting.remove(at)
    }

    /// When the oldest item has to be given up.
    #[must_use]
    pub fn next_expiry(&self, max_age: Duration) -> Option<Timestamp> {
        self.waiting.iter().map(|item| after(item.recorded, max_age)).min()
    }

    /// An item that was to be sent is not: its Notice was removed.
    pub fn forget(&mut self, item: &Item) {
        self.in_flight.remove(&item.subject);
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp, rules: &Rules) -> Next {
        if let Some(item) = self.expired(now, rules.max_age) {
            return Next::Expired(item);
        }
        let concurrency = if self.failures > 0 { 1 } else { rules.limits.concurrency.max(1) };
        if self.waiting.is_empty() || self.in_flight.len() >= concurrency {
            return Next::Wait(None);
        }
        if let Some(until) = self.paused_until {
            if now < until {
                return Next::Wait(Some(self.or_expiry(until, rules.max_age)));
            }
            self.paused_until = None;
            self.throttled = false;
        }
        if let Some(free) = self.budget_free_at(now, rules.rate_per_minute) {
            return Next::Wait(Some(self.or_expiry(free, rules.max_age)));
        }
        self.first_sendable(now, rules.max_age)
    }

    fn first_sendable(&mut self, now: Timestamp, max_age: Duration) -> Next {
        let mut passed: HashSet<&str> = HashSet::new();
        let mut earliest: Option<Timestamp> = None;
        let mut found = None;
        for (at, item) in self.waiting.iter().enumerate() {
            let first_of_subject = passed.insert(&item.subject) && !self.in_flight.contains(&item.subject);
            if !first_of_subject {
                continue;
            }
            match item.not_before.filter(|&time| time > now) {
                None => {
                    found = Some(at);
                    break;
                }
                Some(time) => earliest = Some(earliest.map_or(time, |known| known.min(time))),
            }
        }
        match found.and_then(|at| self.waiting.remove(at)) {
            Some(item) => {
                self.in_flight.insert(item.subject.clone());
                self.sent.push_back(now);
                Next::Send(item)
            }
            None => Next::Wait(earliest.map(|time| self.or_expiry(time, max_age))),
        }
    }

    /// An attempt has ended.
    pub fn finished(&mut self, mut item: Item, outcome: &Outcome, now: Timestamp, limits: &Limits) -> Step {
        self.in_flight.remove(&item.subject);
        item.attempts = item.attempts.saturating_add(1);
        match outcome {
            Outcome::Delivered { .. } => {
                self.got_through();
                Step::Delivered
            }
            Outcome::Permanent { .. } | Outcome::Gone { .. } => {
                // The receiver answered: it is the message that it refuses.
                self.got_through();
                Step::Failed
            }
            Outcome::Throttled { retry_after, .. } => {
                let until = after(now, retry_after.unwrap_or(limits.throttle_pause));
                self.paused_until = Some(until);
                self.throttled = true;
                self.waiting.push_front(item);
                Step::Retry(until)
            }
            Outcome::Ambiguous { .. } if !limits.idempotent && item.in_doubt => Step::Failed,
            Outcome::Ambiguous { .. } => {
                item.in_doubt = true;
                self.try_again(item, now)
            }
            Outcome::Transient { .. } => self.try_again(item, now),
        }
    }

    fn try_again(&mut self, mut item: Item, now: Timestamp) -> Step {
        self.failures = self.failures.saturating_add(1);
        let lane = after(now, retry::pause(self.failures, &item.notice));
        let own = after(now, retry::pause(item.attempts, &item.notice));
        self.paused_until = Some(self.paused_until.map_or(lane, |until| until.max(lane)));
        item.not_before = Some(own);
        // Its whole subject goes behind the others, so that they have their turn first.
        let (own_subject, others) = self.waiting.drain(..).partition(|other| other.subject == item.subject);
        self.waiting = others;
        self.waiting.push_back(item);
        self.waiting.extend::<VecDeque<Item>>(own_subject);
        Step::Retry(own.max(lane))
    }

    fn got_through(&mut self) {
        if self.failures > 1 {
            // It was the target, not one message: what waited for it goes now.
            self.waiting.iter_mut().for_each(|item| item.not_before = None);
        }
        if self.failures > 0 && !self.throttled {
            self.paused_until = None;
        }
        self.failures = 0;
    }

    /// When the budget has room again; `None` if it has now.
    fn budget_free_at(&mut self, now: Timestamp, rate: Option<u32>) -> Option<Timestamp> {
        while self.sent.front().is_some_and(|&sent| now.duration_since(sent) >= WINDOW) {
            self.sent.pop_front();
        }
        let rate = usize::try_from(rate?).unwrap_or(usize::MAX).max(1);
        let excess = self.sent.len().checked_sub(rate)?;
        self.sent.get(excess).map(|sent| after(*sent, WINDOW.unsigned_abs()))
    }

    /// The given time, or the one at which the oldest item has to be given up, if that is sooner.
    fn or_expiry(&self, time: Timestamp, max_age: Duration) -> Timestamp {
        self.next_expiry(max_age).map_or(time, |expiry| expiry.min(time))
    }
}

fn age(item: &Item, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(item.recorded)).unwrap_or(Duration::ZERO)
}

fn after(time: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| time.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
