//! Budgets: how many messages a receiver takes, whoever sends them. Pure; the time is an argument.
//!
//! A robot or a phone number has one budget, however many targets reach it. What was sent before a restart counts too:
//! it is restored from the stored Notices.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Recipient;
use crate::channel::{Channel, Rate};

/// The time ahead for which waiting messages are counted against the budget.
const AHEAD: Duration = Duration::from_mins(1);
/// Longest window of any channel: what was sent earlier cannot matter.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Most attempts that the retry schedule makes of one message within a minute.
const MOST_RETRIES: u32 = 6;

/// What one receiver was sent, and whether it asked for silence.
#[derive(Debug, Default)]
pub struct Budget {
    /// In order.
    sent: VecDeque<Timestamp>,
    silent_until: Option<Timestamp>,
}

impl Budget {
    /// Counts a message that goes out now.
    pub fn spend(&mut self, now: Timestamp) {
        self.sent.push_back(now);
    }

    /// Counts a message of the past, as a restart finds it on a stored Notice, with the attempts before it. Of a message
    /// that failed, only the last attempt's time is known: those before are counted as if they had been then. A digest is
    /// found on many Notices, always with the same time, and is counted once.
    pub fn restore(&mut self, sent: Timestamp, attempts: u32) {
        let at = self.sent.partition_point(|&earlier| earlier < sent);
        if self.sent.get(at) == Some(&sent) {
            return;
        }
        for _ in 0..attempts.clamp(1, MOST_RETRIES) {
            self.sent.insert(at, sent);
        }
    }

    /// The receiver asked for silence.
    pub fn silence(&mut self, until: Timestamp) {
        self.silent_until = Some(self.silent_until.map_or(until, |known| known.max(until)));
    }

    /// The target was mended: nobody asks for silence any more.
    pub const fn unsilence(&mut self) {
        self.silent_until = None;
    }

    /// Until when there is silence, if there is now.
    #[must_use]
    pub fn silent_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.silent_until.filter(|until| now < *until)
    }

    /// When a message can go out; `None`: now.
    pub fn free_at(&mut self, now: Timestamp, rates: impl Iterator<Item = Rate>) -> Option<Timestamp> {
        self.forget(now);
        let by_rate = rates.filter_map(|rate| self.free_by(now, rate)).max();
        by_rate.max(self.silent_until(now))
    }

    /// How many messages can go out within the next minute.
    pub fn room_ahead(&mut self, now: Timestamp, rates: impl Iterator<Item = Rate>) -> usize {
        self.forget(now);
        rates.map(|rate| self.ahead_by(now, rate)).min().unwrap_or(usize::MAX)
    }

    fn forget(&mut self, now: Timestamp) {
        while self.sent.front().is_some_and(|&sent| now.duration_since(sent) >= LONGEST) {
            self.sent.pop_front();
        }
    }

    fn since(&self, oldest: Timestamp) -> impl Iterator<Item = &Timestamp> {
        let from = self.sent.partition_point(|&sent| sent <= oldest);
        self.sent.range(from..)
    }

    fn free_by(&self, now: Timestamp, rate: Rate) -> Option<Timestamp> {
        let most = usize::try_from(rate.count).unwrap_or(usize::MAX).max(1);
        let within: Vec<&Timestamp> = self.since(before(now, rate.window)).collect();
        let excess = within.len().checked_sub(most)?;
        within.get(excess).map(|sent| after(**sent, rate.window))
    }

    fn ahead_by(&self, now: Timestamp, rate: Rate) -> usize {
        let most = usize::try_from(rate.count).unwrap_or(usize::MAX).max(1);
        if rate.window <= AHEAD {
            let windows = AHEAD.as_millis() / rate.window.as_millis().max(1);
            return most.saturating_mul(usize::try_from(windows).unwrap_or(usize::MAX));
        }
        // What still counts when the minute is over.
        let then = after(now, AHEAD);
        most.saturating_sub(self.since(before(then, rate.window)).count())
    }
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BudgetKey {
    /// A receiver that several targets may reach.
    Receiver(u64),
    /// Only this recipient's.
    Own(Recipient),
}

impl BudgetKey {
    /// The budget that messages through a channel use up.
    #[must_use]
    pub fn of(channel: &dyn Channel, recipient: &Recipient) -> Self {
        channel.receiver().map_or_else(|| Self::Own(recipient.clone()), Self::Receiver)
    }
}

/// Every budget. Cheap to clone; shared by deliveries and connectivity tests.
#[derive(Clone, Debug, Default)]
pub struct Budgets(Arc<Mutex<HashMap<BudgetKey, Budget>>>);

