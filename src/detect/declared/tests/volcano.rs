//! Volcano Jobs.

use rstest::rstest;

use super::*;

fn volcano() -> Kind {
    kind("batch.volcano.sh/Job", "v1alpha1")
}

/// A status in this phase, with the phases that it went through.
fn in_phase(phase: &str, history: &[(&str, &str)], retries: i64) -> Value {
    let history: Vec<Value> =
        history.iter().map(|(phase, clock)| json!({"status": phase, "lastTransitionTime": at(clock)})).collect();
    json!({"state": {"phase": phase, "lastTransitionTime": at("12:00:00")}, "conditions": history,
        "retryCount": retries})
}

const RAN: [(&str, &str); 2] = [("Pending", "10:00:01"), ("Running", "10:00:09")];

fn after(phase: &str, clock: &str, retries: i64) -> Value {
    in_phase(phase, &[RAN[0], RAN[1], (phase, clock)], retries)
}

#[rstest]
#[case::no_status(json!({}), &["Queued[]@10:00:00"])]
#[case::pending(in_phase("Pending", &RAN[..1], 0), &["Queued[]@10:00:00"])]
#[case::running(in_phase("Running", &RAN, 0), &["Running[]@10:00:09"])]
#[case::pending_again(in_phase("Pending", &RAN, 0), &[])]
#[case::completing(after("Completing", "11:00:00", 0), &[])]
#[case::completed(after("Completed", "11:00:00", 0), &["Succeeded[]@11:00:00"])]
#[case::failed(after("Failed", "11:00:00", 3), &["Failed[]@11:00:00"])]
#[case::no_history(json!({"state": {"phase": "Failed", "lastTransitionTime": at("11:00:00")}}), &["Failed[]@11:00:00"])]
#[case::restarting(after("Restarting", "10:20:00", 1), &["FaultTolerance[retries:1]@10:20:00"])]
#[case::running_after_two_restarts(
    in_phase("Running", &[("Restarting", "10:20:00"), ("Running", "10:21:00")], 2),
    &["Running[]@10:21:00", "FaultTolerance[retries:2]@10:20:00"])]
#[case::aborting(after("Aborting", "10:30:00", 0), &["Stopped[aborted:0]@10:30:00"])]
#[case::aborted(
    in_phase("Aborted", &[RAN[1], ("Aborting", "10:30:00"), ("Aborted", "10:30:09")], 0),
        &["Stopped[aborted:0]@10:30:00"])]
#[case::resumed_is_no_fault_tolerance(
    in_phase("Restarting", &[RAN[1], ("Aborting", "10:30:00"), ("Aborted", "10:30:09"), ("Restarting", "10:40:00")],
        1), &[])]
#[case::aborted_again(
    in_phase("Aborted", &[RAN[1], ("Aborting", "10:50:00"), ("Aborted", "10:50:09")], 1),
        &["Stopped[aborted:1]@10:50:00"])]
#[case::terminating(after("Terminating", "10:30:00", 0), &["Stopped[terminated]@10:30:00"])]
#[case::terminated(after("Terminated", "10:30:09", 0), &["Stopped[terminated]@10:30:09"])]
fn what_a_job_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&volcano(), &object(&json!({}), &status), expected);
}

#[test]
fn what_was_aborted_is_not_stopped_again_by_its_deletion() {
    leaves(
        &volcano(),
        &object(&json!({}), &after("Aborted", "10:30:00", 0)),
        Presence::Deleted,
        &["Stopped[aborted:0]@10:30:00"],
    );
    leaves(&volcano(), &object(&json!({}), &in_phase("Running", &RAN, 0)), Presence::Deleted, &["Stopped[deleted]@-"]);
    leaves(
        &volcano(),
        &object(&json!({}), &after("Completed", "11:00:00", 0)),
        Presence::Deleted,
        &["Succeeded[]@11:00:00"],
    );
}

#[test]
fn a_rewritten_time_makes_no_event_of_its_own() {
    let mut status = after("Aborted", "10:30:00", 0);
    status["conditions"][2]["lastTransitionTime"] = json!(at("10:30:07"));
    status["state"]["lastTransitionTime"] = json!(at("10:30:07"));
    proves(&volcano(), &object(&json!({}), &status), &["Stopped[aborted:0]@10:30:07"]);
}
