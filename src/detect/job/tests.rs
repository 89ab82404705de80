use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::detect::pod::{PodView, facts};
use Presence::{Deleted, Gone, Present};

/// A time on the day of all these tests.
fn at(clock: &str) -> String {
    format!("2026-11-24T{clock}Z")
}

/// A Job created at 10:00:00, with these labels, spec and status.
fn job_with(labels: &Value, spec: &Value, status: &Value) -> JobView {
    let metadata = json!({"name": "nightly", "namespace": "vision", "uid": "u1", "labels": labels,
        "creationTimestamp": at("10:00:00")});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
}

fn job(status: &Value) -> JobView {
    job_with(&json!({}), &json!({}), status)
}

fn kueue() -> Value {
    json!({"kueue.x-k8s.io/queue-name": "gpu"})
}

fn condition(kind: &str, reason: &str, clock: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": reason, "message": format!("about {kind}"),
        "lastTransitionTime": at(clock)})
}

fn pod(name: &str, status: &Value) -> PodFacts {
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": "node-1"}, "status": status});
    facts(&serde_json::from_value::<PodView>(pod).unwrap())
}

fn ready_pod(clock: &str) -> PodFacts {
    pod("w-0", &json!({"phase": "Running", "conditions": [condition("Ready", "", clock)]}))
}

fn failed_pod(name: &str, clock: &str, code: i64, reason: &str) -> PodFacts {
    let exit = json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": at(clock)}});
    pod(name, &json!({"phase": "Failed", "containerStatuses": [{"name": "main", "state": exit}]}))
}

fn restarted_pod(name: &str, clock: &str, count: i64) -> PodFacts {
    let exit = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(clock)}});
    let main = json!({"name": "main", "restartCount": count, "state": {"running": {}}, "lastState": exit});
    pod(name, &json!({"phase": "Running", "containerStatuses": [main]}))
}

fn disrupted_pod(name: &str, reason: &str, clock: &str) -> PodFacts {
    pod(name, &json!({"phase": "Running", "conditions": [condition("DisruptionTarget", reason, clock)]}))
}

/// `Transition[occurrence]@time`, without the date; `-` where no time is known.
fn shown(found: &[Detected]) -> Vec<String> {
    let one = |found: &Detected| {
        let time = found.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        format!("{}[{}]@{time}", found.transition, found.occurrence).replace("2026-11-24T", "").replace('Z', "")
    };
    found.iter().map(one).collect()
}

#[track_caller]
fn proves(job: &JobView, pods: &[PodFacts], presence: Presence, expected: &[&str]) {
    assert_eq!(shown(&detect(job, pods, presence)), expected);
}

#[rstest]
#[case::no_status(json!({}), json!(null), &["Queued[]@10:00:00"])]
#[case::pending(json!({}), json!({"ready": 0, "active": 2, "startTime": at("10:00:01")}), &["Queued[]@10:00:00"])]
#[case::created_suspended_no_condition_yet(json!({"suspend": true}), json!({}), &["Queued[]@10:00:00"])]
#[case::created_suspended(
    json!({"suspend": true}), json!({"conditions": [condition("Suspended", "JobSuspended", "10:00:01")]}),
        &["Queued[]@10:00:00"])]
#[case::running(json!({}), json!({"ready": 1, "startTime": at("10:00:01")}), &["Running[10:00:01]@-"])]
#[case::running_without_start(json!({}), json!({"ready": 1}), &["Running[]@-"])]
#[case::pods_being_replaced(
    json!({}), json!({"ready": 0, "active": 1, "failed": 1, "startTime": at("10:00:01")}),
        &["FaultTolerance[failed:1]@-"])]
#[case::part_done(json!({}), json!({"ready": 0, "active": 1, "succeeded": 3, "startTime": at("10:00:01")}), &[])]
fn a_job_that_has_not_ended(#[case] spec: Value, #[case] status: Value, #[case] expected: &[&str]) {
    proves(&job_with(&json!({}), &spec, &status), &[], Present, expected);
}

#[rstest]
#[case::complete(
    json!({"completionTime": at("11:00:00"), "conditions": [condition("Complete", "", "11:00:02")]}),
        "Succeeded[]@11:00:00")]
