//! What is kept of a receiver's words: enough to mend what is wrong, and nothing that is nobody's business.

use crate::form::{Form, Kind};
use crate::line::Line;
use crate::news::{JOB, News};
use crate::robot::Behaviour;
use crate::smtp::{Act, At, Script};
use crate::table::each_form;

/// Addresses, numbers and ids that a receiver may say.
const OTHERS: [&str; 8] = [
    "203.0.113.7",
    "2001:db8::7",
    "13900000000",
    "+86 139 0000 0000",
    "+8613900000000",
    "hint: [1700000000123456789abcdef]",
    "https://receiver.example/robot/send?access_token=some-other-token",
    "sign=c29tZS1zaWduYXR1cmU",
];

/// What must not be left of such a part.
fn core(part: &str) -> &str {
    let from = |mark: char| part.split_once(mark).map(|(_, rest)| rest.trim_end_matches(']'));
    match part {
        _ if part.starts_with("hint") => from('[').unwrap(),
        _ if part.contains('=') => from('=').unwrap(),
        _ => part,
    }
}

#[tokio::test]
async fn no_secret_number_address_or_hint_is_kept_of_what_a_receiver_says() {
    each_form(async |form, client| {
        let mut parts: Vec<String> = OTHERS.map(str::to_owned).into();
        for private in form.private() {
            let encoded = private.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
            parts.extend([private.to_owned(), encoded]);
        }
        for part in parts {
            let words = format!("refused because of {part} as ever");
            let line = refusing(form, &client, &words).await;
            let outcome = line.send(&News::of(JOB), "msg_1").await;
            assert_eq!(outcome.label(), "permanent", "{form:?}: {outcome:?}");
            let kept = outcome.message();
            assert!(kept.contains("refused because of") && kept.contains("as ever"), "{form:?}: {kept}");
            assert!(!kept.contains(core(&part)), "{form:?}: {part} is left in {kept}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_receiver_says_of_itself_is_kept_short_and_on_one_line() {
    each_form(async |form, client| {
        // A line of SMTP has an end, too.
        let words = format!(
            "no \u{202e}such\u{7} thing {}",
            "训练".repeat(if form.kind() == Kind::Email { 100 } else { 2000 })
        );
        let line = refusing(form, &client, &words).await;
        let outcome = line.send(&News::of(JOB), "msg_1").await;
        let kept = outcome.message();
        assert!(kept.contains("such") && kept.len() <= 256, "{form:?}: {kept}");
        let strange = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{fffd}');
        assert!(!kept.contains(strange), "{form:?}: {kept:?}");
    })
    .await;
}

/// A line whose receiver refuses with these words.
async fn refusing(form: Form, client: &pai_notification::channel::Client, words: &str) -> Line {
    let behaviour = match form.kind() {
        Kind::DingTalk => Behaviour::code(310_000, words),
        Kind::WeCom => Behaviour::code(93_000, words),
        Kind::Lark => Behaviour::lark_code(19_021, words),
        Kind::Http => Behaviour::Answer { status: 400, headers: Vec::new(), body: words.to_owned() },
        Kind::TextMessage | Kind::VoiceCall => Behaviour::gateway_code(400, "SignatureDoesNotMatch", words),
        Kind::Email => {
            let script = Script { at: At::Recipient, act: Act::Say(format!("550 {words}")) };
            return Line::scripted(form, client, &script).await;
        }
    };
    let line = Line::open(form, client).await;
    line.inbox().behave(behaviour);
    line
}
