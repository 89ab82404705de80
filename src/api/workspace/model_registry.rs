//! The model registries of a workspace.

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Model registries that tell of model versions, or are asked for them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRegistry {
    /// An MLflow whose webhooks call `<address of the bus>/mlflow` instead of `/events`, or that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<Mlflow>,
    /// A Kubeflow Model Registry that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeflow: Option<Kubeflow>,
}

/// An MLflow that calls the workspace's bus, or is asked, or both: then no approval is told twice.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.webhookSecretRef) || has(self.poll)").message("mlflow needs webhookSecretRef or poll, or it would tell of nothing"))]
pub struct Mlflow {
    /// Where the webhook's secret stands: MLflow signs each call with it. Without it, calls are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_ref: Option<KeyReference>,
    /// Asks the MLflow for its model versions every now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<RegistryPoll>,
    /// The tag of a model version that says that it is approved for deployment.
    #[serde(default)]
    pub approved_tag: ApprovedTag,
    /// Aliases that say so: whoever gives a version one of these approves it.
    #[serde(default = "champion")]
    #[schemars(length(max = 16))]
    pub approved_aliases: Vec<String>,
}

/// A Kubeflow Model Registry. It has no webhooks, so it is asked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Kubeflow {
    /// How it is asked.
    pub poll: RegistryPoll,
    /// The custom property of a model version that says that it is approved for deployment.
    #[serde(default)]
    pub approved_property: ApprovedTag,
}

/// How a registry is asked.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RegistryPoll {
    /// Its address, without the path of the API: `http://mlflow.mlops.svc:5000`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("url must start with http:// or https://"))]
    pub url: String,
    /// How often, such as `60s`. At least `10s`.
    #[serde(default = "minute")]
    #[schemars(schema_with = "interval_schema")]
    pub interval: Duration,
    /// What it is asked with, if it wants credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<CredentialsReference>,
}

/// A Secret in the workspace's namespace with a key `token`, which is sent as a bearer token, or with `username` and
/// `password`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialsReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret in the workspace's namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A tag or property, and its value.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(default)]
pub struct ApprovedTag {
    /// Its name.
    #[schemars(length(min = 1, max = 250))]
    pub key: String,
    /// The value that approves.
    #[schemars(length(min = 1, max = 250))]
    pub value: String,
}

impl Default for ApprovedTag {
    fn default() -> Self {
        Self { key: "validation_status".to_owned(), value: "approved".to_owned() }
    }
}

fn champion() -> Vec<String> {
    vec!["champion".to_owned()]
}

fn minute() -> Duration {
    std::time::Duration::from_mins(1).into()
}

/// A duration that the API server checks.
fn interval_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "x-kubernetes-validations": [{
            "rule": "duration(self) >= duration('10s')",
            "message": "interval must be a duration of at least 10s, such as 60s",
        }],
    })
}
