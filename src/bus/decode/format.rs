//! The JSON format: one event as one object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Attributes, Envelope, check_name, is_json, json_data, quoted};
use crate::bus::refusal::Refusal;

/// Most members of an event.
const MOST_MEMBERS: usize = 100;

/// Decodes one event.
pub(super) fn envelope(body: &[u8]) -> Result<Envelope, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let members = json.deserialize_map(Members).and_then(|members| json.end().map(|()| members));
    let members = members.map_err(|error| Refusal::malformed(format!("the event is no JSON object: {error}")))?;
    let mut attributes = Attributes::default();
    let (mut data, mut data_base64) = (None, None);
    for (name, value) in members {
        match name.as_str() {
            "data" => once(&name, &mut data, value)?,
            "data_base64" => once(&name, &mut data_base64, value)?,
            _ => match text(&name, value)? {
                Some(text) => attributes.set(&name, text)?,
                None => check_name(&name)?,
            },
        }
    }
    attributes.envelope(|content_type| payload(content_type, data, data_base64))
}

/// The members of an object in their order, those that appear twice included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with the attributes id, source, specversion and type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            if members.len() >= MOST_MEMBERS {
                return Err(de::Error::custom(format!("an event may have at most {MOST_MEMBERS} attributes")));
            }
            members.push(member);
        }
        Ok(members)
    }
}

fn once(name: &str, slot: &mut Option<Value>, value: Value) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::malformed(format!("{name} appears twice"))),
    }
}

/// An attribute as text; `None` if it is null, which is absent.
fn text(name: &str, value: Value) -> Result<Option<String>, Refusal> {
    let known = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ if known.contains(&name) => Err(Refusal::malformed(format!("the attribute {name} has to be a string"))),
        Value::Bool(flag) => Ok(Some(flag.to_string())),
        Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => {
            Ok(Some(number.to_string()))
        }
        Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(Refusal::malformed(format!(
            "the attribute {} has to be a string, a boolean or an integer of 32 bits; put what belongs to the event into data",
            quoted(name)
        ))),
    }
}

fn payload(
    content_type: Option<&str>,
    data: Option<Value>,
    data_base64: Option<Value>,
) -> Result<Option<Value>, Refusal> {
    let data_base64 = data_base64.filter(|value| !value.is_null());
    if let Some(other) = content_type.filter(|content_type| !is_json(content_type))
        && (data.is_some() || data_base64.is_some())
    {
        let message = format!("datacontenttype is {}; only JSON data is understood", quoted(other));
        return Err(Refusal::UnknownFormat(message));
    }
    match (data, data_base64) {
        (Some(_), Some(_)) => Err(Refusal::malformed("an event may have data or data_base64, not both")),
        (data, None) => Ok(data),
        (None, Some(_)) if content_type.is_none() => {
            Err(Refusal::malformed("with data_base64, datacontenttype has to say what it is: application/json"))
        }
        (None, Some(Value::String(text))) => {
            let bytes = STANDARD.decode(text).map_err(|_| Refusal::malformed("data_base64 is no Base64"))?;
            json_data(&bytes).map(Some)
        }
        (None, Some(_)) => Err(Refusal::malformed("data_base64 has to be a string")),
    }
}
