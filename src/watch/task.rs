//! The running part: a supervised watch per kind, all feeding the one task that owns the index.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{mpsc, watch};

use super::checkpoint::Positions;
use super::index::{Index, KindChange};
use super::metrics::{FaultLabel, KindLabel, TransitionLabel, WatchMetrics};
use super::stream::{self, Change, Sink, WatchError, Watched};
use super::{Kind, Observation};
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;

/// Changes on their way to the index.
const CHANGES: usize = 4096;
/// How long Jobs wait for the list of Pods, which tells the causes of what the Jobs show.
const PODS_FIRST: Duration = Duration::from_secs(15);

/// What the index says.
#[derive(Clone, Debug)]
pub enum Sighting {
    /// A transition, seen for the first time.
    Observed(Arc<Observation>),
    /// Everything of the kind up to this resourceVersion was looked at.
    Reached(Kind, u64),
    /// The kind's list is complete.
    Listed(Kind),
}

/// What watching needs.
pub struct Watching {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// Where to begin.
    pub positions: Positions,
    /// Metrics.
    pub metrics: WatchMetrics,
}

/// Starts the watches; what they see comes out of the receiver, in order per object.
#[must_use]
pub fn start(watching: Watching) -> mpsc::UnboundedReceiver<Sighting> {
    let Watching { client, clock, tasks, positions, metrics } = watching;
    let (changes, inbox) = mpsc::channel(CHANGES);
    let (out, sightings) = mpsc::unbounded_channel();
    let (pods_listed, pods_ready) = watch::channel(false);

    let position = |kind| positions.get(&kind).copied();
    let (pods_at, jobs_at) = (position(Kind::Pod), position(Kind::Job));
    let pods = Sink { wrap: KindChange::Pod, sender: changes.clone() };
    let jobs = Sink { wrap: KindChange::Job, sender: changes };
    let (pod_client, faults) = (client.clone(), metrics.clone());
    tasks.background("watch-pods", async move {
        stream::run(pod_client, Kind::Pod.path(), pods_at, pods, |error| report(&faults, Kind::Pod, error)).await;
    });
    let faults = metrics.clone();
    tasks.background("watch-jobs", async move {
        let mut pods_ready = pods_ready;
        let _ = tokio::time::timeout(PODS_FIRST, pods_ready.wait_for(|&ready| ready)).await;
        stream::run(client, Kind::Job.path(), jobs_at, jobs, |error| report(&faults, Kind::Job, error)).await;
    });
    tasks.background("index", async move {
        let mut owner = Owner { index: Index::default(), clock, out, metrics, pods_listed, since: Positions::new() };
        owner.run(inbox).await;
    });
    sightings
}

fn report(metrics: &WatchMetrics, kind: Kind, error: &WatchError) {
    metrics.faults.get_or_create(&FaultLabel { kind: kind.as_str(), reason: error.label() }).inc();
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(kind = kind.as_str(), %error, cause, "a watch failed and will be tried again");
}

/// The task that owns the index.
struct Owner {
    index: Index,
    clock: Arc<dyn Clock>,
    out: mpsc::UnboundedSender<Sighting>,
    metrics: WatchMetrics,
    pods_listed: watch::Sender<bool>,
    /// Checkpoints from which the watches tell again: a list that began with one has reached no further than it.
    since: Positions,
}

impl Owner {
    async fn run(&mut self, mut inbox: mpsc::Receiver<KindChange>) {
        while let Some(change) = inbox.recv().await {
            let (kind, reached, listed) = match &change {
                KindChange::Job(change) => (Kind::Job, self.reached(Kind::Job, change), ends_list(change)),
                KindChange::Pod(change) => (Kind::Pod, self.reached(Kind::Pod, change), ends_list(change)),
            };
            self.metrics.changes.get_or_create(&KindLabel { kind: kind.as_str() }).inc();
            let observations = self.index.apply(change, self.clock.now());
            for observation in observations {
                self.pass_on(observation);
            }
            // After the observations, so that the checkpoint cannot pass them.
            if let Some(revision) = reached {
                let _ = self.out.send(Sighting::Reached(kind, revision));
            }
            if listed {
                if kind == Kind::Pod {
                    self.pods_listed.send_replace(true);
                }
                let _ = self.out.send(Sighting::Listed(kind));
            }
            self.metrics.objects.set(i64::try_from(self.index.len()).unwrap_or(i64::MAX));
        }
    }

    fn pass_on(&self, observation: Observation) {
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

    /// Up to where everything was looked at once this change is.
    fn reached<T: Watched>(&mut self, kind: Kind, change: &Change<T>) -> Option<u64> {
        match change {
            Change::ListStarted { since } => {
                match since {
                    Some(since) => self.since.insert(kind, *since),
                    None => self.since.remove(&kind),
                };
                None
            }
            Change::Listed(_) => None,
            Change::ListEnded { revision } => Some(self.since.remove(&kind).unwrap_or(*revision)),
            Change::Applied(object, _) | Change::Deleted(object, _) => Some(object.revision()),
            Change::Progress(revision) => Some(*revision),
        }
    }
}

const fn ends_list<T>(change: &Change<T>) -> bool {
    matches!(change, Change::ListEnded { .. })
}
