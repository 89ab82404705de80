//! The test receivers themselves: they accept what the real ones accept, and refuse the rest with the real codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test fails by panicking, sends by a client of its own and does not use all of the receiver"
)]

#[path = "support/robot.rs"]
mod robot;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use robot::{Behaviour, Endpoint, Receiver, Robot, Verdict};
use rstest::rstest;
use serde_json::{Value, json};

const KEY: &str = "SEC0123456789abcdef";
const SOON: Duration = Duration::from_secs(5);

fn client() -> reqwest::Client {
    // A second call finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build().unwrap()
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn signed_url(url: &str, timestamp: u64) -> String {
    let sign = hmac(KEY.as_bytes(), format!("{timestamp}\n{KEY}").as_bytes());
    let mut url = url::Url::parse(url).unwrap();
    url.query_pairs_mut().append_pair("timestamp", &timestamp.to_string()).append_pair("sign", &sign);
    url.into()
}

async fn post(url: &str, body: &Value) -> Value {
    let request = client().post(url).header("content-type", "application/json; charset=utf-8").body(body.to_string());
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap()
}

#[rstest]
#[case::text(json!({"msgtype": "text", "text": {"content": "a @139"}, "at": {"atMobiles": ["139"], "isAtAll": false}}), 0)]
#[case::markdown(json!({"msgtype": "markdown", "markdown": {"title": "t", "text": "x"}}), 0)]
#[case::card(json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "x", "singleTitle": "s", "singleURL": "u"}}), 0)]
#[case::buttons(json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "x", "btns": [{"title": "b", "actionURL": "u"}]}}), 0)]
#[case::no_type(json!({"text": {"content": "a"}}), 40_035)]
#[case::unknown_type(json!({"msgtype": "poem", "poem": {}}), 400_105)]
#[case::no_title(json!({"msgtype": "markdown", "markdown": {"text": "x"}}), 40_035)]
#[case::wrong_place(json!({"msgtype": "markdown", "text": {"content": "x"}}), 40_035)]
#[case::mentioned_but_not_in_the_text(json!({"msgtype": "text", "text": {"content": "a"}, "at": {"atUserIds": ["u1"]}}), 40_035)]
#[case::malformed_mention(json!({"msgtype": "text", "text": {"content": "a"}, "at": {"atMobiles": "139"}}), 40_035)]
#[case::too_long(json!({"msgtype": "text", "text": {"content": "a".repeat(20_000)}}), 460_101)]
#[tokio::test]
async fn a_robot_judges_a_signed_body(#[case] body: Value, #[case] code: i64) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::signed("tok", KEY));
    assert_eq!(post(&signed_url(inbox.url(), now_ms()), &body).await["errcode"], code);
    assert_eq!(inbox.messages().len(), usize::from(code == 0));
}

#[tokio::test]
async fn a_robot_refuses_what_it_cannot_trust() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::signed("tok", KEY).with_keywords(&["PAI"]));
    let body = json!({"msgtype": "text", "text": {"content": "PAI: hello"}});
    let two_hours = 2 * 3600 * 1000;
    for (url, code) in [
        (inbox.url().to_owned(), 310_000),
        (format!("{}&timestamp={}&sign=AAAA", inbox.url(), now_ms()), 310_000),
        (signed_url(inbox.url(), now_ms() - two_hours), 310_000),
        (signed_url(inbox.url(), now_ms() + two_hours), 310_000),
        (signed_url(&receiver.url_for("robot/send"), now_ms()), 40_035),
        (signed_url(inbox.url(), now_ms()), 0),
    ] {
        assert_eq!(post(&url, &body).await["errcode"], code, "{url}");
    }
    let other = json!({"msgtype": "text", "text": {"content": "hello"}});
    assert_eq!(post(&signed_url(inbox.url(), now_ms()), &other).await["errmsg"], "keywords not in content");
    assert_eq!(inbox.messages().len(), 1);
    assert!(inbox.messages()[0].signed);
}

#[tokio::test]
async fn a_repeat_is_accepted_and_not_shown_again() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::signed("tok", KEY));
    for id in ["one", "one", "two"] {
        let body = json!({"msgtype": "text", "text": {"content": "a"}, "msgUuid": id});
        assert_eq!(post(&signed_url(inbox.url(), now_ms()), &body).await["errcode"], 0);
    }
    assert_eq!(inbox.messages().len(), 2);
    assert_eq!(inbox.posts()[1].verdict, Verdict::Repeat);
}

#[tokio::test]
async fn a_robot_over_its_budget_stays_silent_for_its_penalty() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::signed("tok", KEY).with_real_budget());
    let body = json!({"msgtype": "text", "text": {"content": "a"}});
    let url = signed_url(inbox.url(), now_ms());
    for expected in std::iter::repeat_n(0, 20).chain([130_101, 130_101]) {
        assert_eq!(post(&url, &body).await["errcode"], expected);
    }
}

fn cloud_event() -> Value {
    json!({"specversion": "1.0", "id": "e1", "source": "/a", "type": "pai.dlc.job.failed", "subject": "Job/j",
        "time": "2026-01-01T00:00:00Z", "data": {"reason": "OOMKilled"}})
}

#[tokio::test]
async fn an_endpoint_takes_signed_cloud_events_only() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(
        Endpoint::cloud_events("/audit").with_signing_secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    );
    let key: Vec<u8> = (0..32).collect();
    let send = async |id: &str, kind: &str, age: u64, body: &Value, key: &[u8]| {
        let (body, time) = (body.to_string(), now_ms() / 1000 - age);
        let signature = format!("v1a,xyz v1,{}", hmac(key, format!("{id}.{time}.{body}").as_bytes()));
        let request = client().post(inbox.url()).header("content-type", kind).header("webhook-id", id);
        let request = request.header("webhook-timestamp", time).header("webhook-signature", signature).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let kind = "application/cloudevents+json; charset=utf-8";
    assert_eq!(send("msg_1", kind, 0, &cloud_event(), &key).await, 204);
    assert_eq!(send("msg_1", kind, 0, &cloud_event(), &key).await, 204);
    assert_eq!(send("msg_2", kind, 0, &cloud_event(), b"another").await, 401);
    assert_eq!(send("msg_3", kind, 600, &cloud_event(), &key).await, 401);
    assert_eq!(send("msg.4", kind, 0, &cloud_event(), &key).await, 401);
    assert_eq!(send("msg_5", "application/json", 0, &cloud_event(), &key).await, 415);
    for (attribute, value) in [("id", json!("")), ("specversion", json!("0.3")), ("time", json!("yesterday"))] {
        let mut event = cloud_event();
        event[attribute] = value;
        assert_eq!(send("msg_6", kind, 0, &event, &key).await, 400, "{attribute}");
    }
    assert_eq!(inbox.messages().len(), 1);
    assert_eq!(inbox.messages()[0].title, "pai.dlc.job.failed");
}

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
