//! `RayJob`s and `RayCluster`s.

use rstest::rstest;

use super::*;

fn rayjob() -> Kind {
    kind("ray.io/RayJob", "v1")
}

/// `deployment` and `job` are the two words for the state.
fn state(deployment: &str, job: &str) -> Value {
    json!({"jobDeploymentStatus": deployment, "jobStatus": job, "startTime": at("10:00:02"), "endTime": at("11:00:05"),
        "rayJobInfo": {"startTime": at("10:00:30"), "endTime": at("11:00:00")}})
}

fn with(mut status: Value, more: &Value) -> Value {
    for (field, value) in more.as_object().unwrap() {
        status[field.as_str()] = value.clone();
    }
    status
}

/// A job whose spec was changed `generation - 1` times.
fn of(generation: i64, status: &Value) -> Object {
    let mut object = object(&json!({}), status);
    object.metadata.generation = Some(generation);
    object
}

#[rstest]
#[case::no_status(json!({}), &["Queued[]@10:00:00"])]
#[case::initializing(json!({"jobDeploymentStatus": "Initializing", "startTime": at("10:00:02")}),
    &["Queued[]@10:00:00"])]
#[case::waiting(json!({"jobDeploymentStatus": "Waiting"}), &["Queued[]@10:00:00"])]
#[case::not_yet_taken_up_by_ray(state("Running", "PENDING"), &["Queued[]@10:00:00"])]
#[case::running(state("Running", "RUNNING"), &["Running[10:00:02]@10:00:30"])]
#[case::succeeded(state("Complete", "SUCCEEDED"), &["Succeeded[]@11:00:00"])]
#[case::stopped(state("Complete", "STOPPED"), &["Stopped[]@11:00:00"])]
#[case::failed(with(state("Failed", "FAILED"), &json!({"reason": "AppFailed"})), &["Failed[]@11:00:00"])]
#[case::failed_without_a_time_of_ray(
    json!({"jobDeploymentStatus": "Failed", "reason": "SubmissionFailed", "endTime": at("11:00:05")}),
        &["Failed[]@11:00:05"])]
#[case::submission_failed_while_ray_says_running(
    with(state("Failed", "RUNNING"), &json!({"reason": "SubmissionFailed"})), &["Failed[]@11:00:00"])]
#[case::invalid(json!({"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed"}),
    &["Failed[validation]@-"])]
#[case::timeout(with(state("Failed", "RUNNING"), &json!({"reason": "DeadlineExceeded"})), &["Failed![]@11:00:00"])]
#[case::timeout_before_it_ran(
    with(state("Failed", "PENDING"), &json!({"reason": "PreRunningDeadlineExceeded"})), &["Failed![]@11:00:00"])]
#[case::retrying(
    with(state("Retrying", "FAILED"), &json!({"failed": 1, "reason": "AppFailed"})), &["FaultTolerance[failed:1]@-"])]
#[case::retried(json!({"jobDeploymentStatus": "", "failed": 1}), &["FaultTolerance[failed:1]@-"])]
#[case::running_after_a_retry(
    with(state("Running", "RUNNING"), &json!({"failed": 1})), &["Running[10:00:02]@10:00:30",
        "FaultTolerance[failed:1]@10:00:02"])]
fn what_a_rayjob_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&rayjob(), &of(1, &status), expected);
}

#[test]
fn a_suspended_rayjob_is_queued_if_it_was_created_so_or_kueue_did_it_and_stopped_else() {
    for phase in ["Suspending", "Suspended"] {
        let status = json!({"jobDeploymentStatus": phase});
        proves(&rayjob(), &of(1, &status), &["Queued[]@10:00:00"]);
        proves(&rayjob(), &of(2, &status), &["Stopped[suspended:2]@-"]);
        let mut evicted = labelled(&kueue(), &json!({}), &status);
        evicted.metadata.generation = Some(3);
        proves(&rayjob(), &evicted, &["Queued[suspended:3]@-"]);
    }
}

#[test]
fn a_rayjob_removed_by_a_deletion_rule_after_its_end_is_not_stopped() {
    leaves(&rayjob(), &of(1, &state("Complete", "SUCCEEDED")), Presence::Deleted, &["Succeeded[]@11:00:00"]);
    leaves(&rayjob(), &of(1, &state("Running", "RUNNING")), Presence::Deleted, &["Stopped[deleted]@-"]);
}

#[test]
fn a_status_for_an_old_generation_is_ignored_until_the_controller_catches_up() {
    let old = with(state("Running", "RUNNING"), &json!({"observedGeneration": 1}));
    proves(&rayjob(), &of(2, &old), &[]);
    proves(&rayjob(), &of(1, &old), &["Running[10:00:02]@10:00:30"]);
    let ended = with(state("Complete", "SUCCEEDED"), &json!({"observedGeneration": 1}));
    // That it had ended is known all the same: its deletion does not stop it.
    leaves(&rayjob(), &of(2, &ended), Presence::Deleted, &[]);
    assert!(rayjob().is_finished(&of(2, &ended)));
}

#[rstest]
#[case::no_status(json!({}), &["Creating[]@10:00:00"])]
#[case::provisioning(
    conditions(&[not("RayClusterProvisioned", "RayClusterPodsProvisioning", "10:00:01")]), &["Creating[]@10:00:00"])]
#[case::running(
    conditions(&[yes("RayClusterProvisioned", "AllPodRunningAndReadyFirstTime", "10:01:00"), yes("HeadPodReady", "",
        "10:00:50")]),
    &["Running[]@10:01:00"])]
#[case::old_operator(
    json!({"state": "ready", "stateTransitionTimes": {"ready": at("10:01:00")}, "conditions": [yes("HeadPodReady", "",
        "10:00:50")]}),
    &["Running[]@10:01:00"])]
#[case::head_lost(
    conditions(&[yes("RayClusterProvisioned", "", "10:01:00"), not("HeadPodReady", "", "10:30:00")]), &[])]
#[case::failed(
    conditions(&[yes("ReplicaFailure", "FailedCreateHeadPod", "10:00:03")]), &["Failed[replica:10:00:03]@10:00:03"])]
#[case::suspending(
    conditions(&[yes("RayClusterProvisioned", "", "10:01:00"), yes("RayClusterSuspending", "", "10:30:00")]),
    &["Stopping[10:30:00]@10:30:00"])]
#[case::suspended(
    conditions(&[not("RayClusterSuspending", "", "10:30:09"), yes("RayClusterSuspended", "", "10:30:09")]),
    &["Stopped[10:30:09]@10:30:09"])]
fn what_a_raycluster_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&kind("ray.io/RayCluster", "v1"), &object(&json!({}), &status), expected);
}

#[test]
fn a_raycluster_that_is_deleted_is_stopping_and_then_stopped() {
    let cluster = kind("ray.io/RayCluster", "v1");
    let mut ready = object(
        &json!({}),
        &conditions(&[yes("RayClusterProvisioned", "", "10:01:00"), yes("HeadPodReady", "", "10:00:50")]),
    );
    ready.metadata.deletion = at("10:40:00").parse().ok();
    leaves(&cluster, &ready, Presence::Present, &["Stopping[deleted]@10:40:00"]);
    leaves(&cluster, &ready, Presence::Deleted, &["Stopped[deleted]@10:40:00"]);
}
