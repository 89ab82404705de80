//! What goes right: one message, once, in the form that was asked for, and a repeat that is known as one.

use crate::form::{Form, Kind, ORIGIN, PHONE, SIGNING_KEY};
use crate::line::{Line, client};
use crate::news::{JOB, News};
use crate::robot::Verdict;
use crate::table::{each_form, success};
use crate::view::Shown;

#[tokio::test]
async fn what_is_right_is_shown_once_and_a_repeat_is_known_where_the_receiver_has_a_way_to() {
    each_form(async |form, client| {
        let line = Line::open(form, &client).await;
        let news = News::of(JOB);
        let outcome = line.send(&news, "msg_1").await;
        assert_eq!((outcome.label(), outcome.code()), ("delivered", success(form.kind())), "{form:?}: {outcome:?}");
        let seen = line.seen().await;
        assert!(seen.len() == 1 && seen[0].tells(JOB), "{form:?}: {seen:?}");
        look(form, &line, &seen[0]);

        let again = line.send(&news, "msg_1").await;
        assert_eq!(again.label(), "delivered", "{form:?}: {again:?}");
        let seen = line.seen().await;
        match form.kind() {
            Kind::DingTalk | Kind::Http => {
                assert_eq!(line.inbox().posts().last().unwrap().verdict, Verdict::Repeat, "{form:?}");
                assert_eq!(seen.len(), 1, "{form:?}");
            }
            Kind::WeCom | Kind::Lark | Kind::TextMessage | Kind::VoiceCall => assert_eq!(seen.len(), 2, "{form:?}"),
            Kind::Email => {
                let ids: Vec<&str> = seen.iter().map(|shown| letter(shown).message_id.as_str()).collect();
                assert_eq!(ids, [ids[0]; 2], "{form:?}: whoever compares ids knows the repeat");
            }
        }
        let idempotent = matches!(form.kind(), Kind::DingTalk | Kind::Http);
        assert_eq!(line.limits().idempotent, idempotent, "{form:?}");
    })
    .await;
}

fn letter(shown: &Shown) -> &crate::mail::Letter {
    match shown {
        Shown::Letter(letter) => letter,
        Shown::Message(_) | Shown::Unread => panic!("no letter: {shown:?}"),
    }
}

/// Whom a form mentions.
pub fn mentioned(form: Form) -> &'static [&'static str] {
    match form {
        Form::DingTalkMarkdown => &["13900000001", "user-7"],
        Form::DingTalkText => &["all"],
        Form::WeComMarkdown => &["zhangsan"],
        Form::WeComText => &["zhangsan", "13900000001"],
        Form::LarkSigned => &["all", "ou_7"],
        _ => &[],
    }
}

/// What only this form has.
fn look(form: Form, line: &Line, shown: &Shown) {
    assert_eq!(shown.mentions(form), mentioned(form), "{form:?}: {shown:?}");
    if form.kind() == Kind::Email {
        let letter = letter(shown);
        assert_eq!(
            (letter.to.as_slice(), letter.from.as_str()),
            (&["li@mail.example".to_owned()][..], crate::mail::USER)
        );
        assert!(letter.html.contains("https://console.example.com/research/6f1c"), "{letter:?}");
        return;
    }
    let (message, post) = (shown.message(), line.inbox().posts().pop().unwrap());
    let signs = matches!(
        form,
        Form::DingTalkMarkdown
            | Form::DingTalkText
            | Form::DingTalkCard
            | Form::LarkSigned
            | Form::HttpSigned
            | Form::TextMessage
            | Form::VoiceCall
    );
    assert_eq!(message.signed, signs, "{form:?}");
    assert!(!format!("{post:?}").contains(SIGNING_KEY), "{form:?}: a key stays at home");
    let header = |name: &str| post.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match form {
        Form::DingTalkCard => {
            assert_eq!(message.body["actionCard"]["singleURL"], "https://console.example.com/research/6f1c");
        }
        Form::HttpBinary => {
            assert_eq!((post.method.as_str(), header("ce-type")), ("PUT", "pai.dlc.job.failed"));
            assert_eq!(message.body["data"]["subject"]["name"], JOB);
        }
        Form::HttpTemplate => {
            assert_eq!((header("x-team"), header("content-type")), ("vision", "text/plain; charset=utf-8"));
        }
        // One signature by each key; the endpoint knows the second one only.
        Form::HttpSigned => assert_eq!(header("webhook-signature").split(' ').count(), 2),
        Form::HttpHandshake => {
            let [handshake] = line.inbox().handshakes().try_into().unwrap();
            assert!(handshake.consented && handshake.origin.as_deref() == Some(ORIGIN), "{handshake:?}");
        }
        Form::TextMessage => assert_eq!(message.body["PhoneNumbers"], PHONE.trim_start_matches("+86")),
        Form::VoiceCall => assert_eq!(message.body["CalledNumber"], PHONE.trim_start_matches("+86")),
        _ => {}
    }
    if form.kind() == Kind::Http {
        assert_eq!(header("webhook-id"), "msg_1", "{form:?}");
    }
}

