//! An event: one transition of one subject, as it is stored in a Notice and told to receivers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EventType, Source, Transition};

/// The object (or the thing outside the cluster) that went through a transition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// API group and version, such as `batch/v1`.
    pub api_version: String,
    /// Kind, such as `Job`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`. Two objects that had one name one after the other differ in it.
    pub uid: String,
    /// Labels of the object when the event was observed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What happened, to what, when, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Identity of the event: the same for every observation of the same happening. It is the CloudEvent's `id`.
    pub id: String,
    /// The event source.
    pub source: Source,
    /// The transition.
    pub transition: Transition,
    /// Every event type that the transition belongs to, most specific first.
    pub events: Vec<EventType>,
    /// When it happened, by the field of the object that says so; else when it was observed.
    pub time: Timestamp,
    /// When the operator saw it.
    pub observed_time: Timestamp,
    /// One word for the cause, as the source's controller writes it (`BackoffLimitExceeded`). May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One sentence for people, as the source's controller writes it. May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it happened to.
    pub subject: Subject,
    /// Detail: `startTime`, `endTime`, `durationSeconds`, `exitCode`, `container`, `pod`, `node`, `restarts`, ...
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(schema_with = "free_form")]
    pub data: serde_json::Map<String, Value>,
}

/// A structural schema for an object of any shape.
fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// The JSON view of an event that filters (CEL) and templates (minijinja) see: the fields of `event` with the subject
/// beside it, not inside.
#[must_use]
pub fn filter_view(event: &Event) -> (Value, Value) {
    let mut value = serde_json::to_value(event).unwrap_or(Value::Null);
    let subject = value.as_object_mut().and_then(|map| map.remove("subject")).unwrap_or(Value::Null);
    if let Some(map) = value.as_object_mut() {
        for field in ["reason", "message"] {
            map.entry(field).or_insert_with(|| Value::String(String::new()));
        }
        map.entry("data").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    let mut subject = subject;
    if let Some(map) = subject.as_object_mut() {
        map.entry("labels").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    (value, subject)
}
