//! Secrets of the input. No error and no `Debug` form holds a value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::Value;

use crate::channel::SecretLookup;
use crate::channel::resolve::SecretError;

/// Every Secret, by namespace and name.
#[derive(Debug, Default)]
pub(in super::super) struct Secrets {
    secrets: BTreeMap<(String, String), BTreeMap<String, SecretSlice<u8>>>,
}

/// The Secrets of one namespace.
pub(in super::super) struct NamespaceSecrets<'a> {
    secrets: &'a Secrets,
    namespace: &'a str,
}

impl Secrets {
    /// Reads one, as the API server would: `stringData` wins over `data`.
    pub(super) fn add(&mut self, value: &Value) -> Result<(), String> {
        let text = |field: &str| value.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut keys = BTreeMap::new();
        for (key, value) in entries(value, "data")? {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(without_breaks(text)).ok());
            let bytes = bytes.ok_or_else(|| format!("data.{key}: must be Base64; use stringData for plain text"))?;
            keys.insert(key.clone(), SecretSlice::from(bytes));
        }
        for (key, value) in entries(value, "stringData")? {
            let text = value.as_str().ok_or_else(|| format!("stringData.{key}: must be a string; quote it"))?;
            keys.insert(key.clone(), SecretSlice::from(text.as_bytes().to_vec()));
        }
        self.secrets.insert((text("/metadata/namespace"), text("/metadata/name")), keys);
        Ok(())
    }

    /// Those of one namespace.
    pub(in super::super) const fn of<'a>(&'a self, namespace: &'a str) -> NamespaceSecrets<'a> {
        NamespaceSecrets { secrets: self, namespace }
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

impl SecretLookup for NamespaceSecrets<'_> {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        let keys =
            self.secrets.secrets.get(&(self.namespace.to_owned(), name.to_owned())).ok_or(SecretError::NotFound)?;
        let value = keys.get(key).ok_or(SecretError::KeyMissing)?;
        let text = std::str::from_utf8(value.expose_secret()).map_err(|_| SecretError::KeyMissing)?;
        Ok(SecretString::from(text))
    }
}
