//! Kinds come and go: which of the catalog's kinds are installed, and a watch for each.
//!
//! What is served is asked by discovery; that it may have changed is told by a watch of the CRDs' metadata, which names
//! them `plural.group`. A CRD that is on its way out ends the watch of its kind before its objects are deleted, which is
//! no event of theirs. Where CRDs may not be watched, discovery is asked from time to time.

mod served;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Kind;
use super::checkpoint::Positions;
use super::index::KindChange;
use super::metrics::{FaultLabel, WatchMetrics};
use super::sources::{Board, State};
use super::stream::{self, Change, Extent, Report, Sink, Target, WatchError, Watched};
use crate::cluster::tasks::Tasks;
use crate::detect::declared::{self, Catalog, Scope};
use crate::detect::lenient::{self, Structure};
use served::Served;

/// Path of the CRDs.
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// How often discovery is asked, whatever the CRDs say.
const RESYNC: Duration = Duration::from_mins(2);
/// How often it is asked where nothing is known of CRDs.
const POLL: Duration = Duration::from_secs(15);
/// Shortest and longest pause before discovery is asked again for a CRD that is not served yet.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Longest wait for the list of Pods, which tells the causes of what the others show.
const PODS_FIRST: Duration = Duration::from_secs(15);

/// The metadata of a CRD, as far as it matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Crd {
    #[serde(deserialize_with = "lenient::or_default")]
    metadata: CrdMeta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CrdMeta {
    #[serde(deserialize_with = "lenient::or_default")]
    name: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    resource_version: Box<str>,
    #[serde(deserialize_with = "lenient::maybe")]
    deletion_timestamp: Option<Timestamp>,
}

impl Structure for CrdMeta {}

impl Watched for Crd {
    fn revision(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or(0)
    }
}

/// What the watches of the declared kinds need.
pub(super) struct Kinds {
    pub(super) client: Client,
    pub(super) tasks: Tasks,
    pub(super) catalog: Arc<Catalog>,
    /// Where the watches begin.
    pub(super) positions: Positions,
    /// Where changes go.
    pub(super) changes: mpsc::Sender<KindChange>,
    pub(super) board: Board,
    pub(super) metrics: WatchMetrics,
    /// Whether Pods are listed.
    pub(super) pods: watch::Receiver<bool>,
    /// Told when it is known which kinds are there.
    pub(super) discovered: watch::Sender<bool>,
}

/// A kind that is watched.
struct Running {
    /// The catalog's file, and the path, which has the version.
    what: (String, String),
    stop: CancellationToken,
    /// Closes when nothing more comes of it.
    ended: oneshot::Receiver<()>,
}

struct Watcher {
    kinds: Kinds,
    running: BTreeMap<Kind, Running>,
    /// Names that CRDs of the catalog's kinds have.
    names: HashSet<String>,
    /// Of these, the CRDs that are there, and those that are on their way out.
    crds: BTreeSet<Box<str>>,
    leaving: BTreeSet<Box<str>>,
    /// The CRDs of a list that is being read.
    listing: Option<HashSet<Box<str>>>,
}

/// Watches the declared kinds for as long as the program runs.
pub(super) async fn run(kinds: Kinds) {
    let (sender, mut crds) = mpsc::channel(256);
    let client = kinds.client.clone();
    let (blind, mut sight) = watch::channel(false);
    kinds.tasks.background("watch-crds", async move {
        let target = Target { path: CRDS, extent: Extent::Metadata, checkpoint: None };
        stream::run(client, target, Sink::<Crd, _>::new(std::convert::identity, sender), |report| {
            let is_blind = matches!(report, Report::Fault(..));
            if blind.send_if_modified(|blind| std::mem::replace(blind, is_blind) != is_blind) && is_blind {
                tracing::warn!(kind = "customresourcedefinitions", "not watched; discovery is asked instead");
            }
        })
        .await;
    });
    let names = kinds.catalog.kinds().iter().map(declared::Kind::name).collect();
    let mut watcher = Watcher {
        kinds,
        running: BTreeMap::new(),
        names,
        crds: BTreeSet::new(),
        leaving: BTreeSet::new(),
        listing: None,
    };
    let (mut pause, mut next) = (AGAIN.0, Instant::now());
    loop {
        tokio::select! {
            Some(change) = crds.recv() => {
                if watcher.crd(change).await {
                    (pause, next) = (AGAIN.0, Instant::now());
                }
            }
            Ok(()) = sight.changed() => {}
            () = tokio::time::sleep_until(next) => {
                let regular = if *sight.borrow() { POLL } else { RESYNC };
                if watcher.discover().await {
                    (pause, next) = (AGAIN.0, Instant::now() + regular);
                } else {
                    next = Instant::now() + pause;
                    pause = pause.saturating_mul(2).min(AGAIN.1);
                }
            }
        }
    }
}

