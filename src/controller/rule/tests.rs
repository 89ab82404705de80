use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::api::condition::ACTIVATED;
use crate::api::{EventTarget, Workspace};
use crate::controller::secret::SecretsOf;
use crate::controller::target;

fn at(day: u8) -> Timestamp {
    stamp(day).parse().unwrap()
}

/// Noon of a day in November.
fn stamp(day: u8) -> String {
    format!("2026-11-{day:02}T12:00:00Z")
}

/// A rule of generation 2 whose spec was edited on the fifth.
fn rule(targets: &[&str], more: &Value) -> NoticeRule {
    let targets: Vec<_> = targets.iter().map(|name| json!({"name": name})).collect();
    let mut spec = json!({"sources": [{"type": "DLCJob"}], "targets": targets});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "notification.pai.dev/v1alpha1", "kind": "NoticeRule",
        "metadata": {"name": "failures", "namespace": "vision", "uid": "r1", "generation": 2,
            "creationTimestamp": stamp(1), "managedFields": [
                {"manager": "console", "operation": "Update", "time": stamp(5), "fieldsV1": {"f:spec": {"f:targets": {}}}},
                {"manager": "labels", "operation": "Update", "time": stamp(8), "fieldsV1": {"f:metadata": {}}},
            ]},
        "spec": spec,
    }))
    .unwrap()
}

fn workspace(activated: Option<u8>, granted: Option<u8>, quota: i32) -> WorkspaceVerdict {
    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "notification.pai.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "research"},
        "spec": {"namespace": "vision", "quota": {"targetsPerRule": quota}},
    }))
    .unwrap();
    WorkspaceVerdict {
        workspace,
        namespace: "vision".to_owned(),
        activated: activated.map(at),
        granted: granted.map(at),
        verdicts: vec![Verdict::yes(ACTIVATED, Reason::Activated, "")],
        needs_bus: false,
        needs_binding: false,
    }
}

fn in_force() -> WorkspaceVerdict {
    workspace(Some(2), Some(3), 5)
}

/// Targets `a`, `b` and `c` are ready, `broken` lacks its Secret, `quiet` is suspended.
fn targets() -> HashMap<TargetKey, TargetVerdict> {
    let url = json!({"url": "https://a.example"});
    let secret = json!({"secretKeyRef": {"name": "gone", "key": "k"}});
    [
        ("a", json!({"http": {"webhook": url}})),
        ("b", json!({"http": {"webhook": url}})),
        ("c", json!({"http": {"webhook": url}})),
        ("broken", json!({"http": {"webhook": secret}})),
        ("quiet", json!({"suspend": true, "http": {"webhook": url}})),
    ]
    .into_iter()
    .map(|(name, spec)| {
        let object: EventTarget = serde_json::from_value(json!({
            "apiVersion": "notification.pai.dev/v1alpha1", "kind": "EventTarget",
            "metadata": {"name": name, "namespace": "vision"}, "spec": spec,
        }))
        .unwrap();
        let verdict = target::judge(
            object,
            &crate::channel::Surroundings::without_workspace(&SecretsOf::readable(Vec::new())),
            &std::collections::HashMap::new(),
        );
        (verdict.key.clone(), verdict)
    })
    .collect()
}

fn judged(object: NoticeRule, workspace: Option<&WorkspaceVerdict>) -> RuleVerdict {
    judge(object, workspace, &targets(), &mut Cache::default())
}

fn condition<'a>(verdict: &'a RuleVerdict, kind: &str) -> &'a Verdict {
    verdict.verdicts.iter().find(|verdict| verdict.kind == kind).unwrap()
}

fn active_targets(verdict: &RuleVerdict) -> Option<Vec<&str>> {
    verdict.active.as_ref().map(|active| active.targets.iter().map(String::as_str).collect())
}

