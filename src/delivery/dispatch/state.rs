//! The dispatcher's state and what it does on each report.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::{mpsc, watch};

use super::live::{Live, Note};
use super::{Report, find_open, read_again};
use crate::api::Notice;
use crate::api::notice::{DeliveryState, DeliveryStatus};
use crate::channel::{self, Outcome, ResolvedTarget};
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::NoticeKey;
use crate::delivery::attempt::Attempt;
use crate::delivery::book::{Book, NoticeView, Summary};
use crate::delivery::lane::{Item, Lane, Next, Rules, Step};
use crate::delivery::metrics::{AttemptLabel, DeliveryMetrics, SettledLabel};
use crate::delivery::settle::{self, Written};
use crate::delivery::targets::{RuleTemplates, Target, TargetKey, TargetState, TargetTable};
use crate::rules::{Policy, WorkspacePolicy};
use crate::watch::stream::Change;

/// A Notice that waits for longer than this shows that it does; one that goes out at once needs no such write.
const SHOW_WAITING: SignedDuration = SignedDuration::from_secs(1);
/// Longest sleep between two looks at the lanes.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

pub(super) struct Dispatcher {
    client: Client,
    http: channel::Client,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    metrics: DeliveryMetrics,
    book: Arc<Mutex<Book>>,
    reports: mpsc::UnboundedSender<Report>,
    policy: Option<Arc<Policy>>,
    targets: Arc<TargetTable>,
    templates: Arc<RuleTemplates>,
    lanes: HashMap<TargetKey, Lane>,
    /// When each lane wants to be looked at again.
    wakes: HashMap<TargetKey, Timestamp>,
    live: HashMap<NoticeKey, Live>,
    /// Notices that are being read to be tried again.
    reading: HashSet<NoticeKey>,
    attempts: usize,
    leading: bool,
    stopping: bool,
    book_changed: bool,
}

impl Dispatcher {
    pub(super) fn new(
        client: Client,
        http: channel::Client,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: DeliveryMetrics,
        book: Arc<Mutex<Book>>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        Self {
            client,
            http,
            clock,
            tasks,
            metrics,
            book,
            reports,
            policy: None,
            targets: Arc::default(),
            templates: Arc::default(),
            lanes: HashMap::new(),
            wakes: HashMap::new(),
            live: HashMap::new(),
            reading: HashSet::new(),
            attempts: 0,
            leading: false,
            stopping: false,
            book_changed: true,
        }
    }

    /// This replica is the leader now: whatever is stored and open is its to deliver.
    pub(super) fn lead(&mut self) {
        self.leading = true;
        self.tasks.background("take-over", find_open(self.client.clone(), self.reports.clone()));
    }

    /// Nothing new is tried from now on.
    pub(super) const fn stopping(&mut self) {
        self.stopping = true;
    }

