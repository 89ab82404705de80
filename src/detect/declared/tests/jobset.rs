//! `JobSet`s, and `TrainJob`s over them.

use rstest::rstest;

use super::*;
use crate::detect::job::JobView;

fn jobset() -> Kind {
    kind("jobset.x-k8s.io/JobSet", "v1alpha2")
}

fn trainjob() -> Kind {
    kind("trainer.kubeflow.org/TrainJob", "v1alpha1")
}

/// Two workers and a driver.
fn spec() -> Value {
    json!({"replicatedJobs": [{"name": "driver"}, {"name": "workers", "replicas": 2}]})
}

fn jobs(driver: [i64; 2], workers: [i64; 2]) -> Value {
    let one = |name: &str, [ready, succeeded]: [i64; 2]| {
        json!({"name": name, "ready": ready, "succeeded": succeeded,
        "active": 1})
    };
    json!([one("driver", driver), one("workers", workers)])
}

fn of(status: &Value) -> Object {
    object(&spec(), status)
}

#[rstest]
#[case::no_status(json!({}), &["Queued[]@10:00:00"])]
#[case::pods_starting(json!({"replicatedJobsStatus": jobs([0, 0], [0, 0])}), &["Queued[]@10:00:00"])]
#[case::half_ready(json!({"replicatedJobsStatus": jobs([1, 0], [1, 0])}), &[])]
#[case::running(json!({"replicatedJobsStatus": jobs([1, 0], [2, 0])}), &["Running[]@-"])]
#[case::driver_done(json!({"replicatedJobsStatus": jobs([0, 1], [2, 0])}), &["Running[]@-"])]
#[case::created_suspended(conditions(&[yes("Suspended", "SuspendedJobs", "10:00:01")]), &["Queued[]@10:00:00"])]
#[case::resumed_is_not_running(
    json!({"conditions": [not("Suspended", "ResumeJobs", "10:05:00")], "replicatedJobsStatus": jobs([0, 0], [0, 0])}),
    &["Queued[]@10:00:00"])]
#[case::running_after_it_was_resumed(
    json!({"conditions": [not("Suspended", "ResumeJobs", "10:05:00")], "replicatedJobsStatus": jobs([1, 0], [2, 0])}),
    &["Running[10:05:00]@-"])]
#[case::suspended_by_hand(conditions(&[yes("Suspended", "SuspendedJobs", "10:30:00")]),
    &["Stopped[10:30:00]@10:30:00"])]
#[case::restarting(
    json!({"restarts": 1, "conditions": [yes("RestartingJobSet", "DefaultFailurePolicy", "10:20:00")]}),
    &["FaultTolerance[restarts:1]@10:20:00"])]
#[case::restarted(
    json!({"restarts": 2, "replicatedJobsStatus": jobs([1, 0], [2, 0]), "conditions": [not("RestartingJobSet",
        "JobsReady", "10:21:00")]}),
    &["Running[]@-", "FaultTolerance[restarts:2]@10:21:00"])]
#[case::one_job_restarting(
    conditions(&[yes("RestartingJobSet", "FailurePolicy_retry", "10:20:00")]),
    &["Queued[]@10:00:00", "FaultTolerance[10:20:00]@10:20:00"])]
#[case::completed(
    json!({"terminalState": "Completed", "conditions": [yes("Completed", "AllJobsCompleted", "11:00:00")]}),
        &["Succeeded[]@11:00:00"])]
#[case::failed(
    json!({"restarts": 3, "conditions": [yes("Failed", "ReachedMaxRestarts", "11:00:00")]}), &["Failed[]@11:00:00"])]
fn what_a_jobset_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&jobset(), &of(&status), expected);
}

#[test]
fn a_jobset_restarts_twice_between_two_watch_events() {
    let status = json!({"restarts": 2, "replicatedJobsStatus": jobs([1, 0], [2, 0])});
    let found = jobset().detect(&of(&status), &Below::default(), Presence::Present).found;
    assert_eq!(shown(&found), ["Running[]@-", "FaultTolerance[restarts:2]@-"]);
    assert_eq!(found[1].data["restarts"], 2);
}

#[test]
fn a_jobset_runs_since_the_first_pod_of_its_present_run() {
    let ready = |clock| pod("w", &json!({"phase": "Running", "conditions": [yes("Ready", "", clock)]}));
    let pods = [ready("10:00:40"), ready("10:05:20"), ready("10:05:30")];
    let below = Below { pods: &pods, lent: &[] };
    let status = json!({"replicatedJobsStatus": jobs([1, 0], [2, 0]), "conditions": [not("Suspended", "ResumeJobs",
        "10:05:00")]});
    proves_below(&jobset(), &of(&status), &below, &["Running[10:05:00]@10:05:20"]);
    let suspended = conditions(&[yes("Suspended", "SuspendedJobs", "10:00:03")]);
    // Its Pods are seen to be ready before it is seen to be resumed.
    proves_below(&jobset(), &of(&suspended), &below, &["Queued[]@10:00:00"]);
    let pods = [ready("10:00:02")];
    let below = Below { pods: &pods, lent: &[] };
    proves_below(&jobset(), &of(&suspended), &below, &["Stopped[10:00:03]@10:00:03"]);
    proves_below(&jobset(), &labelled(&kueue(), &spec(), &suspended), &below, &["Queued[10:00:03]@10:00:03"]);
}

