//! What expressions can say, and what happens if they fail.

use rstest::rstest;

use super::*;

/// A kind whose only transition is proven by `when`, with this reason.
fn with(when: &str, reason: &str) -> Kind {
    let text = format!(
        "group: example.com\nversions: [v1]\nkind: Experiment\nplural: experiments\ndocs: https://example.com\nsource: DLCJob\n\
         deleted: Stopped\nlet:\n  ready: number(status.ready)\ntransitions:\n- transition: Running\n  when: >-\n    {when}\n  reason: >-\n    {reason}\n"
    );
    let (catalog, errors) = Catalog::default().with_files([("x.yaml".to_owned(), text)]);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    catalog.kinds()[0].clone()
}

fn example() -> Object {
    let metadata = json!({"name": "nightly", "namespace": "vision", "uid": "u1", "generation": 3,
        "creationTimestamp": at("10:00:00"), "labels": {"app.kubernetes.io/name": "train"},
            "annotations": {"note": "x"}});
    let status = json!({"ready": 2, "half": 1.5, "word": "on", "yes": true, "none": null, "time": at("10:20:00"),
        "millis": 1_795_514_409_000_i64, "list": [{"name": "a", "n": 1}, {"name": "b", "n": 4}, "x", null],
        "map": {"p": {"n": 2}, "q": {"n": 3}, "r": 7}, "times": [at("10:05:00"), at("10:04:00"), 0, true, "x"],
        "conditions": [yes("Ready", "Fine", "10:01:00"), not("Failed", "Well", "10:02:00")]});
    Object::from(json!({"apiVersion": "example.com/v1", "kind": "Experiment", "metadata": metadata,
            "spec": {"a": {"b": ["c"]}}, "status": status}))
}

#[rstest]
#[case("status.ready", "2")]
#[case("status.half", "1.5")]
#[case("status.yes", "true")]
#[case("status.nope.deeper.still", "")]
#[case("status.word.deeper", "")]
#[case("status.list.name", "")]
#[case("status.list[1].name", "b")]
#[case("status.list[9].name", "")]
#[case("status['word']", "on")]
#[case("spec.a.b[0]", "c")]
#[case("metadata.name", "nightly")]
#[case("metadata.labels['app.kubernetes.io/name']", "train")]
#[case("labels['app.kubernetes.io/name']", "train")]
#[case("labels['nope']", "")]
#[case("annotations.note", "x")]
#[case("metadata.generation", "3")]
#[case("metadata.creationTimestamp", "2026-11-24T10:00:00Z")]
#[case("metadata.deletionTimestamp", "")]
#[case("ready + 1", "3")]
#[case("is('Ready')", "true")]
#[case("isNot('Ready')", "false")]
#[case("isNot('Failed')", "true")]
#[case("is('Nope') || isNot('Nope')", "false")]
#[case("since('Failed')", "2026-11-24T10:02:00Z")]
#[case("since('Nope')", "")]
#[case("reason('Ready')", "Fine")]
#[case("message('Ready')", "about Ready")]
#[case("reason('Nope')", "")]
#[case("first(status.none, status.nope, '', status.word)", "on")]
#[case("first(status.none)", "")]
#[case("text('n:', status.ready, '-', status.nope, status.yes, status.list)", "n:2-true")]
#[case("number(status.word) + number(status.ready)", "2")]
#[case("earliest(status.time, status.times, status.word)", "2026-11-24T10:04:00Z")]
#[case("latest(status.times, status.time)", "2026-11-24T10:20:00Z")]
#[case("latest(status.millis)", "2026-11-24T10:00:09Z")]
#[case("latest(0, status.none)", "")]
#[case("after(status.time, metadata.creationTimestamp, 60)", "true")]
#[case("after(status.time, metadata.creationTimestamp, 1200)", "false")]
#[case("after(status.nope, metadata.creationTimestamp, 0)", "false")]
#[case("size(values(status.map))", "3")]
#[case("size(values(status.word))", "0")]
#[case("sum(status.list, 'n')", "5")]
#[case("sum(status.map, 'n')", "5")]
#[case("sum(status.nope, 'n')", "0")]
#[case("find(status.list, 'name', 'b').n", "4")]
#[case("find(status.list, 'name', 'z').n", "")]
#[case("get(status.map, 'q').n", "3")]
#[case("status.list.filter(it, it.n > 1).map(it, it.name)[0]", "b")]
#[case("status.map.exists(it, it.n == 3)", "true")]
#[case("status.word.exists(it, true)", "false")]
#[case("status.nope.all(it, false)", "true")]
#[case("oneOf(status.word, 'off', 'on')", "true")]
#[case("status.word in ['off', 'on']", "true")]
#[case("status.nope > 3 || status.nope <= 3 || status.word > 3 || 3 < status.word", "false")]
#[case("status.ready > 1 && status.half < 2", "true")]
#[case("status.nope == null && status.none == null", "true")]
#[case("has(status.word) && !has(status.nope)", "true")]
#[case("status.nope.startsWith('x') || status.none.contains('x') || status.nope.matches('x')", "false")]
#[case("status.word.matches('^o.$')", "true")]
#[case("'p' in status.map && !('z' in status.map)", "true")]
#[case("podsReady() == null && podsReady('Ready') == null && podsReady(status.time) == null", "true")]
#[case("queuedByKueue || asksForSpot || podsUnschedulable", "false")]
#[case("status.yes ? 'a' : 'b'", "a")]
fn an_expression_gives(#[case] expression: &str, #[case] expected: &str) {
    let Findings { found, problems } =
        with("true", expression).detect(&example(), &Below::default(), Presence::Present);
    assert_eq!(problems, []);
    assert_eq!(found[0].reason, expected);
    let mut trimmed = example();
    let kind = with("true", expression);
    kind.trim(&mut trimmed);
    assert_eq!(kind.detect(&trimmed, &Below::default(), Presence::Present).found, found);
}

