//! DingTalk custom robots ("Custom robot access" in the DingTalk manual), security setting "sign".

mod payload;
mod reply;
mod sign;

use std::time::Duration;

use http::{HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Channel, Envelope, Limits, Outcome, Reply, Request};
use crate::api::event_target::{DingTalkFormat, DingTalkMention};

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
        f.debug_struct("DingTalk").field("host", &self.webhook.host_str()).finish_non_exhaustive()
    }
}

impl Channel for DingTalk {
    fn name(&self) -> &'static str {
        "DingTalk"
    }

    fn limits(&self) -> Limits {
        Limits {
            rate_per_minute: Some(20),
            concurrency: 1,
            // Beyond its limit, a robot is blocked for ten minutes.
            throttle_pause: Duration::from_mins(10),
            // msgUuid
            idempotent: true,
        }
    }

    fn request(&self, envelope: &Envelope<'_>) -> Request {
        let body = payload::message(envelope, self.format, &self.mention);
        let url = sign::signed(&self.webhook, self.signing_key.expose_secret(), envelope.now);
        let content_type = HeaderValue::from_static("application/json; charset=utf-8");
        Request { method: Method::POST, url, headers: vec![(header::CONTENT_TYPE, content_type)], body }
    }

    fn probe(&self, envelope: &Envelope<'_>) -> Option<Request> {
        Some(self.request(envelope))
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::verdict(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = vec![self.signing_key.clone()];
        secrets.extend(self.webhook.query_pairs().map(|(_, value)| SecretString::from(value.into_owned())));
        secrets
    }
}

#[cfg(test)]
mod tests;
