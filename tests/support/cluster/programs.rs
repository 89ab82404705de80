//! What each program of a cluster is told: where its files are, its port, its flags.

use std::{
    env, fs,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{ClusterOptions, Disk, Lifetime};

/// Every program that a cluster may run.
pub const PROGRAMS: [&str; 5] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"];

/// Below the range from which systems take ports for outgoing connections: a port that is free for a moment, while
/// the API server restarts, is not taken by a client.
const FIRST_PORT: u16 = 15_000;
const PORTS: u16 = 15_000;

/// A program and its arguments.
pub struct Program {
    pub name: &'static str,
    pub args: Vec<String>,
}

/// Where the files of one cluster are, and its ports.
pub struct Layout {
    /// Data, logs, certificates. Every program's command line names this directory.
    pub data: PathBuf,
    /// One `<program>.pid` per program.
    pub run: PathBuf,
    pub kubeconfig: PathBuf,
    etcd_port: u16,
    etcd_peer_port: u16,
    port: u16,
    apiserver_flags: Vec<String>,
}

impl Layout {
    /// Chooses directories and ports, and writes the admin's token and kubeconfig.
    pub fn create(options: &ClusterOptions) -> Result<Self> {
        let mut layout = match &options.lifetime {
            Lifetime::Process => {
                let data = tempfile::Builder::new().prefix("pai-cluster-").tempdir()?.keep();
                Self::at(data.clone(), data.join("run"), data.join("kubeconfig"))
            }
            Lifetime::Detached { dir } => Self::detached(dir),
        };
        for dir in [&layout.data, &layout.run] {
            fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        [layout.etcd_port, layout.etcd_peer_port, layout.port] = free_ports()?;
        layout.apiserver_flags.clone_from(&options.apiserver_flags);
        let token = random_token();
        write_private(&layout.tokens(), &format!("{token},admin,admin,\"system:masters\"\n"))?;
        layout.write_kubeconfig(&layout.kubeconfig, "admin", &token)?;
        Ok(layout)
    }

    /// The layout of a detached cluster, without its ports.
    pub fn detached(dir: &Path) -> Self {
        Self::at(dir.join("data"), dir.join("run"), dir.join("kubeconfig"))
    }

    fn at(data: PathBuf, run: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { data, run, kubeconfig, etcd_port: 0, etcd_peer_port: 0, port: 0, apiserver_flags: Vec::new() }
    }

    /// The certificate that the API server makes for itself, with the CA that signed it.
    pub fn certificate(&self) -> PathBuf {
        self.data.join("certs/apiserver.crt")
    }

    /// Writes a kubeconfig for a bearer token. JSON is YAML.
    pub fn write_kubeconfig(&self, path: &Path, user: &str, token: &str) -> Result<()> {
        let cluster = json!({
            "server": format!("https://127.0.0.1:{}", self.port),
            "certificate-authority": self.certificate(),
        });
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "local", "cluster": cluster }],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": "local", "context": { "cluster": "local", "user": user } }],
            "current-context": "local",
        });
        write_private(path, &format!("{kubeconfig:#}\n"))
    }

    /// The API server makes this key for its certificate, before it reads the keys that sign tokens: one serves
    /// for both, and nothing has to be generated beforehand.
    fn key(&self) -> PathBuf {
        self.data.join("certs/apiserver.key")
    }

    fn tokens(&self) -> PathBuf {
        self.data.join("tokens.csv")
    }

    /// What the programs beside the API server use. Inside of the data directory also for a detached cluster, so
    /// that every command line names that directory.
    fn own_kubeconfig(&self) -> Result<PathBuf> {
        let path = self.data.join("kubeconfig");
        if path != self.kubeconfig {
            fs::copy(&self.kubeconfig, &path)?;
        }
        Ok(path)
    }
}

/// The folder of the scripts and stages.
pub fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster")
}

/// Where `tests/cluster/build.sh` links a program.
pub fn bin(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster/bin").join(name)
}

pub fn etcd(layout: &Layout, disk: Disk) -> Program {
    let client = format!("http://127.0.0.1:{}", layout.etcd_port);
    let peer = format!("http://127.0.0.1:{}", layout.etcd_peer_port);
    let mut args = vec![
        format!("--data-dir={}", layout.data.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--quota-backend-bytes=4294967296".into(),
        "--log-level=warn".into(),
    ];
    if disk == Disk::Fast {
        args.push("--unsafe-no-fsync".into());
    }
    Program { name: "etcd", args }
}

pub fn apiserver(layout: &Layout) -> Program {
    let key = layout.key();
    let mut args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", layout.etcd_port),
        format!("--secure-port={}", layout.port),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        format!("--cert-dir={}", layout.data.join("certs").display()),
        format!("--token-auth-file={}", layout.tokens().display()),
        "--authorization-mode=Node,RBAC".into(),
        "--allow-privileged=true".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", key.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        "--max-requests-inflight=2000".into(),
        "--max-mutating-requests-inflight=1000".into(),
        "--profiling=false".into(),
    ];
    args.extend(layout.apiserver_flags.iter().cloned());
    Program { name: "kube-apiserver", args }
}

pub fn controller_manager(layout: &Layout) -> Result<Program> {
    let args = vec![
        format!("--kubeconfig={}", layout.own_kubeconfig()?.display()),
        format!("--root-ca-file={}", layout.certificate().display()),
        format!("--service-account-private-key-file={}", layout.key().display()),
        "--controllers=*,-nodeipam,-node-route-controller,-service-lb-controller".into(),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
        "--concurrent-job-syncs=20".into(),
    ];
    Ok(Program { name: "kube-controller-manager", args })
}

pub fn scheduler(layout: &Layout) -> Result<Program> {
    let args = vec![
        format!("--kubeconfig={}", layout.own_kubeconfig()?.display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ];
    Ok(Program { name: "kube-scheduler", args })
}

/// KWOK with every file of `tests/cluster/stages`, for the nodes that say they are fake.
pub fn kwok(layout: &Layout) -> Result<Program> {
    let mut args = vec![
        format!("--kubeconfig={}", layout.own_kubeconfig()?.display()),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".into(),
    ];
    let stages = source_dir().join("stages");
    let mut files = fs::read_dir(&stages)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(|| format!("reading {}", stages.display()))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    args.extend(files.iter().map(|path| format!("--config={}", path.display())));
    Ok(Program { name: "kwok", args })
}

/// Three ports of the loopback that are free now. The search begins somewhere else each time.
fn free_ports() -> Result<[u16; 3]> {
    let start = u16::try_from(random() % u64::from(PORTS))?;
    let mut found = (0..PORTS)
        .map(|offset| FIRST_PORT + (start + offset) % PORTS)
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    // All three are held until all are found.
    let listeners: Vec<TcpListener> = found.by_ref().take(3).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<_>>()?;
    ports.try_into().ok().context("no three free ports between 15000 and 30000")
}

fn random_token() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// The standard library seeds its hashers from the system.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}
