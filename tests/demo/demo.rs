//! `make demo`: the main job on a fresh machine, from an empty cluster to the messages on the screen.
//!
//! Starts a local cluster, installs the operator and runs it under its own ServiceAccount, applies the files of
//! `examples/`, and prints each message as the receivers show it. Ends with an error unless every Job and the notebook
//! gave exactly the messages that they should, each once, each with a good signature. Start at [`run`].

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a program for people at a terminal, with test support that it does not use all of"
)]

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/install.rs"]
mod install;
#[path = "../support/robot.rs"]
mod robot;

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use pai_notification::api::{Notice, NoticeRule};

use cluster::{Cluster, ClusterOptions};
use install::{Operator, apply_all, in_repository, install};
use robot::{Endpoint, Inbox, Message, Receiver, Robot, Verdict};

const NAMESPACE: &str = "vision";

/// What each subject must give: its transitions in the audit log, and how many messages for those on call.
const EXPECTED: [(&str, &[&str], usize); 5] = [
    ("Job/train-ok", &["queued", "running", "succeeded"], 0),
    ("Job/train-bad", &["queued", "running", "failed"], 1),
    ("Job/train-slow", &["queued", "running", "failed"], 1),
    ("Job/train-dropped", &["queued", "running", "stopped"], 1),
    ("Pod/notebook", &["creating", "running", "stopping", "stopped"], 1),
];

/// How long the workloads may take until the last message is there.
const DEADLINE: Duration = Duration::from_mins(2);
/// How long nothing more may come afterwards.
const QUIET: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::select! {
        outcome = run() => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let say = Progress::start();
    say.step("starting a cluster: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, simulated nodes");
    let cluster = Cluster::start(ClusterOptions::default()).await?;

    say.step("installing CRDs and rights");
    let installed = install(&cluster).await?;
    let client = installed.admin.clone();

    say.step("starting a DingTalk robot and an HTTP endpoint that check signatures like real ones");
    let receiver = Receiver::start().await?;
    let secrets = Secrets::read()?;
    let oncall = receiver.robot(Robot::signed("demo", &secrets.robot_key).with_real_budget());
    let audit = receiver.endpoint(Endpoint::cloud_events("events").with_signing_secret(&secrets.audit_key));
    let mut shown = receiver.follow();
    let printer = tokio::spawn(async move {
        while let Ok(message) = shown.recv().await {
            print(&message);
        }
    });

    say.step("starting the operator under its own ServiceAccount");
    let operator = Operator::start(&installed, &[]).await?;

    say.step("applying examples/: a workspace, its Secrets, two targets, two rules");
    for file in ["1-workspace.yaml", "2-secrets.yaml", "3-targets.yaml", "4-rules.yaml"] {
        let text = fs::read_to_string(in_repository("examples").join(file))?;
        let text = if file == "2-secrets.yaml" { with_urls(text, &oncall, &audit)? } else { text };
        apply_all(&client, &text).await.with_context(|| format!("examples/{file}"))?;
    }
    wait_for_rules(&client).await?;

    say.step("running four Jobs and a notebook");
    for file in ["5-jobs.yaml", "6-notebook.yaml"] {
        apply_all(&client, &fs::read_to_string(in_repository("examples").join(file))?).await?;
    }
    delete_once_running(&client, &audit, &say).await?;

    let outcome = check(&client, &receiver, &oncall, &audit).await;
    printer.abort();
    if let Err(error) = outcome {
        bail!("{error:?}\nthe operator's log: {}", operator.log_file().display());
    }

    say.step("every Job gave exactly its messages, none twice, every signature accepted. What kubectl shows:");
    let kinds = "workspaces,eventbuses,eventtargets,noticerules,notices";
    for kind in kinds.split(',') {
        println!("\n$ kubectl get {kind} --all-namespaces");
        let mut kubectl = tokio::process::Command::new(cluster.bin("kubectl"));
        kubectl.arg("--kubeconfig").arg(cluster.kubeconfig_path()).args(["get", kind, "--all-namespaces"]);
        ensure!(kubectl.status().await.context("running kubectl")?.success(), "kubectl get {kind} failed");
    }
    say.step("stopping what was started");
    let log = operator.log_file().to_owned();
    let status = operator.terminate().await?;
    ensure!(status.success(), "the operator ended with {status} on SIGTERM, see {}", log.display());
    drop(cluster);
    println!(
        "\nWorth a look:
  examples/           what was applied; change the rules and run `make demo` again
  {}   what the operator logged
  make cluster        the same cluster, left running for you
  README.md           a tour with kubectl, and how failures look",
        log.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&log).display()
    );
    Ok(())
}

/// The values of `examples/2-secrets.yaml` that the receivers have to know.
struct Secrets {
    robot_key: String,
    audit_key: String,
}

impl Secrets {
    fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(in_repository("examples/2-secrets.yaml"))?;
        let key = |secret: &str| -> anyhow::Result<String> {
            let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text)?;
            let found = documents.iter().find(|document| document["metadata"]["name"] == secret);
            let value = found.and_then(|document| document["stringData"]["signing-key"].as_str());
            Ok(value.with_context(|| format!("examples/2-secrets.yaml has no signing-key in {secret}"))?.to_owned())
        };
        Ok(Self { robot_key: key("oncall-robot")?, audit_key: key("audit-log")? })
    }
}

