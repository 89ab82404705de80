//! Puts the operator into a cluster as its chart does, and runs it as its Pod would: under its own ServiceAccount, with
//! the chart's rights and no others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, discovery};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::Cluster;

/// Namespace of the operator.
pub const NAMESPACE: &str = "pai-notification-system";
/// ServiceAccount of the operator.
pub const SERVICE_ACCOUNT: &str = "pai-notification";

/// How long the API server and the operator may take for things that take them a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Operators started by this process, for the names of their logs.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A cluster with CRDs, rights and a ServiceAccount for the operator.
pub struct Installed {
    /// Client with all rights, for the test itself.
    pub admin: Client,
    /// Kubeconfig with the operator's own token.
    pub kubeconfig: PathBuf,
    logs: PathBuf,
}

/// Installs CRDs, namespace, ServiceAccount and rights.
pub async fn install(cluster: &Cluster) -> anyhow::Result<Installed> {
    let admin = cluster.client();
    install_crds(&admin).await?;
    for object in system_objects()? {
        apply(&admin, object).await?;
    }
    let token = cluster.service_account_token(NAMESPACE, SERVICE_ACCOUNT).await?;
    let kubeconfig = cluster.kubeconfig_for_token("operator", &token)?;
    // Not beside the cluster's data, which goes away with it: a failure is to be read about afterwards.
    let logs = in_repository("target/operator").join(std::process::id().to_string());
    fs::create_dir_all(&logs)?;
    Ok(Installed { admin, kubeconfig, logs })
}

/// Applies every document of a YAML text.
pub async fn apply_all(client: &Client, yaml: &str) -> anyhow::Result<()> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("the YAML does not parse")?;
    for document in documents {
        apply(client, document).await?;
    }
    Ok(())
}

/// Applies one object of any kind that the cluster knows. Unknown fields are an error.
pub async fn apply(client: &Client, object: Value) -> anyhow::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).context("no Kubernetes object")?;
    let types = object.types.clone().context("apiVersion and kind are missing")?;
    let name = object.metadata.name.clone().context("metadata.name is missing")?;
    let what = format!("{} {name}", types.kind);
    let kind = GroupVersionKind::try_from(&types).with_context(|| format!("apiVersion of {what}"))?;
    let (resource, _) = discovery::pinned_kind(client, &kind).await.with_context(|| format!("kind of {what}"))?;
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params =
        PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply("kubectl") };
    api.patch(&name, &params, &Patch::Apply(&object)).await.with_context(|| format!("applying {what}"))
}

/// A path inside the repository.
#[must_use]
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn install_crds(admin: &Client) -> anyhow::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(in_repository("crds")).context("crds/: run `make bless`")? {
        let text = fs::read_to_string(entry?.path())?;
        for crd in serde_saphyr::from_multiple::<Value>(&text)? {
            names.push(apply(admin, crd).await?.metadata.name.unwrap_or_default());
        }
    }
    let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
    for name in names {
        let established = await_condition(crds.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, established).await.with_context(|| format!("{name} is not established"))??;
    }
    Ok(())
}

/// What the chart makes, without the Deployment: its rules come from the very files that the chart reads.
fn system_objects() -> anyhow::Result<Vec<Value>> {
    let rules = |file: &str| -> anyhow::Result<Value> {
        let path = in_repository("charts/pai-notification/rules").join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("{} does not parse", path.display()))
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut operator = rules("operator.yaml")?;
    if let (Some(all), Value::Array(kinds)) = (operator.as_array_mut(), rules("kinds.yaml")?) {
        all.extend(kinds);
    }
    let subjects = json!([{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}]);
    let role_ref = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": SERVICE_ACCOUNT});
    let global = json!({"name": SERVICE_ACCOUNT});
    let local = json!({"name": SERVICE_ACCOUNT, "namespace": NAMESPACE});
    Ok(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": local}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": global, "rules": operator}),
        json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": global, "subjects": subjects,
            "roleRef": role_ref("ClusterRole")}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "AliyunServiceRoleForPAIWorkspace"},
            "rules": rules("workspace.yaml")?}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": local, "rules": rules("namespace.yaml")?}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": local, "subjects": subjects,
            "roleRef": role_ref("Role")}),
    ])
}

