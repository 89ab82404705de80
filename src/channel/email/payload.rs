//! The mail: headers, a text part and an HTML part that say the same.

use lettre::message::Mailbox;
use sha2::{Digest as _, Sha256};

use crate::channel::Envelope;
use crate::channel::client::mail::{Mail, Server};
use crate::channel::layout::{Markup, Room, lay_out};
use crate::channel::text::one_line;
use crate::lifecycle::cloudevent;
use crate::message::{Body, Item, Link, Tone};

/// Longest subject, in characters.
const MOST_SUBJECT: usize = 200;
/// Most of the text part.
const TEXT: Room = Room::bytes(32_000, "\n");
/// Most of the HTML part, which has its markup besides.
const HTML: Room = Room::bytes(64_000, "\n");

/// The mail of a message. The same attempt gives the same bytes, and every attempt the same `Message-ID`.
pub(super) fn mail(envelope: &Envelope<'_>, server: Server, from: &Mailbox, to: &Mailbox) -> Mail {
    let Envelope { workspace: _, event, message, delivery_id, now } = envelope;
    let domain = from.email.domain();
    let kind = match &message.body {
        Body::Digest(_) => "pai.digest".to_owned(),
        Body::Facts(_) | Body::Text(_) => cloudevent::kind(event),
    };
    let thread = format!("<{}@{domain}>", thread(envelope));
    let headers = vec![
        // IMF-fixdate, which is RFC 5322's form too.
        ("Date", now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        ("Subject", subject(&message.title)),
        ("Message-ID", format!("<{}@{domain}>", token(delivery_id))),
        ("In-Reply-To", thread.clone()),
        ("References", thread),
        // RFC 3834: no vacation notes in reply.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-PAI-Event", kind),
    ];
    let text = lay_out(message, &Plain, "", TEXT);
    let html = page(message.tone, &lay_out(message, &Html, "", HTML));
    Mail { server, from: from.clone(), to: to.clone(), headers, text, html }
}

/// One line: no line break gets into a header.
fn subject(title: &str) -> String {
    let line = one_line(title);
    if line.chars().nth(MOST_SUBJECT).is_none() {
        return line;
    }
    line.chars().take(MOST_SUBJECT - 1).chain(['…']).collect()
}

/// The same for everything that happens to one subject; digests are a thread of their own, since they tell of many.
fn thread(envelope: &Envelope<'_>) -> String {
    let uid = match &envelope.message.body {
        Body::Digest(_) => "digest",
        Body::Facts(_) | Body::Text(_) => &envelope.event.subject.uid,
    };
    let hash = Sha256::digest(format!("{}\n{uid}", envelope.workspace));
    let first: [u8; 16] = hash.first_chunk().copied().unwrap_or_default();
    format!("thread_{:032x}", u128::from_be_bytes(first))
}

/// What an id may have in `Message-ID`.
fn token(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect()
}

struct Plain;

impl Markup for Plain {
    fn title(&self, title: &str) -> String {
        format!("{}\n", one_line(title))
    }

    fn fact(&self, label: &str, value: &str) -> String {
        format!("{label}: {}", one_line(value))
    }

    fn item(&self, item: &Item) -> String {
        let url = item.url.as_ref().map(|url| format!("\n  {url}")).unwrap_or_default();
        format!("- {} {}{url}", item.time, one_line(&item.title))
    }

    fn link(&self, link: &Link) -> String {
        format!("\n{}: {}", link.label, link.url)
    }

    fn value(&self, value: &str) -> String {
        one_line(value)
    }

    fn own(&self, text: &str) -> String {
        without_controls(text)
    }
}

/// Everything that comes from outside is escaped, so that nobody can write markup into a mail.
struct Html;

impl Markup for Html {
    fn title(&self, title: &str) -> String {
        format!("<h1 style=\"margin:0 0 12px;font-size:18px\">{}</h1>", escaped(&one_line(title)))
    }

    fn fact(&self, label: &str, value: &str) -> String {
        let (label, value) = (escaped(label), escaped(&one_line(value)));
        format!("<p style=\"margin:4px 0\"><span style=\"color:#666\">{label}:</span> {value}</p>")
    }

    fn item(&self, item: &Item) -> String {
        let title = escaped(&one_line(&item.title));
        let title = item.url.as_ref().map_or_else(|| title.clone(), |url| anchor(url, &title));
        format!("<p style=\"margin:4px 0\"><span style=\"color:#666\">{}</span> {title}</p>", escaped(&item.time))
    }

    fn link(&self, link: &Link) -> String {
        format!("<p style=\"margin:16px 0 0\">{}</p>", anchor(&link.url, &escaped(link.label)))
    }

    // The whole text is escaped.
    fn value(&self, value: &str) -> String {
        one_line(value)
    }

    fn own(&self, text: &str) -> String {
        format!("<div style=\"white-space:pre-wrap\">{}</div>", escaped(&without_controls(text)))
    }
}

fn anchor(url: &str, words: &str) -> String {
    format!("<a href=\"{}\">{words}</a>", escaped(url))
}

/// A page without anything remote: a bar in the colour of the message's tone, and the message.
fn page(tone: Tone, content: &str) -> String {
    let colour = match tone {
        Tone::Bad => "#d03050",
        Tone::Warning => "#e08a00",
        Tone::Good => "#18a058",
        Tone::Neutral => "#2080f0",
    };
    format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"margin:0;padding:16px;font-family:sans-serif;font-size:14px;color:#222\">\n\
         <div style=\"border-left:6px solid {colour};padding:4px 0 4px 16px\">\n{content}\n</div>\n</body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A text of several lines without any other control character.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
