//! A real Kubernetes control plane for tests: etcd, API server, controllers and scheduler, with KWOK in the place
//! of kubelets. What Pods do is chosen by annotations (see `tests/cluster/README.md`).
//!
//! Start at [`shared`] for a test that can live beside others in one cluster (use a namespace of your own), and at
//! [`Cluster::start`] for one that stops the API server or counts objects of the whole cluster.
//!
//! Nothing stays behind: the programs end when the [`Cluster`] is dropped, and also when this process ends in
//! whatever way, by a watchdog that waits for its pipe to close.

#![allow(dead_code, reason = "every test binary includes this file and uses a part of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that has no cluster can only fail")]

#[path = "cluster/process.rs"]
mod process;
#[path = "cluster/programs.rs"]
mod programs;

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Node, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::sync::OnceCell;

use process::Processes;
use programs::Layout;

const START_DEADLINE: Duration = Duration::from_secs(45);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const TOKEN_LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// How a [`Cluster`] is started.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Fake nodes to create, named `fake-0` and on; each takes 10 000 Pods.
    pub nodes: usize,
    pub disk: Disk,
    pub lifetime: Lifetime,
    /// Further flags of kube-apiserver.
    pub apiserver_flags: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { nodes: 1, disk: Disk::Fast, lifetime: Lifetime::Process, apiserver_flags: Vec::new() }
    }
}

/// Whether etcd waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// No fsync: for tests.
    Fast,
    /// fsync at every write: for figures about durability or speed.
    Durable,
}

/// When the programs end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// With the [`Cluster`] or this process, whichever ends first. The data is in a directory of its own.
    Process,
    /// When [`stop_detached`] is called with the same directory.
    Detached { dir: PathBuf },
}

/// A running control plane.
pub struct Cluster {
    layout: Layout,
    config: Config,
    processes: Mutex<Processes>,
}

/// The cluster that the tests of one binary share, started by the first that asks.
///
/// # Panics
/// If it cannot be started.
pub async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| Cluster::start(ClusterOptions::default()))
        .await
        .unwrap_or_else(|error| panic!("the shared test cluster did not start: {error:#}"))
}

impl Cluster {
    /// Starts a cluster and waits until it takes work: the API server and the nodes are ready, and the `default`
    /// ServiceAccount exists. Builds the programs first if this machine has none yet.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        build_programs().await?;
        let layout = Layout::create(&options)?;
        let mut processes = Processes::new(&layout, &options.lifetime)?;

