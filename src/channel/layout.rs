//! A message laid out as one text: the same order and the same cuts for every channel, each in its own markup.
//!
//! Title first, then facts, a team's own text or a digest's counts and items, a link, and last what must never be cut,
//! such as mentions. What does not fit is cut between characters, with a mark; a digest says how many of its items it
//! leaves out. How long a text is, the channel says: in bytes of UTF-8, or as JSON, where escapes count.

use super::text::cut;
use crate::message::{Body, Digest, Item, Link, Message};

/// How a channel writes the parts of a message. Values come raw: escaping them is the markup's part.
pub trait Markup {
    /// The title.
    fn title(&self, title: &str) -> String;
    /// A label and its value.
    fn fact(&self, label: &str, value: &str) -> String;
    /// One event of a digest.
    fn item(&self, item: &Item) -> String;
    /// A link.
    fn link(&self, link: &Link) -> String;
    /// A value of the event inside a team's own text.
    fn value(&self, value: &str) -> String;
    /// A team's own text, which is in the channel's form already, its values escaped.
    fn own(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Room for a text.
#[derive(Clone, Copy)]
pub struct Room {
    /// Most of it.
    pub most: usize,
    /// How much of it a text takes.
    pub measure: fn(&str) -> usize,
    /// Between two parts.
    pub separator: &'static str,
}

impl Room {
    /// Room for so many bytes of UTF-8.
    #[must_use]
    pub const fn bytes(most: usize, separator: &'static str) -> Self {
        Self { most, measure: str::len, separator }
    }

    /// Room for so many bytes of JSON, where a quote or a control character takes more than one.
    #[must_use]
    pub const fn json(most: usize, separator: &'static str) -> Self {
        Self { most, measure: json_length, separator }
    }
}

/// Bytes that a text takes inside a JSON string, as serde writes it.
#[must_use]
pub fn json_length(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    });
    text.len() + escapes.sum::<usize>()
}

/// Shortest piece of a value that is worth showing, in the room's measure.
const SHORTEST: usize = 24;

/// Lays a message out within the room. `tail` is kept whole, so that it must be much shorter than the room.
#[must_use]
pub fn lay_out(message: &Message, markup: &dyn Markup, tail: &str, room: Room) -> String {
    let mut page = Page { text: String::new(), used: 0, most: room.most, room };
    let link = message.link.as_ref().map(|link| markup.link(link)).filter(|link| page.cost(link) < room.most / 4);
    let reserved: usize =
        [link.as_deref(), Some(tail)].into_iter().flatten().filter(|t| !t.is_empty()).map(|t| page.cost(t)).sum();
    page.most = room.most.saturating_sub(reserved);
    page.add_shortened(&message.title, room.most / 4, &|title| markup.title(title));
    match &message.body {
        Body::Facts(facts) => {
            for fact in facts {
                page.add_shortened(&fact.value, usize::MAX, &|value| markup.fact(fact.label, value));
            }
        }
        Body::Text(text) => {
            let text = text.with(|value| markup.value(value));
            page.add_shortened(&text, usize::MAX, &|text| markup.own(text));
        }
        Body::Digest(digest) => page.add_digest(digest, markup),
    }
    page.most = room.most;
    for part in [link.as_deref(), Some(tail)].into_iter().flatten().filter(|part| !part.is_empty()) {
        page.add(part);
    }
    page.text
}

struct Page {
    text: String,
    used: usize,
    most: usize,
    room: Room,
}

impl Page {
    fn cost(&self, part: &str) -> usize {
        (self.room.measure)(part) + (self.room.measure)(self.room.separator)
    }

    /// Adds a part if it fits.
    fn add(&mut self, part: &str) -> bool {
        let cost = self.cost(part);
        if self.used + cost > self.most {
            return false;
        }
        if !self.text.is_empty() {
            self.text.push_str(self.room.separator);
        }
        self.text.push_str(part);
        self.used += cost;
        true
    }

