//! What a receiver takes is never exceeded, and what does not fit is told together.

use std::collections::BTreeSet;
use std::time::Duration;

use pai_notification::api::event_target::TestResult;
use pai_notification::api::notice::{DeliveryState, Phase};
use pai_notification::api::{EventTarget, Notice};
use serde_json::json;

use crate::robot::{Behaviour, Robot, Verdict};
use crate::scene::{KEY, QUIET, SOON, Scene};

/// Longest wait for what has to wait for a minute's budget first.
const A_MINUTE_LATER: Duration = Duration::from_mins(2);

#[tokio::test]
async fn sixty_events_reach_a_robot_in_no_more_than_twenty_posts_a_minute_also_over_a_restart() {
    let scene = Scene::new("burst").await;
    scene.workspace(json!({})).await;
    let robot = scene.robot_with("oncall", Robot::signed("burst-oncall", KEY).with_real_budget()).await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    for number in 0..30 {
        scene.job(&format!("early-{number}"), json!({}), json!({})).await;
    }
    robot.wait_for_posts(15, SOON).await.unwrap();
    // The next one must find on the Notices what this one has sent.
    operator.kill().await.unwrap();
    for number in 0..30 {
        scene.job(&format!("late-{number}"), json!({}), json!({})).await;
    }
    let operator = scene.operator().await;
    let notices = scene.all_settled_within(60, A_MINUTE_LATER).await;
    assert!(notices.iter().all(|notice| notice.status.as_ref().unwrap().phase == Phase::Delivered), "{notices:#?}");

    let most = robot.most_posts_in(Duration::from_mins(1));
    assert!(most <= 20, "{most} posts within a minute");
    // The kill may have come between a reply and its recording: that one message comes again, with the same id.
    let (shown, others): (Vec<_>, Vec<_>) = robot.posts().into_iter().partition(|post| post.verdict == Verdict::Shown);
    let repeats = others.iter().filter(|post| post.verdict == Verdict::Repeat).count();
    assert!(others.len() == repeats && repeats <= 1, "{others:?}");
    let texts: Vec<String> =
        robot.messages().iter().map(|message| format!("{}\n{}\n", message.title, message.text)).collect();
    let texts = texts.concat().replace('\\', "");
    let missing: Vec<String> = (0..30)
        .flat_map(|number| [format!("early-{number} "), format!("late-{number} ")])
        .filter(|name| !texts.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are not in:\n{texts}");

    // Each Notice of a digest says so, with one id for all of them.
    let digests: BTreeSet<String> = notices.iter().filter_map(digest_of).collect();
    let together = notices.iter().filter(|notice| digest_of(notice).is_some()).count();
    assert!(!digests.is_empty() && together > 20, "{} digests of {together}", digests.len());
    let expected = 60 - together + digests.len();
    assert!(shown.len() == expected || shown.len() == expected + 1, "{} shown, {expected} expected", shown.len());
    assert!(texts.contains("events in workspace burst"), "{texts}");
    assert!(operator.metrics().await.unwrap().contains("pai_notification_digests_total"));
}

fn digest_of(notice: &Notice) -> Option<String> {
    notice.status.as_ref()?.deliveries.first()?.digest.clone()
}

#[tokio::test]
async fn a_robot_that_asks_for_silence_gets_it_also_after_a_restart_and_from_tests() {
    let (scene, robot, _) = Scene::in_force("silence").await;
    let operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall"]).await;
    scene.rule_ready("ends").await;
    robot.behave(Behaviour::code(130_101, "send too fast, exceed 20 times per minute"));
    scene.job("a", json!({}), json!({})).await;
    let waiting = scene.delivery("a", "oncall", |d| d.attempts == 1).await;
    assert_eq!((waiting.state, waiting.code.as_deref()), (DeliveryState::Pending, Some("130101")));
    let pause = waiting.next_attempt_time.unwrap().duration_since(waiting.last_attempt_time.unwrap());
    assert_eq!(pause.as_secs(), 600, "a robot is blocked for ten minutes");
    scene.wait::<EventTarget>("oncall", |t| t.status.as_ref().is_some_and(|s| s.throttled_until.is_some())).await;

    operator.kill().await.unwrap();
    robot.behave(Behaviour::Ok);
    let _operator = scene.operator().await;
    scene.job("b", json!({}), json!({})).await;
    scene.delivery("b", "oncall", |d| d.state == DeliveryState::Pending).await;
    scene.ask_for_test("oncall", "1").await;
    let test = scene.test_answer("oncall", "1").await;
    assert_eq!(test.result, TestResult::Failed);
    assert!(test.message.contains("asked for silence until"), "{test:?}");
    tokio::time::sleep(QUIET).await;
    assert_eq!(robot.posts().len(), 1, "nothing more was sent");
}

#[tokio::test]
async fn two_targets_of_one_robot_share_its_budget() {
    let scene = Scene::new("shared").await;
    scene.workspace(json!({})).await;
    let robot = scene.robot_with("oncall", Robot::signed("shared-oncall", KEY).with_real_budget()).await;
    let reference = |key: &str| json!({"secretKeyRef": {"name": "oncall-robot", "key": key}});
    let spec = json!({"dingTalk": {"webhook": reference("url"), "signingKey": reference("signing-key")}});
    scene.target("again", spec).await;
    let _operator = scene.operator().await;
    scene.rule("ends", &["JobFinished"], &["oncall", "again"]).await;
    scene.rule_ready("ends").await;
    for number in 0..12 {
        scene.job(&format!("j{number}"), json!({}), json!({})).await;
    }
    robot.wait_for_posts(20, SOON).await.unwrap();
    tokio::time::sleep(QUIET).await;
    assert_eq!(robot.posts().len(), 20, "the last four wait for the next minute");
    assert!(robot.posts().iter().all(|post| post.verdict == Verdict::Shown));
}
