//! "Delivered" means that the receiver said so; everything else stands on the Notice and is tried again, or is not.

use std::time::Duration;

use pai_notification::api::event_target::{LastOutcome, TestResult};
use pai_notification::api::notice::{DeliveryState, Phase};
use pai_notification::api::{EventTarget, Notice};
use serde_json::json;

use crate::robot::Behaviour;
use crate::scene::{QUIET, SOON, Scene};

#[tokio::test]
async fn a_200_with_an_error_inside_is_a_failed_delivery_with_that_code() {
    let (scene, robot, _) = Scene::in_force("verdict").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    robot.behave(Behaviour::code(310_000, "sign not match"));
    scene.job("a", json!({}), json!({})).await;
    let delivery = scene.delivery("a", "oncall", |d| d.state == DeliveryState::Failed).await;
    assert_eq!((delivery.code.as_deref(), delivery.attempts), (Some("310000"), 1));
    assert_eq!(delivery.message.as_deref(), Some("sign not match"));
    let target = scene
        .wait::<EventTarget>("oncall", |t| t.status.as_ref().and_then(|s| s.deliveries).is_some_and(|d| d.failed == 1))
        .await;
    assert_eq!(target.status.unwrap().last_delivery.unwrap().outcome, LastOutcome::Failed);
    tokio::time::sleep(QUIET).await;
    assert_eq!(robot.posts().len(), 1, "what is refused for good is not tried again");

    // Redelivery, once the robot is mended.
    robot.behave(Behaviour::Ok);
    let name = scene.notices().await[0].metadata.name.clone().unwrap();
    scene.patch::<Notice>(&name, json!({"metadata": {"annotations": {"notification.pai.dev/redeliver": "1"}}})).await;
    let delivery = scene.delivery("a", "oncall", |d| d.state == DeliveryState::Delivered).await;
    assert_eq!((delivery.code.as_deref(), delivery.attempts), (Some("0"), 2));
    let metrics = operator.metrics().await.unwrap();
    for line in [
        "pai_notification_delivery_attempts_total{channel=\"DingTalk\",outcome=\"permanent\"} 1",
        "pai_notification_delivery_attempts_total{channel=\"DingTalk\",outcome=\"delivered\"} 1",
        "pai_notification_outbox_observations_total{result=\"recorded\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_for_half_a_minute_gets_everything_once_afterwards() {
    let (scene, _, audit) = Scene::in_force("down").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    scene.receiver.down().await;
    for number in 0..5 {
        scene.job(&format!("j{number}"), json!({}), json!({})).await;
    }
    let waiting = scene.delivery("j0", "audit", |d| d.attempts > 0).await;
    assert_eq!((waiting.state, waiting.code.as_deref()), (DeliveryState::Pending, Some("ConnectionRefused")));
    assert!(waiting.next_attempt_time > waiting.last_attempt_time, "{waiting:?}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    scene.receiver.up().await.unwrap();
    audit.wait_for_exactly(5, SOON, QUIET).await.unwrap();
    let notices = scene.all_settled(5).await;
    assert!(notices.iter().all(|notice| notice.status.as_ref().unwrap().phase == Phase::Delivered));
}

#[tokio::test]
async fn a_lost_reply_is_tried_again_with_the_same_id_and_shown_once() {
    let (scene, robot, audit) = Scene::in_force("lost").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit", "oncall"]).await;
    scene.rule_ready("ends").await;
    robot.behave_next([Behaviour::LoseReply]);
    audit.behave_next([Behaviour::LoseReply]);
    scene.job("a", json!({}), json!({})).await;
    for (target, inbox) in [("oncall", &robot), ("audit", &audit)] {
        let delivery = scene.delivery("a", target, |d| d.state == DeliveryState::Delivered).await;
        assert_eq!(delivery.attempts, 2, "{target}");
        assert_eq!((inbox.posts().len(), inbox.messages().len()), (2, 1), "{target}");
    }
}

#[tokio::test]
async fn throttling_pauses_the_target_for_as_long_as_it_asks() {
    let (scene, _, audit) = Scene::in_force("throttle").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    let busy = Behaviour::Answer {
        status: 429,
        headers: vec![("Retry-After".to_owned(), "4".to_owned())],
        body: String::new(),
    };
    audit.behave_next([busy]);
    scene.job("a", json!({}), json!({})).await;
    let throttled =
        scene.wait::<EventTarget>("audit", |t| t.status.as_ref().is_some_and(|s| s.throttled_until.is_some())).await;
    assert!(throttled.status.unwrap().throttled_until.is_some());
    let delivery = scene.delivery("a", "audit", |d| d.state == DeliveryState::Delivered).await;
    assert_eq!(delivery.attempts, 2);
    let posts = audit.posts();
    assert!(posts[1].at.saturating_sub(posts[0].at) >= Duration::from_millis(3900), "silent for four seconds");
}

#[tokio::test]
async fn a_target_that_hangs_does_not_delay_another() {
    let (scene, robot, audit) = Scene::in_force("hang").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit", "oncall"]).await;
    scene.rule_ready("ends").await;
    robot.behave(Behaviour::Hang);
    for number in 0..5 {
        scene.job(&format!("j{number}"), json!({}), json!({})).await;
    }
    audit.wait_for(5, Duration::from_secs(12)).await.unwrap();
    let hanging = scene.delivery("j0", "oncall", |d| d.attempts > 0 || d.state == DeliveryState::Pending).await;
    assert_ne!(hanging.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_mended_target_gets_what_failed_and_a_suspended_one_is_skipped() {
    let (scene, _, audit) = Scene::in_force("mended").await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    audit.behave(Behaviour::status(403));
    scene.job("a", json!({}), json!({})).await;
    let failed = scene.delivery("a", "audit", |d| d.state == DeliveryState::Failed).await;
    assert_eq!(failed.code.as_deref(), Some("403"));
    audit.behave(Behaviour::Ok);
    scene.patch::<EventTarget>("audit", json!({"spec": {"delivery": {"timeout": "9s"}}})).await;
    scene.delivery("a", "audit", |d| d.state == DeliveryState::Delivered).await;

    scene.patch::<EventTarget>("audit", json!({"spec": {"suspend": true}})).await;
    scene.target_is("audit", "Suspended").await;
    scene.job("b", json!({}), json!({})).await;
    let skipped = scene.delivery("b", "audit", |d| d.state == DeliveryState::Skipped).await;
    assert_eq!(skipped.code.as_deref(), Some("TargetSuspended"));
    assert_eq!(audit.messages().len(), 1);
}

#[tokio::test]
async fn what_is_older_than_max_age_is_given_up_with_the_last_error() {
    let (scene, _, audit) = Scene::in_force("maxage").await;
    let _operator = scene.operator().await;
    scene.patch::<EventTarget>("audit", json!({"spec": {"delivery": {"maxAge": "3s"}}})).await;
    scene.rule("ends", &["JobFinished"], &["audit"]).await;
    scene.rule_ready("ends").await;
    audit.behave(Behaviour::status(503));
    scene.job("a", json!({}), json!({})).await;
    let failed = scene.delivery("a", "audit", |d| d.state == DeliveryState::Failed).await;
    assert_eq!(failed.code.as_deref(), Some("503"));
    assert!(failed.message.unwrap().starts_with("given up after"));
}

#[tokio::test]
async fn a_connectivity_test_sends_one_marked_message_and_is_no_notification() {
    let (scene, robot, audit) = Scene::in_force("probe").await;
    let _operator = scene.operator().await;
    scene.target_is("oncall", "Ready").await;
    scene.ask_for_test("oncall", "1").await;
    assert_eq!(scene.test_answer("oncall", "1").await.result, TestResult::Succeeded);
    robot.behave(Behaviour::code(310_000, "sign not match"));
    scene.ask_for_test("oncall", "2").await;
    let failed = scene.test_answer("oncall", "2").await;
    assert_eq!(failed.result, TestResult::Failed);
    assert!(failed.message.contains("310000"), "{failed:?}");
    scene.ask_for_test("audit", "1").await;
    assert_eq!(scene.test_answer("audit", "1").await.result, TestResult::NotSupported);
    tokio::time::sleep(QUIET).await;
    assert_eq!((robot.posts().len(), robot.messages().len(), audit.posts().len()), (2, 1, 0));
    assert!(robot.messages()[0].title.contains("Connectivity test"), "{:?}", robot.messages());
    assert!(scene.notices().await.is_empty());
}
