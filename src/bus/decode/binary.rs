//! The binary mode: attributes in `ce-` headers, the data as the body.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Attributes, Envelope, check_charset, content_type, is_json, json_data, media_type, quoted};
use crate::bus::refusal::Refusal;

/// Decodes one event.
pub(super) fn envelope(headers: &HeaderMap, body: &[u8]) -> Result<Envelope, Refusal> {
    let content_type = content_type(headers)?;
    let mut attributes = Attributes::default();
    let mut found = false;
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix("ce-") else { continue };
        found = true;
        if name == "datacontenttype" {
            return Err(Refusal::malformed("send no header ce-datacontenttype: Content-Type says it"));
        }
        attributes.set(name, text(header, value)?)?;
    }
    if !found {
        return Err(no_event(content_type));
    }
    attributes.envelope(|_| payload(content_type, body))
}

fn no_event(content_type: &str) -> Refusal {
    let media = quoted(&media_type(content_type));
    Refusal::malformed(format!(
        "there is no event in a request of Content-Type {media}; send Content-Type application/cloudevents+json with the \
         event as the body, or the attributes as headers ce-id, ce-source, ce-specversion and ce-type"
    ))
}

fn payload(content_type: &str, body: &[u8]) -> Result<Option<serde_json::Value>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    if !is_json(content_type) {
        let media = quoted(&media_type(content_type));
        let message = format!("data of Content-Type {media} is not understood; send application/json");
        return Err(Refusal::UnknownFormat(message));
    }
    check_charset(content_type)?;
    json_data(body).map(Some)
}

/// A header's value: quotes are stripped, one round of percent-decoding, UTF-8.
fn text(header: &HeaderName, value: &HeaderValue) -> Result<String, Refusal> {
    let wrong = |what: &str| Refusal::malformed(format!("header {header}: {what}"));
    let raw = value.to_str().map_err(|_| wrong("write characters outside of ASCII percent-encoded, as UTF-8"))?.trim();
    let bare = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let decoded = decoded(bare.unwrap_or(raw)).ok_or_else(|| wrong("write a percent sign as %25"))?;
    String::from_utf8(decoded).map_err(|_| wrong("what is percent-encoded is not UTF-8"))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}
