use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::*;
use crate::lifecycle::{Event, EventType, Source, Subject, Transition};
use crate::message::{Body, Fact, Message, Tone};

fn event() -> Event {
    Event {
        id: "0123".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: vec![EventType::JobFailed],
        time: Timestamp::UNIX_EPOCH,
        observed_time: Timestamp::UNIX_EPOCH,
        reason: String::new(),
        message: String::new(),
        subject: Subject::default(),
        data: Map::new(),
    }
}

fn robot(format: DingTalkFormat, mention: DingTalkMention) -> DingTalk {
    let webhook = Url::parse("https://oapi.dingtalk.com/robot/send?access_token=t0ken").unwrap();
    DingTalk::new(webhook, SecretString::from(vector_key()), mention, format)
}

fn vector_key() -> String {
    format!("SEC{}", "0123456789abcdef".repeat(4))
}

fn request(robot: &DingTalk, message: &Message) -> (Url, Value) {
    let now = Timestamp::from_millisecond(1_767_225_600_000).unwrap();
    let envelope = Envelope { workspace: "vision", event: &event(), message, delivery_id: "msg_1", now };
    let Outgoing::Http(request) = robot.request(&envelope) else { panic!("no request") };
    assert!(request.body.len() < 20_000, "{} bytes", request.body.len());
    (request.url, serde_json::from_slice(&request.body).unwrap())
}

fn facts(value: &str) -> Message {
    let fact = Fact { label: "Reason", value: value.to_owned() };
    Message { title: "Job a failed".to_owned(), body: Body::Facts(vec![fact]), tone: Tone::Bad, link: None }
}

#[test]
fn the_signature_is_that_of_the_published_vectors() {
    let table = [
        (vector_key(), "1767225600000", "i2c5tiV6h/3SNAw2dFLqlaqeECJxGo/5aOpgXbGdttM="),
        ("this is secret".to_owned(), "1577262236757", "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="),
    ];
    for (key, milliseconds, expected) in table {
        assert_eq!(sign::signature(&key, milliseconds), expected);
    }
}

#[test]
fn signature_and_time_stand_in_the_query_encoded_once() {
    let (url, _) = request(&robot(DingTalkFormat::Markdown, DingTalkMention::default()), &facts("x"));
    assert_eq!(
        url.as_str(),
        "https://oapi.dingtalk.com/robot/send?access_token=t0ken&timestamp=1767225600000\
         &sign=i2c5tiV6h%2F3SNAw2dFLqlaqeECJxGo%2F5aOpgXbGdttM%3D"
    );
}

#[test]
fn a_mention_stands_in_the_list_and_in_the_text() {
    let mention =
        DingTalkMention { mobiles: vec!["13900000000".to_owned()], user_ids: vec!["u01".to_owned()], all: false };
    for format in [DingTalkFormat::Markdown, DingTalkFormat::Text] {
        let (_, body) = request(&robot(format, mention.clone()), &facts("x"));
        assert_eq!(body["at"], json!({"atMobiles": ["13900000000"], "atUserIds": ["u01"], "isAtAll": false}));
        let text = body["markdown"]["text"].as_str().or(body["text"]["content"].as_str()).unwrap();
        assert!(text.contains("@13900000000") && text.contains("@u01"), "{text}");
        assert_eq!(body["msgUuid"], "msg_1");
    }
}

#[test]
fn names_from_outside_cannot_mention_link_or_break_the_lines() {
    let hostile = "@all [click](http://evil)\n\n# heading <font>";
    let (_, body) = request(&robot(DingTalkFormat::Markdown, DingTalkMention::default()), &facts(hostile));
    let text = body["markdown"]["text"].as_str().unwrap();
    assert!(!text.contains("@all") && !text.contains("](http") && !text.contains("\n# heading"), "{text}");
    let (_, body) = request(&robot(DingTalkFormat::Text, DingTalkMention::default()), &facts(hostile));
    assert!(!body["text"]["content"].as_str().unwrap().contains("@all"));
}

#[test]
fn a_message_of_any_length_fits() {
    for text in ["训".repeat(20_000), "\"\\\u{1}".repeat(20_000), "🚀".repeat(20_000), "x".repeat(100_000)] {
        for format in [DingTalkFormat::Markdown, DingTalkFormat::Text] {
            let own = Message { title: text.clone(), body: Body::Text(text.clone()), tone: Tone::Bad, link: None };
            request(&robot(format, DingTalkMention::default()), &own);
            request(&robot(format, DingTalkMention::default()), &facts(&text));
        }
    }
}

#[test]
fn only_the_code_in_the_body_is_a_verdict() {
    let table: [(u16, &str, &str, &str); 20] = [
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, "delivered", "0"),
        (200, r#"{"errcode":"0","errmsg":"ok"}"#, "delivered", "0"),
        (500, r#"{"errcode":0}"#, "delivered", "0"),
        (200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, "throttled", "130101"),
        (200, r#"{"errcode":410100}"#, "throttled", "410100"),
        (200, r#"{"errcode":90030}"#, "throttled", "90030"),
        (200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, "permanent", "310000"),
        (200, r#"{"errcode":300001,"errmsg":"token is not exist"}"#, "permanent", "300001"),
        (200, r#"{"errcode":460101}"#, "permanent", "460101"),
        (200, r#"{"errcode":999999}"#, "permanent", "999999"),
        (200, r#"{"errcode":-1,"errmsg":"system busy"}"#, "transient", "-1"),
        (200, "", "transient", "BodyNotUnderstood"),
        (200, "ok", "transient", "BodyNotUnderstood"),
        (200, "{}", "transient", "BodyNotUnderstood"),
        (200, r#"{"errcode":null}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"errcode":[0]}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"errcode":0.5}"#, "transient", "BodyNotUnderstood"),
        (502, "<html>", "transient", "502"),
        (429, "", "throttled", "429"),
        (404, "", "permanent", "404"),
    ];
    let robot = robot(DingTalkFormat::Markdown, DingTalkMention::default());
    for (status, body, label, code) in table {
        let outcome = robot.verdict(&Reply { status, retry_after: None, body: body.as_bytes().to_vec() });
        assert_eq!((outcome.label(), outcome.code()), (label, code), "{status} {body}");
    }
}

#[test]
fn a_robot_shows_no_secret() {
    let shown = format!("{:?}", robot(DingTalkFormat::Markdown, DingTalkMention::default()));
    assert!(!shown.contains("t0ken") && !shown.contains("SEC"), "{shown}");
}
