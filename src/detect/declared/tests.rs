//! What the kinds of the catalog prove, in a small form: an object is a few lines of JSON, and what it proves is
//! `Transition[occurrence]@time`.

mod catalog;
mod engine;
mod images;
mod jobset;
mod kubedl;
mod kubeflow;
mod kueue;
mod life;
mod malformed;
mod models;
mod notebooks;
mod pitfalls;
mod ray;
mod tasks;
mod volcano;

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::detect::pod::{self, PodFacts, PodView};

/// A time on the day of all these tests.
pub(super) fn at(clock: &str) -> String {
    format!("2026-11-24T{clock}Z")
}

/// An object that was created at 10:00:00.
pub(super) fn object(spec: &Value, status: &Value) -> Object {
    labelled(&json!({}), spec, status)
}

pub(super) fn labelled(labels: &Value, spec: &Value, status: &Value) -> Object {
    let metadata = json!({"name": "nightly", "namespace": "vision", "uid": "u1", "labels": labels, "generation": 2,
        "creationTimestamp": at("10:00:00")});
    Object::from(json!({"metadata": metadata, "spec": spec, "status": status}))
}

pub(super) fn kueue() -> Value {
    json!({"kueue.x-k8s.io/queue-name": "gpu"})
}

/// A condition that is `True`.
pub(super) fn yes(kind: &str, reason: &str, clock: &str) -> Value {
    condition(kind, "True", reason, clock)
}

/// A condition that is `False`.
pub(super) fn not(kind: &str, reason: &str, clock: &str) -> Value {
    condition(kind, "False", reason, clock)
}

fn condition(kind: &str, status: &str, reason: &str, clock: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": format!("about {kind}"),
        "lastTransitionTime": at(clock)})
}

pub(super) fn conditions(conditions: &[Value]) -> Value {
    json!({"conditions": conditions})
}

pub(super) fn pod(name: &str, status: &Value) -> PodFacts {
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "node-1"}, "status": status});
    pod::facts(&serde_json::from_value::<PodView>(pod).unwrap())
}

/// `Transition[occurrence]@time`, without the date; `-` where no time is known, `!` where a deadline is the cause.
pub(super) fn shown(found: &[Detected]) -> Vec<String> {
    let one = |found: &Detected| {
        let time = found.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let cause = if found.cause == Cause::Deadline { "!" } else { "" };
        let all = format!("{}{cause}[{}]@{time}", found.transition, found.occurrence);
        all.replace("2026-11-24T", "").replace('Z', "")
    };
    found.iter().map(one).collect()
}

/// The built-in kind of this `group/Kind` and version.
pub(super) fn kind(name: &str, version: &str) -> Kind {
    static BUILT_IN: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);
    let (group, kind) = name.split_once('/').unwrap();
    BUILT_IN.serving(group, kind, &[version]).unwrap_or_else(|| panic!("there is no {name}")).0.clone()
}

/// What a present object proves; no expression may fail.
#[track_caller]
pub(super) fn proves(kind: &Kind, object: &Object, expected: &[&str]) {
    proves_below(kind, object, &Below::default(), expected);
}

#[track_caller]
pub(super) fn proves_below(kind: &Kind, object: &Object, below: &Below<'_>, expected: &[&str]) {
    let Findings { found, problems } = kind.detect(object, below, Presence::Present);
    assert_eq!(problems, []);
    assert_eq!(shown(&found), expected);
    let mut trimmed = object.clone();
    kind.trim(&mut trimmed);
    assert_eq!(kind.detect(&trimmed, below, Presence::Present).found, found, "after a trim");
}

/// The same for an object that was deleted.
#[track_caller]
pub(super) fn leaves(kind: &Kind, object: &Object, presence: Presence, expected: &[&str]) {
    let Findings { found, problems } = kind.detect(object, &Below::default(), presence);
    assert_eq!(problems, []);
    assert_eq!(shown(&found), expected);
}