impl Watcher {
    /// Takes in a change of a CRD. Whether discovery has to be asked.
    async fn crd(&mut self, change: Change<Crd>) -> bool {
        match change {
            Change::ListStarted { .. } => {
                self.listing = Some(HashSet::new());
                false
            }
            Change::Listed(crd) | Change::Applied(crd, _) => {
                let CrdMeta { name, deletion_timestamp, .. } = crd.metadata;
                if let Some(listing) = &mut self.listing {
                    listing.insert(name.clone());
                }
                if !self.names.contains(&*name) {
                    return false;
                }
                if deletion_timestamp.is_some() {
                    self.leaves(name).await;
                    return false;
                }
                self.leaving.remove(&name);
                self.crds.insert(name);
                true
            }
            Change::Deleted(crd, _) => {
                self.leaves(crd.metadata.name).await;
                false
            }
            Change::ListEnded { .. } => {
                let listed = self.listing.take().unwrap_or_default();
                let gone: Vec<_> = self.crds.iter().filter(|name| !listed.contains(*name)).cloned().collect();
                for name in gone {
                    self.leaves(name).await;
                }
                true
            }
            Change::Progress(_) => false,
        }
    }

    async fn leaves(&mut self, name: Box<str>) {
        if !self.names.contains(&*name) {
            return;
        }
        self.stop(&Kind::Declared((&*name).into())).await;
        self.crds.remove(&name);
        self.leaving.insert(name);
    }

    /// Asks which kinds are served, and watches exactly these. Whether that is settled: no CRD is there that is not
    /// served yet.
    async fn discover(&mut self) -> bool {
        let served = match Served::ask(&self.kinds.client, &self.kinds.catalog).await {
            Ok(served) => served,
            Err(error) => {
                tracing::warn!(%error, "could not ask which kinds are installed; the API server is asked again");
                return false;
            }
        };
        let wanted: HashMap<Kind, (declared::Kind, String)> = served
            .kinds(&self.kinds.catalog)
            .into_iter()
            .map(|(kind, path)| (Kind::declared(&kind), (kind, path)))
            .filter(|(name, _)| !self.leaving.contains(name.as_str()))
            .collect();
        let ends = |(name, running): (&Kind, &Running)| {
            let stays = wanted.get(name).is_some_and(|(kind, path)| running.what == (kind.file().into(), path.clone()));
            (!stays).then(|| name.clone())
        };
        let ended: Vec<Kind> = self.running.iter().filter_map(ends).collect();
        for name in ended {
            self.stop(&name).await;
        }
        let is_settled = self.crds.iter().all(|name| wanted.contains_key(&Kind::Declared((&**name).into())));
        for (name, (kind, path)) in wanted {
            if !self.running.contains_key(&name) {
                self.start(name, kind, path).await;
            }
        }
        self.kinds.board.discovered();
        self.kinds.discovered.send_replace(true);
        is_settled
    }

    async fn start(&mut self, name: Kind, kind: declared::Kind, path: String) {
        let Kinds { client, tasks, positions, changes, board, metrics, pods, .. } = &mut self.kinds;
        tracing::info!(kind = %name, path, file = kind.file(), "watching");
        board.set(&name, Some(State::Listing));
        let _ = changes.send(KindChange::Started(name.clone(), kind.clone())).await;
        let (stop, (over, ended)) = (CancellationToken::new(), oneshot::channel());
        let what = (kind.file().to_owned(), path.clone());
        self.running.insert(name.clone(), Running { what, stop: stop.clone(), ended });
        // A checkpoint is good once: after that, nothing of it is known any more.
        let checkpoint = positions.remove(&name);
        let (client, changes, mut pods) = (client.clone(), changes.clone(), pods.clone());
        let (board, metrics) = (board.clone(), metrics.clone());
        tasks.background("watch-declared", async move {
            let wrapped = name.clone();
            let wrap = move |change: Change<declared::Object>| {
                let trimmed = |mut object| {
                    kind.trim(&mut object);
                    object
                };
                KindChange::Declared(wrapped.clone(), change.map(trimmed))
            };
            let sink = Sink::new(wrap, changes.clone());
            let watching = async {
                let _ = tokio::time::timeout(PODS_FIRST, pods.wait_for(|&listed| listed)).await;
                let target = Target::new(&path, checkpoint);
                stream::run(client, target, sink, |report| note(&board, &metrics, &name, &report)).await;
            };
            let _ = stop.run_until_cancelled(watching).await;
            let _ = changes.send(KindChange::Stopped(name)).await;
            drop(over);
        });
    }

    async fn stop(&mut self, name: &Kind) {
        let Some(Running { stop, ended, .. }) = self.running.remove(name) else { return };
        stop.cancel();
        let _ = ended.await;
        self.kinds.board.set(name, None);
        tracing::info!(kind = %name, "not installed any more; not watched any more");
    }
}

/// Notes how a kind's watch goes.
pub(super) fn note(board: &Board, metrics: &WatchMetrics, kind: &Kind, report: &Report<'_>) {
    match *report {
        Report::Well { listed } => board.well(kind, listed),
        Report::Fault(error, times) => {
            metrics.faults.get_or_create(&FaultLabel { kind: kind.clone(), reason: error.label() }).inc();
            board.fault(kind, error.label(), times);
            log(kind, error);
        }
    }
}

fn log(kind: &Kind, error: &WatchError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%kind, %error, cause, "a watch failed and will be tried again");
}

/// Whether anything can be told of a kind's objects: they are subjects, or owned by some, and so in namespaces.
#[must_use]
pub fn is_of_use(kind: &declared::Kind) -> bool {
    kind.scope() == Scope::Namespaced || kind.source().is_some()
}

/// Path of the list of a kind over all namespaces, if it is of use.
fn path_of(kind: &declared::Kind, version: &str) -> Option<String> {
    is_of_use(kind).then(|| format!("/apis/{}/{version}/{}", kind.group(), kind.plural()))
}
