//! What the chat robots share: a POST of JSON, a verdict that is a number in the body, plain text, mentions.
//!
//! A robot answers HTTP 200 whatever became of the message, so that the status never says "delivered". What a number
//! means stands in one table per robot ([`Verdicts`]); words are only shown, never read.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::{HeaderValue, Method, header};
use secrecy::SecretString;
use serde_json::Value;
use sha2::Sha256;
use url::Url;

use super::layout::Markup;
use super::text::{cut, escape, one_line};
use super::{Outcome, Outgoing, Reply, Request};
use crate::message::{Item, Link, Message};

/// What a number in a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Accepted.
    Delivered,
    /// Too much at once.
    Throttled,
    /// The next try may succeed.
    Transient,
    /// No try will succeed before somebody mends something.
    Permanent,
}

/// A robot's verdicts.
pub(super) struct Verdicts {
    /// Where the number and its words stand. The first number that is there decides, even if it is no number.
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// The known numbers: what each means, and what to say where the robot says nothing.
    pub(super) codes: &'static [(i64, Meaning, &'static str)],
}

impl Verdicts {
    /// What a reply means.
    pub(super) fn of(&self, reply: &Reply) -> Outcome {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let found = self.fields.iter().find_map(|(code, words)| Some((body.get(code)?, body.get(words))));
        let Some((code, words)) = found.and_then(|(code, words)| Some((number(code)?, words))) else {
            return self.without_code(reply);
        };
        let words = words.and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let known = self.codes.iter().find(|(known, ..)| *known == code);
        let message = match known {
            Some((.., ours)) if words.is_empty() => *ours,
            _ => words,
        };
        let (code, message) = (code.to_string(), message.to_owned());
        match known.map(|(_, meaning, _)| *meaning) {
            Some(Meaning::Delivered) => Outcome::Delivered { code },
            // The number's own window holds, whatever a gateway's Retry-After may say.
            Some(Meaning::Throttled) => Outcome::Throttled { code, message, retry_after: None },
            Some(Meaning::Transient) => Outcome::Transient { code, message },
            Some(Meaning::Permanent) => Outcome::Permanent { code, message },
            None => by_status(reply, code, message),
        }
    }

    /// No verdict: the status can only say how it was not delivered.
    fn without_code(&self, reply: &Reply) -> Outcome {
        let status = reply.status.to_string();
        let (field, _) = self.fields.first().copied().unwrap_or_default();
        match reply.status {
            200..=299 => Outcome::Transient {
                code: "BodyNotUnderstood".to_owned(),
                message: format!("HTTP {status} with a body that holds no {field}; is this the robot's URL?"),
            },
            300..=399 => Outcome::Permanent {
                message: format!("HTTP {status}: redirects are not followed; put the final URL into the target"),
                code: status,
            },
            _ => {
                let message = format!("HTTP {status} with a body that holds no {field}");
                by_status(reply, status, message)
            }
        }
    }
}

/// What is not in the table: only the status can say that a later try may succeed.
fn by_status(reply: &Reply, code: String, message: String) -> Outcome {
    match reply.status {
        429 => Outcome::Throttled { code, message, retry_after: reply.retry_after },
        408 | 500.. => Outcome::Transient { code, message },
        _ => Outcome::Permanent { code, message },
    }
}

/// A whole number, or a text that is exactly one.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok().filter(|number: &i64| number.to_string() == *text),
        _ => None,
    }
}

/// A POST of JSON.
pub(super) fn post(url: Url, body: &Value) -> Outgoing {
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    let body = body.to_string().into_bytes();
    Outgoing::Http(Request { method: Method::POST, url, headers, body, tls: None, handshake: None })
}

/// HMAC-SHA256 as Base64. Who is the key and who the message differs from robot to robot.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A robot as logs may show it: without its token, its keys and its people.
pub(super) fn debug(name: &str, webhook: &Url, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name).field("host", &webhook.host_str()).finish_non_exhaustive()
}

/// The values of a URL's query: tokens, or at least nobody's business.
pub(super) fn query_secrets(webhook: &Url) -> impl Iterator<Item = SecretString> {
    webhook.query_pairs().map(|(_, value)| SecretString::from(value.into_owned()))
}

/// The title where it stands apart from the text. Robots refuse an empty one.
pub(super) fn title(message: &Message, most: usize) -> String {
    let title = cut(&one_line(&message.title), most);
    if title.is_empty() { "PAI Notification".to_owned() } else { title }
}

/// The text itself; the title, if there is nothing in it. Robots refuse an empty text.
pub(super) fn filled(text: String, message: &Message) -> String {
    if text.trim().is_empty() { title(message, 200) } else { text }
}

/// People to be mentioned, as many as there is room for; `around` is what a mention takes besides the name itself.
pub(super) fn fitting(people: &[String], room: &mut usize, around: usize) -> Vec<String> {
    let people = people.iter().map(|who| one_line(who)).filter(|who| !who.is_empty());
    people.filter(|who| room.checked_sub(who.len() + around).inspect(|left| *room = *left).is_some()).collect()
}

/// One event of a digest in Markdown: its title leads to its subject.
pub(super) fn markdown_item(bullet: &str, item: &Item, escape: fn(&str) -> String) -> String {
    let title = escape(&item.title);
    match &item.url {
        Some(url) => format!("{bullet}{} [{title}]({})", item.time, escape::link_target(url)),
        None => format!("{bullet}{} {title}", item.time),
    }
}

/// A link in Markdown.
pub(super) fn markdown_link(link: &Link) -> String {
    format!("[{}]({})", link.label, escape::link_target(&link.url))
}

/// Text without markup, in which no name can mention anybody.
pub(super) struct Plain;

impl Markup for Plain {
    fn title(&self, title: &str) -> String {
        escape::plain(title)
    }

    fn fact(&self, label: &str, value: &str) -> String {
        format!("{label}: {}", escape::plain(value))
    }

    fn item(&self, item: &Item) -> String {
        format!("{} {}", item.time, escape::plain(&item.title))
    }

    fn link(&self, link: &Link) -> String {
        format!("{}: {}", link.label, link.url)
    }

    fn value(&self, value: &str) -> String {
        escape::plain(value)
    }
}
