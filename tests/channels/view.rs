//! A message as the receiver's people see it: whom it mentions, where it leads, how it is built.

use crate::form::{Form, Kind};
use crate::mail::Letter;
use crate::robot::Message;

/// Something that was shown.
#[derive(Clone, Debug)]
pub enum Shown {
    Message(Message),
    Letter(Letter),
    /// Taken by a scripted mail server, which keeps nothing.
    Unread,
}

impl Shown {
    /// Title and text.
    pub fn whole(&self) -> String {
        match self {
            Self::Message(message) => format!("{}\n{}", message.title, message.text),
            Self::Letter(letter) => format!("{}\n{}", letter.subject, letter.text),
            Self::Unread => String::new(),
        }
    }

    pub fn tells(&self, word: &str) -> bool {
        matches!(self, Self::Unread) || self.whole().contains(word)
    }

    /// The one message that was shown, of a channel that shows messages.
    pub fn message(&self) -> &Message {
        match self {
            Self::Message(message) => message,
            Self::Letter(_) | Self::Unread => panic!("no message: {self:?}"),
        }
    }

    /// Everybody who is mentioned, by whatever means the receiver has.
    pub fn mentions(&self, form: Form) -> Vec<String> {
        let Self::Message(Message { body, text, .. }) = self else { return Vec::new() };
        let list = |path: &str| {
            let people = body.pointer(path).and_then(serde_json::Value::as_array).into_iter().flatten();
            people.map(|who| who.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut all = match form.kind() {
            Kind::DingTalk => [list("/at/atMobiles"), list("/at/atUserIds")].concat(),
            Kind::WeCom => {
                let lists = [list("/text/mentioned_list"), list("/text/mentioned_mobile_list")].concat();
                // Text has no markup; there is nothing but the lists.
                if form == Form::WeComText { lists } else { between(text, "<@", ">") }
            }
            Kind::Lark => between(text, "<at id=", ">"),
            Kind::Http | Kind::TextMessage | Kind::VoiceCall | Kind::Email => Vec::new(),
        };
        if body.pointer("/at/isAtAll").and_then(serde_json::Value::as_bool) == Some(true) {
            all.push("all".to_owned());
        }
        all
    }

    /// How the message is built, line by line: what has power in the receiver's markup, and nothing of the words. Two
    /// messages that differ only in what others have chosen have to be built in the same way.
    pub fn build(&self, form: Form) -> Vec<String> {
        match self {
            Self::Message(message) => {
                let text = without_escapes(form, &message.text);
                text.lines().map(|line| powers(form, line)).collect()
            }
            // What is no tag of ours would be one of somebody else's.
            Self::Letter(letter) => between(&letter.html, "<", ">"),
            Self::Unread => Vec::new(),
        }
    }
}

/// What stands between the two, each time.
fn between(text: &str, start: &str, end: &str) -> Vec<String> {
    let after = text.split(start).skip(1);
    after.map(|rest| rest.split_once(end).map_or(rest, |(inner, _)| inner).to_owned()).collect()
}

/// The text without what the receiver's client shows as a mere character.
fn without_escapes(form: Form, text: &str) -> String {
    match form {
        Form::DingTalkMarkdown | Form::DingTalkCard => {
            let mut out = String::new();
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                if c == '\\' {
                    out.push('.');
                    chars.next();
                } else {
                    out.push(c);
                }
            }
            out
        }
        Form::LarkSigned | Form::LarkUnsigned => {
            let mut parts = text.split("&#");
            let mut out = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (number, rest) = part.split_once(';').unwrap_or_else(|| panic!("half an entity: {text}"));
                assert!(number.parse::<u32>().is_ok(), "no number of an entity: {number}");
                out.push('.');
                out.push_str(rest);
            }
            out
        }
        // The others know no escapes.
        _ => text.to_owned(),
    }
}

/// What means something to a client in one line, in order.
fn powers(form: Form, line: &str) -> String {
    let known: &[&str] = match form {
        Form::DingTalkText | Form::WeComText => &["@"],
        Form::WeComMarkdown => &["](", "**", "~~", "`", "<", ">", "@", "![", "||"],
        // A mention is a tag there.
        Form::LarkSigned | Form::LarkUnsigned => &["](", "**", "~~", "`", "<", ">", "&", "![", "||", "__", ":OK:"],
        Form::TextMessage | Form::VoiceCall => &["【", "】", "://", "www."],
        _ => &["](", "**", "~~", "`", "<", ">", "@", "![", "||", "__"],
    };
    let mut found = line.chars().next().filter(char::is_ascii_punctuation).map(String::from).unwrap_or_default();
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(power) = known.iter().find(|power| rest.starts_with(**power)) {
            found.push_str(power);
            rest = &rest[power.len()..];
        } else {
            rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
        }
    }
    found
}
