//! The `WeCom` robot.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::post;
use crate::robot::{Receiver, WeCom};

fn text(content: &str) -> Value {
    json!({"msgtype": "text", "text": {"content": content}})
}

/// A card that is fine, with this field in the place of its own.
fn card(field: &str, value: Value) -> Value {
    let mut card = json!({"card_type": "text_notice", "main_title": {"title": "Job failed", "desc": "dlc1"},
        "emphasis_content": {"title": "OOM", "desc": "reason"}, "sub_title_text": "worker-3 was killed",
        "horizontal_content_list": [{"keyname": "ws", "value": "team-a"}],
        "jump_list": [{"type": 1, "title": "Logs", "url": "https://x.example/l"}],
        "card_action": {"type": 1, "url": "https://x.example/j"}});
    card[field] = value;
    json!({"msgtype": "template_card", "template_card": card})
}

#[rstest]
#[case::text(text("a"), 0)]
#[case::mentions(json!({"msgtype": "text", "text": {"content": "a", "mentioned_list": ["zhangsan", "@all"], "mentioned_mobile_list": ["13900000000"]}}), 0)]
#[case::longest_text(text(&"é".repeat(1024)), 0)]
#[case::text_too_long(text(&"é".repeat(1025)), 40_058)]
#[case::markdown(json!({"msgtype": "markdown", "markdown": {"content": "### a\n> <font color=\"warning\">b</font> <@zhangsan>"}}), 0)]
#[case::longest_markdown(json!({"msgtype": "markdown", "markdown": {"content": "a".repeat(4096)}}), 0)]
#[case::markdown_too_long(json!({"msgtype": "markdown", "markdown": {"content": "a".repeat(4097)}}), 40_058)]
#[case::unknown_colour(json!({"msgtype": "markdown", "markdown": {"content": "<font color=\"red\">b</font>"}}), 40_058)]
#[case::markdown_v2(json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "| k | v |\n|:--|--:|\n| a | b |"}}), 0)]
#[case::markdown_v2_too_long(json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "a".repeat(4097)}}), 40_058)]
#[case::colour_in_v2(json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "<font color=\"info\">b</font>"}}), 40_058)]
#[case::mention_in_v2(json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "<@zhangsan>"}}), 40_058)]
#[case::card(card("card_type", json!("text_notice")), 0)]
#[case::card_of_another_type(card("card_type", json!("vote")), 40_058)]
#[case::card_without_action(card("card_action", Value::Null), 40_058)]
#[case::card_with_too_many_facts(card("horizontal_content_list", json!(vec![json!({"keyname": "a"}); 7])), 40_058)]
#[case::card_with_a_fact_that_leads_nowhere(card("horizontal_content_list", json!([{"type": 1, "keyname": "a"}])), 40_058)]
#[case::card_with_too_many_jumps(card("jump_list", json!(vec![json!({"type": 0, "title": "a"}); 4])), 40_058)]
#[case::card_with_unknown_field(card("colour", json!("red")), 40_058)]
#[case::no_type(json!({"text": {"content": "a"}}), 40_008)]
#[case::no_object(json!([]), 40_008)]
#[case::unknown_field(json!({"msgtype": "text", "text": {"content": "a"}, "at": {}}), 40_058)]
#[case::unknown_type(json!({"msgtype": "poem"}), 40_008)]
#[case::type_of_another_robot(json!({"msg_type": "text"}), 40_008)]
#[case::empty(text(" "), 44_004)]
#[case::content_missing(json!({"msgtype": "text"}), 44_004)]
#[case::mobiles_that_are_none(json!({"msgtype": "text", "text": {"content": "a", "mentioned_mobile_list": ["zhangsan"]}}), 40_058)]
#[case::mentions_that_are_no_list(json!({"msgtype": "text", "text": {"content": "a", "mentioned_list": "zhangsan"}}), 40_058)]
#[tokio::test]
async fn a_robot_judges_a_body(#[case] body: Value, #[case] code: i64) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.wecom(WeCom::new("key"));
    let reply = post(inbox.url(), &body).await;
    assert_eq!(reply["errcode"], code, "{reply}");
    assert_eq!(inbox.messages().len(), usize::from(code == 0));
}

#[tokio::test]
async fn a_card_is_shown_as_its_lines() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.wecom(WeCom::new("key"));
    post(inbox.url(), &card("card_type", json!("text_notice"))).await;
    let message = &inbox.messages()[0];
    assert_eq!((message.title.as_str(), message.id.as_deref()), ("Job failed", None));
    assert_eq!(message.text, "dlc1\nOOM\nreason\nworker-3 was killed\nws: team-a");
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_what_belongs_into_no_log() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.wecom(WeCom::new("key"));
    for path in ["cgi-bin/webhook/send?key=other", "cgi-bin/webhook/send"] {
        let reply = post(&receiver.url_for(path), &text("a")).await;
        assert_eq!(reply["errcode"], 93_000);
        assert_eq!(
            reply["errmsg"],
            "invalid webhook url, hint: [1700000000123456789abcdef], from ip: 203.0.113.7, \
             more info at https://open.work.weixin.qq.com/devtool/query?e=93000"
        );
    }
    assert_eq!(inbox.posts().len(), 0);
}

#[tokio::test]
async fn a_robot_over_its_budget_takes_nothing_for_a_minute() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.wecom(WeCom::new("key").with_real_budget());
    for code in std::iter::repeat_n(0, 20).chain([45_009, 45_009]) {
        assert_eq!(post(inbox.url(), &text("a")).await["errcode"], code);
    }
    receiver.advance_clock(Duration::from_mins(1));
    assert_eq!(post(inbox.url(), &text("a")).await["errcode"], 0);
}
