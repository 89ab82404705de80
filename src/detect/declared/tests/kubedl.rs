//! Kinds of KubeDL: jobs, model versions, notebooks.

use rstest::rstest;

use super::*;

const JOBS: [&str; 7] = ["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "XDLJob", "MarsJob", "ElasticDLJob"];

#[rstest]
#[case::no_status(json!({}), &["Queued[]@10:00:00"])]
#[case::enqueued(
    conditions(&[yes("Created", "JobCreated", "10:00:01"), yes("Queuing", "JobEnqueued", "10:00:02")]),
        &["Queued[]@10:00:00"])]
#[case::dequeued(conditions(&[yes("Queuing", "JobDequeued", "10:00:02")]), &["Queued[]@10:00:00"])]
#[case::running(conditions(&[yes("Queuing", "JobDequeued", "10:00:02"), yes("Running", "JobRunning", "10:00:09")]),
    &["Running[]@10:00:09"])]
#[case::restarting(conditions(&[yes("Restarting", "JobRestarting", "10:20:00")]),
    &["FaultTolerance[10:20:00]@10:20:00"])]
#[case::succeeded(
    json!({"completionTime": at("11:00:00"), "conditions": [yes("Succeeded", "JobSucceeded", "11:00:01")]}),
        &["Succeeded[]@11:00:00"])]
#[case::failed(conditions(&[yes("Failed", "JobFailed", "11:00:00")]), &["Failed[]@11:00:00"])]
#[case::evicted(
    conditions(&[yes("Failed", "JobEvicted", "11:00:00")]), &["Failed[]@11:00:00", "Preempted[]@11:00:00"])]
fn what_a_job_proves(#[case] status: Value, #[case] expected: &[&str]) {
    for name in JOBS {
        proves(&kind(&format!("training.kubedl.io/{name}"), "v1alpha1"), &object(&json!({}), &status), expected);
    }
}

#[test]
fn a_deadline_of_a_job_shows_only_in_its_message() {
    let mut failed = yes("Failed", "JobFailed", "11:00:00");
    failed["message"] = json!("TFJob nightly has failed because it was active longer than specified deadline");
    proves(
        &kind("training.kubedl.io/TFJob", "v1alpha1"),
        &object(&json!({}), &conditions(&[failed])),
        &["Failed![]@11:00:00"],
    );
}

#[test]
fn a_job_that_is_deleted_before_its_end_is_stopped() {
    let job = kind("training.kubedl.io/XDLJob", "v1alpha1");
    leaves(
        &job,
        &object(&json!({}), &conditions(&[yes("Running", "", "10:00:09")])),
        Presence::Deleted,
        &["Stopped[deleted]@-"],
    );
}

#[rstest]
#[case::no_status(json!({}), &[])]
#[case::not_begun(json!({"imageBuildPhase": ""}), &[])]
#[case::building(json!({"imageBuildPhase": "ImageBuilding"}), &["StatusChanged[ImageBuilding]@-"])]
#[case::built(
    json!({"imageBuildPhase": "ImageBuildSucceeded", "finishTime": at("11:00:00")}),
        &["StatusChanged[ImageBuildSucceeded]@11:00:00"])]
#[case::failed(
    json!({"imageBuildPhase": "ImageBuildFailed", "finishTime": at("11:00:00")}),
        &["StatusChanged[ImageBuildFailed]@11:00:00"])]
fn what_a_model_version_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&kind("model.kubedl.io/ModelVersion", "v1alpha1"), &object(&json!({}), &status), expected);
}

#[test]
fn a_model_version_that_is_deleted_tells_nothing_new() {
    let version = object(&json!({}), &json!({"imageBuildPhase": "ImageBuilding"}));
    leaves(&kind("model.kubedl.io/ModelVersion", "v1alpha1"), &version, Presence::Deleted, &[]);
}

fn notebook(condition: &str, message: &str) -> Value {
    json!({"condition": condition, "message": message, "lastTransitionTime": at("10:00:09")})
}

#[rstest]
#[case::no_status(json!({}), &["Creating[]@10:00:00"])]
#[case::created(notebook("Created", ""), &["Creating[]@10:00:00"])]
#[case::running(notebook("Running", ""), &["Running[]@10:00:09"])]
#[case::stopped(notebook("Terminated", "Notebook pod phase: Succeeded"), &["Stopped[]@10:00:09"])]
#[case::failed(notebook("Terminated", "Notebook pod phase: Failed"), &["Failed[]@10:00:09"])]
fn what_a_notebook_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&kind("notebook.kubedl.io/Notebook", "v1alpha1"), &object(&json!({}), &status), expected);
}
