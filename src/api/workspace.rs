//! `Workspace`: switches a namespace on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod message_settings;
mod model_registry;

pub use message_settings::{
    AliyunText, AliyunVoice, EmailSettings, MessageSettings, Smtp, SmtpSecurity, TextMessageSettings, VoiceCallSettings,
};
pub use model_registry::{
    ApprovedTag, CredentialsReference, KeyReference, Kubeflow, Mlflow, ModelRegistry, RegistryPoll,
};

use super::condition::conditions_schema;

/// Switches event notification on for a namespace, lets the operator in, and sets quota, language and retention.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "notification.pai.dev",
    version = "v1alpha1",
    kind = "Workspace",
    shortname = "pws",
    category = "pai-notification",
    status = "WorkspaceStatus",
    derive = "PartialEq",
    doc = "Workspace switches event notification on for a namespace, lets the operator in, and sets quota, language and retention.",
    validation = Rule::new("self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("the name must be a DNS label of at most 52 characters, because the event bus is called pai-system-<name>"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.namespace"),
    printcolumn(name = "Activated", type_ = "string", json_path = ".status.conditions[?(@.type=='Activated')].status"),
    printcolumn(name = "Access", type_ = "string", json_path = ".status.conditions[?(@.type=='AccessGranted')].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.notices.delivered", priority = 1),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.notices.failed", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespace) == has(oldSelf.namespace)").message("namespace is immutable; make another Workspace instead"))]
pub struct WorkspaceSpec {
    /// The namespace to switch on. The Workspace's own name if left out. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("namespace is immutable; make another Workspace instead"))]
    pub namespace: Option<String>,
    /// "Activate for Free": makes the `EventBus` `pai-system-<workspace>`. While false, nothing is notified.
    #[serde(default)]
    pub activate: bool,
    /// "Grant Access": makes the `RoleBinding` `AliyunServiceRoleForPAIWorkspace` in the namespace, which lets the operator
    /// read its Secrets and write its Notices. The binding may as well be made by hand. False removes a binding that
    /// the operator made.
    #[serde(default)]
    pub grant_access: bool,
    /// Limits.
    #[serde(default)]
    pub quota: Quota,
    /// Language of the built-in messages.
    #[serde(default)]
    pub locale: Locale,
    /// How long finished Notices stay.
    #[serde(default)]
    pub retention: Retention,
    /// The gateways for email, text messages and voice calls. A target with contacts needs those of its methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_settings: Option<MessageSettings>,
    /// Where a subject can be looked at, as a template over `subject`, `event` and `workspace`:
    /// `https://console.example.com/{{ workspace.name }}/jobs/{{ subject.name }}`. Values are percent-encoded. Messages
    /// then hold a link to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("consoleUrl must start with http:// or https://"))]
    pub console_url: Option<String>,
    /// Model registries that tell of model versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_registry: Option<ModelRegistry>,
}

/// Limits of a workspace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Quota {
    /// How many units the targets of one rule may have together. A webhook is one unit.
    #[schemars(range(min = 1, max = 100))]
    pub targets_per_rule: i32,
}

impl Default for Quota {
    fn default() -> Self {
        Self { targets_per_rule: 5 }
    }
}

/// Language of the built-in messages.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// How long finished Notices stay, and how many at most.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// Age at which a finished Notice is removed, counted from its creation, such as `72h`. At least `1s`.
    #[schemars(schema_with = "age_schema")]
    pub notices: Duration,
    /// How many finished Notices stay at most; the oldest go first.
    #[schemars(range(min = 1, max = 200_000))]
    pub max: i32,
}

/// A duration that the API server checks.
fn age_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "x-kubernetes-validations": [{
            "rule": "duration(self) >= duration('1s')",
            "message": "notices must be a duration of at least 1s, such as 72h",
        }],
    })
}

impl Default for Retention {
    fn default() -> Self {
        Self { notices: std::time::Duration::from_hours(72).into(), max: 20_000 }
    }
}

/// What the operator says about a workspace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The namespace that is switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The workspace's event bus, while it is activated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bus: Option<EventBusReference>,
    /// When the workspace was activated, by the time of the edit that did it. Events before this are not notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<jiff::Timestamp>,
    /// The retained Notices of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notices: Option<super::notice::NoticeCounts>,
    /// Conditions: `Ready`, `Activated`, `AccessGranted`; `ConsoleUrlValid` and `RegistriesHealthy` where they are about
    /// something.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// A workspace's event bus.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EventBusReference {
    /// Name of the `EventBus` in the workspace's namespace.
    pub name: String,
    /// Where to POST `CloudEvents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Workspace {
    /// The namespace that this workspace switches on.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.spec.namespace.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}
