//! `EventBus`: where other systems publish events of a workspace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
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
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBusStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where to publish. Publishing comes with a later version; until then this is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Conditions: `Ready`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
