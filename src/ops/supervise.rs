//! Puts the layers together, and ends the process when one of them cannot go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::args::RunArgs;
use super::health::{self, Readiness};
use super::metrics::Metrics;
use super::ports::{Certificate, PortError, Ports};
use crate::bus::{self, Serving};
use crate::channel::{self, AddressPolicy};
use crate::cluster::clock::{Clock, SystemClock};
use crate::cluster::leader::{self, Candidate, LeadershipLost};
use crate::cluster::tasks::Tasks;
use crate::controller::{self, Controlling, Ingresses, RegistryHealth, retention};
use crate::delivery::book::{self, Book, Summary};
use crate::delivery::budget::Budgets;
use crate::delivery::dispatch::{self, Delivering};
use crate::delivery::targets::{GoneTargets, TargetTable, Texts};
use crate::detect::declared::Catalog;
use crate::outbox::recorder::{self, FilterErrors, Recording};
use crate::registry::{self, Polling};
use crate::rules::Policy;
use crate::watch::checkpoint::{self, Positions};
use crate::watch::sources::Board;
use crate::watch::stream::{self, Change, Report, Sink, Target};
use crate::watch::task::{self, Watching};

/// Name of the Lease.
const LEASE: &str = "pai-notification";
/// How long a stop waits for everything to end.
const GRACE: Duration = Duration::from_secs(25);
/// Published events that wait for the recorder at most.
const MOST_PUBLISHED: usize = 8192;
/// Longest wait for the lists of kinds other than Jobs and Pods.
const LISTS_FIRST: Duration = Duration::from_secs(20);
/// Tries to read the checkpoint before starting without one.
const CHECKPOINT_TRIES: u32 = 30;

