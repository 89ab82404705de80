//! From when on an event is a rule's.

use std::time::Duration;

use pai_notification::api::{NoticeRule, Workspace};
use serde_json::json;

use crate::scene::{QUIET, SOON, Scene};

/// Times of objects have whole seconds: what is to be before or after must be so by more than one.
const A_SECOND: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn a_job_that_ended_before_the_rule_existed_is_never_notified() {
    let (scene, _, audit) = Scene::in_force("before").await;
    let operator = scene.operator().await;
    scene.job("early", json!({}), json!({})).await;
    scene.job_ended("early").await;
    tokio::time::sleep(A_SECOND).await;
    scene.rule("ends", &[], &["audit"]).await;
    scene.rule_ready("ends").await;
    // Not even when the Job changes, or the operator starts again.
    scene.patch::<k8s_openapi::api::batch::v1::Job>("early", json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    operator.kill().await.unwrap();
    let _operator = scene.operator().await;
    tokio::time::sleep(QUIET).await;
    assert!(audit.messages().is_empty(), "{:?}", audit.messages());
    assert!(scene.notices().await.is_empty());
}

#[tokio::test]
async fn a_rule_edited_while_the_operator_is_down_claims_what_happened_since_the_edit() {
    let (scene, _, audit) = Scene::in_force("edited").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobStopped"], &["audit"]).await;
    scene.rule_ready("ends").await;
    operator.kill().await.unwrap();
    scene.job("before", json!({}), json!({})).await;
    scene.job_ended("before").await;
    tokio::time::sleep(A_SECOND).await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    tokio::time::sleep(A_SECOND).await;
    scene.job("after", json!({}), json!({})).await;
    scene.job_ended("after").await;
    let _operator = scene.operator().await;
    let messages = audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(messages[0].text, "Job/after");
}

#[tokio::test]
async fn what_happened_while_a_rule_was_suspended_is_not_sent_later() {
    let (scene, _, audit) = Scene::in_force("suspended").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    scene.patch::<NoticeRule>("ends", json!({"spec": {"suspend": true}})).await;
    scene.rule_not_ready("ends", "Suspended").await;
    scene.job("meanwhile", json!({}), json!({})).await;
    scene.job_ended("meanwhile").await;
    tokio::time::sleep(A_SECOND).await;
    scene.patch::<NoticeRule>("ends", json!({"spec": {"suspend": false}})).await;
    scene.rule_ready("ends").await;
    scene.job("later", json!({}), json!({})).await;
    let messages = audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(messages[0].text, "Job/later");
}

#[tokio::test]
async fn editing_the_quota_does_not_move_the_activation_but_switching_off_and_on_does() {
    let (scene, _, audit) = Scene::in_force("moved").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    let since = scene.rule_ready("ends").await.status.unwrap().active_since.unwrap();
    operator.kill().await.unwrap();
    scene.job("a", json!({}), json!({})).await;
    scene.job_ended("a").await;
    tokio::time::sleep(A_SECOND).await;
    scene.workspace(json!({"quota": {"targetsPerRule": 7}})).await;
    let operator = scene.operator().await;
    audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
    assert_eq!(scene.rule_ready("ends").await.status.unwrap().active_since, Some(since));

    operator.kill().await.unwrap();
    scene.workspace(json!({"activate": false})).await;
    scene.job("b", json!({}), json!({})).await;
    scene.job_ended("b").await;
    tokio::time::sleep(A_SECOND).await;
    scene.workspace(json!({"activate": true})).await;
    let _operator = scene.operator().await;
    let workspaces: kube::Api<Workspace> = kube::Api::all(scene.admin.clone());
    crate::scene::wait(&workspaces, "moved", |w| {
        w.status.as_ref().is_some_and(|s| s.observed_generation == w.metadata.generation)
    })
    .await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(audit.messages().len(), 1, "{:?}", audit.messages());
}
