use serde_json::{Value, json};

use super::*;
use crate::channel::samples::{check_verdicts, facts, linked, refusal, sample};
use crate::message::{Body, Message, Tone};

fn body(fields: Value, message: &Message) -> Value {
    sample("weCom", fields).body(message)
}

fn text(fields: Value) -> String {
    body(fields, &linked("x"))["markdown"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn markdown_has_the_colour_of_the_outcome_a_link_and_mentions_by_user_id() {
    assert_eq!(
        text(json!({"mention": {"userIds": ["zhangsan", "li.si@corp"]}})),
        "### <font color=\"warning\">Job a failed</font>\n> **Reason**: x\n\
         [Open](https://console.example/jobs/a%281%29)\n<@zhangsan> <@li.si@corp>"
    );
    let colours = [Tone::Bad, Tone::Warning, Tone::Good, Tone::Neutral].map(|tone| {
        let shown = body(json!({}), &Message { tone, ..facts("x") });
        shown["markdown"]["content"].as_str().unwrap().split('"').nth(1).unwrap().to_owned()
    });
    assert_eq!(colours, ["warning", "warning", "info", "comment"]);
}

#[test]
fn a_form_that_cannot_mention_gives_way_to_one_that_can() {
    let table = [
        (json!({}), "markdown"),
        (json!({"mention": {"userIds": ["u1"]}}), "markdown"),
        (json!({"mention": {"mobiles": ["13900000000"]}}), "text"),
        (json!({"mention": {"all": true}}), "text"),
        (json!({"mention": {"userIds": ["@all"]}}), "text"),
        (json!({"format": "MarkdownV2"}), "markdown_v2"),
        (json!({"format": "MarkdownV2", "mention": {"userIds": ["u1"]}}), "markdown"),
        (json!({"format": "MarkdownV2", "mention": {"all": true}}), "text"),
        (json!({"format": "Text"}), "text"),
        (json!({"format": "Text", "mention": {"userIds": ["u1"]}}), "text"),
    ];
    for (fields, expected) in table {
        let body = body(fields.clone(), &linked("x"));
        assert_eq!(body["msgtype"], expected, "{fields}");
        let kinds: Vec<_> = body.as_object().unwrap().keys().filter(|key| *key != "msgtype").collect();
        assert_eq!(kinds, [expected], "{fields}");
    }
}

#[test]
fn a_text_mentions_by_its_lists() {
    let fields = json!({"mention": {"userIds": ["u1"], "mobiles": ["13900000000"], "all": true}});
    let lists = json!({"content": "Job a failed\nReason: x", "mentioned_list": ["u1", "@all"],
        "mentioned_mobile_list": ["13900000000"]});
    assert_eq!(body(fields, &facts("x"))["text"], lists);
    let once = body(json!({"mention": {"userIds": ["@all"], "all": true}}), &facts("x"));
    assert_eq!(once["text"]["mentioned_list"], json!(["@all"]));
    let nobody = body(json!({"format": "Text"}), &facts("x"));
    assert_eq!(nobody["text"], json!({"content": "Job a failed\nReason: x"}));
}

#[test]
fn the_second_markdown_has_neither_colour_nor_mention_and_lines_that_stay_apart() {
    let body = body(json!({"format": "MarkdownV2"}), &linked("a|b"));
    let expected = "### Job a failed\n\n- **Reason**: a｜b\n\n[Open](https://console.example/jobs/a%281%29)";
    assert_eq!(body["markdown_v2"]["content"], expected);
}

#[test]
fn the_limit_counts_bytes_and_as_many_people_as_a_target_may_have_still_fit() {
    let ids: Vec<String> = (10..30).map(|n| format!("{}{n}", "u".repeat(62))).collect();
    for text in ["训".repeat(5_000), "🚀".repeat(5_000), "<".repeat(5_000), "x".repeat(9_000)] {
        for (fields, kind, most) in [
            (json!({"mention": {"userIds": ids}}), "markdown", 4096),
            (json!({"format": "MarkdownV2"}), "markdown_v2", 4096),
            (json!({"format": "Text"}), "text", 2048),
        ] {
            for message in [facts(&text), Message { body: Body::Text(text.clone().into()), ..linked("") }] {
                let body = body(fields.clone(), &message);
                let content = body[kind]["content"].as_str().unwrap();
                assert!(content.len() <= most && content.len() > most / 2, "{kind}: {}", content.len());
                assert_eq!(content.matches("<@").count(), if kind == "markdown" { 20 } else { 0 });
            }
        }
    }
}

#[test]
fn only_the_code_in_the_body_is_a_verdict() {
    let table = [
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, "delivered", "0"),
        (200, r#"{"errcode":"0"}"#, "delivered", "0"),
        (200, r#"{"errcode":45009,"errmsg":"api freq out of limit, hint: [x]"}"#, "throttled", "45009"),
        (200, r#"{"errcode":93000,"errmsg":"invalid webhook url, hint: [x]"}"#, "permanent", "93000"),
        (403, r#"{"errcode":93000}"#, "permanent", "93000"),
        (200, r#"{"errcode":40008,"errmsg":"invalid message type"}"#, "permanent", "40008"),
        (200, r#"{"errcode":44004,"errmsg":"empty content"}"#, "permanent", "44004"),
        (200, r#"{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}"#, "permanent", "40058"),
        (200, r#"{"errcode":40058,"errmsg":"ok"}"#, "permanent", "40058"),
        (200, r#"{"errcode":-1,"errmsg":"system busy"}"#, "transient", "-1"),
        (200, r#"{"errcode":60020,"errmsg":"not allow to access from your ip"}"#, "permanent", "60020"),
        (503, r#"{"errcode":60020}"#, "transient", "60020"),
        (200, r#"{"errmsg":"ok"}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"errcode":true}"#, "transient", "BodyNotUnderstood"),
        (200, "<html>ok</html>", "transient", "BodyNotUnderstood"),
        (301, "", "permanent", "301"),
        (429, "", "throttled", "429"),
        (500, "", "transient", "500"),
    ];
    check_verdicts(sample("weCom", json!({})).channel(), &table);
}

#[test]
fn a_gateway_may_say_when_to_come_back_but_not_shorten_the_robots_window() {
    let reply =
        |body: &str| Reply { status: 429, retry_after: Some(Duration::from_secs(1)), body: body.as_bytes().to_vec() };
    let sample = sample("weCom", json!({}));
    let asked = |body: &str| match sample.channel().verdict(&reply(body)) {
        Outcome::Throttled { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(r#"{"errcode":45009}"#), None);
    assert_eq!(asked("slow down"), Some(Duration::from_secs(1)));
}

#[test]
fn the_key_is_the_secret() {
    let words = r#"{"errcode":93000,"errmsg":"invalid key wecomkey"}"#;
    let sample = sample("weCom", json!({}));
    let verdict = sample.channel().verdict(&Reply { status: 200, retry_after: None, body: words.into() });
    let kept = crate::channel::text::cleaned(verdict.message(), &sample.channel().secrets());
    assert_eq!(kept, "invalid key ***");
}

#[test]
fn people_whom_wecom_cannot_know_are_refused_with_their_place() {
    for (mention, expected) in [
        (json!({"mobiles": ["13900000000", "+8613900000000"]}), "spec.weCom.mention.mobiles[1]: is no mobile number"),
        (json!({"mobiles": [""]}), "spec.weCom.mention.mobiles[0]"),
        (json!({"userIds": ["a b"]}), "spec.weCom.mention.userIds[0]: is no user id"),
        (json!({"userIds": ["u1", "u2><@all"]}), "spec.weCom.mention.userIds[1]"),
        (json!({"userIds": ["张三"]}), "spec.weCom.mention.userIds[0]"),
    ] {
        let why = refusal("weCom", json!({"mention": mention}));
        assert!(why.starts_with(expected), "{why}");
    }
}
