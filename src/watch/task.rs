//! The running part: a supervised watch per kind, all feeding the one task that owns the index.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{mpsc, watch};

use super::checkpoint::Positions;
use super::index::{Index, KindChange};
use super::kinds::{self, Kinds};
use super::metrics::{KindLabel, TransitionLabel, WatchMetrics};
use super::sources::{Board, Sources, State};
use super::stream::{self, Change, Sink, Target, Watched};
use super::{Kind, Observation};
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::detect::declared::{Catalog, Problem};

/// Changes on their way to the index.
const CHANGES: usize = 4096;
/// How long Jobs wait for the list of Pods, which tells the causes of what the Jobs show.
const PODS_FIRST: Duration = Duration::from_secs(15);
/// How long they wait until it is known which kinds may own them.
const KINDS_FIRST: Duration = Duration::from_secs(15);
/// Paths of the lists of the two kinds that are always there.
const JOBS: &str = "/apis/batch/v1/jobs";
const PODS: &str = "/api/v1/pods";

/// What the index says.
#[derive(Clone, Debug)]
pub enum Sighting {
    /// A transition, seen for the first time.
    Observed(Arc<Observation>),
    /// Everything of the kind up to this resourceVersion was looked at.
    Reached(Kind, u64),
}

/// What watching needs.
pub struct Watching {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// The kinds that are watched where they are installed, beside Jobs and Pods.
    pub catalog: Arc<Catalog>,
    /// Where to begin.
    pub positions: Positions,
    /// Where is noted how each watch goes.
    pub board: Board,
    /// Metrics.
    pub metrics: WatchMetrics,
}

/// Starts the watches; what they see comes out of the receiver, in order per object.
#[must_use]
pub fn start(watching: Watching) -> mpsc::UnboundedReceiver<Sighting> {
    let Watching { client, clock, tasks, catalog, mut positions, board, metrics } = watching;
    let (changes, inbox) = mpsc::channel(CHANGES);
    let (out, sightings) = mpsc::unbounded_channel();
    let (pods_listed, pods_ready) = watch::channel(false);
    let (discovered, kinds_known) = watch::channel(false);
    let (pods_at, jobs_at) = (positions.remove(&Kind::Pod), positions.remove(&Kind::Job));

    let (sink, pod_client) = (Sink::new(KindChange::Pod, changes.clone()), client.clone());
    let (noted, faults) = (board.clone(), metrics.clone());
    tasks.background("watch-pods", async move {
        let target = Target::new(PODS, pods_at);
        stream::run(pod_client, target, sink, |report| kinds::note(&noted, &faults, &Kind::Pod, &report)).await;
    });
    let (sink, job_client) = (Sink::new(KindChange::Job, changes.clone()), client.clone());
    let (noted, faults) = (board.clone(), metrics.clone());
    let (mut kinds_known, mut pods) = (kinds_known, pods_ready.clone());
    tasks.background("watch-jobs", async move {
        let _ = tokio::time::timeout(KINDS_FIRST, kinds_known.wait_for(|&known| known)).await;
        let _ = tokio::time::timeout(PODS_FIRST, pods.wait_for(|&ready| ready)).await;
        let target = Target::new(JOBS, jobs_at);
        stream::run(job_client, target, sink, |report| kinds::note(&noted, &faults, &Kind::Job, &report)).await;
    });
    let owner = Owner {
        index: Index::of(&catalog),
        clock,
        out,
        metrics: metrics.clone(),
        board: board.clone(),
        pods_listed,
        since: Positions::new(),
        reached: Positions::new(),
        behind: BTreeSet::new(),
        complained: HashSet::new(),
    };
    let declared = Kinds {
        client,
        tasks: tasks.clone(),
        catalog,
        positions,
        changes,
        board,
        metrics,
        pods: pods_ready,
        discovered,
    };
    tasks.background("kinds", kinds::run(declared));
    tasks.background("index", owner.run(inbox));
    sightings
}

