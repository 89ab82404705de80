//! Secrets of the input. No error and no `Debug` form holds a value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use crate::controller::offline::SecretTexts;

/// Every Secret, by namespace and name, with what is text in it.
#[derive(Debug, Default)]
pub(in super::super) struct Secrets(SecretTexts);

impl Secrets {
    /// Reads one, as the API server would: `stringData` wins over `data`.
    pub(super) fn add(&mut self, value: &Value) -> Result<(), String> {
        let text = |field: &str| value.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut keys = BTreeMap::new();
        for (key, value) in entries(value, "data")? {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(without_breaks(text)).ok());
            let bytes = bytes.ok_or_else(|| format!("data.{key}: must be Base64; use stringData for plain text"))?;
            // No target can use what is no text.
            if let Ok(text) = String::from_utf8(bytes) {
                keys.insert(key.clone(), SecretString::from(text));
            }
        }
        for (key, value) in entries(value, "stringData")? {
            let text = value.as_str().ok_or_else(|| format!("stringData.{key}: must be a string; quote it"))?;
            keys.insert(key.clone(), SecretString::from(text));
        }
        self.0.insert((text("/metadata/namespace"), text("/metadata/name")), keys);
        Ok(())
    }

    /// All of them.
    pub(in super::super) fn into_texts(self) -> SecretTexts {
        self.0
    }
}

fn without_breaks(text: &str) -> String {
    text.split_whitespace().collect()
}

fn entries<'a>(value: &'a Value, field: &str) -> Result<Vec<(&'a String, &'a Value)>, String> {
    match value.get(field) {
        Some(Value::Object(entries)) => Ok(entries.iter().collect()),
        Some(Value::Null) | None => Ok(Vec::new()),
        Some(_) => Err(format!("{field}: must be an object of keys and strings")),
    }
}
