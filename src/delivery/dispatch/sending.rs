//! What the dispatcher does with its lanes: attempts, and giving up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Report;
use super::live::Note;
use super::state::Dispatcher;
use crate::channel::{self, Outcome, ResolvedTarget};
use crate::delivery::attempt::Attempt;
use crate::delivery::lane::{Item, Lane, Next, Rules, Step};
use crate::delivery::metrics::AttemptLabel;
use crate::delivery::targets::{Target, TargetKey, TargetState};
use crate::rules::WorkspacePolicy;

/// Longest sleep between two looks at the lanes.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// For an attempt whose target has vanished meanwhile.
const FALLBACK: channel::Limits = channel::Limits {
    rate_per_minute: None,
    concurrency: 1,
    throttle_pause: Duration::from_mins(1),
    idempotent: false,
};

impl Dispatcher {
    /// Looks at every lane.
    pub(super) fn run_all(&mut self) {
        let keys: Vec<TargetKey> = self.lanes.keys().cloned().collect();
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
    pub(super) fn run(&mut self, key: &TargetKey) {
        self.wakes.remove(key);
        let Some(policy) = self.policy.clone().filter(|_| !self.stopping) else { return };
        // While the workspace is not in force, nothing is sent, and nothing could be written.
        let Some(workspace) = policy.namespace(&key.namespace).cloned() else { return };
        let targets = self.targets.clone();
        match targets.get(key) {
            None => self.skip(key, "TargetNotFound", "the target was deleted before this was delivered"),
            Some(Target { state: TargetState::Suspended, .. }) => {
                self.skip(key, "TargetSuspended", "the target is suspended");
            }
            Some(target @ Target { state: TargetState::NotReady(why), .. }) => self.wait(key, target, why),
            Some(target @ Target { state: TargetState::Ready(resolved), .. }) => {
                self.send_what_may_go(key, target, resolved, &workspace);
            }
        }
        // The lane of a target that is there is kept: its last minute counts against the budget.
        if !targets.contains_key(key) && self.lanes.get(key).is_some_and(Lane::is_idle) {
            self.lanes.remove(key);
        }
    }

    fn send_what_may_go(
        &mut self,
        key: &TargetKey,
        target: &Target,
        resolved: &Arc<ResolvedTarget>,
        workspace: &WorkspacePolicy,
    ) {
        let rules = Rules { limits: target.limits(resolved.channel().limits()), max_age: target.max_age };
        loop {
            let now = self.clock.now();
            let Some(lane) = self.lanes.get_mut(key) else { return };
            match lane.next(now, &rules) {
                Next::Send(item) => self.attempt(key, target, resolved, workspace, item, now),
                Next::Expired(item) => self.expire(key, &item, target.max_age),
                Next::Wait(Some(at)) => {
                    self.wakes.insert(key.clone(), at);
                    return;
                }
                Next::Wait(None) => return,
            }
        }
    }

    fn attempt(
        &mut self,
        key: &TargetKey,
        target: &Target,
        resolved: &Arc<ResolvedTarget>,
        workspace: &WorkspacePolicy,
        item: Item,
        now: Timestamp,
    ) {
        let Some(live) = self.live.get(&item.notice) else {
            // Removed while it waited.
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.forget(&item);
            }
            return;
        };
        let attempt =
            Attempt::new(live.notice.clone(), (key.clone(), target, resolved.clone()), workspace, &self.templates);
        let (http, reports, target) = (self.http.clone(), self.reports.clone(), key.clone());
        self.attempts += 1;
        self.tasks.spawn("attempt", async move {
            let started = tokio::time::Instant::now();
            let outcome = attempt.send(&http, now).await;
            let _ = reports.send(Report::Attempted { target, item, outcome, took: started.elapsed() });
        });
    }

    pub(super) fn attempted(&mut self, key: &TargetKey, item: Item, outcome: &Outcome, took: Duration) {
        self.attempts = self.attempts.saturating_sub(1);
        let now = self.clock.now();
        let targets = self.targets.clone();
        let channel = match targets.get(key).map(|target| &target.state) {
            Some(TargetState::Ready(resolved)) => Some(resolved.channel()),
            _ => None,
        };
        let label = AttemptLabel { channel: channel.map_or("unknown", |c| c.name()), outcome: outcome.label() };
        self.metrics.attempts.get_or_create(&label).inc();
        self.metrics.attempt_seconds.observe(took.as_secs_f64());
        let limits = channel.map_or(FALLBACK, crate::channel::Channel::limits);
        let (notice, attempts) = (item.notice.clone(), item.attempts.saturating_add(1));
        let step = self.lanes.entry(key.clone()).or_default().finished(item, outcome, now, &limits);
        tracing::info!(
            %notice, target = %key, attempt = attempts, outcome = outcome.label(), code = outcome.code(),
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "attempted"
        );
        let (code, message) = (outcome.code().to_owned(), outcome.message().to_owned());
        let note = match step {
            Step::Delivered => Note::Delivered { at: now, code },
            Step::Failed => Note::Failed { at: now, code, message },
            Step::Retry(next) => Note::Retry { at: now, next, code, message },
        };
        self.note(&notice, key, attempts, note);
        self.run(key);
    }

    fn expire(&mut self, key: &TargetKey, item: &Item, max_age: Duration) {
        let last = self.live.get(&item.notice).and_then(|live| {
            live.status.deliveries.iter().find(|delivery| delivery.target == key.name)?.message.clone()
        });
        let age = kube::core::Duration::from(max_age);
        let message = last.map_or_else(
            || format!("given up after {age:?} without an attempt"),
            |last| format!("given up after {age:?}; last: {last}"),
        );
        self.note(&item.notice, key, item.attempts, Note::Expired { message });
    }

    fn skip(&mut self, key: &TargetKey, code: &'static str, message: &str) {
        let items = self.lanes.get_mut(key).map(Lane::drain).unwrap_or_default();
        for item in items {
            self.note(&item.notice, key, item.attempts, Note::Skipped { code, message: message.to_owned() });
        }
    }

    /// A target that is not ready: what waits for it grows older.
    fn wait(&mut self, key: &TargetKey, target: &Target, why: &str) {
        let now = self.clock.now();
        let max_age = target.max_age;
        while let Some(item) = self.lanes.get_mut(key).and_then(|lane| lane.expired(now, max_age)) {
            let message = format!("given up after {:?}: {why}", kube::core::Duration::from(max_age));
            self.note(&item.notice, key, item.attempts, Note::Expired { message });
        }
        if let Some(at) = self.lanes.get(key).and_then(|lane| lane.next_expiry(max_age)) {
            self.wakes.insert(key.clone(), at);
        }
    }
}
