//! From an observation to a Notice, or to the reason why there is none. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::api::Notice;
use crate::api::names::{NOTICE_SOURCE_LABEL, NOTICE_TRANSITION_LABEL, WORKSPACE_LABEL};
use crate::api::notice::{NoticeDelivery, NoticeSpec};
use crate::lifecycle::Event;
use crate::lifecycle::identity::{MAX_NAME, delivery_id};
use crate::rules::{Match, WorkspacePolicy};
use crate::watch::Observation;

/// Longest message that a Notice keeps, in bytes.
const MESSAGE: usize = 2048;
/// Longest value of a label or of a piece of `data` that a Notice keeps, in bytes.
const VALUE: usize = 512;
/// Most bytes of labels that a Notice keeps, and of `data`.
const MAP: usize = 4096;
/// Mark of a cut text.
const CUT: &str = "…[cut]";

/// What becomes of an observation.
#[derive(Debug)]
pub enum Draft {
    /// It becomes a Notice.
    Wanted(Box<Notice>),
    /// Older than the look-back limit.
    TooOld,
    /// No active rule wants it.
    Unwanted,
}

/// Drafts the Notice of an observation. Also returns the filters that failed, by rule.
#[must_use]
pub fn draft(
    observation: &Observation,
    policy: &WorkspacePolicy,
    lookback: SignedDuration,
) -> (Draft, Vec<(String, String)>) {
    let oldest = observation.observed.checked_sub(lookback).unwrap_or(Timestamp::MIN);
    if observation.effective < oldest {
        return (Draft::TooOld, Vec::new());
    }
    let event = observation.event(&policy.workspace);
    let Match { deliveries, filter_errors } = policy.matches(&event, observation.effective);
    if deliveries.is_empty() {
        return (Draft::Unwanted, filter_errors);
    }
    let name = observation.key(&policy.workspace).notice_name(&observation.subject.name);
    let notice = notice(name, &policy.workspace, event, deliveries);
    (Draft::Wanted(Box::new(notice)), filter_errors)
}

/// The Notice that brings an event to targets which its first Notice does not name, because the rule that names them was
/// seen after the event. Its name depends on the event and these targets only.
#[must_use]
pub fn supplement(first: &Notice, wanted: &Notice) -> Option<Notice> {
    let missing: BTreeMap<String, Vec<String>> = wanted
        .spec
        .deliveries
        .iter()
        .filter(|delivery| !first.spec.deliveries.iter().any(|there| there.target == delivery.target))
        .map(|delivery| (delivery.target.clone(), delivery.rules.clone()))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let targets: Vec<&str> = missing.keys().map(String::as_str).collect();
    let id = delivery_id(&wanted.spec.event.id, &targets.join("/"));
    let suffix: String = id.chars().rev().take(6).collect();
    let name = lengthened(wanted.metadata.name.as_deref().unwrap_or_default(), &suffix);
    let workspace = wanted.metadata.labels.as_ref().and_then(|labels| labels.get(WORKSPACE_LABEL)).cloned();
    Some(notice(name, &workspace.unwrap_or_default(), wanted.spec.event.clone(), missing))
}

/// A Notice's name (`<subject>-<event>-<hash>`) with a suffix. Where that is too long, the subject is cut.
fn lengthened(name: &str, suffix: &str) -> String {
    let excess = (name.len() + 1 + suffix.len()).saturating_sub(MAX_NAME);
    let subject = name.rmatch_indices('-').nth(1).map_or(0, |(at, _)| at);
    match name.split_at_checked(subject) {
        Some((head, tail)) if excess > 0 => {
            let head = head.get(..head.len().saturating_sub(excess)).unwrap_or_default().trim_end_matches('-');
            format!("{head}{tail}-{suffix}")
        }
        _ => format!("{name}-{suffix}"),
    }
}

fn notice(name: String, workspace: &str, mut event: Event, deliveries: BTreeMap<String, Vec<String>>) -> Notice {
    shorten(&mut event);
    let labels = BTreeMap::from([
        (WORKSPACE_LABEL.to_owned(), workspace.to_owned()),
        (NOTICE_SOURCE_LABEL.to_owned(), event.source.as_str().to_owned()),
        (NOTICE_TRANSITION_LABEL.to_owned(), event.transition.as_str().to_owned()),
    ]);
    let metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(event.subject.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    };
    let deliveries = deliveries.into_iter().map(|(target, rules)| NoticeDelivery { target, rules }).collect();
    Notice { metadata, spec: NoticeSpec { event, deliveries }, status: None }
}

/// Keeps a Notice small whatever the object says: etcd holds every one of them.
fn shorten(event: &mut Event) {
    cut(&mut event.message, MESSAGE);
    cut(&mut event.reason, VALUE);
    event.subject.labels.values_mut().for_each(|value| cut(value, VALUE));
    let mut room = MAP;
    event.subject.labels.retain(|key, value| fits(&mut room, key.len() + value.len()));
    for value in event.data.values_mut() {
        if let Value::String(text) = value {
            cut(text, VALUE);
        }
    }
    let mut room = MAP;
    event.data.retain(|key, value| fits(&mut room, key.len() + size(value)));
}

