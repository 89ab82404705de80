use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::channel::samples::{check_verdicts, facts, linked, refusal, sample};
use crate::message::{Body, Message, Tone};

fn body(fields: Value, message: &Message) -> Value {
    sample("lark", fields).body(message)
}

fn signed() -> Value {
    json!({"signingKey": {"secretKeyRef": {"name": "robot", "key": "k"}}})
}

#[test]
fn the_signature_is_that_of_the_published_vectors() {
    let table = [
        ("paiNotifyDemoSecret", "1767225600", "74Z8gV3R/70coqiB3XCrejl4Wra90hQMQVX38LVdcVs="),
        ("demo", "1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="),
    ];
    for (key, seconds, expected) in table {
        assert_eq!(sign::signature(key, seconds), expected);
        let mut body = json!({"msg_type": "text"});
        sign::sign(&mut body, key, Timestamp::from_second(seconds.parse().unwrap()).unwrap());
        assert_eq!(body, json!({"msg_type": "text", "timestamp": seconds, "sign": expected}));
    }
}

#[test]
fn a_robot_without_a_key_is_not_signed() {
    let fields = |body: Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(body(json!({}), &facts("x"))), ["card", "msg_type"]);
    assert_eq!(fields(body(signed(), &facts("x"))), ["card", "msg_type", "sign", "timestamp"]);
    assert_eq!(body(signed(), &facts("x"))["timestamp"], "1767225600", "a text, in seconds");
}

#[test]
fn a_card_has_a_header_a_text_and_a_button() {
    let expected = json!({"msg_type": "interactive", "card": {
        "schema": "2.0",
        "config": {"update_multi": true},
        "header": {"template": "red", "title": {"tag": "plain_text", "content": "Job a failed"}},
        "body": {"direction": "vertical", "elements": [
            {"tag": "markdown", "content": "- **Reason**: a&#42;b"},
            {"tag": "button", "text": {"tag": "plain_text", "content": "Open"},
             "behaviors": [{"type": "open_url", "default_url": "https://console.example/jobs/a(1)"}]},
        ]},
    }});
    assert_eq!(body(json!({}), &linked("a*b")), expected);
    assert_eq!(body(json!({}), &facts("x"))["card"]["body"]["elements"].as_array().unwrap().len(), 1);
}

#[test]
fn every_outcome_has_its_colour() {
    let colours = [Tone::Bad, Tone::Warning, Tone::Good, Tone::Neutral]
        .map(|tone| body(json!({}), &Message { tone, ..facts("x") })["card"]["header"]["template"].clone());
    assert_eq!(colours, ["red", "orange", "turquoise", "blue"]);
}

#[test]
fn people_are_mentioned_in_a_paragraph_of_their_own() {
    let mention = json!({"mention": {"openIds": ["ou_1", "ou_2"], "all": true}});
    let body = body(mention, &facts("x"));
    let expected = "- **Reason**: x\n\n<at id=all></at> <at id=ou_1></at> <at id=ou_2></at>";
    assert_eq!(body["card"]["body"]["elements"][0]["content"], expected);
}

#[test]
fn as_many_people_as_a_target_may_have_still_fit_into_twenty_kilobytes() {
    let ids: Vec<String> = (10..60).map(|n| format!("ou_{}{n}", "1".repeat(59))).collect();
    let mut fields = signed();
    fields["mention"] = json!({"openIds": ids, "all": true});
    for text in ["训".repeat(20_000), "\"\\\u{1}".repeat(20_000), "🚀".repeat(20_000), "<".repeat(20_000)] {
        let url = format!("https://console.example/?q={}", "\\".repeat(2_000));
        let link = linked("").link.map(|link| crate::message::Link { url, ..link });
        for content in [facts(&text).body, Body::Text(text.clone().into())] {
            let message = Message { title: text.clone(), body: content, link: link.clone(), tone: Tone::Bad };
            let body = body(fields.clone(), &message);
            assert!(body.to_string().len() < 20_000, "{}", body.to_string().len());
            let shown = body["card"]["body"]["elements"][0]["content"].as_str().unwrap();
            assert_eq!(shown.matches("<at id=").count(), 51);
        }
    }
}

