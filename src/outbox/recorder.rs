//! The recorder: takes observations in, asks the policy, orders Notices, and keeps the checkpoint.
//!
//! Only a leader records what is watched. A standby keeps what it sees; when it takes over, it records what the old leader's
//! checkpoint does not vouch for. What is published ([`Publication`]) is recorded by the replica that it came to, leader or
//! not, because somebody waits for the answer and nobody else has seen it. A rule that becomes active is shown what happened lately, since it may have been there before the
//! operator saw it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::draft::{Draft, draft};
use super::metrics::{OutboxMetrics, RuleLabel};
use super::store::{Order, Recorded, Shards, Store};
use crate::api::Notice;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::rules::{Policy, WorkspacePolicy};
use crate::watch::checkpoint::{self, Positions, Progress};
use crate::watch::recent::Recent;
use crate::watch::task::Sighting;
use crate::watch::{Kind, Observation, Place};

/// Marks that are kept at most.
const MARKS: usize = 100;
/// How often the checkpoint is written, if there was progress.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// On a leader, only what happened this lately is kept for rules that appear late.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// Published observations that are kept for rules that appear late. Those may be large.
const PUBLISHED: usize = 2000;

/// Filters that failed since the start, by namespace and rule: how many, and the last error.
pub type FilterErrors = Arc<Mutex<HashMap<(String, String), (i64, String)>>>;

/// What the recorder needs.
pub struct Recording {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// Namespace of the checkpoint.
    pub namespace: String,
    /// Oldest event that may still be notified.
    pub lookback: SignedDuration,
    /// What is in force; `None` until it is known.
    pub policy: watch::Receiver<Option<Arc<Policy>>>,
    /// Whether this replica is the leader.
    pub leading: watch::Receiver<bool>,
    /// Where stored Notices go.
    pub stored: mpsc::UnboundedSender<Notice>,
    /// Filters that failed, for the rules' status.
    pub filter_errors: FilterErrors,
    /// When the checkpoint that is stored was taken: retention removes nothing younger.
    pub checkpointed: watch::Sender<Option<Timestamp>>,
    /// Metrics.
    pub metrics: OutboxMetrics,
}

/// Something that was published, and where to say what became of it. Whoever stops listening withdraws it.
#[derive(Debug)]
pub struct Publication {
    /// What was published.
    pub observation: Observation,
    /// Takes the answer.
    pub answer: oneshot::Sender<Recorded>,
}

struct Recorder {
    recording: Recording,
    shards: Shards,
    recent: Recent,
    published: Recent,
    progress: BTreeMap<Kind, Progress>,
    policy: Arc<Policy>,
    leading: bool,
    saved: Positions,
    /// How far each kind had been seen at each of the last saves.
    marks: VecDeque<(Timestamp, Positions)>,
}

/// Records until `stop` is cancelled; then writes the checkpoint once more.
pub async fn run(
    mut recording: Recording,
    mut sightings: mpsc::UnboundedReceiver<Sighting>,
    mut published: mpsc::Receiver<Publication>,
    stop: CancellationToken,
) {
    let policy = tokio::select! {
        policy = first_policy(&mut recording.policy) => policy,
        () = stop.cancelled() => return,
    };
    let (closed, mut done) = mpsc::unbounded_channel();
    let store = Store {
        client: recording.client.clone(),
        clock: recording.clock.clone(),
        metrics: recording.metrics.clone(),
        stored: recording.stored.clone(),
        closed,
    };
    let shards = Shards::start(&store, &recording.tasks);
    let (mut policies, mut leadership) = (recording.policy.clone(), recording.leading.clone());
    let mut recorder = Recorder {
        recording,
        shards,
        recent: Recent::default(),
        published: Recent::of_at_most(PUBLISHED),
        progress: BTreeMap::new(),
        policy,
        leading: false,
        saved: Positions::new(),
        marks: VecDeque::new(),
    };
    if *leadership.borrow_and_update() {
        recorder.take_over().await;
    }
    let mut save = tokio::time::interval(SAVE_EVERY);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Ok(()) = policies.changed() => {
                let policy = policies.borrow_and_update().clone();
                if let Some(policy) = policy {
                    recorder.new_policy(policy);
                }
            }
            Ok(()) = leadership.changed() => {
                if *leadership.borrow_and_update() {
                    recorder.take_over().await;
                }
            }
            Some(Place { kind, revision }) = done.recv() => {
                recorder.progress.entry(kind).or_default().closed(revision);
                recorder.show_open();
            }
            Some(sighting) = sightings.recv() => recorder.sighting(sighting),
            Some(publication) = published.recv() => recorder.publication(publication),
            _ = save.tick() => recorder.save().await,
        }
    }
    recorder.save().await;
}

