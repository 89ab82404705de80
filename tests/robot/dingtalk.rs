//! The `DingTalk` robot.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use crate::robot::{Receiver, Robot, Verdict};
use crate::{hmac, now_ms, post};

const KEY: &str = "SEC0123456789abcdef";

fn signed_url(url: &str, timestamp: u64) -> String {
    let sign = hmac(KEY.as_bytes(), format!("{timestamp}\n{KEY}").as_bytes());
    let mut url = url::Url::parse(url).unwrap();
    url.query_pairs_mut().append_pair("timestamp", &timestamp.to_string()).append_pair("sign", &sign);
    url.into()
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
#[case::link(json!({"msgtype": "link", "link": {"title": "t", "text": "x", "messageUrl": "u", "picUrl": ""}}), 0)]
#[case::link_in_the_letters_of_a_card(json!({"msgtype": "link", "link": {"title": "t", "text": "x", "messageURL": "u"}}), 40_035)]
#[case::card_that_leads_nowhere(json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "x"}}), 40_035)]
#[case::button_that_leads_nowhere(json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "x", "btns": [{"title": "b"}]}}), 40_035)]
#[case::mention_in_a_card(json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "@139", "singleTitle": "s", "singleURL": "u"}, "at": {"atMobiles": ["139"]}}), 40_035)]
#[case::unknown_field(json!({"msgtype": "text", "text": {"content": "a"}, "msguuid": "1"}), 40_035)]
#[case::unknown_field_of_the_type(json!({"msgtype": "text", "text": {"content": "a", "title": "t"}}), 40_035)]
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
    receiver.advance_clock(Duration::from_mins(9));
    assert_eq!(post(&url, &body).await["errcode"], 130_101);
    receiver.advance_clock(Duration::from_mins(1));
    assert_eq!(post(&url, &body).await["errcode"], 0);
    assert_eq!(inbox.most_posts_in(Duration::from_mins(1)), 24);
    assert_eq!(inbox.most_posts_in(Duration::ZERO), 0);
}

#[tokio::test]
async fn a_host_with_robots_knows_when_a_token_belongs_to_none() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.robot(Robot::unsigned("tok"));
    let body = json!({"msgtype": "text", "text": {"content": "a"}});
    let reply = post(&receiver.url_for("robot/send?access_token=other"), &body).await;
    assert_eq!(reply, json!({"errcode": 300_001, "errmsg": "token is not exist"}));
    assert_eq!((inbox.posts().len(), receiver.posts()[0].inbox.as_str()), (0, ""));
    assert_eq!(post(inbox.url(), &body).await, json!({"errcode": 0, "errmsg": "ok"}));
}
