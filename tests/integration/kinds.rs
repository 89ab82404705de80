//! Kinds of the catalog on a real API server: what their objects go through is told once, of the topmost owner only; and
//! kinds come and go while the operator runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::Api;
use kube::api::{Patch, PatchParams};
use pai_notification::api::Workspace;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::install::Operator;
use crate::kinds_support::{Foreign, Thing};
use crate::robot::Inbox;
use crate::scene::{SOON, Scene, is, message, wait};

const PYTORCH: Foreign = Foreign("kubeflow.org/v1", "PyTorchJob");
const TRAIN: Foreign = Foreign("trainer.kubeflow.org/v1alpha1", "TrainJob");
const JOBSET: Foreign = Foreign("jobset.x-k8s.io/v1alpha2", "JobSet");
const WORKFLOW: Foreign = Foreign("argoproj.io/v1alpha1", "Workflow");
const RAYJOB: Foreign = Foreign("ray.io/v1", "RayJob");
const RAYCLUSTER: Foreign = Foreign("ray.io/v1", "RayCluster");
const NOTEBOOK: Foreign = Foreign("kubeflow.org/v1", "Notebook");
const MODEL: Foreign = Foreign("model.kubedl.io/v1alpha1", "ModelVersion");
const WORKLOAD: Foreign = Foreign("kueue.x-k8s.io/v1beta2", "Workload");
const COMMIT: Foreign = Foreign("agents.kruise.io/v1alpha1", "Commit");
const TASKRUN: Foreign = Foreign("tekton.dev/v1", "TaskRun");

/// The present time, or one so many seconds from it.
fn at(offset: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    jiff::Timestamp::from_second(now + offset).unwrap().to_string()
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": at(0)})
}

fn conditions(all: &[(&str, &str, &str)]) -> Value {
    let all: Vec<Value> = all.iter().map(|(kind, status, reason)| condition(kind, status, reason)).collect();
    json!({"conditions": all})
}

