//! The dispatcher's state and what it does on each report.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::{mpsc, watch};

use super::live::{self, Live};
use super::{Report, Why, find_open, read_again, read_open};
use crate::api::Notice;
use crate::api::notice::DeliveryStatus;
use crate::channel;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::NoticeKey;
use crate::delivery::book::{Book, NoticeView};
use crate::delivery::budget::{Budget, BudgetKey, Budgets};
use crate::delivery::lane::{Item, Lane};
use crate::delivery::metrics::DeliveryMetrics;
use crate::delivery::targets::{GoneTargets, Recipient, TargetKey, TargetState, TargetTable, Texts};
use crate::rules::Policy;
use crate::watch::stream::Change;

/// How long a Notice that a change showed may be on its way from our own outbox, which mostly is the quicker.
const OUR_OWN: SignedDuration = SignedDuration::from_millis(100);

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Another one leads.
    Standby,
    /// It leads, but has not read every stored Notice yet: until then, nobody knows what receivers were sent lately.
    TakingOver,
    /// It leads.
    Leading,
}

/// See the module above. Its methods stand in four files: this one takes in, `takeover` finds what is stored,
/// `sending` runs the lanes, `outcome` notes and
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
    pub(super) texts: Arc<Texts>,
    pub(super) lanes: HashMap<Recipient, Lane>,
    pub(super) budgets: Budgets,
    /// Attempts of the past that no budget holds yet, because their target was not resolved: when, and how many.
    pub(super) past: HashMap<Recipient, Vec<(Timestamp, u32)>>,
    /// Recipients whose last outcome is not stored yet, by the Notice that it is to stand on. Where there is a budget,
    /// nothing more goes out to them until it is: a successor must be able to count what was sent.
    pub(super) unstored: HashMap<NoticeKey, Vec<Recipient>>,
    /// Targets whose receiver is gone for good, until they are edited.
    pub(super) gone: watch::Sender<Arc<GoneTargets>>,
    /// When each lane wants to be looked at again.
    pub(super) wakes: HashMap<Recipient, Timestamp>,
    pub(super) live: HashMap<NoticeKey, Live>,
    /// Notices that came to their end lately. What was read before that, and arrives after, must not open them again.
    pub(super) settled: HashMap<NoticeKey, Timestamp>,
    /// Open Notices that the outbox has not told us of, with when to read them: a standby stores what is published there.
    pub(super) strays: HashMap<NoticeKey, Timestamp>,
    /// Notices that are being read to be tried again.
    pub(super) reading: HashSet<NoticeKey>,
    pub(super) attempts: usize,
    pub(super) role: Role,
    pub(super) stopping: bool,
    pub(super) book_changed: bool,
}

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "each is one of the dispatcher's own parts")]
    pub(super) fn new(
        client: Client,
        http: channel::Client,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        metrics: DeliveryMetrics,
        book: Arc<Mutex<Book>>,
        reports: mpsc::UnboundedSender<Report>,
        budgets: Budgets,
        gone: watch::Sender<Arc<GoneTargets>>,
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
            texts: Arc::default(),
            lanes: HashMap::new(),
            budgets,
            past: HashMap::new(),
            unstored: HashMap::new(),
            gone,
            wakes: HashMap::new(),
            live: HashMap::new(),
            settled: HashMap::new(),
            strays: HashMap::new(),
            reading: HashSet::new(),
            attempts: 0,
            role: Role::Standby,
            stopping: false,
            book_changed: true,
        }
    }

    /// This replica is the leader now: whatever is stored and open is its to deliver.
    pub(super) fn lead(&mut self) {
        self.role = Role::TakingOver;
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
    pub(super) fn in_force(&mut self, policy: Option<Arc<Policy>>, targets: &Arc<TargetTable>, texts: &Arc<Texts>) {
        let before = std::mem::replace(&mut self.targets, targets.clone());
        self.policy = policy;
        self.texts = texts.clone();
        self.restore_budgets(&before);
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
        for (recipient, lane) in self.lanes.iter_mut().filter(|(recipient, _)| recipient.target == *key) {
            lane.mended();
            // A robot stays blocked, whoever edits what.
            self.budgets.with(&BudgetKey::Own(recipient.clone()), Budget::unsilence);
        }
        let Some(target) = self.targets.get(key).filter(|_| self.role != Role::Standby) else { return };
        let max_age = SignedDuration::try_from(target.max_age).unwrap_or(SignedDuration::MAX);
        let since = self.clock.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        let failed = self.book.lock().unwrap_or_else(PoisonError::into_inner).failed_at(key, since);
        tracing::info!(target = %key, failed = failed.len(), "the target has changed; what failed is tried again");
        let why = |notice: &NoticeKey| Why::Mended(key.seen_from(&notice.namespace));
        self.read_again(failed.into_iter().map(|notice| (notice.clone(), why(&notice))).collect());
    }

    fn read_again(&mut self, keys: Vec<(NoticeKey, Why)>) {
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
            asks.and_then(|key| Some((book.get(&key)?.redeliver.clone()?, key)))
        };
        if let Some((request, key)) = asks.filter(|_| self.role != Role::Standby) {
            self.read_again(vec![(key, Why::Redeliver(request))]);
        }
        if self.role != Role::Standby {
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
            Report::Attempted { recipient, parcel, digest, outcome, took } => {
                self.attempted(&recipient, parcel, digest.as_deref(), &outcome, took);
            }
            Report::Written { key, written } => self.written(&key, written),
            Report::Found(notices) => self.take_over(notices),
            Report::Stray(notice) => self.take_in(*notice),
            Report::Again { notice, why } => self.again(*notice, why),
            Report::AgainFailed(key) => {
                self.reading.remove(&key);
            }
        }
    }

    /// A stored Notice: its open deliveries join their lanes.
    pub(super) fn take_in(&mut self, notice: Notice) {
        let key = key_of(&notice);
        if self.role == Role::Standby || self.is_known(&key) {
            return;
        }
        let live = self.live_of(notice);
        let pending: Vec<DeliveryStatus> = live.pending().cloned().collect();
        if pending.is_empty() {
            return;
        }
        self.enqueue(&key, &live.notice, &pending, live.notice.spec.event.observed_time);
        let namespace = key.namespace.clone();
        self.live.insert(key, live);
        for delivery in &pending {
            self.run(&live::recipient(&namespace, delivery));
        }
    }

    fn live_of(&self, notice: Notice) -> Live {
        let (targets, namespace) = (self.targets.clone(), notice.metadata.namespace.clone().unwrap_or_default());
        Live::new(notice, |target| {
            let key = TargetKey::named(&namespace, target);
            targets.get(&key).map(|target| target.legs.clone()).unwrap_or_default()
        })
    }

    fn enqueue(&mut self, key: &NoticeKey, notice: &Notice, deliveries: &[DeliveryStatus], recorded: Timestamp) {
        for delivery in deliveries {
            let recipient = live::recipient(&key.namespace, delivery);
            self.lanes.entry(recipient).or_default().push(Item {
                notice: key.clone(),
                subject: Box::from(notice.spec.event.subject.uid.as_str()),
                recorded,
                attempts: u32::try_from(delivery.attempts).unwrap_or(0),
                not_before: delivery.next_attempt_time,
                in_doubt: false,
                alone: false,
                batch: None,
            });
        }
    }

    /// Failed deliveries get another try.
    pub(super) fn again(&mut self, notice: Notice, why: Why) {
        let key = key_of(&notice);
        self.reading.remove(&key);
        if self.role == Role::Standby {
            return;
        }
        let now = self.clock.now();
        let fresh = !self.live.contains_key(&key);
        let fresh_live = self.live_of(notice);
        let live = self.live.entry(key.clone()).or_insert(fresh_live);
        let mut open = match why {
            Why::Redeliver(request) if live.status.redelivered.as_ref() == Some(&request) => return,
            Why::Redeliver(request) => {
                live.status.redelivered = Some(request);
                live.reopen(None)
            }
            Why::Mended(target) => live.reopen(Some(&target)),
        };
        if fresh {
            open = live.pending().cloned().collect();
        }
        let notice = live.notice.clone();
        self.enqueue(&key, &notice, &open, now);
        self.write(&key);
        for delivery in open {
            self.run(&live::recipient(&key.namespace, &delivery));
        }
    }
}

fn key_of(notice: &Notice) -> NoticeKey {
    NoticeKey {
        namespace: notice.metadata.namespace.clone().unwrap_or_default(),
        name: notice.metadata.name.clone().unwrap_or_default(),
    }
}