    /// Adds a part that is made of a value; cuts the value where it is too long.
    fn add_shortened(&mut self, value: &str, most: usize, part: &dyn Fn(&str) -> String) {
        let whole = part(value);
        if self.cost(&whole) <= most && self.add(&whole) {
            return;
        }
        let left = self.most.saturating_sub(self.used).min(most);
        // The longest piece that fits: what escaping adds differs from piece to piece, so that it is searched.
        let (mut low, mut high) = (0, value.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.cost(&part(&cut(value, middle))) <= left { low = middle } else { high = middle - 1 }
        }
        if low >= SHORTEST {
            self.add(&part(&cut(value, low)));
        }
    }

    fn add_digest(&mut self, digest: &Digest, markup: &dyn Markup) {
        let more = |left: usize| digest.more.replace("{}", &left.to_string());
        for count in &digest.counts {
            self.add(&markup.fact(&count.label, &count.count.to_string()));
        }
        let mut left = digest.items.len();
        for item in &digest.items {
            let line = markup.item(item);
            // The last line says how many are left out: room for it is kept until nothing can be left out any more.
            let reserve = if left > 1 { self.cost(&more(left)) } else { 0 };
            if self.used + self.cost(&line) + reserve > self.most {
                break;
            }
            self.add(&line);
            left -= 1;
        }
        if left > 0 {
            self.add(&more(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Count, Fact, Tone};

    struct Plain;

    impl Markup for Plain {
        fn title(&self, title: &str) -> String {
            title.to_owned()
        }
        fn fact(&self, label: &str, value: &str) -> String {
            format!("{label}: {value}")
        }
        fn item(&self, item: &Item) -> String {
            format!("{} {}", item.time, item.title)
        }
        fn value(&self, value: &str) -> String {
            value.to_owned()
        }
        fn link(&self, link: &Link) -> String {
            format!("{} {}", link.label, link.url)
        }
    }

    fn message(body: Body) -> Message {
        let link = Some(Link { label: "Open", url: "https://c.example/1".to_owned() });
        Message { title: "Job a failed".to_owned(), body, tone: Tone::Bad, link }
    }

    fn facts(values: &[&str]) -> Body {
        Body::Facts(values.iter().map(|value| Fact { label: "Reason", value: (*value).to_owned() }).collect())
    }

    #[test]
    fn what_fits_stands_there_in_order_with_link_and_tail_last() {
        let text = lay_out(&message(facts(&["x", "y"])), &Plain, "@li", Room::bytes(1000, "\n"));
        assert_eq!(text, "Job a failed\nReason: x\nReason: y\nOpen https://c.example/1\n@li");
    }

    #[test]
    fn any_text_fits_any_room_and_keeps_its_tail() {
        for value in ["训练".repeat(900), "🚀".repeat(900), "\"\\\u{1}".repeat(900), "x".repeat(9000)] {
            for most in [200, 201, 202, 203, 512, 2048] {
                for body in [facts(&[&value, "short"]), Body::Text(value.clone().into())] {
                    for room in [Room::bytes(most, "\n\n"), Room::json(most, "\n\n")] {
                        let text = lay_out(&message(body.clone()), &Plain, "@li", room);
                        assert!((room.measure)(&text) <= most, "{} of {most}", (room.measure)(&text));
                        assert!(text.ends_with("@li") && text.contains('…'), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn json_length_is_what_serde_writes() {
        for text in ["plain", "\"quoted\" \\ \n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f}", "训练 🚀"] {
            assert_eq!(json_length(text) + 2, serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
    }

    #[test]
    fn a_digest_shows_counts_then_items_and_says_how_many_it_leaves_out() {
        let digest = |items: usize| {
            let item = |n| Item { time: "12:00".to_owned(), title: format!("Job {n:03} failed"), url: None };
            Body::Digest(Digest {
                counts: vec![Count { label: "Job failed".to_owned(), count: items }],
                items: (0..items).map(item).collect(),
                more: "… and {} more",
            })
        };
        let text = lay_out(&message(digest(100)), &Plain, "", Room::bytes(300, "\n"));
        let lines: Vec<_> = text.lines().collect();
        let shown = lines.iter().filter(|line| line.starts_with("12:00")).count();
        assert_eq!(lines[1], "Job failed: 100");
        assert!(shown > 3 && text.contains(&format!("… and {} more", 100 - shown)), "{text}");
        let text = lay_out(&message(digest(3)), &Plain, "", Room::bytes(300, "\n"));
        assert!(text.contains("Job 002 failed") && !text.contains("more"), "{text}");
    }
}
