//! What the dispatcher does with its lanes: attempts, and giving up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Report;
use super::live::Note;
use super::state::{Dispatcher, Role};
use crate::api::Notice;
use crate::channel::{self, Outcome, ResolvedTarget};
use crate::delivery::attempt::Attempt;
use crate::delivery::budget::BudgetKey;
use crate::delivery::lane::{Item, Lane, Next, Parcel, Rules, Step};
use crate::delivery::metrics::AttemptLabel;
use crate::delivery::targets::{Recipient, Target, TargetKey, TargetState};
use crate::rules::Policy;

/// Longest sleep between two looks at the lanes.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// For an attempt whose target has vanished meanwhile.
const FALLBACK: channel::Limits = channel::Limits {
    rates: &[],
    concurrency: 1,
    throttle_pause: Duration::from_mins(1),
    idempotent: false,
    digest: false,
    most_attempts: None,
};

/// Why nothing more goes to a receiver that is gone.
const GONE: &str = "the receiver said that it is gone for good (HTTP 410); edit the target";

impl Dispatcher {
    /// Looks at every lane.
    pub(super) fn run_all(&mut self) {
        let keys: Vec<Recipient> = self.lanes.keys().cloned().collect();
        for key in keys {
            self.run(&key);
        }
    }

    /// How long until a lane, or a Notice that another replica may have stored, wants to be looked at.
    pub(super) fn wake_in(&self) -> Duration {
        let now = self.clock.now();
        let next = self.wakes.values().chain(self.strays.values()).min();
        next.map_or(LONGEST_SLEEP, |&at| {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            // A millisecond more than asked, so that the time has surely come.
            (wait + Duration::from_millis(1)).min(LONGEST_SLEEP)
        })
    }

    /// Lets one lane do what it may do now.
    pub(super) fn run(&mut self, recipient: &Recipient) {
        self.wakes.remove(recipient);
        let Some(policy) = self.policy.clone().filter(|_| !self.stopping) else { return };
        // While the workspace is not in force, nothing is sent: whoever withdraws the grant wants no message to go out.
        if policy.namespace(&recipient.target.namespace).is_none() {
            return;
        }
        let targets = self.targets.clone();
        let key = &recipient.target;
        match targets.get(key) {
            None => self.skip(recipient, "TargetNotFound", "the target was deleted before this was delivered"),
            Some(Target { state: TargetState::Suspended, .. }) => {
                self.skip(recipient, "TargetSuspended", "the target is suspended");
            }
            Some(target @ Target { state: TargetState::NotReady(why), .. }) => self.wait(recipient, target, why),
            Some(target) if self.is_gone(key, target) => self.wait(recipient, target, GONE),
            Some(target @ Target { state: TargetState::Ready(resolved), .. }) => {
                self.send_what_may_go(recipient, target, resolved, &policy);
            }
        }
        // The lane of a target that is there is kept: it knows how the receiver fared lately.
        if !targets.contains_key(key) && self.lanes.get(recipient).is_some_and(Lane::is_idle) {
            self.lanes.remove(recipient);
        }
    }

    fn is_gone(&self, key: &TargetKey, target: &Target) -> bool {
        self.gone.borrow().get(key) == Some(&target.revision)
    }

    fn send_what_may_go(
        &mut self,
        recipient: &Recipient,
        target: &Target,
        resolved: &Arc<ResolvedTarget>,
        policy: &Policy,
    ) {
        let Some(channel) = resolved.channel(recipient.leg.as_ref()) else {
            self.skip(recipient, "ContactNotFound", "the target has no such contact any more");
            return;
        };
        let limits = channel.limits();
        let rules = Rules { limits, rate_per_minute: target.rate_per_minute, max_age: target.max_age };
        // What was sent must be known, and be found by whoever takes over, before more is sent.
        let is_counted = || self.role == Role::Leading && !self.unstored.values().any(|all| all.contains(recipient));
        if rules.has_budget() && !is_counted() {
            return;
        }
        let budget = BudgetKey::of(channel, recipient);
        loop {
            let now = self.clock.now();
            let Some(lane) = self.lanes.get_mut(recipient) else { return };
            match self.budgets.with(&budget, |budget| lane.next(now, &rules, budget)) {
                Next::Send(parcel) => self.attempt(recipient, (target, resolved), policy, parcel, now),
                Next::Expired(item) => self.expire(recipient, &item, target.max_age),
                Next::Wait(Some(at)) => {
                    self.wakes.insert(recipient.clone(), at);
                    return;
                }
                Next::Wait(None) => return,
            }
        }
    }

