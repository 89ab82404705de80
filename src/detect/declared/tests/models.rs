//! Models: whether they are served, and whether they are approved.

use rstest::rstest;

use super::*;

fn service() -> Kind {
    kind("serving.kserve.io/InferenceService", "v1beta1")
}

fn with_model(transition: &str, condition: &Value) -> Value {
    json!({"conditions": [condition], "modelStatus": {"transitionStatus": transition}})
}

fn blocked(transition: &str) -> Value {
    json!({"conditions": [not("Ready", "PredictorNotReady", "10:20:00")],
        "modelStatus": {"transitionStatus": transition,
        "states": {"activeModelState": "", "targetModelState": "FailedToLoad"},
        "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such file", "time": at("10:19:58")}}})
}

#[rstest]
#[case::no_status(json!({}), &[])]
#[case::rolling_out(conditions(&[{ let mut it = yes("Ready", "", "10:00:09"); it["status"] = json!("Unknown"); it }]),
    &[])]
#[case::ready(conditions(&[yes("Ready", "", "10:00:09")]), &["StatusChanged[Ready:2]@10:00:09"])]
#[case::not_ready_yet(conditions(&[not("Ready", "PredictorNotReady", "10:00:09")]), &[])]
#[case::loading(with_model("InProgress", &not("Ready", "PredictorNotReady", "10:20:00")), &[])]
#[case::not_ready(
    with_model("UpToDate", &not("Ready", "PredictorNotReady", "10:20:00")), &["StatusChanged[NotReady:2]@10:20:00"])]
#[case::not_loaded(blocked("BlockedByFailedLoad"), &["StatusChanged[FailedToLoad:10:19:58]@10:19:58"])]
#[case::invalid(blocked("InvalidSpec"), &["StatusChanged[FailedToLoad:10:19:58]@10:19:58"])]
#[case::stopped(
    conditions(&[not("Ready", "Stopped", "10:30:00"), yes("Stopped", "Stopped", "10:30:00")]),
        &["StatusChanged[Stopped:10:30:00]@10:30:00"])]
fn what_an_inference_service_proves(#[case] status: Value, #[case] expected: &[&str]) {
    proves(&service(), &object(&json!({}), &status), expected);
}

#[test]
fn a_service_that_comes_and_goes_with_its_pods_is_told_once_for_each_spec() {
    let ready = |clock| object(&json!({}), &conditions(&[yes("Ready", "", clock)]));
    let names =
        |object: &Object| service().detect(object, &Below::default(), Presence::Present).found[0].occurrence.clone();
    assert_eq!(names(&ready("10:00:09")), names(&ready("10:40:00")));
    let mut changed = ready("10:40:00");
    changed.metadata.generation = Some(3);
    assert_ne!(names(&ready("10:00:09")), names(&changed));
}

/// A model version with this metadata.
fn version(metadata: &Value) -> Object {
    Object::from(json!({"metadata": metadata}))
}

fn model() -> Kind {
    kind("model.kubedl.io/ModelVersion", "v1alpha1")
}

const KEY: &str = "notification.pai.dev/approval";

/// Somebody who set the approval, and these other fields.
fn manager(fields: &str, clock: &str, others: &[&str]) -> Value {
    let mut all = json!({"f:metadata": {fields: {format!("f:{KEY}"): {}}}});
    for other in others {
        all[*other] = json!({});
    }
    json!({"manager": "kubectl", "operation": "Update", "time": at(clock), "fieldsV1": all})
}

#[rstest]
#[case::approved(json!({"annotations": {KEY: "Approved"}}), &["Approved[approval:Approved]@-"])]
#[case::by_a_label(json!({"labels": {KEY: "Approved"}}), &["Approved[approval:Approved]@-"])]
#[case::the_annotation_goes_first(
    json!({"labels": {KEY: "Approved"}, "annotations": {KEY: "Rejected"}}), &["StatusChanged[approval:Rejected]@-"])]
#[case::pending(json!({"annotations": {KEY: "pending"}}), &["StatusChanged[approval:Pending]@-"])]
#[case::something_else(json!({"annotations": {KEY: "maybe"}}), &[])]
#[case::of_the_wrong_type(json!({"annotations": {KEY: 1}}), &[])]
#[case::by_somebody_who_set_only_that(
    json!({"annotations": {KEY: "Approved"}, "managedFields": [manager("f:annotations", "10:20:00", &[])]}),
    &["Approved[approval:Approved@10:20:00]@10:20:00"])]
#[case::by_somebody_who_sets_the_spec_too(
    json!({"annotations": {KEY: "Approved"}, "managedFields": [manager("f:annotations", "10:20:00", &["f:spec"])]}),
    &["Approved[approval:Approved]@10:20:00"])]
#[case::of_another_place(
    json!({"annotations": {KEY: "Approved"}, "managedFields": [manager("f:labels", "10:20:00", &[])]}),
    &["Approved[approval:Approved]@-"])]
#[case::fields_of_the_wrong_type(
    json!({"annotations": {KEY: "Approved"}, "managedFields": [{"fieldsV1": {"f:metadata": [1]}}, "x",
        {"fieldsV1": 3}]}),
    &["Approved[approval:Approved]@-"])]
fn an_approval_of_ours_on_a_model(#[case] metadata: Value, #[case] expected: &[&str]) {
    proves(&model(), &version(&metadata), expected);
}

#[test]
fn an_approval_says_nothing_on_what_is_no_model() {
    let job = version(&json!({"annotations": {KEY: "Approved"}, "creationTimestamp": at("10:00:00")}));
    proves(&kind("kubeflow.org/PyTorchJob", "v1"), &job, &["Queued[]@10:00:00"]);
    proves(&service(), &job, &["Approved[approval:Approved]@-"]);
    let metadata = json!({"annotations": {KEY: "Approved"}, "labels": {"notification.pai.dev/source": "Model"}});
    proves(&kind("kubeflow.org/PyTorchJob", "v1"), &version(&metadata), &["Approved[approval:Approved]@-"]);
    leaves(&service(), &job, Presence::Deleted, &[]);
}

#[test]
fn an_approval_and_a_change_of_status_are_two_events() {
    let mut approved =
        object(&json!({}), &json!({"imageBuildPhase": "ImageBuildSucceeded", "finishTime": at("11:00:00")}));
    approved.approval = version(&json!({"annotations": {KEY: "Approved"}})).approval;
    proves(&model(), &approved, &["StatusChanged[ImageBuildSucceeded]@11:00:00", "Approved[approval:Approved]@-"]);
}
