//! What a kind's expressions can look at; the rest of an object need not be kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::object::Object;
use super::question::{Path, Question, Root, Since, Step};
use super::run::is_readable;

/// The annotations, and the parts of `spec` and `status`, that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keep {
    annotations: BTreeSet<String>,
    spec: Part,
    status: Part,
}

/// The parts of a value that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    All,
    /// These fields of it.
    Fields(BTreeMap<String, Part>),
}

impl Default for Part {
    fn default() -> Self {
        Self::Fields(BTreeMap::new())
    }
}

impl Keep {
    pub(super) fn of(questions: &[Question], for_each: Option<&Path>) -> Self {
        let mut keep = Self::default();
        for question in questions {
            match question {
                Question::Path(path) | Question::Has(path) | Question::PodsReady(Since::Path(path)) => keep.add(path),
                Question::Condition { .. }
                | Question::Since(_)
                | Question::Reason(_)
                | Question::Message(_)
                | Question::PodsReady(Since::Condition(_)) => {
                    let conditions = vec![Step::Field("conditions".to_owned())];
                    keep.add(&Path { root: Root::Status, steps: conditions });
                }
                Question::PodsReady(Since::Ever)
                | Question::PodsUnschedulable
                | Question::QueuedByKueue
                | Question::AsksForSpot
                | Question::Key => {}
            }
        }
        if let Some(path) = for_each {
            keep.add(path);
        }
        keep
    }

    fn add(&mut self, path: &Path) {
        match path.root {
            Root::Spec => self.spec.add(&path.steps),
            Root::Status => self.status.add(&path.steps),
            Root::Annotations => self.annotations.extend(path.steps.iter().filter_map(|step| match step {
                Step::Field(field) => Some(field.clone()),
                Step::Index(_) => None,
            })),
            // Metadata and labels are kept as they are; an item is a part of what `forEach` goes over.
            Root::Metadata | Root::Labels | Root::Item => {}
        }
    }

    /// Takes out all that is not read.
    pub(super) fn trim(&self, object: &mut Object) {
        // An annotation may hold the whole object again.
        object.annotations.retain(|key| self.annotations.contains(key));
        self.spec.trim(&mut object.spec);
        let was_readable = is_readable(&object.status);
        self.status.trim(&mut object.status);
        // What nothing could be concluded from must not turn into a status that is merely empty.
        if !was_readable && is_readable(&object.status) {
            match &mut object.status {
                Json::Object(fields) => drop(fields.insert("conditions".to_owned(), Json::Bool(false))),
                other => *other = Json::Bool(false),
            }
        }
    }
}

impl Part {
    fn add(&mut self, steps: &[Step]) {
        match (steps, &mut *self) {
            (_, Self::All) => {}
            // Positions move if a list is cut, so lists stay whole.
            ([] | [Step::Index(_), ..], _) => *self = Self::All,
            ([Step::Field(field), rest @ ..], Self::Fields(fields)) => {
                fields.entry(field.clone()).or_default().add(rest);
            }
        }
    }

    fn trim(&self, json: &mut Json) {
        let Self::Fields(fields) = self else { return };
        match json {
            Json::Object(map) => {
                map.retain(|name, value| {
                    let Some(part) = fields.get(name) else { return false };
                    part.trim(value);
                    true
                });
            }
            // Nothing of it can be found by a field.
            _ => *json = Json::Null,
        }
    }
}
