//! The `Lark` robot.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::robot::{Lark, Receiver};
use crate::{hmac, now_ms, post};

const KEY: &str = "paiNotifyDemoSecret";

fn text(text: &str) -> Value {
    json!({"msg_type": "text", "content": {"text": text}})
}

fn signed(mut body: Value, seconds: u64) -> Value {
    body["timestamp"] = json!(seconds.to_string());
    body["sign"] = json!(sign(seconds, KEY));
    body
}

fn sign(seconds: u64, key: &str) -> String {
    hmac(format!("{seconds}\n{key}").as_bytes(), b"")
}

fn post_of(nodes: &Value) -> Value {
    json!({"msg_type": "post", "content": {"post": {"zh_cn": {"title": "t", "content": [nodes]}}}})
}

/// A card of schema 2.0 with these elements, in this colour.
fn card(elements: &Value, colour: &str) -> Value {
    json!({"msg_type": "interactive", "card": {"schema": "2.0", "config": {"update_multi": true},
        "header": {"template": colour, "title": {"tag": "plain_text", "content": "Job failed"}},
        "body": {"direction": "vertical", "elements": elements}}})
}

fn button(behaviors: &Value) -> Value {
    json!({"tag": "button", "text": {"tag": "plain_text", "content": "Logs"}, "behaviors": behaviors})
}

fn old_card(body: &Value) -> Value {
    let mut card = json!({"config": {"wide_screen_mode": true},
        "header": {"template": "red", "title": {"tag": "plain_text", "content": "Job failed"}}});
    card.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    json!({"msg_type": "interactive", "card": card})
}

fn markdown(content: &str) -> Value {
    json!({"tag": "markdown", "content": content})
}

#[rstest]
#[case::text(text("<at user_id=\"ou_1\">Li</at> a"), 0)]
#[case::empty(text(""), 19_002)]
#[case::post(post_of(&json!([{"tag": "text", "text": "a "}, {"tag": "a", "text": "logs", "href": "https://x.example"}, {"tag": "at", "user_id": "ou_1"}])), 0)]
#[case::post_with_unknown_tag(post_of(&json!([{"tag": "blink", "text": "a"}])), 19_002)]
#[case::post_with_a_link_to_nowhere(post_of(&json!([{"tag": "a", "text": "a"}])), 19_002)]
#[case::post_in_no_language(json!({"msg_type": "post", "content": {"post": {"title": "t", "content": []}}}), 19_002)]
#[case::card(card(&json!([markdown("a"), {"tag": "hr"}, button(&json!([{"type": "open_url", "default_url": "u"}]))]), "red"), 0)]
#[case::columns(card(&json!([{"tag": "column_set", "columns": [{"tag": "column", "elements": [markdown("a")]}]}]), "blue"), 0)]
#[case::unknown_tag(card(&json!([{"tag": "marquee", "content": "a"}]), "red"), 19_002)]
#[case::unknown_tag_in_a_column(card(&json!([{"tag": "column_set", "columns": [{"tag": "column", "elements": [{"tag": "x"}]}]}]), "red"), 19_002)]
#[case::tag_of_the_older_schema(card(&json!([{"tag": "note", "elements": [{"tag": "plain_text", "content": "a"}]}]), "red"), 19_002)]
#[case::unknown_colour(card(&json!([markdown("a")]), "pink"), 19_002)]
#[case::no_elements(card(&json!([]), "red"), 19_002)]
#[case::empty_element(card(&json!([markdown(" ")]), "red"), 19_002)]
#[case::button_that_calls_back(card(&json!([button(&json!([{"type": "callback", "value": {}}]))]), "red"), 19_002)]
#[case::button_that_leads_nowhere(card(&json!([button(&json!([]))]), "red"), 19_002)]
#[case::old_card(old_card(&json!({"elements": [{"tag": "div", "text": {"tag": "lark_md", "content": "**a**"}}]})), 0)]
#[case::old_card_with_a_new_body(old_card(&json!({"body": {"elements": [markdown("a")]}})), 19_002)]
#[case::new_card_with_old_elements(old_card(&json!({"schema": "2.0", "elements": [markdown("a")]})), 19_002)]
#[case::card_as_content(json!({"msg_type": "interactive", "content": {}}), 19_002)]
#[case::type_of_another_robot(json!({"msgtype": "text", "text": {"content": "a"}}), 19_002)]
#[case::unknown_type(json!({"msg_type": "poem", "content": {}}), 19_002)]
#[case::unknown_field(json!({"msg_type": "text", "content": {"text": "a"}, "at": {}}), 19_002)]
#[case::too_long(text(&"a".repeat(20_000)), 9499)]
#[tokio::test]
async fn a_robot_judges_a_signed_body(#[case] body: Value, #[case] code: i64) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.lark(Lark::new("tok").with_signing_key(KEY));
    let reply = post(inbox.url(), &signed(body, now_ms() / 1000)).await;
    assert_eq!(reply["code"], code, "{reply}");
    assert_eq!(inbox.messages().len(), usize::from(code == 0));
}

