//! The body: a card of schema 2.0 ("Card JSON 2.0 structure"), whose header shows the outcome by its colour.

use serde_json::{Value, json};

use crate::api::event_target::LarkMention;
use crate::channel::layout::{Markup, Room, lay_out};
use crate::channel::robot::{fitting, markdown_item, title};
use crate::channel::text::escape;
use crate::message::{Item, Link, Message, Tone};

/// The robot refuses a body of more than 20 KB; this is for the text in its JSON form, its mentions included, and leaves
/// room for the title, for a link and for the card around them.
const MOST_TEXT: usize = 13_000;
/// The header shows four lines.
const MOST_TITLE: usize = 400;
/// Most of the mentions in the text: beyond it, the last are left out.
const MOST_MENTIONS: usize = 4_000;

pub(super) fn message(message: &Message, mention: &LarkMention) -> Value {
    let title = title(message, MOST_TITLE);
    let text = lay_out(message, &Markdown, &marks(mention), Room::json(MOST_TEXT, "\n"));
    // A card without any text is refused.
    let text = if text.trim().is_empty() { escape::lark(&title) } else { text };
    let mut elements = vec![json!({"tag": "markdown", "content": text})];
    if let Some(Link { label, url }) = &message.link {
        let opens = json!([{"type": "open_url", "default_url": url}]);
        elements.push(json!({"tag": "button", "text": {"tag": "plain_text", "content": label}, "behaviors": opens}));
    }
    let header = json!({"template": colour(message.tone), "title": {"tag": "plain_text", "content": title}});
    let body = json!({"direction": "vertical", "elements": elements});
    let card = json!({"schema": "2.0", "config": {"update_multi": true}, "header": header, "body": body});
    json!({"msg_type": "interactive", "card": card})
}

/// Mentions by open id, in a paragraph of their own.
fn marks(mention: &LarkMention) -> String {
    let people = fitting(&mention.open_ids, &mut MOST_MENTIONS.clone(), "<at id=></at> ".len());
    let all = mention.all.then_some("all");
    let marks = all.into_iter().chain(people.iter().map(String::as_str)).map(|who| format!("<at id={who}></at>"));
    let marks = marks.collect::<Vec<_>>().join(" ");
    if marks.is_empty() { marks } else { format!("\n{marks}") }
}

/// Colours of a header ("Title" component, enumeration and advice: red is an error, orange a warning).
const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Bad => "red",
        Tone::Warning => "orange",
        Tone::Good => "turquoise",
        Tone::Neutral => "blue",
    }
}

/// Markdown of a card. Title and link stand elsewhere in the card.
struct Markdown;

impl Markup for Markdown {
    fn title(&self, _: &str) -> String {
        String::new()
    }

    fn fact(&self, label: &str, value: &str) -> String {
        // A list, because a single line break may be ignored.
        format!("- **{label}**: {}", escape::lark(value))
    }

    fn item(&self, item: &Item) -> String {
        markdown_item("- ", item, escape::lark)
    }

    fn link(&self, _: &Link) -> String {
        String::new()
    }

    fn value(&self, value: &str) -> String {
        escape::lark(value)
    }
}
