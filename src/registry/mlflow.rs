//! What an MLflow is asked, and what it answers (its REST API 2.0). Pure.

use serde::Deserialize;
use url::Url;

use super::version::{Loose, Page, Version, page, piece};

/// Items that are asked for at a time.
const PAGE: &str = "200";
/// What MLflow calls the absence of a stage.
const NO_STAGE: &str = "None";

/// An alias of a model: model, alias, version.
pub type Alias = (String, String, String);

#[derive(Deserialize)]
struct ModelVersion {
    name: String,
    version: Loose,
    creation_timestamp: Option<Loose>,
    last_updated_timestamp: Option<Loose>,
    current_stage: Option<String>,
    status: Option<String>,
    status_message: Option<String>,
    description: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct RegisteredModel {
    name: String,
    #[serde(default)]
    aliases: Vec<ModelAlias>,
}

#[derive(Deserialize)]
struct ModelAlias {
    alias: String,
    version: Loose,
}

/// `model-versions/search`, the youngest first: what is registered while pages are read moves others back, and nothing is
/// missed.
#[must_use]
pub fn versions_url(base: &Url, token: Option<&str>) -> Url {
    url(base, "model-versions", &[("order_by", "creation_timestamp DESC")], token)
}

/// `registered-models/search`: the SQL store of MLflow gives the aliases only there.
#[must_use]
pub fn models_url(base: &Url, token: Option<&str>) -> Url {
    url(base, "registered-models", &[], token)
}

fn url(base: &Url, what: &str, order: &[(&str, &str)], token: Option<&str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "2.0", "mlflow", what, "search"]);
    }
    let token = token.map(|token| ("page_token", token));
    url.query_pairs_mut().append_pair("max_results", PAGE).extend_pairs(order).extend_pairs(token);
    url
}

/// Reads an answer to [`versions_url`].
///
/// # Errors
/// If it is no JSON object.
pub fn versions(body: &[u8]) -> Result<Page<Version>, serde_json::Error> {
    page(body, "model_versions", "next_page_token", |it: ModelVersion| {
        Some(Version {
            version: it.version.text()?,
            model: Some(it.name).filter(|name| !name.is_empty())?,
            status: piece(it.status),
            status_message: piece(it.status_message),
            stage: piece(it.current_stage).filter(|stage| stage != NO_STAGE),
            tags: it.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            aliases: it.aliases,
            artifact: piece(it.source),
            run_id: piece(it.run_id),
            description: piece(it.description),
            created: it.creation_timestamp.and_then(|time| time.time()),
            updated: it.last_updated_timestamp.and_then(|time| time.time()),
        })
    })
}

/// Reads an answer to [`models_url`].
///
/// # Errors
/// If it is no JSON object.
pub fn aliases(body: &[u8]) -> Result<Page<Vec<Alias>>, serde_json::Error> {
    page(body, "registered_models", "next_page_token", |it: RegisteredModel| {
        let of = |alias: ModelAlias| Some((it.name.clone(), alias.alias, alias.version.text()?));
        Some(it.aliases.into_iter().filter_map(of).collect())
    })
}
