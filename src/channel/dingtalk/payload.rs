//! The body: `markdown` or `text`, with mentions, within 20,000 bytes.

use serde_json::{Value, json};

use crate::api::event_target::{DingTalkFormat, DingTalkMention};
use crate::channel::Envelope;
use crate::channel::text::{cut, escape_markdown, one_line};
use crate::message::{Body, Message};

/// The robot refuses more than 20,000 bytes for the whole message; this is for the text in its JSON form.
const MOST_TEXT: usize = 18_000;
/// Title of the conversation list.
const MOST_TITLE: usize = 200;

pub(super) fn message(envelope: &Envelope<'_>, format: DingTalkFormat, mention: &DingTalkMention) -> Vec<u8> {
    let Envelope { message, delivery_id, .. } = envelope;
    let title = cut(&one_line(&message.title), MOST_TITLE);
    let mentions = marks(mention);
    let mut body = match format {
        DingTalkFormat::Markdown => {
            let text = fitted(&markdown(message), &mentions);
            json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}})
        }
        DingTalkFormat::Text => {
            let text = fitted(&plain(message), &mentions);
            json!({"msgtype": "text", "text": {"content": text}})
        }
    };
    if let Some(fields) = body.as_object_mut() {
        fields.insert("at".to_owned(), at(mention));
        fields.insert("msgUuid".to_owned(), json!(delivery_id));
    }
    body.to_string().into_bytes()
}

fn at(mention: &DingTalkMention) -> Value {
    json!({"atMobiles": mention.mobiles, "atUserIds": mention.user_ids, "isAtAll": mention.all})
}

/// A person is mentioned only if `@` and the same value stand in the text too.
fn marks(mention: &DingTalkMention) -> String {
    let everybody = mention.mobiles.iter().chain(&mention.user_ids);
    everybody.map(|who| format!("@{}", one_line(who))).collect::<Vec<_>>().join(" ")
}

/// The text and the mentions after it, short enough in JSON form: what is escaped there counts with its escapes.
fn fitted(text: &str, mentions: &str) -> String {
    let join = |text: &str| if mentions.is_empty() { text.to_owned() } else { format!("{text}\n\n{mentions}") };
    let mut most = MOST_TEXT;
    loop {
        let joined = join(&cut(text, most));
        if json!(joined).to_string().len() <= MOST_TEXT + mentions.len() + 64 || most < 100 {
            return joined;
        }
        most = most * 3 / 4;
    }
}

fn markdown(message: &Message) -> String {
    let title = format!("### {}", escape_markdown(&one_line(&message.title)));
    match &message.body {
        Body::Text(text) => format!("{title}\n\n{text}"),
        Body::Facts(facts) => facts.iter().fold(title, |text, fact| {
            // Two spaces and an empty quote line keep DingTalk from joining the lines.
            format!("{text}\n\n> **{}**: {}", fact.label, escape_markdown(&one_line(&fact.value)))
        }),
    }
}

fn plain(message: &Message) -> String {
    match &message.body {
        Body::Text(text) => format!("{}\n{text}", one_line(&message.title)),
        Body::Facts(facts) => facts.iter().fold(one_line(&message.title), |text, fact| {
            // A full-width sign: a name with @ in it must not mention anybody.
            format!("{text}\n{}: {}", fact.label, one_line(&fact.value).replace('@', "＠"))
        }),
    }
}
