//! What a model registry tells: the webhook of an MLflow, and registries that are asked.

mod polling;

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use pai_notification::api::EventBus;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bus::{Reply, send};
use crate::install::Operator;
use crate::scene::{QUIET, SOON, Scene, is};

/// Calls the bus as an MLflow does whose webhook has this secret.
async fn call(operator: &Operator, workspace: &str, secret: &str, delivery: &str, age: i64, body: &Value) -> Reply {
    let timestamp = (jiff::Timestamp::now().as_second() - age).to_string();
    let body = body.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{delivery}.{timestamp}.{body}").as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-mlflow-delivery-id", delivery),
        ("x-mlflow-timestamp", &timestamp),
        ("x-mlflow-signature", &format!("v1,{signature}")),
    ];
    send(operator.bus(), workspace, "mlflow", &headers, body).await
}

fn tag(value: &str) -> Value {
    json!({"entity": "model_version_tag", "action": "set", "timestamp": jiff::Timestamp::now().to_string(),
        "data": {"name": "iris", "version": "3", "key": "validation_status", "value": value}})
}

#[tokio::test]
async fn a_signed_call_of_mlflow_is_an_event_of_a_model_version_and_an_unsigned_one_is_refused() {
    let (scene, _, audit) = Scene::in_force("registry").await;
    let spec = json!({"modelRegistry": {"mlflow": {"webhookSecretRef": {"name": "mlflow", "key": "secret"}}}});
    scene.workspace(spec).await;
    let approvals =
        json!({"sources": [{"type": "Model", "events": ["ModelVersionApproved"]}], "targets": [{"name": "audit"}]});
    scene.rule_with("approvals", approvals).await;
    let operator = scene.operator().await;
    scene.rule_ready("approvals").await;

    // Before the Secret is there, no signature holds, and the bus says why.
    let early = call(&operator, "registry", "s3cret", "d0", 0, &tag("approved")).await;
    assert_eq!((early.status, early.reason()), (401, "Unauthenticated"), "{early:?}");
    bus_is(&scene, "False", "SecretNotFound").await;
    scene.secret("mlflow", json!({"secret": "s3cret"})).await;
    bus_is(&scene, "True", "Ready").await;

    for (workspace, secret, age) in [
        ("registry", "wrong", 0),
        ("registry", "s3cret", 600),
        ("registry", "s3cret", -600),
        ("elsewhere", "s3cret", 0),
    ] {
        let reply = call(&operator, workspace, secret, "d1", age, &tag("approved")).await;
        assert_eq!((reply.status, reply.reason()), (401, "Unauthenticated"), "{workspace} {secret} {age}: {reply:?}");
    }
    for (delivery, body, result) in [
        ("d1", tag("approved"), "Stored"),
        ("d1", tag("approved"), "Duplicate"),
        ("d2", tag("rejected"), "Unmatched"),
        ("d3", json!({"entity": "registered_model", "action": "created", "data": {"name": "iris"}}), "Ignored"),
    ] {
        let reply = call(&operator, "registry", "s3cret", delivery, 0, &body).await;
        assert_eq!((reply.status, reply.results()), (202, vec![result]), "{reply:?}");
    }
    let messages = audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(messages[0].text, "ModelVersion/iris/3");
}

async fn bus_is(scene: &Scene, status: &str, reason: &str) {
    scene
        .wait::<EventBus>("pai-system-registry", |bus| {
            let conditions = bus.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            is(conditions, "WebhookReady", status, reason)
        })
        .await;
}