#[test]
fn every_reason_why_a_rule_is_not_ready_has_its_message() {
    let plain = || rule(&["a"], &json!({}));
    let with = |more: Value| rule(&["a"], &more);
    let not_activated = workspace(None, Some(3), 5);
    let not_granted = workspace(Some(2), None, 5);
    let neither = workspace(None, None, 5);
    let fine = in_force();
    let table = [
        (
            "no workspace",
            plain(),
            None,
            Reason::NoWorkspace,
            "no Workspace switches on namespace vision; create one with spec.namespace: vision",
        ),
        (
            "not activated",
            plain(),
            Some(&not_activated),
            Reason::WorkspaceNotActivated,
            "Workspace research is not activated",
        ),
        (
            "no access",
            plain(),
            Some(&not_granted),
            Reason::AccessNotGranted,
            "set spec.grantAccess of Workspace research to true",
        ),
        ("neither", plain(), Some(&neither), Reason::WorkspaceNotActivated, "set its spec.activate to true"),
        ("suspended", with(json!({"suspend": true})), Some(&fine), Reason::Suspended, "set spec.suspend to false"),
        (
            "broken filter",
            with(json!({"sources": [{"type": "DLCJob", "filter": "nope"}]})),
            Some(&fine),
            Reason::InvalidSource,
            "spec.sources[0].filter, line 1, column 1: there is no variable nope",
        ),
        (
            "broken filter, no workspace",
            with(json!({"sources": [{"type": "DLCJob", "filter": "nope"}]})),
            None,
            Reason::InvalidSource,
            "nope",
        ),
        (
            "foreign event",
            with(json!({"sources": [{"type": "DLCJob", "events": ["TaskFailed"]}]})),
            Some(&fine),
            Reason::InvalidSource,
            "TaskFailed belongs to FlowTask",
        ),
        (
            "broken template",
            with(json!({"template": {"body": "{{ nope }}"}})),
            Some(&fine),
            Reason::InvalidTemplate,
            "spec.template.body, line 1",
        ),
        (
            "no such target",
            rule(&["x", "y"], &json!({})),
            Some(&fine),
            Reason::NoActiveTarget,
            "no target can be delivered to: there is no EventTarget x, y in namespace vision",
        ),
        (
            "not ready",
            rule(&["broken", "x"], &json!({})),
            Some(&fine),
            Reason::NoActiveTarget,
            "there is no EventTarget x in namespace vision; EventTarget broken is not ready, see its conditions",
        ),
    ];
    for (case, object, workspace, reason, message) in table {
        let verdict = judged(object, workspace);
        let ready = condition(&verdict, READY);
        assert_eq!((ready.status, ready.reason), (Some(false), reason), "{case}: {}", ready.message);
        assert!(ready.message.contains(message), "{case}: {}", ready.message);
    }
}

#[test]
fn a_rule_that_is_ready_says_which_of_its_targets_are_not() {
    let table: [(&[&str], &str, &[&str]); 3] = [
        (&["a", "b"], "events that match are notified", &["a", "b"]),
        (&["x", "b"], "delivered to the others, but there is no EventTarget x in namespace vision", &["b"]),
        (
            &["broken", "b"],
            "delivered to the others, but EventTarget broken is not ready, see its conditions",
            &["broken", "b"],
        ),
    ];
    for (names, message, active) in table {
        let verdict = judged(rule(names, &json!({})), Some(&in_force()));
        let ready = condition(&verdict, READY);
        assert_eq!((ready.status, ready.reason, ready.message.as_str()), (Some(true), Reason::Ready, message));
        assert_eq!(active_targets(&verdict).as_deref(), Some(active));
    }
}

#[test]
fn the_state_of_each_target_stands_in_the_status() {
    let names = ["a", "x", "broken", "quiet", "b"];
    let verdict = judged(rule(&names, &json!({})), Some(&workspace(Some(2), Some(3), 3)));
    let states: Vec<_> =
        verdict.targets.iter().map(|t| (t.name.as_str(), t.units, t.state, t.reason.as_deref())).collect();
    assert_eq!(
        states,
        [
            ("a", 1, TargetState::Active, None),
            ("x", 0, TargetState::NotFound, Some("TargetNotFound")),
            ("broken", 1, TargetState::NotReady, Some("SecretNotFound")),
            ("quiet", 1, TargetState::NotReady, Some("Suspended")),
            ("b", 1, TargetState::OverQuota, Some("TargetsOverQuota")),
        ]
    );
    assert_eq!(verdict.quota, RuleQuota { used: 3, limit: 3 });
}

#[test]
fn targets_over_the_quota_are_named_and_not_delivered_to() {
    let verdict = judged(rule(&["a", "b", "c"], &json!({})), Some(&workspace(Some(2), Some(3), 1)));
    let exceeded = condition(&verdict, QUOTA_EXCEEDED);
    assert_eq!((exceeded.status, exceeded.reason), (Some(true), Reason::TargetsOverQuota));
    assert!(
        exceeded.message.starts_with("not delivered to: b, c; the workspace allows 1 units"),
        "{}",
        exceeded.message
    );
    assert_eq!(active_targets(&verdict), Some(vec!["a"]));
    let within = judged(rule(&["a", "b", "c"], &json!({})), Some(&in_force()));
    let exceeded = condition(&within, QUOTA_EXCEEDED);
    assert_eq!((exceeded.status, exceeded.reason), (Some(false), Reason::WithinQuota));
    let alone = judged(rule(&["a"], &json!({})), None);
    assert_eq!(alone.quota.limit, 5, "what a Workspace has by default");
}

