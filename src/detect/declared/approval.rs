//! The approval of a model version, by an annotation or label of ours on any object that is a model.
//!
//! No Kubernetes kind has a state for it, so people and pipelines set `notification.pai.dev/approval` to `Approved`,
//! `Rejected` or `Pending`. When that was is known from the managed fields of whoever set it.

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use crate::api::names::APPROVAL_KEY;
use crate::detect::Detected;
use crate::detect::lenient::{self, Lenient, Structure};
use crate::detect::meta::Labels;
use crate::lifecycle::Transition;

/// What somebody said about a model version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Approval {
    verdict: Verdict,
    time: Option<Timestamp>,
    /// Whether `time` moves only when annotations or labels are written: then it tells apart two approvals, with a
    /// rejection between them.
    marks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Approved,
    Rejected,
    Pending,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Pending => "Pending",
        }
    }
}

/// The approval that an object carries. The annotation goes before the label.
pub(super) fn find(labels: &Labels, annotations: &Labels, managers: &[Manager]) -> Option<Approval> {
    let (value, fields) = match (annotations.get(APPROVAL_KEY), labels.get(APPROVAL_KEY)) {
        (Some(value), _) => (value, "f:annotations"),
        (None, Some(value)) => (value, "f:labels"),
        (None, None) => return None,
    };
    let verdict = [Verdict::Approved, Verdict::Rejected, Verdict::Pending]
        .into_iter()
        .find(|verdict| value.trim().eq_ignore_ascii_case(verdict.as_str()))?;
    let key = format!("f:{APPROVAL_KEY}");
    let sets = |manager: &&Manager| {
        let metadata = manager.fields.metadata.as_ref();
        metadata.and_then(|metadata| metadata.get(fields)).is_some_and(|fields| fields.get(&key).is_some())
    };
    let manager = managers.iter().filter(sets).max_by_key(|manager| manager.time);
    Some(Approval {
        verdict,
        time: manager.and_then(|manager| manager.time),
        marks: manager.is_some_and(|manager| !manager.fields.others),
    })
}

impl Approval {
    pub(super) fn told(&self) -> Detected {
        let transition = match self.verdict {
            Verdict::Approved => Transition::Approved,
            Verdict::Rejected | Verdict::Pending => Transition::StatusChanged,
        };
        let verdict = self.verdict.as_str();
        let occurrence = match self.time.filter(|_| self.marks) {
            Some(time) => format!("approval:{verdict}@{time}"),
            None => format!("approval:{verdict}"),
        };
        let message = match self.verdict {
            Verdict::Approved => "the model version was approved for deployment",
            Verdict::Rejected => "the model version was rejected",
            Verdict::Pending => "the model version waits for approval",
        };
        Detected::new(transition, occurrence, self.time).because(verdict, message).with("status", Some(verdict))
    }
}

/// One entry of `metadata.managedFields`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Manager {
    #[serde(deserialize_with = "lenient::maybe")]
    time: Option<Timestamp>,
    #[serde(rename = "fieldsV1", deserialize_with = "lenient::or_default")]
    fields: ManagedFields,
}

impl Structure for Manager {}

/// The fields that a manager has set, as far as they are metadata.
#[derive(Default)]
struct ManagedFields {
    metadata: Option<Json>,
    /// Whether it has set anything else.
    others: bool,
}

impl Lenient for ManagedFields {
    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut fields = Self::default();
        while let Some(key) = map.next_key::<Box<str>>()? {
            if &*key == "f:metadata" {
                fields.metadata = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                fields.others = true;
            }
        }
        Ok(Some(fields))
    }
}

impl<'de> Deserialize<'de> for ManagedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient::or_default(deserializer)
    }
}
