//! `NoticeRule`: which events go to which targets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{condition::conditions_schema, event_target::MessageTemplate, notice::NoticeCounts};
use crate::lifecycle::{EventType, Source};

/// Which events go to which targets.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "notification.pai.dev",
    version = "v1alpha1",
    kind = "NoticeRule",
    shortname = "prule",
    category = "pai-notification",
    namespaced,
    status = "NoticeRuleStatus",
    derive = "PartialEq",
    doc = "NoticeRule says which events of its namespace go to which targets.",
    printcolumn(name = "Sources", type_ = "string", json_path = ".status.sources"),
    printcolumn(name = "Targets", type_ = "string", json_path = ".status.targetsActive"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.notices.delivered"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.notices.failed"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastNotice.time"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct NoticeRuleSpec {
    /// What this rule is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// While true, nothing is notified by this rule, and what happened meanwhile is not sent later.
    #[serde(default)]
    pub suspend: bool,
    /// The events that this rule is about: any of these. 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    pub sources: Vec<RuleSource>,
    /// Where the events go: every one of these. 1 to 100. The order matters for the quota: the first ones count first.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = Rule::new("self.all(a, has(a.namespace) || self.exists_one(b, b.name == a.name && !has(b.namespace)))").message("a target may be named only once"))]
    pub targets: Vec<TargetReference>,
    /// Text of the message; wins over the target's own template and the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<MessageTemplate>,
}

/// Some events of one source. All that is given must hold.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.events) || self.events.all(e, e.startsWith('Task') && self.type == 'FlowTask' || e.startsWith('Job') && self.type == 'DLCJob' || e.startsWith('Model') && self.type == 'Model' || (e.startsWith('Instance') || e.startsWith('Image')) && self.type == 'DSWInstance')").message("events must belong to the source's type: Task* to FlowTask, Job* to DLCJob, Model* to Model, Instance* and Image* to DSWInstance"))]
pub struct RuleSource {
    /// The event source.
    #[serde(rename = "type")]
    pub kind: Source,
    /// Event types of that source. Left out or empty: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub events: Vec<EventType>,
    /// Selects by the labels of the subject (the Job, the Pod, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Shell globs (`*`, `?`, `[a-z]`) over the subject's name: any of these. Left out or empty: every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
    /// A CEL expression over `event` (source, transition, events, time, reason, message, data) and `subject`
    /// (apiVersion, kind, namespace, name, uid, labels) that must be true. Where it fails on an event, it does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub filter: Option<String>,
}

/// A target of the rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct TargetReference {
    /// Name of an `EventTarget`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, if that is not the rule's own: the target must name the rule's namespace in `spec.sharedWith`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl TargetReference {
    /// How a Notice of `namespace` names the target: by its name, or as `<namespace>/<name>` if it is shared from another.
    #[must_use]
    pub fn seen_from(&self, namespace: &str) -> String {
        match self.namespace.as_deref().filter(|own| *own != namespace) {
            Some(other) => format!("{other}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What the operator says about a rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NoticeRuleStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last edit of this rule's spec, by the object's own times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<jiff::Timestamp>,
    /// Events before this are not this rule's: the latest of the rule's last edit, the workspace's activation and its grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<jiff::Timestamp>,
    /// The sources' types: `DLCJob,DSWInstance`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sources: String,
    /// How many targets are delivered to, of how many: `1/2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub targets_active: String,
    /// Units used and allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<RuleQuota>,
    /// Each target of the rule.
    pub targets: Vec<RuleTargetStatus>,
    /// The retained Notices of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notices: Option<NoticeCounts>,
    /// The newest Notice of this rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_notice: Option<LastNotice>,
    /// Filters that failed on an event, since the operator started: they count as not matching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_errors: Option<FilterErrors>,
    /// Conditions: `Ready`, `QuotaExceeded`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// Quota of a rule, in units.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RuleQuota {
    /// Units of the active targets.
    pub used: i32,
    /// The workspace's limit.
    pub limit: i32,
}

/// Whether a target of a rule is delivered to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Delivered to.
    Active,
    /// Not delivered to, because the rule's targets before it use up the quota.
    OverQuota,
    /// Deliveries wait until it is ready.
    NotReady,
    /// There is no such target, or it is not shared with the rule's namespace.
    NotFound,
}

/// One target of a rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RuleTargetStatus {
    /// Name of the target; `<namespace>/<name>` if it is shared from another namespace.
    pub name: String,
    /// Its quota units.
    pub units: i32,
    /// Whether it is delivered to.
    pub state: TargetState,
    /// Why, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The newest Notice of a rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastNotice {
    /// Name of the Notice.
    pub name: String,
    /// Its most specific event type.
    pub event: String,
    /// `<kind>/<name>` of the subject.
    pub subject: String,
    /// Time of the event.
    pub time: jiff::Timestamp,
}

/// Filters that failed on an event.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FilterErrors {
    /// How many.
    pub count: i64,
    /// The last one's text.
    pub last: String,
}
