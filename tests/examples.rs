//! The examples fit the kinds and each other: applied together, everything in them is in force. That the API server takes
//! them is shown by `make demo`, which also shows that they do what they say, and by `tests/integration/examples.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/manifests.rs"]
mod manifests;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pai_notification::delivery::targets::TargetState;
use rstest::rstest;
use serde_json::Value;

/// Every object of a folder, with its file's name.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .flat_map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let documents = manifests::documents(&name, &fs::read_to_string(&path).unwrap());
            documents.into_iter().map(move |document| (name.clone(), document))
        })
        .collect()
}

fn objects(folder: &str) -> Vec<Value> {
    documents(folder).into_iter().map(|(_, document)| document).collect()
}

/// Folder, rules and targets.
#[rstest]
#[case("examples", 2, 2)]
#[case("examples/channels", 2, 4)]
fn everything_in_a_folder_is_in_force_once_it_is_applied(
    #[case] folder: &str,
    #[case] rules: usize,
    #[case] targets: usize,
) {
    let in_force = manifests::judged(folder, &objects(folder));
    assert_eq!(in_force.findings, []);
    assert_eq!((in_force.workspaces.len(), in_force.targets.len()), (1, targets), "{folder}");
    let ready = in_force.targets.values().filter(|target| matches!(target.state, TargetState::Ready(_))).count();
    assert_eq!(ready, targets, "{folder}");
    let (namespace, _) = in_force.workspaces.first_key_value().unwrap();
    let active = &in_force.policy.namespace(namespace).unwrap().rules;
    assert_eq!(active.len(), rules, "{folder}");
    let used: BTreeSet<&String> = active.values().flat_map(|rule| &rule.targets).collect();
    assert_eq!(used.len(), targets, "a target of {folder} is in no rule: {used:?}");
}

#[rstest]
#[case("examples")]
#[case("examples/channels")]
fn everything_is_in_the_namespace_that_the_workspace_switches_on(#[case] folder: &str) {
    let documents = documents(folder);
    let workspace = documents.iter().find(|(_, document)| document["kind"] == "Workspace").unwrap();
    let namespace = workspace.1["spec"]["namespace"].clone();
    for (file, document) in &documents {
        let in_cluster = ["Namespace", "Workspace"].contains(&document["kind"].as_str().unwrap());
        assert!(in_cluster || document["metadata"]["namespace"] == namespace, "{file}: {}", document["metadata"]);
    }
}

#[test]
fn every_secret_that_an_example_brings_is_used() {
    for folder in ["examples", "examples/channels"] {
        let objects = objects(folder);
        let text = objects.iter().filter(|object| object["kind"] != "Secret").map(Value::to_string).collect::<String>();
        for secret in objects.iter().filter(|object| object["kind"] == "Secret") {
            let name = &secret["metadata"]["name"];
            assert!(text.contains(&format!("\"name\":{name}")), "{folder}: nobody names Secret {name}");
        }
    }
}

#[test]
fn every_channel_has_an_example() {
    let targets: Vec<Value> = [objects("examples"), objects("examples/channels")].concat();
    let specs: Vec<&Value> =
        targets.iter().filter(|object| object["kind"] == "EventTarget").map(|object| &object["spec"]).collect();
    for channel in ["dingTalk", "weCom", "lark", "http", "contacts"] {
        assert!(specs.iter().any(|spec| spec.get(channel).is_some()), "no example has {channel}");
    }
    for method in ["VoiceCall", "TextMessage", "Email"] {
        assert!(specs.iter().any(|spec| spec["contacts"].to_string().contains(method)), "no example has {method}");
    }
}