/// The Secrets with the placeholder URLs replaced by those of the local receivers.
fn with_urls(mut text: String, oncall: &Inbox, audit: &Inbox) -> anyhow::Result<String> {
    for (placeholder, url) in [
        ("https://oapi.dingtalk.com/robot/send?access_token=REPLACE-ME", oncall.url()),
        ("https://audit.example.com/events", audit.url()),
    ] {
        ensure!(text.matches(placeholder).count() == 1, "examples/2-secrets.yaml must have {placeholder} once");
        text = text.replace(placeholder, url);
    }
    Ok(text)
}

async fn wait_for_rules(client: &Client) -> anyhow::Result<()> {
    let rules: Api<NoticeRule> = Api::namespaced(client.clone(), NAMESPACE);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let list = rules.list(&ListParams::default()).await?;
        let ready = |rule: &NoticeRule| {
            let conditions = rule.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        if list.items.len() == 2 && list.items.iter().all(ready) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the rules are not ready: {}", serde_json::to_string_pretty(&list.items)?);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Deletes the Job and the notebook that are to be stopped, once the messages say that they run.
async fn delete_once_running(client: &Client, audit: &Inbox, say: &Progress) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    let runs = |subject: &str| audit.messages().iter().any(|m| m.text == subject && m.title.ends_with(".running"));
    while !(runs("Job/train-dropped") && runs("Pod/notebook")) {
        if Instant::now() > deadline {
            bail!("train-dropped and notebook do not run; so far:\n{}", robot::list(&audit.messages()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    say.step("deleting the Job train-dropped and the notebook while they run");
    let (jobs, pods): (Api<Job>, Api<Pod>) =
        (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client.clone(), NAMESPACE));
    jobs.delete("train-dropped", &DeleteParams::background()).await?;
    pods.delete("notebook", &DeleteParams::default()).await?;
    Ok(())
}

/// Waits for the expected messages, then for a while in which nothing more may come, and compares.
async fn check(client: &Client, receiver: &Receiver, oncall: &Inbox, audit: &Inbox) -> anyhow::Result<()> {
    let audit_count = EXPECTED.iter().map(|(_, transitions, _)| transitions.len()).sum();
    let oncall_count = EXPECTED.iter().map(|(_, _, count)| count).sum();
    audit.wait_for(audit_count, DEADLINE).await?;
    oncall.wait_for(oncall_count, DEADLINE).await?;
    tokio::time::sleep(QUIET).await;

    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in audit.messages() {
        let transition = message.title.rsplit('.').next().unwrap_or_default().to_owned();
        told.entry(message.text).or_default().push(transition);
    }
    for (subject, transitions, calls) in EXPECTED {
        let found = told.remove(subject).unwrap_or_default();
        ensure!(found == transitions, "{subject} told the audit log {found:?}, not {transitions:?}");
        let name = subject.split('/').next_back().unwrap_or_default();
        let called = oncall.messages().iter().filter(|message| message.text.contains(name)).count();
        ensure!(called == calls, "{subject} called those on call {called} times, not {calls}");
    }
    ensure!(told.is_empty(), "the audit log was told of {told:?}");
    ensure!(oncall.messages().len() == oncall_count, "too many messages:\n{}", robot::list(&oncall.messages()));
    ensure!(receiver.messages().iter().all(|message| message.signed), "a message came without a signature");
    for post in receiver.posts() {
        ensure!(post.verdict == Verdict::Shown, "a POST to {} was not shown: {:?}", post.path, post.verdict);
    }
    wait_for_notices(client, audit_count).await
}

/// The outcome of every delivery stands on its Notice.
async fn wait_for_notices(client: &Client, count: usize) -> anyhow::Result<()> {
    let notices: Api<Notice> = Api::namespaced(client.clone(), NAMESPACE);
    let list = notices.list(&ListParams::default()).await?;
    ensure!(list.items.len() == count, "{} Notices, not {count}", list.items.len());
    for notice in list.items {
        let phase = notice.status.as_ref().map(|status| status.phase);
        let delivered = phase == Some(pai_notification::api::notice::Phase::Delivered);
        ensure!(delivered, "Notice {:?} is {phase:?}", notice.metadata.name);
    }
    Ok(())
}

/// Steps with the time since the start.
struct Progress {
    started: Instant,
}

impl Progress {
    fn start() -> Self {
        Self { started: Instant::now() }
    }

    fn step(&self, text: &str) {
        println!("[{:>4.1}s] {text}", self.started.elapsed().as_secs_f64());
    }
}

fn print(message: &Message) {
    let signature = if message.signed { "signature ok" } else { "unsigned" };
    if message.inbox == "events" {
        println!("         HTTP endpoint   {}  {}  ({signature})", message.title, message.text);
        return;
    }
    println!("       ┌ DingTalk robot  {}  ({signature})", message.title);
    for line in message.text.lines().filter(|line| !line.trim().is_empty()) {
        println!("       │ {line}");
    }
    println!("       └");
}