#[case::criteria_met(
    json!({"conditions": [condition("SuccessCriteriaMet", "CompletionsReached", "11:00:01")]}), "Succeeded[]@11:00:01")]
#[case::criteria_met_is_before_complete(
    json!({"conditions": [condition("Complete", "", "11:00:09"), condition("SuccessCriteriaMet", "", "11:00:01")]}),
    "Succeeded[]@11:00:01")]
#[case::old_server(json!({"conditions": [{"type": "Complete", "status": "True"}]}), "Succeeded[]@-")]
#[case::failed(json!({"conditions": [condition("Failed", "BackoffLimitExceeded", "11:00:00")]}), "Failed[]@11:00:00")]
#[case::unknown_reason(json!({"conditions": [condition("Failed", "SomethingNew", "11:00:00")]}), "Failed[]@11:00:00")]
fn a_terminal_state_that_is_the_first_thing_seen_is_the_only_thing_told(
    #[case] mut status: Value,
    #[case] expected: &str,
) {
    status["ready"] = json!(1);
    status["failed"] = json!(2);
    status["startTime"] = json!(at("10:00:01"));
    let pods = [
        ready_pod("10:00:05"),
        restarted_pod("w-1", "10:20:00", 3),
        disrupted_pod("w-2", "PreemptionByScheduler", "10:30:00"),
    ];
    for presence in [Present, Deleted, Gone] {
        let job = job(&status);
        proves(&job, &pods, presence, &[expected]);
        assert!(is_finished(&job));
    }
}

#[test]
fn a_failure_is_one_event_from_its_decision_to_the_end_of_its_pods() {
    let target = condition("FailureTarget", "BackoffLimitExceeded", "11:00:00");
    let decided = detect(&job(&json!({"conditions": [target]})), &[], Present);
    let failed = condition("Failed", "BackoffLimitExceeded", "11:07:00");
    let over = detect(&job(&json!({"conditions": [target, failed]})), &[], Present);
    assert_eq!(shown(&decided), ["Failed[]@11:00:00"]);
    assert_eq!(shown(&over), ["Failed[]@11:00:00"]);
    assert_eq!(over[0].reason, "BackoffLimitExceeded");
    assert_eq!(over[0].message, "about Failed");
}

#[test]
fn a_deadline_that_passed_is_a_failure_with_the_deadline_as_its_cause() {
    for kind in ["Failed", "FailureTarget"] {
        let status = json!({"conditions": [condition(kind, "DeadlineExceeded", "11:00:00")]});
        let job = job_with(&json!({}), &json!({"activeDeadlineSeconds": 3600}), &status);
        let found = detect(&job, &[], Present);
        assert_eq!(shown(&found), ["Failed[]@11:00:00"]);
        assert_eq!(found[0].cause, Cause::Deadline);
        assert_eq!(found[0].data["activeDeadlineSeconds"], 3600);
    }
    let other = job(&json!({"conditions": [condition("Failed", "BackoffLimitExceeded", "11:00:00")]}));
    assert_eq!(detect(&other, &[], Present)[0].cause, Cause::Other);
}

#[test]
fn a_job_removed_by_its_ttl_within_a_second_is_told_by_its_end_alone() {
    let mut done =
        job(&json!({"completionTime": at("11:00:00"), "conditions": [condition("Complete", "", "11:00:00")]}));
    proves(&done, &[], Present, &["Succeeded[]@11:00:00"]);
    done.metadata.deletion = at("11:00:00").parse().ok();
    proves(&done, &[], Deleted, &["Succeeded[]@11:00:00"]);
}

#[test]
fn a_job_that_is_gone_is_not_guessed_to_have_succeeded() {
    let running = job(&json!({"ready": 1, "startTime": at("10:00:01")}));
    let found = detect(&running, &[], Gone);
    assert_eq!(shown(&found), ["Stopped[deleted]@-"]);
    assert_eq!(found[0].reason, "Gone");
    assert_eq!(found[0].message, "gone; the cause was not observed");
}

