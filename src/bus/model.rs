//! A version of a model as a subject, and what makes one thing that is told of it one of its own: the same for whoever tells,
//! a registry that calls or one that is asked.

use std::collections::BTreeMap;

use super::mapping::hash;
use crate::lifecycle::Subject;

/// `source` of what an MLflow tells, and of what it is asked.
pub const MLFLOW: &str = "mlflow";
/// Longest name of a model or a version that is kept, in bytes.
const LONGEST: usize = 200;
/// Longest name of a label, and value of one (Kubernetes: "Labels and Selectors").
const LONGEST_LABEL: usize = 63;
/// Longest prefix of a label's name.
const LONGEST_PREFIX: usize = 253;
/// Labels that are kept at most.
const MOST_LABELS: usize = 100;

/// What was found out about a version. Its key is what makes it known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// It has a status, in the registry's own word.
    Status(&'a str),
    /// It has a stage.
    Stage(&'a str),
    /// A tag, or a property, approves it.
    Tag(&'a str, &'a str),
    /// An alias approves it.
    Alias(&'a str),
}

impl Mark<'_> {
    /// The occurrence of the event that tells it: one that no detector gives, and no publisher.
    #[must_use]
    pub fn occurrence(self) -> String {
        let parts = match self {
            Self::Status(status) => ["status", status, ""],
            Self::Stage(stage) => ["stage", stage, ""],
            Self::Tag(key, value) => ["tag", key, value],
            Self::Alias(alias) => ["alias", alias, ""],
        };
        format!("registry:{}:{}", parts[0], hash(&parts))
    }
}

/// The version as a subject; without one, the model itself.
#[must_use]
pub fn subject(
    source: &str,
    model: &str,
    version: Option<&str>,
    namespace: &str,
    labels: BTreeMap<String, String>,
) -> Subject {
    let (kind, name) = match version {
        Some(version) => ("ModelVersion", format!("{}/{}", cut(model), cut(version))),
        None => ("RegisteredModel", cut(model)),
    };
    Subject {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        uid: hash(&[source, model, version.unwrap_or_default()]),
        name,
        labels,
        ..Subject::default()
    }
}

/// The tags that can be labels, as labels.
pub fn labels<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let valid = tags.into_iter().filter(|(key, value)| is_label(key, value)).take(MOST_LABELS);
    valid.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn is_label(key: &str, value: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_prefix = |prefix: &str| {
        let is_part = |part: &str| is_word(part) && !part.contains(|c: char| c == '_' || c.is_ascii_uppercase());
        prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(is_part)
    };
    is_word(name) && prefix.is_none_or(is_prefix) && (value.is_empty() || is_word(value))
}

fn is_word(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= LONGEST_LABEL
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A piece of a text, on one line.
#[must_use]
pub fn cut(text: &str) -> String {
    let piece = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
    piece.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_labels_where_they_can_be() {
        let long = "x".repeat(64);
        let tags = [
            ("team", "vision"),
            ("mlflow.user", "ana"),
            ("example.com/owner", "a_b.c"),
            ("empty", ""),
            ("", "x"),
            ("has space", "x"),
            ("text", "two words"),
            ("Example.com/x", "x"),
            ("a/b/c", "x"),
            ("-a", "x"),
            (&long, "x"),
            ("long", &long),
        ];
        let kept = labels(tags);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["empty", "example.com/owner", "mlflow.user", "team"]);
    }

    #[test]
    fn every_mark_is_one_of_its_own() {
        let marks = [
            Mark::Status("READY"),
            Mark::Stage("READY"),
            Mark::Tag("a", "b"),
            Mark::Tag("ab", ""),
            Mark::Tag("", "ab"),
            Mark::Alias("a"),
        ];
        let all: std::collections::BTreeSet<_> = marks.iter().map(|mark| mark.occurrence()).collect();
        assert_eq!(all.len(), marks.len());
        assert_eq!(Mark::Alias("a").occurrence(), Mark::Alias("a").occurrence());
    }

    #[test]
    fn a_subject_is_named_by_model_and_version_on_one_line() {
        let name = |model: &str, version| subject(MLFLOW, model, version, "vision", BTreeMap::new()).name;
        assert_eq!(name("iris", Some("3")), "iris/3");
        assert_eq!(name("iris", None), "iris");
        assert_eq!(name("i\nris", Some("3")), "i ris/3");
        assert!(name(&"界".repeat(1000), Some("3")).len() <= LONGEST + 2);
    }
}
