//! From an event in its envelope to an observation, as if it had been watched. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::decode::{Envelope, LONGEST_ATTRIBUTE};
use super::payload::{Payload, SubjectPayload};
use super::refusal::Refusal;
use crate::detect::Detected;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{EventKey, EventType, Source, Subject, Transition};
use crate::watch::Observation;
use crate::watch::index::CLOCK_TOLERANCE;

/// Key in an event's `data` that says who published it first, and as what. Kept from bus to bus, so that an event that comes
/// round is recognised.
pub const ORIGIN: &str = "origin";
/// Most bytes of `data.data` that are kept; leaves room for the origin in what a Notice keeps.
const MOST_DATA: usize = 2560;
/// Longest text in `data.data` that is kept: the Notice cuts it there.
const LONGEST_TEXT: usize = 512;
/// Longest message that is kept: the Notice cuts it there.
const LONGEST_MESSAGE: usize = 2048;
/// What is kept beyond these, so that the Notice can say that it has cut.
const MARGIN: usize = 16;
/// Most bytes of labels that are kept, as in a Notice.
const MOST_LABELS: usize = 4096;
/// Longest name of a subject, in bytes: that of a Kubernetes object.
const LONGEST_NAME: usize = 253;
/// Longest kind, `apiVersion` or uid of a subject, in bytes.
const LONGEST_WORD: usize = 128;

/// Where an event was published, and when.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Name of the workspace.
    pub workspace: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Oldest event that may still be notified.
    pub lookback: SignedDuration,
}

/// An event that can be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// As it is recorded.
    pub observation: Observation,
    /// Who published it first.
    pub origin: Origin,
}

/// `source` and `id` under which an event was published first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `source`.
    pub source: String,
    /// `id`.
    pub id: String,
}

/// Reads an event.
///
/// # Errors
/// [`Refusal::Malformed`] if its type is none of ours or its data is not as the schema says.
pub fn read(envelope: Envelope, arrival: &Arrival<'_>) -> Result<Published, Refusal> {
    let Envelope { id, source: publisher, kind, subject, time, data } = envelope;
    let (source, transition) = kind_of(&kind)?;
    let payload = Payload::read(data)?;
    agree(&payload, source, transition)?;
    let origin = origin(&payload).unwrap_or(Origin { source: publisher, id });
    let deadline = payload.deadline || payload.events.contains(&EventType::JobTimeout);
    let Payload { reason, message, subject: described, data, .. } = payload;
    let from = described.namespace.clone();
    let subject = subject_of(described, subject.as_deref(), source, &origin, arrival.namespace)?;
    let mut data = kept(data);
    data.insert(ORIGIN.to_owned(), origin.value(&from, arrival.namespace));
    let detected = Detected {
        transition,
        occurrence: occurrence(&origin),
        time,
        cause: if deadline { Cause::Deadline } else { Cause::Other },
        reason: cut(&reason, LONGEST_TEXT + MARGIN),
        message: cut(&message, LONGEST_MESSAGE + MARGIN),
        data,
    };
    Ok(Published { observation: observation(subject, source, detected, arrival), origin })
}

/// The observation of something that was published.
#[must_use]
pub fn observation(subject: Subject, source: Source, detected: Detected, arrival: &Arrival<'_>) -> Observation {
    let effective = effective(detected.time, arrival);
    Observation { place: None, subject, source, detected, observed: arrival.now, effective }
}

/// The time that counts when asked whether a rule was active. What is published happened about now, however wrong the
/// clock that wrote it; but what says that it is older than the look-back limit is a replay of something old.
fn effective(time: Option<Timestamp>, arrival: &Arrival<'_>) -> Timestamp {
    let before = |span| arrival.now.checked_sub(span).unwrap_or(Timestamp::MIN);
    match time {
        None => arrival.now,
        Some(time) if time < before(arrival.lookback) => time,
        Some(time) => time.max(before(CLOCK_TOLERANCE)),
    }
}

/// `pai.<source>.<transition>`.
fn kind_of(kind: &str) -> Result<(Source, Transition), Refusal> {
    let known = Source::ALL.into_iter().flat_map(|source| {
        let transitions = Transition::ALL.iter().map(move |&transition| (source, transition));
        transitions.filter(|&(source, transition)| EventType::naming(source, transition).is_some())
    });
    let name = |(source, transition): &(Source, Transition)| {
        format!("pai.{}.{}", source.cloudevents_name(), transition.cloudevents_name())
    };
    let mut names = Vec::new();
    for candidate in known {
        let candidate_name = name(&candidate);
        if candidate_name == kind {
            return Ok(candidate);
        }
        names.push(candidate_name);
    }
    let kind: String = kind.chars().take(80).collect();
    Err(Refusal::malformed(format!("there is no type {kind:?}; there are {}", names.join(", "))))
}

