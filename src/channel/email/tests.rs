use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::Map;

use super::*;
use crate::api::event_target::MessageTemplate;
use crate::api::workspace::{Locale, SmtpSecurity};
use crate::channel::client::mail::{Credentials, Mail, Trust};
use crate::lifecycle::{Event, EventType, Source, Subject, Transition};
use crate::message::{Body, Count, Digest, Fact, Item, Link, Message, Origin, Tone, compose, template};

fn event(uid: &str) -> Event {
    Event {
        id: "0123".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: vec![EventType::JobFailed],
        time: Timestamp::UNIX_EPOCH,
        observed_time: Timestamp::UNIX_EPOCH,
        reason: String::new(),
        message: String::new(),
        subject: Subject { uid: uid.to_owned(), ..Subject::default() },
        data: Map::new(),
    }
}

fn mailbox() -> Email {
    let server = Server {
        host: "smtp.corp.example".to_owned(),
        port: 465,
        security: SmtpSecurity::Tls,
        credentials: Some(Credentials { username: "pai".into(), password: "p4ssw0rd".into() }),
        trust: Trust::default(),
        patience: Duration::from_secs(8),
    };
    Email::new(server, "PAI <pai@corp.example>".parse().unwrap(), "On Call <li@corp.example>".parse().unwrap())
}

fn message(title: &str, body: Body) -> Message {
    Message { title: title.to_owned(), body, tone: Tone::Bad, link: None }
}

fn facts(value: &str) -> Body {
    Body::Facts(vec![Fact { label: "Reason", value: value.to_owned() }])
}

fn sent(message: &Message, uid: &str, second: i64) -> Mail {
    let now = Timestamp::from_second(second).unwrap();
    let event = event(uid);
    let envelope = Envelope { workspace: "vision", event: &event, message, delivery_id: "msg_1", now };
    match mailbox().request(&envelope) {
        Outgoing::Mail(mail) => *mail,
        Outgoing::Http(_) => panic!("no mail"),
    }
}

fn header<'a>(mail: &'a Mail, name: &str) -> &'a str {
    &mail.headers.iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn a_mail_tells_programs_what_it_is() {
    let mail = sent(&message("Job a failed", facts("x")), "u1", 1_767_225_600);
    for (name, value) in [
        ("Date", "Thu, 01 Jan 2026 00:00:00 +0000"),
        ("Subject", "Job a failed"),
        ("Message-ID", "<msg_1@corp.example>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-PAI-Event", "pai.dlc.job.failed"),
    ] {
        assert_eq!(header(&mail, name), value, "{name}");
    }
    assert_eq!(mail.to.to_string(), "On Call <li@corp.example>");
}

#[test]
fn every_mail_of_one_subject_is_in_one_thread_and_every_retry_has_one_id() {
    let body = message("Job a failed", facts("x"));
    let (first, retry, other) = (sent(&body, "u1", 1), sent(&body, "u1", 2), sent(&body, "u2", 1));
    for name in ["References", "In-Reply-To"] {
        assert_eq!(header(&first, name), header(&retry, name));
        assert_ne!(header(&first, name), header(&other, name));
        assert!(header(&first, name).ends_with("@corp.example>"));
    }
    assert_eq!(header(&first, "Message-ID"), header(&retry, "Message-ID"));
    assert_ne!(header(&first, "Date"), header(&retry, "Date"));
    assert_eq!(first.encoded(), sent(&body, "u1", 1).encoded());
}

#[test]
fn a_subject_is_one_line_of_at_most_200_characters() {
    for title in ["训练".repeat(200), "🚀".repeat(300), "x".repeat(9000)] {
        let mail = sent(&message(&title, facts("x")), "u", 0);
        let subject = header(&mail, "Subject");
        assert_eq!((subject.chars().count(), subject.ends_with('…')), (200, true));
    }
    let exact = "训".repeat(200);
    assert_eq!(header(&sent(&message(&exact, facts("x")), "u", 0), "Subject"), exact);
    let mail = sent(&message("a\r\nBcc: evil@evil.example\r\n\r\nbody", facts("x")), "u", 0);
    assert_eq!(header(&mail, "Subject"), "a  Bcc: evil@evil.example    body");
    assert!(!String::from_utf8(mail.encoded()).unwrap().contains("\nBcc:"));
}

