//! The `CloudEvents` 1.0 form of an event, in the JSON format and in the two HTTP modes.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Event;

/// Content type of the structured mode ("HTTP Protocol Binding for `CloudEvents`" 1.0, section 3.2.1).
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// Content type of the binary mode: that of the data (the same text, section 3.1.1).
pub const DATA_CONTENT_TYPE: &str = "application/json";

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
            datacontenttype: DATA_CONTENT_TYPE,
            data,
        }
    }

    /// The attributes as headers of the binary mode, names in lower case. There is no `ce-datacontenttype`: that is the
    /// `Content-Type` (the HTTP binding, section 3.1.3).
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 6] {
        let Self { specversion, id, source, kind, subject, time, datacontenttype: _, data: _ } = self;
        [
            ("ce-specversion", percent_encoded(specversion)),
            ("ce-id", percent_encoded(id)),
            ("ce-source", percent_encoded(source)),
            ("ce-type", percent_encoded(kind)),
            ("ce-subject", percent_encoded(subject)),
            ("ce-time", percent_encoded(time)),
        ]
    }
}

/// What a header cannot hold as it is: space, `"`, `%` and all that is outside of U+0021 to U+007E (the HTTP binding,
/// section 3.1.3.2).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn a_header_holds_any_text_percent_encoded_once() {
        for (text, expected) in [
            ("pai.dlc.job.failed", "pai.dlc.job.failed"),
            ("/workspaces/w/namespaces/ns?a=b&c#~!", "/workspaces/w/namespaces/ns?a=b&c#~!"),
            ("a b", "a%20b"),
            ("say \"hi\"", "say%20%22hi%22"),
            ("100%", "100%25"),
            ("%20", "%2520"),
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("训练", "%E8%AE%AD%E7%BB%83"),
            ("a\r\nEvil: 1\u{0}\u{7f}", "a%0D%0AEvil:%201%00%7F"),
            ("", ""),
        ] {
            assert_eq!(percent_encoded(text), expected, "{text:?}");
        }
    }
}
