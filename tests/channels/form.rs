//! Every form in which a channel can be set up: the target's spec, its Secrets, the workspace's gateways, the receiver.

use std::collections::BTreeMap;

use pai_notification::channel::resolve::{SecretError, SecretLookup};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::mail;
use crate::robot::{Consent, Endpoint, Gateway, Inbox, Lark, Receiver, Robot, WeCom};

/// Token, key or name of a robot's or an endpoint's address.
pub const TOKEN: &str = "tok-8d21f0c7b9";
/// What a `DingTalk` or Lark robot signs with.
pub const SIGNING_KEY: &str = "SEC5a1d0e77c2f4";
/// The keys of a Standard Webhooks target: the first is the new one.
pub const WEBHOOK_KEYS: [&str; 2] =
    ["whsec_bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3", "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXktb2xk"];
/// What an endpoint demands in `Authorization`.
pub const BEARER: &str = "bearer-77aa31c9e0d4";
/// The account of the gateway.
pub const ACCESS_KEY: (&str, &str) = ("LTAI5tExample0001", "gateway-secret-90b1");
/// The phone of the contact.
pub const PHONE: &str = "+8613900000000";
/// Who asks an endpoint for its consent.
pub const ORIGIN: &str = "notifier.example.com";
const ADDRESS: &str = "li@mail.example";
const VARIABLES: [&str; 7] = ["title", "workspace", "name", "event", "status", "reason", "time"];

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    DingTalk,
    WeCom,
    Lark,
    Http,
    TextMessage,
    VoiceCall,
    Email,
}

/// A channel, set up in one of its ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    DingTalkMarkdown,
    DingTalkText,
    DingTalkCard,
    WeComMarkdown,
    WeComText,
    LarkSigned,
    LarkUnsigned,
    HttpStructured,
    HttpBinary,
    HttpTemplate,
    HttpSigned,
    HttpBearer,
    HttpOwnCa,
    HttpClientCertificate,
    HttpHandshake,
    TextMessage,
    VoiceCall,
    EmailTls,
    EmailStartTls,
    EmailPlain,
}

impl Form {
    pub const ALL: [Self; 20] = [
        Self::DingTalkMarkdown,
        Self::DingTalkText,
        Self::DingTalkCard,
        Self::WeComMarkdown,
        Self::WeComText,
        Self::LarkSigned,
        Self::LarkUnsigned,
        Self::HttpStructured,
        Self::HttpBinary,
        Self::HttpTemplate,
        Self::HttpSigned,
        Self::HttpBearer,
        Self::HttpOwnCa,
        Self::HttpClientCertificate,
        Self::HttpHandshake,
        Self::TextMessage,
        Self::VoiceCall,
        Self::EmailTls,
        Self::EmailStartTls,
        Self::EmailPlain,
    ];

    pub const fn kind(self) -> Kind {
        match self {
            Self::DingTalkMarkdown | Self::DingTalkText | Self::DingTalkCard => Kind::DingTalk,
            Self::WeComMarkdown | Self::WeComText => Kind::WeCom,
            Self::LarkSigned | Self::LarkUnsigned => Kind::Lark,
            Self::HttpStructured
            | Self::HttpBinary
            | Self::HttpTemplate
            | Self::HttpSigned
            | Self::HttpBearer
            | Self::HttpOwnCa
            | Self::HttpClientCertificate
            | Self::HttpHandshake => Kind::Http,
            Self::TextMessage => Kind::TextMessage,
            Self::VoiceCall => Kind::VoiceCall,
            Self::EmailTls | Self::EmailStartTls | Self::EmailPlain => Kind::Email,
        }
    }

    /// Whether the receiver speaks TLS from the first byte. (A robot on this machine does not: its target can name no
    /// CA.)
    pub const fn is_secured(self) -> bool {
        matches!(self, Self::HttpOwnCa | Self::HttpClientCertificate | Self::EmailTls)
    }

