//! The variables of a provider's template: plain words, short enough for every provider.

use serde_json::{Map, Value};

use crate::channel::Envelope;
use crate::channel::text::one_line;
use crate::message::locale::human_time;

/// Most of one value: what a template's variable of the general kind takes ("Variable specifications of `TemplateContent`",
/// Alibaba Cloud Short Message Service). Characters are counted as UTF-16 does, where an emoji is two.
pub(super) const MOST: usize = 35;
/// In place of nothing: a variable without a value is refused.
const NOTHING: &str = "-";
const CUT: char = '…';

/// Every variable that a template may have.
pub(super) struct Variables([(&'static str, String); 7]);

impl Variables {
    /// Those of a message.
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        let Envelope { workspace, event, message, delivery_id: _, now: _ } = envelope;
        let subject = event.data.get("instance").and_then(Value::as_str).unwrap_or(&event.subject.name);
        let kind = event.events.first().map_or(event.transition.as_str(), |kind| kind.as_str());
        Self([
            ("title", plain(&message.title)),
            ("workspace", plain(workspace)),
            ("name", plain(subject)),
            ("event", kind.to_owned()),
            ("status", event.transition.as_str().to_owned()),
            ("reason", plain(&event.reason)),
            ("time", human_time(event.time)),
        ])
    }

    /// A JSON object of strings, each cut to 35 characters.
    pub(super) fn each_short(&self) -> String {
        json(self.0.iter().map(|(name, value)| (*name, shortened(value, MOST))))
    }

    /// A JSON object of strings that have fewer than `limit` characters together: each is cut to 35, but the title has all
    /// the room that the others leave.
    pub(super) fn together_below(&self, limit: usize) -> String {
        let short = |(name, value): &(&'static str, String)| (*name, shortened(value, MOST));
        let [title, others @ ..] = &self.0;
        let others: Vec<(&str, String)> = others.iter().map(short).collect();
        let taken: usize = others.iter().map(|(_, value)| length(value)).sum();
        let room = limit.saturating_sub(1).saturating_sub(taken);
        json([(title.0, shortened(&title.1, room))].into_iter().chain(others))
    }
}

fn json<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let map: Map<String, Value> =
        pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    Value::Object(map).to_string()
}

/// One line without links, which the gateways refuse, and without the brackets that mark a sender's signature.
fn plain(text: &str) -> String {
    let line = one_line(text).replace('【', "[").replace('】', "]");
    let is_link = |word: &str| word.contains("://") || word.to_ascii_lowercase().starts_with("www.");
    let words: Vec<&str> = line.split_whitespace().map(|word| if is_link(word) { "…" } else { word }).collect();
    words.join(" ")
}

/// At most so many characters, with a mark where it was cut; something even if there is nothing.
fn shortened(text: &str, most: usize) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    if length(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(CUT.len_utf16());
    let fits = |c: &char| left.checked_sub(c.len_utf16()).inspect(|rest| left = *rest).is_some();
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push(CUT);
    kept
}

/// Characters as UTF-16 counts them.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}