    /// Whether an attempt or a write is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.attempts > 0 || self.live.values().any(|live| live.writing || live.dirty)
    }

    /// What is in force has changed.
    pub(super) fn in_force(
        &mut self,
        policy: Option<Arc<Policy>>,
        targets: &Arc<TargetTable>,
        templates: &Arc<RuleTemplates>,
    ) {
        let before = std::mem::replace(&mut self.targets, targets.clone());
        self.policy = policy;
        self.templates = templates.clone();
        let mended: Vec<TargetKey> = self
            .targets
            .iter()
            .filter(|(key, target)| {
                matches!(target.state, TargetState::Ready(_))
                    && before.get(*key).is_some_and(|known| known.revision != target.revision)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in mended {
            self.mended(&key);
        }
        self.run_all();
    }

    /// A target was edited: what waits for it is tried at once, and what failed and is young enough again.
    fn mended(&mut self, key: &TargetKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.mended();
        }
        let Some(target) = self.targets.get(key).filter(|_| self.leading) else { return };
        let max_age = SignedDuration::try_from(target.max_age).unwrap_or(SignedDuration::MAX);
        let since = self.clock.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let failed = self.book.lock().unwrap_or_else(PoisonError::into_inner).failed_at(key, since);
        tracing::info!(target = %key, failed = failed.len(), "the target has changed; what failed is tried again");
        self.read_again(failed.into_iter().map(|key| (key, None)).collect());
    }

    fn read_again(&mut self, keys: Vec<(NoticeKey, Option<String>)>) {
        let keys: Vec<_> = keys.into_iter().filter(|(key, _)| self.reading.insert(key.clone())).collect();
        if !keys.is_empty() {
            self.tasks.background("read-again", read_again(self.client.clone(), keys, self.reports.clone()));
        }
    }

    /// A Notice has changed, by our own writing or by somebody's annotation.
    pub(super) fn notice_change(&mut self, change: Change<NoticeView>) {
        self.book_changed = true;
        let asks = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let asks = book.apply(change);
            asks.and_then(|key| Some((book.get(&key)?.redeliver.clone(), key)))
        };
        if let Some((request, key)) = asks.filter(|_| self.leading) {
            self.read_again(vec![(key, request)]);
        }
    }

    /// Publishes what the book adds up to.
    pub(super) fn publish(
        &mut self,
        summary: &watch::Sender<Arc<Summary>>,
        throttled: &watch::Sender<Arc<HashMap<TargetKey, Timestamp>>>,
    ) {
        let silent: HashMap<_, _> =
            self.lanes.iter().filter_map(|(key, lane)| Some((key.clone(), lane.throttled_until()?))).collect();
        throttled.send_if_modified(|known| {
            let changed = **known != silent;
            if changed {
                *known = Arc::new(silent);
            }
            changed
        });
        if std::mem::take(&mut self.book_changed) {
            let fresh = self.book.lock().unwrap_or_else(PoisonError::into_inner).summary();
            summary.send_if_modified(|known| {
                let changed = **known != fresh;
                if changed {
                    *known = Arc::new(fresh);
                }
                changed
            });
        }
        self.show_waiting();
        let pending: usize = self.lanes.values().map(Lane::len).sum();
        self.metrics.pending.set(i64::try_from(pending + self.attempts).unwrap_or(i64::MAX));
        self.metrics.live.set(i64::try_from(self.live.len()).unwrap_or(i64::MAX));
    }

    /// Writes the first status of Notices that could not be tried at once, with what they wait for.
    fn show_waiting(&mut self) {
        let now = self.clock.now();
        let waiting: Vec<NoticeKey> = self
            .live
            .iter()
            .filter(|(_, live)| {
                let age = now.duration_since(live.notice.spec.event.observed_time);
                !live.shown && !live.writing && age >= SHOW_WAITING
            })
            .map(|(key, _)| key.clone())
            .collect();
        let targets = self.targets.clone();
        for key in waiting {
            let Some(live) = self.live.get_mut(&key) else { continue };
            let pending: Vec<String> = live.pending().map(|delivery| delivery.target.clone()).collect();
            for name in pending {
                let target = TargetKey { namespace: key.namespace.clone(), name };
                let why = match targets.get(&target).map(|target| &target.state) {
                    Some(TargetState::NotReady(why)) => why.as_str(),
                    _ => "its turn has not come yet",
                };
                live.note_waiting(&target.name, why);
            }
            self.write(&key);
        }
    }

    /// What a task reports.
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Attempted { target, item, outcome, took } => self.attempted(&target, item, &outcome, took),
            Report::Written { key, written } => self.written(&key, written),
            Report::Found(notice) => {
                self.restore_budget(&notice);
                self.take_in(*notice);
            }
            Report::Again { notice, request } => self.again(*notice, request),
            Report::AgainFailed(key) => {
                self.reading.remove(&key);
            }
        }
    }

    /// A stored Notice: its open deliveries join their lanes.
    pub(super) fn take_in(&mut self, notice: Notice) {
        let key = key_of(&notice);
        if !self.leading || self.live.contains_key(&key) {
            return;
        }
        let live = Live::new(notice);
        let pending: Vec<DeliveryStatus> = live.pending().cloned().collect();
        if pending.is_empty() {
            return;
        }
        self.enqueue(&key, &live.notice, &pending, live.notice.spec.event.observed_time);
        let namespace = key.namespace.clone();
        self.live.insert(key, live);
        for delivery in &pending {
            self.run(&TargetKey { namespace: namespace.clone(), name: delivery.target.clone() });
        }
    }

    fn enqueue(&mut self, key: &NoticeKey, notice: &Notice, deliveries: &[DeliveryStatus], recorded: Timestamp) {
        for delivery in deliveries {
            let target = TargetKey { namespace: key.namespace.clone(), name: delivery.target.clone() };
            self.lanes.entry(target).or_default().push(Item {
                notice: key.clone(),
                subject: Box::from(notice.spec.event.subject.uid.as_str()),
                recorded,
                attempts: u32::try_from(delivery.attempts).unwrap_or(0),
                not_before: delivery.next_attempt_time,
                in_doubt: false,
            });
        }
    }

    /// Attempts of the last minute count against the budget, whoever made them.
    fn restore_budget(&mut self, notice: &Notice) {
        let now = self.clock.now();
        let key = key_of(notice);
        for delivery in notice.status.iter().flat_map(|status| &status.deliveries) {
            let Some(sent) =
                delivery.last_attempt_time.filter(|&t| now.duration_since(t) < SignedDuration::from_secs(60))
            else {
                continue;
            };
            let target = TargetKey { namespace: key.namespace.clone(), name: delivery.target.clone() };
            self.lanes.entry(target).or_default().restore(sent);
        }
    }

    /// Failed deliveries get another try.
    fn again(&mut self, notice: Notice, request: Option<String>) {
        let key = key_of(&notice);
        self.reading.remove(&key);
        if !self.leading {
            return;
        }
        let now = self.clock.now();
        let fresh = !self.live.contains_key(&key);
        let live = self.live.entry(key.clone()).or_insert_with(|| Live::new(notice));
        if request.is_some() && live.status.redelivered == request {
            return;
        }
        let mut open = live.reopen(None);
        if fresh {
            open = live.pending().cloned().collect();
        }
        if request.is_some() {
            live.status.redelivered = request;
        }
        let notice = live.notice.clone();
        self.enqueue(&key, &notice, &open, now);
        self.write(&key);
        for delivery in open {
            self.run(&TargetKey { namespace: key.namespace.clone(), name: delivery.target });
        }
    }

    /// Looks at every lane.
    pub(super) fn run_all(&mut self) {
        let keys: Vec<TargetKey> = self.lanes.keys().cloned().collect();
        for key in keys {
            self.run(&key);
        }
    }

    /// How long until a lane wants to be looked at.
    pub(super) fn wake_in(&self) -> Duration {
        let now = self.clock.now();
        let next = self.wakes.values().min();
        next.map_or(LONGEST_SLEEP, |&at| {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            // A millisecond more than asked, so that the time has surely come.
            (wait + Duration::from_millis(1)).min(LONGEST_SLEEP)
        })
    }

    /// Lets one lane do what it may do now.
    fn run(&mut self, key: &TargetKey) {
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

    fn attempted(&mut self, key: &TargetKey, item: Item, outcome: &Outcome, took: Duration) {
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

    fn note(&mut self, notice: &NoticeKey, target: &TargetKey, attempts: u32, note: Note) {
        let Some(live) = self.live.get_mut(notice) else { return };
        let state = live.note(&target.name, attempts, note);
        if state == DeliveryState::Delivered {
            let took = self.clock.now().duration_since(live.notice.spec.event.observed_time);
            self.metrics.latency.observe(took.as_secs_f64().max(0.0));
        }
        let label = match state {
            DeliveryState::Pending => None,
            DeliveryState::Delivered => Some("Delivered"),
            DeliveryState::Failed => Some("Failed"),
            DeliveryState::Skipped => Some("Skipped"),
        };
        if let Some(state) = label {
            self.metrics.settled.get_or_create(&SettledLabel { state }).inc();
        }
        self.write(notice);
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

    /// Writes a Notice's status, unless a write is on its way: then once that is done.
    fn write(&mut self, key: &NoticeKey) {
        let Some(live) = self.live.get_mut(key).filter(|live| live.dirty && !live.writing) else { return };
        live.dirty = false;
        live.writing = true;
        live.shown = true;
        let (client, metrics, reports) = (self.client.clone(), self.metrics.clone(), self.reports.clone());
        let (key, status) = (key.clone(), live.status.clone());
        self.tasks.spawn("settle", async move {
            let written = settle::write(&client, &key, &status, &metrics).await;
            let _ = reports.send(Report::Written { key, written });
        });
    }

    fn written(&mut self, key: &NoticeKey, written: Written) {
        let Some(live) = self.live.get_mut(key) else { return };
        live.writing = false;
        if written == Written::Removed {
            self.live.remove(key);
            return;
        }
        if live.dirty {
            self.write(key);
        } else if live.pending().next().is_none() {
            self.live.remove(key);
        }
    }
}

/// For an attempt whose target has vanished meanwhile.
const FALLBACK: channel::Limits = channel::Limits {
    rate_per_minute: None,
    concurrency: 1,
    throttle_pause: Duration::from_mins(1),
    idempotent: false,
};

fn key_of(notice: &Notice) -> NoticeKey {
    NoticeKey {
        namespace: notice.metadata.namespace.clone().unwrap_or_default(),
        name: notice.metadata.name.clone().unwrap_or_default(),
    }
}
