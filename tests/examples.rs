//! The examples fit the kinds and each other. That the API server takes them and that they do what they say is shown by
//! `make demo`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use pai_notification::api::{EventTarget, NoticeRule, Workspace};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn documents() -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let parsed: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        documents.extend(parsed.into_iter().map(|document| (name.clone(), document)));
    }
    documents
}

fn of_kind(kind: &str) -> Vec<Value> {
    documents().into_iter().map(|(_, document)| document).filter(|document| document["kind"] == kind).collect()
}

#[test]
fn every_field_of_an_example_is_known_to_its_kind() {
    let mut checked = 0;
    for (file, document) in documents() {
        let read = match document["kind"].as_str().unwrap_or_default() {
            "Workspace" => round_trip::<Workspace>(&document),
            "EventTarget" => round_trip::<EventTarget>(&document),
            "NoticeRule" => round_trip::<NoticeRule>(&document),
            _ => continue,
        };
        checked += 1;
        assert_kept(&format!("{file}: {}", document["kind"]), &document, &read);
    }
    assert_eq!(checked, 5);
}

fn round_trip<K: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(document.clone()).unwrap()).unwrap()
}

/// A field that the kind does not know is gone after it was read.
fn assert_kept(at: &str, written: &Value, read: &Value) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (field, value) in written {
                let kept = read.get(field).unwrap_or_else(|| panic!("{at}.{field} is not known"));
                assert_kept(&format!("{at}.{field}"), value, kept);
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            assert_eq!(written.len(), read.len(), "{at}");
            for (number, (written, read)) in written.iter().zip(read).enumerate() {
                assert_kept(&format!("{at}[{number}]"), written, read);
            }
        }
        // Durations and the like are written in one form and read back in another.
        _ => assert_eq!(written.is_null(), read.is_null(), "{at}"),
    }
}

#[test]
fn every_target_of_a_rule_and_every_secret_of_a_target_is_there() {
    let targets = of_kind("EventTarget");
    for rule in of_kind("NoticeRule") {
        for target in rule["spec"]["targets"].as_array().unwrap() {
            let found = targets.iter().any(|known| known["metadata"]["name"] == target["name"]);
            assert!(found, "rule {} names target {}", rule["metadata"]["name"], target["name"]);
        }
    }
    let secrets = of_kind("Secret");
    let mut references = Vec::new();
    for target in &targets {
        secret_references(&target["spec"], &mut references);
    }
    assert_eq!(references.len(), 4);
    for reference in references {
        let secret = secrets.iter().find(|secret| secret["metadata"]["name"] == reference["name"]);
        let value = secret.and_then(|secret| secret["stringData"][reference["key"].as_str()?].as_str());
        assert!(value.is_some_and(|value| !value.is_empty()), "no Secret for {reference}");
    }
}

fn secret_references(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                if field == "secretKeyRef" {
                    found.push(value.clone());
                }
                secret_references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secret_references(item, found)),
        _ => {}
    }
}

#[test]
fn everything_is_in_the_namespace_that_the_workspace_switches_on() {
    let namespace = of_kind("Workspace")[0]["spec"]["namespace"].clone();
    for (file, document) in documents() {
        let in_cluster = ["Namespace", "Workspace"].contains(&document["kind"].as_str().unwrap());
        assert!(in_cluster || document["metadata"]["namespace"] == namespace, "{file}: {}", document["metadata"]);
    }
}
