//! Kinds that save an image of an instance.

use rstest::rstest;

use super::*;

#[rstest]
#[case::no_status(json!({}), &["ImageSaving[]@10:00:00"])]
#[case::running(json!({"phase": "Running", "startTime": at("10:00:05")}), &["ImageSaving[]@10:00:05"])]
#[case::saved(
    json!({"phase": "Succeeded", "startTime": at("10:00:05"), "completionTime": at("10:05:00")}),
        &["ImageSaved[]@10:05:00"])]
#[case::failed(
    json!({"phase": "Failed", "completionTime": at("10:05:00"), "conditions": [yes("CommitContainer", "", "10:04:00"),
        not("PushCommittedImage", "Unauthorized", "10:05:00")]}),
    &["ImageSaveFailed[]@10:05:00"])]
fn what_a_commit_proves(#[case] status: Value, #[case] expected: &[&str]) {
    let spec = json!({"podName": "lab-0", "containerName": "lab", "image": "registry.example.com/lab:1"});
    let commit = kind("agents.kruise.io/Commit", "v1alpha1");
    proves(&commit, &object(&spec, &status), expected);
    let found = commit.detect(&object(&spec, &status), &Below::default(), Presence::Present).found;
    assert_eq!(
        (&found[0].data["instance"], &found[0].data["image"]),
        (&json!("lab-0"), &json!("registry.example.com/lab:1"))
    );
    if expected[0].starts_with("ImageSaveFailed") {
        assert_eq!(
            (found[0].reason.as_str(), found[0].message.as_str()),
            ("PushCommittedImage", "about PushCommittedImage")
        );
    }
    leaves(&commit, &object(&spec, &json!({"phase": "Running"})), Presence::Deleted, &[]);
}

#[rstest]
#[case::pending(json!({"phase": "Pending"}), &["ImageSaving[]@10:00:00"])]
#[case::committing(json!({"phase": "Committing"}), &["ImageSaving[]@10:00:00"])]
#[case::saved(json!({"phase": "Succeed", "conditions": [yes("Ready", "", "10:05:00")]}), &["ImageSaved[]@10:05:00"])]
#[case::failed(json!({"phase": "Failed", "conditions": [yes("Failed", "CommitFailed", "10:05:00")]}),
    &["ImageSaveFailed[]@10:05:00"])]
#[case::no_such_word(json!({"phase": "Succeeded"}), &[])]
fn what_a_snapshot_proves(#[case] status: Value, #[case] expected: &[&str]) {
    let snapshot = object(&json!({"sandboxName": "lab"}), &status);
    proves(&kind("sandbox.opensandbox.io/SandboxSnapshot", "v1alpha1"), &snapshot, expected);
}

#[rstest]
#[case::pending(json!({"phase": "Pending"}), &["ImageSaving[]@10:00:00"])]
#[case::saved(json!({"phase": "Success"}), &["ImageSaved[]@-"])]
#[case::failed(json!({"phase": "Failed"}), &["ImageSaveFailed[]@-"])]
fn what_a_release_proves(#[case] status: Value, #[case] expected: &[&str]) {
    let release = object(&json!({"devboxName": "lab"}), &status);
    proves(&kind("devbox.sealos.io/DevboxRelease", "v1alpha2"), &release, expected);
    proves(&kind("devbox.sealos.io/DevBoxRelease", "v1alpha1"), &release, expected);
}
