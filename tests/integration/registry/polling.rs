//! Registries that are asked.

use pai_notification::api::Workspace;
use serde_json::{Value, json};

use super::{call, tag};
use crate::model_registry::Registry;
use crate::robot::Inbox;
use crate::scene::{QUIET, SOON, Scene, is, wait};

/// Longer than two polls.
const POLLS: std::time::Duration = std::time::Duration::from_secs(25);

async fn healthy(scene: &Scene, status: &str, reason: &str) {
    wait(&kube::Api::<Workspace>::all(scene.admin.clone()), &scene.namespace, |workspace| {
        let conditions = workspace.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        is(conditions, "RegistriesHealthy", status, reason)
    })
    .await;
}

/// Waits for so many more polls.
async fn polled(registry: &Registry, more: usize) {
    let (before, deadline) = (registry.polls(), tokio::time::Instant::now() + 2 * SOON);
    while registry.polls() < before + more {
        assert!(tokio::time::Instant::now() < deadline, "the registry is not asked any more");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn texts(audit: &Inbox, count: usize) -> Vec<String> {
    let messages = audit.wait_for_exactly(count, SOON, QUIET).await.unwrap();
    messages.into_iter().map(|message| message.text).collect()
}

async fn rule(scene: &Scene, events: Value, labels: Value) {
    let source = json!({"type": "Model", "events": events, "names": ["iris/*"], "selector": {"matchLabels": labels}});
    scene.rule_with("models", json!({"sources": [source], "targets": [{"name": "audit"}]})).await;
}

#[tokio::test]
async fn an_approval_in_mlflow_is_told_once_over_restarts_and_outages_and_webhooks() {
    let (scene, _, audit) = Scene::in_force("polled").await;
    let mut registry = Registry::start(Some("t0ken")).await;
    for version in 1..=5 {
        registry.version("iris", &version.to_string(), 100 - version);
    }
    registry.version("other", "1", 50);
    registry.tag("iris", "5", "validation_status", "approved");
    let poll = json!({"url": registry.url(), "interval": "10s", "credentialsRef": {"name": "login"}});
    scene.secret("mlflow", json!({"secret": "s3cret"})).await;
    let mlflow = json!({"webhookSecretRef": {"name": "mlflow", "key": "secret"}, "poll": poll});
    scene.workspace(json!({"modelRegistry": {"mlflow": mlflow}})).await;
    rule(&scene, json!(["ModelVersionApproved"]), json!({})).await;
    let operator = scene.operator().await;
    scene.rule_ready("models").await;
    healthy(&scene, "False", "SecretNotFound").await;
    scene.secret("login", json!({"token": "wrong"})).await;
    healthy(&scene, "False", "RegistryRefused").await;
    scene.secret("login", json!({"token": "t0ken"})).await;
    healthy(&scene, "True", "Ready").await;

    // What was approved before anybody asked is not told: nobody knows when that was.
    registry.tag("iris", "3", "validation_status", "approved");
    registry.tag("other", "1", "validation_status", "approved");
    assert_eq!(texts(&audit, 1).await, ["ModelVersion/iris/3"]);
    let again = call(&operator, "polled", "s3cret", "d1", 0, &tag("approved")).await;
    assert_eq!((again.status, again.results()), (202, vec!["Duplicate"]), "{again:?}");
    let metrics = operator.metrics().await.unwrap();
    assert!(metrics.contains("pai_notification_registry_polls_total{registry=\"mlflow\",result=\"ok\"}"), "{metrics}");
    assert!(!operator.logs().contains("t0ken"));

    operator.kill().await.unwrap();
    registry.alias("iris", "champion", "2");
    let operator = scene.operator().await;
    assert_eq!(texts(&audit, 2).await[1], "ModelVersion/iris/2", "what was approved meanwhile, and nothing again");

    registry.close().await;
    healthy(&scene, "False", "RegistryUnreachable").await;
    registry.tag("iris", "4", "validation_status", "approved");
    registry.open().await;
    assert_eq!(texts(&audit, 3).await[2], "ModelVersion/iris/4");
    healthy(&scene, "True", "Ready").await;
    polled(&registry, 2).await;
    audit.wait_for_exactly(3, POLLS, QUIET).await.unwrap();
    assert!(!operator.logs().contains("panicked"));
}

#[tokio::test]
async fn a_kubeflow_registry_is_asked_for_states_and_approvals_by_the_leader_alone() {
    let (scene, _, audit) = Scene::in_force("kubeflow").await;
    let registry = Registry::start(None).await;
    for version in ["a", "b", "c"] {
        registry.version("iris", version, 60);
    }
    let approved = json!({"key": "stage-gate", "value": "passed"});
    let kubeflow = json!({"poll": {"url": registry.url(), "interval": "10s"}, "approvedProperty": approved});
    scene.workspace(json!({"modelRegistry": {"kubeflow": kubeflow}})).await;
    rule(&scene, json!([]), json!({"team": "vision"})).await;
    let first = scene.operator().await;
    scene.rule_ready("models").await;
    healthy(&scene, "True", "Ready").await;
    let standby = scene.operator().await;

    registry.tag("iris", "b", "stage-gate", "passed");
    assert_eq!(texts(&audit, 1).await, ["ModelVersion/iris/b"]);
    registry.status("iris", "c", "ARCHIVED");
    let messages = audit.wait_for_exactly(2, SOON, QUIET).await.unwrap();
    assert_eq!(messages[1].title, "pai.model.version.status-changed");
    let metrics = standby.metrics().await.unwrap();
    assert!(!metrics.contains("pai_notification_registry_polls_total"), "a standby asks nothing");

    first.kill().await.unwrap();
    registry.version("iris", "d", 0);
    let messages = audit.wait_for_exactly(3, 2 * SOON, QUIET).await.unwrap();
    assert_eq!(messages[2].text, "ModelVersion/iris/d", "the standby has taken over, and repeats nothing");
    let notices = scene.notices().await;
    assert!(notices.iter().all(|notice| notice.spec.event.subject.kind == "ModelVersion"));
}
