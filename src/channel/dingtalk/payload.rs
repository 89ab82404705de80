//! The body: `markdown`, `text` or `actionCard`, with mentions, within 20,000 bytes.

use serde_json::{Value, json};

use crate::api::event_target::{DingTalkFormat, DingTalkMention};
use crate::channel::Envelope;
use crate::channel::layout::{Markup, Room, lay_out};
use crate::channel::text::{cut, escape_markdown, one_line};
use crate::message::{Item, Link, Message};

/// The robot refuses more than 20,000 bytes for the whole message; this is for the text in its JSON form, its mentions
/// included, and leaves room for the title and for the mentions' own list.
const MOST_TEXT: usize = 12_000;
/// Title of the conversation list.
const MOST_TITLE: usize = 200;
/// Most of the mentions in the text: beyond it, the last are left out of text and list.
const MOST_MENTIONS: usize = 3_000;

pub(super) fn message(envelope: &Envelope<'_>, format: DingTalkFormat, mention: &DingTalkMention) -> Vec<u8> {
    let Envelope { message, delivery_id, .. } = envelope;
    let title = cut(&one_line(&message.title), MOST_TITLE);
    let mention = fitting(mention);
    let mut body = match (format, &message.link) {
        (DingTalkFormat::ActionCard, Some(link)) if is_empty(&mention) => {
            let without = Message { link: None, ..(*message).clone() };
            let text = lay_out(&without, &Markdown, "", Room::json(MOST_TEXT, "\n\n"));
            let card = json!({"title": title, "text": text, "singleTitle": link.label, "singleURL": link.url});
            json!({"msgtype": "actionCard", "actionCard": card})
        }
        (DingTalkFormat::Markdown | DingTalkFormat::ActionCard, _) => {
            let text = lay_out(message, &Markdown, &marks(&mention), Room::json(MOST_TEXT, "\n\n"));
            json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at(&mention)})
        }
        (DingTalkFormat::Text, _) => {
            let text = lay_out(message, &Plain, &marks(&mention), Room::json(MOST_TEXT, "\n"));
            json!({"msgtype": "text", "text": {"content": text}, "at": at(&mention)})
        }
    };
    if let Some(fields) = body.as_object_mut() {
        fields.insert("msgUuid".to_owned(), json!(delivery_id));
    }
    body.to_string().into_bytes()
}

const fn is_empty(mention: &DingTalkMention) -> bool {
    mention.mobiles.is_empty() && mention.user_ids.is_empty() && !mention.all
}

/// As many mentions as there is room for.
fn fitting(mention: &DingTalkMention) -> DingTalkMention {
    let mut room = MOST_MENTIONS;
    let mut keep = |who: &String| room.checked_sub(who.len() + 2).inspect(|left| room = *left).is_some();
    DingTalkMention {
        mobiles: mention.mobiles.iter().filter(|who| keep(who)).cloned().collect(),
        user_ids: mention.user_ids.iter().filter(|who| keep(who)).cloned().collect(),
        all: mention.all,
    }
}

fn at(mention: &DingTalkMention) -> Value {
    json!({"atMobiles": mention.mobiles, "atUserIds": mention.user_ids, "isAtAll": mention.all})
}

/// A person is mentioned only if `@` and the same value stand in the text too.
fn marks(mention: &DingTalkMention) -> String {
    let everybody = mention.mobiles.iter().chain(&mention.user_ids);
    everybody.map(|who| format!("@{}", one_line(who))).collect::<Vec<_>>().join(" ")
}

struct Markdown;

impl Markup for Markdown {
    fn title(&self, title: &str) -> String {
        format!("### {}", escape_markdown(&one_line(title)))
    }

    fn fact(&self, label: &str, value: &str) -> String {
        // A quote of its own, so that DingTalk does not join the lines.
        format!("> **{label}**: {}", escape_markdown(&one_line(value)))
    }

    fn item(&self, item: &Item) -> String {
        let title = escape_markdown(&one_line(&item.title));
        match &item.url {
            Some(url) => format!("- {} [{title}]({url})", item.time),
            None => format!("- {} {title}", item.time),
        }
    }

    fn link(&self, link: &Link) -> String {
        format!("[{}]({})", link.label, link.url)
    }
}

struct Plain;

impl Markup for Plain {
    fn title(&self, title: &str) -> String {
        no_mention(title)
    }

    fn fact(&self, label: &str, value: &str) -> String {
        format!("{label}: {}", no_mention(value))
    }

    fn item(&self, item: &Item) -> String {
        format!("{} {}", item.time, no_mention(&item.title))
    }

    fn link(&self, link: &Link) -> String {
        format!("{}: {}", link.label, link.url)
    }
}

/// A full-width sign: a name with `@` in it must not mention anybody.
fn no_mention(text: &str) -> String {
    one_line(text).replace('@', "＠")
}
