//! What expressions ask about one object, answered without CEL.
//!
//! Before it is run, every path (`status.startTime`), variable and call that asks about the object as a whole
//! (`is('Failed')`) is taken out of an expression and becomes a [`Question`]; what is left asks for its answer by
//! number. So a path costs one look-up however long it is, and nothing on it can be missing or of the wrong type in a
//! way that fails.

use cel::common::types::CelString;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use jiff::Timestamp;
use serde_json::Value as Json;

use super::below::first_ready;
use super::functions::as_time;
use super::object::Object;
use super::value;
use crate::detect::pod::PodFacts;

/// Something that can be asked about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The value at a path.
    Path(Path),
    /// `has(path)`.
    Has(Path),
    /// `is(type)` and `isNot(type)`: whether the condition has this status.
    Condition { kind: String, status: &'static str },
    /// `since(type)`: the condition's `lastTransitionTime`, whatever its status.
    Since(String),
    /// `reason(type)`: its reason; empty if there is none.
    Reason(String),
    /// `message(type)`: its message; empty if there is none.
    Message(String),
    /// `podsReady()`, `podsReady(path)`, `podsReady(type)`: when the first of its Pods was ready, not counting those
    /// before the time at the path or of the condition.
    PodsReady(Since),
    /// `podsUnschedulable`: whether the scheduler finds no node for one of its Pods.
    PodsUnschedulable,
    /// `queuedByKueue`: whether Kueue decides when the object may run.
    QueuedByKueue,
    /// `asksForSpot`: whether a Pod template of the object wants nodes that can be taken away.
    AsksForSpot,
    /// `key`: the key of the item that a `forEach` looks at.
    Key,
}

/// From when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Ever,
    Path(Path),
    /// The `lastTransitionTime` of the condition of this type.
    Condition(String),
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
}

/// What a path begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Metadata,
    Labels,
    Annotations,
    Spec,
    Status,
    Item,
}

impl Root {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("metadata", Self::Metadata),
        ("labels", Self::Labels),
        ("annotations", Self::Annotations),
        ("spec", Self::Spec),
        ("status", Self::Status),
        ("item", Self::Item),
    ];
}

/// A field of a map, or an element of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

/// The item of a `forEach`.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a Json,
}

/// All that can be asked about while one object is looked at.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) questions: &'a [Question],
    pub(super) object: &'a Object,
    pub(super) item: Option<Item<'a>>,
    pub(super) pods: &'a [PodFacts],
    pub(super) queued_by_kueue: bool,
}

/// The variable that stands for a question.
pub(super) fn variable(number: usize) -> String {
    format!("#{number}")
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let number: usize = variable.strip_prefix('#')?.parse().ok()?;
        Some(self.answer(self.questions.get(number)?))
    }
}

impl<'a> Scope<'a> {
    fn answer(&self, question: &Question) -> CowVal<'_, '_> {
        match question {
            Question::Path(path) => self.at(path),
            Question::Has(path) => value::bool(!is_null(&self.at(path))),
            Question::Condition { kind, status } => {
                value::bool(self.condition(kind).is_some_and(|it| field(it, "status") == *status))
            }
            Question::Since(kind) => value::json(self.condition(kind).and_then(|it| it.get("lastTransitionTime"))),
            Question::Reason(kind) => value::text(self.condition(kind).map_or("", |it| field(it, "reason"))),
            Question::Message(kind) => value::text(self.condition(kind).map_or("", |it| field(it, "message"))),
            Question::PodsReady(since) => time(first_ready(self.pods, self.since(since))),
            Question::PodsUnschedulable => value::bool(self.pods.iter().any(|pod| pod.unschedulable.is_some())),
            Question::QueuedByKueue => value::bool(self.queued_by_kueue),
            Question::AsksForSpot => value::bool(self.object.asks_for_spot()),
            Question::Key => self.item.map_or_else(value::null, |item| value::text(item.key)),
        }
    }

    fn since(&self, since: &Since) -> Option<Timestamp> {
        match since {
            Since::Ever => None,
            Since::Path(path) => as_time(&*self.at(path)),
            Since::Condition(kind) => self.condition(kind)?.get("lastTransitionTime")?.as_str()?.parse().ok(),
        }
    }

    /// The first condition of this type.
    fn condition(&self, kind: &str) -> Option<&'a Json> {
        let conditions = self.object.status.get("conditions")?.as_array()?;
        conditions.iter().find(|condition| field(condition, "type") == kind)
    }

    /// The value at a path; null if there is none.
    pub(super) fn at(&self, path: &Path) -> CowVal<'_, '_> {
        let Object { metadata, annotations, .. } = self.object;
        match (path.root, path.steps.as_slice()) {
            (Root::Labels, [Step::Field(key)]) => metadata.labels.get(key).map_or_else(value::null, value::text),
            (Root::Annotations, [Step::Field(key)]) => annotations.get(key).map_or_else(value::null, value::text),
            (Root::Metadata, [Step::Field(field)]) => self.metadata(field),
            (Root::Labels | Root::Annotations | Root::Metadata, _) => value::null(),
            (Root::Spec | Root::Status | Root::Item, _) => value::json(self.json(path)),
        }
    }

    /// The JSON at a path into `spec`, `status` or the item.
    pub(super) fn json(&self, path: &Path) -> Option<&'a Json> {
        let root = match path.root {
            Root::Spec => &self.object.spec,
            Root::Status => &self.object.status,
            Root::Item => self.item?.value,
            Root::Metadata | Root::Labels | Root::Annotations => return None,
        };
        path.steps.iter().try_fold(root, |json, step| match step {
            Step::Field(field) => json.get(field),
            Step::Index(index) => json.get(index),
        })
    }

    fn metadata(&self, field: &str) -> CowVal<'_, '_> {
        let metadata = &self.object.metadata;
        match field {
            "name" => value::text(&metadata.name),
            "namespace" => value::text(&metadata.namespace),
            "uid" => value::text(&metadata.uid),
            "creationTimestamp" => time(metadata.creation),
            "deletionTimestamp" => time(metadata.deletion_request()),
            "generation" => {
                metadata.generation.map_or_else(value::null, |it| CowVal::owned(cel::common::types::CelInt::from(it)))
            }
            _ => value::null(),
        }
    }
}

/// Fields of `metadata` that can be asked for. `deletionTimestamp` is the time of the request.
pub(super) const METADATA: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation"];

fn field<'a>(json: &'a Json, field: &str) -> &'a str {
    json.get(field).and_then(Json::as_str).unwrap_or_default()
}

fn time<'b, 'v>(time: Option<Timestamp>) -> CowVal<'b, 'v> {
    time.map_or_else(value::null, |time| CowVal::owned(CelString::from(time.to_string())))
}

fn is_null(it: &CowVal<'_, '_>) -> bool {
    it.downcast_ref::<cel::common::types::CelNull>().is_some()
}