#[tokio::test]
async fn a_connectivity_test_goes_the_same_way_and_where_there_is_none_nothing_is_sent() {
    each_form(async |form, client| {
        let line = Line::open(form, &client).await;
        let outcome = line.probe(&News::of(JOB)).await;
        match form.kind() {
            Kind::DingTalk | Kind::WeCom | Kind::Lark => {
                assert_eq!(outcome.unwrap().label(), "delivered", "{form:?}");
                assert_eq!(line.seen().await.len(), 1, "{form:?}");
            }
            Kind::Http | Kind::TextMessage | Kind::VoiceCall | Kind::Email => {
                assert_eq!((outcome, line.arrived().await), (None, 0), "{form:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn three_hundred_events_are_one_message_with_the_counts_first_and_then_the_newest() {
    each_form(async |form, client| {
        let line = Line::open(form, &client).await;
        let digest = line.limits().digest;
        if form.kind() == Kind::Http {
            assert!(!digest, "{form:?}: an endpoint takes one event at a time");
            return;
        }
        assert!(digest, "{form:?}");
        let outcome = line.send(&News::digest(300), "msg_digest").await;
        assert_eq!(outcome.label(), "delivered", "{form:?}: {outcome:?}");
        let [shown] = line.seen().await.try_into().unwrap();
        assert!(shown.tells("300 events in workspace research"), "{form:?}: {shown:?}");
        if matches!(form.kind(), Kind::TextMessage | Kind::VoiceCall) {
            // There is room for no more than how many there are.
            return;
        }
        let text = shown.whole().replace(['*', '\\'], "");
        let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{form:?}: no {words} in {text}"));
        let places = [at("Job failed: 200"), at("Job succeeded: 100"), at("job-299"), at("job-298"), at("job-290")];
        assert!(places.is_sorted(), "{form:?}: {places:?} in {text}");
        let told = text.matches(" UTC ").count();
        assert!(told >= 15, "{form:?}: {told} events");
        assert!(told == 300 || text.contains(&format!("… and {} more", 300 - told)), "{form:?}: {told} in {text}");
    })
    .await;
}

#[tokio::test]
async fn consent_is_asked_for_once_and_what_is_sent_after_it_was_withdrawn_is_refused() {
    let line = Line::open(Form::HttpHandshake, &client()).await;
    for id in ["msg_1", "msg_2"] {
        assert_eq!(line.send(&News::of(JOB), id).await.label(), "delivered");
    }
    assert_eq!(line.inbox().handshakes().len(), 1);
    line.inbox().consent(crate::robot::Consent::Withheld);
    let outcome = line.send(&News::of(JOB), "msg_3").await;
    assert_eq!((outcome.label(), outcome.code()), ("permanent", "403"), "{outcome:?}");
}
