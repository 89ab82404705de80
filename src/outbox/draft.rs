//! From an observation to a Notice, or to the reason why there is none. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;

use crate::api::Notice;
use crate::api::names::{NOTICE_SOURCE_LABEL, NOTICE_TRANSITION_LABEL, WORKSPACE_LABEL};
use crate::api::notice::{NoticeDelivery, NoticeSpec};
use crate::lifecycle::Event;
use crate::rules::{Match, WorkspacePolicy};
use crate::watch::Observation;

/// Longest message that a Notice keeps, in bytes.
const MESSAGE: usize = 2048;
/// Longest value of a label or of a piece of `data` that a Notice keeps, in bytes.
const VALUE: usize = 512;
/// Most labels that a Notice keeps.
const LABELS: usize = 48;
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
    let id = crate::lifecycle::identity::delivery_id(&wanted.spec.event.id, &targets.join("/"));
    let suffix: String = id.chars().rev().take(6).collect();
    let base = wanted.metadata.name.as_deref().unwrap_or_default();
    let workspace = wanted.metadata.labels.as_ref().and_then(|labels| labels.get(WORKSPACE_LABEL)).cloned();
    Some(notice(format!("{base}-{suffix}"), &workspace.unwrap_or_default(), wanted.spec.event.clone(), missing))
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
    while event.subject.labels.len() > LABELS {
        event.subject.labels.pop_last();
    }
    event.subject.labels.values_mut().for_each(|value| cut(value, VALUE));
    for value in event.data.values_mut() {
        if let serde_json::Value::String(text) = value {
            cut(text, VALUE);
        }
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - CUT.len()));
        text.push_str(CUT);
    }
}