    /// What stands under `spec` of the `EventTarget`.
    pub fn spec(self) -> Value {
        let from = |key: &str| json!({"secretKeyRef": {"name": "target", "key": key}});
        let webhook = from("webhook");
        match self {
            Self::DingTalkMarkdown => json!({"dingTalk": {"webhook": webhook, "signingKey": from("key"),
                "mention": {"mobiles": ["13900000001"], "userIds": ["user-7"]}}}),
            Self::DingTalkText => json!({"dingTalk": {"webhook": webhook, "signingKey": from("key"), "format": "Text",
                "mention": {"all": true}}}),
            Self::DingTalkCard => {
                json!({"dingTalk": {"webhook": webhook, "signingKey": from("key"), "format": "ActionCard"}})
            }
            Self::WeComMarkdown => json!({"weCom": {"webhook": webhook, "mention": {"userIds": ["zhangsan"]}}}),
            Self::WeComText => json!({"weCom": {"webhook": webhook, "format": "Text",
                "mention": {"mobiles": ["13900000001"], "userIds": ["zhangsan"]}}}),
            Self::LarkSigned => json!({"lark": {"webhook": webhook, "signingKey": from("key"),
                "mention": {"openIds": ["ou_7"], "all": true}}}),
            Self::LarkUnsigned => json!({"lark": {"webhook": webhook}}),
            Self::HttpStructured => json!({"http": {"webhook": webhook}}),
            Self::HttpBinary => json!({"http": {"webhook": webhook, "body": "CloudEventBinary", "method": "PUT"}}),
            Self::HttpTemplate => json!({"http": {"webhook": webhook, "body": "Template",
                "headers": [{"name": "X-Team", "value": "vision"}]}}),
            Self::HttpSigned => json!({"http": {"webhook": webhook, "signing": {"standardWebhooks": from("keys")}}}),
            Self::HttpBearer => json!({"http": {"webhook": webhook, "authorization": {"bearer": from("bearer")}}}),
            Self::HttpOwnCa => json!({"http": {"webhook": webhook, "tls": {"caRef": {"name": "ca"}}}}),
            Self::HttpClientCertificate => json!({"http": {"webhook": webhook,
                "tls": {"caRef": {"name": "ca"}, "clientCertificateRef": {"name": "client"}}}}),
            Self::HttpHandshake => json!({"http": {"webhook": webhook, "handshake": {"origin": ORIGIN}}}),
            Self::TextMessage => contact("TextMessage"),
            Self::VoiceCall => contact("VoiceCall"),
            Self::EmailTls | Self::EmailStartTls | Self::EmailPlain => contact("Email"),
        }
    }

    /// `spec.messageSettings` of the workspace; the address is that of the receiver.
    pub fn settings(self, address: &str) -> Value {
        let aliyun = json!({"name": "aliyun"});
        let email = |security: &str| {
            let (host, port) = address.rsplit_once(':').unwrap();
            json!({"email": {"smtp": {"host": host, "port": port.parse::<u16>().unwrap(), "security": security,
                "from": "PAI <sender@mail.example>", "credentialsRef": {"name": "smtp"}, "caRef": {"name": "ca"}}}})
        };
        match self {
            Self::TextMessage => json!({"textMessage": {"aliyun": {"endpoint": address, "signName": "PAI通知",
                "templateCode": "SMS_1", "credentialsRef": aliyun}}}),
            Self::VoiceCall => {
                json!({"voiceCall": {"aliyun": {"endpoint": address, "ttsCode": "TTS_1", "credentialsRef": aliyun}}})
            }
            Self::EmailTls => email("Tls"),
            Self::EmailStartTls => email("StartTls"),
            Self::EmailPlain => email("None"),
            _ => json!({}),
        }
    }