#[test]
fn a_failure_carries_the_last_pod_that_failed_and_the_span_of_the_job() {
    let status = json!({"startTime": at("10:00:10"), "failed": 2, "succeeded": 1,
        "conditions": [condition("Failed", "BackoffLimitExceeded", "10:30:10")]});
    let pods = [failed_pod("w-1", "10:30:05", 137, "OOMKilled"), failed_pod("w-0", "10:20:00", 1, "Error")];
    let found = detect(&job(&status), &pods, Present);
    let expected = json!({"startTime": at("10:00:10"), "endTime": at("10:30:10"), "durationSeconds": 1800,
        "failed": 2, "succeeded": 1, "pod": "w-1", "node": "node-1", "container": "main", "exitCode": 137,
        "podReason": "OOMKilled"});
    assert_eq!(Value::Object(found[0].data.clone()), expected);
}

#[test]
fn a_failure_after_restarts_in_place_carries_the_last_restart() {
    let failed = job(&json!({"conditions": [condition("Failed", "BackoffLimitExceeded", "10:30:10")]}));
    let found = detect(&failed, &[restarted_pod("w-0", "10:30:00", 6)], Present);
    assert_eq!(found[0].data["exitCode"], 137);
    assert_eq!(found[0].data["pod"], "w-0");
}

#[test]
fn running_began_when_the_first_pod_of_the_present_run_was_ready() {
    let resumed = job(&json!({"ready": 1, "startTime": at("12:00:00")}));
    let pods = [ready_pod("10:00:05"), ready_pod("12:00:20"), ready_pod("12:00:09")];
    proves(&resumed, &pods, Present, &["Running[12:00:00]@12:00:09"]);
}

#[test]
fn a_server_that_does_not_count_ready_pods_is_helped_by_the_pods() {
    let old = job(&json!({"active": 1, "startTime": at("10:00:01")}));
    proves(&old, &[], Present, &["Queued[]@10:00:00"]);
    proves(&old, &[ready_pod("10:00:07")], Present, &["Running[10:00:01]@10:00:07"]);
}

#[test]
fn a_pod_that_is_ready_before_the_controller_has_noted_the_start_does_not_make_a_run_of_its_own() {
    proves(&job(&json!({})), &[ready_pod("10:00:02")], Present, &[]);
    let noted = job(&json!({"ready": 1, "startTime": at("10:00:01")}));
    proves(&noted, &[ready_pod("10:00:02")], Present, &["Running[10:00:01]@10:00:02"]);
}

#[test]
fn a_job_whose_pods_were_ready_once_is_not_queued_again() {
    let waiting = job(&json!({"ready": 0, "active": 1, "startTime": at("10:00:01")}));
    proves(&waiting, &[ready_pod("10:00:07")], Present, &[]);
}

#[test]
fn each_suspension_by_hand_is_stopped_and_each_resumption_runs() {
    let suspended = |clock, start| {
        job(&json!({"ready": 0, "startTime": at(start), "conditions": [condition("Suspended", "JobSuspended", clock)]}))
    };
    proves(&suspended("10:10:00", "10:00:01"), &[], Present, &["Stopped[10:10:00]@10:10:00"]);
    let resumed =
        json!({"type": "Suspended", "status": "False", "reason": "JobResumed", "lastTransitionTime": at("10:20:00")});
    let running = job(&json!({"ready": 1, "startTime": at("10:20:00"), "conditions": [resumed]}));
    proves(&running, &[], Present, &["Running[10:20:00]@-"]);
    proves(&suspended("10:30:00", "10:20:00"), &[], Present, &["Stopped[10:30:00]@10:30:00"]);
    proves(&suspended("10:30:00", "10:20:00"), &[], Deleted, &["Stopped[10:30:00]@10:30:00"]);
    proves(&suspended("10:30:00", "10:20:00"), &[], Gone, &["Stopped[10:30:00]@10:30:00"]);
}

#[test]
fn a_job_that_was_suspended_by_kueue_is_queued_not_stopped() {
    let conditions = json!([condition("Suspended", "JobSuspended", "10:10:00")]);
    let evicted =
        job_with(&kueue(), &json!({"suspend": true}), &json!({"startTime": at("10:00:05"), "conditions": conditions}));
    proves(&evicted, &[], Present, &["Queued[10:10:00]@10:10:00"]);
    // Kueue takes startTime away; the Pods are still known.
    let reset = job_with(&kueue(), &json!({"suspend": true}), &json!({"conditions": conditions}));
    proves(&reset, &[ready_pod("10:00:30")], Present, &["Queued[10:10:00]@10:10:00"]);
    proves(&reset, &[], Present, &["Queued[]@10:00:00"]);
    proves(&reset, &[ready_pod("10:00:30")], Deleted, &["Stopped[deleted]@-"]);
}