impl Budgets {
    /// Looks at one budget, or changes it.
    pub fn with<T>(&self, key: &BudgetKey, look: impl FnOnce(&mut Budget) -> T) -> T {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(budgets.entry(key.clone()).or_default())
    }

    /// Forgets budgets that nothing was sent of for longer than any window.
    pub fn sweep(&self, now: Timestamp) {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.retain(|_, budget| {
            budget.forget(now);
            !budget.sent.is_empty() || budget.silent_until(now).is_some()
        });
    }
}

/// The time so much later.
#[must_use]
pub fn after(time: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| time.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}

fn before(time: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| time.checked_sub(pause).ok()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: [Rate; 3] = [
        Rate::per_minute(1),
        Rate { count: 5, window: Duration::from_hours(1) },
        Rate { count: 20, window: Duration::from_hours(24) },
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Sends whenever it may, from a start, until `until`; returns when.
    fn greedy(rates: &[Rate], until: i64) -> Vec<i64> {
        let mut budget = Budget::default();
        let (mut now, mut sent) = (at(0), Vec::new());
        while now <= at(until) {
            match budget.free_at(now, rates.iter().copied()) {
                None => {
                    budget.spend(now);
                    sent.push(now.as_second() - 1_000_000);
                }
                Some(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        sent
    }

    #[test]
    fn no_window_ever_holds_more_than_its_rate() {
        for (rates, until) in [
            (&[Rate::per_minute(20)][..], 600),
            (&[Rate::per_minute(100), Rate { count: 5, window: Duration::from_secs(1) }], 300),
            (&VOICE, 200_000),
        ] {
            let sent = greedy(rates, until);
            for rate in rates {
                let window = i64::try_from(rate.window.as_secs()).unwrap();
                for (index, start) in sent.iter().enumerate() {
                    let within = sent[index..].iter().take_while(|time| **time < start + window).count();
                    assert!(within <= usize::try_from(rate.count).unwrap(), "{rate:?} at {start}");
                }
            }
            assert!(sent.len() > 20, "{rates:?}");
        }
    }

    #[test]
    fn a_voice_budget_is_one_a_minute_five_an_hour_twenty_a_day() {
        let sent = greedy(&VOICE, 86_399);
        assert_eq!(sent.len(), 20);
        assert_eq!(sent[..6], [0, 60, 120, 180, 240, 3600]);
    }

    #[test]
    fn the_room_ahead_counts_what_a_minute_gives() {
        let mut budget = Budget::default();
        assert_eq!(budget.room_ahead(at(0), [].into_iter()), usize::MAX);
        assert_eq!(budget.room_ahead(at(0), [Rate::per_minute(20)].into_iter()), 20);
        let lark = [Rate::per_minute(100), Rate { count: 5, window: Duration::from_secs(1) }];
        assert_eq!(budget.room_ahead(at(0), lark.into_iter()), 100);
        for second in 0..4 {
            budget.spend(at(second * 60));
        }
        assert_eq!(budget.room_ahead(at(250), VOICE.into_iter()), 1);
        budget.spend(at(300));
        assert_eq!(budget.room_ahead(at(310), VOICE.into_iter()), 0, "the hour is used up");
    }

    #[test]
    fn what_a_restart_finds_counts_a_digest_once_and_retries_too() {
        let mut budget = Budget::default();
        for _ in 0..40 {
            budget.restore(at(0), 1);
        }
        budget.restore(at(-5), 3);
        assert_eq!(budget.sent.len(), 4);
        assert!(budget.free_at(at(1), [Rate::per_minute(4)].into_iter()).is_some());
        assert_eq!(budget.free_at(at(1), [Rate::per_minute(5)].into_iter()), None);
        assert_eq!(budget.free_at(at(56), [Rate::per_minute(4)].into_iter()), None);
    }

    #[test]
    fn silence_lasts_as_long_as_the_longest_that_was_asked_for() {
        let mut budget = Budget::default();
        budget.silence(at(600));
        budget.silence(at(10));
        assert_eq!(budget.free_at(at(0), [].into_iter()), Some(at(600)));
        assert_eq!(budget.free_at(at(600), [].into_iter()), None);
        budget.silence(at(900));
        budget.unsilence();
        assert_eq!(budget.free_at(at(601), [].into_iter()), None);
    }

    #[test]
    fn idle_budgets_are_forgotten() {
        let budgets = Budgets::default();
        budgets.with(&BudgetKey::Receiver(1), |budget| budget.spend(at(0)));
        budgets.with(&BudgetKey::Receiver(2), |budget| budget.silence(at(200_000)));
        budgets.sweep(at(100_000));
        assert_eq!(budgets.0.lock().unwrap().len(), 1);
    }
}
