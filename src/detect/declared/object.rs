//! An object of a declared kind, read leniently: `metadata`, `spec` and `status`, and nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::approval::{self, Approval, Manager};
use crate::detect::lenient::{self, Structure};
use crate::detect::meta::{Labels, Meta, Owner, OwnerReference};
use crate::detect::spot;
use crate::lifecycle::Subject;

/// Any object, as a detector sees it. Every JSON object gives one: what is missing or of the wrong type is empty.
///
/// An object as the API server sends it may be large; [`super::Kind::trim`] takes out what its kind never looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// `apiVersion`.
    pub api_version: Box<str>,
    /// `kind`.
    pub kind: Box<str>,
    /// `metadata`.
    pub metadata: Meta,
    /// `metadata.annotations`.
    pub annotations: Labels,
    pub(super) owners: Box<[Owner]>,
    pub(super) approval: Option<Box<Approval>>,
    pub(super) spec: Json,
    pub(super) status: Json,
    asks_for_spot: bool,
}

impl Object {
    /// Every owner, the one that controls it first if there is one. A Kueue Workload for a group of Pods has many.
    #[must_use]
    pub fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// The object as the subject of an event.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.metadata.subject(&self.api_version, &self.kind)
    }

    /// Whether a Pod template in its spec names nodes that can be taken away (spot, preemptible).
    #[must_use]
    pub fn asks_for_spot(&self) -> bool {
        self.asks_for_spot
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient::or_default::<Raw, D>(deserializer).map(Self::from)
    }
}

impl From<Json> for Object {
    /// Never fails: what is no object gives an empty one.
    fn from(json: Json) -> Self {
        serde_json::from_value(json).unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    #[serde(deserialize_with = "lenient::or_default")]
    api_version: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    kind: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    metadata: RawMeta,
    spec: Json,
    status: Json,
}

impl Structure for Raw {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    #[serde(deserialize_with = "lenient::or_default")]
    name: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    namespace: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    uid: Box<str>,
    #[serde(deserialize_with = "lenient::or_default")]
    resource_version: Box<str>,
    #[serde(deserialize_with = "lenient::maybe")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::maybe")]
    deletion_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::maybe")]
    deletion_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "lenient::maybe")]
    generation: Option<i64>,
    #[serde(deserialize_with = "lenient::or_default")]
    labels: Labels,
    #[serde(deserialize_with = "lenient::or_default")]
    annotations: Labels,
    #[serde(deserialize_with = "lenient::or_default")]
    owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "lenient::or_default")]
    managed_fields: Vec<Manager>,
}

impl Structure for RawMeta {}

impl From<Raw> for Object {
    fn from(Raw { api_version, kind, metadata, spec, status }: Raw) -> Self {
        let RawMeta {
            name,
            namespace,
            uid,
            resource_version,
            creation_timestamp: creation,
            deletion_timestamp: deletion,
            deletion_grace_period_seconds: deletion_grace_seconds,
            generation,
            labels,
            annotations,
            mut owner_references,
            managed_fields,
        } = metadata;
        // Stable, so the others keep their order.
        owner_references.sort_by_key(|owner| !owner.controller);
        let controlled = owner_references.first().is_some_and(|owner| owner.controller);
        let owner =
            |OwnerReference { api_version, kind, name, uid, controller: _ }| Owner { api_version, kind, name, uid };
        let owners: Box<[Owner]> = owner_references.into_iter().map(owner).collect();
        let approval = approval::find(&labels, &annotations, &managed_fields).map(Box::new);
        let owner = owners.first().filter(|_| controlled).cloned().map(Box::new);
        let metadata = Meta {
            name,
            namespace,
            uid,
            resource_version,
            creation,
            deletion,
            deletion_grace_seconds,
            generation,
            labels,
            owner,
        };
        let asks_for_spot = spot::is_asked_for(&spec);
        Self { api_version, kind, metadata, annotations, owners, approval, spec, status, asks_for_spot }
    }
}