/// What stands in the data, too, must not say something else.
fn agree(payload: &Payload, source: Source, transition: Transition) -> Result<(), Refusal> {
    let told = (payload.source.unwrap_or(source), payload.transition.unwrap_or(transition));
    if told == (source, transition) {
        return Ok(());
    }
    let message = format!(
        "data says {} {}, but the type says {source} {transition}; leave data.source and data.transition out",
        told.0, told.1
    );
    Err(Refusal::malformed(message))
}

fn origin(payload: &Payload) -> Option<Origin> {
    let origin = payload.data.get(ORIGIN)?;
    let text = |key: &str| {
        let text = origin.get(key)?.as_str()?;
        (!text.is_empty() && text.len() <= LONGEST_ATTRIBUTE).then(|| text.to_owned())
    };
    Some(Origin { source: text("source")?, id: text("id")? })
}

impl Origin {
    fn value(&self, from: &str, namespace: &str) -> Value {
        let mut value = json!({"source": self.source, "id": self.id});
        if let Some(fields) = value.as_object_mut()
            && !from.is_empty()
            && from != namespace
        {
            fields.insert("namespace".to_owned(), Value::from(cut(from, LONGEST_WORD)));
        }
        value
    }

    /// The id of the event, if it is one that this workspace has told of: then it has come round.
    #[must_use]
    pub fn own_event(&self, arrival: &Arrival<'_>) -> Option<&str> {
        let Arrival { workspace, namespace, .. } = arrival;
        let ours = self.source == format!("/workspaces/{workspace}/namespaces/{namespace}");
        (ours && EventKey::is_id(&self.id)).then_some(self.id.as_str())
    }
}

/// An occurrence that no detector gives: what is published cannot take the name of what is watched.
fn occurrence(origin: &Origin) -> String {
    format!("published:{}", hash(&[&origin.source, &origin.id]))
}

fn subject_of(
    described: SubjectPayload,
    attribute: Option<&str>,
    source: Source,
    origin: &Origin,
    namespace: &str,
) -> Result<Subject, Refusal> {
    let SubjectPayload { api_version, kind, namespace: _, name, uid, mut labels } = described;
    let mut room = MOST_LABELS;
    labels.retain(|key, value| fits(&mut room, key.len() + value.len()));
    let (kind_there, name_there) = attribute.map_or((None, ""), split);
    let name = if name.is_empty() { name_there.to_owned() } else { name };
    if name.trim().is_empty() {
        let message =
            "nothing says what it happened to; give the attribute subject (such as Job/nightly-42), or data.subject";
        return Err(Refusal::malformed(message));
    }
    let kind = Some(kind).filter(|kind| !kind.is_empty()).or_else(|| kind_there.map(str::to_owned));
    let kind = kind.unwrap_or_else(|| default_kind(source).to_owned());
    let words = [("kind", &kind), ("apiVersion", &api_version), ("uid", &uid)];
    for (field, value) in words.into_iter().chain([("name", &name)]) {
        if value.chars().any(char::is_control) {
            return Err(Refusal::malformed(format!("{field} of the subject has control characters in it")));
        }
    }
    for (field, value) in words {
        if value.len() > LONGEST_WORD {
            let message = format!("{field} of the subject is longer than {LONGEST_WORD} bytes");
            return Err(Refusal::malformed(message));
        }
    }
    let uid = if uid.is_empty() { hash(&[&origin.source, attribute.unwrap_or(&name)]) } else { uid };
    let name = cut(&name, LONGEST_NAME);
    Ok(Subject { api_version, kind, namespace: namespace.to_owned(), name, uid, labels })
}

/// `Kind/name`, or only a name, which may have slashes in it.
fn split(subject: &str) -> (Option<&str>, &str) {
    let is_kind = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
    };
    match subject.split_once('/') {
        Some((kind, name)) if is_kind(kind) && !name.is_empty() => (Some(kind), name),
        _ => (None, subject),
    }
}

const fn default_kind(source: Source) -> &'static str {
    match source {
        Source::FlowTask => "Task",
        Source::DLCJob => "Job",
        Source::Model => "ModelVersion",
        Source::DSWInstance => "Instance",
    }
}

/// As much of the data as fits, and without an origin that somebody made up.
fn kept(mut data: serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    data.remove(ORIGIN);
    let mut room = MOST_DATA;
    data.retain(|key, value| {
        let size = match value {
            Value::String(text) => {
                *text = cut(text, LONGEST_TEXT + MARGIN);
                text.len().min(LONGEST_TEXT)
            }
            other => other.to_string().len(),
        };
        fits(&mut room, key.len() + size)
    });
    data
}

/// Whether so many bytes fit into the room; takes them.
fn fits(room: &mut usize, bytes: usize) -> bool {
    room.checked_sub(bytes).inspect(|left| *room = *left).is_some()
}

fn cut(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

/// 32 hexadecimal digits of a SHA-256 over the length-prefixed parts.
#[must_use]
pub fn hash(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