#[test]
fn names_from_outside_cannot_write_markup_or_break_the_lines() {
    let hostile = "</p><img src=x onerror=alert(1)>\r\n'\"&\u{0}";
    let bodies = [facts(hostile), Body::Text(hostile.to_owned().into())];
    for body in bodies {
        let mail = sent(&message(hostile, body), "u", 0);
        assert!(
            !mail.html.contains("<img") && mail.html.contains("&lt;img src=x onerror=alert(1)&gt;"),
            "{}",
            mail.html
        );
        assert!(mail.html.contains("&#39;&quot;&amp;") && !mail.html.contains('\u{0}'), "{}", mail.html);
        assert!(!mail.text.contains(['\u{0}', '\r']), "{:?}", mail.text);
    }
    let mail = sent(&message("t", facts("a\nReason: b")), "u", 0);
    assert_eq!(mail.text, "t\n\nReason: a Reason: b");
}

#[test]
fn a_mail_loads_nothing_and_shows_its_tone() {
    let mut told = message("Job a failed", facts("x"));
    told.link = Some(Link { label: "Open", url: "https://c.example/?a=1&b=\"2\"".to_owned() });
    let mail = sent(&told, "u", 0);
    assert!(mail.html.contains("<a href=\"https://c.example/?a=1&amp;b=&quot;2&quot;\">Open</a>"), "{}", mail.html);
    assert_eq!(mail.text, "Job a failed\n\nReason: x\n\nOpen: https://c.example/?a=1&b=\"2\"");
    assert!(!mail.html.contains("<img") && !mail.html.contains("url(") && !mail.html.contains("<script"));
    let colours = [Tone::Bad, Tone::Warning, Tone::Good, Tone::Neutral].map(|tone| {
        let told = Message { tone, ..told.clone() };
        sent(&told, "u", 0).html.split("solid ").nth(1).unwrap()[..7].to_owned()
    });
    assert_eq!(colours.iter().collect::<std::collections::HashSet<_>>().len(), 4);
}

#[test]
fn a_teams_own_text_keeps_its_lines() {
    let mail = sent(&message("t", Body::Text("a\n  b < c".to_owned().into())), "u", 0);
    assert_eq!(mail.text, "t\n\na\n  b < c");
    assert!(mail.html.contains("<div style=\"white-space:pre-wrap\">a\n  b &lt; c</div>"), "{}", mail.html);
}

#[test]
fn a_value_in_a_teams_own_text_adds_no_line_and_nothing_unseen() {
    let template = MessageTemplate { title: None, body: Some("Job {{ subject.name }}\nends".to_owned()) };
    let template = template::compile(&template).unwrap();
    let mut event = event("u");
    event.subject.name = "a\nReason: none \u{202e}b".to_owned();
    let origin = Origin { workspace: "vision", namespace: "vision", locale: Locale::En, rules: &[], console: None };
    let mail = sent(&compose(&origin, &event, Some(&template)), "u", 0);
    assert!(mail.text.ends_with("Job a Reason: none b\nends"), "{:?}", mail.text);
    assert!(mail.html.contains(">Job a Reason: none b\nends</div>"), "{}", mail.html);
}

