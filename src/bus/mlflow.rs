//! The webhook of an MLflow model registry: its signature checked, its calls read as events of model versions.
//!
//! MLflow has no token of ours: who knows the webhook's secret may call. A call keeps its delivery id while it is retried,
//! which is what makes it recognisable. Where the MLflow is asked as well, it is what was found out that makes an event
//! recognisable ([`Mark`]), so that the two never tell the same.

mod signature;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use signature::{Signed, check};

use super::mapping::{self, Arrival, ORIGIN, Origin, Published, hash};
use super::model::{self, MLFLOW, Mark, cut};
use super::refusal::Refusal;
use crate::api::workspace::Mlflow;
use crate::detect::Detected;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Transition};

/// A call. Fields that are not known are of no interest.
#[derive(Clone, Debug, Deserialize)]
struct Call {
    entity: String,
    action: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    data: Details,
    #[serde(default)]
    workspace: Option<String>,
}

/// What a call is about: which fields there are depends on the entity.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    name: Option<String>,
    version: Option<Version>,
    key: Option<String>,
    value: Option<String>,
    alias: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    description: Option<String>,
    tags: Value,
}

/// MLflow writes versions as text; others write numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(u64),
}

/// What a call says about a model version.
struct Told<'a> {
    transition: Transition,
    reason: &'static str,
    message: String,
    /// What is found out by asking, too.
    mark: Option<Mark<'a>>,
}

/// Reads a call; `None` if it tells of nothing that has an event type.
///
/// # Errors
/// [`Refusal::Malformed`] if it is no call of MLflow.
pub fn read(body: &[u8], delivery: &str, spec: &Mlflow, arrival: &Arrival<'_>) -> Result<Option<Published>, Refusal> {
    let json = &mut serde_json::Deserializer::from_slice(body);
    let call: Call = serde_path_to_error::deserialize(json).map_err(|error| {
        Refusal::malformed(format!("the body is no call of an MLflow webhook: {}: {}", error.path(), error.inner()))
    })?;
    let Call { entity, action, timestamp, data: details, workspace } = call;
    let version = details.version.as_ref().map(Version::text);
    let Some(told) = told(&entity, &action, &details, version.as_deref(), spec)? else { return Ok(None) };
    let model = required(details.name.as_deref(), "data.name")?;
    let origin = Origin { source: source(workspace.as_deref()), id: delivery.to_owned() };
    let detected = Detected {
        transition: told.transition,
        occurrence: match told.mark.filter(|_| spec.poll.is_some()) {
            Some(mark) => mark.occurrence(),
            None => format!("published:{}", hash(&[&origin.source, &origin.id])),
        },
        time: timestamp.as_deref().map(time).transpose()?,
        cause: Cause::Other,
        reason: told.reason.to_owned(),
        message: told.message,
        data: detail(&details, model, version.as_deref(), &origin),
    };
    // A removed alias names no version: then it is about the model.
    let subject = model::subject(&origin.source, model, version.as_deref(), arrival.namespace, labels(&details));
    let observation = mapping::observation(subject, Source::Model, detected, arrival);
    Ok(Some(Published { observation, origin }))
}

/// The table of entities and actions.
fn told<'a>(
    entity: &str,
    action: &str,
    details: &'a Details,
    version: Option<&str>,
    spec: &Mlflow,
) -> Result<Option<Told<'a>>, Refusal> {
    let approved =
        |message, mark| Told { transition: Transition::Approved, reason: "Approved", message, mark: Some(mark) };
    let changed = |reason, message| Told { transition: Transition::StatusChanged, reason, message, mark: None };
    let key = || required(details.key.as_deref(), "data.key");
    let alias = || required(details.alias.as_deref(), "data.alias");
    if entity.starts_with("model_version") && !(entity == "model_version_alias" && action == "deleted") {
        required(version, "data.version")?;
    }
    let told = match (entity, action) {
        ("model_version", "created") => {
            let told = changed("Registered", "the version was registered".to_owned());
            Told { mark: Some(Mark::Status("READY")), ..told }
        }
        ("model_version_tag", "set") => {
            let (key, value) = (key()?, details.value.as_deref().unwrap_or_default());
            let message = format!("tag {} was set to {}", cut(key), cut(value));
            let is_approval = key == spec.approved_tag.key && value == spec.approved_tag.value;
            if is_approval { approved(message, Mark::Tag(key, value)) } else { changed("TagSet", message) }
        }
        ("model_version_tag", "deleted") => changed("TagDeleted", format!("tag {} was removed", cut(key()?))),
        ("model_version_alias", "created") => {
            let alias = alias()?;
            let message = format!("alias {} was given to it", cut(alias));
            let is_approval = spec.approved_aliases.iter().any(|approving| approving == alias);
            if is_approval { approved(message, Mark::Alias(alias)) } else { changed("AliasCreated", message) }
        }
        ("model_version_alias", "deleted") => changed("AliasDeleted", format!("alias {} was removed", cut(alias()?))),
        _ => return Ok(None),
    };
    Ok(Some(told))
}

fn required<'a>(value: Option<&'a str>, field: &str) -> Result<&'a str, Refusal> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| Refusal::malformed(format!("{field} is missing")))
}

impl Version {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// An MLflow with workspaces of its own has models of one name in several.
fn source(workspace: Option<&str>) -> String {
    match workspace.filter(|workspace| !workspace.is_empty()) {
        Some(workspace) => format!("{MLFLOW}/{}", cut(workspace)),
        None => MLFLOW.to_owned(),
    }
}

fn detail(details: &Details, model: &str, version: Option<&str>, origin: &Origin) -> Map<String, Value> {
    let Details { name: _, version: _, key, value, alias, source, run_id, description, tags: _ } = details;
    let fields = [
        ("model", Some(model)),
        ("version", version),
        ("tag", key.as_deref()),
        ("value", value.as_deref()),
        ("alias", alias.as_deref()),
        ("artifact", source.as_deref()),
        ("runId", run_id.as_deref()),
        ("description", description.as_deref()),
    ];
    let fields = fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(cut(text?)))));
    let origin = (ORIGIN.to_owned(), json!({"source": origin.source, "id": origin.id}));
    fields.chain([origin]).collect()
}

/// The tags that the call names.
fn labels(details: &Details) -> BTreeMap<String, String> {
    let all = details.tags.as_object().into_iter().flatten();
    let all = all.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    let set = details.key.as_deref().zip(details.value.as_deref());
    model::labels(all.chain(set))
}

/// ISO 8601; without an offset it is UTC.
fn time(text: &str) -> Result<Timestamp, Refusal> {
    let utc = || text.parse::<DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(utc)
        .ok_or_else(|| Refusal::malformed("timestamp is no time; MLflow writes it as 2026-11-24T10:32:05.123456+00:00"))
}

#[cfg(test)]
mod tests;
