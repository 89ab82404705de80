//! Chat robots: `DingTalk`, `WeCom`, Lark.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Webhook};

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
    /// A card with a button that opens the subject, where the Workspace has a `consoleUrl`. A card mentions nobody, so
    /// that with `mention`, and without a `consoleUrl`, the message goes out as Markdown.
    ActionCard,
}

/// Whom a DingTalk message mentions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DingTalkMention {
    /// Mobile numbers of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 32)))]
    pub mobiles: Vec<String>,
    /// User ids of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 64)))]
    pub user_ids: Vec<String>,
    /// Everybody in the group.
    pub all: bool,
}

/// A WeCom group robot ("message push"). Its URL is the credential; there is no signature.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WeCom {
    /// The robot's webhook.
    pub webhook: Webhook,
    /// Whom to mention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<WeComMention>,
    /// Form of the message.
    #[serde(default)]
    pub format: WeComFormat,
}

/// Form of a WeCom message.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeComFormat {
    /// Headings, bold, links, a colour for the outcome. Mobile numbers and `all` cannot be mentioned in Markdown: where
    /// `mention` asks for them, the message goes out as text.
    #[default]
    Markdown,
    /// The newer Markdown with tables and lists, without colour; older clients show it raw. It mentions nobody: with
    /// `userIds` in `mention` the message goes out as Markdown, with `mobiles` or `all` as text.
    MarkdownV2,
    /// Plain text.
    Text,
}

/// Whom a WeCom message mentions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct WeComMention {
    /// Mobile numbers of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 32)))]
    pub mobiles: Vec<String>,
    /// User ids of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 64)))]
    pub user_ids: Vec<String>,
    /// Everybody in the group.
    pub all: bool,
}

/// A Lark (Feishu) custom robot.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Lark {
    /// The robot's webhook, on `open.feishu.cn` or `open.larksuite.com`.
    pub webhook: Webhook,
    /// The robot's signing key, if its security setting is "signature verification".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SecretSource>,
    /// Whom to mention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<LarkMention>,
}

/// Whom a Lark message mentions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LarkMention {
    /// Open ids (`ou_...`) of members of the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 64)))]
    pub open_ids: Vec<String>,
    /// Everybody in the group, if the group permits it.
    pub all: bool,
}
