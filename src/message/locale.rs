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
    Message { title, body: Body::Facts(facts(words, workspace, event)), tone }
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
fn human_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Hours, minutes and seconds.
fn split(duration: SignedDuration) -> (i64, i64, i64) {
    let seconds = duration.as_secs().max(0);
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
