use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;
use crate::api::condition::Reason;
use crate::channel::resolve::{SecretError, SecretLookup, resolve};
use crate::channel::{Envelope, Outgoing};
use crate::lifecycle::{Event, Source, Subject, Transition};
use crate::message::{Body, Message, Tone};

struct Secrets(HashMap<(&'static str, &'static str), &'static str>);

impl SecretLookup for Secrets {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        match self.0.get(&(name, key)) {
            Some(value) => Ok(SecretString::from(*value)),
            None if self.0.keys().any(|(secret, _)| *secret == name) => Err(SecretError::KeyMissing),
            None => Err(SecretError::NotFound),
        }
    }
}

fn secrets() -> Secrets {
    Secrets(HashMap::from([
        (("smtp", "username"), "pai"),
        (("smtp", "password"), "p4ssw0rd\n"),
        (("aliyun", "accessKeyId"), "LTAI1234"),
        (("aliyun", "accessKeySecret"), "s3cr3t"),
        (("sts", "accessKeyId"), "STS.1"),
        (("sts", "accessKeySecret"), "s3cr3t"),
        (("sts", "securityToken"), "t0ken"),
        (("half", "accessKeyId"), "LTAI1234"),
        (("half", "username"), "pai"),
        (("odd", "accessKeyId"), "LTAI 1234"),
        (("odd", "accessKeySecret"), "s3cr3t"),
        (("ca", "ca.crt"), "no certificate"),
    ]))
}

fn settings() -> Value {
    json!({
        "email": {"smtp": {"host": "smtp.corp.example", "from": "PAI <pai@corp.example>", "credentialsRef": {"name": "smtp"}}},
        "textMessage": {"aliyun": {"signName": "PAI", "templateCode": "SMS_1", "credentialsRef": {"name": "aliyun"}}},
        "voiceCall": {"aliyun": {"ttsCode": "TTS_1", "credentialsRef": {"name": "sts"}}},
    })
}

fn all() -> Value {
    json!([{"name": "On Call", "phone": "+8613900000000", "email": "li@corp.example",
            "methods": ["VoiceCall", "TextMessage", "Email"]}])
}

fn channels(contacts: &Value, settings: &Value) -> Result<Vec<Way>, TargetError> {
    let spec: EventTargetSpec = serde_json::from_value(json!({"contacts": contacts})).unwrap();
    let settings: MessageSettings = serde_json::from_value(settings.clone()).unwrap();
    let secrets = secrets();
    let around = Surroundings { secrets: &secrets, workspace: "vision", settings: Some(&settings) };
    super::contacts(&spec, spec.contacts.as_deref().unwrap(), &around)
}

fn request(channel: &dyn Channel) -> Outgoing {
    let event = Event {
        id: "0123".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: Vec::new(),
        time: jiff::Timestamp::UNIX_EPOCH,
        observed_time: jiff::Timestamp::UNIX_EPOCH,
        reason: String::new(),
        message: String::new(),
        subject: Subject::default(),
        data: serde_json::Map::new(),
    };
    let message = Message { title: "t".to_owned(), body: Body::Facts(Vec::new()), tone: Tone::Bad, link: None };
    let now = jiff::Timestamp::UNIX_EPOCH;
    channel.request(&Envelope { workspace: "vision", event: &event, message: &message, delivery_id: "msg_1", now })
}

#[test]
fn every_method_of_a_contact_is_a_channel_of_its_own() {
    let resolved = channels(&all(), &settings()).unwrap();
    let names: Vec<_> =
        resolved.iter().map(|(leg, channel)| (leg.as_ref().unwrap().to_string(), channel.name())).collect();
    let expected =
        [("On Call/VoiceCall", "VoiceCall"), ("On Call/TextMessage", "TextMessage"), ("On Call/Email", "Email")];
    assert_eq!(names, expected.map(|(leg, name)| (leg.to_owned(), name)));
    let secrets: Vec<Vec<String>> = resolved
        .iter()
        .map(|(_, channel)| channel.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect())
        .collect();
    assert_eq!(secrets, [vec!["STS.1", "s3cr3t", "t0ken"], vec!["LTAI1234", "s3cr3t"], vec!["p4ssw0rd"]]);
    let Outgoing::Http(call) = request(resolved[0].1.as_ref()) else { panic!("no request") };
    assert_eq!(call.url.host_str(), Some("dyvmsapi.aliyuncs.com"));
    let Outgoing::Http(text) = request(resolved[1].1.as_ref()) else { panic!("no request") };
    assert_eq!(text.url.host_str(), Some("dysmsapi.aliyuncs.com"));
}

