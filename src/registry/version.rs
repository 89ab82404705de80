//! A version of a model as a registry describes it, and what that proves. Pure.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bus::mapping::{ORIGIN, hash};
use crate::bus::model::{self, Mark};
use crate::controller::{Polled, Registry};
use crate::detect::Detected;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Subject, Transition};

/// Longest text that is kept, in bytes: a Notice cuts it there.
const LONGEST: usize = 512;

/// A version of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Name of the model.
    pub model: String,
    /// Name or number of the version.
    pub version: String,
    /// Its status, in the registry's own word.
    pub status: Option<String>,
    /// What the registry says about its status.
    pub status_message: Option<String>,
    /// Its stage, if it has one.
    pub stage: Option<String>,
    /// Its tags or properties.
    pub tags: Vec<(String, String)>,
    /// Its aliases.
    pub aliases: Vec<String>,
    /// Where the model's files are.
    pub artifact: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// When it was registered.
    pub created: Option<Timestamp>,
    /// When it was last changed, as far as the registry keeps count of that. A new tag or alias is no change to the SQL store
    /// of MLflow.
    pub updated: Option<Timestamp>,
}

/// One thing that a version proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is known by, together with registry and version.
    pub id: u64,
    /// As it is told; without a time.
    pub detected: Detected,
}

impl Version {
    /// What it is known by.
    #[must_use]
    pub fn id(&self, registry: Registry) -> u64 {
        identity(&[registry.as_str(), &self.model, &self.version])
    }

    /// The version as a subject.
    #[must_use]
    pub fn subject(&self, registry: Registry, namespace: &str) -> Subject {
        let labels = model::labels(self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        model::subject(registry.as_str(), &self.model, Some(&self.version), namespace, labels)
    }

    /// Everything that it proves.
    #[must_use]
    pub fn findings(&self, polled: &Polled) -> Vec<Finding> {
        let registry = polled.registry;
        let status = self.status.as_deref().filter(|status| !status.is_empty()).map(|status| {
            let said = self.status_message.as_deref().filter(|said| !said.is_empty());
            let message = said.map_or_else(|| format!("the version has the status {status}"), str::to_owned);
            (Mark::Status(status), Transition::StatusChanged, camel(status), message, vec![])
        });
        let stage = self.stage.as_deref().map(|stage| {
            let message = format!("the version was put into the stage {stage}");
            (Mark::Stage(stage), Transition::StatusChanged, "StageChanged".to_owned(), message, vec![])
        });
        let approved = |mark, message, data| (mark, Transition::Approved, "Approved".to_owned(), message, data);
        let (key, value) = (polled.approved.key.as_str(), polled.approved.value.as_str());
        let word = if registry == Registry::Mlflow { "tag" } else { "property" };
        let tag = self.tags.iter().find(|(it, has)| it == key && has == value).map(|_| {
            approved(Mark::Tag(key, value), format!("{word} {key} is {value}"), vec![(word, key), ("value", value)])
        });
        let aliases = self.aliases.iter().filter(|alias| polled.aliases.contains(alias)).map(|alias| {
            approved(Mark::Alias(alias), format!("alias {alias} was given to it"), vec![("alias", alias.as_str())])
        });
        let all = status.into_iter().chain(stage).chain(tag).chain(aliases);
        all.map(|(mark, transition, reason, message, more)| {
            let occurrence = mark.occurrence();
            Finding {
                id: identity(&[registry.as_str(), &self.model, &self.version, &occurrence]),
                detected: Detected {
                    transition,
                    data: self.data(registry, &occurrence, &more),
                    occurrence,
                    time: None,
                    cause: Cause::Other,
                    reason: model::cut(&reason),
                    message: model::cut(&message),
                },
            }
        })
        .collect()
    }

    fn data(&self, registry: Registry, occurrence: &str, more: &[(&str, &str)]) -> Map<String, Value> {
        let fields = [
            ("model", Some(&self.model)),
            ("version", Some(&self.version)),
            ("status", self.status.as_ref()),
            ("stage", self.stage.as_ref()),
            ("artifact", self.artifact.as_ref()),
            ("runId", self.run_id.as_ref()),
            ("description", self.description.as_ref()),
        ];
        let fields = fields.into_iter().filter_map(|(name, text)| Some((name, text?.as_str())));
        let fields = fields.chain(more.iter().copied()).filter(|(_, text)| !text.is_empty());
        let fields = fields.map(|(name, text)| (name.to_owned(), Value::from(model::cut(text))));
        let origin = json!({"source": registry.as_str(), "id": occurrence});
        fields.chain([(ORIGIN.to_owned(), origin)]).collect()
    }
}

fn identity(parts: &[&str]) -> u64 {
    let hash = hash(parts);
    hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// `PENDING_REGISTRATION` as a reason: `PendingRegistration`.
fn camel(words: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect::<String>()
    };
    words.split(['_', '-', ' ']).map(word).collect()
}

/// A number that some write as text: a version, or milliseconds since 1970.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Loose {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Anything else.
    Other(serde::de::IgnoredAny),
}

impl Loose {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Self::Number(number) => Some(number.to_string()),
            Self::Other(_) => None,
        }
    }

    /// As milliseconds since 1970; none of them is no time.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let milliseconds = match self {
            Self::Text(text) => text.parse().ok()?,
            Self::Number(number) => *number,
            Self::Other(_) => return None,
        };
        Timestamp::from_millisecond(milliseconds).ok().filter(|_| milliseconds > 0)
    }
}

/// As much of a text as may be of use.
pub(super) fn piece(text: Option<String>) -> Option<String> {
    let mut text = text.filter(|text| !text.is_empty())?;
    text.truncate(text.floor_char_boundary(LONGEST));
    Some(text)
}

/// A page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What could be read of it. What could not is left out.
    pub items: Vec<T>,
    /// Asks for the page after it, if there is one.
    pub next: Option<String>,
}

/// Reads a page: a JSON object with the items under one name, and the token under another.
pub(super) fn page<R, T>(
    body: &[u8],
    items: &str,
    token: &str,
    read: impl Fn(R) -> Option<T>,
) -> Result<Page<T>, serde_json::Error>
where
    R: for<'de> Deserialize<'de>,
{
    let mut whole: Map<String, Value> = serde_json::from_slice(body)?;
    let next = whole.get(token).and_then(Value::as_str).filter(|token| !token.is_empty()).map(str::to_owned);
    let items = match whole.remove(items) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let items = items.into_iter().filter_map(|item| read(serde_json::from_value(item).ok()?)).collect();
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests;
