use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use Presence::{Deleted, Gone, Present};

/// A time on the day of all these tests.
fn at(clock: &str) -> String {
    format!("2026-11-24T{clock}Z")
}

/// A Pod created at 10:00:00 on a node, with this source label and status.
fn pod(source: &str, status: &Value) -> PodView {
    let metadata = json!({"name": "nb-0", "namespace": "vision", "uid": "u1", "creationTimestamp": at("10:00:00"),
        "labels": {"notification.pai.dev/source": source}});
    serde_json::from_value(json!({"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status})).unwrap()
}

/// The same Pod after a request at `clock` to delete it, with a grace period of 30 seconds.
fn deleted_at(clock: &str, mut pod: PodView) -> PodView {
    let request: Timestamp = at(clock).parse().unwrap();
    pod.metadata.deletion = Some(request + jiff::SignedDuration::from_secs(30));
    pod.metadata.deletion_grace_seconds = Some(30);
    pod
}

fn condition(kind: &str, status: &str, reason: &str, clock: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": format!("about {kind}"),
        "lastTransitionTime": at(clock)})
}

fn exit(container: &str, code: i64, reason: &str, clock: &str) -> Value {
    json!({"name": container, "state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": at(clock)}}})
}

fn running() -> Value {
    json!({"phase": "Running", "startTime": at("10:00:02"), "conditions":
        [condition("PodScheduled", "True", "", "10:00:01"), condition("Ready", "True", "", "10:00:09")]})
}

fn failed(clock: &str) -> Value {
    json!({"phase": "Failed", "containerStatuses": [exit("main", 137, "OOMKilled", clock)]})
}

fn succeeded(clock: &str) -> Value {
    json!({"phase": "Succeeded", "containerStatuses": [exit("main", 0, "Completed", clock)]})
}

fn disrupted(phase: &str, kind: &str, reason: &str) -> Value {
    json!({"phase": phase, "conditions": [condition("Ready", "True", "", "10:00:09"), condition(kind, "True", reason,
        "10:40:00")]})
}

/// `Transition[occurrence]@time`, without the date; `-` where no time is known.
fn shown(found: &[Detected]) -> Vec<String> {
    let one = |found: &Detected| {
        let time = found.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        format!("{}[{}]@{time}", found.transition, found.occurrence).replace("2026-11-24T", "").replace('Z', "")
    };
    found.iter().map(one).collect()
}

/// What the Pod proves as an instance, as a job and as a task.
#[track_caller]
fn proves(status: &Value, change: impl Fn(PodView) -> PodView, presence: Presence, expected: [&[&str]; 3]) {
    for (source, expected) in ["DSWInstance", "DLCJob", "FlowTask"].into_iter().zip(expected) {
        assert_eq!(shown(&detect(&change(pod(source, status)), presence)), expected, "as {source}");
    }
}

#[rstest]
#[case::just_created(json!({"phase": "Pending"}), &[], &["Queued[]@10:00:00"], &[])]
#[case::unschedulable(
    json!({"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", "10:00:01")]}),
    &[], &["Queued[]@10:00:00"], &[])]
#[case::scheduled(
    json!({"phase": "Pending", "conditions": [condition("PodScheduled", "True", "", "10:00:01")]}),
    &["Creating[]@10:00:01"], &[], &[])]
#[case::ready(running(), &["Running[]@10:00:09"], &["Running[]@10:00:09"], &[])]
#[case::not_ready(json!({"phase": "Running", "conditions": [condition("Ready", "False", "", "10:00:09")]}), &[], &[],
    &[])]
#[case::ready_without_a_time(
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"state": {"running": {"startedAt": at("10:00:08")}}},
            {"state": {"running": {"startedAt": at("10:00:07")}}}]}),
    &["Running[]@10:00:07"], &["Running[]@10:00:07"], &[])]
#[case::failed(failed("10:30:00"), &["Failed[]@10:30:00"], &["Failed[]@10:30:00"], &["Failed[]@10:30:00"])]
#[case::succeeded(succeeded("10:30:00"), &["Stopped[]@10:30:00"], &["Succeeded[]@10:30:00"], &["Succeeded[]@10:30:00"])]
#[case::disruption_only_announced(
    disrupted("Running", "DisruptionTarget", "PreemptionByScheduler"), &["Running[]@10:00:09"],
        &["Running[]@10:00:09"], &[])]
#[case::evicted_by_the_kubelet(
    json!({"phase": "Failed", "reason": "Evicted", "conditions": [condition("DisruptionTarget", "True",
        "TerminationByKubelet", "10:40:00")]}),
    &["Failed[]@10:40:00"], &["Failed[]@10:40:00"], &["Failed[]@10:40:00"])]
fn a_pod_proves_its_present_state_and_no_earlier_one(
    #[case] status: Value,
    #[case] instance: &[&str],
    #[case] job: &[&str],
    #[case] task: &[&str],
) {
    proves(&status, |pod| pod, Present, [instance, job, task]);
}

