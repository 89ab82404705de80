use serde_json::{Value, json};

use super::*;
use crate::channel::samples::{self, check_verdicts, facts, linked};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Transition};
use crate::message::{Body, Message, Tone};

fn robot(format: DingTalkFormat, mention: DingTalkMention) -> DingTalk {
    let webhook = Url::parse("https://oapi.dingtalk.com/robot/send?access_token=t0ken").unwrap();
    DingTalk::new(webhook, SecretString::from(vector_key()), mention, format)
}

fn vector_key() -> String {
    format!("SEC{}", "0123456789abcdef".repeat(4))
}

fn request(robot: &DingTalk, message: &Message) -> (Url, Value) {
    let now = jiff::Timestamp::from_millisecond(1_767_225_600_000).unwrap();
    let event = crate::message::samples::event(Source::DLCJob, Transition::Failed, Cause::Other);
    let envelope = Envelope { workspace: "vision", event: &event, message, delivery_id: "msg_1", now };
    let Outgoing::Http(request) = robot.request(&envelope) else { panic!("no request") };
    assert!(request.body.len() < 20_000, "{} bytes", request.body.len());
    (request.url, serde_json::from_slice(&request.body).unwrap())
}

fn two_people() -> DingTalkMention {
    DingTalkMention { mobiles: vec!["13900000000".to_owned()], user_ids: vec!["u01".to_owned()], all: false }
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
fn the_host_is_the_one_that_was_given() {
    for host in ["https://oapi.dingtalk.io/robot/send?access_token=t", "http://gateway.example:8080/ding?x=1&y"] {
        let webhook = Url::parse(host).unwrap();
        let mention = DingTalkMention::default();
        let robot = DingTalk::new(webhook, SecretString::from(vector_key()), mention, DingTalkFormat::Text);
        let (url, _) = request(&robot, &facts("x"));
        assert!(url.as_str().starts_with(&format!("{host}&timestamp=")), "{url}");
    }
}

#[test]
fn a_mention_stands_in_the_list_and_in_the_text() {
    for format in [DingTalkFormat::Markdown, DingTalkFormat::Text, DingTalkFormat::ActionCard] {
        let (_, body) = request(&robot(format, two_people()), &linked("x"));
        assert_eq!(body["at"], json!({"atMobiles": ["13900000000"], "atUserIds": ["u01"], "isAtAll": false}));
        let text = body["markdown"]["text"].as_str().or(body["text"]["content"].as_str()).unwrap();
        assert!(text.ends_with("@13900000000 @u01"), "{text}");
        assert_eq!(body["msgUuid"], "msg_1");
    }
    let all = DingTalkMention { all: true, ..DingTalkMention::default() };
    let (_, body) = request(&robot(DingTalkFormat::ActionCard, all), &linked("x"));
    assert_eq!((&body["msgtype"], &body["at"]["isAtAll"]), (&json!("markdown"), &json!(true)));
}

#[test]
fn however_many_are_to_be_mentioned_the_text_keeps_its_room_and_the_lists_agree_with_it() {
    let people = |of: &str, times| (0..50).map(|n| format!("{}{n}", of.repeat(times))).collect::<Vec<_>>();
    for who in ["1", "训", "\"\u{1}"] {
        let mention = DingTalkMention { mobiles: people(who, 20), user_ids: people(who, 60), all: true };
        for format in [DingTalkFormat::Markdown, DingTalkFormat::Text] {
            let own = Message { body: Body::Text("x".repeat(50_000).into()), ..facts("") };
            let (_, body) = request(&robot(format, mention.clone()), &own);
            let text = body["markdown"]["text"].as_str().or(body["text"]["content"].as_str()).unwrap();
            assert!(text.matches('x').count() > 5_000, "{}", text.len());
            let lists = ["atMobiles", "atUserIds"].map(|list| body["at"][list].as_array().unwrap().clone());
            assert!(lists.iter().map(Vec::len).sum::<usize>() >= 45, "{lists:?}");
            assert!(lists.iter().flatten().all(|who| text.contains(&format!("@{}", who.as_str().unwrap()))));
        }
    }
}

#[test]
fn a_card_has_a_button_where_there_is_a_link_and_is_markdown_where_there_is_none() {
    let robot = robot(DingTalkFormat::ActionCard, DingTalkMention::default());
    let (_, body) = request(&robot, &linked("x"));
    assert_eq!(body["msgtype"], "actionCard");
    assert_eq!(body["actionCard"]["singleTitle"], "Open");
    assert_eq!(body["actionCard"]["singleURL"], "https://console.example/jobs/a(1)");
    assert!(!body["actionCard"]["text"].as_str().unwrap().contains("console.example"), "the link is told once");
    assert_eq!(request(&robot, &facts("x")).1["msgtype"], "markdown");
}

#[test]
fn a_teams_own_text_goes_out_as_it_is_written() {
    let own = Message { body: Body::Text("**mine** @u01 [x](https://a.example)".to_owned().into()), ..facts("") };
    let (_, body) = request(&robot(DingTalkFormat::Markdown, DingTalkMention::default()), &own);
    assert_eq!(body["markdown"]["text"], "### Job a failed\n\n**mine** @u01 [x](https://a.example)");
}

#[test]
fn a_message_of_any_length_fits() {
    for text in ["训".repeat(20_000), "\"\\\u{1}".repeat(20_000), "🚀".repeat(20_000), "x".repeat(100_000)] {
        for format in [DingTalkFormat::Markdown, DingTalkFormat::Text] {
            let own =
                Message { title: text.clone(), body: Body::Text(text.clone().into()), tone: Tone::Bad, link: None };
            request(&robot(format, two_people()), &own);
            request(&robot(format, two_people()), &facts(&text));
        }
    }
}

#[test]
fn only_the_code_in_the_body_is_a_verdict() {
    check_verdicts(&robot(DingTalkFormat::Markdown, DingTalkMention::default()), &VERDICTS);
}

const VERDICTS: [(u16, &str, &str, &str); 38] = [
    (200, r#"{"errcode":0,"errmsg":"ok"}"#, "delivered", "0"),
    (200, r#"{"errcode":"0","errmsg":"ok"}"#, "delivered", "0"),
    (500, r#"{"errcode":0}"#, "delivered", "0"),
    (200, r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#, "throttled", "130101"),
    (403, r#"{"errcode":130101,"status":1111,"wait":600,"punish":"x","uuid":"y"}"#, "throttled", "130101"),
    (200, r#"{"errcode":"130101"}"#, "throttled", "130101"),
    (200, r#"{"errcode":410100}"#, "throttled", "410100"),
    (200, r#"{"errcode":90030,"errmsg":"webhook over limit"}"#, "throttled", "90030"),
    (200, r#"{"errcode":310000,"errmsg":"sign not match, more: [https://open.dingtalk.com]"}"#, "permanent", "310000"),
    (200, r#"{"errcode":310000,"errmsg":"keywords not in content"}"#, "permanent", "310000"),
    (200, r#"{"errcode":310000,"errmsg":"invalid timestamp"}"#, "permanent", "310000"),
    (200, r#"{"errcode":310000,"errmsg":"ip 203.0.113.7 not in whitelist"}"#, "permanent", "310000"),
    (200, r#"{"errcode":310000,"errmsg":"description:机器人发送签名过期;solution:…;link:…"}"#, "permanent", "310000"),
    // The number decides, not the words.
    (200, r#"{"errcode":310000,"errmsg":"ok"}"#, "permanent", "310000"),
    (200, r#"{"errcode":310000,"errmsg":"send too fast"}"#, "permanent", "310000"),
    (503, r#"{"errcode":310000}"#, "permanent", "310000"),
    (200, r#"{"errcode":300001,"errmsg":"token is not exist"}"#, "permanent", "300001"),
    (200, r#"{"errcode":300005}"#, "permanent", "300005"),
    (200, r#"{"errcode":400101}"#, "permanent", "400101"),
    (200, r#"{"errcode":400102}"#, "permanent", "400102"),
    (200, r#"{"errcode":400105}"#, "permanent", "400105"),
    (200, r#"{"errcode":400106}"#, "permanent", "400106"),
    (200, r#"{"errcode":430104}"#, "permanent", "430104"),
    (200, r#"{"errcode":40035}"#, "permanent", "40035"),
    (200, r#"{"errcode":460101,"errmsg":"message too long, exceed 20000 bytes"}"#, "permanent", "460101"),
    (200, r#"{"errcode":999999}"#, "permanent", "999999"),
    (429, r#"{"errcode":999999}"#, "throttled", "999999"),
    (502, r#"{"errcode":999999}"#, "transient", "999999"),
    (200, r#"{"errcode":-1,"errmsg":"system busy"}"#, "transient", "-1"),
    (200, "", "transient", "BodyNotUnderstood"),
    (200, "{}", "transient", "BodyNotUnderstood"),
    (200, r#"{"errcode":null}"#, "transient", "BodyNotUnderstood"),
    (200, r#"{"errcode":"zero"}"#, "transient", "BodyNotUnderstood"),
    (200, r#"{"code":0}"#, "transient", "BodyNotUnderstood"),
    (302, "", "permanent", "302"),
    (404, "", "permanent", "404"),
    (429, "", "throttled", "429"),
    (502, "<html>", "transient", "502"),
];

#[test]
fn what_is_kept_of_a_refusal_holds_neither_token_nor_signature() {
    let robot = robot(DingTalkFormat::Markdown, DingTalkMention::default());
    let (url, _) = request(&robot, &facts("x"));
    let words = format!("sign not match: {url} t0ken {}", vector_key());
    let reply = Reply {
        status: 200,
        retry_after: None,
        body: json!({"errcode": 310_000, "errmsg": words}).to_string().into_bytes(),
    };
    let kept = robot.verdict(&reply).map_message(|words| crate::channel::text::cleaned(words, &robot.secrets()));
    assert_eq!(kept.message(), "sign not match: https://oapi.dingtalk.com *** ***");
}

#[test]
fn everybody_in_a_target_can_be_mentioned_whatever_they_are_called() {
    let fields = json!({"signingKey": {"secretKeyRef": {"name": "robot", "key": "k"}},
        "mention": {"mobiles": ["+86-13900000000", " "], "userIds": ["a\nb"]}});
    let body = samples::sample("dingTalk", fields).body(&facts("x"));
    assert_eq!(body["at"]["atMobiles"], json!(["+86-13900000000"]));
    assert!(body["markdown"]["text"].as_str().unwrap().ends_with("@+86-13900000000 @a b"));
}
