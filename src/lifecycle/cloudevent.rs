//! The `CloudEvents` 1.0 form of an event.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Event;

/// Content type of the structured mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// A `CloudEvents` 1.0 event in the JSON format. `id` is the event's id; receivers may treat the same `source` and `id`
/// as a repeat.
#[derive(Clone, Debug, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// The event's id.
    pub id: String,
    /// `/workspaces/<workspace>/namespaces/<namespace>`.
    pub source: String,
    /// `pai.<source>.<transition>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `<kind>/<name>` of the subject.
    pub subject: String,
    /// RFC 3339.
    pub time: String,
    datacontenttype: &'static str,
    /// The event's fields, as in `Notice.spec.event`.
    pub data: Map<String, Value>,
}

/// `pai.dlc.job.failed` and its like.
#[must_use]
pub fn kind(event: &Event) -> String {
    format!("pai.{}.{}", event.source.cloudevents_name(), event.transition.cloudevents_name())
}

impl CloudEvent {
    /// The event as receivers of `http` targets get it.
    #[must_use]
    pub fn new(workspace: &str, event: &Event) -> Self {
        let data = match serde_json::to_value(event) {
            Ok(Value::Object(mut fields)) => {
                fields.remove("id");
                fields.insert("workspace".to_owned(), Value::String(workspace.to_owned()));
                fields
            }
            _ => Map::new(),
        };
        Self {
            specversion: "1.0",
            id: event.id.clone(),
            source: format!("/workspaces/{workspace}/namespaces/{}", event.subject.namespace),
            kind: kind(event),
            subject: format!("{}/{}", event.subject.kind, event.subject.name),
            time: event.time.to_string(),
            datacontenttype: "application/json",
            data,
        }
    }
}