#[test]
fn the_known_vectors_hold() {
    assert_eq!(sign(1_767_225_600, KEY), "74Z8gV3R/70coqiB3XCrejl4Wra90hQMQVX38LVdcVs=");
    assert_eq!(sign(1_599_360_473, "demo"), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
}

#[tokio::test]
async fn a_robot_refuses_what_it_cannot_trust() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.lark(Lark::new("tok").with_signing_key(KEY).with_keywords(&["PAI"]));
    let now = now_ms() / 1000;
    let mut turned_round = signed(text("PAI"), now);
    turned_round["sign"] = json!(hmac(KEY.as_bytes(), format!("{now}\n{KEY}").as_bytes()));
    let mut number = signed(text("PAI"), now);
    number["timestamp"] = json!(now);
    for (body, code) in [
        (text("PAI"), 19_021),
        (turned_round, 19_021),
        (number, 19_021),
        (signed(text("PAI"), now - 2 * 3600), 19_021),
        (signed(text("PAI"), now + 2 * 3600), 19_021),
        (signed(text("hello"), now), 19_024),
        (json!("no object"), 19_021),
    ] {
        assert_eq!(post(inbox.url(), &body).await["code"], code, "{body}");
    }
    let success = json!({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"});
    assert_eq!(post(inbox.url(), &signed(text("PAI"), now)).await, success);
    let elsewhere = receiver.url_for("open-apis/bot/v2/hook/other");
    let reply = post(&elsewhere, &text("PAI")).await;
    assert_eq!(reply["code"], 19_001, "{reply}");
    assert_eq!((inbox.messages().len(), inbox.messages()[0].signed), (1, true));
}

#[tokio::test]
async fn a_card_is_shown_with_its_title_and_all_its_text() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.lark(Lark::new("tok"));
    let column = json!({"tag": "column_set", "columns": [{"tag": "column", "elements": [markdown("two")]}]});
    post(inbox.url(), &card(&json!([markdown("one"), column, markdown("three")]), "red")).await;
    let message = &inbox.messages()[0];
    assert_eq!((message.title.as_str(), message.text.as_str()), ("Job failed", "one\ntwo\nthree"));
    assert!(!message.signed);
}

#[tokio::test]
async fn a_robot_has_a_budget_for_a_second_and_one_for_a_minute() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.lark(Lark::new("tok").with_real_budget());
    let mut codes = Vec::new();
    for burst in 0..21 {
        receiver.advance_clock(Duration::from_secs(1));
        for _ in 0..if burst == 0 { 6 } else { 5 } {
            codes.push(post(inbox.url(), &text("a")).await["code"].as_i64().unwrap());
        }
    }
    let expected = std::iter::repeat_n(0, 5).chain([11_232]).chain(std::iter::repeat_n(0, 95));
    assert_eq!(codes, expected.chain(std::iter::repeat_n(11_232, 5)).collect::<Vec<_>>());
    receiver.advance_clock(Duration::from_mins(1));
    assert_eq!(post(inbox.url(), &text("a")).await["code"], 0);
}
