//! The part of a Job that detection reads, and keeps.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::detect::condition::{Condition, holding};
use crate::detect::lenient::{self, Exists, Structure};
use crate::detect::meta::Meta;
use crate::detect::spot::Template;

/// A Job, read leniently: any JSON object gives one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct JobView {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub metadata: Meta,
    /// `spec`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub spec: JobSpec,
    /// `status`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub status: JobStatus,
}

impl Structure for JobView {}

impl JobView {
    /// The condition of this type, if it is `True`.
    pub(super) fn holding(&self, kind: &str) -> Option<&Condition> {
        holding(&self.status.conditions, kind)
    }
}

/// What is kept of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobSpec {
    /// `suspend`.
    #[serde(deserialize_with = "lenient::maybe")]
    pub suspend: Option<bool>,
    /// `backoffLimit`: how many Pods may fail.
    #[serde(deserialize_with = "lenient::maybe")]
    pub backoff_limit: Option<i64>,
    /// `backoffLimitPerIndex`: the same for each index.
    #[serde(deserialize_with = "lenient::maybe")]
    pub backoff_limit_per_index: Option<Exists>,
    /// `podFailurePolicy`: some failures may not count.
    #[serde(deserialize_with = "lenient::maybe")]
    pub pod_failure_policy: Option<Exists>,
    /// `activeDeadlineSeconds`.
    #[serde(deserialize_with = "lenient::maybe")]
    pub active_deadline_seconds: Option<i64>,
    /// `completions`: how many Pods have to succeed.
    #[serde(deserialize_with = "lenient::maybe")]
    pub completions: Option<i64>,
    /// `parallelism`: how many Pods may run at a time.
    #[serde(deserialize_with = "lenient::maybe")]
    pub parallelism: Option<i64>,
    /// Whether its `template` wants nodes that can be taken away (spot, preemptible).
    #[serde(rename = "template", deserialize_with = "asks_for_spot")]
    pub asks_for_spot: bool,
}

impl Structure for JobSpec {}

fn asks_for_spot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    lenient::or_default::<Template, D>(deserializer).map(|template| template.asks_for_spot())
}

/// What is kept of `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// `conditions`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub conditions: Vec<Condition>,
    /// Pods that are ready. Old servers do not say.
    #[serde(deserialize_with = "lenient::maybe")]
    pub ready: Option<i64>,
    /// Pods that are pending or running.
    #[serde(deserialize_with = "lenient::or_default")]
    pub active: i64,
    /// Pods that have succeeded.
    #[serde(deserialize_with = "lenient::or_default")]
    pub succeeded: i64,
    /// Pods that have failed, or were lost while they ran.
    #[serde(deserialize_with = "lenient::or_default")]
    pub failed: i64,
    /// When the controller took the Job up, or last took it up again.
    #[serde(deserialize_with = "lenient::maybe")]
    pub start_time: Option<Timestamp>,
    /// When it succeeded.
    #[serde(deserialize_with = "lenient::maybe")]
    pub completion_time: Option<Timestamp>,
    /// The indexes that have failed for good, as `1,3-5`.
    #[serde(deserialize_with = "lenient::maybe")]
    pub failed_indexes: Option<Box<str>>,
}

impl Structure for JobStatus {}
