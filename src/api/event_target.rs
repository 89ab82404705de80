//! `EventTarget`: one place to deliver to.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{condition::conditions_schema, notice::NoticeCounts};

/// One place to deliver to: exactly one channel.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "notification.pai.dev",
    version = "v1alpha1",
    kind = "EventTarget",
    shortname = "petgt",
    category = "pai-notification",
    namespaced,
    status = "EventTargetStatus",
    derive = "PartialEq",
    doc = "EventTarget is one place to deliver messages to: exactly one channel.",
    printcolumn(name = "Channel", type_ = "string", json_path = ".status.channel"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.deliveries.pending"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.deliveries.delivered"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.deliveries.failed"),
    printcolumn(name = "Last", type_ = "string", json_path = ".status.lastDelivery.outcome"),
    printcolumn(name = "Code", type_ = "string", json_path = ".status.lastDelivery.code", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.dingTalk), has(self.http)].filter(x, x).size() == 1").message("exactly one channel is needed: dingTalk or http"))]
pub struct EventTargetSpec {
    /// While true, deliveries to this target are skipped.
    #[serde(default)]
    pub suspend: bool,
    /// A DingTalk custom robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ding_talk: Option<DingTalk>,
    /// An HTTP or HTTPS endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Text of the message. A rule's own template wins. Left out: the built-in text in the workspace's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<MessageTemplate>,
    /// How to deliver. What is left out has the channel's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// A DingTalk custom robot whose security setting is "sign".
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DingTalk {
    /// The robot's webhook.
    pub webhook: Webhook,
    /// The robot's signing key (`SEC...`).
    pub signing_key: SecretSource,
    /// Whom to mention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<DingTalkMention>,
    /// Form of the message.
    #[serde(default)]
    pub format: DingTalkFormat,
}

/// Form of a DingTalk message.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DingTalkFormat {
    /// Headings, bold, links.
    #[default]
    Markdown,
    /// Plain text.
    Text,
}

/// Whom a DingTalk message mentions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DingTalkMention {
    /// Mobile numbers of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub mobiles: Vec<String>,
    /// User ids of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub user_ids: Vec<String>,
    /// Everybody in the group.
    pub all: bool,
}

/// Where a webhook's URL comes from: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.url) != has(self.secretKeyRef)").message("exactly one of url and secretKeyRef is needed"))]
pub struct Webhook {
    /// The URL itself. Everybody who may read the target can read it: prefer `secretKeyRef` for robots, whose URL is a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("the url must start with http:// or https://"))]
    pub url: Option<String>,
    /// The Secret that holds the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyReference>,
}

/// A value that is held in a Secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// Which Secret and which of its keys.
    pub secret_key_ref: SecretKeyReference,
}

/// A key of a Secret in the object's own namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A Secret in the object's own namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// An HTTP or HTTPS endpoint. Any status from 200 to 299 is delivered; redirects are not followed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// Where to send.
    pub webhook: Webhook,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Further headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub headers: Vec<Header>,
    /// Credentials for the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Signature over the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// What is sent.
    #[serde(default)]
    pub body: Body,
}

/// HTTP method.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// What an `http` target receives.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Body {
    /// `CloudEvents` 1.0, structured mode.
    #[default]
    CloudEvent,
    /// The `body` of the template as it is; the content type is `application/json` where it parses as JSON, else plain text.
    Template,
}

/// One header: its value, or the Secret that holds it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.secretKeyRef)").message("exactly one of value and secretKeyRef is needed"))]
pub struct Header {
    /// Header name.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Header value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// The Secret that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyReference>,
}

/// Credentials: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearer) != has(self.basic)").message("exactly one of bearer and basic is needed"))]
pub struct Authorization {
    /// A bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretSource>,
    /// A Secret with the keys `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<SecretReference>,
}

/// How the body is signed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Signing {
    /// By Standard Webhooks: headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. The Secret holds one key
    /// (`whsec_...`) a line; with several, a receiver may check any of them.
    pub standard_webhooks: SecretSource,
}

/// Own text of a message, as minijinja templates over `event`, `subject`, `workspace` and `rules`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct MessageTemplate {
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub title: Option<String>,
    /// The text, in the form that the channel takes (Markdown for robots).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub body: Option<String>,
}

/// How to deliver.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Longest time that one attempt may take, `1s` to `60s`. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('60s')").message("timeout must be between 1s and 60s"))]
    pub timeout: Option<Duration>,
    /// Age of an event at which it is given up, `1s` to `168h`. Default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("maxAge must be between 1s and 168h"))]
    pub max_age: Option<Duration>,
    /// Most messages a minute. Default: the robot's own limit (DingTalk 20); none for `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60_000))]
    pub rate_per_minute: Option<i32>,
}

/// What the operator says about a target.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EventTargetStatus {
    /// The generation that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `DingTalk` or `HTTP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How much of a rule's quota this target uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_units: Option<i32>,
    /// The last connectivity test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity_test: Option<ConnectivityTest>,
    /// Deliveries of the retained Notices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<NoticeCounts>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<LastDelivery>,
    /// Until when the receiver asked for silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Timestamp>,
    /// Conditions: `Ready`, `Reachable`.
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// The answer to a connectivity test.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectivityTest {
    /// The annotation's value that asked for it.
    pub request: String,
    /// When it was done.
    pub time: Timestamp,
    /// How it went.
    pub result: TestResult,
    /// The receiver's words, or what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a connectivity test went.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// The receiver accepted the test message.
    Succeeded,
    /// It did not.
    Failed,
    /// This channel cannot be tested without an event; nothing was sent.
    NotSupported,
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastOutcome {
    /// Accepted.
    Delivered,
    /// Given up.
    Failed,
    /// Will be tried again.
    Retrying,
}

/// The last attempt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastDelivery {
    /// When.
    pub time: Timestamp,
    /// Name of the Notice.
    pub notice: String,
    /// How it ended.
    pub outcome: LastOutcome,
    /// The receiver's verdict as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The receiver's words, cleaned of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
