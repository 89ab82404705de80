//! Tasks of pipelines: Argo Workflows and Tekton.

use rstest::rstest;

use super::*;

fn workflow() -> Kind {
    kind("argoproj.io/Workflow", "v1alpha1")
}

/// A node that ended.
fn node(name: &str, kind: &str, phase: &str, clock: &str) -> Value {
    json!({"id": name, "name": format!("nightly.{name}"), "displayName": name, "type": kind, "phase": phase,
        "startedAt": at("10:01:00"), "finishedAt": at(clock), "templateName": "train", "message": "about it"})
}

fn with(mut node: Value, field: &str, value: Value) -> Value {
    node[field] = value;
    node
}

fn run(phase: &str, nodes: &[Value]) -> Value {
    let nodes: serde_json::Map<String, Value> =
        nodes.iter().map(|node| (node["id"].as_str().unwrap().to_owned(), node.clone())).collect();
    let finished = if phase == "Running" { json!(null) } else { json!(at("11:00:00")) };
    json!({"phase": phase, "startedAt": at("10:00:01"), "finishedAt": finished, "nodes": nodes})
}

#[rstest]
#[case::no_status(json!({}), &[])]
#[case::pending(json!({"phase": "Pending"}), &[])]
#[case::running(run("Running", &[node("a", "Pod", "Running", "10:30:00")]), &[])]
#[case::a_task_done(run("Running", &[node("a", "Pod", "Succeeded", "10:30:00")]), &["Succeeded[a:10:30:00]@10:30:00"])]
#[case::a_task_failed(run("Running", &[node("a", "Container", "Error", "10:30:00")]), &["Failed[a:10:30:00]@10:30:00"])]
#[case::groups_are_no_tasks(
    run("Running", &[node("a", "Steps", "Succeeded", "10:30:00"), node("b", "StepGroup", "Failed", "10:30:00"),
        node("c", "DAG", "Failed", "10:30:00"), node("d", "TaskGroup", "Succeeded", "10:30:00")]), &[])]
#[case::a_task_with_retries_is_told_once(
    run("Running", &[node("a", "Retry", "Failed", "10:40:00"),
        with(node("a0", "Pod", "Failed", "10:30:00"), "nodeFlag", json!({"retried": true})),
        with(node("a1", "Pod", "Failed", "10:40:00"), "name", json!("nightly.a(1)"))]),
    &["Failed[a:10:40:00]@10:40:00"])]
#[case::hooks_are_not_told(
    run("Running", &[with(node("a", "Pod", "Failed", "10:30:00"), "nodeFlag", json!({"hooked": true}))]), &[])]
#[case::skipped_and_omitted(
    run("Running", &[node("a", "Pod", "Skipped", "10:30:00"), node("b", "Pod", "Omitted", "10:30:00")]), &[])]
#[case::items_of_a_loop_are_tasks(
    run("Running", &[with(node("a", "Pod", "Succeeded", "10:30:00"), "name", json!("nightly.a(0:fast)"))]),
    &["Succeeded[a:10:30:00]@10:30:00"])]
#[case::a_run_of_one_task(
    run("Succeeded", &[with(node("nightly", "Pod", "Succeeded", "10:59:00"), "name", json!("nightly"))]),
        &["Succeeded[11:00:00]@11:00:00"])]
#[case::succeeded(
    run("Succeeded", &[node("a", "Pod", "Failed", "10:30:00")]), &["Failed[a:10:30:00]@10:30:00",
        "Succeeded[11:00:00]@11:00:00"])]
#[case::failed(run("Failed", &[]), &["Failed[11:00:00]@11:00:00"])]
#[case::error(run("Error", &[]), &["Failed[11:00:00]@11:00:00"])]
#[case::compressed(with(run("Failed", &[]), "compressedNodes", json!("H4sIAAAA")), &["Failed[11:00:00]@11:00:00"])]
#[case::timeout(with(run("Failed", &[]), "message", json!("Step exceeded its deadline")),
    &["Failed![11:00:00]@11:00:00"])]
#[case::timeout_of_a_task(
    run("Running", &[with(node("a", "Pod", "Failed", "10:30:00"), "message",
        json!("Pod was active on the node longer than the specified deadline (DeadlineExceeded)"))]),
    &["Failed![a:10:30:00]@10:30:00"])]
fn what_a_workflow_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&workflow(), &object(&json!({}), &status), expected);
}

#[test]
fn a_task_is_told_with_its_name_and_span() {
    let status = run("Running", &[node("a", "Pod", "Failed", "10:30:00")]);
    let found = workflow().detect(&object(&json!({}), &status), &Below::default(), Presence::Present).found;
    let detail = json!({"task": "a", "template": "train", "startTime": at("10:01:00"), "endTime": at("10:30:00")});
    assert_eq!(Value::Object(found[0].data.clone()), detail);
    assert_eq!((found[0].reason.as_str(), found[0].message.as_str()), ("Failed", "about it"));
}

#[test]
fn a_workflow_that_is_labelled_as_a_job_is_one_job() {
    let status = run("Failed", &[node("a", "Pod", "Failed", "10:30:00"), node("b", "Pod", "Succeeded", "10:40:00")]);
    let job = labelled(&json!({"notification.pai.dev/source": "DLCJob"}), &json!({}), &status);
    proves(&workflow(), &job, &["Failed[11:00:00]@11:00:00"]);
}

