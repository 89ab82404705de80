//! Workspaces: activation, namespaces taken, deletion, quota.

use kube::Api;
use kube::api::DeleteParams;
use pai_notification::api::{EventBus, NoticeRule, Workspace};
use serde_json::json;

use crate::scene::{QUIET, SOON, Scene, is, object, wait};

#[tokio::test]
async fn activation_makes_the_bus_and_switching_off_stops_everything() {
    let (scene, _, audit) = Scene::in_force("active").await;
    scene.workspace(json!({"activate": false})).await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    let message = scene.rule_not_ready("ends", "WorkspaceNotActivated").await;
    assert!(message.contains("spec.activate"), "{message}");
    assert!(scene.api::<EventBus>().get_opt("pai-system-active").await.unwrap().is_none());
    scene.workspace(json!({})).await;
    scene.rule_ready("ends").await;
    let bus = scene
        .wait::<EventBus>("pai-system-active", |bus| {
            bus.status.as_ref().is_some_and(|s| is(&s.conditions, "Ready", "True", "Ready"))
        })
        .await;
    assert_eq!(bus.spec.workspace, "active");
    scene.job("a", json!({}), json!({})).await;
    audit.wait_for(1, SOON).await.unwrap();

    scene.workspace(json!({"activate": false})).await;
    scene.rule_not_ready("ends", "WorkspaceNotActivated").await;
    let deadline = tokio::time::Instant::now() + SOON;
    while scene.api::<EventBus>().get_opt("pai-system-active").await.unwrap().is_some() {
        assert!(tokio::time::Instant::now() < deadline, "the bus is still there");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    scene.job("b", json!({}), json!({})).await;
    scene.job_ended("b").await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(audit.messages().len(), 1);
}

#[tokio::test]
async fn a_namespace_belongs_to_the_older_workspace() {
    let (scene, _, _) = Scene::in_force("taken").await;
    let _operator = scene.operator().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    scene
        .apply(object(
            "Workspace",
            None,
            "latecomer",
            json!({"namespace": "taken", "activate": true, "grantAccess": true}),
        ))
        .await;
    let workspaces: Api<Workspace> = Api::all(scene.admin.clone());
    wait(&workspaces, "latecomer", |w| {
        w.status.as_ref().is_some_and(|s| is(&s.conditions, "Ready", "False", "NamespaceTaken"))
    })
    .await;
    wait(&workspaces, "taken", |w| w.status.as_ref().is_some_and(|s| is(&s.conditions, "Ready", "True", "Ready")))
        .await;
    workspaces.delete("taken", &DeleteParams::default()).await.unwrap();
    wait(&workspaces, "latecomer", |w| w.status.as_ref().is_some_and(|s| is(&s.conditions, "Ready", "True", "Ready")))
        .await;
}

#[tokio::test]
async fn deleting_a_workspace_removes_bus_and_binding_and_leaves_the_rest_inactive() {
    let (scene, _, audit) = Scene::in_force("deleted").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    scene.job("a", json!({}), json!({})).await;
    scene.all_settled(1).await;
    let workspaces: Api<Workspace> = Api::all(scene.admin.clone());
    workspaces.delete("deleted", &DeleteParams::default()).await.unwrap();
    let message = scene.rule_not_ready("ends", "NoWorkspace").await;
    assert!(message.contains("create one with spec.namespace: deleted"), "{message}");
    let bindings = scene.api::<k8s_openapi::api::rbac::v1::RoleBinding>();
    let deadline = tokio::time::Instant::now() + SOON;
    while scene.api::<EventBus>().get_opt("pai-system-deleted").await.unwrap().is_some()
        || bindings.get_opt("AliyunServiceRoleForPAIWorkspace").await.unwrap().is_some()
    {
        assert!(tokio::time::Instant::now() < deadline, "bus or binding is still there");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(scene.notices().await.len(), 1);
    assert_eq!(audit.messages().len(), 1);
}

#[tokio::test]
async fn targets_over_the_quota_are_named_and_not_delivered_to() {
    let (scene, _, audit) = Scene::in_force("quota").await;
    scene.workspace(json!({"quota": {"targetsPerRule": 1}})).await;
    let second = scene.endpoint_target("second").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit", "second"]).await;
    let rule = scene
        .wait::<NoticeRule>("ends", |r| {
            r.status.as_ref().is_some_and(|s| is(&s.conditions, "QuotaExceeded", "True", "TargetsOverQuota"))
        })
        .await;
    assert!(crate::scene::message(&rule.status.unwrap().conditions, "QuotaExceeded").contains("second"));
    scene.rule_ready("ends").await;
    scene.job("a", json!({}), json!({})).await;
    audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert!(second.posts().is_empty());
    let rule = scene
        .wait::<NoticeRule>("ends", |r| r.status.as_ref().and_then(|s| s.notices).is_some_and(|n| n.delivered == 1))
        .await;
    assert_eq!(rule.status.unwrap().last_notice.unwrap().subject, "Job/a");
}