        processes.spawn(programs::etcd(&layout, options.disk))?;
        processes.spawn(programs::apiserver(&layout))?;
        let config = wait_for_apiserver(&layout, &mut processes).await?;
        for command in [programs::controller_manager(&layout)?, programs::scheduler(&layout)?, programs::kwok(&layout)?]
        {
            processes.spawn(command)?;
        }
        let client = Client::try_from(config.clone())?;
        for number in 0..options.nodes {
            create_node(&client, &format!("fake-{number}")).await?;
        }
        wait_for_nodes(&client, options.nodes, &mut processes).await?;
        Ok(Self { layout, config, processes: Mutex::new(processes) })
    }

    /// The kubeconfig of an administrator (`system:masters`).
    pub fn kubeconfig_path(&self) -> &Path {
        &self.layout.kubeconfig
    }

    /// A new client of an administrator. A client belongs to the runtime it was made in, so each test makes its own.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a config that served before gives a client")
    }

    /// Writes a kubeconfig that uses a bearer token, and returns where. `name` becomes part of the file name.
    pub fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.layout.data.join(format!("kubeconfig-{name}"));
        self.layout.write_kubeconfig(&path, name, token)?;
        Ok(path)
    }

    /// A token of a ServiceAccount that exists, good for a day.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFETIME_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("asking for a token of ServiceAccount {namespace}/{name}"))?
            .status
            .and_then(|status| status.token)
            .context("the TokenRequest came back without a token")
    }

    /// Ends the API server alone, and returns once it is gone, open watches included. The others keep running and
    /// keep trying. Not for the shared cluster.
    pub fn stop_apiserver(&self) -> Result<()> {
        self.processes().stop("kube-apiserver")
    }

    /// Starts the API server again, at the same port and with the same data, and waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        self.processes().spawn(programs::apiserver(&self.layout))?;
        let client = self.client();
        until("the API server is ready again", || is_ready(&client)).await
    }

    /// Where the cluster keeps its data, and a log per program (`<program>.log`).
    pub fn data_dir(&self) -> &Path {
        &self.layout.data
    }

    /// The path of a program built for the cluster, such as `kubectl`.
    #[allow(clippy::unused_self, reason = "the programs are there once a cluster has started")]
    pub fn bin(&self, name: &str) -> PathBuf {
        programs::bin(name)
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a cluster that was started with [`Lifetime::Detached`] in this directory, and removes its data.
pub fn stop_detached(dir: &Path) -> Result<()> {
    let layout = Layout::detached(dir);
    let status = Command::new("sh")
        .arg(programs::source_dir().join("stop.sh"))
        .args([&layout.data, &layout.run])
        .status()
        .context("running tests/cluster/stop.sh")?;
    if !status.success() {
        bail!("tests/cluster/stop.sh failed: {status}");
    }
    match std::fs::remove_file(&layout.kubeconfig) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether a cluster started with [`Lifetime::Detached`] in this directory has a program that still runs.
pub fn runs_detached(dir: &Path) -> bool {
    process::any_runs(&Layout::detached(dir))
}

/// Builds what is missing. The progress goes to stderr, which the test harness does not capture.
async fn build_programs() -> Result<()> {
    let status = tokio::process::Command::new("sh")
        .args(["-c", "exec \"$0\" controlplane kwok >&2"])
        .arg(programs::source_dir().join("build.sh"))
        .kill_on_drop(true)
        .status()
        .await
        .context("running tests/cluster/build.sh")?;
    if !status.success() {
        bail!("tests/cluster/build.sh failed: {status}; its last lines above say why");
    }
    Ok(())
}

async fn wait_for_apiserver(layout: &Layout, processes: &mut Processes) -> Result<Config> {
    // The server makes its own certificate, so there is no client before it has.
    until("the API server has a certificate", || {
        let exists = processes.check().map(|()| layout.certificate().exists());
        async move { exists }
    })
    .await
    .map_err(|error| processes.explain(&error))?;
    let kubeconfig = Kubeconfig::read_from(&layout.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config.clone())?;
    until("the API server is ready", || {
        let alive = processes.check();
        let client = &client;
        async move { Ok(alive.is_ok() && is_ready(client).await?) }
    })
    .await
    .map_err(|error| processes.explain(&error))?;
    Ok(config)
}

async fn is_ready(client: &Client) -> Result<bool> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    let answer = tokio::time::timeout(ANSWER_DEADLINE, client.request_text(request)).await;
    Ok(matches!(answer, Ok(Ok(text)) if text == "ok"))
}

async fn create_node(client: &Client, name: &str) -> Result<()> {
    let room = json!({
        "cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "10000", "nvidia.com/gpu": "1000",
    });
    let node: Node = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" },
        },
        "status": { "capacity": room, "allocatable": room },
    }))?;
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&PostParams::default(), &node).await.with_context(|| format!("creating node {name}"))?;
    Ok(())
}

async fn wait_for_nodes(client: &Client, count: usize, processes: &mut Processes) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    until("the nodes are ready and the default ServiceAccount exists", || {
        let alive = processes.check();
        let (nodes, accounts) = (&nodes, &accounts);
        async move {
            alive?;
            let ready =
                nodes.list(&kube::api::ListParams::default()).await?.iter().filter(|node| takes_pods(node)).count();
            Ok(ready >= count && accounts.get_opt("default").await?.is_some())
        }
    })
    .await
    .map_err(|error| processes.explain(&error))
}

fn takes_pods(node: &Node) -> bool {
    let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    ready.clone().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        && node.spec.as_ref().is_none_or(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty))
}

/// Asks again and again until the answer is yes. An error of the question ends the wait.
async fn until<F, Fut>(what: &str, mut question: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let started = Instant::now();
    while !question().await? {
        if started.elapsed() > START_DEADLINE {
            bail!("gave up waiting until {what}, after {} s", START_DEADLINE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
