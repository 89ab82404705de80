//! WeCom group robots, now "message push" ("Message push configuration" in the WeCom manual).
//!
//! There is no signature: the key in the URL is the credential.

mod payload;
pub(super) mod reply;

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{Channel, Envelope, Limits, Outcome, Outgoing, Rate, Reply, receiver, robot};
use crate::api::event_target::{WeComFormat, WeComMention};

/// The manual's "frequency of messages".
const BUDGET: &[Rate] = &[Rate::per_minute(20)];

/// One robot.
pub struct WeCom {
    webhook: Url,
    mention: WeComMention,
    format: WeComFormat,
}

impl WeCom {
    /// A robot with everything resolved; URL and mentions were checked.
    pub(super) const fn new(webhook: Url, mention: WeComMention, format: WeComFormat) -> Self {
        Self { webhook, mention, format }
    }
}

impl std::fmt::Debug for WeCom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        robot::debug("WeCom", &self.webhook, f)
    }
}

impl Channel for WeCom {
    fn name(&self) -> &'static str {
        "WeCom"
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: BUDGET,
            concurrency: 1,
            throttle_pause: Duration::from_mins(1),
            // The robot knows no key by which it would recognise a repeat.
            idempotent: false,
            digest: true,
            most_attempts: None,
        }
    }

    fn receiver(&self) -> Option<u64> {
        Some(receiver("WeCom", self.webhook.as_str()))
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        robot::post(self.webhook.clone(), &payload::message(envelope.message, self.format, &self.mention))
    }

    fn probe(&self, envelope: &Envelope<'_>) -> Option<Outgoing> {
        Some(self.request(envelope))
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::VERDICTS.of(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        robot::query_secrets(&self.webhook).collect()
    }
}

#[cfg(test)]
mod tests;