#[test]
fn a_run_that_was_stopped_says_so() {
    let status = with(run("Failed", &[]), "message", json!("Stopped with strategy 'Stop'"));
    let found =
        workflow().detect(&object(&json!({"shutdown": "Stop"}), &status), &Below::default(), Presence::Present).found;
    assert_eq!((shown(&found)[0].as_str(), found[0].reason.as_str()), ("Failed[11:00:00]@11:00:00", "Stopped"));
}

#[test]
fn nodes_of_the_wrong_type_are_skipped() {
    for nodes in [json!("x"), json!(["x", 1, null]), json!({"a": "x", "b": [], "c": {"type": 1, "phase": []}})] {
        proves(&workflow(), &object(&json!({}), &json!({"phase": "Running", "nodes": nodes})), &[]);
    }
    // What is read of a node that is fit does not depend on its neighbours.
    let mut status = run("Running", &[node("a", "Pod", "Succeeded", "10:30:00")]);
    status["nodes"]["b"] =
        json!({"type": "Pod", "phase": "Failed", "name": 7, "finishedAt": [], "message": {}, "nodeFlag": "x"});
    proves(&workflow(), &object(&json!({}), &status), &["Succeeded[a:10:30:00]@10:30:00", "Failed[b:]@-"]);
}

fn tekton(name: &str) -> Kind {
    kind(&format!("tekton.dev/{name}"), "v1")
}

fn run_with(condition: &Value) -> Value {
    json!({"startTime": at("10:00:01"), "completionTime": at("11:00:00"), "conditions": [condition]})
}

fn unknown(reason: &str) -> Value {
    let mut unknown = yes("Succeeded", reason, "10:30:00");
    unknown["status"] = json!("Unknown");
    unknown
}

#[rstest]
#[case::no_status(json!({}), &[])]
#[case::pending(conditions(&[unknown("Pending")]), &[])]
#[case::running(conditions(&[unknown("Running")]), &[])]
#[case::to_be_retried(conditions(&[unknown("ToBeRetried")]), &[])]
#[case::timing_out(conditions(&[unknown("PipelineRunTimeoutRunningFinally")]), &[])]
#[case::succeeded(run_with(&yes("Succeeded", "Succeeded", "11:00:01")), &["Succeeded[]@11:00:00"])]
#[case::some_tasks_skipped(run_with(&yes("Succeeded", "Completed", "11:00:01")), &["Succeeded[]@11:00:00"])]
#[case::failed(run_with(&not("Succeeded", "Failed", "11:00:01")), &["Failed[]@11:00:00"])]
#[case::refused(conditions(&[not("Succeeded", "TaskRunValidationFailed", "10:00:02")]), &["Failed[]@10:00:02"])]
#[case::cancelled(run_with(&not("Succeeded", "TaskRunCancelled", "11:00:01")), &["Failed[]@11:00:00"])]
fn what_a_run_of_tekton_proves(#[case] status: Value, #[case] expected: &[&str]) {
    for name in ["TaskRun", "PipelineRun"] {
        proves(&tekton(name), &object(&json!({}), &status), expected);
    }
}

#[test]
fn each_kind_of_run_has_its_own_word_for_a_timeout() {
    for (name, reason) in [("TaskRun", "TaskRunTimeout"), ("PipelineRun", "PipelineRunTimeout")] {
        proves(
            &tekton(name),
            &object(&json!({}), &run_with(&not("Succeeded", reason, "11:00:01"))),
            &["Failed![]@11:00:00"],
        );
    }
}

#[test]
fn a_new_message_makes_no_event() {
    let mut ended = not("Succeeded", "Failed", "11:00:01");
    let before =
        tekton("TaskRun").detect(&object(&json!({}), &run_with(&ended)), &Below::default(), Presence::Present).found;
    ended["message"] = json!("something else");
    ended["lastTransitionTime"] = json!(at("11:30:00"));
    let after =
        tekton("TaskRun").detect(&object(&json!({}), &run_with(&ended)), &Below::default(), Presence::Present).found;
    assert_eq!(shown(&before), shown(&after));
}

#[test]
fn the_runs_of_its_tasks_are_told_of_the_pipeline_run_even_after_its_end() {
    let task = labelled(
        &json!({"tekton.dev/pipelineTask": "train"}),
        &json!({}),
        &run_with(&not("Succeeded", "Failed", "11:00:01")),
    );
    let (lent, problems) = tekton("TaskRun").lend(&task, &Below::default());
    assert_eq!(problems, []);
    let lent = [lent];
    let below = Below { pods: &[], lent: &lent };
    let running = object(&json!({}), &conditions(&[unknown("Running")]));
    proves_below(&tekton("PipelineRun"), &running, &below, &["Failed[nightly:]@11:00:00"]);
    let over = object(&json!({}), &run_with(&not("Succeeded", "Failed", "11:00:01")));
    proves_below(&tekton("PipelineRun"), &over, &below, &["Failed[]@11:00:00", "Failed[nightly:]@11:00:00"]);
    let found = tekton("PipelineRun").detect(&over, &below, Presence::Present).found;
    assert_eq!((&found[1].data["task"], &found[1].data["from"]), (&json!("train"), &json!("TaskRun/nightly")));
}
