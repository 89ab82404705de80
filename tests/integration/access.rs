//! Without "Grant Access", the API server itself keeps the operator out.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::PostParams;
use pai_notification::api::Workspace;
use serde_json::json;

use crate::scene::{QUIET, SOON, Scene, is, message, wait};

const BINDING: &str = "AliyunServiceRoleForPAIWorkspace";

async fn allowed(scene: &Scene, verb: &str, group: &str, resource: &str) -> bool {
    let attributes = ResourceAttributes {
        namespace: Some(scene.namespace.clone()),
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some("system:serviceaccount:pai-notification-system:pai-notification".to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let api: Api<SubjectAccessReview> = Api::all(scene.admin.clone());
    api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

/// Makes the binding as an administrator would, for this ServiceAccount.
async fn bind_by_hand(scene: &Scene, name: &str, namespace: &str) {
    scene
        .apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": BINDING, "namespace": scene.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": BINDING},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }))
        .await;
}

#[tokio::test]
async fn without_grant_nothing_is_read_written_or_sent_and_the_rule_says_why() {
    let (scene, robot, audit) = Scene::in_force("nogrant").await;
    scene.workspace(json!({"grantAccess": false})).await;
    let _operator = scene.operator().await;
    scene.rule("ends", &[], &["audit", "oncall"]).await;
    let message = scene.rule_not_ready("ends", "AccessNotGranted").await;
    assert!(message.contains("spec.grantAccess of Workspace nogrant"), "{message}");
    let target = scene.target_is("oncall", "SecretForbidden").await;
    assert!(target.contains("spec.grantAccess"), "{target}");
    scene.job("a", json!({}), json!({})).await;
    scene.job_ended("a").await;
    tokio::time::sleep(QUIET).await;
    assert!(scene.notices().await.is_empty() && audit.posts().is_empty() && robot.posts().is_empty());
    for verb in ["get", "list", "watch"] {
        assert!(!allowed(&scene, verb, "", "secrets").await, "{verb} secrets");
    }
    for verb in ["create", "patch", "update", "delete"] {
        assert!(!allowed(&scene, verb, "notification.pai.dev", "notices").await, "{verb} notices");
    }
}

#[tokio::test]
async fn granting_makes_the_binding_and_revoking_removes_it() {
    let (scene, robot, _) = Scene::in_force("grant").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    let binding = scene.wait::<RoleBinding>(BINDING, |_| true).await;
    assert_eq!(binding.role_ref.name, BINDING);
    assert!(allowed(&scene, "get", "", "secrets").await);
    scene.job("a", json!({}), json!({})).await;
    robot.wait_for(1, SOON).await.unwrap();

    scene.workspace(json!({"grantAccess": false})).await;
    scene.rule_not_ready("ends", "AccessNotGranted").await;
    let deadline = tokio::time::Instant::now() + SOON;
    while scene.api::<RoleBinding>().get_opt(BINDING).await.unwrap().is_some() {
        assert!(tokio::time::Instant::now() < deadline, "the binding is still there");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    scene.job("b", json!({}), json!({})).await;
    scene.job_ended("b").await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(robot.messages().len(), 1, "what happened without access is not sent");
}

#[tokio::test]
async fn a_binding_made_by_hand_counts_and_stays() {
    let (scene, robot, _) = Scene::in_force("byhand").await;
    scene.workspace(json!({"grantAccess": false})).await;
    let _operator = scene.operator().await;
    bind_by_hand(&scene, "pai-notification", "pai-notification-system").await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    scene.job("a", json!({}), json!({})).await;
    robot.wait_for(1, SOON).await.unwrap();
    assert!(scene.api::<RoleBinding>().get_opt(BINDING).await.unwrap().is_some());
}

#[tokio::test]
async fn a_binding_that_gives_too_little_is_named() {
    let (scene, _, _) = Scene::in_force("toolittle").await;
    bind_by_hand(&scene, "somebody-else", "default").await;
    let _operator = scene.operator().await;
    let workspaces: Api<Workspace> = Api::all(scene.admin.clone());
    let workspace = wait(&workspaces, "toolittle", |w| {
        w.status.as_ref().is_some_and(|s| {
            is(&s.conditions, "AccessGranted", "False", "AccessNotGranted")
                && message(&s.conditions, "AccessGranted").contains("get secrets")
        })
    })
    .await;
    let text = message(&workspace.status.unwrap().conditions, "AccessGranted");
    assert!(text.contains("pai-notification-system/pai-notification"), "{text}");
}
