//! A lane: what waits for one recipient, and what is tried when. Pure; the time is an argument.
//!
//! Notices of one subject go out in order. A recipient that fails is tried with ever fewer messages until one gets
//! through; then everything that waited goes at once. A message that alone fails does not hold up the others. Nothing
//! goes out faster than the budget allows ([`super::budget`]): where more waits than a minute's budget can carry, all of
//! it goes out as one digest.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::budget::{Budget, after};
use super::{NoticeKey, retry};
use crate::channel::{Limits, Outcome, Rate};

/// Longest pause of a lane that fails: a message waits for its own next try up to five minutes, but a recipient that
/// comes back is found within this time, if there is anything else to try it with.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Longest silence after throttling replies that name no time.
const LONGEST_SILENCE: Duration = Duration::from_mins(10);

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
    /// Only to be sent alone: a digest with it was refused.
    pub alone: bool,
    /// The digest that may have been shown: it is repeated only as exactly the same one.
    pub batch: Option<u64>,
}

/// What goes out as one message: one item, or several as a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// In order.
    pub items: Vec<Item>,
}

impl Parcel {
    /// Whether it is a digest.
    #[must_use]
    pub fn is_digest(&self) -> bool {
        self.items.len() > 1
    }
}

/// What a lane may do, by its channel and its target's settings.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The channel's limits.
    pub limits: Limits,
    /// Most messages a minute, where the target says so; the channel's own limits hold all the same.
    pub rate_per_minute: Option<u32>,
    /// Age at which an event is given up.
    pub max_age: Duration,
}

impl Rules {
    /// Every rate that holds.
    pub fn rates(&self) -> impl Iterator<Item = Rate> {
        self.limits.rates_with(self.rate_per_minute)
    }

    /// Whether there is any.
    #[must_use]
    pub const fn has_budget(&self) -> bool {
        !self.limits.rates.is_empty() || self.rate_per_minute.is_some()
    }
}

/// What a lane wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this now.
    Send(Parcel),
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
    paused_until: Option<Timestamp>,
    failures: u32,
    throttles: u32,
    batches: u64,
}