#[test]
fn a_digest_has_a_thread_of_its_own_and_lists_what_happened() {
    let item = |n| Item {
        time: "12:00".to_owned(),
        title: format!("Job {n} <failed>"),
        url: Some("https://c.example/1".to_owned()),
    };
    let digest = |items: usize| {
        Body::Digest(Digest {
            counts: vec![Count { label: "Job failed".to_owned(), count: items }],
            items: (0..items).map(item).collect(),
            more: "… and {} more",
        })
    };
    let mail = sent(&message("2 events in workspace vision", digest(2)), "u1", 0);
    assert_eq!(header(&mail, "X-PAI-Event"), "pai.digest");
    assert_eq!(header(&mail, "References"), header(&sent(&message("x", digest(3)), "u2", 0), "References"));
    assert_ne!(header(&mail, "References"), header(&sent(&message("x", facts("x")), "u1", 0), "References"));
    assert_eq!(
        mail.text,
        "2 events in workspace vision\n\nJob failed: 2\n- 12:00 Job 0 <failed>\n  https://c.example/1\n\
         - 12:00 Job 1 <failed>\n  https://c.example/1"
    );
    assert!(mail.html.contains("<a href=\"https://c.example/1\">Job 1 &lt;failed&gt;</a>"), "{}", mail.html);
    let many = sent(&message("x", digest(5000)), "u", 0);
    assert!(many.text.len() <= 32_000 && many.html.len() < 66_000);
    assert!(many.text.contains("more") && many.html.contains("more"));
}

#[test]
fn a_mail_of_any_length_fits() {
    for text in ["训".repeat(50_000), "<&\"".repeat(50_000), "🚀".repeat(50_000), "x".repeat(200_000)] {
        for body in [facts(&text), Body::Text(text.clone().into())] {
            let mail = sent(&message(&text, body), "u", 0);
            assert!(mail.text.len() <= 32_000 && mail.html.len() < 66_000);
            let encoded = mail.encoded();
            assert!(encoded.is_ascii() && encoded.split(|byte| *byte == b'\n').all(|line| line.len() <= 1000));
        }
    }
}

#[test]
fn the_servers_code_is_the_verdict() {
    let table = [
        (250, "delivered", "250"),
        (251, "delivered", "251"),
        (421, "transient", "421"),
        (450, "transient", "450"),
        (451, "transient", "451"),
        (452, "transient", "452"),
        (454, "transient", "454"),
        (471, "transient", "471"),
        (500, "permanent", "500"),
        (530, "permanent", "530"),
        (534, "permanent", "534"),
        (535, "permanent", "535"),
        (550, "permanent", "550"),
        (554, "permanent", "554"),
        (354, "transient", "BodyNotUnderstood"),
        (0, "transient", "BodyNotUnderstood"),
        (600, "transient", "BodyNotUnderstood"),
    ];
    for (status, label, code) in table {
        let outcome = mailbox().verdict(&Reply { status, retry_after: None, body: b"words".to_vec() });
        assert_eq!((outcome.label(), outcome.code()), (label, code), "{status}");
    }
}

#[test]
fn a_refused_login_says_what_to_mend_before_the_servers_words() {
    let outcome = mailbox().verdict(&Reply { status: 535, retry_after: None, body: b"5.7.8 no".to_vec() });
    assert!(outcome.message().contains("credentialsRef") && outcome.message().ends_with(": 5.7.8 no"), "{outcome:?}");
}

#[test]
fn a_mailbox_shows_no_secret_and_cannot_be_tested_without_an_event() {
    let email = mailbox();
    let shown = format!("{email:?}");
    assert!(!shown.contains("p4ssw0rd") && !shown.contains("li@"), "{shown}");
    assert_eq!(
        email.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>(),
        ["p4ssw0rd"]
    );
    assert_eq!((email.name(), email.receiver(), email.limits().concurrency), ("Email", None, 2));
    assert!(email.limits().digest && !email.limits().idempotent && email.limits().rates.is_empty());
    let message = message("t", facts("x"));
    let event = event("u");
    let envelope =
        Envelope { workspace: "w", event: &event, message: &message, delivery_id: "msg_1", now: Timestamp::UNIX_EPOCH };
    assert!(email.probe(&envelope).is_none());
}
