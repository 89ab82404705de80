//! Jobs of the Kubeflow training operator, version 1.

use rstest::rstest;

use super::*;

const KINDS: [&str; 6] = ["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "JAXJob", "PaddleJob"];

fn pytorch() -> Kind {
    kind("kubeflow.org/PyTorchJob", "v1")
}

fn of(status: &Value) -> Object {
    object(&json!({}), status)
}

fn since(start: &str, all: &[Value]) -> Value {
    json!({"startTime": at(start), "conditions": all})
}

#[rstest]
#[case::no_status(json!(null), &["Queued[]@10:00:00"])]
#[case::rejected_without_conditions(json!({}), &["Queued[]@10:00:00"])]
#[case::created(since("10:00:02", &[yes("Created", "PyTorchJobCreated", "10:00:01")]), &["Queued[]@10:00:00"])]
#[case::running(
    since("10:00:02", &[yes("Created", "", "10:00:01"), yes("Running", "PyTorchJobRunning", "10:00:09")]),
    &["Running[10:00:02]@10:00:09"])]
#[case::old_reason(since("10:00:02", &[yes("Running", "JobRunning", "10:00:09")]), &["Running[10:00:02]@10:00:09"])]
#[case::restarting(
    since("10:00:02", &[yes("Created", "", "10:00:01"), yes("Restarting", "PyTorchJobRestarting", "10:20:00")]),
    &["FaultTolerance[10:20:00]@10:20:00"])]
#[case::running_after_a_restart(
    since("10:00:02", &[yes("Running", "", "10:20:30")]), &["Running[10:00:02]@10:20:30"])]
#[case::workers_lost_while_it_runs(
    json!({"startTime": at("10:00:02"), "replicaStatuses": {"Worker": {"failed": 2}, "Master": {"failed": 1}},
        "conditions": [yes("Running", "", "10:00:09")]}),
    &["Running[10:00:02]@10:00:09", "FaultTolerance[failed:3]@-"])]
#[case::succeeded(
    json!({"startTime": at("10:00:02"), "completionTime": at("11:00:00"),
        "conditions": [not("Running", "", "11:00:01"), yes("Succeeded", "PyTorchJobSucceeded", "11:00:01")]}),
    &["Succeeded[]@11:00:00"])]
#[case::failed(
    json!({"conditions": [yes("Failed", "PyTorchJobFailed", "11:00:01")]}), &["Failed[]@11:00:01"])]
#[case::failed_after_success(
    json!({"conditions": [yes("Succeeded", "", "11:00:00"), yes("Failed", "", "11:00:01")]}), &["Failed[]@11:00:01"])]
fn what_a_job_proves(#[case] status: Value, #[case] expected: &[&str]) {
    for name in KINDS {
        proves(&kind(&format!("kubeflow.org/{name}"), "v1"), &of(&status), expected);
    }
}

#[test]
fn a_terminal_state_that_is_the_first_thing_seen_is_the_only_thing_told() {
    let end = yes("Failed", "PyTorchJobFailed", "11:00:00");
    let status = json!({"startTime": at("10:00:02"), "completionTime": at("11:00:00"),
        "replicaStatuses": {"Worker": {"failed": 2}}, "conditions": [yes("Running", "", "10:00:09"), end]});
    for presence in [Presence::Present, Presence::Deleted, Presence::Gone] {
        leaves(&pytorch(), &of(&status), presence, &["Failed[]@11:00:00"]);
    }
    assert!(pytorch().is_finished(&of(&status)));
}

#[test]
fn a_deadline_shows_only_in_the_message() {
    let mut end = yes("Failed", "PyTorchJobFailed", "11:00:00");
    end["message"] = json!("PyTorchJob nightly has failed because it was active longer than specified deadline");
    let job = object(&json!({"runPolicy": {"activeDeadlineSeconds": 3600}}), &conditions(&[end]));
    proves(&pytorch(), &job, &["Failed![]@11:00:00"]);
    let found = pytorch().detect(&job, &Below::default(), Presence::Present).found;
    assert_eq!(found[0].data["activeDeadlineSeconds"], 3600);
}