/// A running operator. Killed when dropped.
pub struct Operator {
    process: tokio::process::Child,
    log: PathBuf,
    ops: String,
    bus: String,
}

impl Operator {
    /// Starts the operator and waits until it is ready. Loopback targets are allowed; `args` come on top.
    pub async fn start(installed: &Installed, args: &[&str]) -> anyhow::Result<Self> {
        let log = std::env::var("OPERATOR_LOG").unwrap_or_else(|_| "info,pai_notification=debug".to_owned());
        Self::start_logging(installed, args, &log).await
    }

    /// As [`Self::start`], with the log at this level.
    pub async fn start_logging(installed: &Installed, args: &[&str], log: &str) -> anyhow::Result<Self> {
        let mut operator = Self::spawn(installed, args, log).await?;
        operator.wait_until_ready().await?;
        Ok(operator)
    }

    /// Starts the operator and waits for nothing.
    async fn spawn(installed: &Installed, args: &[&str], log_level: &str) -> anyhow::Result<Self> {
        let (ops, bus) = (free_address().await?, free_address().await?);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = installed.logs.join(format!("operator-{number}.log"));
        let file = fs::File::create(&log)?;
        let process = tokio::process::Command::new(binary()?)
            .arg("run")
            .args(["--namespace", NAMESPACE, "--service-account", SERVICE_ACCOUNT])
            .args(["--ops-address", &ops, "--bus-address", &bus])
            .args(["--allow-target-cidr", "127.0.0.0/8"])
            .args(args)
            .env("KUBECONFIG", &installed.kubeconfig)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("RUST_LOG", log_level)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .context("starting the operator")?;
        Ok(Self { process, log, ops, bus })
    }

    /// Waits until `/readyz` answers 200.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("the operator ended with {status} before it was ready:\n{}", self.last_lines(40));
            }
            if self.get("/readyz").await.is_ok() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("the operator was not ready after {PATIENCE:?}:\n{}", self.last_lines(40));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// SIGKILL: no chance to finish anything.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("killing the operator")
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        let id = self.process.id().context("the operator has ended already")?;
        let kill = tokio::process::Command::new("bash").arg("-c").arg(format!("kill -TERM {id}")).status().await?;
        anyhow::ensure!(kill.success(), "kill -TERM {id}: {kill}");
        match tokio::time::timeout(PATIENCE, self.process.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the operator did not end within {PATIENCE:?} of SIGTERM:\n{}", self.last_lines(40)),
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Everything that it has logged.
    #[must_use]
    pub fn logs(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Where it logs to.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Host and port of the event bus.
    #[must_use]
    pub fn bus(&self) -> &str {
        &self.bus
    }

    /// The metrics page.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        self.get("/metrics").await
    }

    /// The body of a page of the ops address; an error unless it is answered by 200.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let exchange = async {
            let mut stream = TcpStream::connect(&self.ops).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.ops);
            stream.write_all(request.as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            anyhow::Ok(reply)
        };
        let reply = tokio::time::timeout(Duration::from_secs(5), exchange).await.context("no answer in 5 s")??;
        let (head, body) = reply.split_once("\r\n\r\n").context("no HTTP reply")?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
        Ok(body.to_owned())
    }

    fn last_lines(&self, count: usize) -> String {
        let logs = self.logs();
        let lines: Vec<&str> = logs.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// The operator's binary: what cargo names for tests, else the one beside the running example.
fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = option_env!("CARGO_BIN_EXE_pai-notification") {
        return Ok(path.into());
    }
    let this = std::env::current_exe()?;
    let path =
        this.parent().and_then(Path::parent).context("the examples are two folders deep")?.join("pai-notification");
    anyhow::ensure!(path.exists(), "{} is not there: run `cargo build --bin pai-notification`", path.display());
    Ok(path)
}

async fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}
