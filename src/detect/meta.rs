//! The part of an object's `metadata` that detection needs.
//!
//! Tens of thousands of these stay in memory, so annotations, managed fields, finalizers and all owners but the
//! controller are dropped while reading, and texts are kept without spare capacity.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};

use super::lenient::{self, Lenient, Structure};
use crate::api::names::{IMAGE_OF_LABEL, SOURCE_LABEL};
use crate::lifecycle::{Source, Subject};

/// Label by which Kueue takes charge of when an object may run.
const KUEUE_QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";

/// What is kept of `metadata`. Texts are empty if absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: Box<str>,
    /// Namespace.
    #[serde(deserialize_with = "lenient::or_default")]
    pub namespace: Box<str>,
    /// Identity over all names.
    #[serde(deserialize_with = "lenient::or_default")]
    pub uid: Box<str>,
    /// Version of this state.
    #[serde(deserialize_with = "lenient::or_default")]
    pub resource_version: Box<str>,
    /// When it was created.
    #[serde(rename = "creationTimestamp", deserialize_with = "lenient::maybe")]
    pub creation: Option<Timestamp>,
    /// When it is to be gone: the time of the request to delete it, plus the grace period.
    #[serde(rename = "deletionTimestamp", deserialize_with = "lenient::maybe")]
    pub deletion: Option<Timestamp>,
    /// The grace period of the request to delete it.
    #[serde(rename = "deletionGracePeriodSeconds", deserialize_with = "lenient::maybe")]
    pub deletion_grace_seconds: Option<i64>,
    /// Version of the spec.
    #[serde(deserialize_with = "lenient::maybe")]
    pub generation: Option<i64>,
    /// Labels.
    #[serde(deserialize_with = "lenient::or_default")]
    pub labels: Labels,
    /// The owner that controls it.
    #[serde(rename = "ownerReferences", deserialize_with = "controller")]
    pub owner: Option<Box<Owner>>,
}

impl Structure for Meta {}

impl Meta {
    /// `resourceVersion` as the number that it is; 0 if it is none.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    /// The source that the object's label names, if it names one.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.labels.get(SOURCE_LABEL).and_then(Source::from_label)
    }

    /// The instance whose image the object saves, if it says that it does.
    #[must_use]
    pub fn image_of(&self) -> Option<&str> {
        self.labels.get(IMAGE_OF_LABEL).filter(|instance| !instance.is_empty())
    }

    /// Whether Kueue decides when the object may run.
    #[must_use]
    pub fn is_queued_by_kueue(&self) -> bool {
        self.labels.get(KUEUE_QUEUE_LABEL).is_some_and(|queue| !queue.is_empty())
    }

    /// When somebody asked to delete it.
    #[must_use]
    pub fn deletion_request(&self) -> Option<Timestamp> {
        let deletion = self.deletion?;
        let grace = SignedDuration::from_secs(self.deletion_grace_seconds.unwrap_or(0));
        Some(deletion.checked_sub(grace).unwrap_or(deletion))
    }

    /// The object as the subject of an event.
    #[must_use]
    pub fn subject(&self, api_version: &str, kind: &str) -> Subject {
        Subject {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: self.namespace.as_ref().to_owned(),
            name: self.name.as_ref().to_owned(),
            uid: self.uid.as_ref().to_owned(),
            labels: self.labels.to_map(),
        }
    }
}

/// The labels of an object, in the order in which the API server sent them. A tenth of the size of a `BTreeMap`, whose
/// smallest node has room for eleven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of one label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    /// Drops the labels that are not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        if self.0.iter().any(|(key, _)| !wanted(key)) {
            let all = std::mem::take(&mut self.0);
            self.0 = all.into_iter().filter(|(key, _)| wanted(key)).collect();
        }
    }

    /// The labels as an event states them.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned())).collect()
    }
}

impl Lenient for Labels {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        lenient::entries(map).map(|entries| Some(Self(entries.into())))
    }
}

/// The owner that controls an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// API group and version.
    pub api_version: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Name, in the same namespace.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnerReference {
    #[serde(deserialize_with = "lenient::or_default")]
    pub(super) api_version: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    pub(super) kind: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    pub(super) name: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    pub(super) uid: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    pub(super) controller: bool,
}

impl Structure for OwnerReference {}

fn controller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Owner>>, D::Error> {
    let references: Vec<OwnerReference> = lenient::or_default(deserializer)?;
    let controller = references.into_iter().find(|reference| reference.controller);
    Ok(controller.map(|OwnerReference { api_version, kind, name, uid, controller: _ }| {
        Box::new(Owner { api_version, kind, name, uid })
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(value: serde_json::Value) -> Meta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_the_controller_among_the_owners_counts() {
        let owners = json!([
            {"kind": "ConfigMap", "name": "other", "uid": "1"},
            "not an owner",
            {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "train", "uid": "2",
                "controller": true},
        ]);
        let owner = meta(json!({"ownerReferences": owners})).owner.unwrap();
        assert_eq!((&*owner.api_version, &*owner.kind, &*owner.name), ("jobset.x-k8s.io/v1alpha2", "JobSet", "train"));
        assert_eq!(meta(json!({"ownerReferences": [{"kind": "Job", "uid": "3"}]})).owner, None);
        assert_eq!(meta(json!({"ownerReferences": {"controller": true}})).owner, None);
    }

    #[test]
    fn labels_survive_a_value_that_is_no_text() {
        let labels = meta(json!({"labels": {"team": "vision", "tier": 1, "app": "x"}})).labels;
        assert_eq!(labels.get("team"), Some("vision"));
        assert_eq!(labels.get("tier"), None);
        assert_eq!(labels.to_map().len(), 2);
        assert_eq!(meta(json!({"labels": ["team"]})).labels, Labels::default());
    }

    #[test]
    fn the_request_to_delete_is_the_deletion_time_less_the_grace_period() {
        let at = |time: &str| time.parse::<Timestamp>().ok();
        let deleted = json!({"deletionTimestamp": "2026-11-24T10:00:30Z", "deletionGracePeriodSeconds": 30});
        assert_eq!(meta(deleted).deletion_request(), at("2026-11-24T10:00:00Z"));
        let no_grace = json!({"deletionTimestamp": "2026-11-24T10:00:30Z"});
        assert_eq!(meta(no_grace).deletion_request(), at("2026-11-24T10:00:30Z"));
        let absurd = json!({"deletionTimestamp": "2026-11-24T10:00:30Z", "deletionGracePeriodSeconds": i64::MIN});
        assert_eq!(meta(absurd).deletion_request(), at("2026-11-24T10:00:30Z"));
        assert_eq!(meta(json!({})).deletion_request(), None);
    }

    #[test]
    fn an_unknown_label_value_names_no_source() {
        let source = |value: &str| meta(json!({"labels": {"notification.pai.dev/source": value}})).source();
        assert_eq!(source("FlowTask"), Some(Source::FlowTask));
        assert_eq!(source("flowtask"), None);
        assert_eq!(source(""), None);
    }
}
