//! The dispatcher's state and what it does on each report.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::{mpsc, watch};

use super::live::{self, Live};
use super::{Report, Why, find_open, read_again, read_open};
use crate::api::Notice;
use crate::api::names::REDELIVER_ANNOTATION;
use crate::api::notice::{DeliveryState, DeliveryStatus};
use crate::channel;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::NoticeKey;
use crate::delivery::book::{Book, NoticeView};
use crate::delivery::budget::{Budget, BudgetKey, Budgets, LONGEST};
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
    pub(super) texts: Arc<Texts>,
    pub(super) lanes: HashMap<Recipient, Lane>,
    pub(super) budgets: Budgets,
    /// Attempts of the past that no budget holds yet, because their target was not resolved: when, and how many.
    pub(super) past: HashMap<Recipient, Vec<(Timestamp, u32)>>,
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

    /// Everything that is stored, when this replica has become the leader.
    fn take_over(&mut self, notices: Vec<Notice>) {
        let now = self.clock.now();
        for notice in &notices {
            self.note_past(notice, now);
        }
        self.role = Role::Leading;
        self.restore_budgets(&Arc::default());
        for notice in notices {
            match self.asked_meanwhile(&notice, now) {
                Some(why) => self.again(notice, why),
                None => self.take_in(notice),
            }
        }
        self.run_all();
    }

    /// Why a Notice is to be tried again that failed before this replica led: nobody may have led when it was asked for,
    /// or when the target was edited.
    fn asked_meanwhile(&self, notice: &Notice, now: Timestamp) -> Option<Why> {
        let status = notice.status.as_ref()?;
        let annotations = notice.metadata.annotations.as_ref();
        if let Some(request) = annotations.and_then(|all| all.get(REDELIVER_ANNOTATION))
            && status.redelivered.as_ref() != Some(request)
        {
            return Some(Why::Redeliver(request.clone()));
        }
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        let age =
            Duration::try_from(now.duration_since(notice.metadata.creation_timestamp.as_ref()?.0)).unwrap_or_default();
        let mended = |delivery: &&DeliveryStatus| {
            let key = TargetKey::named(&namespace, &delivery.target);
            self.targets.get(&key).is_some_and(|target| {
                matches!(target.state, TargetState::Ready(_))
                    && age < target.max_age
                    && target.edited > delivery.last_attempt_time
            })
        };
        let failed = |delivery: &&DeliveryStatus| {
            delivery.state == DeliveryState::Failed && delivery.last_attempt_time.is_some()
        };
        let found = status.deliveries.iter().filter(failed).find(mended)?;
        Some(Why::Mended(found.target.clone()))
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

    /// Attempts that an operator before this one made count against the budgets, too.
    fn note_past(&mut self, notice: &Notice, now: Timestamp) {
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        for delivery in notice.status.iter().flat_map(|status| &status.deliveries) {
            let Some(sent) = delivery.last_attempt_time.filter(|&t| now.duration_since(t) < LONGEST) else { continue };
            let attempts = u32::try_from(delivery.attempts).unwrap_or(1);
            self.past.entry(live::recipient(&namespace, delivery)).or_default().push((sent, attempts));
        }
    }

    /// Gives the budgets what is known of the past, as far as targets say which receiver they reach.
    fn restore_budgets(&mut self, before: &TargetTable) {
        let now = self.clock.now();
        let (targets, budgets) = (self.targets.clone(), self.budgets.clone());
        self.past.retain(|recipient, past| {
            let target = targets.get(&recipient.target);
            let Some(channel) = target.and_then(|target| target.state.channel(recipient.leg.as_ref())) else {
                return true;
            };
            if !channel.limits().rates.is_empty() || target.is_some_and(|target| target.rate_per_minute.is_some()) {
                let key = BudgetKey::of(channel, recipient);
                budgets.with(&key, |budget| past.iter().for_each(|(sent, attempts)| budget.restore(*sent, *attempts)));
            }
            false
        });
        for (key, target) in targets.iter().filter(|(key, _)| !before.contains_key(*key)) {
            let silence = target.throttled_until.filter(|until| *until > now);
            if let (Some(until), Some(channel)) = (silence, target.state.channel(None)) {
                let key = BudgetKey::of(channel, &Recipient { target: key.clone(), leg: None });
                budgets.with(&key, |budget| budget.silence(until));
            }
        }
    }

    /// Failed deliveries get another try.
    fn again(&mut self, notice: Notice, why: Why) {
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