/// The transitions that the endpoint was told of a subject, in order.
fn told(audit: &Inbox, subject: &str) -> Vec<String> {
    let of_subject = audit.messages().into_iter().filter(|message| message.text == subject);
    of_subject.map(|message| message.title.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

/// Waits until this was told of each subject, and nothing else.
async fn tell(audit: &Inbox, expected: &[(&str, &[&str])]) {
    let deadline = Instant::now() + SOON;
    loop {
        let missing = expected.iter().find(|(subject, transitions)| told(audit, subject) != *transitions);
        let Some((subject, transitions)) = missing else { return };
        assert!(Instant::now() < deadline, "{subject}: told {:?}, not {transitions:?}", told(audit, subject));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same, and that it stays so; and that nothing was told of any other subject.
async fn tell_only(audit: &Inbox, expected: &[(&str, &[&str])]) {
    tell(audit, expected).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    tell(audit, expected).await;
    let others: Vec<_> = audit
        .messages()
        .into_iter()
        .filter(|message| expected.iter().all(|(subject, _)| message.text != *subject))
        .map(|message| format!("{} {}", message.text, message.title))
        .collect();
    assert_eq!(others, [""; 0]);
}

struct Stage {
    scene: Scene,
    audit: Inbox,
    operator: Operator,
}

/// A scene with these kinds, and a rule for everything.
async fn stage(namespace: &str, kinds: &[Foreign], args: &[&str]) -> Stage {
    let (scene, _, audit) = Scene::in_force(namespace).await;
    for kind in kinds {
        kind.install(&scene.admin).await.unwrap();
    }
    let operator = Operator::start(&scene.installed, args).await.unwrap();
    let sources = json!([{"type": "DLCJob"}, {"type": "DSWInstance"}, {"type": "FlowTask"}, {"type": "Model"}]);
    scene.rule_with("all", json!({"sources": sources, "targets": [{"name": "audit"}]})).await;
    scene.rule_ready("all").await;
    Stage { scene, audit, operator }
}

impl Stage {
    async fn thing(&self, kind: Foreign, name: &str, more: Value) -> Thing {
        Thing::create(&self.scene.admin, kind, &self.scene.namespace, name, more).await
    }

    /// Waits until the Workspace says so of its sources; returns the message.
    async fn sources(&self, status: &str, reason: &str) -> String {
        let workspaces: Api<Workspace> = Api::all(self.scene.admin.clone());
        let found = wait(&workspaces, &self.scene.namespace, |workspace: &Workspace| {
            workspace.status.as_ref().is_some_and(|s| is(&s.conditions, "SourcesHealthy", status, reason))
        })
        .await;
        message(&found.status.unwrap().conditions, "SourcesHealthy")
    }

    async fn metrics_say(&self, text: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            let metrics = self.operator.metrics().await.unwrap();
            if metrics.contains(text) {
                return;
            }
            let up: Vec<&str> = metrics.lines().filter(|line| line.contains("watch_up{")).collect();
            assert!(Instant::now() < deadline, "no {text}; {up:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn every_kind_of_object_tells_exactly_what_it_went_through() {
    let kinds = [PYTORCH, WORKFLOW, RAYJOB, RAYCLUSTER, NOTEBOOK, MODEL, COMMIT];
    let stage = stage("kinds", &kinds, &[]).await;
    let audit = &stage.audit;
    let torch = stage.thing(PYTORCH, "torch", json!({"spec": {}})).await;
    let dropped = stage.thing(PYTORCH, "dropped", json!({"spec": {}})).await;
    let odd = stage.thing(PYTORCH, "odd", json!({"spec": "what"})).await;
    let flow = stage.thing(WORKFLOW, "flow", json!({"spec": {}})).await;
    let ray = stage.thing(RAYJOB, "ray", json!({"spec": {}})).await;
    let cluster = stage.thing(RAYCLUSTER, "ray-cluster", json!({"metadata": ray.owns(), "spec": {}})).await;
    let book = stage.thing(NOTEBOOK, "book", json!({"spec": {}})).await;
    let model = stage.thing(MODEL, "model", json!({"spec": {}})).await;
    let commit = stage.thing(COMMIT, "save", json!({"spec": {"podName": "book-0", "image": "registry/book:2"}})).await;
    odd.status(json!({"conditions": {"Failed": true}, "startTime": 7, "replicaStatuses": "none"})).await;
    commit.status(json!({"phase": "Running", "startTime": at(0)})).await;
    ray.status(json!({"jobDeploymentStatus": "Initializing", "startTime": at(0)})).await;
    tell(
        audit,
        &[
            ("PyTorchJob/torch", &["queued"]),
            ("RayJob/ray", &["queued"]),
            ("Notebook/book", &["creating"]),
            ("Commit/save", &["image-saving"]),
        ],
    )
    .await;

    let start = at(0);
    torch.status(json!({"startTime": start, "conditions": [condition("Running", "True", "PyTorchJobRunning")]})).await;
    dropped
        .status(json!({"startTime": start, "conditions": [condition("Running", "True", "PyTorchJobRunning")]}))
        .await;
    let task = |name: &str, phase: &str| {
        json!({"id": name, "name": format!("flow.{name}"), "displayName": name,
        "type": "Pod", "phase": phase, "templateName": name, "startedAt": start, "finishedAt": at(0)})
    };
    flow.status(json!({"phase": "Running", "startedAt": start, "nodes": {"n1": task("prepare", "Succeeded")}})).await;
    ray.status(json!({"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "rayJobInfo": {"startTime": at(0)}}))
        .await;
    cluster
        .status(json!({"state": "ready", "conditions": [condition("HeadPodReady", "True", ""),
        condition("RayClusterProvisioned", "True", "")]}))
        .await;
    book.status(json!({"readyReplicas": 1, "containerState": {"running": {"startedAt": start}}})).await;
    model.status(json!({"imageBuildPhase": "ImageBuilding"})).await;
    commit.status(json!({"phase": "Succeeded", "completionTime": at(0)})).await;
    tell(
        audit,
        &[
            ("PyTorchJob/torch", &["queued", "running"]),
            ("PyTorchJob/dropped", &["queued", "running"]),
            ("Workflow/flow", &["succeeded"]),
            ("RayJob/ray", &["queued", "running"]),
            ("Notebook/book", &["creating", "running"]),
            ("ModelVersion/model", &["status-changed"]),
            ("Commit/save", &["image-saving", "image-saved"]),
        ],
    )
    .await;

    dropped.delete().await;
    torch
        .status(json!({"completionTime": at(0), "conditions": [condition("Failed", "True", "PyTorchJobFailed")]}))
        .await;
    flow.status(json!({"phase": "Failed", "finishedAt": at(0), "message": "child failed",
        "nodes": {"n2": task("train", "Failed")}}))
        .await;
    ray.status(json!({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED", "endTime": at(0)})).await;
    cluster.delete().await;
    let asked = at(0);
    book.patch(json!({"metadata": {"annotations": {"kubeflow-resource-stopped": asked}}})).await;
    model.status(json!({"imageBuildPhase": "ImageBuildSucceeded", "finishTime": at(0)})).await;
    model.patch(json!({"metadata": {"annotations": {"notification.pai.dev/approval": "Approved"}}})).await;
    tell(audit, &[("Notebook/book", &["creating", "running", "stopping"])]).await;
    book.status(json!({"readyReplicas": 0, "containerState": null})).await;
    tell_only(
        audit,
        &[
            ("PyTorchJob/torch", &["queued", "running", "failed"]),
            ("PyTorchJob/dropped", &["queued", "running", "stopped"]),
            ("Workflow/flow", &["succeeded", "failed", "failed"]),
            ("RayJob/ray", &["queued", "running", "stopped"]),
            ("Notebook/book", &["creating", "running", "stopping", "stopped"]),
            ("ModelVersion/model", &["status-changed", "status-changed", "approved"]),
            ("Commit/save", &["image-saving", "image-saved"]),
            ("PyTorchJob/odd", &["queued"]),
        ],
    )
    .await;
    let watched = stage.sources("True", "Watched").await;
    for kind in kinds {
        assert!(watched.contains(&kind.name()), "{} is missing in: {watched}", kind.name());
    }
}

#[tokio::test]
async fn a_trainjob_is_told_about_and_neither_its_jobset_nor_its_jobs_nor_its_pods() {
    let stage = stage("train", &[TRAIN, JOBSET, WORKLOAD], &[]).await;
    let audit = &stage.audit;
    let train = stage.thing(TRAIN, "nightly", json!({"spec": {}})).await;
    let queue =
        stage.thing(WORKLOAD, "nightly-queue", json!({"metadata": train.owns(), "spec": {"queueName": "gpu"}})).await;
    train.status(conditions(&[("Suspended", "True", "Suspended")])).await;
    queue.status(conditions(&[("QuotaReserved", "False", "Pending")])).await;
    tell(audit, &[("TrainJob/nightly", &["queued"])]).await;

    let set = stage
        .thing(JOBSET, "nightly", json!({"metadata": train.owns(), "spec": {"replicatedJobs": [{"name": "node"}]}}))
        .await;
    let template = json!({"metadata": {"annotations": {"sim.pai.dev/outcome": "run"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "train"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0, "template": template},
        "metadata": {"name": "nightly-node-0", "namespace": "train", "ownerReferences": set.owns()["ownerReferences"]}});
    stage.scene.apply(job).await;
    queue.status(conditions(&[("QuotaReserved", "True", ""), ("Admitted", "True", "")])).await;
    stage
        .scene
        .wait::<k8s_openapi::api::batch::v1::Job>("nightly-node-0", |job| {
            job.status.as_ref().is_some_and(|status| status.ready == Some(1))
        })
        .await;
    let ready = json!([{"name": "node", "ready": 1}]);
    set.status(json!({"replicatedJobsStatus": ready})).await;
    train.status(json!({"conditions": [condition("Suspended", "False", "Resumed")], "jobsStatus": ready})).await;
    tell(audit, &[("TrainJob/nightly", &["queued", "running"])]).await;

    set.status(json!({"restarts": 1})).await;
    tell(audit, &[("TrainJob/nightly", &["queued", "running", "fault-tolerance"])]).await;
    let evictions = json!({"evictions": [{"reason": "Preempted", "count": 1}]});
    queue
        .status(json!({"conditions": [condition("Evicted", "True", "Preempted")], "schedulingStats": evictions}))
        .await;
    tell(audit, &[("TrainJob/nightly", &["queued", "running", "fault-tolerance", "preempted"])]).await;
    queue.status(conditions(&[("QuotaReserved", "True", ""), ("Admitted", "True", "")])).await;

    stage.scene.delete_job("nightly-node-0").await;
    set.status(conditions(&[("Completed", "True", "AllJobsCompleted")])).await;
    train.status(json!({"conditions": [condition("Complete", "True", "AllJobsCompleted")], "jobsStatus": []})).await;
    let all: &[&str] = &["queued", "running", "fault-tolerance", "preempted", "succeeded"];
    tell(audit, &[("TrainJob/nightly", all)]).await;
    set.delete().await;
    queue.delete().await;
    train.delete().await;

    // One that is deleted while its parts run is stopped once.
    let other = stage.thing(TRAIN, "other", json!({"spec": {}})).await;
    let part = stage
        .thing(JOBSET, "other", json!({"metadata": other.owns(), "spec": {"replicatedJobs": [{"name": "node"}]}}))
        .await;
    part.status(json!({"replicatedJobsStatus": ready})).await;
    other.status(json!({"jobsStatus": ready})).await;
    tell(audit, &[("TrainJob/other", &["queued", "running"])]).await;
    other.delete().await;
    tell_only(audit, &[("TrainJob/nightly", all), ("TrainJob/other", &["queued", "running", "stopped"])]).await;
}

#[tokio::test]
async fn a_kind_is_watched_seconds_after_its_crd_was_installed_and_its_removal_is_no_event() {
    let (scene, _, _) = Scene::in_force("comes").await;
    let _ = TASKRUN.uninstall(&scene.admin).await;
    drop(scene);
    let stage = stage("comes", &[], &[]).await;
    TASKRUN.install(&stage.scene.admin).await.unwrap();
    let installed = Instant::now();
    stage.metrics_say("pai_notification_watch_up{kind=\"taskruns.tekton.dev\",reason=\"\"} 1").await;
    assert!(installed.elapsed() < Duration::from_secs(10), "watched only after {:?}", installed.elapsed());
    let run = stage.thing(TASKRUN, "build", json!({"spec": {}})).await;
    run.status(json!({"conditions": [condition("Succeeded", "True", "Succeeded")], "completionTime": at(0)})).await;
    tell(&stage.audit, &[("TaskRun/build", &["succeeded"])]).await;

    // Jobs tell of their deletion, so of these nothing must be told.
    let other = Foreign("kubeflow.org/v1", "XGBoostJob");
    other.install(&stage.scene.admin).await.unwrap();
    let mut expected: Vec<(String, &[&str])> = vec![("TaskRun/build".to_owned(), &["succeeded"])];
    for number in 0..10 {
        let job = stage.thing(other, &format!("boost-{number}"), json!({"spec": {}})).await;
        expected.push((job.subject(), &["queued"]));
    }
    let expected: Vec<(&str, &[&str])> = expected.iter().map(|(subject, told)| (subject.as_str(), *told)).collect();
    tell(&stage.audit, &expected).await;
    other.uninstall(&stage.scene.admin).await.unwrap();
    TASKRUN.uninstall(&stage.scene.admin).await.unwrap();
    tell_only(&stage.audit, &expected).await;
    let metrics = stage.operator.metrics().await.unwrap();
    assert!(
        !metrics.contains("xgboostjobs.kubeflow.org\",reason") && !metrics.contains("taskruns.tekton.dev\",reason")
    );
    stage.sources("True", "Watched").await;

    other.install(&stage.scene.admin).await.unwrap();
    stage.thing(other, "again", json!({"spec": {}})).await;
    tell(&stage.audit, &[("XGBoostJob/again", &["queued"])]).await;
}

#[tokio::test]
async fn a_forbidden_kind_and_a_broken_file_are_named_and_the_rest_works() {
    let catalog = tempfile::tempdir().unwrap();
    let broken = "group: example.com\nversions: [v1]\nkind: Broken\nplural: brokens\ndocs: https://example.com\nsource: DLCJob\ntransitions:\n- transition: Running\n  when: number(\n";
    std::fs::write(catalog.path().join("broken.yaml"), broken).unwrap();
    let experiment = "group: example.com\nversions: [v1]\nkind: Experiment\nplural: experiments\ndocs: https://example.com\nsource: DLCJob\ndeleted: Stopped\ntransitions:\n- transition: Running\n  when: status.phase == 'Running'\n";
    std::fs::write(catalog.path().join("experiment.yaml"), experiment).unwrap();
    let own = Foreign("example.com/v1", "Experiment");

    let (scene, _, _) = Scene::in_force("partly").await;
    let admin = scene.admin.clone();
    own.install(&admin).await.unwrap();
    drop(scene);
    let grant = |rules: Value| {
        let admin = admin.clone();
        async move {
            let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(admin);
            let patch = json!({"rules": rules});
            roles.patch("pai-notification", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
    };
    let stage = stage("partly", &[RAYJOB, RAYCLUSTER], &["--catalog", &catalog.path().display().to_string()]).await;
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(admin.clone());
    let all = serde_json::to_value(roles.get("pai-notification").await.unwrap().rules.unwrap()).unwrap();
    let said = stage.sources("False", "SourceForbidden").await;
    assert!(said.contains("experiments.example.com: let its ClusterRole"), "{said}");
    assert!(said.contains("broken.yaml:9: "), "{said}");
    assert!(stage.operator.logs().contains("broken.yaml:9: "));
    stage.metrics_say("pai_notification_watch_up{kind=\"experiments.example.com\",reason=\"forbidden\"} 0").await;
    let ray = stage.thing(RAYJOB, "ray", json!({"spec": {}})).await;
    let job = stage.thing(own, "mine", json!({"spec": {}})).await;
    job.status(json!({"phase": "Running"})).await;
    tell(&stage.audit, &[(&ray.subject(), &["queued"])]).await;

    let mut more = all.clone();
    more.as_array_mut()
        .unwrap()
        .push(json!({"apiGroups": ["example.com"], "resources": ["experiments"], "verbs": ["get", "list", "watch"]}));
    grant(more).await;
    let said = stage.sources("False", "InvalidCatalog").await;
    assert!(!said.contains("experiments"), "{said}");
    job.status(json!({"phase": "Running", "note": "seen"})).await;
    let second = stage.thing(own, "second", json!({"spec": {}})).await;
    second.status(json!({"phase": "Running"})).await;
    tell(&stage.audit, &[(&second.subject(), &["running"])]).await;
    own.uninstall(&admin).await.unwrap();
    grant(all).await;
}

#[tokio::test]
async fn what_happens_while_nobody_watches_is_told_once_and_what_was_told_before_is_not() {
    let stage = stage("away", &[PYTORCH, TRAIN, JOBSET], &[]).await;
    let running = || json!({"startTime": at(0), "conditions": [condition("Running", "True", "")]});
    let ends = stage.thing(PYTORCH, "ends", json!({"spec": {}})).await;
    let vanishes = stage.thing(PYTORCH, "vanishes", json!({"spec": {}})).await;
    let train = stage.thing(TRAIN, "train", json!({"spec": {}})).await;
    let set = stage.thing(JOBSET, "train", json!({"metadata": train.owns(), "spec": {"replicatedJobs": []}})).await;
    ends.status(running()).await;
    vanishes.status(running()).await;
    train.status(json!({"jobsStatus": [{"name": "node", "ready": 1}]})).await;
    let before: &[&str] = &["queued", "running"];
    tell(&stage.audit, &[("PyTorchJob/ends", before), ("PyTorchJob/vanishes", before), ("TrainJob/train", before)])
        .await;
    // The checkpoint is written every two seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let Stage { scene, audit, operator } = stage;
    operator.kill().await.unwrap();
    ends.status(json!({"completionTime": at(0), "conditions": [condition("Succeeded", "True", "")]})).await;
    ends.delete().await;
    vanishes.delete().await;
    set.status(json!({"restarts": 1})).await;
    let short = Thing::create(&scene.admin, PYTORCH, &scene.namespace, "short", json!({"spec": {}})).await;
    short.status(json!({"conditions": [condition("Failed", "True", "")]})).await;
    short.delete().await;
    let _operator = Operator::start(&scene.installed, &[]).await.unwrap();
    let expected: &[(&str, &[&str])] = &[
        ("PyTorchJob/ends", &["queued", "running", "succeeded"]),
        ("PyTorchJob/vanishes", &["queued", "running", "stopped"]),
        ("TrainJob/train", &["queued", "running", "fault-tolerance"]),
        ("PyTorchJob/short", &["queued", "failed"]),
    ];
    tell_only(&audit, expected).await;
}