async fn first_policy(policies: &mut watch::Receiver<Option<Arc<Policy>>>) -> Arc<Policy> {
    loop {
        if let Some(policy) = policies.borrow_and_update().clone() {
            return policy;
        }
        if policies.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Recorder {
    fn sighting(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Reached(kind, revision) => self.progress.entry(kind).or_default().saw(revision),
            Sighting::Observed(observation) => {
                if self.leading {
                    let policy = self.policy.clone();
                    self.record(&observation, &policy, false, None);
                    let earliest = observation.observed.checked_sub(LATE).unwrap_or(Timestamp::MIN);
                    if observation.effective < earliest {
                        return;
                    }
                }
                self.recent.push(observation);
            }
        }
    }

    fn publication(&mut self, publication: Publication) {
        let Publication { observation, answer } = publication;
        let (observation, policy) = (Arc::new(observation), self.policy.clone());
        self.record(&observation, &policy, false, Some(answer));
        self.published.push(observation);
    }

    fn record(
        &mut self,
        observation: &Observation,
        policy: &Policy,
        late_claim: bool,
        answer: Option<oneshot::Sender<Recorded>>,
    ) {
        let tell = |result, recorded| {
            if !late_claim {
                self.recording.metrics.count(result);
            }
            recorded
        };
        let Some(workspace) = policy.namespace(&observation.subject.namespace) else {
            reply(answer, tell("no_workspace", Recorded::NotInForce));
            return;
        };
        let (draft, filter_errors) = draft(observation, workspace, self.recording.lookback);
        self.note_filter_errors(workspace, filter_errors);
        match draft {
            Draft::Wanted(notice) => {
                if let Some(Place { kind, revision }) = observation.place.clone() {
                    self.progress.entry(kind).or_default().opened(revision);
                    self.show_open();
                }
                self.shards.send(Order {
                    notice,
                    place: observation.place.clone(),
                    observed: observation.observed,
                    late_claim,
                    answer,
                });
            }
            Draft::TooOld => reply(answer, tell("too_old", Recorded::TooOld)),
            Draft::Unwanted => reply(answer, tell("unwanted", Recorded::Unmatched)),
        }
    }

    fn note_filter_errors(&self, workspace: &WorkspacePolicy, errors: Vec<(String, String)>) {
        for (rule, error) in errors {
            let label = RuleLabel { namespace: workspace.namespace.clone(), rule: rule.clone() };
            self.recording.metrics.filter_errors.get_or_create(&label).inc();
            tracing::warn!(
                namespace = workspace.namespace,
                rule,
                error,
                "a filter failed on an event, which counts as no match"
            );
            let mut all = self.recording.filter_errors.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = all.entry((workspace.namespace.clone(), rule)).or_insert_with(|| (0, String::new()));
            *entry = (entry.0 + 1, error);
        }
    }

    /// Rules that are new, or active since another time than before, are shown what happened lately.
    fn new_policy(&mut self, policy: Arc<Policy>) {
        let before = std::mem::replace(&mut self.policy, policy);
        let late = newly_active(&before, &self.policy);
        if late.workspaces().next().is_none() {
            return;
        }
        let watched = self.recent.iter().filter(|_| self.leading);
        let recent: Vec<_> = watched.chain(self.published.iter()).cloned().collect();
        for observation in &recent {
            self.record(observation, &late, true, None);
        }
    }

    /// Becomes the leader: what was seen so far and is beyond the old leader's checkpoint is recorded now.
    async fn take_over(&mut self) {
        let positions = self.positions_of_old_leader().await;
        self.leading = true;
        let recent: Vec<_> = self.recent.iter().cloned().collect();
        let policy = self.policy.clone();
        for observation in &recent {
            if observation.place.as_ref().is_some_and(|place| is_beyond(&positions, place)) {
                self.record(observation, &policy, false, None);
            }
        }
        self.saved = positions;
    }

    async fn positions_of_old_leader(&self) -> Positions {
        loop {
            match checkpoint::load(&self.recording.client, &self.recording.namespace).await {
                Ok(positions) => return positions,
                Err(error) => {
                    tracing::warn!(%error, "could not read the checkpoint yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn show_open(&self) {
        let open: usize = self.progress.values().map(Progress::open).sum();
        self.recording.metrics.open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    async fn save(&mut self) {
        if !self.leading {
            return;
        }
        let now = self.recording.clock.now();
        let mut positions = self.saved.clone();
        for (kind, progress) in &self.progress {
            // A list that began anew may show less than what is stored; a checkpoint never goes back.
            if let Some(position) = progress.position().filter(|p| positions.get(kind).is_none_or(|saved| p > saved)) {
                positions.insert(kind.clone(), position);
            }
        }
        if positions != self.saved {
            match checkpoint::save(&self.recording.client, &self.recording.namespace, &positions, now).await {
                Ok(()) => self.saved = positions,
                Err(error) => {
                    tracing::warn!(%error, "could not write the checkpoint yet");
                    return;
                }
            }
        }
        self.vouch(now);
    }

    /// Tells since when the stored checkpoint vouches: for everything that had been seen at the time told.
    fn vouch(&mut self, now: Timestamp) {
        let seen = self.progress.iter().map(|(kind, progress)| (kind.clone(), progress.seen())).collect();
        self.marks.push_back((now, seen));
        let vouched = |mark: &(Timestamp, Positions)| {
            mark.1.iter().all(|(kind, seen)| self.saved.get(kind).is_some_and(|saved| saved >= seen))
        };
        while self.marks.front().is_some_and(vouched) {
            let (at, _) = self.marks.pop_front().unwrap_or_default();
            self.recording.checkpointed.send_replace(Some(at));
        }
        // Something is stuck: what it holds up stays held up, the marks between are of no use.
        self.marks.truncate(MARKS);
    }
}

fn is_beyond(positions: &Positions, place: &Place) -> bool {
    positions.get(&place.kind).is_none_or(|&position| place.revision > position)
}

fn reply(answer: Option<oneshot::Sender<Recorded>>, recorded: Recorded) {
    if let Some(answer) = answer {
        let _ = answer.send(recorded);
    }
}

/// The rules of `after` that were not active in `before`, or since another time.
fn newly_active(before: &Policy, after: &Policy) -> Policy {
    Policy::new(after.workspaces().filter_map(|workspace| {
        let old = before.namespace(&workspace.namespace);
        let rules: BTreeMap<_, _> = workspace
            .rules
            .iter()
            .filter(|(name, rule)| {
                let known = old.and_then(|old| old.rules.get(*name));
                known.is_none_or(|known| known.active_since != rule.active_since)
            })
            .map(|(name, rule)| (name.clone(), rule.clone()))
            .collect();
        (!rules.is_empty()).then(|| WorkspacePolicy { rules, ..WorkspacePolicy::clone(workspace) })
    }))
}
