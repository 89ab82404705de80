//! Kubeflow's Notebooks, and the Workspaces that follow them.

use rstest::rstest;

use super::*;

fn notebook() -> Kind {
    kind("kubeflow.org/Notebook", "v1")
}

/// A notebook with this value of the annotation that stops it, if any.
fn of(stopped: Option<&str>, status: &Value) -> Object {
    let mut annotations = json!({});
    if let Some(stopped) = stopped {
        annotations["kubeflow-resource-stopped"] = json!(stopped);
    }
    let metadata = json!({"name": "lab", "uid": "u1", "creationTimestamp": at("10:00:00"), "annotations": annotations});
    Object::from(json!({"metadata": metadata, "status": status}))
}

fn waiting(reason: &str) -> Value {
    json!({"readyReplicas": 0, "containerState": {"waiting": {"reason": reason, "message": "about it"}},
        "conditions": [yes("PodScheduled", "", "10:00:03")]})
}

fn running(started: &str) -> Value {
    json!({"readyReplicas": 1, "containerState": {"running": {"startedAt": at(started)}},
        "conditions": [yes("Ready", "", "10:00:20"), yes("PodScheduled", "", "10:00:03")]})
}

#[rstest]
#[case::no_status(json!({}), &["Creating[]@10:00:00"])]
#[case::unschedulable(
    json!({"readyReplicas": 0, "conditions": [not("PodScheduled", "Unschedulable", "10:00:01")]}),
        &["Creating[]@10:00:00"])]
#[case::pulling(waiting("ContainerCreating"), &["Creating[]@10:00:00"])]
#[case::a_first_failed_pull_may_recover(waiting("ErrImagePull"), &["Creating[]@10:00:00"])]
#[case::running(running("10:00:15"), &["Running[10:00:15]@10:00:20"])]
#[case::not_ready_yet(
    json!({"readyReplicas": 0, "containerState": {"running": {"startedAt": at("10:00:15")}}}), &[])]
#[case::image_not_found(waiting("ImagePullBackOff"), &["Failed[failed@10:00:03]@-"])]
#[case::crashing(waiting("CrashLoopBackOff"), &["Failed[failed@10:00:03]@-"])]
#[case::crashed(
    json!({"containerState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at("10:20:00")}},
        "conditions": [yes("PodScheduled", "", "10:00:03")]}),
    &["Failed[failed@10:00:03]@10:20:00"])]
#[case::old_form_of_conditions(
    json!({"readyReplicas": 1, "containerState": {"running": {"startedAt": at("10:00:15")}},
        "conditions": [{"type": "Running", "lastProbeTime": at("10:00:15")}, {"type": "Waiting",
            "reason": "PodInitializing"}]}),
    &["Running[10:00:15]@10:00:15"])]
fn what_a_notebook_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&notebook(), &of(None, &status), expected);
}

#[test]
fn a_notebook_is_stopping_while_it_is_ready_and_stopped_when_its_status_is_empty() {
    let stopped = at("12:00:00");
    proves(&notebook(), &of(Some(&stopped), &running("10:00:15")), &["Stopping[12:00:00]@12:00:00"]);
    proves(
        &notebook(),
        &of(Some(&stopped), &json!({"readyReplicas": 0, "conditions": []})),
        &["Stopped[12:00:00]@12:00:00"],
    );
    proves(
        &notebook(),
        &of(Some("odh-notebook-controller-lock"), &json!({})),
        &["Stopped[odh-notebook-controller-lock]@-"],
    );
    proves(&notebook(), &of(None, &running("13:00:05")), &["Running[13:00:05]@10:00:20"]);
}

#[test]
fn a_notebook_that_is_deleted_is_stopped_unless_it_was_before() {
    leaves(&notebook(), &of(None, &running("10:00:15")), Presence::Deleted, &["Stopped[deleted]@-"]);
    let stopped = at("12:00:00");
    leaves(&notebook(), &of(Some(&stopped), &json!({})), Presence::Deleted, &["Stopped[12:00:00]@12:00:00"]);
}

/// `pause` and `running` in milliseconds.
fn workspace(state: &str, pause: i64) -> Value {
    json!({"state": state, "pauseTime": pause, "lastRunningTime": 1_795_514_409_000_i64, "stateMessage": "about it"})
}

#[rstest]
#[case::pending(json!({}), workspace("Pending", 0), &["Creating[pause:0]@10:00:00"])]
#[case::running(json!({}), workspace("Running", 0), &["Running[pause:0]@10:00:09"])]
#[case::running_again(json!({}), workspace("Running", 1_795_514_700_000), &["Running[pause:1795514700000]@10:00:09"])]
#[case::error(json!({}), workspace("Error", 0), &["Failed[pause:0]@-"])]
#[case::pausing(
    json!({"paused": true}), workspace("Terminating", 1_795_514_700_000), &["Stopping[pause:1795514700000]@10:05:00"])]
#[case::paused(
    json!({"paused": true}), workspace("Paused", 1_795_514_700_000), &["Stopped[pause:1795514700000]@10:05:00"])]
#[case::unknown(json!({}), workspace("Unknown", 0), &[])]
fn what_a_workspace_proves(#[case] spec: Value, #[case] status: Value, #[case] expected: &[&str]) {
    proves(&kind("kubeflow.org/Workspace", "v1beta1"), &object(&spec, &status), expected);
}

#[test]
fn a_workspace_whose_pod_finds_no_node_has_not_failed() {
    let pods =
        [pod("w", &json!({"phase": "Pending", "conditions": [not("PodScheduled", "Unschedulable", "10:00:01")]}))];
    let error = object(&json!({}), &workspace("Error", 0));
    proves_below(&kind("kubeflow.org/Workspace", "v1beta1"), &error, &Below { pods: &pods, lent: &[] }, &[]);
}
