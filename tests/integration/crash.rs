//! Nothing lost, nothing repeated, whatever happens to the operator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::Api;
use kube::api::{DeleteParams, ListParams};
use pai_notification::api::Notice;
use serde_json::json;

use crate::install::Operator;
use crate::scene::{QUIET, SOON, Scene};

/// A moment that differs from run to run, below `most` milliseconds.
fn moment(most: u64, salt: u64) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    Duration::from_millis((u64::from(nanos) / 1000 + salt * 7919) % most)
}

#[tokio::test]
async fn twenty_jobs_that_end_while_the_operator_is_killed_give_twenty_messages() {
    let (scene, _, audit) = Scene::in_force("crash").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    let mut operator = Some(operator);
    for round in 0..3 {
        for number in 0..20 {
            scene.job(&format!("r{round}-{number}"), json!({"run-for": "1s"}), json!({})).await;
        }
        let pause = moment(3000, round);
        tokio::time::sleep(pause).await;
        operator.take().unwrap().kill().await.unwrap();
        // Some Jobs end, and one is deleted, while nobody watches.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        operator = Some(scene.operator().await);
        let expected = 20 * usize::try_from(round + 1).unwrap();
        let messages = audit.wait_for_exactly(expected, SOON, Duration::from_secs(2)).await;
        messages.unwrap_or_else(|error| panic!("round {round}, killed after {pause:?}: {error:#}"));
    }
    scene.all_settled(60).await;
}

#[tokio::test]
async fn a_job_deleted_while_the_operator_is_down_is_told_as_stopped() {
    let (scene, _, audit) = Scene::in_force("gone").await;
    let operator = scene.operator().await;
    scene.rule("stops", &["JobStopped"], &["audit"]).await;
    scene.rule_ready("stops").await;
    scene.job("a", json!({"outcome": "run"}), json!({})).await;
    scene
        .wait::<k8s_openapi::api::batch::v1::Job>("a", |job| job.status.as_ref().is_some_and(|s| s.ready == Some(1)))
        .await;
    // The checkpoint is written every two seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    operator.kill().await.unwrap();
    scene.delete_job("a").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _operator = scene.operator().await;
    audit.wait_for_exactly(1, SOON, QUIET).await.unwrap();
}

#[tokio::test]
async fn a_removed_notice_does_not_come_back_after_a_restart() {
    let (scene, _, audit) = Scene::in_force("kept").await;
    let operator = scene.operator().await;
    scene.workspace(json!({"retention": {"notices": "1s"}})).await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    scene.job("a", json!({}), json!({})).await;
    audit.wait_for(1, SOON).await.unwrap();
    let notices: Api<Notice> = scene.api();
    let deadline = tokio::time::Instant::now() + SOON;
    while !notices.list(&ListParams::default()).await.unwrap().items.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "retention has not removed the Notice");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    operator.kill().await.unwrap();
    let _operator = scene.operator().await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(audit.messages().len(), 1);
    assert!(scene.notices().await.is_empty());
}

#[tokio::test]
async fn a_standby_takes_over_in_mid_burst_and_nothing_is_lost_or_repeated() {
    let (scene, _, audit) = Scene::in_force("failover").await;
    let leader = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    let standby = scene.operator().await;
    assert!(standby.metrics().await.unwrap().contains("pai_notification_leader 0"));
    for number in 0..20 {
        scene.job(&format!("j{number}"), json!({"run-for": "1s"}), json!({})).await;
    }
    tokio::time::sleep(moment(2500, 1)).await;
    leader.kill().await.unwrap();
    audit.wait_for_exactly(20, SOON, QUIET).await.unwrap();
    assert!(standby.metrics().await.unwrap().contains("pai_notification_leader 1"));
    scene.all_settled(20).await;
}

#[tokio::test]
async fn on_sigterm_what_is_on_its_way_is_finished_and_the_lease_is_given_back() {
    let (scene, _, audit) = Scene::in_force("term").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    audit.behave(crate::robot::Behaviour::Slow(Duration::from_secs(2)));
    scene.job("a", json!({}), json!({})).await;
    let deadline = tokio::time::Instant::now() + SOON;
    while audit.posts().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nothing was sent: {}", operator.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !scene.notices().await.is_empty() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(operator.terminate().await.unwrap().success());
    let notices = scene.notices().await;
    let status = notices[0].status.clone().expect("the outcome was written before the end");
    assert_eq!(status.deliveries[0].code.as_deref(), Some("204"), "{status:?}");
    let started = tokio::time::Instant::now();
    let next = scene.operator().await;
    wait_for_leader(&next).await;
    assert!(started.elapsed() < Duration::from_secs(10), "the Lease was given back");
    assert_eq!(audit.messages().len(), 1);
}

async fn wait_for_leader(operator: &Operator) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !operator.metrics().await.unwrap().contains("pai_notification_leader 1") {
        assert!(tokio::time::Instant::now() < deadline, "does not lead");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_api_server_that_is_away_for_a_while_loses_nothing() {
    let (scene, _, audit) = Scene::in_force("outage").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    for number in 0..5 {
        scene.job(&format!("j{number}"), json!({"run-for": "2s"}), json!({})).await;
    }
    // Shorter than the Lease: a longer outage ends the process, and its successor goes on.
    scene.cluster.stop_apiserver().unwrap();
    scene.cluster.start_apiserver().await.unwrap();
    audit.wait_for_exactly(5, SOON, QUIET).await.unwrap();
    drop(operator);
    let notices: Api<Notice> = scene.api();
    notices.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
}
