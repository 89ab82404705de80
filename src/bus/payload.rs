//! `data` of an event: what of it is understood, and its JSON schema.
//!
//! The types are strict, so that a misspelt field is told and not lost. What else belongs to an event goes into `data.data`,
//! where everything is allowed. What this program itself sends to `http` targets is a valid `data`, too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::lifecycle::{EventType, Source, Transition};

/// `data` of an event that is published on a bus.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(title = "PAI event data", deny_unknown_fields)]
pub struct Payload {
    /// One word for the cause, such as `BackoffLimitExceeded`. At most 512 bytes are kept.
    pub reason: String,
    /// One sentence for people. At most 2,048 bytes are kept.
    pub message: String,
    /// True if a deadline caused a failure: a `DLCJob` that failed is then a timeout, too.
    pub deadline: bool,
    /// What it happened to. Wins over the attribute `subject`; one of the two is needed.
    pub subject: SubjectPayload,
    /// Whatever else belongs to the event, for filters and templates. At most 2,560 bytes are kept, 512 bytes of each text.
    pub data: Map<String, Value>,
    /// As in an event that was sent by PAI Notification. If given, it has to be that of the event's type.
    pub source: Option<Source>,
    /// As in an event that was sent by PAI Notification. If given, it has to be that of the event's type.
    pub transition: Option<Transition>,
    /// As in an event that was sent by PAI Notification. `JobTimeout` in it says the same as `deadline`.
    pub events: Vec<EventType>,
    /// As in an event that was sent by PAI Notification. Not looked at: the attribute `time` counts.
    pub time: Option<String>,
    /// As in an event that was sent by PAI Notification. Not looked at.
    pub observed_time: Option<String>,
    /// As in an event that was sent by PAI Notification. Not looked at: the address says which workspace is meant.
    pub workspace: Option<String>,
}

/// What an event happened to: an object of the cluster, or anything else that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct SubjectPayload {
    /// API group and version, if it is an object of a cluster.
    pub api_version: String,
    /// Kind, such as `Job` or `ModelVersion`. If empty: by the event's type.
    pub kind: String,
    /// Namespace where it came from. The event belongs to the namespace of the workspace, whatever stands here.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity: events of one uid are delivered in order. If empty: by `source` and `subject` of the event.
    pub uid: String,
    /// Labels, which the selector of a rule looks at.
    pub labels: BTreeMap<String, String>,
}

impl Payload {
    /// Reads `data`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the path of the field that is wrong.
    pub fn read(data: Option<Value>) -> Result<Self, Refusal> {
        let Some(data) = data else { return Ok(Self::default()) };
        // A list would be read as a struct's fields in their order.
        for (place, value) in [("data", Some(&data)), ("data.subject", data.get("subject"))] {
            if value.is_some_and(|value| !value.is_object()) {
                return Err(Refusal::malformed(format!(
                    "{place} has to be an object; docs/event-bus.md has its fields"
                )));
            }
        }
        serde_path_to_error::deserialize(data).map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { "data".to_owned() } else { format!("data.{path}") };
            Refusal::malformed(format!("{place}: {}; docs/event-bus.md has the fields of data", error.into_inner()))
        })
    }

    /// The JSON schema.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("$id".to_owned(), Value::from("https://notification.pai.dev/schemas/event-data.json"));
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_in_the_documents_is_that_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schemas/event-data.json");
        let fresh = serde_json::to_string_pretty(&Payload::schema()).unwrap() + "\n";
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::write(path, &fresh).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stored == fresh, "{path} is not what the types give: run `make bless` and commit what it changes");
    }

    #[test]
    fn wrong_data_is_named_by_its_path() {
        for (data, named) in [
            (json!(null), "data has to be"),
            (json!("text"), "data has to be"),
            (json!([1]), "data has to be"),
            (json!({"subject": ["v1", "Job"]}), "data.subject has to be"),
            (json!({"reason": 7}), "data.reason: "),
            (json!({"resaon": "x"}), "unknown field `resaon`"),
            (json!({"deadline": "yes"}), "data.deadline: "),
            (json!({"subject": "Job/a"}), "data.subject has to be"),
            (json!({"subject": {"labels": {"tier": 1}}}), "data.subject.labels.tier: "),
            (json!({"subject": {"nmae": "a"}}), "unknown field `nmae`"),
            (json!({"data": []}), "data.data: "),
            (json!({"events": ["JobExploded"]}), "data.events[0]: "),
            (json!({"source": "Job"}), "data.source: "),
        ] {
            let refusal = Payload::read(Some(data.clone())).unwrap_err();
            assert_eq!(refusal.status(), 400);
            assert!(refusal.to_string().contains(named), "{data}: {refusal}");
        }
        assert_eq!(Payload::read(None), Ok(Payload::default()));
        assert!(Payload::read(Some(json!({"data": {"anything": [1, {"at": "all"}]}}))).is_ok());
    }
}
