use serde_json::json;

use super::*;
use crate::registry::{kubeflow, mlflow};

const MILLIS: i64 = 1_795_000_000_000;

#[test]
fn a_page_of_mlflow_is_read_and_what_cannot_be_read_is_left_out() {
    let body = json!({"next_page_token": "t2", "model_versions": [
        {"name": "iris", "version": "3", "creation_timestamp": MILLIS, "last_updated_timestamp": MILLIS.to_string(),
         "current_stage": "Production", "status": "READY", "source": "s3://m", "run_id": "r",
         "tags": [{"key": "validation_status", "value": "approved"}, {"key": "empty"}], "aliases": ["a"], "new_field": 1},
        {"name": "iris", "version": 4, "current_stage": "None", "creation_timestamp": {}, "last_updated_timestamp": "x"},
        {"name": "", "version": "5"}, {"name": "iris"}, {"version": "6"}, 7, null, [],
        {"name": "iris", "version": "8", "tags": "x"}]});
    let page = mlflow::versions(body.to_string().as_bytes()).unwrap();
    assert_eq!(page.next.as_deref(), Some("t2"));
    let [first, second] = page.items.as_slice() else { panic!("{page:?}") };
    let time = Timestamp::from_millisecond(MILLIS).ok();
    assert_eq!((first.version.as_str(), first.created, first.updated), ("3", time, time));
    assert_eq!((first.stage.as_deref(), first.tags.len()), (Some("Production"), 2));
    assert_eq!((second.version.as_str(), &second.stage, second.created), ("4", &None, None));
    for (body, wanted) in
        [("{}", true), (r#"{"model_versions": 1, "next_page_token": ""}"#, true), ("[]", false), ("<html>", false)]
    {
        let read = mlflow::versions(body.as_bytes());
        assert_eq!(read.is_ok_and(|page| page.items.is_empty() && page.next.is_none()), wanted, "{body}");
    }
    let body = json!({"registered_models": [
        {"name": "iris", "aliases": [{"alias": "champion", "version": "3"}, {"alias": "b", "version": 4}]}, {"name": "x"}]});
    let aliases: Vec<_> = mlflow::aliases(body.to_string().as_bytes()).unwrap().items.into_iter().flatten().collect();
    let own = |alias: &str, version: &str| ("iris".to_owned(), alias.to_owned(), version.to_owned());
    assert_eq!(aliases, [own("champion", "3"), own("b", "4")]);
}

#[test]
fn a_page_of_kubeflow_is_read() {
    let property = |field: &str, value: Value| json!({"metadataType": "x", field: value});
    let body = json!({"nextPageToken": "", "pageSize": 100, "size": 1, "items": [
        {"id": "7", "name": "v1", "registeredModelId": "2", "state": "LIVE", "createTimeSinceEpoch": MILLIS.to_string(),
         "lastUpdateTimeSinceEpoch": MILLIS.to_string(), "customProperties": {
            "validation_status": property("string_value", json!("approved")), "runs": property("int_value", json!("12")),
            "good": property("bool_value", json!(true)), "odd": property("struct_value", json!("e30=")), "none": 1}},
        {"name": "v2"}]});
    let page = kubeflow::versions(body.to_string().as_bytes()).unwrap();
    let [listed] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!((listed.model_id.as_str(), page.next), ("2", None));
    let tags: Vec<_> = listed.version.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["good=true", "runs=12", "validation_status=approved"]);
    let models = kubeflow::models(br#"{"items": [{"id": "2", "name": "iris"}, {"name": "x"}]}"#).unwrap();
    assert_eq!(models.items, [("2".to_owned(), "iris".to_owned())]);
}

#[test]
fn a_page_is_asked_for_below_the_path_of_the_registry() {
    let base = |text: &str| text.parse().unwrap();
    for (url, expected) in [
        (
            mlflow::versions_url(&base("http://m:5000"), None),
            "http://m:5000/api/2.0/mlflow/model-versions/search?max_results=200&order_by=creation_timestamp+DESC",
        ),
        (
            mlflow::models_url(&base("http://m/ml/"), Some("a b&c")),
            "http://m/ml/api/2.0/mlflow/registered-models/search?max_results=200&page_token=a+b%26c",
        ),
        (
            kubeflow::versions_url(&base("http://k"), Some("t")),
            "http://k/api/model_registry/v1alpha3/model_versions?pageSize=100&orderBy=CREATE_TIME&sortOrder=DESC&nextPageToken=t",
        ),
    ] {
        assert_eq!(url.as_str(), expected);
    }
}

#[test]
fn a_version_is_a_subject_with_its_tags_as_labels() {
    let version = Version {
        model: "iris".to_owned(),
        version: "3".to_owned(),
        tags: vec![("team".to_owned(), "vision".to_owned()), ("note".to_owned(), "two words".to_owned())],
        ..Version::default()
    };
    let subject = version.subject(Registry::Mlflow, "vision-ns");
    assert_eq!((subject.kind.as_str(), subject.name.as_str()), ("ModelVersion", "iris/3"));
    assert_eq!(subject.labels.into_iter().collect::<Vec<_>>(), [("team".to_owned(), "vision".to_owned())]);
    assert_eq!(camel("FAILED_REGISTRATION"), "FailedRegistration");
}
