//! Every channel in every form, made from manifests as users write them, and what goes through it, for the tests of all
//! channels together.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::resolve::{SecretError, SecretLookup, resolve};
use super::{Channel, Envelope, Outgoing, Reply, Request, ResolvedTarget, Surroundings};
use crate::api::event_target::EventTargetSpec;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Event, Source, Transition};
use crate::message::{Body, Fact, Link, Message, Tone, samples};

/// A Secret for everything.
struct Secrets;

impl SecretLookup for Secrets {
    fn get(&self, _: &str, key: &str) -> Result<SecretString, SecretError> {
        Ok(SecretString::from(match key {
            "dingTalk" => "https://oapi.dingtalk.com/robot/send?access_token=dingtoken",
            "weCom" => "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey",
            "lark" => "https://open.feishu.cn/open-apis/bot/v2/hook/larktoken",
            "http" => "https://audit.example.com/events",
            _ => "SECsigningkey",
        }))
    }
}

/// A channel in one form.
pub(super) struct Sample {
    /// Name of its golden file.
    pub name: &'static str,
    target: ResolvedTarget,
}

impl Sample {
    pub(super) fn channel(&self) -> &dyn Channel {
        self.target.channel(None).unwrap()
    }

    /// What would be sent.
    pub(super) fn request(&self, event: &Event, message: &Message) -> Request {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let envelope = Envelope { workspace: "research", event, message, delivery_id: "msg_1", now };
        match self.channel().request(&envelope) {
            Outgoing::Http(request) => request,
            Outgoing::Mail(_) => panic!("{} sends mail", self.name),
        }
    }

    /// The body of what would be sent, as JSON.
    pub(super) fn body(&self, message: &Message) -> Value {
        let event = samples::event(Source::DLCJob, Transition::Failed, Cause::Other);
        serde_json::from_slice(&self.request(&event, message).body).unwrap()
    }
}

/// A message with one fact.
pub(super) fn facts(value: &str) -> Message {
    let fact = Fact { label: "Reason", value: value.to_owned() };
    Message { title: "Job a failed".to_owned(), body: Body::Facts(vec![fact]), tone: Tone::Bad, link: None }
}

/// The same message with a link to its subject.
pub(super) fn linked(value: &str) -> Message {
    let link = Some(Link { label: "Open", url: "https://console.example/jobs/a(1)".to_owned() });
    Message { link, ..facts(value) }
}

/// A channel from what stands under `spec`, its webhook and key from Secrets.
pub(super) fn sample(channel: &str, fields: Value) -> Sample {
    Sample { name: "", target: target(spec(channel, fields)) }
}

/// Checks a table of status, body, expected label and expected code.
pub(super) fn check_verdicts(channel: &dyn Channel, table: &[(u16, &str, &str, &str)]) {
    for (status, body, label, code) in table {
        let reply = Reply { status: *status, retry_after: None, body: body.as_bytes().to_vec() };
        let outcome = channel.verdict(&reply);
        assert_eq!((outcome.label(), outcome.code()), (*label, *code), "HTTP {status} {body}");
    }
}

/// A target from what stands under `spec`.
pub(super) fn target(spec: Value) -> ResolvedTarget {
    let spec: EventTargetSpec = serde_json::from_value(spec).unwrap();
    resolve(&spec, &Surroundings::without_workspace(&Secrets)).unwrap()
}

fn spec(channel: &str, fields: Value) -> Value {
    let mut fields = fields;
    fields["webhook"] = json!({"secretKeyRef": {"name": "robot", "key": channel}});
    json!({channel: fields})
}

/// Every chat robot in every form of its messages, mentioning nobody.
pub(super) fn robots() -> Vec<Sample> {
    let key = json!({"secretKeyRef": {"name": "robot", "key": "signing-key"}});
    let forms = [
        ("dingtalk_markdown", "dingTalk", json!({"signingKey": key})),
        ("dingtalk_text", "dingTalk", json!({"signingKey": key, "format": "Text"})),
        ("dingtalk_card", "dingTalk", json!({"signingKey": key, "format": "ActionCard"})),
        ("wecom_markdown", "weCom", json!({})),
        ("wecom_markdown_v2", "weCom", json!({"format": "MarkdownV2"})),
        ("wecom_text", "weCom", json!({"format": "Text"})),
        ("lark", "lark", json!({"signingKey": key})),
    ];
    forms.map(|(name, channel, fields)| Sample { name, target: target(spec(channel, fields)) }).into()
}

/// An HTTP endpoint that takes `CloudEvents`.
pub(super) fn endpoint() -> Sample {
    Sample { name: "http_cloudevent", target: target(spec("http", json!({}))) }
}

/// Why a target is not ready.
pub(super) fn refusal(channel: &str, fields: Value) -> String {
    let spec: EventTargetSpec = serde_json::from_value(spec(channel, fields)).unwrap();
    resolve(&spec, &Surroundings::without_workspace(&Secrets)).unwrap_err().to_string()
}
