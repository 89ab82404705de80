//! `CloudEvents` 1.0 in structured and in binary mode.

use percent_encoding::percent_decode;
use serde_json::{Map, Value, json};

use super::super::inspect::{Incoming, Refusal};

/// An event, and the whole of it in structured form.
pub(super) struct Event {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) whole: Value,
}

/// An event whose body is all of it.
pub(super) fn structured(request: &Incoming<'_>) -> Result<Event, Refusal> {
    let media_type = request.media_type();
    if media_type != "application/cloudevents+json" {
        return Err((415, format!("the content type is `{media_type}`")));
    }
    let whole = serde_json::from_slice(request.body).map_err(|error| (400, format!("the body is no JSON: {error}")))?;
    read(whole).map_err(|why| (400, why))
}

/// An event whose attributes are headers, and whose body is its data.
pub(super) fn binary(request: &Incoming<'_>) -> Result<Event, Refusal> {
    let media_type = request.media_type();
    if media_type.starts_with("application/cloudevents") {
        return Err((415, format!("the content type `{media_type}` is not of binary mode")));
    }
    read(from_headers(request, &media_type).map_err(|why| (400, why))?).map_err(|why| (400, why))
}

fn from_headers(request: &Incoming<'_>, media_type: &str) -> Result<Value, String> {
    let mut whole = Map::new();
    for (name, value) in request.headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        if ["datacontenttype", "data", "data_base64"].contains(&attribute) {
            return Err(format!("the header {name} does not exist"));
        }
        let value = decode(value.as_bytes()).map_err(|why| format!("the header {name} {why}"))?;
        if whole.insert(attribute.to_owned(), Value::String(value)).is_some() {
            return Err(format!("the header {name} stands twice"));
        }
    }
    if !request.body.is_empty() {
        let data = if media_type == "application/json" || media_type.ends_with("+json") {
            serde_json::from_slice(request.body).map_err(|error| format!("the data is no JSON: {error}"))?
        } else {
            json!(String::from_utf8_lossy(request.body))
        };
        whole.insert("datacontenttype".to_owned(), json!(media_type));
        whole.insert("data".to_owned(), data);
    }
    Ok(Value::Object(whole))
}

/// One round of percent-decoding. What a sender has to encode may not stand here as it is, and quotes around the whole
/// are no part of it.
fn decode(value: &[u8]) -> Result<String, String> {
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    if let Some(byte) = bare.iter().find(|byte| !byte.is_ascii_graphic() || **byte == b'"') {
        return Err(format!("has a byte {byte:#04X} that is not percent-encoded"));
    }
    let rest_of_escapes = bare.split(|byte| *byte == b'%').skip(1);
    if rest_of_escapes.into_iter().any(|rest| rest.len() < 2 || !rest.iter().take(2).all(u8::is_ascii_hexdigit)) {
        return Err("has a percent sign that is not percent-encoded".to_owned());
    }
    let text = percent_decode(bare).decode_utf8().map_err(|_| "is no UTF-8".to_owned())?;
    Ok(text.into_owned())
}

fn read(whole: Value) -> Result<Event, String> {
    let attributes = whole.as_object().ok_or("the event is no JSON object")?;
    let attribute = |name: &str| {
        let value = whole.get(name).and_then(Value::as_str).unwrap_or_default();
        if value.is_empty() { Err(format!("the attribute {name} is missing")) } else { Ok(value.to_owned()) }
    };
    if attribute("specversion")? != "1.0" {
        return Err("specversion must be 1.0".to_owned());
    }
    if let Some(time) = whole.get("time") {
        let text = time.as_str().unwrap_or_default();
        text.parse::<jiff::Timestamp>().map_err(|error| format!("time is no RFC 3339 time: {error}"))?;
    }
    for (name, value) in attributes {
        let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if name.is_empty() || !(letters || name == "data_base64") {
            return Err(format!("`{name}` is no name of an attribute"));
        }
        check_value(name, value)?;
    }
    if attributes.contains_key("data") && attributes.contains_key("data_base64") {
        return Err("data and data_base64 exclude each other".to_owned());
    }
    let subject = whole.get("subject").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Event { id: attribute("id")?, source: attribute("source")?, kind: attribute("type")?, subject, whole })
}

/// An attribute is a text, a truth value or an integer of 32 bits; the data is anything.
fn check_value(name: &str, value: &Value) -> Result<(), String> {
    let fine = match value {
        Value::String(_) | Value::Bool(_) | Value::Null => true,
        Value::Number(number) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Value::Array(_) | Value::Object(_) => false,
    };
    if fine || name == "data" { Ok(()) } else { Err(format!("the attribute {name} has a value that it cannot have")) }
}
