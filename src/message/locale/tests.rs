use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, json};

use super::*;
use crate::lifecycle::Subject;
use crate::lifecycle::event_type::Cause;

const LOCALES: [Locale; 2] = [Locale::En, Locale::Zh];

/// Every transition that a source has an event type for, in the order of a life; a timeout beside its failure.
fn told() -> Vec<(Source, Transition, Cause)> {
    let pairs = Source::ALL.into_iter().flat_map(|source| Transition::ALL.iter().map(move |found| (source, *found)));
    let mut told: Vec<_> = pairs
        .filter(|(source, found)| !EventType::of(*source, *found, Cause::Other).is_empty())
        .map(|(source, found)| (source, found, Cause::Other))
        .collect();
    told.push((Source::DLCJob, Transition::Failed, Cause::Deadline));
    told
}

fn event(source: Source, transition: Transition, cause: Cause) -> Event {
    let (reason, message) = match (transition, cause) {
        (_, Cause::Deadline) => ("DeadlineExceeded", "Job was active longer than specified deadline"),
        (Transition::Failed, Cause::Other) => ("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        (Transition::FaultTolerance, _) => ("OOMKilled", "a container was restarted; the job goes on"),
        (Transition::Preempted, _) => ("PreemptionByScheduler", "preempting to accommodate a higher priority pod"),
        (Transition::Stopped, _) => ("JobDeleted", "the job was deleted before it had finished"),
        _ => ("", ""),
    };
    let detail = match transition {
        Transition::Failed => json!({"durationSeconds": 8047, "exitCode": 137, "container": "main",
            "podReason": "OOMKilled", "pod": "nightly-42-0", "node": "gpu-node-7"}),
        Transition::FaultTolerance => json!({"restarts": 3, "pod": "nightly-42-1", "node": "gpu-node-8"}),
        Transition::Succeeded => json!({"durationSeconds": 754}),
        Transition::ImageSaving | Transition::ImageSaved | Transition::ImageSaveFailed => {
            json!({"instance": "dev-box", "durationSeconds": 12})
        }
        _ => json!({}),
    };
    let kind = if source == Source::DSWInstance { "Pod" } else { "Job" };
    let labels = [("team", "vision"), ("kueue.x-k8s.io/queue-name", "gpu")];
    Event {
        id: "0123456789abcdef".to_owned(),
        source,
        transition,
        events: EventType::of(source, transition, cause),
        time: "2026-11-24T10:32:05.25Z".parse().unwrap(),
        observed_time: "2026-11-24T10:32:06Z".parse().unwrap(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        subject: Subject {
            kind: kind.to_owned(),
            namespace: "vision".to_owned(),
            name: "nightly-42".to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Subject::default()
        },
        data: detail.as_object().cloned().unwrap_or_default(),
    }
}

fn facts_of(message: &Message) -> &[Fact] {
    match &message.body {
        Body::Digest(_) => unreachable!("no built-in text of one event is a digest"),
        Body::Facts(facts) => facts,
        Body::Text(text) => panic!("{text}"),
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