    fn attempt(
        &mut self,
        recipient: &Recipient,
        (target, resolved): (&Target, &Arc<ResolvedTarget>),
        policy: &Policy,
        mut parcel: Parcel,
        now: Timestamp,
    ) {
        let (there, removed) = parcel.items.into_iter().partition(|item| self.live.contains_key(&item.notice));
        parcel = Parcel { items: there };
        if let Some(lane) = self.lanes.get_mut(recipient) {
            // Removed while they waited.
            lane.forget(&Parcel { items: removed });
        }
        let notices: Vec<Arc<Notice>> =
            parcel.items.iter().filter_map(|item| Some(self.live.get(&item.notice)?.notice.clone())).collect();
        let newest = parcel.items.last().map(|item| item.notice.namespace.as_str()).unwrap_or_default();
        // The namespace of a Notice to a shared target may have lost its grant meanwhile: it goes out all the same, since
        // it was recorded, in the words of the target's workspace.
        let Some(workspace) = policy.namespace(newest).or_else(|| policy.namespace(&recipient.target.namespace)) else {
            return;
        };
        let destination = (target, resolved.clone());
        let Some(attempt) = Attempt::new(&notices, recipient.clone(), destination, workspace, &self.texts) else {
            return;
        };
        let (http, reports, recipient) = (self.http.clone(), self.reports.clone(), recipient.clone());
        self.attempts += 1;
        self.tasks.spawn("attempt", async move {
            let started = tokio::time::Instant::now();
            let outcome = attempt.send(&http, now).await;
            let digest = parcel.is_digest().then_some(attempt.delivery_id);
            let _ = reports.send(Report::Attempted { recipient, parcel, digest, outcome, took: started.elapsed() });
        });
    }

    pub(super) fn attempted(
        &mut self,
        recipient: &Recipient,
        parcel: Parcel,
        digest: Option<&str>,
        outcome: &Outcome,
        took: Duration,
    ) {
        self.attempts = self.attempts.saturating_sub(1);
        let now = self.clock.now();
        let targets = self.targets.clone();
        let target = targets.get(&recipient.target);
        let channel = target.and_then(|target| target.state.channel(recipient.leg.as_ref()));
        let label = AttemptLabel { channel: channel.map_or("unknown", |c| c.name()), outcome: outcome.label() };
        self.metrics.attempts.get_or_create(&label).inc();
        self.metrics.attempt_seconds.observe(took.as_secs_f64());
        if digest.is_some() {
            self.metrics.digests.inc();
        }
        if let (Outcome::Gone { .. }, Some(target)) = (outcome, target) {
            self.disable(&recipient.target, target.revision);
        }
        let limits = channel.map_or(FALLBACK, crate::channel::Channel::limits);
        let has_budget = !limits.rates.is_empty() || target.is_some_and(|target| target.rate_per_minute.is_some());
        let budget = channel.map_or_else(|| BudgetKey::Own(recipient.clone()), |c| BudgetKey::of(c, recipient));
        let lane = self.lanes.entry(recipient.clone()).or_default();
        let steps = self.budgets.with(&budget, |budget| lane.finished(parcel, outcome, now, &limits, budget));
        for (item, step) in steps {
            tracing::info!(
                notice = %item.notice, target = %recipient.target, channel = label.channel, attempt = item.attempts,
                digest, outcome = outcome.label(), code = outcome.code(),
                milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "attempted"
            );
            let (code, message) = (outcome.code().to_owned(), outcome.message().to_owned());
            let note = match step {
                Step::Delivered => Note::Delivered { at: now, code, digest: digest.map(str::to_owned) },
                Step::Failed => Note::Failed { at: now, code, message },
                Step::Retry(next) => Note::Retry { at: now, next, code, message },
            };
            self.note(&item.notice, recipient, item.attempts, note);
            if has_budget && self.live.get(&item.notice).is_some_and(|live| live.writing) {
                self.unstored.entry(item.notice.clone()).or_default().push(recipient.clone());
            }
        }
        self.run(recipient);
    }

    /// The receiver said that it is gone: nothing more goes there until the target is edited.
    fn disable(&self, key: &TargetKey, revision: u64) {
        tracing::warn!(target = %key, "the receiver is gone for good (HTTP 410); nothing more is sent until the target is edited");
        self.gone.send_modify(|gone| {
            Arc::make_mut(gone).insert(key.clone(), revision);
        });
    }

    fn expire(&mut self, recipient: &Recipient, item: &Item, max_age: Duration) {
        let last = self.live.get(&item.notice).and_then(|live| live.message(recipient));
        let age = kube::core::Duration::from(max_age);
        let message = last.map_or_else(
            || format!("given up after {age:?} without an attempt"),
            |last| format!("given up after {age:?}; last: {last}"),
        );
        self.note(&item.notice, recipient, item.attempts, Note::Expired { message });
    }

    fn skip(&mut self, recipient: &Recipient, code: &'static str, message: &str) {
        let items = self.lanes.get_mut(recipient).map(Lane::drain).unwrap_or_default();
        for item in items {
            self.note(&item.notice, recipient, item.attempts, Note::Skipped { code, message: message.to_owned() });
        }
    }

    /// A target that is not ready: what waits for it grows older.
    fn wait(&mut self, recipient: &Recipient, target: &Target, why: &str) {
        let now = self.clock.now();
        let max_age = target.max_age;
        while let Some(item) = self.lanes.get_mut(recipient).and_then(|lane| lane.expired(now, max_age)) {
            let message = format!("given up after {:?}: {why}", kube::core::Duration::from(max_age));
            self.note(&item.notice, recipient, item.attempts, Note::Expired { message });
        }
        if let Some(at) = self.lanes.get(recipient).and_then(|lane| lane.next_expiry(max_age)) {
            self.wakes.insert(recipient.clone(), at);
        }
    }
}