#[test]
fn a_jobset_deleted_before_its_end_is_stopped() {
    leaves(
        &jobset(),
        &of(&json!({"replicatedJobsStatus": jobs([1, 0], [2, 0])})),
        Presence::Deleted,
        &["Stopped[deleted]@-"],
    );
    leaves(
        &jobset(),
        &of(&conditions(&[yes("Completed", "", "11:00:00")])),
        Presence::Deleted,
        &["Succeeded[]@11:00:00"],
    );
}

/// What a Job of this name lends.
fn lent_job(name: &str, status: &Value) -> Lent {
    let job = json!({"metadata": {"name": name, "creationTimestamp": at("10:00:00")}, "status": status});
    Lent::of_job(&serde_json::from_value::<JobView>(job).unwrap(), &[])
}

#[test]
fn the_deadline_of_a_jobset_is_that_of_its_first_failed_job() {
    let mut failed = yes("Failed", "FailedJobs", "11:00:00");
    failed["message"] = json!("jobset failed due to one or more job failures (first failed job: nightly-workers-0)");
    let set = of(&conditions(&[failed]));
    let timed_out = |name| lent_job(name, &conditions(&[yes("Failed", "DeadlineExceeded", "10:59:59")]));
    let lent = [timed_out("nightly-workers-0")];
    proves_below(&jobset(), &set, &Below { pods: &[], lent: &lent }, &["Failed![]@11:00:00"]);
    let of_another = [
        timed_out("nightly-driver-0"),
        lent_job("nightly-workers-0", &conditions(&[yes("Failed", "BackoffLimitExceeded", "10:59:59")])),
    ];
    proves_below(&jobset(), &set, &Below { pods: &[], lent: &of_another }, &["Failed[]@11:00:00"]);
}

#[test]
fn the_pods_that_its_jobs_lost_are_told_of_the_jobset() {
    let lent = [lent_job("nightly-workers-0", &json!({"failed": 1, "ready": 1, "startTime": at("10:00:01")}))];
    let running = of(&json!({"replicatedJobsStatus": jobs([1, 0], [2, 0])}));
    proves_below(
        &jobset(),
        &running,
        &Below { pods: &[], lent: &lent },
        &["Running[]@-", "FaultTolerance[nightly-workers-0:failed:1]@-"],
    );
}

#[rstest]
#[case::no_status(json!({}), &["Queued[]@10:00:00"])]
#[case::fetching_the_data(
    json!({"jobsStatus": [{"name": "dataset-initializer", "ready": 1}, {"name": "node", "ready": 0}]}), &[])]
#[case::running(
    json!({"jobsStatus": [{"name": "dataset-initializer", "succeeded": 1}, {"name": "node", "ready": 1}]}),
        &["Running[]@-"])]
#[case::created_suspended(conditions(&[yes("Suspended", "Suspended", "10:00:01")]), &["Queued[]@10:00:00"])]
#[case::running_after_it_was_resumed(
    json!({"conditions": [not("Suspended", "Resumed", "10:05:00")], "jobsStatus": [{"name": "node", "ready": 2}]}),
    &["Running[10:05:00]@-"])]
#[case::suspended_by_hand(
    json!({"conditions": [yes("Suspended", "Suspended", "10:30:00")], "jobsStatus": [{"name": "node", "ready": 0}]}),
    &["Stopped[10:30:00]@10:30:00"])]
#[case::complete(conditions(&[yes("Complete", "AllJobsCompleted", "11:00:00")]), &["Succeeded[]@11:00:00"])]
#[case::failed(conditions(&[yes("Failed", "FailedJobs", "11:00:00")]), &["Failed[]@11:00:00"])]
#[case::refused(conditions(&[yes("Failed", "TrainingRuntimeNotSupported", "10:00:01")]), &["Failed[]@10:00:01"])]
#[case::timeout(conditions(&[yes("Failed", "DeadlineExceeded", "11:00:00")]), &["Failed![]@11:00:00"])]
fn what_a_trainjob_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&trainjob(), &object(&json!({}), &status), expected);
}

#[test]
fn a_trainjob_is_told_the_restarts_of_its_jobset_and_nothing_twice() {
    let running = object(&json!({}), &json!({"jobsStatus": [{"name": "node", "ready": 2}]}));
    let set = of(&json!({"restarts": 1, "replicatedJobsStatus": jobs([1, 0], [2, 0])}));
    let (lent, problems) = jobset().lend(&set, &Below::default());
    assert_eq!(problems, []);
    let lent = [lent];
    let below = Below { pods: &[], lent: &lent };
    proves_below(&trainjob(), &running, &below, &["Running[]@-", "FaultTolerance[nightly:restarts:1]@-"]);
    let found = trainjob().detect(&running, &below, Presence::Present).found;
    assert_eq!(found[1].data["from"], "JobSet/nightly");
    // The JobSet is removed once the TrainJob is over, and has failed before it did.
    let over = object(&json!({}), &conditions(&[yes("Failed", "FailedJobs", "11:00:00")]));
    proves_below(&trainjob(), &over, &below, &["Failed[]@11:00:00"]);
}
