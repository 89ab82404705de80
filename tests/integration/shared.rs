//! A target that another namespace's rules may name, and one that they may not.

use pai_notification::api::notice::DeliveryState;
use pai_notification::api::{EventTarget, NoticeRule};
use serde_json::json;

use crate::scene::{SOON, Scene, message, object};

#[tokio::test]
async fn a_target_gets_events_of_the_namespaces_that_it_is_shared_with_and_of_no_others() {
    let (scene, robot, _) = Scene::in_force("shared-from").await;
    // A second namespace, which has the robot; the first one's rule names it.
    let home = "shared-home";
    scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})).await;
    scene.apply(object("Workspace", None, home, json!({"activate": true, "grantAccess": true}))).await;
    let key = json!({"url": robot.url(), "signing-key": crate::scene::KEY});
    scene
        .apply(json!({"apiVersion": "v1", "kind": "Secret", "stringData": key,
        "metadata": {"name": "robot", "namespace": home}}))
        .await;
    let reference = |key: &str| json!({"secretKeyRef": {"name": "robot", "key": key}});
    let spec = json!({"dingTalk": {"webhook": reference("url"), "signingKey": reference("signing-key")}});
    scene.apply(object("EventTarget", Some(home), "central", spec.clone())).await;
    let _operator = scene.operator().await;
    let rule = json!({"sources": [{"type": "DLCJob", "events": ["JobFinished"]}],
        "targets": [{"name": "central", "namespace": home}]});
    scene.rule_with("ends", rule).await;
    let why = scene.rule_not_ready("ends", "NoActiveTarget").await;
    assert!(why.contains("shared-home/central") && why.contains("spec.sharedWith"), "{why}");

    let mut shared = spec;
    shared["sharedWith"] = json!(["shared-from"]);
    scene.apply(object("EventTarget", Some(home), "central", shared)).await;
    let rule = scene.rule_ready("ends").await;
    assert_eq!(rule.status.unwrap().targets[0].name, "shared-home/central");
    scene.job("a", json!({}), json!({})).await;
    let delivery = scene.delivery("a", "shared-home/central", |d| d.state == DeliveryState::Delivered).await;
    assert_eq!(delivery.code.as_deref(), Some("0"));
    let shown = robot.wait_for(1, SOON).await.unwrap();
    assert!(shown[0].text.contains("shared-from/a"), "{shown:?}");
    let targets = kube::Api::<EventTarget>::namespaced(scene.admin.clone(), home);
    let counted = |target: &EventTarget| {
        target.status.as_ref().and_then(|status| status.deliveries).is_some_and(|counts| counts.delivered == 1)
    };
    crate::scene::wait(&targets, "central", counted).await;

    // What fails is tried again when the target is edited in its own namespace.
    robot.behave(crate::robot::Behaviour::code(310_000, "sign not match"));
    scene.job("b", json!({}), json!({})).await;
    scene.delivery("b", "shared-home/central", |d| d.state == DeliveryState::Failed).await;
    robot.behave(crate::robot::Behaviour::Ok);
    let edit = kube::api::Patch::Merge(json!({"spec": {"delivery": {"timeout": "9s"}}}));
    targets.patch("central", &kube::api::PatchParams::default(), &edit).await.unwrap();
    scene.delivery("b", "shared-home/central", |d| d.state == DeliveryState::Delivered).await;
    let rule = scene
        .wait::<NoticeRule>("ends", |rule| {
            rule.status.as_ref().and_then(|s| s.notices).is_some_and(|counts| counts.delivered == 2)
        })
        .await;
    assert_eq!(message(&rule.status.unwrap().conditions, "Ready"), "events that match are notified");
}