#[test]
fn the_host_is_the_one_that_was_given_and_the_token_in_its_path_is_secret() {
    for host in ["open.feishu.cn", "open.larksuite.com"] {
        let webhook = Url::parse(&format!("https://{host}/open-apis/bot/v2/hook/0123-abcd")).unwrap();
        let robot = Lark::new(webhook.clone(), None, LarkMention::default());
        assert_eq!(robot.webhook, webhook);
        let secrets = robot.secrets();
        let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(secrets, ["0123-abcd"]);
    }
}

#[test]
fn code_decides_or_the_status_code_of_older_replies_or_nothing() {
    let table = [
        (200, r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#, "delivered", "0"),
        (200, r#"{"code":0,"msg":"success"}"#, "delivered", "0"),
        (200, r#"{"code":"0"}"#, "delivered", "0"),
        (200, r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#, "delivered", "0"),
        (200, r#"{"StatusCode":0,"code":19024}"#, "permanent", "19024"),
        (200, r#"{"StatusCode":19024,"code":0}"#, "delivered", "0"),
        (200, r#"{"StatusCode":19024}"#, "permanent", "19024"),
        (200, r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}"#, "permanent", "19021"),
        (200, r#"{"code":19022,"msg":"Ip Not Allowed"}"#, "permanent", "19022"),
        (200, r#"{"code":19024,"msg":"Key Words Not Found"}"#, "permanent", "19024"),
        (200, r#"{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}"#, "permanent", "19001"),
        (200, r#"{"code":19002,"msg":"param invalid"}"#, "permanent", "19002"),
        (400, r#"{"code":9499,"msg":"Bad Request","data":{}}"#, "permanent", "9499"),
        (200, r#"{"code":9499,"msg":"too many requests"}"#, "throttled", "9499"),
        (200, r#"{"code":9499,"msg":"Frequency limited"}"#, "throttled", "9499"),
        (429, r#"{"code":9499,"msg":"Bad Request"}"#, "throttled", "9499"),
        (200, r#"{"code":11232,"msg":"frequency limited psm[lark.oapi]appID[1500]"}"#, "throttled", "11232"),
        (200, r#"{"code":19002,"msg":"too many requests"}"#, "permanent", "19002"),
        (200, r#"{"code":2200,"msg":"internal error"}"#, "transient", "2200"),
        (200, r#"{"code":99991400}"#, "permanent", "99991400"),
        (500, r#"{"code":99991400}"#, "transient", "99991400"),
        (200, r#"{"code":null,"StatusCode":0}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"code":false,"StatusCode":0}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"StatusCode":"success"}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"msg":"success","data":{"code":0}}"#, "transient", "BodyNotUnderstood"),
        (200, "{}", "transient", "BodyNotUnderstood"),
        (200, "", "transient", "BodyNotUnderstood"),
        (404, "404 page not found", "permanent", "404"),
        (429, "", "throttled", "429"),
        (504, "", "transient", "504"),
    ];
    check_verdicts(sample("lark", json!({})).channel(), &table);
}

#[test]
fn people_whom_a_custom_robot_cannot_mention_are_refused_with_their_place() {
    for (who, expected) in [
        (json!(["ou_1", "li@example.com"]), "spec.lark.mention.openIds[1]: is no open id"),
        (json!(["+8613900000000"]), "spec.lark.mention.openIds[0]"),
        (json!(["ou_1></at><at id=all"]), "spec.lark.mention.openIds[0]"),
        (json!([""]), "spec.lark.mention.openIds[0]"),
    ] {
        let why = refusal("lark", json!({"mention": {"openIds": who}}));
        assert!(why.starts_with(expected), "{why}");
    }
}
