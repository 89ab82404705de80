//! Bad input gets a clear answer, loses nothing, never stops the rest, and recovers when mended.

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Patch, PatchParams};
use pai_notification::api::notice::DeliveryState;
use serde_json::json;

use crate::scene::{SOON, Scene, object};

#[tokio::test]
async fn the_api_server_refuses_what_one_object_can_decide() {
    let scene = Scene::new("refused").await;
    let namespace = Some("refused");
    let ding =
        json!({"webhook": {"url": "https://a.example"}, "signingKey": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let http = json!({"webhook": {"url": "https://a.example"}});
    let rule = |spec: serde_json::Value| object("NoticeRule", namespace, "r", spec);
    let target = |spec: serde_json::Value| object("EventTarget", namespace, "t", spec);
    let source = json!([{"type": "DLCJob"}]);
    let to = json!([{"name": "t"}]);
    let person = |more: serde_json::Value| {
        let mut person = json!({"name": "oncall"});
        person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        target(json!({"contacts": [person]}))
    };
    let gateway = |name: &str| object("Workspace", None, "refused", json!({"messageSettings": {name: {}}}));
    let table = [
        (person(json!({"phone": "+8613900000000", "methods": []})), "methods"),
        (person(json!({"phone": "+8613900000000", "methods": ["Fax"]})), "Fax"),
        (person(json!({"email": "a@example.com", "methods": ["VoiceCall"]})), "need a phone"),
        (person(json!({"phone": "+8613900000000", "methods": ["Email"]})), "needs an email"),
        (person(json!({"phone": "call me", "methods": ["TextMessage"]})), "such as +8613900000000"),
        (person(json!({"email": "not an address", "methods": ["Email"]})), "such as li@example.com"),
        (person(json!({"email": "a@example.com", "methods": ["Email", "Email"]})), "can stand once"),
        (target(json!({"contacts": []})), "contacts"),
        (target(json!({"lark": {"webhook": {"url": "ftp://a.example"}}})), "must start with http:// or https://"),
        (target(json!({"weCom": {"webhook": {"url": "https://a.example"}}, "http": http})), "exactly one channel"),
        (target(json!({"http": {"webhook": {"url": "https://a.example"}, "body": "Xml"}})), "Xml"),
        (gateway("textMessage"), "exactly one gateway"),
        (gateway("email"), "smtp"),
        (object("Workspace", None, "refused", json!({"consoleUrl": "javascript:alert(1)"})), "must start with http"),
        (target(json!({})), "exactly one channel is needed"),
        (target(json!({"dingTalk": ding, "http": http})), "exactly one channel is needed"),
        (target(json!({"http": {"webhook": {"url": "a.example/x"}}})), "must start with http:// or https://"),
        (target(json!({"http": {"webhook": {}}})), "exactly one of url and secretKeyRef"),
        (target(json!({"http": http, "nope": 1})), "nope"),
        (target(json!({"dingTalk": {"webhook": {"url": "https://a.example"}}})), "signingKey"),
        (target(json!({"http": http, "delivery": {"timeout": "5m"}})), "between 1s and 60s"),
        (
            target(json!({"http": {"webhook": {"url": "https://a.example"}, "headers": [{"name": "a"}]}})),
            "exactly one of value and secretKeyRef",
        ),
        (rule(json!({"sources": [], "targets": to})), "sources"),
        (rule(json!({"sources": source, "targets": []})), "targets"),
        (rule(json!({"sources": [{"type": "Nope"}], "targets": to})), "Nope"),
        (
            rule(json!({"sources": [{"type": "DLCJob", "events": ["TaskFailed"]}], "targets": to})),
            "must belong to the source",
        ),
        (rule(json!({"sources": source, "targets": [{"name": "t"}, {"name": "t"}]})), "only once"),
        (
            object("Workspace", None, "a-name-that-is-much-too-long-for-a-workspace-to-have-it", json!({})),
            "52 characters",
        ),
        (object("Workspace", None, "refused", json!({"quota": {"targetsPerRule": 101}})), "100"),
        (object("Workspace", None, "refused", json!({"retention": {"notices": "banana"}})), "must be a duration"),
        (object("Workspace", None, "refused", json!({"retention": {"notices": "0s"}})), "at least 1s"),
    ];
    for (object, expected) in table {
        let error = scene.refused(object.clone()).await;
        assert!(error.contains(expected), "{object}: {error}");
    }
    scene.workspace(json!({"namespace": "refused"})).await;
    let error = scene.refused(object("Workspace", None, "refused", json!({"namespace": "other"}))).await;
    assert!(error.contains("immutable"), "{error}");
}

#[tokio::test]
async fn a_broken_rule_is_broken_alone_and_recovers_when_mended() {
    let (scene, _, audit) = Scene::in_force("broken").await;
    let _operator = scene.operator().await;
    let with = |more: serde_json::Value| {
        let mut spec =
            json!({"sources": [{"type": "DLCJob", "events": ["JobFinished"]}], "targets": [{"name": "audit"}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    scene.rule_with("good", with(json!({}))).await;
    scene.rule_with("filter", with(json!({"sources": [{"type": "DLCJob", "filter": "event.reason =="}]}))).await;
    scene.rule_with("template", with(json!({"template": {"body": "a\n{{ event.nope }}"}}))).await;
    scene.rule_with("missing", with(json!({"targets": [{"name": "nowhere"}]}))).await;
    scene
        .rule_with("fails", with(json!({"sources": [{"type": "DLCJob", "filter": "subject.labels['nope'] == 'x'"}]})))
        .await;
    let message = scene.rule_not_ready("filter", "InvalidSource").await;
    assert!(message.contains("spec.sources[0].filter, line 1, column"), "{message}");
    let message = scene.rule_not_ready("template", "InvalidTemplate").await;
    assert!(message.contains("spec.template.body, line 2: there is no variable event.nope"), "{message}");
    let message = scene.rule_not_ready("missing", "NoActiveTarget").await;
    assert!(message.contains("no EventTarget nowhere in namespace broken"), "{message}");
    scene.rule_ready("good").await;
    scene.rule_ready("fails").await;
    scene.job("a", json!({}), json!({})).await;
    audit.wait_for(1, SOON).await.unwrap();
    let notice = &scene.all_settled(1).await[0];
    assert_eq!(notice.spec.deliveries[0].rules, ["good"]);
    let failing = scene
        .wait::<pai_notification::api::NoticeRule>("fails", |r| {
            r.status.as_ref().is_some_and(|s| s.filter_errors.is_some())
        })
        .await;
    assert!(failing.status.unwrap().filter_errors.unwrap().count > 0);

    scene.rule_with("filter", with(json!({"sources": [{"type": "DLCJob", "filter": "event.reason == 'x'"}]}))).await;
    scene.rule_ready("filter").await;
    scene.endpoint_target("nowhere").await;
    scene.rule_ready("missing").await;
}

#[tokio::test]
async fn a_target_without_its_secret_waits_for_it_and_loses_nothing() {
    let (scene, robot, _) = Scene::in_force("nosecret").await;
    let _operator = scene.operator().await;
    let reference = |key: &str| json!({"secretKeyRef": {"name": "later", "key": key}});
    scene
        .target("oncall", json!({"dingTalk": {"webhook": reference("url"), "signingKey": reference("signing-key")}}))
        .await;
    let message = scene.target_is("oncall", "SecretNotFound").await;
    assert!(message.contains("spec.dingTalk.") && message.contains("Secret later"), "{message}");
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_not_ready("ends", "NoActiveTarget").await;
    scene.job("a", json!({}), json!({})).await;
    scene.delivery("a", "oncall", |d| d.state == DeliveryState::Pending).await;
    scene.secret("later", json!({"url": robot.url()})).await;
    let message = scene.target_is("oncall", "SecretKeyMissing").await;
    assert!(message.contains("has no key signing-key"), "{message}");
    scene.secret("later", json!({"url": robot.url(), "signing-key": crate::scene::KEY})).await;
    robot.wait_for_exactly(1, SOON, crate::scene::QUIET).await.unwrap();
}

#[tokio::test]
async fn a_job_with_a_strange_status_stops_nothing() {
    let (scene, _, audit) = Scene::in_force("strange").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    // A Job that another controller looks after may hold whatever its schema allows.
    scene.job("odd", json!({}), json!({"managedBy": "example.com/other"})).await;
    let status = json!({"status": {"conditions": [
        {"type": "Unheard", "status": "Perhaps", "reason": "?", "message": "\u{1F680}"},
        {"type": "FailureTarget", "status": "True", "reason": "SomethingNew", "message": "x"},
        {"type": "Failed", "status": "True", "reason": "SomethingNew", "message": "x"}],
        "startTime": "2026-01-01T00:00:00Z"}});
    scene.api::<Job>().patch_status("odd", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    scene.job("plain", json!({}), json!({})).await;
    let messages = audit.wait_for_exactly(2, SOON, crate::scene::QUIET).await.unwrap();
    assert!(messages.iter().any(|m| m.text == "Job/odd") && messages.iter().any(|m| m.text == "Job/plain"));
    let notices = scene.notices().await;
    let odd = notices.iter().find(|n| n.spec.event.subject.name == "odd").unwrap();
    assert_eq!(odd.spec.event.reason, "SomethingNew");
    drop(operator);
}
