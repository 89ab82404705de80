//! Golden files: what every channel sends for every kind of event, for a digest and for a connectivity test, in every
//! language. `make bless` renews them.

use std::fmt::Write as _;

use serde_json::Value;

use super::samples::{Sample, endpoint, robots};
use crate::api::workspace::Locale;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Transition};
use crate::message::samples::{LOCALES, event, told};
use crate::message::{Body, ConsoleUrl, Fact, Message, Origin, Tone, compose, digest, locale};

const CONSOLE: &str = "https://console.example/{{ workspace.name }}/{{ subject.kind|lower }}s/{{ subject.name }}";

#[test]
fn the_messages_of_every_robot_are_these() {
    let console = ConsoleUrl::compile(CONSOLE).unwrap();
    for (locale, language) in LOCALES.into_iter().zip(["en", "zh"]) {
        let origin = Origin { workspace: "research", namespace: "vision", locale, rules: &[], console: Some(&console) };
        for robot in robots() {
            let mut out = String::new();
            for (source, transition, cause) in told() {
                let event = event(source, transition, cause);
                let message = compose(&origin, &event, None);
                chapter(&mut out, &format!("{source} {transition} ({cause:?})"), &robot.body(&message));
            }
            chapter(&mut out, "Digest", &robot.body(&digest_of_all(&origin)));
            chapter(&mut out, "Connectivity test", &robot.body(&connectivity_test(locale)));
            insta::assert_snapshot!(format!("{}_{language}", robot.name), out);
        }
    }
}

#[test]
fn the_events_that_an_endpoint_receives_are_these() {
    let endpoint: Sample = endpoint();
    let mut out = String::new();
    for (source, transition, cause) in told() {
        let event = event(source, transition, cause);
        let request = endpoint.request(&event, &locale::built_in(Locale::En, "research", &event));
        let body = serde_json::from_slice(&request.body).unwrap();
        chapter(&mut out, &format!("{source} {transition} ({cause:?})"), &body);
    }
    insta::assert_snapshot!(endpoint.name, out);
}

fn digest_of_all(origin: &Origin<'_>) -> Message {
    let events: Vec<_> = told().into_iter().map(|(source, found, cause)| event(source, found, cause)).collect();
    digest(origin, &events.iter().collect::<Vec<_>>())
}

/// As the controller makes it.
fn connectivity_test(locale: Locale) -> Message {
    let title = locale::test_title(locale).to_owned();
    let fact = Fact { label: "EventTarget", value: "vision/oncall".to_owned() };
    Message { title, body: Body::Facts(vec![fact]), tone: Tone::Neutral, link: None }
}

/// One body, a line for every value, and texts of several lines as they are.
fn chapter(out: &mut String, title: &str, body: &Value) {
    let _ = writeln!(out, "=== {title}");
    lines(out, "", body);
    out.push('\n');
}

fn lines(out: &mut String, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                lines(out, &path, value);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                lines(out, &format!("{path}[{place}]"), item);
            }
            if items.is_empty() {
                let _ = writeln!(out, "{path}: []");
            }
        }
        Value::String(text) if text.contains('\n') => {
            let _ = writeln!(out, "{path}:");
            for line in text.lines() {
                let _ = writeln!(out, "{}", format!("    {line}").trim_end());
            }
        }
        Value::String(text) => {
            let _ = writeln!(out, "{path}: {text}");
        }
        other => {
            let _ = writeln!(out, "{path}: {other}");
        }
    }
}

#[test]
fn a_timeout_is_told_apart_from_another_failure_in_every_channel() {
    for robot in robots() {
        let body = |cause| {
            let event = event(Source::DLCJob, Transition::Failed, cause);
            robot.body(&locale::built_in(Locale::En, "research", &event)).to_string()
        };
        assert!(body(Cause::Deadline).contains("its time limit has passed"), "{}", robot.name);
        assert!(!body(Cause::Other).contains("its time limit has passed"), "{}", robot.name);
    }
}
