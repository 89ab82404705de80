//! What a Kubeflow Model Registry is asked, and what it answers (its REST API v1alpha3). Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::version::{Loose, Page, Version, page, piece};

/// Items that are asked for at a time.
const PAGE: &str = "100";

/// A version, of a model that is known by its id only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Id of its model.
    pub model_id: String,
    /// The version, without the name of the model.
    pub version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelVersion {
    name: String,
    registered_model_id: Loose,
    state: Option<String>,
    description: Option<String>,
    create_time_since_epoch: Option<Loose>,
    last_update_time_since_epoch: Option<Loose>,
    #[serde(default)]
    custom_properties: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RegisteredModel {
    id: Loose,
    name: String,
}

/// `model_versions`, the youngest first.
#[must_use]
pub fn versions_url(base: &Url, token: Option<&str>) -> Url {
    url(base, "model_versions", token)
}

/// `registered_models`: versions name their model by its id.
#[must_use]
pub fn models_url(base: &Url, token: Option<&str>) -> Url {
    url(base, "registered_models", token)
}

fn url(base: &Url, what: &str, token: Option<&str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "model_registry", "v1alpha3", what]);
    }
    let fixed = [("pageSize", PAGE), ("orderBy", "CREATE_TIME"), ("sortOrder", "DESC")];
    let token = token.map(|token| ("nextPageToken", token));
    url.query_pairs_mut().extend_pairs(fixed).extend_pairs(token);
    url
}

/// Reads an answer to [`versions_url`].
///
/// # Errors
/// If it is no JSON object.
pub fn versions(body: &[u8]) -> Result<Page<Listed>, serde_json::Error> {
    page(body, "items", "nextPageToken", |it: ModelVersion| {
        let tags = it.custom_properties.into_iter().filter_map(|(key, value)| Some((key, property(&value)?)));
        let version = Version {
            version: Some(it.name).filter(|name| !name.is_empty())?,
            status: piece(it.state),
            tags: tags.collect(),
            description: piece(it.description),
            created: it.create_time_since_epoch.and_then(|time| time.time()),
            updated: it.last_update_time_since_epoch.and_then(|time| time.time()),
            ..Version::default()
        };
        Some(Listed { model_id: it.registered_model_id.text()?, version })
    })
}

/// Reads an answer to [`models_url`]: id and name.
///
/// # Errors
/// If it is no JSON object.
pub fn models(body: &[u8]) -> Result<Page<(String, String)>, serde_json::Error> {
    page(body, "items", "nextPageToken", |it: RegisteredModel| Some((it.id.text()?, it.name)))
}

/// The value of a `MetadataValue`, as text: of a string, a number or a truth value.
fn property(value: &Value) -> Option<String> {
    let names = ["string_value", "int_value", "double_value", "bool_value"];
    match names.iter().find_map(|name| value.get(name))? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
        _ => None,
    }
}