#[test]
fn a_job_suspended_by_hand_is_stopped_and_by_kueue_queued() {
    let resumed = |start| since(start, &[not("Suspended", "PyTorchJobResumed", start), yes("Running", "", "10:20:09")]);
    let suspended =
        |clock, start| since(start, &[not("Running", "", clock), yes("Suspended", "PyTorchJobSuspended", clock)]);
    proves(&pytorch(), &of(&suspended("10:10:00", "10:00:02")), &["Stopped[10:10:00]@10:10:00"]);
    proves(&pytorch(), &of(&resumed("10:20:00")), &["Running[10:20:00]@10:20:09"]);
    proves(&pytorch(), &of(&suspended("10:30:00", "10:20:00")), &["Stopped[10:30:00]@10:30:00"]);
    leaves(&pytorch(), &of(&suspended("10:30:00", "10:20:00")), Presence::Deleted, &["Stopped[10:30:00]@10:30:00"]);
    let evicted = labelled(&kueue(), &json!({}), &suspended("10:10:00", "10:00:02"));
    proves(&pytorch(), &evicted, &["Queued[10:10:00]@10:10:00"]);
    let created = conditions(&[yes("Created", "", "10:00:01"), yes("Suspended", "", "10:00:01")]);
    proves(&pytorch(), &of(&created), &["Queued[]@10:00:00"]);
    proves(&pytorch(), &labelled(&kueue(), &json!({}), &created), &["Queued[]@10:00:00"]);
}

#[test]
fn a_job_deleted_before_its_end_is_stopped_once() {
    let running = since("10:00:02", &[yes("Running", "", "10:00:09")]);
    leaves(&pytorch(), &of(&running), Presence::Deleted, &["Stopped[deleted]@-"]);
    leaves(&pytorch(), &of(&running), Presence::Gone, &["Stopped[deleted]@-"]);
    let found = pytorch().detect(&of(&running), &Below::default(), Presence::Gone).found;
    assert_eq!((found[0].reason.as_str(), found[0].message.as_str()), ("Gone", "gone; the cause was not observed"));
    let mut deleting = of(&running);
    deleting.metadata.deletion = at("10:40:00").parse().ok();
    for presence in [Presence::Present, Presence::Deleted, Presence::Gone] {
        leaves(&pytorch(), &deleting, presence, &["Stopped[deleted]@10:40:00"]);
    }
}

#[test]
fn pods_add_restarts_preemption_and_the_cause_of_a_failure() {
    let exit = |clock| json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at(clock)}});
    let restarted = pod(
        "w-1",
        &json!({"phase": "Running", "containerStatuses":
        [{"name": "pytorch", "restartCount": 2, "lastState": exit("10:20:41")}]}),
    );
    let preempted = pod(
        "w-2",
        &json!({"phase": "Running", "conditions": [yes("DisruptionTarget", "PreemptionByScheduler", "10:30:00")]}),
    );
    let failed =
        pod("w-3", &json!({"phase": "Failed", "containerStatuses": [{"name": "pytorch", "state": exit("10:59:00")}]}));
    let pods = [restarted, preempted, failed];
    let below = Below { pods: &pods, lent: &[] };
    let running = of(&since("10:00:02", &[yes("Running", "", "10:00:09")]));
    proves_below(
        &pytorch(),
        &running,
        &below,
        &[
            "Running[10:00:02]@10:00:09",
            "FaultTolerance[restarts@10:20:00]@10:20:41",
            "Preempted[preempted@10:30:00]@10:30:00",
        ],
    );
    let over = of(&since("10:00:02", &[yes("Failed", "", "11:00:00")]));
    let found = pytorch().detect(&over, &below, Presence::Present).found;
    assert_eq!(shown(&found), ["Failed[]@11:00:00"]);
    let detail = json!({"startTime": at("10:00:02"), "endTime": at("11:00:00"), "durationSeconds": 3598, "pod": "w-3",
        "node": "node-1", "container": "pytorch", "exitCode": 137, "podReason": "OOMKilled"});
    assert_eq!(Value::Object(found[0].data.clone()), detail);
}

