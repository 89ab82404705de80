//! Any HTTP or HTTPS endpoint: `CloudEvents` 1.0 ("HTTP 1.1 Web Hooks for Event Delivery"), or a team's own text.

mod reply;
mod sign;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::client::{Handshake, Tls};
use super::{Channel, Envelope, Limits, Outcome, Outgoing, Reply, Request};
use crate::api::event_target;
use crate::lifecycle::cloudevent::{self, CloudEvent};
use crate::message;

pub(super) use sign::SigningKey;

/// Header of the handshake's request, and of every message after it ("HTTP 1.1 Web Hooks for Event Delivery", 4.1.1).
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
/// A shorter part of a URL is no token.
const SHORTEST_TOKEN: usize = 4;
/// A part of a URL that stands in the spec for all to read is a token if it is this long; shorter ones are words.
const SHORTEST_SHOWN_TOKEN: usize = 16;

/// One endpoint.
pub struct Http {
    pub(super) webhook: Url,
    /// Whether the URL comes from a Secret, so that no part of it but the host may be shown.
    pub(super) webhook_is_secret: bool,
    pub(super) method: event_target::Method,
    /// The target's own headers, credentials among them; the values are marked sensitive where they come from Secrets.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) signing_keys: Vec<SigningKey>,
    pub(super) body: event_target::Body,
    /// Values from Secrets that headers hold.
    pub(super) header_secrets: Vec<SecretString>,
    pub(super) tls: Option<Tls>,
    /// Who asks the endpoint for its consent.
    pub(super) origin: Option<HeaderValue>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("host", &self.webhook.host_str()).finish_non_exhaustive()
    }
}

/// What depends on the form of the body.
struct Content {
    kind: &'static str,
    body: Vec<u8>,
    /// Attributes, in the binary mode.
    attributes: Vec<(HeaderName, HeaderValue)>,
}

impl Http {
    fn content(&self, envelope: &Envelope<'_>) -> Content {
        let mut attributes = Vec::new();
        let (kind, body) = match self.body {
            event_target::Body::CloudEvent => {
                let event = CloudEvent::new(envelope.workspace, envelope.event);
                (cloudevent::CONTENT_TYPE, serde_json::to_vec(&event).unwrap_or_default())
            }
            event_target::Body::CloudEventBinary => {
                let event = CloudEvent::new(envelope.workspace, envelope.event);
                let headers = event.headers().into_iter();
                attributes.extend(headers.filter_map(|(name, value)| {
                    Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
                }));
                (cloudevent::DATA_CONTENT_TYPE, serde_json::to_vec(&event.data).unwrap_or_default())
            }
            event_target::Body::Template => {
                let text = plain(envelope.message);
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
                (kind, text.into_bytes())
            }
        };
        Content { kind, body, attributes }
    }

    /// Parts of the URL that may be tokens, as they stand in it and decoded.
    fn tokens(&self) -> Vec<SecretString> {
        let shortest = if self.webhook_is_secret { SHORTEST_TOKEN } else { SHORTEST_SHOWN_TOKEN };
        let mut tokens = Vec::new();
        for (name, value) in self.webhook.query_pairs() {
            // `?token` is a name without a value.
            let token = if value.is_empty() && self.webhook_is_secret { name } else { value };
            tokens.push(SecretString::from(token.into_owned()));
        }
        for segment in self.webhook.path_segments().into_iter().flatten().filter(|segment| segment.len() >= shortest) {
            tokens.push(SecretString::from(segment));
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            if decoded != segment {
                tokens.push(SecretString::from(decoded.into_owned()));
            }
        }
        tokens
    }
}

/// A team's own text as it is; a built-in one as lines.
fn plain(message: &message::Message) -> String {
    match &message.body {
        message::Body::Text(text) => text.raw(),
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
        let Content { kind, body, attributes } = self.content(envelope);
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
        headers.extend(attributes);
        headers.extend(sign::headers(&self.signing_keys, envelope, &body));
        headers.extend(self.origin.clone().map(|origin| (REQUEST_ORIGIN, origin)));
        // The target's own come last, so that they can replace ours.
        headers.extend(self.headers.iter().cloned());
        let method = match self.method {
            event_target::Method::Post => Method::POST,
            event_target::Method::Put => Method::PUT,
        };
        // An endpoint behind a gateway answers only who has credentials.
        let handshake = self.origin.clone().map(|origin| Box::new(Handshake { origin, headers: self.headers.clone() }));
        Outgoing::Http(Request { method, url: self.webhook.clone(), headers, body, tls: self.tls.clone(), handshake })
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
        secrets.extend(self.tokens());
        secrets
    }
}

#[cfg(test)]
mod tests;
