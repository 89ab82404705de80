//! What real Jobs and Pods go through on a real control plane, told once each.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;

use crate::robot::Inbox;
use crate::scene::{SOON, Scene};

/// The transitions that the endpoint was told of a subject, in order.
fn told(audit: &Inbox, subject: &str) -> Vec<String> {
    let of_subject = audit.messages().into_iter().filter(|message| message.text == subject);
    of_subject.map(|message| message.title.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

async fn tells(audit: &Inbox, subject: &str, expected: &[&str]) {
    let deadline = tokio::time::Instant::now() + SOON;
    while told(audit, subject).len() < expected.len() {
        assert!(tokio::time::Instant::now() < deadline, "{subject} told {:?}, not {expected:?}", told(audit, subject));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(told(audit, subject), expected, "{subject}");
}

async fn everything(namespace: &str) -> (Scene, Inbox, crate::install::Operator) {
    let (scene, _, audit) = Scene::in_force(namespace).await;
    let operator = scene.operator().await;
    let sources = json!([{"type": "DLCJob"}, {"type": "DSWInstance"}, {"type": "FlowTask"}]);
    scene.rule_with("all", json!({"sources": sources, "targets": [{"name": "audit"}]})).await;
    scene.rule_ready("all").await;
    (scene, audit, operator)
}

async fn running(scene: &Scene, job: &str) {
    scene.wait::<Job>(job, |job| job.status.as_ref().is_some_and(|status| status.ready.unwrap_or(0) > 0)).await;
}

#[tokio::test]
async fn jobs_of_every_kind_of_life_tell_exactly_what_they_went_through() {
    let (scene, audit, _operator) = everything("lives").await;
    scene.job("well", json!({"run-for": "2s"}), json!({})).await;
    scene
        .job("badly", json!({"outcome": "fail", "run-for": "2s", "exit-code": "137", "reason": "OOMKilled"}), json!({}))
        .await;
    scene.job("late", json!({"outcome": "run"}), json!({"activeDeadlineSeconds": 3})).await;
    scene.job("vanishes", json!({"run-for": "2s"}), json!({"ttlSecondsAfterFinished": 0})).await;
    scene.job("dropped", json!({"outcome": "run"}), json!({})).await;
    scene
        .job(
            "restarts",
            json!({"restarts": "1", "run-for": "2s"}),
            json!({"backoffLimit": 3,
        "template": {"metadata": {"annotations": {"sim.pai.dev/restarts": "1", "sim.pai.dev/run-for": "2s"}},
                     "spec": {"restartPolicy": "OnFailure", "containers": [{"name": "train", "image": "train"}]}}}),
        )
        .await;
    running(&scene, "dropped").await;
    scene.delete_job("dropped").await;
    tells(&audit, "Job/well", &["queued", "running", "succeeded"]).await;
    tells(&audit, "Job/badly", &["queued", "running", "failed"]).await;
    tells(&audit, "Job/late", &["queued", "running", "failed"]).await;
    tells(&audit, "Job/vanishes", &["queued", "running", "succeeded"]).await;
    tells(&audit, "Job/dropped", &["queued", "running", "stopped"]).await;
    tells(&audit, "Job/restarts", &["queued", "running", "fault-tolerance", "succeeded"]).await;
    let notices = scene.notices().await;
    let find = |name: &str, transition: &str| {
        let found = notices
            .iter()
            .find(|n| n.spec.event.subject.name == name && n.spec.event.transition.as_str() == transition);
        found.unwrap_or_else(|| panic!("no {transition} of {name}")).spec.event.clone()
    };
    let badly = find("badly", "Failed");
    assert_eq!(badly.data["exitCode"], 137);
    assert_eq!(badly.data["podReason"], "OOMKilled");
    let late = find("late", "Failed");
    assert!(late.events.iter().any(|event| event.as_str() == "JobTimeout"), "{:?}", late.events);
    assert_eq!(late.reason, "DeadlineExceeded");
}

#[tokio::test]
async fn suspension_by_hand_stops_and_under_kueue_queues() {
    let (scene, audit, _operator) = everything("suspends").await;
    scene.job("byhand", json!({"outcome": "run"}), json!({})).await;
    running(&scene, "byhand").await;
    scene.patch::<Job>("byhand", json!({"spec": {"suspend": true}})).await;
    tells(&audit, "Job/byhand", &["queued", "running", "stopped"]).await;
    scene.patch::<Job>("byhand", json!({"spec": {"suspend": false}})).await;
    tells(&audit, "Job/byhand", &["queued", "running", "stopped", "running"]).await;

    scene.job("kueue", json!({"outcome": "run"}), json!({"suspend": true})).await;
    scene.patch::<Job>("kueue", json!({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}})).await;
    tells(&audit, "Job/kueue", &["queued"]).await;
    scene.patch::<Job>("kueue", json!({"spec": {"suspend": false}})).await;
    tells(&audit, "Job/kueue", &["queued", "running"]).await;
    scene.patch::<Job>("kueue", json!({"spec": {"suspend": true}})).await;
    tells(&audit, "Job/kueue", &["queued", "running", "queued"]).await;
}

#[tokio::test]
async fn a_preempted_pod_is_told_once_and_its_job_goes_on() {
    let (scene, audit, _operator) = everything("preempts").await;
    scene.job("victim", json!({"outcome": "preempt", "run-for": "2s"}), json!({"backoffLimit": 6})).await;
    let deadline = tokio::time::Instant::now() + SOON;
    while !told(&audit, "Job/victim").contains(&"preempted".to_owned()) {
        assert!(tokio::time::Instant::now() < deadline, "told {:?}", told(&audit, "Job/victim"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(&audit, "Job/victim")[..3], ["queued", "running", "preempted"]);
    scene.delete_job("victim").await;
}

#[tokio::test]
async fn a_labelled_pod_is_a_notebook_and_an_unlabelled_one_is_nothing() {
    let (scene, audit, _operator) = everything("notebooks").await;
    let pod = |name: &str, labels: serde_json::Value, outcome: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "notebooks", "labels": labels,
                "annotations": {"sim.pai.dev/outcome": outcome, "sim.pai.dev/run-for": "2s"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "nb", "image": "nb"}]}})
    };
    let label = json!({"notification.pai.dev/source": "DSWInstance"});
    scene.apply(pod("book", label.clone(), "run")).await;
    scene.apply(pod("crashes", label, "fail")).await;
    scene.apply(pod("plain", json!({}), "run")).await;
    let pods = scene.api::<Pod>();
    scene.wait::<Pod>("book", |pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"))).await;
    pods.delete("book", &DeleteParams::default()).await.unwrap();
    tells(&audit, "Pod/book", &["creating", "running", "stopping", "stopped"]).await;
    tells(&audit, "Pod/crashes", &["creating", "running", "failed"]).await;
    assert!(told(&audit, "Pod/plain").is_empty());
    pods.delete("plain", &DeleteParams::default()).await.unwrap();
}