#[rstest]
#[case::preempted("DisruptionTarget", "PreemptionByScheduler", "Preempted")]
#[case::node_pressure("DisruptionTarget", "TerminationByKubelet", "Failed")]
#[case::node_lost("DisruptionTarget", "DeletionByTaintManager", "Failed")]
#[case::drained("DisruptionTarget", "EvictionByEvictionAPI", "Failed")]
#[case::unknown("DisruptionTarget", "SomethingNew", "Failed")]
#[case::kueue("TerminationTarget", "WorkloadEvicted", "Failed")]
fn a_pod_deleted_for_a_disruption_has_failed_by_it(#[case] kind: &str, #[case] reason: &str, #[case] as_job: &str) {
    let as_job = format!("{as_job}[]@10:40:00");
    let expected: [&[&str]; 3] = [&["Failed[]@10:40:00"], &[as_job.as_str()], &["Failed[]@10:40:00"]];
    for phase in ["Running", "Failed"] {
        let status = disrupted(phase, kind, reason);
        proves(&status, |pod| deleted_at("10:40:00", pod), Present, expected);
        proves(&status, |pod| deleted_at("10:40:00", pod), Deleted, expected);
        proves(&status, |pod| deleted_at("10:40:00", pod), Gone, expected);
    }
    let found = detect(&deleted_at("10:40:00", pod("DSWInstance", &disrupted("Running", kind, reason))), Present);
    assert_eq!(found[0].reason, reason);
}

#[test]
fn a_pod_that_is_asked_to_stop_is_stopping_then_stopped() {
    let asked = |pod| deleted_at("10:50:00", pod);
    proves(&running(), asked, Present, [&["Stopping[]@10:50:00"], &["Stopped[]@10:50:00"], &[]]);
    proves(&running(), asked, Deleted, [&["Stopped[]@-"], &["Stopped[]@-"], &[]]);
    proves(&running(), asked, Gone, [&["Stopped[]@-"], &["Stopped[]@-"], &[]]);
    proves(&running(), |pod| pod, Deleted, [&["Stopped[]@-"], &["Stopped[]@-"], &[]]);
}

#[rstest]
#[case::failed(failed("10:50:03"))]
#[case::failed_within_the_second_of_the_request(failed("10:50:00"))]
#[case::succeeded(succeeded("10:50:03"))]
fn a_phase_passed_on_the_way_out_is_neither_failure_nor_success(#[case] status: Value) {
    let time = status["containerStatuses"][0]["state"]["terminated"]["finishedAt"].as_str().unwrap();
    let stopped = format!("Stopped[]@{}", time.replace("2026-11-24T", "").replace('Z', ""));
    for presence in [Present, Deleted] {
        let expected: [&[&str]; 3] = [&[stopped.as_str()], &[stopped.as_str()], &[]];
        proves(&status, |pod| deleted_at("10:50:00", pod), presence, expected);
    }
    assert!(
        facts(&deleted_at("10:50:00", pod("", &status))).failure.is_none(),
        "its Job must not take it for a failure"
    );
}

#[test]
fn a_failed_pod_without_times_that_is_deleted_is_not_newly_failed() {
    let asked = |pod| deleted_at("10:50:00", pod);
    proves(&json!({"phase": "Failed"}), asked, Present, [&["Stopped[]@-"], &["Stopped[]@-"], &[]]);
}

#[test]
fn the_removal_of_a_pod_that_had_ended_tells_nothing_new() {
    for presence in [Present, Deleted, Gone] {
        for change in [|pod| pod, |pod| deleted_at("11:50:00", pod)] {
            let end = ["Failed[]@10:30:00"];
            proves(&failed("10:30:00"), change, presence, [&end, &end, &end]);
            let end = ["Succeeded[]@10:30:00"];
            proves(&succeeded("10:30:00"), change, presence, [&["Stopped[]@10:30:00"], &end, &end]);
        }
    }
}

#[test]
fn a_pod_that_is_gone_is_stopped_for_no_known_cause() {
    let found = detect(&pod("DSWInstance", &running()), Gone);
    assert_eq!(shown(&found), ["Stopped[]@-"]);
    assert_eq!(found[0].reason, "Gone");
}

#[test]
fn a_failure_names_the_container_that_failed_first() {
    let status = json!({"phase": "Failed", "startTime": at("10:00:00"), "containerStatuses":
        [exit("proxy", 143, "Error", "10:30:09"), exit("main", 137, "OOMKilled", "10:30:00"), exit("log", 0,
            "Completed", "10:29:00")]});
    let found = detect(&pod("DSWInstance", &status), Present);
    assert_eq!(shown(&found), ["Failed[]@10:30:09"]);
    assert_eq!(found[0].reason, "OOMKilled");
    let expected = json!({"container": "main", "exitCode": 137, "podReason": "OOMKilled", "node": "node-1",
        "startTime": at("10:00:00"), "endTime": at("10:30:09"), "durationSeconds": 1809});
    assert_eq!(Value::Object(found[0].data.clone()), expected);
}

