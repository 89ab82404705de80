//! The gateways through which a workspace's contacts are reached.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::event_target::{CaReference, SecretReference};

/// The gateways for email, text messages and voice calls. Secrets are in the workspace's namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MessageSettings {
    /// Email.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSettings>,
    /// Text messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_message: Option<TextMessageSettings>,
    /// Voice calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_call: Option<VoiceCallSettings>,
}

/// How email is sent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EmailSettings {
    /// An SMTP server.
    pub smtp: Smtp,
}

/// An SMTP server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Smtp {
    /// Host name or address.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Port. Default: 465 for `Tls`, 587 for `StartTls`, 25 for `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// How the connection is secured.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Sender, as `PAI <pai@example.com>` or `pai@example.com`.
    #[schemars(length(min = 3, max = 320))]
    #[x_kube(validation = Rule::new("self.contains('@')").message("from must be an address such as PAI <pai@example.com>"))]
    pub from: String,
    /// A Secret with the keys `username` and `password`. Without it, nobody logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretReference>,
    /// The CA certificates that the server's certificate must come from, instead of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<CaReference>,
}

/// How the connection to an SMTP server is secured.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    #[default]
    Tls,
    /// TLS by the `STARTTLS` command; without it, nothing is sent.
    StartTls,
    /// None. Passwords and messages can be read on the way.
    None,
}

/// How text messages are sent: exactly one gateway.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.aliyun)").message("exactly one gateway is needed: aliyun"))]
pub struct TextMessageSettings {
    /// Alibaba Cloud Short Message Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliyun: Option<AliyunText>,
}

/// Alibaba Cloud Short Message Service (`SendSms`, version 2017-05-25).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AliyunText {
    /// A host, `host:port` (both https), or a URL with its scheme.
    #[serde(default = "text_endpoint")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: String,
    /// The approved signature, without brackets.
    #[schemars(length(min = 1, max = 64))]
    pub sign_name: String,
    /// The approved template (`SMS_...`). Its variables may be any of `title`, `workspace`, `name`, `event`, `status`,
    /// `reason` and `time`.
    #[schemars(length(min = 1, max = 64))]
    pub template_code: String,
    /// A Secret with the keys `accessKeyId`, `accessKeySecret` and, for temporary credentials, `securityToken`.
    pub credentials_ref: SecretReference,
}

fn text_endpoint() -> String {
    "dysmsapi.aliyuncs.com".to_owned()
}

/// How voice calls are made: exactly one gateway.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.aliyun)").message("exactly one gateway is needed: aliyun"))]
pub struct VoiceCallSettings {
    /// Alibaba Cloud Voice Messaging Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliyun: Option<AliyunVoice>,
}

/// Alibaba Cloud Voice Messaging Service (`SingleCallByTts`, version 2017-05-25).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AliyunVoice {
    /// A host, `host:port` (both https), or a URL with its scheme.
    #[serde(default = "voice_endpoint")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: String,
    /// The approved text-to-speech template (`TTS_...`). Its variables may be any of `title`, `workspace`, `name`, `event`,
    /// `status`, `reason` and `time`.
    #[schemars(length(min = 1, max = 64))]
    pub tts_code: String,
    /// The number that is shown to the called one; left out or empty in shared-number mode.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub called_show_number: String,
    /// A Secret with the keys `accessKeyId`, `accessKeySecret` and, for temporary credentials, `securityToken`.
    pub credentials_ref: SecretReference,
}

fn voice_endpoint() -> String {
    "dyvmsapi.aliyuncs.com".to_owned()
}
