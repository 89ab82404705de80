//! `EventTarget`: one place to deliver to.

mod contact;
mod endpoint;
mod robot;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use contact::{Contact, ContactMethod};
pub use endpoint::{Authorization, Body, CaReference, Handshake, Header, Http, Method, Signing, Tls};
pub use robot::{DingTalk, DingTalkFormat, DingTalkMention, Lark, LarkMention, WeCom, WeComFormat, WeComMention};

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
#[x_kube(validation = Rule::new("[has(self.dingTalk), has(self.weCom), has(self.lark), has(self.http), has(self.contacts)].filter(x, x).size() == 1").message("exactly one channel is needed: dingTalk, weCom, lark, http or contacts"))]
pub struct EventTargetSpec {
    /// While true, deliveries to this target are skipped.
    #[serde(default)]
    pub suspend: bool,
    /// A DingTalk custom robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ding_talk: Option<DingTalk>,
    /// A WeCom group robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub we_com: Option<WeCom>,
    /// A Lark (Feishu) custom robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lark: Option<Lark>,
    /// An HTTP or HTTPS endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// People, reached by voice call, text message or email through the gateways of the Workspace's `messageSettings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub contacts: Option<Vec<Contact>>,
    /// Namespaces whose rules may name this target, too. Their Notices, with every label and text, then go to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63)))]
    pub shared_with: Vec<String>,
    /// Text of the message. A rule's own template wins. Left out: the built-in text in the workspace's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<MessageTemplate>,
    /// How to deliver. What is left out has the channel's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
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
    /// Most messages a minute. A robot's own limit (DingTalk 20, WeCom 20, Lark 100) holds all the same. Default: that
    /// limit; none for `http` and email.
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
    /// `DingTalk`, `WeCom`, `Lark`, `HTTP` or `Contacts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How much of a rule's quota this target uses: a webhook one unit, contacts one per contact and method.
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
