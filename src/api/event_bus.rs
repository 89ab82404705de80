//! `EventBus`: where other systems publish events of a workspace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::conditions_schema;

/// The event bus of a workspace. The operator makes it when the workspace is activated and removes it with it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "notification.pai.dev",
    version = "v1alpha1",
    kind = "EventBus",
    plural = "eventbuses",
    shortname = "pbus",
    category = "pai-notification",
    namespaced,
    status = "EventBusStatus",
    derive = "PartialEq",
    doc = "EventBus is where other systems publish events of a workspace. The operator makes it when the workspace is activated.",
    printcolumn(name = "Workspace", type_ = "string", json_path = ".spec.workspace"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Accepted", type_ = "integer", json_path = ".status.counters.accepted"),
    printcolumn(name = "Refused", type_ = "integer", json_path = ".status.counters.refused"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EventBusSpec {
    /// Name of the Workspace that this bus belongs to.
    #[x_kube(validation = Rule::new("self == oldSelf").message("workspace is immutable"))]
    pub workspace: String,
}

/// What the operator says about a bus.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBusStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where to POST `CloudEvents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Events that were published since the bus was made. Each replica adds what it counted every few seconds; what a replica
    /// counted in the last seconds before it was killed is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<EventBusCounters>,
    /// Conditions: `Ready`, and `WebhookReady` where the Workspace has a model registry.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// Published events by what became of them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBusCounters {
    /// Answered by 202: matched, duplicates, and those that no rule wants.
    pub accepted: i64,
    /// Of the accepted: stored as a Notice.
    pub matched: i64,
    /// Of the accepted: stored before.
    pub duplicates: i64,
    /// Requests (a batch is one) of authenticated publishers that were not accepted, whatever the reason.
    pub refused: i64,
}

impl EventBusCounters {
    /// Adds other counts to these.
    pub const fn add(&mut self, other: Self) {
        let Self { accepted, matched, duplicates, refused } = other;
        self.accepted = self.accepted.saturating_add(accepted);
        self.matched = self.matched.saturating_add(matched);
        self.duplicates = self.duplicates.saturating_add(duplicates);
        self.refused = self.refused.saturating_add(refused);
    }
}