/// Whether so many bytes fit into the room; takes them.
fn fits(room: &mut usize, bytes: usize) -> bool {
    room.checked_sub(bytes).inspect(|left| *room = *left).is_some()
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - CUT.len()));
        text.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;
    use crate::detect::Detected;
    use crate::lifecycle::event_type::Cause;
    use crate::lifecycle::{Source, Subject, Transition};
    use crate::rules::{ActiveRule, compile};
    use crate::watch::{Kind, Place};

    const LOOKBACK: SignedDuration = SignedDuration::from_hours(1);

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-24T{clock}Z").parse().unwrap()
    }

    /// A failure that was seen at noon.
    fn failure(effective: &str) -> Observation {
        Observation {
            place: Some(Place { kind: Kind::Job, revision: 5 }),
            subject: Subject {
                kind: "Job".to_owned(),
                namespace: "vision".to_owned(),
                name: "nightly".to_owned(),
                uid: "u1".to_owned(),
                ..Subject::default()
            },
            source: Source::DLCJob,
            detected: Detected {
                transition: Transition::Failed,
                occurrence: String::new(),
                time: Some(at(effective)),
                cause: Cause::Other,
                reason: "BackoffLimitExceeded".to_owned(),
                message: "Job has reached the specified backoff limit".to_owned(),
                data: Map::new(),
            },
            observed: at("12:00:00"),
            effective: at(effective),
        }
    }

    /// Rules that are active since eleven: name, source and targets of each.
    fn policy(rules: &[(&str, serde_json::Value, &[&str])]) -> WorkspacePolicy {
        let active = |(name, source, targets): &(&str, serde_json::Value, &[&str])| {
            let spec = serde_json::from_value(json!({"sources": [source], "targets": []})).unwrap();
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            let rule = compile::compile(&spec).unwrap();
            ((*name).to_owned(), Arc::new(ActiveRule { rule, active_since: at("11:30:00"), targets }))
        };
        WorkspacePolicy {
            workspace: "research".to_owned(),
            namespace: "vision".to_owned(),
            locale: crate::api::workspace::Locale::En,
            rules: rules.iter().map(active).collect(),
        }
    }

    fn everything() -> serde_json::Value {
        json!({"type": "DLCJob"})
    }

    fn wanted(observation: &Observation, policy: &WorkspacePolicy) -> Notice {
        match draft(observation, policy, LOOKBACK) {
            (Draft::Wanted(notice), _) => *notice,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_observation_is_wanted_by_a_rule_that_was_active_or_it_is_not_or_it_is_too_old() {
        let all = policy(&[("all", everything(), &["oncall"])]);
        let running = policy(&[("running", json!({"type": "DLCJob", "events": ["JobRunning"]}), &["oncall"])]);
        let none = policy(&[]);
        let table = [
            ("now", "12:00:00", &all, "wanted"),
            ("as the rule became active", "11:30:00", &all, "wanted"),
            ("before the rule was active", "11:29:59", &all, "unwanted"),
            ("at the limit", "11:00:00", &all, "unwanted"),
            ("beyond the limit", "10:59:59", &all, "too old"),
            ("of another type", "12:00:00", &running, "unwanted"),
            ("no rule", "12:00:00", &none, "unwanted"),
            ("no rule, and beyond the limit", "10:00:00", &none, "too old"),
        ];
        for (case, effective, policy, expected) in table {
            let became = match draft(&failure(effective), policy, LOOKBACK).0 {
                Draft::Wanted(_) => "wanted",
                Draft::Unwanted => "unwanted",
                Draft::TooOld => "too old",
            };
            assert_eq!(became, expected, "{case}");
        }
    }

    #[test]
    fn a_notice_names_each_target_once_with_all_rules_that_chose_it() {
        let policy = policy(&[("a", everything(), &["oncall", "chat"]), ("b", everything(), &["oncall"])]);
        let notice = wanted(&failure("12:00:00"), &policy);
        let deliveries: Vec<_> =
            notice.spec.deliveries.iter().map(|d| (d.target.as_str(), d.rules.join(","))).collect();
        assert_eq!(deliveries, [("chat", "a".to_owned()), ("oncall", "a,b".to_owned())]);
        assert_eq!(notice.metadata.namespace.as_deref(), Some("vision"));
        let labels = notice.metadata.labels.unwrap();
        assert_eq!(labels.get(WORKSPACE_LABEL).map(String::as_str), Some("research"));
        assert_eq!(labels.get(NOTICE_TRANSITION_LABEL).map(String::as_str), Some("Failed"));
    }

    #[test]
    fn a_filter_that_fails_is_named_and_hinders_no_other_rule() {
        let broken = json!({"type": "DLCJob", "filter": "event.data.nope > 1"});
        let policy = policy(&[("broken", broken, &["chat"]), ("sound", everything(), &["oncall"])]);
        let (draft, errors) = draft(&failure("12:00:00"), &policy, LOOKBACK);
        assert!(matches!(draft, Draft::Wanted(notice) if notice.spec.deliveries.len() == 1));
        assert_eq!(errors.iter().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>(), ["broken"]);
    }

    #[test]
    fn the_name_depends_on_what_happened_and_on_nothing_else() {
        let policy_of = |targets: &[&str]| policy(&[("all", everything(), targets)]);
        let name = |observation: &Observation, targets: &[&str]| wanted(observation, &policy_of(targets)).metadata.name;
        let first = name(&failure("12:00:00"), &["oncall"]);
        let mut again = failure("11:45:00");
        again.place = None;
        again.observed = at("12:05:00");
        again.detected.cause = Cause::Deadline;
        again.detected.reason = "DeadlineExceeded".to_owned();
        assert_eq!(name(&again, &["oncall", "chat"]), first, "seen by another replica, under other rules");
        let mut other = failure("12:00:00");
        other.subject.uid = "u2".to_owned();
        assert_ne!(name(&other, &["oncall"]), first);
    }

    #[test]
    fn a_notice_stays_small_whatever_the_object_says() {
        let policy = policy(&[("all", everything(), &["oncall"])]);
        for letter in ["x", "界", "\u{1f525}"] {
            let huge = letter.repeat(100_000);
            let mut observation = failure("12:00:00");
            observation.detected.message.clone_from(&huge);
            observation.detected.reason.clone_from(&huge);
            observation.subject.labels = (0..200).map(|n| (format!("team-{n:03}"), huge.clone())).collect();
            observation.detected.data = (0..50).map(|n| (format!("text-{n}"), json!(huge))).collect();
            observation.detected.data.insert("a-list".to_owned(), json!(vec![&huge; 3]));
            observation.detected.data.insert("exitCode".to_owned(), json!(137));
            let notice = wanted(&observation, &policy);
            let bytes = serde_json::to_string(&notice).unwrap().len();
            assert!(bytes < 16 * 1024, "{bytes} bytes");
            let event = &notice.spec.event;
            assert!(event.message.starts_with(letter) && event.message.ends_with(CUT), "cut between two characters");
            assert!(event.message.len() > MESSAGE - 8 && event.message.len() <= MESSAGE);
            assert_eq!(event.data.get("exitCode"), Some(&json!(137)));
            assert!(event.subject.labels.contains_key("team-000") && !event.subject.labels.contains_key("team-199"));
        }
    }

    #[test]
    fn an_ordinary_notice_is_kept_whole() {
        let mut observation = failure("12:00:00");
        observation.subject.labels = (0..60).map(|n| (format!("label-{n}"), "value".to_owned())).collect();
        observation.detected.data.insert("node".to_owned(), json!("gpu-7"));
        let event = wanted(&observation, &policy(&[("all", everything(), &["oncall"])])).spec.event;
        assert_eq!(event.subject.labels, observation.subject.labels);
        assert_eq!((event.message, event.data), (observation.detected.message, observation.detected.data));
    }

    #[test]
    fn a_supplement_names_only_the_missing_targets_under_a_name_of_its_own() {
        let policy_of = |targets: &[&str]| policy(&[("all", everything(), targets)]);
        for subject in ["nightly", &"n-".repeat(100)] {
            let mut observation = failure("12:00:00");
            observation.subject.name = subject.to_owned();
            let first = wanted(&observation, &policy_of(&["oncall"]));
            let more = wanted(&observation, &policy_of(&["oncall", "mail", "chat"]));
            let missing = supplement(&first, &more).unwrap();
            let targets: Vec<_> = missing.spec.deliveries.iter().map(|delivery| delivery.target.as_str()).collect();
            assert_eq!(targets, ["chat", "mail"]);
            assert_eq!((&missing.spec.event, &missing.metadata.labels), (&more.spec.event, &more.metadata.labels));
            assert_eq!(supplement(&first, &more).unwrap().metadata.name, missing.metadata.name);
            let other = supplement(&first, &wanted(&observation, &policy_of(&["oncall", "chat"]))).unwrap();
            let names = [&first, &missing, &other].map(|notice| notice.metadata.name.clone().unwrap());
            assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
            for name in names {
                assert!(name.len() <= MAX_NAME && name.contains("-jobfailed-"), "{name}");
            }
        }
    }

    #[test]
    fn there_is_no_supplement_where_no_target_is_missing() {
        let both = wanted(&failure("12:00:00"), &policy(&[("all", everything(), &["oncall", "chat"])]));
        let one = wanted(&failure("12:00:00"), &policy(&[("other", everything(), &["chat"])]));
        assert_eq!(supplement(&both, &one), None);
        assert_eq!(supplement(&both, &both), None);
    }
}
