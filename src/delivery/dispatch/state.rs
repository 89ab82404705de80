//! The dispatcher's state and what it does on each report.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::mpsc;

use super::live::Live;
use super::{Report, find_open, read_again, read_open};
use crate::api::Notice;
use crate::api::notice::DeliveryStatus;
use crate::channel;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::NoticeKey;
use crate::delivery::book::{Book, NoticeView};
use crate::delivery::lane::{Item, Lane};
use crate::delivery::metrics::DeliveryMetrics;
use crate::delivery::targets::{RuleTemplates, TargetKey, TargetState, TargetTable};
use crate::rules::Policy;
use crate::watch::stream::Change;

/// How long a Notice that a change showed may be on its way from our own outbox, which mostly is the quicker.
const OUR_OWN: SignedDuration = SignedDuration::from_millis(100);

/// See the module above. Its methods stand in three files: this one takes in, `sending` runs the lanes, `outcome` notes and
/// writes.
pub(super) struct Dispatcher {
    pub(super) client: Client,
    pub(super) http: channel::Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) metrics: DeliveryMetrics,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) reports: mpsc::UnboundedSender<Report>,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) targets: Arc<TargetTable>,
    pub(super) templates: Arc<RuleTemplates>,
    pub(super) lanes: HashMap<TargetKey, Lane>,
    /// When each lane wants to be looked at again.
    pub(super) wakes: HashMap<TargetKey, Timestamp>,
    pub(super) live: HashMap<NoticeKey, Live>,
    /// Notices that came to their end lately. What was read before that, and arrives after, must not open them again.
    pub(super) settled: HashMap<NoticeKey, Timestamp>,
    /// Open Notices that the outbox has not told us of, with when to read them: a standby stores what is published there.
    pub(super) strays: HashMap<NoticeKey, Timestamp>,
    /// Notices that are being read to be tried again.
    pub(super) reading: HashSet<NoticeKey>,
    pub(super) attempts: usize,
    pub(super) leading: bool,
    pub(super) stopping: bool,
    pub(super) book_changed: bool,
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
            settled: HashMap::new(),
            strays: HashMap::new(),
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
        let untouched = match &change {
            Change::Applied(view, _) => view.untouched(),
            _ => None,
        };
        let listed = matches!(change, Change::ListEnded { .. });
        let asks = {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let asks = book.apply(change);
            asks.and_then(|key| Some((book.get(&key)?.redeliver.clone(), key)))
        };
        if let Some((request, key)) = asks.filter(|_| self.leading) {
            self.read_again(vec![(key, request)]);
        }
        if self.leading {
            let open = if listed { self.open_in_book() } else { untouched.into_iter().collect() };
            self.suspect(open);
        }
    }

    fn open_in_book(&self) -> Vec<NoticeKey> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter().filter(|(_, entry)| !entry.is_finished()).map(|(key, _)| key.clone()).collect()
    }

    fn is_known(&self, key: &NoticeKey) -> bool {
        self.live.contains_key(key) || self.settled.contains_key(key)
    }

    /// These may be Notices that another replica has stored.
    fn suspect(&mut self, open: Vec<NoticeKey>) {
        let look = self.clock.now().saturating_add(OUR_OWN).unwrap_or(Timestamp::MAX);
        for key in open {
            if !self.is_known(&key) {
                self.strays.entry(key).or_insert(look);
            }
        }
    }

    /// Takes in what another replica has stored.
    pub(super) fn adopt(&mut self) {
        let now = self.clock.now();
        let due: Vec<NoticeKey> = self.strays.extract_if(|_, at| *at <= now).map(|(key, _)| key).collect();
        let unknown: Vec<NoticeKey> = due.into_iter().filter(|key| !self.is_known(key)).collect();
        if !unknown.is_empty() {
            self.tasks.background("adopt", read_open(self.client.clone(), unknown, self.reports.clone()));
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
        if !self.leading || self.is_known(&key) {
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
}

fn key_of(notice: &Notice) -> NoticeKey {
    NoticeKey {
        namespace: notice.metadata.namespace.clone().unwrap_or_default(),
        name: notice.metadata.name.clone().unwrap_or_default(),
    }
}