#[test]
fn the_port_follows_the_security_and_a_name_stands_before_the_address() {
    let contacts = json!([{"name": "李雷", "email": "li@corp.example", "methods": ["Email"]}]);
    for (security, port, shown) in [
        (json!("Tls"), json!(null), "smtps://smtp.corp.example:465"),
        (json!("StartTls"), json!(null), "smtp+starttls://smtp.corp.example:587"),
        (json!("None"), json!(null), "smtp://smtp.corp.example:25"),
        (json!("None"), json!(2525), "smtp://smtp.corp.example:2525"),
    ] {
        let mut settings = settings();
        settings["email"]["smtp"]["security"] = security;
        settings["email"]["smtp"]["port"] = port;
        let resolved = channels(&contacts, &settings).unwrap();
        let Outgoing::Mail(mail) = request(resolved[0].1.as_ref()) else { panic!("no mail") };
        assert_eq!(mail.server.to_string(), shown);
        assert_eq!((mail.to.name.as_deref(), mail.to.email.to_string().as_str()), (Some("李雷"), "li@corp.example"));
        assert_eq!(mail.server.patience, Duration::from_secs(8));
    }
}

#[test]
fn a_sender_may_have_a_name_in_any_script() {
    for (text, name, email) in [
        ("pai@corp.example", None, "pai@corp.example"),
        (" <pai@corp.example> ", None, "pai@corp.example"),
        ("PAI <pai@corp.example>", Some("PAI"), "pai@corp.example"),
        ("\"PAI, Team\" <pai@corp.example>", Some("PAI, Team"), "pai@corp.example"),
        ("训练平台 <pai@corp.example>", Some("训练平台"), "pai@corp.example"),
        ("a\r\nBcc: b <pai@corp.example>", Some("a  Bcc: b"), "pai@corp.example"),
    ] {
        let mailbox = mailbox(text).unwrap();
        assert_eq!((mailbox.name.as_deref(), mailbox.email.to_string().as_str()), (name, email), "{text}");
    }
    for text in ["", "pai", "PAI <pai>", "PAI <pai@corp.example", "a@b@c", "派@corp.example", "a b@corp.example", "<>"]
    {
        assert!(mailbox(text).is_none(), "{text}");
    }
}

