//! The body: `markdown`, `markdown_v2` or `text`, within the bytes that the manual allows for each.

use serde_json::{Value, json};

use crate::api::event_target::{WeComFormat, WeComMention};
use crate::channel::layout::{Markup, Room, lay_out};
use crate::channel::robot::{Plain, filled, fitting, markdown_item, markdown_link};
use crate::channel::text::escape;
use crate::message::{Item, Link, Message, Tone};

/// Most bytes of a text. (A newer page of the manual says 4096; the older number is right by both.)
const MOST_TEXT: usize = 2048;
/// Most bytes of Markdown of either version.
const MOST_MARKDOWN: usize = 4096;
/// Most of the mentions in Markdown, as many as a target may have; beyond it, the last are left out.
const MOST_MENTIONS: usize = 1400;
/// Everybody, in either list of a text.
const ALL: &str = "@all";

pub(super) fn message(message: &Message, format: WeComFormat, mention: &WeComMention) -> Value {
    match kind(format, mention) {
        Kind::Text => {
            let content = filled(lay_out(message, &Plain, "", Room::bytes(MOST_TEXT, "\n")), message);
            let mut text = json!({"content": content});
            let mut people = mention.user_ids.clone();
            if mention.all && !people.iter().any(|who| who == ALL) {
                people.push(ALL.to_owned());
            }
            for (list, people) in [("mentioned_list", &people), ("mentioned_mobile_list", &mention.mobiles)] {
                if let Some(fields) = text.as_object_mut().filter(|_| !people.is_empty()) {
                    fields.insert(list.to_owned(), json!(people));
                }
            }
            json!({"msgtype": "text", "text": text})
        }
        Kind::Markdown => {
            let people = fitting(&mention.user_ids, &mut MOST_MENTIONS.clone(), "<@> ".len());
            let marks = people.iter().map(|who| format!("<@{who}>")).collect::<Vec<_>>().join(" ");
            let markup = Markdown { colour: Some(colour(message.tone)), bullet: "> " };
            let content = lay_out(message, &markup, &marks, Room::bytes(MOST_MARKDOWN, "\n"));
            json!({"msgtype": "markdown", "markdown": {"content": filled(content, message)}})
        }
        Kind::MarkdownV2 => {
            let markup = Markdown { colour: None, bullet: "- " };
            let content = lay_out(message, &markup, "", Room::bytes(MOST_MARKDOWN, "\n\n"));
            json!({"msgtype": "markdown_v2", "markdown_v2": {"content": filled(content, message)}})
        }
    }
}

/// The type that goes out.
enum Kind {
    Text,
    Markdown,
    MarkdownV2,
}

/// A mention is worth more than a form: what cannot mention those who are to be mentioned gives way to what can.
/// Markdown mentions user ids only, its second version nobody.
fn kind(format: WeComFormat, mention: &WeComMention) -> Kind {
    let WeComMention { mobiles, user_ids, all } = mention;
    let needs_text = *all || !mobiles.is_empty() || user_ids.iter().any(|who| who == ALL);
    match format {
        _ if needs_text => Kind::Text,
        WeComFormat::Text => Kind::Text,
        WeComFormat::MarkdownV2 if user_ids.is_empty() => Kind::MarkdownV2,
        WeComFormat::Markdown | WeComFormat::MarkdownV2 => Kind::Markdown,
    }
}

/// The three colours that there are: green, grey and orange.
const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "info",
        Tone::Neutral => "comment",
        Tone::Bad | Tone::Warning => "warning",
    }
}

struct Markdown {
    colour: Option<&'static str>,
    bullet: &'static str,
}

impl Markup for Markdown {
    fn title(&self, title: &str) -> String {
        let title = escape::wecom(title);
        match self.colour {
            Some(colour) => format!("### <font color=\"{colour}\">{title}</font>"),
            None => format!("### {title}"),
        }
    }

    fn fact(&self, label: &str, value: &str) -> String {
        format!("{}**{label}**: {}", self.bullet, escape::wecom(value))
    }

    fn item(&self, item: &Item) -> String {
        markdown_item(self.bullet, item, escape::wecom)
    }

    fn link(&self, link: &Link) -> String {
        markdown_link(link)
    }

    fn value(&self, value: &str) -> String {
        escape::wecom(value)
    }
}