impl Lane {
    /// Queues a delivery behind the others.
    pub fn push(&mut self, item: Item) {
        self.waiting.push_back(item);
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

    /// Takes out what waits, as when the target is suspended or gone.
    pub fn drain(&mut self) -> Vec<Item> {
        self.waiting.drain(..).collect()
    }

    /// The target was mended: what waits is tried at once.
    pub fn mended(&mut self) {
        self.paused_until = None;
        self.failures = 0;
        self.throttles = 0;
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

    /// A parcel that was to be sent is not: its Notices were removed.
    pub fn forget(&mut self, parcel: &Parcel) {
        for item in &parcel.items {
            self.in_flight.remove(&item.subject);
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp, rules: &Rules, budget: &mut Budget) -> Next {
        if let Some(item) = self.expired(now, rules.max_age) {
            return Next::Expired(item);
        }
        let concurrency = if self.failures > 0 { 1 } else { rules.limits.concurrency.max(1) };
        if self.waiting.is_empty() || self.in_flight.len() >= concurrency {
            return Next::Wait(None);
        }
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            return Next::Wait(Some(self.or_expiry(until, rules.max_age)));
        }
        self.paused_until = None;
        if let Some(free) = budget.free_at(now, rules.rates()) {
            return Next::Wait(Some(self.or_expiry(free, rules.max_age)));
        }
        let parcel = match self.digest(now, rules, budget) {
            Some(parcel) => parcel,
            None => match self.first_sendable(now) {
                Ok(item) => self.with_its_batch(item),
                Err(earliest) => return Next::Wait(earliest.map(|time| self.or_expiry(time, rules.max_age))),
            },
        };
        self.in_flight.extend(parcel.items.iter().map(|item| item.subject.clone()));
        if rules.has_budget() {
            budget.spend(now);
        }
        Next::Send(parcel)
    }

    /// Everything that can be told together, if it is more than the budget carries within a minute.
    fn digest(&mut self, now: Timestamp, rules: &Rules, budget: &mut Budget) -> Option<Parcel> {
        if !rules.limits.digest || !self.in_flight.is_empty() {
            return None;
        }
        let fits = |item: &Item| !item.alone && item.batch.is_none() && item.not_before.is_none_or(|time| time <= now);
        let count = self.waiting.iter().filter(|item| fits(item)).count();
        if count < 2 || count <= budget.room_ahead(now, rules.rates()) {
            return None;
        }
        let (items, others): (VecDeque<Item>, _) = self.waiting.drain(..).partition(fits);
        self.waiting = others;
        Some(Parcel { items: items.into() })
    }

    fn first_sendable(&mut self, now: Timestamp) -> Result<Item, Option<Timestamp>> {
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
        found.and_then(|at| self.waiting.remove(at)).ok_or(earliest)
    }

    /// An item alone, or the whole digest that it was part of when nobody answered.
    fn with_its_batch(&mut self, item: Item) -> Parcel {
        let Some(batch) = item.batch else { return Parcel { items: vec![item] } };
        let (mut items, others): (VecDeque<Item>, _) =
            self.waiting.drain(..).partition(|other| other.batch == Some(batch));
        self.waiting = others;
        items.push_front(item);
        Parcel { items: items.into() }
    }

    /// An attempt has ended: what that means for each item of the parcel.
    pub fn finished(
        &mut self,
        parcel: Parcel,
        outcome: &Outcome,
        now: Timestamp,
        limits: &Limits,
        budget: &mut Budget,
    ) -> Vec<(Item, Step)> {
        self.forget(&parcel);
        let is_digest = parcel.is_digest();
        let mut items = parcel.items;
        for item in &mut items {
            item.attempts = item.attempts.saturating_add(1);
        }
        if !matches!(outcome, Outcome::Throttled { .. }) {
            self.throttles = 0;
        }
        match outcome {
            Outcome::Delivered { .. } => {
                self.got_through();
                all(items, Step::Delivered)
            }
            Outcome::Permanent { .. } | Outcome::Gone { .. } => {
                // The receiver answered: it is the message that it refuses. Of a digest, one part may be to blame.
                self.got_through();
                if is_digest { self.send_alone(items, now) } else { all(items, Step::Failed) }
            }
            Outcome::Throttled { retry_after, .. } => {
                self.throttles = self.throttles.saturating_add(1);
                let until = after(now, retry_after.unwrap_or_else(|| self.silence(limits.throttle_pause)));
                budget.silence(until);
                self.put_back(&items);
                all(items, Step::Retry(until))
            }
            Outcome::Ambiguous { .. } if !limits.idempotent && items.iter().any(|item| item.in_doubt) => {
                all(items, Step::Failed)
            }
            Outcome::Ambiguous { .. } | Outcome::Transient { .. } if is_last(&items, limits) => {
                all(items, Step::Failed)
            }
            Outcome::Ambiguous { .. } => {
                let batch = is_digest.then(|| {
                    self.batches += 1;
                    self.batches
                });
                for item in &mut items {
                    item.in_doubt = true;
                    item.batch = batch.or(item.batch);
                }
                self.try_again(items, now)
            }
            Outcome::Transient { .. } => {
                // What is known not to have been shown may be told in another company.
                items.iter_mut().filter(|item| !item.in_doubt).for_each(|item| item.batch = None);
                self.try_again(items, now)
            }
        }
    }

    /// Grows where throttling goes on, up to ten minutes.
    fn silence(&self, first: Duration) -> Duration {
        first.saturating_mul(1 << self.throttles.saturating_sub(1).min(10)).min(first.max(LONGEST_SILENCE))
    }

    fn put_back(&mut self, items: &[Item]) {
        for item in items.iter().rev() {
            self.waiting.push_front(item.clone());
        }
    }

    fn send_alone(&mut self, mut items: Vec<Item>, now: Timestamp) -> Vec<(Item, Step)> {
        for item in &mut items {
            item.alone = true;
            item.batch = None;
        }
        self.put_back(&items);
        all(items, Step::Retry(now))
    }

    fn try_again(&mut self, mut items: Vec<Item>, now: Timestamp) -> Vec<(Item, Step)> {
        self.failures = self.failures.saturating_add(1);
        let seed = items.first().map(|item| item.notice.clone());
        let lane = after(now, retry::pause(self.failures, &seed).min(LONGEST_PAUSE));
        self.paused_until = Some(self.paused_until.map_or(lane, |until| until.max(lane)));
        if let [item] = items.as_mut_slice() {
            let own = after(now, retry::pause(item.attempts, &item.notice));
            item.not_before = Some(own);
            // Its whole subject goes behind the others, so that they have their turn first.
            let (own_subject, others) = self.waiting.drain(..).partition(|other| other.subject == item.subject);
            self.waiting = others;
            self.waiting.push_back(item.clone());
            self.waiting.extend::<VecDeque<Item>>(own_subject);
            return all(items, Step::Retry(own.max(lane)));
        }
        self.put_back(&items);
        all(items, Step::Retry(lane))
    }

    fn got_through(&mut self) {
        if self.failures > 1 {
            // It was the recipient, not one message: what waited for it goes now.
            self.waiting.iter_mut().for_each(|item| item.not_before = None);
        }
        self.paused_until = None;
        self.failures = 0;
    }

    /// The given time, or the one at which the oldest item has to be given up, if that is sooner.
    fn or_expiry(&self, time: Timestamp, max_age: Duration) -> Timestamp {
        self.next_expiry(max_age).map_or(time, |expiry| expiry.min(time))
    }
}

fn all(items: Vec<Item>, step: Step) -> Vec<(Item, Step)> {
    items.into_iter().map(|item| (item, step)).collect()
}

fn is_last(items: &[Item], limits: &Limits) -> bool {
    limits.most_attempts.is_some_and(|most| items.iter().any(|item| item.attempts >= most))
}

fn age(item: &Item, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(item.recorded)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
