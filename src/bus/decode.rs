//! The `CloudEvents` 1.0 HTTP binding: a request becomes envelopes, or a refusal that says what is wrong with it. Pure.
//!
//! Strict where leniency would hide an error (attributes of a wrong type, a `time` that is not RFC 3339, attributes that
//! appear twice), and lenient where the specification asks for it (an attribute that is null is absent, needless
//! percent-encoding). What an event is about is not looked at here: see [`super::mapping`].

mod binary;
mod format;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde::de::{self, Deserialize as _, DeserializeSeed, SeqAccess, Visitor};
use serde_json::Value;

use super::refusal::Refusal;

/// Longest body of one event, in bytes.
pub const SINGLE: usize = 256 * 1024;
/// Longest body of a batch, in bytes.
pub const BATCH: usize = 1024 * 1024;
/// Most events of a batch.
pub const MOST_EVENTS: usize = 1000;
/// Longest `id`, `source`, `subject` or `type`, in bytes.
pub const LONGEST_ATTRIBUTE: usize = 512;

/// A decoded event: its attributes are of the right form, its data is JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// `id`.
    pub id: String,
    /// `source`.
    pub source: String,
    /// `type`.
    pub kind: String,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`.
    pub time: Option<Timestamp>,
    /// `data`; `None` if there is none.
    pub data: Option<Value>,
}

/// How a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A JSON array of events.
    Batch,
    /// The body is the event.
    Structured,
    /// The body is the data, the attributes are headers.
    Binary,
}

impl Mode {
    /// By the content type; refuses formats of `CloudEvents` other than JSON.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let content_type = content_type(headers)?;
        let media = media_type(content_type);
        match media.as_str() {
            "application/cloudevents-batch+json" => check_charset(content_type).map(|()| Self::Batch),
            "application/cloudevents+json" => check_charset(content_type).map(|()| Self::Structured),
            other if other.starts_with("application/cloudevents") => Err(Refusal::UnknownFormat(format!(
                "the format {other} is not understood; use application/cloudevents+json, \
                 application/cloudevents-batch+json, or the binary mode with JSON data"
            ))),
            _ => Ok(Self::Binary),
        }
    }

    /// Longest body, in bytes.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            Self::Batch => BATCH,
            Self::Structured | Self::Binary => SINGLE,
        }
    }
}

/// Decodes a request. A batch is refused as a whole if one of its events is malformed.
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::UnknownFormat`] or, for a batch of too many, [`Refusal::TooLarge`].
pub fn decode(mode: Mode, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Envelope>, Refusal> {
    match mode {
        Mode::Batch => batch(body),
        Mode::Structured => format::envelope(body).map(|envelope| vec![envelope]),
        Mode::Binary => binary::envelope(headers, body).map(|envelope| vec![envelope]),
    }
}

fn batch(body: &[u8]) -> Result<Vec<Envelope>, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut fault = None;
    let read = Batch { fault: &mut fault }.deserialize(&mut json).and_then(|events| json.end().map(|()| events));
    // Where an event is at fault, that says more than the JSON reader, which was only stopped by it.
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Ok(events)) => Ok(events),
        (None, Err(error)) => Err(Refusal::malformed(format!("the body is no JSON array of events: {error}"))),
    }
}

/// Reads one event after the other: of a batch with too many, no more than the limit is held.
struct Batch<'a> {
    fault: &'a mut Option<Refusal>,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Envelope>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Envelope>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Self::Value, A::Error> {
        let mut envelopes = Vec::new();
        while let Some(event) = events.next_element::<Box<serde_json::value::RawValue>>()? {
            let index = envelopes.len();
            if index >= MOST_EVENTS {
                *self.fault = Some(Refusal::TooLarge(format!(
                    "a batch may have at most {MOST_EVENTS} events; send several batches"
                )));
                return Err(de::Error::custom("too many"));
            }
            match format::envelope(event.get().as_bytes()) {
                Ok(envelope) => envelopes.push(envelope),
                Err(refusal) => {
                    *self.fault = Some(refusal.at(index));
                    return Err(de::Error::custom("malformed"));
                }
            }
        }
        Ok(envelopes)
    }
}

/// JSON data, however it came.
fn json_data(bytes: &[u8]) -> Result<Value, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = Value::deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| Refusal::malformed(format!("data is no JSON: {error}")))
}

fn content_type(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let first = values.next().map(|value| value.to_str()).transpose();
    match (first, values.next()) {
        (Ok(value), None) => Ok(value.unwrap_or_default()),
        _ => Err(Refusal::malformed("send one header Content-Type, of ASCII characters")),
    }
}