#[rstest]
#[case::running(json!({"ready": 1}))]
#[case::queued(json!({}))]
#[case::losing_pods(json!({"failed": 3}))]
#[case::created_suspended(json!({"conditions": [condition("Suspended", "JobSuspended", "10:00:01")]}))]
fn a_job_deleted_before_its_end_is_stopped_once(#[case] status: Value) {
    let mut job = job(&status);
    proves(&job, &[], Deleted, &["Stopped[deleted]@-"]);
    job.metadata.deletion = at("10:40:00").parse().ok();
    job.metadata.deletion_grace_seconds = Some(0);
    for presence in [Present, Deleted, Gone] {
        let found = detect(&job, &[], presence);
        assert_eq!(shown(&found), ["Stopped[deleted]@10:40:00"]);
        assert_eq!(found[0].reason, "JobDeleted");
    }
}

#[rstest]
#[case::one(json!({}), 1, &["FaultTolerance[failed:1]@10:20:00"])]
#[case::at_the_limit(json!({"backoffLimit": 2}), 2, &["FaultTolerance[failed:2]@10:20:00"])]
#[case::over_the_limit(json!({"backoffLimit": 2}), 3, &[])]
#[case::no_retries(json!({"backoffLimit": 0}), 1, &[])]
#[case::over_the_default(json!({}), 7, &[])]
#[case::some_may_not_count(json!({"podFailurePolicy": {"rules": []}}), 7, &["FaultTolerance[failed:7]@10:20:00"])]
#[case::counted_by_index(
    json!({"backoffLimitPerIndex": 1, "backoffLimit": 2_147_483_647}), 9, &["FaultTolerance[failed:9]@10:20:00"])]
fn a_lost_pod_is_fault_tolerance_while_the_job_goes_on(
    #[case] spec: Value,
    #[case] failed: i64,
    #[case] expected: &[&str],
) {
    let job = job_with(&json!({}), &spec, &json!({"ready": 0, "active": 1, "failed": failed}));
    let found = detect(&job, &[failed_pod("w-0", "10:20:00", 1, "Error")], Present);
    assert_eq!(shown(&found), expected);
    for found in found {
        assert_eq!(found.data["restarts"], failed);
        assert_eq!(found.data["exitCode"], 1);
        assert_eq!(found.reason, "Error");
    }
}

#[test]
fn workers_that_restart_together_are_one_occurrence() {
    let running = job(&json!({"ready": 3, "startTime": at("10:00:01")}));
    let pods =
        [restarted_pod("w-0", "10:20:03", 1), restarted_pod("w-1", "10:20:41", 1), restarted_pod("w-2", "10:20:07", 2)];
    let found = detect(&running, &pods, Present);
    assert_eq!(shown(&found), ["Running[10:00:01]@-", "FaultTolerance[restarts@10:20:00]@10:20:41"]);
    let detail = json!({"restarts": 4, "pod": "w-1", "node": "node-1", "container": "main", "exitCode": 137,
        "podReason": "OOMKilled"});
    assert_eq!(Value::Object(found[1].data.clone()), detail);
}

#[test]
fn a_restart_without_a_time_is_told_by_its_count() {
    let main = json!({"name": "main", "restartCount": 2});
    let pods = [pod("w-0", &json!({"phase": "Running", "containerStatuses": [main]}))];
    proves(&job(&json!({"ready": 0})), &pods, Present, &["FaultTolerance[restarts:w-0:2]@-"]);
}

