//! DingTalk custom robots ("Custom robot access" in the DingTalk manual), security setting "sign".

mod payload;
pub(super) mod reply;
pub(super) mod sign;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Channel, Envelope, Limits, Outcome, Outgoing, Rate, Reply, receiver, robot};
use crate::api::event_target::{DingTalkFormat, DingTalkMention};

/// Beyond it, a robot is blocked for ten minutes.
const BUDGET: &[Rate] = &[Rate::per_minute(20)];

/// One robot.
pub struct DingTalk {
    webhook: Url,
    signing_key: SecretString,
    mention: DingTalkMention,
    format: DingTalkFormat,
}

impl DingTalk {
    /// A robot with everything resolved; the URL and the key were checked.
    pub(super) const fn new(
        webhook: Url,
        signing_key: SecretString,
        mention: DingTalkMention,
        format: DingTalkFormat,
    ) -> Self {
        Self { webhook, signing_key, mention, format }
    }
}

impl std::fmt::Debug for DingTalk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        robot::debug("DingTalk", &self.webhook, f)
    }
}

impl Channel for DingTalk {
    fn name(&self) -> &'static str {
        "DingTalk"
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: BUDGET,
            concurrency: 1,
            throttle_pause: Duration::from_mins(10),
            // msgUuid
            idempotent: true,
            digest: true,
            most_attempts: None,
        }
    }

    fn receiver(&self) -> Option<u64> {
        Some(receiver("DingTalk", self.webhook.as_str()))
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        let body = payload::message(envelope, self.format, &self.mention);
        robot::post(sign::signed(&self.webhook, self.signing_key.expose_secret(), envelope.now), &body)
    }

    fn probe(&self, envelope: &Envelope<'_>) -> Option<Outgoing> {
        Some(self.request(envelope))
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::VERDICTS.of(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = vec![self.signing_key.clone()];
        secrets.extend(robot::query_secrets(&self.webhook));
        secrets
    }
}

#[cfg(test)]
mod tests;
