//! The built-in texts: a title that says it all, then what, where, when, why and how long.

mod en;
mod zh;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Body, Fact, Message, Tone};
use crate::api::workspace::Locale;
use crate::lifecycle::{Event, EventType, Source, Transition};

/// The words of one language.
pub(super) struct Words {
    /// The title, by source, transition and whether a deadline was the cause; `{}` stands for the subject's name.
    title: fn(Source, Transition, bool) -> &'static str,
    /// Between the title and the reason.
    because: &'static str,
    workspace: &'static str,
    subject: &'static str,
    time: &'static str,
    reason: &'static str,
    details: &'static str,
    ran: &'static str,
    exit: &'static str,
    exit_code: &'static str,
    container: &'static str,
    pod: &'static str,
    node: &'static str,
    restarts: &'static str,
    labels: &'static str,
    template_failed: &'static str,
    /// Title of a connectivity test.
    test: &'static str,
    /// Words of a link to the subject.
    open: &'static str,
    /// Title of a digest; `{count}` and `{workspace}` stand for those.
    digest: &'static str,
    /// Of a digest's events that are not shown; `{}` stands for how many.
    more: &'static str,
    duration: fn(SignedDuration) -> String,
}

const fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::En => &en::WORDS,
        Locale::Zh => &zh::WORDS,
    }
}

/// The label of the note that an own template failed.
#[must_use]
pub const fn template_failed(locale: Locale) -> &'static str {
    words(locale).template_failed
}

/// The title of a connectivity test.
#[must_use]
pub const fn test_title(locale: Locale) -> &'static str {
    words(locale).test
}

/// The words of a link to a subject.
#[must_use]
pub const fn open(locale: Locale) -> &'static str {
    words(locale).open
}

/// The title of a digest.
#[must_use]
pub fn digest_title(locale: Locale, workspace: &str, count: usize) -> String {
    words(locale).digest.replace("{count}", &count.to_string()).replace("{workspace}", workspace)
}

/// What a digest says of the events that it does not show.
#[must_use]
pub const fn more(locale: Locale) -> &'static str {
    words(locale).more
}

/// What happened, without a name: `Job failed`.
#[must_use]
pub fn kind_of(locale: Locale, event: &Event) -> String {
    let deadline = event.events.contains(&EventType::JobTimeout);
    let title = (words(locale).title)(event.source, event.transition, deadline).replace("{}", "");
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The built-in message of an event.
#[must_use]
pub fn built_in(locale: Locale, workspace: &str, event: &Event) -> Message {
    let words = words(locale);
    let deadline = event.events.contains(&EventType::JobTimeout);
    let name = event.data.get("instance").and_then(Value::as_str).unwrap_or(&event.subject.name);
    let mut title = (words.title)(event.source, event.transition, deadline).replace("{}", name);
    let tone = Tone::of(event.transition);
    if !event.reason.is_empty() && matches!(tone, Tone::Bad | Tone::Warning) && !deadline {
        title.push_str(words.because);
        title.push_str(&event.reason);
    }
    Message { title, body: Body::Facts(facts(words, workspace, event)), tone, link: None }
}

fn facts(words: &Words, workspace: &str, event: &Event) -> Vec<Fact> {
    let subject = &event.subject;
    let text = |key: &str| event.data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let number = |key: &str| event.data.get(key).and_then(Value::as_i64);
    let mut facts = vec![
        Fact { label: words.workspace, value: workspace.to_owned() },
        Fact { label: words.subject, value: format!("{} {}/{}", subject.kind, subject.namespace, subject.name) },
        Fact { label: words.time, value: human_time(event.time) },
    ];
    let mut add = |label, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push(Fact { label, value });
        }
    };
    add(words.ran, number("durationSeconds").map(|seconds| (words.duration)(SignedDuration::from_secs(seconds))));
    add(words.reason, Some(event.reason.clone()));
    add(words.details, Some(event.message.clone()));
    let exit: Vec<String> = [
        text("podReason").map(str::to_owned),
        number("exitCode").map(|code| format!("{} {code}", words.exit_code)),
        text("container").map(|container| format!("{} {container}", words.container)),
    ]
    .into_iter()
    .flatten()
    .collect();
    add(words.exit, Some(exit.join(", ")));
    add(words.pod, text("pod").map(str::to_owned));
    add(words.node, text("node").map(str::to_owned));
    add(words.restarts, number("restarts").map(|count| count.to_string()));
    let labels: Vec<String> = subject
        .labels
        .iter()
        .filter(|(key, _)| !key.contains('/'))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    add(words.labels, Some(labels.join(", ")));
    facts
}

/// `2026-11-24 10:32:05 UTC`.
#[must_use]
pub fn human_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Hours, minutes and seconds.
fn split(duration: SignedDuration) -> (i64, i64, i64) {
    let seconds = duration.as_secs().max(0);
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
