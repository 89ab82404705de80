//! Manifests in examples and documents: read, checked for fields that their kinds do not know, and judged together.

use kube::ResourceExt as _;
use pai_notification::api::{EventTarget, NoticeRule, Workspace};
use pai_notification::controller::offline::{self, InForce, Objects};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Every document of a YAML text. `at` says where it stands.
pub fn documents(at: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// The object; a field that its kind does not know is refused, as the API server would.
pub fn strict<K: DeserializeOwned>(at: &str, document: &Value) -> K {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(document.clone(), |path| unknown.push(path.to_string()));
    unknown.retain(|field| field != "apiVersion" && field != "kind");
    assert_eq!(unknown, [""; 0], "{at}: unknown fields");
    read.unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// What would be in force if all of these were applied. Other kinds than ours and Secrets are left out.
pub fn judged(at: &str, documents: &[Value]) -> InForce {
    let mut objects = Objects::default();
    for document in documents {
        match document["kind"].as_str() {
            Some("Workspace") => objects.workspaces.push(strict::<Workspace>(at, document)),
            Some("EventTarget") => objects.targets.push(strict::<EventTarget>(at, document)),
            Some("NoticeRule") => objects.rules.push(strict::<NoticeRule>(at, document)),
            Some("Secret") => {
                let text = |field: &str| document["metadata"][field].as_str().unwrap_or_default().to_owned();
                let data =
                    document["stringData"].as_object().unwrap_or_else(|| panic!("{at}: a Secret without stringData"));
                let data = data
                    .iter()
                    .map(|(key, value)| (key.clone(), SecretString::from(value.as_str().unwrap_or_default())));
                objects.secrets.insert((text("namespace"), text("name")), data.collect());
            }
            Some(_) => {}
            None => panic!("{at}: an object without a kind"),
        }
    }
    let names: Vec<String> = objects
        .targets
        .iter()
        .map(|target| format!("{}/{}", target.namespace().unwrap_or_default(), target.name_any()))
        .collect();
    let in_force = offline::judge(objects);
    assert_eq!(in_force.targets.len(), names.len(), "{at}: two targets with one name among {names:?}");
    in_force
}