fn assert_refused(contacts: &Value, settings: &Value, reason: Reason, text: &str) {
    let error = channels(contacts, settings).unwrap_err();
    assert_eq!(error.reason(), reason, "{error}");
    assert!(error.to_string().contains(text), "{error}\n{text}");
    for secret in ["p4ssw0rd", "s3cr3t", "LTAI"] {
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

#[test]
fn a_method_that_the_workspace_has_no_gateway_for_says_what_is_missing() {
    let of = |method: &str| json!([{"name": "a", "phone": "1", "email": "a", "methods": [method]}]);
    for (method, settings, text) in [
        ("VoiceCall", json!({}), "VoiceCall needs spec.messageSettings.voiceCall of Workspace vision"),
        ("TextMessage", json!({}), "TextMessage needs spec.messageSettings.textMessage of Workspace vision"),
        ("TextMessage", json!({"textMessage": {}}), "spec.messageSettings.textMessage.aliyun of"),
        ("Email", json!({}), "Email needs spec.messageSettings.email of Workspace vision"),
    ] {
        assert_refused(&of(method), &settings, Reason::MessageSettingsMissing, text);
    }
}

#[test]
fn a_contact_that_cannot_be_reached_is_named_with_its_field_and_what_to_write() {
    for (contact, text) in [
        (json!({"phone": "12 34", "methods": ["TextMessage"]}), "phone: must be digits"),
        (
            json!({"phone": "+86139", "methods": ["VoiceCall"]}),
            "phone: a mobile number in mainland China has 11 digits",
        ),
        (json!({"methods": ["VoiceCall"]}), "phone: VoiceCall and TextMessage need a phone"),
        (json!({"methods": ["Email"]}), "email: Email needs an email"),
        (json!({"email": "a@b.example\r\nRCPT TO:<x@y>", "methods": ["Email"]}), "email: must be one ASCII address"),
        (json!({"email": "a@b.example, c@d.example", "methods": ["Email"]}), "email: must be one ASCII address"),
        (json!({"email": "李@b.example", "methods": ["Email"]}), "email: must be one ASCII address"),
    ] {
        let mut contact = contact;
        contact["name"] = json!("a");
        let contacts = json!([all()[0], contact]);
        assert_refused(&contacts, &settings(), Reason::InvalidSpec, &format!("spec.contacts[1].{text}"));
    }
}

#[test]
fn a_setting_that_cannot_be_used_is_named_with_its_workspace_and_what_to_write() {
    use Reason::{InvalidSpec, SecretKeyMissing, SecretNotFound};
    for (setting, value, reason, text) in [
        ("email/smtp/credentialsRef", json!({"name": "gone"}), SecretNotFound, ": there is no Secret gone"),
        ("email/smtp/credentialsRef", json!({"name": "half"}), SecretKeyMissing, "Secret half has no key password"),
        ("email/smtp/from", json!("nobody"), InvalidSpec, ": must be an ASCII address"),
        ("email/smtp/host", json!("smtp://a.example"), InvalidSpec, ": must be a host name"),
        ("email/smtp/host", json!("a.example:25"), InvalidSpec, ": must be a host name"),
        ("email/smtp/port", json!(0), InvalidSpec, ": must be a port"),
        ("email/smtp/port", json!(-1), InvalidSpec, ": must be a port"),
        ("email/smtp/caRef", json!({"name": "ca"}), InvalidSpec, ": key ca.crt of Secret ca holds no CA certificate"),
        ("textMessage/aliyun/endpoint", json!("ftp://a.example"), InvalidSpec, ": must be a host"),
        ("textMessage/aliyun/credentialsRef", json!({"name": "half"}), SecretKeyMissing, "no key accessKeySecret"),
        ("textMessage/aliyun/credentialsRef", json!({"name": "odd"}), InvalidSpec, "key accessKeyId of Secret odd has"),
        ("voiceCall/aliyun/credentialsRef", json!({"name": "gone"}), SecretNotFound, ": there is no Secret gone"),
    ] {
        let mut settings = settings();
        let (parent, name) = setting.rsplit_once('/').unwrap();
        settings.pointer_mut(&format!("/{parent}")).unwrap()[name] = value;
        let field = format!("Workspace vision spec.messageSettings.{}", setting.replace('/', "."));
        assert_refused(&all(), &settings, reason, &field);
        assert_refused(&all(), &settings, reason, text);
    }
}

#[test]
fn a_server_that_wants_no_login_needs_no_secret() {
    let mut settings = settings();
    settings["email"]["smtp"] = json!({"host": "[fd00::25]", "security": "None", "from": "pai@corp.example"});
    let contacts = json!([{"name": "a", "email": "a@corp.example", "methods": ["Email"]}]);
    let resolved = channels(&contacts, &settings).unwrap();
    let Outgoing::Mail(mail) = request(resolved[0].1.as_ref()) else { panic!("no mail") };
    assert_eq!(mail.server.to_string(), "smtp://[fd00::25]:25");
    assert!(mail.server.credentials.is_none() && resolved[0].1.secrets().is_empty());
}

#[test]
fn a_target_finds_the_channel_of_each_leg() {
    let spec: EventTargetSpec = serde_json::from_value(json!({"contacts": all()})).unwrap();
    let settings: MessageSettings = serde_json::from_value(settings()).unwrap();
    let secrets = secrets();
    let around = Surroundings { secrets: &secrets, workspace: "vision", settings: Some(&settings) };
    let target = resolve(&spec, &around).unwrap();
    for leg in legs(&spec) {
        assert_eq!(target.channel(Some(&leg)).unwrap().name(), leg.method.as_str());
    }
    assert!(target.channel(None).is_none());
}
