//! Behaviours, and what holds for every inbox.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::robot::{Behaviour, Endpoint, HUGE, Lark, Receiver, Robot, Verdict, WeCom};
use crate::{SOON, client};

#[tokio::test]
async fn an_inbox_misbehaves_as_told_and_then_no_longer() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    inbox.behave_next([
        Behaviour::status(503),
        Behaviour::Reset,
        Behaviour::Hang,
        Behaviour::LoseReply,
        Behaviour::Slow(Duration::from_millis(5)),
    ]);
    let send = async || client().post(inbox.url()).body("hello").send().await.map(|reply| reply.status().as_u16());
    assert_eq!(send().await.unwrap(), 503);
    assert!(!send().await.unwrap_err().is_timeout());
    assert!(send().await.unwrap_err().is_timeout());
    assert_eq!(inbox.messages().len(), 0);
    assert_eq!(inbox.wait_for_posts(3, SOON).await.unwrap().len(), 3);
    let late = inbox.wait_for_posts(4, Duration::from_millis(20)).await.unwrap_err();
    assert!(late.to_string().starts_with("3 of 4 posts at hook"), "{late}");
    assert!(!send().await.unwrap_err().is_timeout());
    assert_eq!(inbox.messages().len(), 1);
    assert_eq!(send().await.unwrap(), 204);
    assert_eq!(send().await.unwrap(), 204);
    assert_eq!(inbox.wait_for_exactly(3, SOON, Duration::from_millis(50)).await.unwrap().len(), 3);
    assert_eq!(receiver.posts().len(), 6);
}

#[tokio::test]
async fn a_receiver_that_is_down_refuses_and_comes_back_on_the_same_port() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    let keeps_alive = client();
    let send = async || keeps_alive.post(inbox.url()).body("hello").send().await;
    send().await.unwrap();
    receiver.down().await;
    assert!(send().await.unwrap_err().is_connect());
    receiver.up().await.unwrap();
    send().await.unwrap();
    assert_eq!(receiver.wait_for(2, SOON).await.unwrap().len(), 2);
    let late = receiver.wait_for(3, Duration::from_millis(20)).await.unwrap_err();
    assert!(late.to_string().starts_with("2 of 3 messages"), "{late}");
}

#[tokio::test]
async fn a_reply_can_be_slow_endless_or_huge() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::unsigned("tok"));
    let send = async || {
        let body = r#"{"msgtype": "text", "text": {"content": "a"}}"#;
        let request = client().post(inbox.url()).header("content-type", "application/json").body(body);
        request.send().await.unwrap().bytes().await
    };
    inbox.behave_next([
        Behaviour::Trickle(Duration::from_millis(5)),
        Behaviour::Endless(Duration::from_millis(5)),
        Behaviour::Huge,
    ]);
    let started = Instant::now();
    let trickled = send().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&trickled).unwrap()["errcode"], 0);
    assert!(started.elapsed() >= Duration::from_millis(5) * u32::try_from(trickled.len()).unwrap());
    assert!(send().await.unwrap_err().is_timeout());
    let huge = send().await.unwrap();
    assert_eq!((huge.len(), serde_json::from_slice::<Value>(&huge).unwrap()["errcode"].as_i64()), (HUGE, Some(0)));
    let verdicts: Vec<Verdict> = inbox.posts().into_iter().map(|post| post.verdict).collect();
    assert_eq!(verdicts, [Verdict::Shown, Verdict::Misbehaved, Verdict::Misbehaved]);
}

#[tokio::test]
async fn a_redirect_that_is_followed_is_seen_where_it_leads() {
    let receiver = Receiver::start().await.unwrap();
    let (inbox, other) =
        (receiver.endpoint(Endpoint::anything("/hook")), receiver.endpoint(Endpoint::anything("/else")));
    let follows = crate::client_builder().redirect(reqwest::redirect::Policy::limited(3)).build().unwrap();
    for (status, method, code) in [(307, "POST", None), (302, "GET", Some(405))] {
        inbox.behave(Behaviour::redirect(status, other.url()));
        assert_eq!(client().post(inbox.url()).body("a").send().await.unwrap().status(), status);
        follows.post(inbox.url()).body("a").send().await.unwrap();
        let followed = other.posts().pop().unwrap();
        assert_eq!(followed.method, method);
        let refused = match followed.verdict {
            Verdict::Refused { code, .. } => Some(code),
            _ => None,
        };
        assert_eq!(refused, code);
    }
    assert_eq!((inbox.posts().len(), other.posts().len(), other.messages().len()), (4, 2, 1));
}

#[tokio::test]
async fn a_robot_refuses_what_is_no_json() {
    let receiver = Receiver::start().await.unwrap();
    let (dingtalk, wecom, lark) =
        (receiver.robot(Robot::unsigned("d")), receiver.wecom(WeCom::new("w")), receiver.lark(Lark::new("l")));
    let good = r#"{"msgtype": "text", "text": {"content": "a"}}"#;
    for (inbox, kind, body, code) in [
        (&dingtalk, "application/json", "{", 40_035),
        (&dingtalk, "text/plain", good, 43_004),
        (&wecom, "application/json", "{", 47_001),
        (&lark, "application/json", "{", 9499),
        (&lark, "text/plain", r#"{"msg_type": "text", "content": {"text": "a"}}"#, 9499),
    ] {
        let request = client().post(inbox.url()).header("content-type", kind).body(body);
        let reply = request.send().await.unwrap().bytes().await.unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        let given = reply.get("errcode").or(reply.get("code"));
        assert_eq!(given, Some(&Value::from(code)), "{} {body}", inbox.url());
    }
    assert!(receiver.messages().is_empty());
}