mod mpi_v2beta1 {
    use super::*;

    fn mpi() -> Kind {
        kind("kubeflow.org/MPIJob", "v2beta1")
    }

    fn failed(reason: &str) -> Value {
        json!({"startTime": at("10:00:02"), "completionTime": at("11:00:00"), "conditions": [yes("Failed", reason,
            "11:00:01")]})
    }

    #[rstest]
    #[case::created(since("10:00:02", &[yes("Created", "MPIJobCreated", "10:00:02")]), &["Queued[]@10:00:00"])]
    #[case::running(
        since("10:00:02", &[yes("Created", "", "10:00:02"), yes("Running", "MPIJobRunning", "10:00:30")]),
        &["Running[10:00:02]@10:00:30"])]
    #[case::finished_before_it_was_seen_running(
        json!({"startTime": at("10:00:02"), "completionTime": at("10:01:00"),
            "conditions": [not("Running", "", "10:01:00"), yes("Succeeded", "MPIJobSucceeded", "10:01:00")]}),
        &["Succeeded[]@10:01:00"])]
    #[case::failed(failed("BackoffLimitExceeded/OOMKilled"), &["Failed[]@11:00:00"])]
    #[case::failed_for_no_reason_of_a_pod(failed("BackoffLimitExceeded/"), &["Failed[]@11:00:00"])]
    #[case::timeout(failed("DeadlineExceeded"), &["Failed![]@11:00:00"])]
    #[case::evicted(
        since("10:00:02", &[yes("Running", "", "10:00:30"), yes("Failed", "MPIJobEvicted", "10:30:00")]),
        &["Running[10:00:02]@10:00:30", "FaultTolerance[10:30:00]@10:30:00"])]
    #[case::evicted_and_then_successful(
        json!({"completionTime": at("11:00:00"),
            "conditions": [yes("Failed", "MPIJobEvicted", "10:30:00"), yes("Succeeded", "", "11:00:00")]}),
        &["Succeeded[]@11:00:00"])]
    #[case::evicted_for_good(failed("MPIJobEvicted"), &["Failed[]@11:00:00"])]
    #[case::suspended_by_hand(
        since("10:00:02", &[not("Running", "", "10:10:00"), yes("Suspended", "MPIJobSuspended", "10:10:00")]),
        &["Stopped[10:10:00]@10:10:00"])]
    fn what_a_job_proves(#[case] status: Value, #[case] expected: &[&str]) {
        proves(&mpi(), &of(&status), expected);
    }

    #[test]
    fn the_two_versions_are_told_apart_by_what_the_cluster_serves() {
        let catalog = Catalog::built_in();
        let served = |versions: &[&str]| {
            catalog
                .serving("kubeflow.org", "MPIJob", versions)
                .map(|(kind, version)| (kind.file().to_owned(), version.to_owned()))
        };
        let is = |file: &str, version: &str| Some((file.to_owned(), version.to_owned()));
        assert_eq!(served(&["v1"]), is("kubeflow-mpijob-v1.yaml", "v1"));
        assert_eq!(served(&["v2beta1"]), is("kubeflow-mpijob-v2beta1.yaml", "v2beta1"));
        assert_eq!(served(&["v3"]), None);
    }

    #[test]
    fn a_job_suspended_by_kueue_waits_again() {
        let status = since("10:00:02", &[not("Running", "", "10:10:00"), yes("Suspended", "", "10:10:00")]);
        proves(&mpi(), &labelled(&kueue(), &json!({}), &status), &["Queued[10:10:00]@10:10:00"]);
    }
}