/// The task that owns the index.
struct Owner {
    index: Index,
    clock: Arc<dyn Clock>,
    out: mpsc::UnboundedSender<Sighting>,
    metrics: WatchMetrics,
    board: Board,
    pods_listed: watch::Sender<bool>,
    /// Checkpoints from which the watches tell again: a list that began with one has reached no further than it.
    since: Positions,
    /// Up to where each kind was looked at.
    reached: Positions,
    /// The kinds of which something waits in the index, so that less was said.
    behind: BTreeSet<Kind>,
    /// Expressions that failed before, which is said once.
    complained: HashSet<String>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<KindChange>) {
        let mut sources = self.board.subscribe();
        let mut failing = BTreeMap::new();
        loop {
            let wake = self.index.next_wake().map(|at| self.until(at));
            tokio::select! {
                change = inbox.recv() => match change {
                    Some(change) => self.take_in(change),
                    None => return,
                },
                Ok(()) = sources.changed() => {
                    let now = sources.borrow_and_update().clone();
                    self.note_failing(&now, &mut failing);
                }
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            }
            self.wake();
        }
    }

    fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default()
    }

    fn wake(&mut self) {
        let now = self.clock.now();
        if self.index.next_wake().is_some_and(|at| at <= now) {
            let observations = self.index.wake(now);
            self.pass_on(observations);
        }
        // What is not held any more may be passed by the checkpoint, after the observations.
        for kind in std::mem::take(&mut self.behind) {
            self.say_reached(kind);
        }
    }

    fn take_in(&mut self, change: KindChange) {
        let (kind, reached, listed) = match &change {
            KindChange::Job(change) => (Kind::Job, self.reached(&Kind::Job, change), ends_list(change)),
            KindChange::Pod(change) => (Kind::Pod, self.reached(&Kind::Pod, change), ends_list(change)),
            KindChange::Declared(kind, change) => (kind.clone(), self.reached(kind, change), ends_list(change)),
            KindChange::Started(kind, _) | KindChange::Stopped(kind) | KindChange::Failing(kind, _) => {
                (kind.clone(), None, false)
            }
        };
        self.metrics.changes.get_or_create(&KindLabel { kind: kind.clone() }).inc();
        let observations = self.index.apply(change, self.clock.now());
        self.pass_on(observations);
        if listed {
            self.board.set(&kind, Some(State::Listed));
            if kind == Kind::Pod {
                self.pods_listed.send_replace(true);
            }
        }
        // After the observations, so that the checkpoint cannot pass them.
        if let Some(revision) = reached {
            self.reached.insert(kind.clone(), revision);
            self.say_reached(kind);
        }
        self.metrics.objects.set(i64::try_from(self.index.len()).unwrap_or(i64::MAX));
    }

    /// Says up to where everything of the kind was looked at: not past what waits.
    fn say_reached(&mut self, kind: Kind) {
        let Some(&reached) = self.reached.get(&kind) else { return };
        let held = self.index.held(&kind).map(|first| first.saturating_sub(1)).filter(|held| *held < reached);
        if held.is_some() {
            self.behind.insert(kind.clone());
        }
        let _ = self.out.send(Sighting::Reached(kind, held.unwrap_or(reached)));
    }

    fn note_failing(&mut self, sources: &Sources, failing: &mut BTreeMap<Kind, bool>) {
        for (kind, state) in &sources.kinds {
            let fails = matches!(state, State::Failing(_));
            if failing.insert(kind.clone(), fails).unwrap_or_default() != fails {
                let observations = self.index.apply(KindChange::Failing(kind.clone(), fails), self.clock.now());
                self.pass_on(observations);
            }
        }
        failing.retain(|kind, _| sources.kinds.contains_key(kind));
    }

    fn pass_on(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            let labels = TransitionLabel {
                source: observation.source.as_str(),
                transition: observation.detected.transition.as_str(),
            };
            self.metrics.observations.get_or_create(&labels).inc();
            tracing::debug!(
                subject = %format_args!("{}/{}", observation.subject.namespace, observation.subject.name),
                kind = observation.subject.kind,
                source = labels.source,
                transition = labels.transition,
                "observed"
            );
            let _ = self.out.send(Sighting::Observed(Arc::new(observation)));
        }
        for (kind, Problem { place, message }) in self.index.take_problems() {
            self.metrics.expressions.get_or_create(&KindLabel { kind: kind.clone() }).inc();
            if self.complained.insert(place.clone()) {
                tracing::warn!(%kind, place, message, "an expression failed on an object, which counts as not proven");
            }
        }
    }

    /// Up to where everything was looked at once this change is.
    fn reached<T: Watched>(&mut self, kind: &Kind, change: &Change<T>) -> Option<u64> {
        match change {
            Change::ListStarted { since } => {
                match since {
                    Some(since) => self.since.insert(kind.clone(), *since),
                    None => self.since.remove(kind),
                };
                None
            }
            Change::Listed(_) => None,
            Change::ListEnded { revision } => Some(self.since.remove(kind).unwrap_or(*revision)),
            Change::Applied(object, _) | Change::Deleted(object, _) => Some(object.revision()),
            Change::Progress(revision) => Some(*revision),
        }
    }
}

const fn ends_list<T>(change: &Change<T>) -> bool {
    matches!(change, Change::ListEnded { .. })
}