/// The program cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No way to the API server.
    #[error("no kubeconfig or service account to reach the API server with")]
    Kubeconfig(#[source] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("the API client cannot start")]
    ApiClient(#[source] kube::Error),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    HttpClient(#[from] channel::client::ClientError),
    /// A port cannot be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Leadership is lost.
    #[error("leadership is lost; the process ends, so that no two replicas send")]
    Leadership(#[from] LeadershipLost),
    /// A task has panicked.
    #[error("a part of the program has failed; see the log above")]
    Failed,
}

/// The channels between the layers.
struct Wires {
    leading: watch::Sender<bool>,
    policy: watch::Sender<Option<Arc<Policy>>>,
    targets: watch::Sender<Arc<TargetTable>>,
    texts: watch::Sender<Arc<Texts>>,
    gone: watch::Sender<Arc<GoneTargets>>,
    budgets: Budgets,
    retentions: watch::Sender<Arc<retention::Retentions>>,
    ingresses: watch::Sender<Option<Arc<Ingresses>>>,
    registries: watch::Sender<Arc<RegistryHealth>>,
    summary: watch::Sender<Arc<Summary>>,
    throttled: watch::Sender<Arc<HashMap<crate::delivery::targets::TargetKey, jiff::Timestamp>>>,
    checkpointed: watch::Sender<Option<jiff::Timestamp>>,
    book: Arc<Mutex<Book>>,
    filter_errors: FilterErrors,
}

impl Default for Wires {
    fn default() -> Self {
        Self {
            leading: watch::Sender::new(false),
            policy: watch::Sender::new(None),
            targets: watch::Sender::default(),
            texts: watch::Sender::default(),
            gone: watch::Sender::default(),
            budgets: Budgets::default(),
            retentions: watch::Sender::default(),
            ingresses: watch::Sender::new(None),
            registries: watch::Sender::default(),
            summary: watch::Sender::default(),
            throttled: watch::Sender::default(),
            checkpointed: watch::Sender::new(None),
            book: Arc::default(),
            filter_errors: FilterErrors::default(),
        }
    }
}

/// Runs the operator until a signal, the loss of leadership, or a failure.
///
/// # Errors
/// [`RunError`] if it cannot start or go on. A signal is no error.
pub async fn run(args: RunArgs) -> Result<(), RunError> {
    let mut config = kube::Config::infer().await.map_err(RunError::Kubeconfig)?;
    // Watches have their own deadlines; every other call has one of `cluster::deadline`.
    config.read_timeout = None;
    let client = Client::try_from(config).map_err(RunError::ApiClient)?;
    let addresses = AddressPolicy { allow: args.allow_target_cidr.clone(), deny: args.deny_target_cidr.clone() };
    let http = channel::Client::new(addresses)?;
    let ports = Ports::open(&args).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = args.own_namespace(), ops = %args.ops_address, bus = %args.bus_address, "starting");

    let stop = CancellationToken::new();
    let metrics = Metrics::default();
    let (catalog, faults) = catalog(&args);
    let program = Program {
        operator: format!("{}/{}", args.own_namespace(), args.service_account),
        namespace: args.own_namespace(),
        args,
        client,
        http,
        clock: Arc::new(SystemClock),
        tasks: Tasks::new(stop.clone()),
        catalog: Arc::new(catalog),
        board: Board::new(metrics.watch.clone(), faults),
        metrics,
        wires: Wires::default(),
        stop,
    };
    program.run(ports).await
}

/// The kinds that are watched where they are installed, and what is wrong with the files that add to them.
fn catalog(args: &RunArgs) -> (Catalog, Vec<String>) {
    let built_in = Catalog::built_in();
    let (catalog, errors) = match &args.catalog {
        Some(dir) => built_in.with_dir(dir),
        None => (built_in, Vec::new()),
    };
    for error in &errors {
        tracing::error!(%error, "a catalog file cannot be used; the others are");
    }
    (catalog.without(&args.ignore_kind), errors.iter().map(ToString::to_string).collect())
}

struct Program {
    operator: String,
    namespace: String,
    args: RunArgs,
    client: Client,
    http: channel::Client,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    metrics: Metrics,
    catalog: Arc<Catalog>,
    board: Board,
    wires: Wires,
    stop: CancellationToken,
}

impl Program {
    async fn run(self, ports: Ports) -> Result<(), RunError> {
        let listed = self.start(ports).await;
        let candidate = Candidate {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            name: LEASE.to_owned(),
            identity: identity(),
        };
        let ended = tokio::select! {
            ended = self.lead(&candidate) => ended,
            () = self.tasks.failed() => Err(RunError::Failed),
            () = terminated() => {
                tracing::info!("asked to stop; what is on its way is finished first");
                Ok(())
            }
        };
        drop(listed);
        self.stop.cancel();
        if ended.is_ok() {
            if !self.tasks.ended_within(GRACE).await {
                tracing::debug!("some watches had to be cut off");
            }
            if self.args.leader_elect {
                leader::release(&candidate).await;
            }
        }
        ended
    }

    async fn lead(&self, candidate: &Candidate) -> Result<(), RunError> {
        if !self.args.leader_elect {
            self.wires.leading.send_replace(true);
            std::future::pending::<()>().await;
        }
        leader::run(candidate, self.clock.as_ref(), &self.wires.leading, &self.stop).await?;
        Ok(())
    }

    /// Starts every layer. Returns what has to live as long as they do.
    async fn start(&self, ports: Ports) -> watch::Receiver<bool> {
        let positions = self.checkpoint().await;
        let (stored, stored_inbox) = mpsc::unbounded_channel();
        let sightings = task::start(Watching {
            client: self.client.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            catalog: self.catalog.clone(),
            positions,
            board: self.board.clone(),
            metrics: self.metrics.watch.clone(),
        });
        let listed = self.follow_lists();
        self.start_controller();
        self.start_delivery(stored_inbox);
        let recording = Recording {
            client: self.client.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            namespace: self.namespace.clone(),
            lookback: self.args.lookback,
            policy: self.wires.policy.subscribe(),
            leading: self.wires.leading.subscribe(),
            stored,
            filter_errors: self.wires.filter_errors.clone(),
            checkpointed: self.wires.checkpointed.clone(),
            metrics: self.metrics.outbox.clone(),
        };
        let (publish, published) = mpsc::channel(MOST_PUBLISHED);
        self.tasks.spawn("recorder", recorder::run(recording, sightings, published, self.stop.clone()));
        self.start_registries(publish.clone());
        self.start_bus(ports.bus, ports.certificate, publish);
        self.start_health(ports.ops, listed.clone());
        listed
    }

    fn start_bus(
        &self,
        listener: TcpListener,
        certificate: Option<Certificate>,
        outbox: mpsc::Sender<recorder::Publication>,
    ) {
        let protection = certificate.map(|(files, config)| {
            let (fresh, config) = watch::channel(config);
            self.tasks.background("bus-certificate", files.keep_fresh(fresh));
            config
        });
        let serving = Serving {
            client: self.client.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            listener,
            protection,
            ingresses: self.wires.ingresses.subscribe(),
            outbox,
            lookback: self.args.lookback,
            rate: self.args.bus_rate,
            metrics: self.metrics.bus.clone(),
        };
        self.tasks.spawn("bus", bus::run(serving, self.stop.clone()));
    }

    fn start_registries(&self, outbox: mpsc::Sender<recorder::Publication>) {
        let polling = Polling {
            client: self.client.clone(),
            http: self.http.clone(),
            clock: self.clock.clone(),
            namespace: self.namespace.clone(),
            lookback: self.args.lookback,
            ingresses: self.wires.ingresses.subscribe(),
            leading: self.wires.leading.subscribe(),
            outbox,
            health: self.wires.registries.clone(),
            metrics: self.metrics.registry.clone(),
        };
        self.tasks.background("registries", registry::run(polling));
    }

    /// Tells when everything that is installed is listed. What cannot be listed is not waited for without end.
    fn follow_lists(&self) -> watch::Receiver<bool> {
        let (listed, all_listed) = watch::channel(false);
        let mut sources = self.board.subscribe();
        self.tasks.background("lists", async move {
            let settled = sources.wait_for(|sources| sources.are_settled());
            if tokio::time::timeout(LISTS_FIRST, settled).await.is_err() {
                let _ = sources.wait_for(|sources| sources.have_the_basics()).await;
            }
            listed.send_replace(true);
            // Keeps the sender, and so the answer, for as long as the program runs.
            std::future::pending::<()>().await;
        });
        all_listed
    }

    async fn checkpoint(&self) -> Positions {
        for _ in 0..CHECKPOINT_TRIES {
            match checkpoint::load(&self.client, &self.namespace).await {
                Ok(positions) => return positions,
                Err(error) => {
                    tracing::warn!(%error, "the checkpoint could not be read yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        tracing::warn!("starting without a checkpoint: deletions since the last run cannot be told");
        Positions::new()
    }

    fn start_controller(&self) {
        let wires = &self.wires;
        let controlling = Controlling {
            client: self.client.clone(),
            http: self.http.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            operator: self.operator.clone(),
            leading: wires.leading.subscribe(),
            summary: wires.summary.subscribe(),
            throttled: wires.throttled.subscribe(),
            filter_errors: wires.filter_errors.clone(),
            policy: wires.policy.clone(),
            targets: wires.targets.clone(),
            texts: wires.texts.clone(),
            gone: wires.gone.clone(),
            budgets: wires.budgets.clone(),
            retentions: wires.retentions.clone(),
            ingresses: wires.ingresses.clone(),
            registries: wires.registries.subscribe(),
            bus_url: self.args.bus_url(),
            sources: self.board.subscribe(),
        };
        self.tasks.spawn("controller", controller::run(controlling, self.stop.clone()));
        let retaining = retention::Retaining {
            client: self.client.clone(),
            clock: self.clock.clone(),
            book: wires.book.clone(),
            retentions: wires.retentions.subscribe(),
            leading: wires.leading.subscribe(),
            checkpointed: wires.checkpointed.subscribe(),
        };
        self.tasks.spawn("retention", retention::run(retaining, self.stop.clone()));
    }

    fn start_delivery(&self, stored: mpsc::UnboundedReceiver<crate::api::Notice>) {
        let (changes, inbox) = mpsc::channel(1024);
        let client = self.client.clone();
        self.tasks.background("watch-notices", async move {
            let sink: Sink<_, Change<book::NoticeView>> = Sink::new(std::convert::identity, changes);
            stream::run(client, Target::new(book::PATH, None), sink, |report| {
                if let Report::Fault(error, _) = report {
                    tracing::warn!(kind = "notices", %error, "a watch failed and will be tried again");
                }
            })
            .await;
        });
        let wires = &self.wires;
        let delivering = Delivering {
            client: self.client.clone(),
            http: self.http.clone(),
            clock: self.clock.clone(),
            tasks: self.tasks.clone(),
            policy: wires.policy.subscribe(),
            targets: wires.targets.subscribe(),
            texts: wires.texts.subscribe(),
            gone: wires.gone.clone(),
            budgets: wires.budgets.clone(),
            leading: wires.leading.subscribe(),
            stored,
            changes: inbox,
            summary: wires.summary.clone(),
            throttled: wires.throttled.clone(),
            book: wires.book.clone(),
            metrics: self.metrics.delivery.clone(),
        };
        self.tasks.spawn("delivery", dispatch::run(delivering, self.stop.clone()));
    }

    fn start_health(&self, listener: tokio::net::TcpListener, listed: watch::Receiver<bool>) {
        let (judged, in_force) = watch::channel(false);
        let (mut policy, mut leading, leader) =
            (self.wires.policy.subscribe(), self.wires.leading.subscribe(), self.metrics.leader.clone());
        self.tasks.background("readiness", async move {
            let _ = policy.wait_for(Option::is_some).await;
            judged.send_replace(true);
            let _ = leading.wait_for(|&leading| leading).await;
            leader.set(1);
            // Keeps the sender, and so the answer, for as long as the program runs.
            std::future::pending::<()>().await;
        });
        let readiness =
            Readiness { parts: vec![("the lists of what is watched", listed), ("rules and targets", in_force)] };
        self.tasks.spawn("health", health::serve(listener, readiness, self.metrics.clone(), self.stop.clone()));
    }
}

/// The Pod's name, or something unique on this machine.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "local".to_owned());
    format!("{host}-{}", std::process::id())
}

/// Resolves on SIGTERM or SIGINT.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be caught; the program can only be killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