#[rstest]
#[case("status.word", "x.yaml:13: it gives string where true or false is needed")]
#[case("status.nope", "x.yaml:13: it gives null_type where true or false is needed")]
#[case("status.ready + status.word == 1", "x.yaml:13: Unsupported binary operator")]
#[case("1 / (status.ready - 2) == 1", "x.yaml:13: Division by zero")]
#[case("status.word.matches('(')", "x.yaml:13: ")]
#[case("timestamp(status.word) > timestamp(0)", "x.yaml:13: ")]
#[case("status.ready.startsWith('x')", "x.yaml:13: ")]
fn an_expression_that_fails_is_not_proven_and_is_reported(#[case] when: &str, #[case] expected: &str) {
    let Findings { found, problems } =
        with(when, "status.word").detect(&example(), &Below::default(), Presence::Present);
    assert_eq!(found, []);
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.to_string().starts_with(expected), "{problem}");
}

#[test]
fn an_expression_that_fails_hurts_no_other() {
    let Findings { found, problems } =
        with("true", "status.ready + status.word").detect(&example(), &Below::default(), Presence::Present);
    assert_eq!(shown(&found), ["Running[]@-"]);
    assert_eq!(found[0].reason, "");
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_label_makes_an_object_belong_to_another_source() {
    let of = |source: &str| {
        let labels = json!({"notification.pai.dev/source": source});
        labelled(&labels, &json!({}), &json!({}))
    };
    let pytorch = kind("kubeflow.org/PyTorchJob", "v1");
    assert_eq!(pytorch.source_of(&of("FlowTask")), Some(Source::FlowTask));
    assert_eq!(pytorch.source_of(&of("nonsense")), Some(Source::DLCJob));
    let told = |source: &str| shown(&pytorch.detect(&of(source), &Below::default(), Presence::Present).found);
    assert_eq!(told("DLCJob"), ["Queued[]@10:00:00"]);
    assert_eq!(told("DSWInstance"), ["Creating[]@10:00:00"]);
    assert_eq!(told("FlowTask"), [""; 0]);
    assert_eq!(told("Model"), [""; 0]);
}

#[test]
fn an_object_knows_its_owners_the_controller_first() {
    let owner = |uid: &str, controller: bool| {
        json!({"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid,
        "controller": controller})
    };
    let object = Object::from(
        json!({"metadata": {"ownerReferences": [owner("a", false), "x", owner("b", true), owner("c", false)]}}),
    );
    let uids: Vec<&str> = object.owners().iter().map(|owner| &*owner.uid).collect();
    assert_eq!(uids, ["b", "a", "c"]);
    assert_eq!(object.metadata.owner.as_ref().map(|owner| &*owner.uid), Some("b"));
    let group = Object::from(json!({"metadata": {"ownerReferences": [owner("a", false), owner("c", false)]}}));
    assert_eq!((group.owners().len(), group.metadata.owner), (2, None));
}

#[test]
fn an_object_is_trimmed_to_what_its_kind_looks_at() {
    let pods = json!({"template": {"spec": {"nodeSelector": {"cloud.google.com/gke-spot": "true"}}}});
    let policy = json!({"activeDeadlineSeconds": 60, "backoffLimit": 3});
    let running = json!([yes("Running", "", "10:00:09")]);
    let mut job = object(
        &json!({"runPolicy": policy, "pytorchReplicaSpecs": {"Worker": pods}}),
        &json!({"conditions": running, "replicaStatuses": {"Worker": {"active": 1}}, "other": "x".repeat(99)}),
    );
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(99), "note": "y"});
    job.annotations = Object::from(json!({"metadata": {"annotations": annotations}})).annotations;
    kind("kubeflow.org/PyTorchJob", "v1").trim(&mut job);
    assert_eq!(job.spec, json!({"runPolicy": {"activeDeadlineSeconds": 60}}));
    assert_eq!(job.status, json!({"conditions": running, "replicaStatuses": {"Worker": {"active": 1}}}));
    assert!(job.annotations.to_map().is_empty() && job.asks_for_spot());
}

#[test]
fn kinds_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    shared(&Catalog::built_in());
    shared(&kind("kubeflow.org/PyTorchJob", "v1"));
}
