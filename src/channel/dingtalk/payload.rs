//! The body: `markdown`, `text` or `actionCard`, with mentions, within 20,000 bytes.

use serde_json::{Value, json};

use crate::api::event_target::{DingTalkFormat, DingTalkMention};
use crate::channel::Envelope;
use crate::channel::layout::{Markup, Room, lay_out};
use crate::channel::robot::{Plain, filled, fitting, markdown_item, markdown_link, title};
use crate::channel::text::escape;
use crate::message::{Item, Link, Message};

/// The robot refuses more than 20,000 bytes for the whole message; this is for the text in its JSON form, its mentions
/// included, and leaves room for the title, for the mentions' own list and for a card's link.
const MOST_TEXT: usize = 12_000;
/// Title of the conversation list.
const MOST_TITLE: usize = 200;
/// Most of the mentions in the text: beyond it, the last are left out of text and list.
const MOST_MENTIONS: usize = 3_000;

pub(super) fn message(envelope: &Envelope<'_>, format: DingTalkFormat, mention: &DingTalkMention) -> Value {
    let Envelope { message, delivery_id, .. } = envelope;
    let title = title(message, MOST_TITLE);
    let mut room = MOST_MENTIONS;
    let mobiles = fitting(&mention.mobiles, &mut room, "@ ".len());
    let user_ids = fitting(&mention.user_ids, &mut room, "@ ".len());
    // A person is mentioned only if `@` and the same value stand in the text too.
    let marks = mobiles.iter().chain(&user_ids).map(|who| format!("@{who}")).collect::<Vec<_>>().join(" ");
    let at = json!({"atMobiles": mobiles, "atUserIds": user_ids, "isAtAll": mention.all});
    match (format, &message.link) {
        (DingTalkFormat::ActionCard, Some(link)) if marks.is_empty() && !mention.all => {
            let without = Message { link: None, ..(*message).clone() };
            let text = lay_out(&without, &Markdown, "", Room::json(MOST_TEXT, "\n\n"));
            let card = json!({"title": title, "text": text, "singleTitle": link.label, "singleURL": link.url});
            json!({"msgtype": "actionCard", "actionCard": card, "msgUuid": delivery_id})
        }
        (DingTalkFormat::Markdown | DingTalkFormat::ActionCard, _) => {
            let text = lay_out(message, &Markdown, &marks, Room::json(MOST_TEXT, "\n\n"));
            let markdown = json!({"title": title, "text": text});
            json!({"msgtype": "markdown", "markdown": markdown, "at": at, "msgUuid": delivery_id})
        }
        (DingTalkFormat::Text, _) => {
            let text = lay_out(message, &Plain, &marks, Room::json(MOST_TEXT, "\n"));
            json!({"msgtype": "text", "text": {"content": filled(text, message)}, "at": at, "msgUuid": delivery_id})
        }
    }
}

struct Markdown;

impl Markup for Markdown {
    fn title(&self, title: &str) -> String {
        format!("### {}", escape::dingtalk(title))
    }

    fn fact(&self, label: &str, value: &str) -> String {
        // A quote of its own, so that DingTalk does not join the lines.
        format!("> **{label}**: {}", escape::dingtalk(value))
    }

    fn item(&self, item: &Item) -> String {
        markdown_item("- ", item, escape::dingtalk)
    }

    fn link(&self, link: &Link) -> String {
        markdown_link(link)
    }

    fn value(&self, value: &str) -> String {
        escape::dingtalk(value)
    }
}
