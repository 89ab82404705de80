//! Secrets as the controller holds them: texts that do not print, and nothing that no target can use.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::{Resource, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use crate::channel::resolve::{SecretError, SecretLookup};

/// Longest value that is held, in bytes: a URL, a key or a CA bundle is shorter.
const LONGEST: usize = 64 * 1024;

/// A Secret, without what is not text or too long.
#[derive(Clone, Deserialize)]
pub(super) struct SecretView {
    #[serde(deserialize_with = "identity")]
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "texts")]
    data: BTreeMap<String, SecretString>,
}

/// Only what a watch needs: an annotation of kubectl may hold the whole Secret once more.
fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let ObjectMeta { name, namespace, uid, resource_version, .. } = ObjectMeta::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() })
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, SecretString>, D::Error> {
    let values = Option::<BTreeMap<String, ByteString>>::deserialize(deserializer)?.unwrap_or_default();
    let text = |(key, value): (String, ByteString)| {
        let text = String::from_utf8(value.0).ok().filter(|text| text.len() <= LONGEST)?;
        Some((key, SecretString::from(text)))
    };
    Ok(values.into_iter().filter_map(text).collect())
}

impl SecretView {
    /// One that no API server holds.
    pub(super) fn of(name: String, mut data: BTreeMap<String, SecretString>) -> Self {
        data.retain(|_, text| text.expose_secret().len() <= LONGEST);
        Self { metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() }, data }
    }
}

impl std::fmt::Debug for SecretView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretView").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

impl Resource for SecretView {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Secret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Secret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Secret::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Secret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The Secrets of one namespace; `None` while they may not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretsOf(Option<Arc<BTreeMap<String, SecretView>>>);

impl SecretsOf {
    /// The Secrets of a namespace that may be read.
    pub(super) fn readable(secrets: Vec<SecretView>) -> Self {
        Self(Some(Arc::new(secrets.into_iter().map(|secret| (secret.name_any(), secret)).collect())))
    }
}

impl SecretLookup for SecretsOf {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        let secrets = self.0.as_ref().ok_or(SecretError::Forbidden)?;
        let secret = secrets.get(name).ok_or(SecretError::NotFound)?;
        secret.data.get(key).cloned().ok_or(SecretError::KeyMissing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(data: &Value) -> SecretView {
        serde_json::from_value(json!({"metadata": {"name": "ding"}, "data": data})).unwrap()
    }

    #[test]
    fn a_secret_is_held_without_what_is_no_text_and_never_prints() {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let view = secret(
            &json!({"k": encode(b"SECx"), "bin": encode(&[0xff, 0xfe]), "long": encode(&vec![b'a'; LONGEST + 1])}),
        );
        assert_eq!(format!("{view:?}"), "SecretView { name: Some(\"ding\"), .. }");
        let secrets =
            SecretsOf::readable(vec![view, serde_json::from_value(json!({"metadata": {"name": "empty"}})).unwrap()]);
        assert_eq!(secrets.get("ding", "k").unwrap().expose_secret(), "SECx");
        assert!(!format!("{secrets:?}").contains("SECx"));
        let table = [
            ("ding", "bin", SecretError::KeyMissing),
            ("ding", "long", SecretError::KeyMissing),
            ("empty", "k", SecretError::KeyMissing),
            ("other", "k", SecretError::NotFound),
        ];
        for (name, key, expected) in table {
            assert_eq!(secrets.get(name, key).unwrap_err(), expected, "{name}/{key}");
        }
        assert_eq!(SecretsOf::default().get("ding", "k").unwrap_err(), SecretError::Forbidden);
    }

    #[test]
    fn nothing_of_the_metadata_is_held_but_the_identity() {
        let annotation = json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"U0VDeA==\"}"});
        let metadata = json!({"name": "ding", "resourceVersion": "7", "annotations": annotation});
        let view: SecretView = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        assert_eq!(view.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(view.metadata.annotations, None);
    }

    #[test]
    fn data_that_is_null_is_none() {
        assert!(secret(&Value::Null).data.is_empty());
    }
}
