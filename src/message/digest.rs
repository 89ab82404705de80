//! A digest: one message for many events, when a receiver takes fewer messages than there are.

use std::collections::HashMap;

use super::{Body, Count, Digest, Item, Message, Origin, Tone, locale};
use crate::lifecycle::Event;

/// The message that tells all of these events. Its tone is that of the worst of them.
#[must_use]
pub fn digest(origin: &Origin<'_>, events: &[&Event]) -> Message {
    let mut events = events.to_vec();
    events.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.id.cmp(&b.id)));
    let item = |event: &&Event| Item {
        time: locale::human_time(event.time),
        title: locale::built_in(origin.locale, origin.workspace, event).title,
        url: origin.console.and_then(|console| console.of(origin, event)),
    };
    Message {
        title: locale::digest_title(origin.locale, origin.workspace, events.len()),
        tone: events.iter().map(|event| Tone::of(event.transition)).min().unwrap_or(Tone::Neutral),
        link: None,
        body: Body::Digest(Digest {
            counts: counts(origin, &events),
            items: events.iter().map(item).collect(),
            more: locale::more(origin.locale),
        }),
    }
}

fn counts(origin: &Origin<'_>, events: &[&Event]) -> Vec<Count> {
    let mut counts: HashMap<String, (Tone, usize)> = HashMap::new();
    for event in events {
        let known = counts.entry(locale::kind_of(origin.locale, event)).or_insert((Tone::of(event.transition), 0));
        known.1 += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(label, (tone, count))| (tone, Count { label, count })).collect();
    counts.sort_by(|(tone_a, a), (tone_b, b)| {
        tone_a.cmp(tone_b).then(b.count.cmp(&a.count)).then_with(|| a.label.cmp(&b.label))
    });
    counts.into_iter().map(|(_, count)| count).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::workspace::Locale;
    use crate::lifecycle::{Source, Subject, Transition};

    fn event(name: &str, transition: Transition, second: i64) -> Event {
        Event {
            id: name.to_owned(),
            source: Source::DLCJob,
            transition,
            events: Vec::new(),
            time: Timestamp::from_second(second).unwrap(),
            observed_time: Timestamp::UNIX_EPOCH,
            reason: String::new(),
            message: String::new(),
            subject: Subject { name: name.to_owned(), ..Subject::default() },
            data: serde_json::Map::new(),
        }
    }

    fn of(locale: Locale) -> Message {
        let events = [
            event("a", Transition::Succeeded, 10),
            event("b", Transition::Failed, 30),
            event("c", Transition::Succeeded, 20),
        ];
        let rules = [];
        let origin = Origin { workspace: "vision", namespace: "vision", locale, rules: &rules, console: None };
        digest(&origin, &events.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_worst_is_counted_first_and_the_newest_told_first() {
        let message = of(Locale::En);
        assert_eq!((message.title.as_str(), message.tone), ("3 events in workspace vision", Tone::Bad));
        let Body::Digest(digest) = message.body else { panic!("no digest") };
        let counts: Vec<_> = digest.counts.iter().map(|count| (count.label.as_str(), count.count)).collect();
        assert_eq!(counts, [("Job failed", 1), ("Job succeeded", 2)]);
        let titles: Vec<_> = digest.items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!(titles, ["Job b failed", "Job c succeeded", "Job a succeeded"]);
    }

    #[test]
    fn a_digest_speaks_the_language_of_its_workspace() {
        assert_eq!(of(Locale::Zh).title, "工作空间 vision 有 3 条事件");
    }
}
