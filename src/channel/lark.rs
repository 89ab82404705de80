//! Lark (Feishu) custom robots ("Custom bot usage guide" in the Lark manual), on whatever host the URL names: the two
//! hosts are separate worlds.

mod payload;
pub(super) mod reply;
pub(super) mod sign;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Channel, Envelope, Limits, Outcome, Outgoing, Rate, Reply, receiver, robot};
use crate::api::event_target::LarkMention;

/// The guide's frequency control of one robot in one tenant.
const BUDGET: &[Rate] = &[Rate::per_minute(100), Rate { count: 5, window: Duration::from_secs(1) }];

/// One robot.
pub struct Lark {
    webhook: Url,
    signing_key: Option<SecretString>,
    mention: LarkMention,
}

impl Lark {
    /// A robot with everything resolved; URL, key and mentions were checked.
    pub(super) const fn new(webhook: Url, signing_key: Option<SecretString>, mention: LarkMention) -> Self {
        Self { webhook, signing_key, mention }
    }
}

impl std::fmt::Debug for Lark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        robot::debug("Lark", &self.webhook, f)
    }
}

impl Channel for Lark {
    fn name(&self) -> &'static str {
        "Lark"
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: BUDGET,
            concurrency: 1,
            // The platform itself may be busy, as on the full hour: not the robot's minute, but a few seconds.
            throttle_pause: Duration::from_secs(5),
            // The robot knows no key by which it would recognise a repeat.
            idempotent: false,
            digest: true,
            most_attempts: None,
        }
    }

    fn receiver(&self) -> Option<u64> {
        Some(receiver("Lark", self.webhook.as_str()))
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        let mut body = payload::message(envelope.message, &self.mention);
        if let Some(key) = &self.signing_key {
            sign::sign(&mut body, key.expose_secret(), envelope.now);
        }
        robot::post(self.webhook.clone(), &body)
    }

    fn probe(&self, envelope: &Envelope<'_>) -> Option<Outgoing> {
        Some(self.request(envelope))
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::verdict(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        let mut secrets: Vec<SecretString> = self.signing_key.iter().cloned().collect();
        // The token is the last part of the path.
        secrets.extend(self.webhook.path_segments().and_then(Iterator::last).map(SecretString::from));
        secrets.extend(robot::query_secrets(&self.webhook));
        secrets
    }
}

#[cfg(test)]
mod tests;
