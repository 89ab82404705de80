//! Publishing on a workspace's event bus.

use std::time::Duration;

use pai_notification::api::EventBus;
use pai_notification::api::event_bus::EventBusCounters;
use serde_json::{Value, json};

use crate::install::{Operator, apply_all, in_repository};
use crate::robot::Inbox;
use crate::scene::{QUIET, SOON, Scene};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// A workspace in force whose rule wants every event of jobs and models, and an operator.
struct Published {
    scene: Scene,
    operator: Operator,
    audit: Inbox,
    /// Of a ServiceAccount that may publish.
    token: String,
}

impl Published {
    async fn new(namespace: &str) -> Self {
        let (scene, _, audit) = Scene::in_force(namespace).await;
        scene
            .rule_with(
                "all",
                json!({"sources": [{"type": "DLCJob"}, {"type": "Model"}], "targets": [{"name": "audit"}]}),
            )
            .await;
        let operator = scene.operator().await;
        scene.rule_ready("all").await;
        let token = publisher(&scene).await;
        Self { scene, operator, audit, token }
    }

    async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Reply {
        let headers = [("content-type", content_type), ("authorization", &format!("Bearer {}", self.token))];
        self.send(&self.scene.namespace, "events", &headers, body).await
    }

    async fn publish(&self, event: &Value) -> Reply {
        self.post(STRUCTURED, event.to_string()).await
    }

    async fn send(
        &self,
        workspace: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        send(self.operator.bus(), workspace, path, headers, body).await
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    retry_after: Option<u64>,
    body: Value,
}

impl Reply {
    pub fn results(&self) -> Vec<&str> {
        let events = self.body["events"].as_array();
        events.into_iter().flatten().map(|event| event["result"].as_str().unwrap_or_default()).collect()
    }

