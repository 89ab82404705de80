use serde_json::{Value, json};

use super::*;
use crate::api::workspace::Locale;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Subject, Transition};
use crate::rules::{ActiveRule, WorkspacePolicy};

#[expect(clippy::needless_pass_by_value, reason = "tables are easier to read with values")]
fn rule(source: Value) -> Result<CompiledRule, RuleError> {
    rules(json!([source]))
}

#[expect(clippy::needless_pass_by_value, reason = "tables are easier to read with values")]
fn rules(sources: Value) -> Result<CompiledRule, RuleError> {
    let spec: NoticeRuleSpec = serde_json::from_value(json!({"sources": sources, "targets": [{"name": "t"}]})).unwrap();
    compile(&spec)
}

fn event(transition: Transition, cause: Cause) -> Event {
    let labels = [("team", "vision"), ("tier", "gold")];
    Event {
        id: "e".to_owned(),
        source: Source::DLCJob,
        transition,
        events: EventType::of(Source::DLCJob, transition, cause),
        time: "2026-11-24T10:00:00Z".parse().unwrap(),
        observed_time: "2026-11-24T10:00:01Z".parse().unwrap(),
        reason: "BackoffLimitExceeded".to_owned(),
        message: String::new(),
        subject: Subject {
            kind: "Job".to_owned(),
            namespace: "vision".to_owned(),
            name: "nightly-42".to_owned(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Subject::default()
        },
        data: serde_json::from_value(json!({"exitCode": 137})).unwrap(),
    }
}

#[test]
fn everything_that_a_source_says_must_hold() {
    let failed = event(Transition::Failed, Cause::Other);
    let table = [
        (json!({"type": "DLCJob"}), true),
        (json!({"type": "FlowTask"}), false),
        (json!({"type": "DLCJob", "events": ["JobFailed"]}), true),
        (json!({"type": "DLCJob", "events": ["JobFinished"]}), true),
        (json!({"type": "DLCJob", "events": ["JobTimeout"]}), false),
        (json!({"type": "DLCJob", "events": ["JobQueued", "JobRunning"]}), false),
        (json!({"type": "DLCJob", "names": ["nightly-*"]}), true),
        (json!({"type": "DLCJob", "names": ["weekly-*", "nightly-4?"]}), true),
        (json!({"type": "DLCJob", "names": ["nightly"]}), false),
        (json!({"type": "DLCJob", "selector": {"matchLabels": {"team": "vision"}}}), true),
        (json!({"type": "DLCJob", "selector": {"matchLabels": {"team": "speech"}}}), false),
        (
            json!({"type": "DLCJob", "selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]}}),
            true,
        ),
        (
            json!({"type": "DLCJob", "selector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}),
            false,
        ),
        (
            json!({"type": "DLCJob", "selector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}}),
            true,
        ),
        (json!({"type": "DLCJob", "filter": "event.reason != 'Evicted' && subject.labels['tier'] == 'gold'"}), true),
        (json!({"type": "DLCJob", "filter": "event.data.exitCode == 1"}), false),
        (json!({"type": "DLCJob", "filter": "'JobFailed' in event.events"}), true),
        (json!({"type": "DLCJob", "filter": "timestamp(event.time) < timestamp('2026-11-25T00:00:00Z')"}), true),
        (json!({"type": "DLCJob", "filter": "subject.labels.exists(k, k == 'tier')"}), true),
        (json!({"type": "DLCJob", "filter": "has(subject.labels.owner) && subject.labels.owner == 'me'"}), false),
        (json!({"type": "DLCJob", "names": ["nightly-*"], "filter": "false"}), false),
    ];
    for (source, expected) in table {
        assert_eq!(rule(source.clone()).unwrap().matches(&failed), Ok(expected), "{source}");
    }
}

#[test]
fn a_timeout_is_told_to_rules_for_timeouts_and_for_failures() {
    let timeout = event(Transition::Failed, Cause::Deadline);
    for events in [["JobTimeout"], ["JobFailed"], ["JobFinished"]] {
        assert_eq!(rule(json!({"type": "DLCJob", "events": events})).unwrap().matches(&timeout), Ok(true));
    }
}

#[test]
fn a_filter_that_fails_on_an_event_never_matches_and_says_why() {
    let failed = event(Transition::Failed, Cause::Other);
    for filter in
        ["subject.labels['owner'] == 'me'", "event.reason", "event.data.nope > 1", "1 / 0 == 1", "event.nope()"]
    {
        let error = rule(json!({"type": "DLCJob", "filter": filter})).unwrap().matches(&failed).unwrap_err();
        assert!(error.to_string().contains(filter), "{error}");
    }
    let second = json!([{"type": "DLCJob", "filter": "event.data.nope"}, {"type": "DLCJob"}]);
    assert_eq!(rules(second).unwrap().matches(&failed), Ok(true), "another source of the rule matches");
}

#[test]
fn what_does_not_compile_is_named_with_its_field_line_and_column() {
    let table = [
        (json!({"type": "DLCJob", "filter": "event.reason =="}), "spec.sources[0].filter, line 1, column"),
        (
            json!({"type": "DLCJob", "filter": "true &&\n nope.a == 1"}),
            "spec.sources[0].filter, line 2, column 2: there is no variable nope",
        ),
        (json!({"type": "DLCJob", "filter": "[1].exists(x, x == y)"}), "there is no variable y"),
        (json!({"type": "DLCJob", "names": ["a", "[z"]}), "spec.sources[0].names[1]: "),
        (
            json!({"type": "DLCJob", "events": ["TaskFailed"]}),
            "spec.sources[0].events: TaskFailed belongs to FlowTask, not to DLCJob",
        ),
        (
            json!({"type": "DLCJob", "selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
            "spec.sources[0].selector: ",
        ),
    ];
    for (source, expected) in table {
        let error = rule(source.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{source}: {error}");
    }
    assert_eq!(rules(json!([])).unwrap_err(), RuleError::NoSource);
}

#[test]
fn hostile_filters_are_refused_or_evaluated_but_do_no_harm() {
    let failed = event(Transition::Failed, Cause::Other);
    let hostile = [
        "(".repeat(4096),
        "!".repeat(4096),
        "-".repeat(4096),
        "[".repeat(2048) + &"]".repeat(2048),
        format!("true{}", " || true".repeat(500)),
        format!("a{}", ".a".repeat(2000)),
        format!("true{}", " ? true : true".repeat(290)),
        "\"".repeat(4095),
        "'\u{0}'".to_owned(),
        "🚀".repeat(1000),
        format!("[{}].size() > 0", "1,".repeat(1500)),
        String::new(),
        "{1:2}{".to_owned(),
        "\\".repeat(100),
    ];
    for filter in hostile {
        if let Ok(rule) = rule(json!({"type": "DLCJob", "filter": filter})) {
            let _ = rule.matches(&failed);
        }
    }
    let wide = format!("true{}", " || true".repeat(190));
    assert_eq!(rule(json!({"type": "DLCJob", "filter": wide})).unwrap().matches(&failed), Ok(true));
}

#[test]
fn a_policy_knows_since_when_a_rule_is_active_and_names_a_target_once() {
    let failed = event(Transition::Failed, Cause::Other);
    let active = |since: &str, targets: &[&str]| {
        Arc::new(ActiveRule {
            rule: rule(json!({"type": "DLCJob"})).unwrap(),
            active_since: since.parse().unwrap(),
            targets: targets.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let policy = WorkspacePolicy {
        workspace: "vision".to_owned(),
        namespace: "vision".to_owned(),
        locale: Locale::En,
        rules: BTreeMap::from([
            ("a".to_owned(), active("2026-11-24T10:00:00Z", &["oncall", "audit"])),
            ("b".to_owned(), active("2026-11-24T09:00:00Z", &["oncall"])),
            ("late".to_owned(), active("2026-11-24T10:00:01Z", &["late"])),
        ]),
    };
    let found = policy.matches(&failed, failed.time);
    let rules = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let expected = [("audit".to_owned(), rules(&["a"])), ("oncall".to_owned(), rules(&["a", "b"]))];
    assert_eq!(found.deliveries, BTreeMap::from(expected));
}