#[test]
fn a_rule_is_active_since_the_latest_of_edit_activation_and_grant() {
    for (activated, granted, expected) in [(2, 3, 5), (6, 3, 6), (2, 7, 7)] {
        let workspace = workspace(Some(activated), Some(granted), 5);
        let verdict = judged(rule(&["a"], &json!({})), Some(&workspace));
        assert_eq!(verdict.active_since, Some(at(expected)));
        assert_eq!(verdict.active.map(|active| active.active_since), Some(at(expected)));
    }
    let none = judged(rule(&["a"], &json!({})), Some(&workspace(Some(2), None, 5)));
    assert_eq!((none.active_since, none.active.is_some()), (None, false));
}

#[test]
fn the_recorded_edit_counts_only_while_the_generation_is_the_recorded_one() {
    let table = [
        ("never judged", json!(null), Some(2), 5),
        ("the same generation", json!({"observedGeneration": 2, "editedAt": stamp(4)}), Some(2), 4),
        ("edited while the operator was down", json!({"observedGeneration": 1, "editedAt": stamp(4)}), Some(2), 5),
        ("an older operator's status", json!({"observedGeneration": 2}), Some(2), 5),
        ("no generation at all", json!({"editedAt": stamp(4)}), None, 5),
    ];
    for (case, status, generation, day) in table {
        let mut object = rule(&["a"], &json!({}));
        object.metadata.generation = generation;
        object.status = serde_json::from_value(status).unwrap();
        assert_eq!(judged(object, Some(&in_force())).edited_at, Some(at(day)), "{case}");
    }
}

#[test]
fn a_rule_that_waits_for_its_targets_is_in_force_and_one_that_is_suspended_is_not() {
    let waiting = judged(rule(&["broken", "x"], &json!({})), Some(&in_force()));
    assert_eq!(active_targets(&waiting), Some(vec!["broken"]), "its deliveries wait");
    let table = [
        ("suspended", rule(&["a"], &json!({"suspend": true}))),
        ("suspended, and its target is not ready", rule(&["broken"], &json!({"suspend": true}))),
        ("nothing to deliver to", rule(&["x"], &json!({}))),
        ("broken", rule(&["a"], &json!({"sources": [{"type": "DLCJob", "filter": "nope"}]}))),
    ];
    for (case, object) in table {
        assert_eq!(active_targets(&judged(object, Some(&in_force()))), None, "{case}");
    }
}

#[test]
fn a_broken_rule_breaks_no_other_and_keeps_its_targets_status() {
    let mut cache = Cache::default();
    let (workspace, targets) = (in_force(), targets());
    let mut broken = rule(&["a"], &json!({"sources": [{"type": "DLCJob", "filter": "nope"}]}));
    broken.metadata.uid = Some("r2".to_owned());
    let broken = judge(broken, Some(&workspace), &targets, &mut cache);
    let sound = judge(rule(&["a"], &json!({})), Some(&workspace), &targets, &mut cache);
    assert_eq!(condition(&broken, READY).reason, Reason::InvalidSource);
    assert_eq!(broken.targets.first().map(|target| target.state), Some(TargetState::Active));
    assert!(sound.active.is_some());
}

#[test]
fn a_rule_is_compiled_once_for_each_generation_and_forgotten_when_it_is_gone() {
    let mut cache = Cache::default();
    let (workspace, targets) = (in_force(), targets());
    let first = judge(rule(&["a"], &json!({})), Some(&workspace), &targets, &mut cache);
    let mut edited = rule(&["a"], &json!({"sources": [{"type": "DLCJob", "filter": "nope"}]}));
    edited.metadata.generation = Some(3);
    let second = judge(edited, Some(&workspace), &targets, &mut cache);
    assert!(first.active.is_some() && second.active.is_none());
    assert_eq!(cache.compiled.keys().collect::<HashSet<_>>(), HashSet::from([&"r1".to_owned()]));
    cache.keep_only(&[second]);
    assert_eq!(cache.compiled.len(), 1);
    cache.keep_only(&[]);
    assert!(cache.compiled.is_empty());
}

#[test]
fn the_template_of_a_rule_is_in_force_with_it() {
    let templated = |more: Value| judged(rule(&["a"], &more), Some(&in_force())).template.is_some();
    assert!(templated(json!({"template": {"body": "{{ title }}"}})));
    assert!(!templated(json!({"template": {"body": "{{ title }}"}, "suspend": true})));
}