#[test]
fn preempted_pods_are_told_as_preempted_and_not_as_failed_too() {
    let pods = [
        disrupted_pod("w-0", "PreemptionByScheduler", "10:20:03"),
        disrupted_pod("w-1", "PreemptionByScheduler", "10:20:01"),
        disrupted_pod("w-2", "PreemptionByScheduler", "10:31:00"),
    ];
    let found = detect(&job(&json!({"ready": 1, "startTime": at("10:00:01"), "failed": 3})), &pods, Present);
    assert_eq!(
        shown(&found),
        ["Running[10:00:01]@-", "Preempted[preempted@10:20:00]@10:20:01", "Preempted[preempted@10:31:00]@10:31:00"]
    );
    assert_eq!(found[1].data["pods"], 2);
    assert_eq!(found[1].data["pod"], "w-1");
    assert_eq!(found[1].reason, "PreemptionByScheduler");
    let one_more = detect(&job(&json!({"ready": 0, "failed": 4})), &pods, Present);
    assert_eq!(shown(&one_more)[0], "FaultTolerance[failed:4]@-");
}

#[test]
fn a_job_that_asks_for_spot_nodes_bids_for_them_and_is_preempted_when_it_loses_them() {
    let spec =
        json!({"template": {"spec": {"nodeSelector": {"karpenter.sh/capacity-type": "spot"}, "containers": []}}});
    let no_node = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "lastTransitionTime": at("10:00:07")});
    let pods = [pod("w-0", &json!({"phase": "Pending", "conditions": [no_node]}))];
    let waiting = json!({"ready": 0, "active": 1, "startTime": at("10:00:01")});
    let spot = |status: &Value| job_with(&json!({}), &spec, status);
    proves(&spot(&waiting), &pods, Present, &["Queued[]@10:00:00", "BiddingStarted[]@10:00:07"]);
    proves(&job(&waiting), &pods, Present, &["Queued[]@10:00:00"]);
    let lost = [disrupted_pod("w-0", "DeletionByTaintManager", "10:20:03")];
    let running = json!({"ready": 1, "startTime": at("10:00:01"), "failed": 1});
    proves(&spot(&running), &lost, Present, &["Running[10:00:01]@-", "Preempted[reclaimed@10:20:00]@10:20:03"]);
}

#[test]
fn a_pod_lost_with_its_node_is_fault_tolerance() {
    let pods = [disrupted_pod("w-0", "DeletionByTaintManager", "10:20:03")];
    let found = detect(&job(&json!({"ready": 0, "failed": 1})), &pods, Present);
    assert_eq!(shown(&found), ["FaultTolerance[failed:1]@10:20:03"]);
    assert_eq!(found[0].data["podReason"], "DeletionByTaintManager");
}

#[rstest]
#[case::default(json!({}), Some(Source::DLCJob))]
#[case::unknown_value(json!({"notification.pai.dev/source": "Dlcjob"}), Some(Source::DLCJob))]
#[case::task(json!({"notification.pai.dev/source": "FlowTask"}), Some(Source::FlowTask))]
#[case::image(json!({"notification.pai.dev/image-of": "nb"}), Some(Source::DSWInstance))]
#[case::image_goes_before_source(
    json!({"notification.pai.dev/image-of": "nb", "notification.pai.dev/source": "FlowTask"}),
        Some(Source::DSWInstance))]
#[case::image_of_nothing(json!({"notification.pai.dev/image-of": ""}), Some(Source::DLCJob))]
fn a_label_decides_what_a_job_is(#[case] labels: Value, #[case] expected: Option<Source>) {
    assert_eq!(source(&job_with(&labels, &json!({}), &json!({}))), expected);
}

#[test]
fn a_job_that_saves_an_image_tells_of_the_image_only() {
    let told = |status: &Value| {
        detect(&job_with(&json!({"notification.pai.dev/image-of": "nb-li"}), &json!({}), status), &[], Present)
    };
    assert_eq!(shown(&told(&json!({}))), [""; 0]);
    assert_eq!(shown(&told(&json!({"ready": 1, "failed": 1}))), ["ImageSaving[]@-"]);
    let saved = told(&json!({"conditions": [condition("Complete", "", "11:00:00")]}));
    assert_eq!(shown(&saved), ["ImageSaved[]@11:00:00"]);
    assert_eq!(saved[0].data["instance"], "nb-li");
    assert_eq!(
        shown(&told(&json!({"conditions": [condition("Failed", "", "11:00:00")]}))),
        ["ImageSaveFailed[]@11:00:00"]
    );
}