#[test]
fn a_pod_that_passed_its_deadline_has_the_deadline_as_its_cause() {
    let found = detect(&pod("DLCJob", &json!({"phase": "Failed", "reason": "DeadlineExceeded"})), Present);
    assert_eq!(found[0].cause, Cause::Deadline);
}

#[test]
fn a_restart_inside_a_pod_is_fault_tolerance_of_a_job_only() {
    let mut status = running();
    status["containerStatuses"] = json!([{"name": "main", "restartCount": 2, "lastState":
        exit("main", 1, "Error", "10:20:30")["state"]}]);
    let job: &[&str] = &["Running[]@10:00:09", "FaultTolerance[restarts@10:20:00]@10:20:30"];
    proves(&status, |pod| pod, Present, [&["Running[]@10:00:09"], job, &[]]);
}

#[test]
fn a_pod_without_the_label_is_no_subject() {
    for label in ["", "Pod", "dswinstance"] {
        assert_eq!(source(&pod(label, &running())), None);
        assert_eq!(detect(&pod(label, &running()), Present), []);
    }
    assert_eq!(detect(&pod("Model", &failed("10:30:00")), Present), []);
}

#[rstest]
#[case(json!(null))]
#[case(json!({}))]
#[case(json!([]))]
#[case(json!({"phase": "Paused"}))]
#[case(json!({"phase": 3, "conditions": "Ready", "containerStatuses": {"main": {}}}))]
#[case(json!({"phase": "Running", "conditions": [null, 1, {"type": ["Ready"], "status": "True"}]}))]
#[case(json!({"phase": "Unknown", "conditions": [condition("Ready", "True", "", "10:00:09")]}))]
fn a_status_that_says_nothing_proves_nothing(#[case] status: Value) {
    proves(&status, |pod| pod, Present, [&[], &[], &[]]);
}

#[test]
fn a_malformed_container_does_not_hide_its_neighbours() {
    let status = json!({"phase": "Failed", "containerStatuses":
        [7, {"name": 7, "state": "dead", "restartCount": "x"}, exit("main", 2, "Error", "10:30:00")]});
    let found = detect(&pod("DLCJob", &status), Present);
    assert_eq!(found[0].data["container"], "main");
    assert_eq!(found[0].data["exitCode"], 2);
}

#[test]
fn what_was_once_known_of_a_pod_stays_known() {
    let mut known = facts(&pod("", &running()));
    known.merge(facts(&pod("", &disrupted("Running", "DisruptionTarget", "PreemptionByScheduler"))));
    // On the way out the garbage collector overwrites the reason, and the Pod is no longer ready.
    let overwritten = json!({"phase": "Failed", "conditions": [condition("DisruptionTarget", "True",
        "DeletionByPodGC", "10:59:00")]});
    known.merge(facts(&deleted_at("10:40:00", pod("", &overwritten))));
    known.merge(PodFacts::default());
    assert_eq!(&*known.name, "nb-0");
    assert_eq!(known.node.as_deref(), Some("node-1"));
    assert_eq!(known.ready, at("10:00:09").parse().ok());
    assert_eq!(known.preempted.unwrap().time, at("10:40:00").parse().ok());
    assert_eq!(&*known.disruption.unwrap().reason, "DeletionByPodGC");
}

#[test]
fn an_older_restart_count_does_not_replace_a_newer_one() {
    let restarted = |count: i64, clock: &str| {
        let last = exit("main", 1, "Error", clock)["state"].clone();
        facts(&pod("", &json!({"containerStatuses": [{"name": "main", "restartCount": count, "lastState": last}]})))
    };
    let mut known = restarted(2, "10:20:00");
    known.merge(restarted(1, "10:10:00"));
    assert_eq!(known.restarts.as_ref().unwrap().count, 2);
    known.merge(restarted(3, "10:30:00"));
    assert_eq!(known.restarts.unwrap().last.finished_at, at("10:30:00").parse().ok());
}

#[test]
fn fifty_thousand_pods_fit_in_memory() {
    assert!(size_of::<PodFacts>() <= 96, "{}", size_of::<PodFacts>());
}

#[test]
fn that_no_node_fits_is_known_while_it_is_so() {
    let pod = |phase: &str, status: &str, reason: &str| {
        let scheduled = json!({"type": "PodScheduled", "status": status, "reason": reason,
            "lastTransitionTime": "2026-11-24T10:00:07Z"});
        let view = serde_json::from_value(json!({"status": {"phase": phase, "conditions": [scheduled]}})).unwrap();
        facts(&view)
    };
    let waiting = pod("Pending", "False", "Unschedulable");
    assert_eq!(waiting.unschedulable.as_deref().copied(), "2026-11-24T10:00:07Z".parse().ok());
    assert_eq!(pod("Pending", "False", "SchedulingGated").unschedulable, None);
    assert_eq!(pod("Failed", "False", "Unschedulable").unschedulable, None);
    let mut known = waiting;
    known.merge(pod("Pending", "True", ""));
    assert_eq!(known.unschedulable, None);
}
