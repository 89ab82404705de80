//! Any HTTP or HTTPS endpoint: `CloudEvents` 1.0 ("HTTP 1.1 Web Hooks for Event Delivery"), or a team's own text.

mod reply;
mod sign;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Channel, Envelope, Limits, Outcome, Outgoing, Reply, Request};
use crate::api::event_target;
use crate::lifecycle::cloudevent::{self, CloudEvent};
use crate::message;

pub(super) use sign::SigningKey;

/// One endpoint.
pub struct Http {
    pub(super) webhook: Url,
    pub(super) method: event_target::Method,
    /// The target's own headers, credentials among them; the values are marked sensitive where they come from Secrets.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) signing_keys: Vec<SigningKey>,
    pub(super) body: event_target::Body,
    /// Values from Secrets that headers hold.
    pub(super) header_secrets: Vec<SecretString>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("host", &self.webhook.host_str()).finish_non_exhaustive()
    }
}

impl Http {
    fn body(&self, envelope: &Envelope<'_>) -> (&'static str, Vec<u8>) {
        match self.body {
            event_target::Body::CloudEvent | event_target::Body::CloudEventBinary => {
                let event = CloudEvent::new(envelope.workspace, envelope.event);
                (cloudevent::CONTENT_TYPE, serde_json::to_vec(&event).unwrap_or_default())
            }
            event_target::Body::Template => {
                let text = plain(envelope.message);
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
                (kind, text.into_bytes())
            }
        }
    }
}

/// A team's own text as it is; a built-in one as lines.
fn plain(message: &message::Message) -> String {
    match &message.body {
        message::Body::Text(text) => text.clone(),
        message::Body::Digest(_) => message.title.clone(),
        message::Body::Facts(facts) => facts.iter().fold(message.title.clone(), |text, fact| {
            format!("{text}\n{}: {}", fact.label, super::text::one_line(&fact.value))
        }),
    }
}

impl Channel for Http {
    fn name(&self) -> &'static str {
        "HTTP"
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: &[],
            concurrency: 8,
            throttle_pause: Duration::from_mins(1),
            // webhook-id, and the CloudEvent's source and id.
            idempotent: true,
            // An endpoint takes one event at a time.
            digest: false,
            most_attempts: None,
        }
    }

    fn receiver(&self) -> Option<u64> {
        None
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        let (content_type, body) = self.body(envelope);
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        headers.extend(sign::headers(&self.signing_keys, envelope, &body));
        // The target's own come last, so that they can replace ours.
        headers.extend(self.headers.iter().cloned());
        let method = match self.method {
            event_target::Method::Post => Method::POST,
            event_target::Method::Put => Method::PUT,
        };
        Outgoing::Http(Request { method, url: self.webhook.clone(), headers, body })
    }

    fn probe(&self, _: &Envelope<'_>) -> Option<Outgoing> {
        None
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::verdict(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = self.header_secrets.clone();
        secrets.extend(self.signing_keys.iter().map(|key| SecretString::from(key.encoded().expose_secret())));
        secrets.extend(self.webhook.query_pairs().map(|(_, value)| SecretString::from(value.into_owned())));
        // Many receivers have their token in the path; short segments are words.
        let segments = self.webhook.path_segments().into_iter().flatten().filter(|segment| segment.len() >= 16);
        secrets.extend(segments.map(SecretString::from));
        secrets
    }
}

#[cfg(test)]
mod tests;
