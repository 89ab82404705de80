//! Texts that others have chosen: however long and however hostile, the message is accepted, within the receiver's
//! limits, and nobody but the team mentions, links or formats in it.

use crate::accepted::mentioned;
use crate::form::{Form, Kind};
use crate::line::Line;
use crate::news::{JOB, News, failed};
use crate::table::each_form;
use crate::view::Shown;

/// What somebody could give to a job for a name, a reason or last words.
const HOSTILE: [&str; 20] = [
    "@all",
    "@everyone @13900000009 @user-8",
    "<@all> <@lisi>",
    "<at id=all></at><at user_id=\"all\">all</at>",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<a href='https://evil.example'>click</a>",
    "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "</font><font color=\"info\">fine</font>",
    "**bold** __bold__ *it* _it_ ~~s~~ `code` ```\ncode\n```",
    "a\n\n# heading\n> quote\n- item\n---\n| a | b |",
    "a\r\n\u{0}\u{1}\u{7f}\u{85}\u{2028}b",
    "a\r\nBcc: mallory@evil.example\r\n\r\nc\r\n.\r\nQUIT",
    "gpj\u{202e}exe.\u{200b}@\u{2066}all\u{feff}",
    "\\[x\\](https://evil.example) \\",
    "&#60;at id=all&#62; &lt;at&gt; &#64;all",
    "\"}],\"at\":{\"isAtAll\":true},\"x\":[{\"",
    "{{ subject.name }} {} {0} %s ${jndi:ldap://evil.example}",
    "【银行】您的验证码 www.evil.example https://evil.example",
    "<link url='https://evil.example'>x</link> <person id='ou_1'></person> :OK:",
];

#[tokio::test]
async fn nobody_outside_of_the_team_mentions_links_or_formats() {
    each_form(async |form, client| {
        let line = Line::open(form, &client).await;
        let values: Vec<&str> = [JOB].into_iter().chain(HOSTILE).collect();
        for own in [false, true] {
            for (index, value) in values.iter().enumerate() {
                let outcome = line.send(&News::everywhere(value, own), &format!("msg_{own}_{index}")).await;
                assert_eq!(outcome.label(), "delivered", "{form:?}, {value:?}: {outcome:?}");
            }
        }
        let seen = line.seen().await;
        assert_eq!(seen.len(), 2 * values.len(), "{form:?}");
        for (own, seen) in [false, true].into_iter().zip(seen.chunks(values.len())) {
            let harmless = seen[0].build(form);
            for (value, shown) in values.iter().zip(seen) {
                assert_eq!(shown.mentions(form), mentioned(form), "{form:?}, {value:?}: {shown:?}");
                look(form, value, own, shown);
                if form.kind() != Kind::Http {
                    assert_eq!(shown.build(form), harmless, "{form:?}, {value:?}: {shown:?}");
                }
            }
        }
    })
    .await;
}

/// What depends on the channel: an endpoint gets the values as they are, people get what they can read.
fn look(form: Form, value: &str, own: bool, shown: &Shown) {
    match shown {
        Shown::Message(message) if form == Form::HttpTemplate => {
            // A team that takes its own text takes the values raw.
            assert!(!own || message.text.contains(value), "{form:?}: {message:?}");
        }
        Shown::Message(message) if form.kind() == Kind::Http => {
            for field in ["/data/subject/name", "/data/reason", "/data/message"] {
                let found = message.body.pointer(field).and_then(serde_json::Value::as_str);
                assert_eq!(found, Some(value), "{form:?}: {field}");
            }
        }
        Shown::Message(message) => readable(form, value, &message.title, &message.text),
        Shown::Letter(letter) => {
            readable(form, value, &letter.subject, &letter.text);
            let to = ["li@mail.example".to_owned()];
            assert_eq!((letter.to.as_slice(), letter.cc.len(), letter.bcc.len()), (&to[..], 0, 0), "{value:?}");
        }
        Shown::Unread => panic!("{form:?}: nothing to look at"),
    }
}

/// Nothing that cannot be seen, and a title on one line.
fn readable(form: Form, value: &str, title: &str, text: &str) {
    let unseen = |c: char| matches!(c, '\u{202e}' | '\u{200b}' | '\u{2066}' | '\u{feff}' | '\u{2028}');
    let strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r') || unseen(c);
    assert!(!text.contains(strange), "{form:?}, {value:?}: {text:?}");
    assert!(!title.contains(|c: char| c.is_control() || unseen(c)), "{form:?}, {value:?}: {title:?}");
}

/// Of this length, in bytes, three texts fit into what a template may make, and not one into a robot's message.
const LONG: usize = 21_000;

/// Texts that fit nowhere. Where the cut falls within a character is moved byte by byte.
fn oversize() -> Vec<String> {
    let of = |text: &str| text.repeat(LONG / text.len());
    let moved = (1..4).map(|n| format!("{}{}", "x".repeat(n), of("🚀")));
    moved.chain(["🚀", "训练失败，原因不明。", "👩‍👩‍👧", "\"\\\u{1}", "*[<@>]&", "a_b "].map(of)).collect()
}

#[tokio::test]
async fn whatever_the_length_and_script_a_message_is_accepted_and_cut_between_characters() {
    each_form(async |form, client| {
        let line = Line::open(form, &client).await;
        let mut sent = Vec::new();
        for (value, own) in oversize().into_iter().flat_map(|value| [(value.clone(), false), (value, true)]) {
            if own && value.starts_with('x') {
                // One place of the cut is enough for the second kind of text.
                continue;
            }
            let outcome = line.send(&long(form, &value, own), &format!("msg_{}", sent.len())).await;
            let start: String = value.chars().take(8).collect();
            assert_eq!(outcome.label(), "delivered", "{form:?}, {start}: {outcome:?}");
            sent.push(own);
        }
        let seen = line.seen().await;
        assert_eq!(seen.len(), sent.len(), "{form:?}");
        for (own, shown) in sent.into_iter().zip(seen) {
            assert!(!shown.tells("\u{fffd}"), "{form:?}: {shown:?}");
            assert_eq!(shown.mentions(form), mentioned(form), "{form:?}: who is to be told is told");
            if form.kind() != Kind::Http {
                assert!(shown.tells("…"), "{form:?}: no mark of a cut: {shown:?}");
                assert_eq!(shown.tells("Team vision"), own, "{form:?}: {shown:?}");
            }
        }
    })
    .await;
}

/// A message that holds this value as often as can be. An endpoint gets the whole event, and a name has an end of its
/// own.
fn long(form: Form, value: &str, own: bool) -> News {
    if form.kind() == Kind::Http {
        let name: String = "训练任务🚀".chars().cycle().take(253).collect();
        return News::told(failed(&name, value, value), None);
    }
    News::everywhere(value, own)
}