#[test]
fn a_job_of_another_source_tells_in_the_words_of_that_source() {
    let complete = json!({"conditions": [condition("Complete", "", "11:00:00")]});
    let label = |source: &str| json!({"notification.pai.dev/source": source});
    proves(&job_with(&label("FlowTask"), &json!({}), &json!({"ready": 1})), &[], Present, &[]);
    proves(&job_with(&label("FlowTask"), &json!({}), &complete), &[], Present, &["Succeeded[]@11:00:00"]);
    proves(&job_with(&label("DSWInstance"), &json!({}), &json!({})), &[], Present, &["Creating[]@10:00:00"]);
    proves(&job_with(&label("DSWInstance"), &json!({}), &complete), &[], Present, &["Stopped[]@11:00:00"]);
    proves(&job_with(&label("Model"), &json!({}), &complete), &[], Present, &[]);
}

#[test]
fn times_that_cannot_be_are_shown_as_given() {
    let early = json!({"startTime": at("10:00:05"), "conditions": [condition("Failed", "X", "09:00:00")]});
    let found = detect(&job(&early), &[], Present);
    assert_eq!(shown(&found), ["Failed[]@09:00:00"]);
    assert!(!found[0].data.contains_key("durationSeconds"));
    let future =
        json!({"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2199-01-01T00:00:00Z"}]});
    assert_eq!(shown(&detect(&job(&future), &[], Present)), ["Failed[]@2199-01-01T00:00:00"]);
}

#[test]
fn two_jobs_of_one_name_are_two_subjects() {
    let mut other = job(&json!({}));
    other.metadata.uid = "u2".into();
    assert_ne!(subject(&job(&json!({}))), subject(&other));
    assert_eq!(subject(&other).api_version, "batch/v1", "a Volcano Job is told apart by its group");
}

#[rstest]
#[case::conditions_are_a_map(json!({"conditions": {"type": "Failed", "status": "True"}}), &["Queued[]@10:00:00"])]
#[case::condition_is_a_text(json!({"conditions": ["Failed", condition("Complete", "", "11:00:00")]}),
    &["Succeeded[]@11:00:00"])]
#[case::status_is_a_bool(json!({"conditions": [{"type": "Failed", "status": true}]}), &["Queued[]@10:00:00"])]
#[case::type_is_missing(json!({"conditions": [{"status": "True"}]}), &["Queued[]@10:00:00"])]
#[case::type_is_unknown(json!({"conditions": [condition("Paused", "", "11:00:00")]}), &["Queued[]@10:00:00"])]
#[case::time_is_a_number(json!({"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": 1}]}),
    &["Failed[]@-"])]
#[case::reason_is_a_list(json!({"conditions": [{"type": "Failed", "status": "True", "reason": ["x"]}]}),
    &["Failed[]@-"])]
#[case::counts_are_texts(json!({"ready": "1", "failed": "2"}), &["Queued[]@10:00:00"])]
#[case::counts_are_absurd(json!({"ready": -1, "failed": i64::MIN, "succeeded": u64::MAX}), &["Queued[]@10:00:00"])]
#[case::counts_are_fractions(json!({"ready": 0.5}), &["Queued[]@10:00:00"])]
#[case::status_is_a_list(json!([1, 2]), &["Queued[]@10:00:00"])]
#[case::suspended_without_a_time(
    json!({"startTime": at("10:00:01"), "conditions": [{"type": "Suspended", "status": "True"}]}),
        &["Stopped[suspended]@-"])]
#[case::both_ends(
    json!({"conditions": [condition("Complete", "", "11:00:00"), condition("Failed", "", "11:00:01")]}),
        &["Failed[]@11:00:01"])]
fn a_malformed_status_proves_what_can_be_read_of_it(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&job(&status), &[], Present, expected);
}

#[test]
fn any_object_is_a_job() {
    for text in ["{}", r#"{"metadata": 1, "spec": [], "status": "x"}"#, r#"{"metadata": {"labels": 3, "uid": {}}}"#] {
        let job: JobView = serde_json::from_str(text).unwrap();
        proves(&job, &[], Present, &["Queued[]@-"]);
    }
}

#[test]
fn ten_thousand_jobs_fit_in_memory() {
    assert!(size_of::<JobView>() <= 512, "{}", size_of::<JobView>());
}
