use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Map;

use super::*;
use crate::lifecycle::event_type::Cause;
use crate::message::samples::{LOCALES, event, told};

fn facts_of(message: &Message) -> &[Fact] {
    match &message.body {
        Body::Digest(_) => unreachable!("no built-in text of one event is a digest"),
        Body::Facts(facts) => facts,
        Body::Text(text) => panic!("{text:?}"),
    }
}

fn rendered(locale: Locale) -> String {
    told().into_iter().fold(String::new(), |mut out, (source, transition, cause)| {
        let message = built_in(locale, "research", &event(source, transition, cause));
        let _ = writeln!(out, "{source} {transition}: {}", message.title);
        for Fact { label, value } in facts_of(&message) {
            let _ = writeln!(out, "    {label}: {value}");
        }
        out
    })
}

#[test]
fn the_messages_in_english_are_these() {
    insta::assert_snapshot!("en", rendered(Locale::En));
}

#[test]
fn the_messages_in_chinese_are_these() {
    insta::assert_snapshot!("zh", rendered(Locale::Zh));
}

#[test]
fn every_title_names_its_subject_and_no_two_of_one_source_are_equal() {
    for locale in LOCALES {
        let mut seen: BTreeMap<(Source, String), Transition> = BTreeMap::new();
        for (source, transition, cause) in told() {
            let mut event = event(source, transition, cause);
            // What only the title says, without the reason.
            event.reason.clear();
            let title = built_in(locale, "research", &event).title;
            let name = if event.data.contains_key("instance") { "dev-box" } else { "nightly-42" };
            assert!(title.contains(name) && !title.contains("{}"), "{source} {transition}: {title}");
            assert_eq!(seen.insert((source, title.clone()), transition), None, "{source} {transition}: {title}");
        }
    }
}

#[test]
fn every_fact_says_something() {
    for locale in LOCALES {
        for (source, transition, cause) in told() {
            let message = built_in(locale, "research", &event(source, transition, cause));
            for fact in facts_of(&message) {
                assert!(!fact.label.is_empty() && !fact.value.is_empty(), "{source} {transition}: {fact:?}");
            }
        }
    }
}

#[test]
fn the_title_of_a_timeout_says_so_and_that_of_another_failure_gives_the_reason() {
    let failed = |locale, cause| built_in(locale, "research", &event(Source::DLCJob, Transition::Failed, cause)).title;
    assert_eq!(failed(Locale::En, Cause::Deadline), "Job nightly-42 failed: its time limit has passed");
    assert_eq!(failed(Locale::Zh, Cause::Deadline), "训练任务 nightly-42 失败：超过运行时限");
    assert_eq!(failed(Locale::En, Cause::Other), "Job nightly-42 failed: BackoffLimitExceeded");
    assert_eq!(failed(Locale::Zh, Cause::Other), "训练任务 nightly-42 失败：BackoffLimitExceeded");
}

#[test]
fn a_name_with_braces_stands_as_it_is() {
    for name in ["{}", "a{}b{}", "{{ event.id }}", "{0}"] {
        let mut event = event(Source::DLCJob, Transition::Running, Cause::Other);
        event.subject.name = name.to_owned();
        assert_eq!(built_in(Locale::En, "research", &event).title, format!("Job {name} is running"));
    }
}

#[test]
fn the_words_of_an_event_that_says_little_are_left_out() {
    let mut event = event(Source::DLCJob, Transition::Failed, Cause::Other);
    event.reason.clear();
    event.message.clear();
    event.subject.labels.clear();
    event.data = Map::new();
    let message = built_in(Locale::En, "research", &event);
    assert_eq!(message.title, "Job nightly-42 failed");
    let labels: Vec<_> = facts_of(&message).iter().map(|fact| fact.label).collect();
    assert_eq!(labels, ["Workspace", "Object", "Time"]);
}

#[test]
fn a_duration_is_told_in_its_two_largest_units() {
    let table = [
        (-5, "0 s", "0 秒"),
        (0, "0 s", "0 秒"),
        (59, "59 s", "59 秒"),
        (60, "1 min 0 s", "1 分 0 秒"),
        (3599, "59 min 59 s", "59 分 59 秒"),
        (3600, "1 h 0 min", "1 小时 0 分"),
        (200_000, "55 h 33 min", "55 小时 33 分"),
    ];
    for (seconds, en, zh) in table {
        let told = LOCALES.map(|locale| (words(locale).duration)(SignedDuration::from_secs(seconds)));
        assert_eq!(told, [en, zh], "{seconds}");
    }
}