    pub fn reason(&self) -> &str {
        self.body["error"]["reason"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

pub async fn send(
    bus: &str,
    workspace: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Reply {
    let url = format!("http://{bus}/v1/workspaces/{workspace}/{path}");
    let mut request = reqwest::Client::new().post(url).timeout(Duration::from_secs(90)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    let text = response.text().await.unwrap();
    Reply { status, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// A token of the ServiceAccount that `examples/7-publisher.yaml` lets publish.
async fn publisher(scene: &Scene) -> String {
    let namespace = &scene.namespace;
    let example = std::fs::read_to_string(in_repository("examples/7-publisher.yaml")).unwrap();
    apply_all(&scene.admin, &example.replace("vision", namespace)).await.unwrap();
    scene.cluster.service_account_token(namespace, "ci").await.unwrap()
}

/// A token of a ServiceAccount that may do nothing.
async fn stranger(scene: &Scene) -> String {
    let metadata = json!({"name": "stranger", "namespace": scene.namespace});
    scene.apply(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})).await;
    scene.cluster.service_account_token(&scene.namespace, "stranger").await.unwrap()
}

fn failed(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/ci/pipelines/7", "type": "pai.dlc.job.failed",
        "subject": format!("Job/train-{id}"), "data": {"reason": "OOMKilled", "message": "no memory was left"}})
}

#[tokio::test]
async fn what_is_published_with_the_right_is_stored_delivered_and_recognised_when_it_comes_again() {
    let bus = Published::new("publish").await;
    let reply = bus.publish(&failed("1")).await;
    assert_eq!((reply.status, reply.results()), (202, vec!["Stored"]), "{reply:?}");
    let notices = bus.scene.notices().await;
    assert_eq!(notices.len(), 1, "stored before the answer");
    assert_eq!(reply.body["events"][0]["notice"], json!(notices[0].metadata.name));
    let messages = bus.audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(messages[0].text, "Job/train-1");

    for event in [failed("1"), {
        let mut changed = failed("1");
        changed["data"]["message"] = json!("another text");
        changed
    }] {
        let again = bus.publish(&event).await;
        assert_eq!((again.status, again.results()), (202, vec!["Duplicate"]), "{again:?}");
    }
    let unmatched = bus
        .publish(&json!({"specversion": "1.0", "id": "n1", "source": "/n", "type": "pai.dsw.instance.running",
            "subject": "note"}))
        .await;
    assert_eq!((unmatched.status, unmatched.results()), (202, vec!["Unmatched"]));

    let headers = [
        ("authorization", format!("Bearer {}", bus.token)),
        ("content-type", "application/json".to_owned()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", "b1".to_owned()),
        ("ce-source", "/binary".to_owned()),
        ("ce-type", "pai.model.version.approved".to_owned()),
        ("ce-subject", "iris/3".to_owned()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let binary = bus.send("publish", "events", &headers, r#"{"message": "looks good"}"#).await;
    assert_eq!((binary.status, binary.results()), (202, vec!["Stored"]), "{binary:?}");
    bus.audit.wait_for_exactly(2, SOON, QUIET).await.unwrap();

    let expected = EventBusCounters { accepted: 5, matched: 2, duplicates: 2, refused: 0 };
    let stored = bus
        .scene
        .wait::<EventBus>("pai-system-publish", |bus| {
            bus.status.as_ref().and_then(|status| status.counters) == Some(expected)
        })
        .await;
    let address = stored.status.unwrap().address.unwrap();
    assert!(address.ends_with("/v1/workspaces/publish/events"), "{address}");
    let metrics = bus.operator.metrics().await.unwrap();
    assert!(metrics.contains("pai_notification_bus_requests_total{code=\"202\"} 5"), "{metrics}");
}

#[tokio::test]
async fn who_may_not_publish_is_refused_and_learns_nothing_of_other_workspaces() {
    let bus = Published::new("refused").await;
    let stranger = stranger(&bus.scene).await;
    let event = failed("1").to_string();
    let attempt = async |workspace: &str, token: Option<&str>| {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", STRUCTURED)];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        bus.send(workspace, "events", &headers, event.clone()).await
    };
    for (workspace, token, status, reason) in [
        ("refused", None, 401, "Unauthenticated"),
        ("refused", Some("no-token"), 401, "Unauthenticated"),
        ("elsewhere", None, 401, "Unauthenticated"),
        ("refused", Some(stranger.as_str()), 403, "Forbidden"),
        ("elsewhere", Some(stranger.as_str()), 403, "Forbidden"),
        ("elsewhere", Some(bus.token.as_str()), 403, "Forbidden"),
    ] {
        let reply = attempt(workspace, token).await;
        assert_eq!((reply.status, reply.reason()), (status, reason), "{workspace}: {reply:?}");
    }
    let known = attempt("refused", Some(&stranger)).await.message().replace("refused", "W");
    let unknown = attempt("elsewhere", Some(&stranger)).await.message().replace("elsewhere", "W");
    assert_eq!(known, unknown);

    // The other workspace is there, and the right for one is none for the other.
    bus.scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})).await;
    bus.scene
        .apply(crate::scene::object("Workspace", None, "elsewhere", json!({"activate": true, "grantAccess": true})))
        .await;
    let buses: kube::Api<EventBus> = kube::Api::namespaced(bus.scene.admin.clone(), "elsewhere");
    crate::scene::wait(&buses, "pai-system-elsewhere", |bus| {
        bus.status.as_ref().is_some_and(|status| status.address.is_some())
    })
    .await;
    let reply = attempt("elsewhere", Some(&bus.token)).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(attempt("refused", Some(&bus.token)).await.status, 202);
    bus.audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
}

#[tokio::test]
async fn malformed_events_are_refused_with_advice_and_none_of_a_batch_is_stored_with_them() {
    let bus = Published::new("malformed").await;
    let with = |field: &str, value: Value| {
        let mut event = failed("1");
        if value.is_null() {
            event.as_object_mut().unwrap().remove(field);
        } else {
            event[field] = value;
        }
        event.to_string()
    };
    let long = with("data", json!({"message": "x".repeat(300 * 1024)}));
    for (content_type, body, status, advice) in [
        (STRUCTURED, with("id", Value::Null), 400, "id is missing"),
        (STRUCTURED, with("time", json!("yesterday")), 400, "RFC 3339"),
        (STRUCTURED, with("time", json!("2020-08-17T16:04:46.149Asia/Shanghai")), 400, "RFC 3339"),
        (STRUCTURED, with("type", json!("pai.dlc.job.exploded")), 400, "pai.dlc.job.failed"),
        (STRUCTURED, with("data", json!({"reason": 1})), 400, "data.reason"),
        (STRUCTURED, "{".to_owned(), 400, "no JSON"),
        (STRUCTURED, long, 413, "256 KiB"),
        (BATCH, json!([failed("1"), {"id": "2"}]).to_string(), 400, "event 1 of the batch"),
        ("application/cloudevents+xml", "<event/>".to_owned(), 415, "application/cloudevents+json"),
        ("text/plain", "hello".to_owned(), 400, "application/cloudevents+json"),
    ] {
        let reply = bus.post(content_type, body).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.message().contains(advice), "{advice}: {reply:?}");
    }
    assert!(bus.scene.notices().await.is_empty());
}

#[tokio::test]
async fn a_thousand_in_one_batch_are_stored_each_once_and_paid_for_by_waiting() {
    let bus = Published::new("thousand").await;
    // One of a kind that nobody is told of, so that a thousand messages need not go out.
    let mut events: Vec<Value> = (0..998).map(|number| failed(&format!("{}", number / 2))).collect();
    events.truncate(998);
    for event in &mut events {
        event["type"] = json!("pai.dsw.instance.running");
    }
    events.push(failed("a"));
    events.push(failed("a"));
    let reply = bus.post(BATCH, Value::from(events.clone()).to_string()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let results = reply.results();
    assert_eq!(results.len(), 1000);
    assert!(results[..998].iter().all(|result| *result == "Unmatched"));
    assert_eq!(results[998..], ["Stored", "Duplicate"]);
    bus.audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();

    let limited = bus.publish(&failed("b")).await;
    assert_eq!((limited.status, limited.reason()), (429, "TooManyRequests"), "{limited:?}");
    assert!(limited.retry_after.is_some_and(|seconds| (1..=20).contains(&seconds)), "{limited:?}");
}

#[tokio::test]
async fn a_batch_of_notices_is_stored_before_the_answer() {
    let bus = Published::new("stored").await;
    let events: Vec<Value> = (0..150).map(|number| failed(&format!("{number}"))).collect();
    let reply = bus.post(BATCH, Value::from(events).to_string()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(reply.results().iter().all(|result| *result == "Stored"), "{reply:?}");
    assert_eq!(bus.scene.notices().await.len(), 150);
}

#[tokio::test]
async fn what_was_answered_by_202_is_delivered_though_the_operator_is_killed_at_once() {
    let Published { scene, operator, audit, token } = Published::new("killed").await;
    let headers = [("content-type", BATCH), ("authorization", &format!("Bearer {token}"))];
    let events: Vec<Value> = (0..40).map(|number| failed(&format!("{number}"))).collect();
    let batch = Value::from(events).to_string();
    let reply = send(operator.bus(), "killed", "events", &headers, batch.clone()).await;
    operator.kill().await.unwrap();
    assert_eq!(reply.status, 202, "{reply:?}");
    let operator = scene.operator().await;
    scene.all_settled(40).await;
    let again = send(operator.bus(), "killed", "events", &headers, batch).await;
    assert!(again.results().iter().all(|result| *result == "Duplicate"), "{again:?}");
    let ids: std::collections::BTreeSet<_> = audit.messages().into_iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 40, "each was sent; what was on its way at the kill may be sent twice, under one id");
}

#[tokio::test]
async fn a_standby_takes_events_in_and_the_leader_delivers_them() {
    let bus = Published::new("standby").await;
    let standby = bus.scene.operator().await;
    let headers = [("content-type", STRUCTURED), ("authorization", &format!("Bearer {}", bus.token))];
    let reply = send(standby.bus(), "standby", "events", &headers, failed("1").to_string()).await;
    assert_eq!((reply.status, reply.results()), (202, vec!["Stored"]), "{reply:?}");
    let messages = bus.audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(messages[0].text, "Job/train-1");
    let again = bus.publish(&failed("1")).await;
    assert_eq!(again.results(), ["Duplicate"], "the other replica recognises it");
    assert!(!standby.logs().contains("panicked"));
}

#[tokio::test]
async fn what_comes_back_from_a_receiver_is_recognised() {
    let bus = Published::new("round").await;
    bus.scene.job("bad", json!({"outcome": "fail"}), json!({})).await;
    let deadline = tokio::time::Instant::now() + SOON;
    let sent = loop {
        let messages = bus.audit.messages();
        if let Some(failure) = messages.iter().find(|message| message.title == "pai.dlc.job.failed") {
            break failure.body.clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "{messages:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let before = bus.scene.notices().await.len();
    let reply = bus.publish(&sent).await;
    assert_eq!((reply.status, reply.results()), (202, vec!["Duplicate"]), "{reply:?}");
    assert_eq!(bus.scene.notices().await.len(), before);
}

#[tokio::test]
async fn with_a_certificate_the_bus_speaks_tls_alone() {
    let (scene, _, audit) = Scene::in_force("secured").await;
    scene.rule("all", &[], &["audit"]).await;
    let file = |name: &str| in_repository("tests/fixtures/tls").join(name).display().to_string();
    let (certificate, key) = (file("first.crt"), file("first.key"));
    let args = ["--bus-tls-cert", certificate.as_str(), "--bus-tls-key", key.as_str()];
    let operator = Operator::start(&scene.installed, &args).await.unwrap();
    scene.rule_ready("all").await;
    let token = publisher(&scene).await;
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let post = |scheme: &str| {
        let url = format!("{scheme}://{}/v1/workspaces/secured/events", operator.bus());
        let request = client.post(url).bearer_auth(&token).header("content-type", STRUCTURED);
        request.body(failed("1").to_string()).send()
    };
    assert!(post("http").await.is_err());
    assert_eq!(post("https").await.unwrap().status(), 202);
    audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    let bus = scene.wait::<EventBus>("pai-system-secured", |bus| bus.status.is_some()).await;
    assert!(bus.status.unwrap().address.unwrap().starts_with("https://"));
}

#[tokio::test]
async fn what_is_published_while_the_api_server_is_away_is_stored_or_refused_and_never_lost() {
    let bus = Published::new("away").await;
    assert_eq!(bus.publish(&failed("1")).await.status, 202);
    bus.scene.cluster.stop_apiserver().unwrap();
    let event = failed("2");
    let (reply, restarted) = tokio::join!(bus.publish(&event), bus.scene.cluster.start_apiserver());
    restarted.unwrap();
    let reply = match reply.status {
        202 => reply,
        503 => {
            assert!(reply.retry_after.is_some(), "{reply:?}");
            bus.publish(&event).await
        }
        _ => panic!("{reply:?}"),
    };
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(["Stored", "Duplicate"].contains(&reply.results()[0]), "{reply:?}");
    bus.audit.wait_for_exactly(2, SOON, QUIET).await.unwrap();
}