    /// Puts the receiver up that takes what such a target sends; `None` for mail, which goes to a server of its own.
    pub fn inbox(self, receiver: &Receiver) -> Option<Inbox> {
        let inbox = match self {
            Self::DingTalkMarkdown | Self::DingTalkText | Self::DingTalkCard => {
                receiver.robot(Robot::signed(TOKEN, SIGNING_KEY))
            }
            Self::WeComMarkdown | Self::WeComText => receiver.wecom(WeCom::new(TOKEN)),
            Self::LarkSigned => receiver.lark(Lark::new(TOKEN).with_signing_key(SIGNING_KEY)),
            Self::LarkUnsigned => receiver.lark(Lark::new(TOKEN)),
            Self::HttpStructured | Self::HttpOwnCa | Self::HttpClientCertificate => {
                receiver.endpoint(Endpoint::cloud_events(TOKEN))
            }
            Self::HttpBinary => receiver.endpoint(Endpoint::binary_cloud_events(TOKEN)),
            Self::HttpTemplate => receiver.endpoint(Endpoint::anything(TOKEN)),
            // It has the old key alone, as in the middle of a rotation.
            Self::HttpSigned => receiver.endpoint(Endpoint::cloud_events(TOKEN).with_signing_secret(WEBHOOK_KEYS[1])),
            Self::HttpBearer => receiver.endpoint(Endpoint::cloud_events(TOKEN).with_bearer(BEARER)),
            Self::HttpHandshake => {
                let given = Consent::Given { origin: ORIGIN.to_owned(), rate: None };
                receiver.endpoint(Endpoint::cloud_events(TOKEN).with_handshake(given))
            }
            Self::TextMessage | Self::VoiceCall => {
                let gateway = Gateway::new(ACCESS_KEY.0, ACCESS_KEY.1).with_sms("PAI通知", "SMS_1", &VARIABLES);
                receiver.gateway(gateway.with_voice("TTS_1", &VARIABLES))
            }
            Self::EmailTls | Self::EmailStartTls | Self::EmailPlain => return None,
        };
        Some(inbox)
    }

    /// What stands in this form's Secrets, and must be in no text that is kept.
    pub fn private(self) -> Vec<&'static str> {
        let bare = |key: &'static str| key.strip_prefix("whsec_").unwrap();
        match self {
            Self::DingTalkMarkdown | Self::DingTalkText | Self::DingTalkCard | Self::LarkSigned => {
                vec![TOKEN, SIGNING_KEY]
            }
            Self::HttpSigned => vec![TOKEN, bare(WEBHOOK_KEYS[0]), bare(WEBHOOK_KEYS[1])],
            Self::HttpBearer => vec![TOKEN, BEARER],
            Self::WeComMarkdown
            | Self::WeComText
            | Self::LarkUnsigned
            | Self::HttpStructured
            | Self::HttpBinary
            | Self::HttpTemplate
            | Self::HttpOwnCa
            | Self::HttpClientCertificate
            | Self::HttpHandshake => vec![TOKEN],
            Self::TextMessage | Self::VoiceCall => vec![ACCESS_KEY.0, ACCESS_KEY.1],
            Self::EmailTls | Self::EmailStartTls | Self::EmailPlain => vec![mail::PASSWORD],
        }
    }
}

fn contact(method: &str) -> Value {
    json!({"contacts": [{"name": "li", "phone": PHONE, "email": ADDRESS, "methods": [method]}]})
}

/// Secrets of a namespace, by name and key.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<(String, String), String>);

impl Secrets {
    /// What every form takes some of.
    pub fn usual() -> Self {
        let mut secrets = Self::default();
        for (name, key, value) in [
            ("target", "key", SIGNING_KEY),
            ("target", "keys", &WEBHOOK_KEYS.join("\n")),
            ("target", "bearer", BEARER),
            ("aliyun", "accessKeyId", ACCESS_KEY.0),
            ("aliyun", "accessKeySecret", ACCESS_KEY.1),
            ("smtp", "username", mail::USER),
            ("smtp", "password", mail::PASSWORD),
        ] {
            secrets.set(name, key, value);
        }
        secrets
    }

    pub fn set(&mut self, name: &str, key: &str, value: &str) {
        self.0.insert((name.to_owned(), key.to_owned()), value.to_owned());
    }
}

impl SecretLookup for Secrets {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        let value = self.0.get(&(name.to_owned(), key.to_owned()));
        if let Some(value) = value {
            return Ok(SecretString::from(value.as_str()));
        }
        let is_there = self.0.keys().any(|(known, _)| known == name);
        Err(if is_there { SecretError::KeyMissing } else { SecretError::NotFound })
    }
}