/// The media type without parameters, in lower case.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the data of a media type is JSON.
fn is_json(content_type: &str) -> bool {
    let media = media_type(content_type);
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

fn check_charset(content_type: &str) -> Result<(), Refusal> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let charset = parameters
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
        .find(|charset| !matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"));
    match charset {
        None => Ok(()),
        Some(charset) => Err(Refusal::UnknownFormat(format!("the charset {charset} is not understood; use utf-8"))),
    }
}

/// The attributes as texts, however they came; those that are not known are of the right form and left out.
#[derive(Debug, Default)]
struct Attributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
}

impl Attributes {
    /// Takes an attribute in.
    fn set(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        let slot = match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.kind,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.datacontenttype,
            other => return check_name(other),
        };
        if slot.replace(value).is_some() {
            return Err(Refusal::malformed(format!("the attribute {name} appears twice")));
        }
        Ok(())
    }

    /// The envelope, if all that is required is there and well-formed. `data` is decoded with the content type.
    fn envelope(self, data: impl FnOnce(Option<&str>) -> Result<Option<Value>, Refusal>) -> Result<Envelope, Refusal> {
        let Self { specversion, id, source, kind, subject, time, datacontenttype } = self;
        let version = required("specversion", specversion)?;
        if version != "1.0" {
            let message = format!("specversion is {}, but only 1.0 is understood", quoted(&version));
            return Err(Refusal::malformed(message));
        }
        let envelope = Envelope {
            id: required("id", id)?,
            source: required("source", source)?,
            kind: required("type", kind)?,
            subject: subject.map(|subject| filled("subject", subject)).transpose()?,
            time: time.as_deref().map(time_of).transpose()?,
            data: None,
        };
        check_reference(&envelope.source)?;
        Ok(Envelope { data: data(datacontenttype.as_deref())?, ..envelope })
    }
}

fn required(name: &str, value: Option<String>) -> Result<String, Refusal> {
    let Some(value) = value else {
        return Err(Refusal::malformed(format!("the attribute {name} is missing")));
    };
    filled(name, value)
}

fn filled(name: &str, value: String) -> Result<String, Refusal> {
    if value.trim().is_empty() {
        return Err(Refusal::malformed(format!("the attribute {name} is empty")));
    }
    if value.len() > LONGEST_ATTRIBUTE {
        return Err(Refusal::malformed(format!("the attribute {name} is longer than {LONGEST_ATTRIBUTE} bytes")));
    }
    if value.chars().any(char::is_control) {
        return Err(Refusal::malformed(format!("the attribute {name} has control characters in it")));
    }
    Ok(value)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let well_formed = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.is_empty() || !well_formed {
        let message =
            format!("{} is no name of an attribute: those are of lower-case letters and digits alone", quoted(name));
        return Err(Refusal::malformed(message));
    }
    Ok(())
}

/// `source` has to be a URI reference: no spaces, no delimiters, whole escapes.
fn check_reference(source: &str) -> Result<(), Refusal> {
    let bad = source.chars().find(|c| c.is_whitespace() || "<>\"{}|\\^`".contains(*c));
    if let Some(bad) = bad {
        let message = format!("source has to be a URI reference such as /ci/pipelines/7; it may not contain {bad:?}");
        return Err(Refusal::malformed(message));
    }
    let whole = source
        .split('%')
        .skip(1)
        .all(|rest| rest.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    if !whole {
        return Err(Refusal::malformed("source has to be a URI reference; write a percent sign in it as %25"));
    }
    Ok(())
}

/// RFC 3339, and nothing that is only like it.
fn time_of(text: &str) -> Result<Timestamp, Refusal> {
    let wrong = || {
        let message = format!("time is {}; write it in RFC 3339, such as 2026-11-24T10:32:05Z", quoted(text));
        Refusal::malformed(message)
    };
    if !has_form_of_rfc3339(text) {
        return Err(wrong());
    }
    text.to_ascii_uppercase().parse().map_err(|_| wrong())
}

fn has_form_of_rfc3339(text: &str) -> bool {
    let fits = |part: &str, pattern: &str| {
        part.len() == pattern.len()
            && part.bytes().zip(pattern.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                b'T' => matches!(byte, b'T' | b't'),
                form => byte == form,
            })
    };
    let Some((seconds, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    fits(seconds, "0000-00-00T00:00:00") && (matches!(offset, "Z" | "z") || fits(offset, "+00:00"))
}

/// A text for a message: cut, so that nobody is sent back what they sent.
fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    if text.len() > MOST {
        format!("{:?}…", text.get(..text.floor_char_boundary(MOST)).unwrap_or_default())
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests;
