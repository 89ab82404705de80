//! Alibaba Cloud: Short Message Service (`SendSms`) and Voice Messaging Service (`SingleCallByTts`), both of version
//! 2017-05-25, called in the RPC style with "Request syntax and signature method V3".

mod payload;
mod reply;
mod sign;

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub(in crate::channel) use sign::Keys;

use super::{Gateway, Number};
use crate::channel::{Envelope, Outcome, Rate, Reply, Request};

/// Notifications to one number with one signature and one template, in any 24 hours ("Limits on the frequency of sending
/// short messages", Short Message Service).
const TEXT: &[Rate] = &[Rate { count: 50, window: Duration::from_hours(24) }];
/// Calls to one number, failed ones included (flow control in the manual of the Voice Messaging Service).
const VOICE: &[Rate] = &[
    Rate::per_minute(1),
    Rate { count: 5, window: Duration::from_hours(1) },
    Rate { count: 20, window: Duration::from_hours(24) },
];

/// What is asked of the provider.
#[derive(Debug)]
pub(in crate::channel) enum Service {
    /// A text message.
    Text {
        /// The approved signature.
        sign_name: String,
        /// The approved template.
        template_code: String,
    },
    /// A voice call.
    Voice {
        /// The approved text-to-speech template.
        tts_code: String,
        /// The number that is shown to the called one; empty in shared-number mode.
        called_show_number: String,
    },
}

/// One service with one account.
#[derive(Debug)]
pub(in crate::channel) struct Aliyun {
    endpoint: Url,
    keys: Keys,
    service: Service,
}

impl Aliyun {
    /// A service with everything resolved.
    pub(in crate::channel) const fn new(endpoint: Url, keys: Keys, service: Service) -> Self {
        Self { endpoint, keys, service }
    }
}

/// An endpoint: a host, `host:port` (both https), or a URL with its scheme.
///
/// # Errors
/// A sentence that says what to write instead.
pub(in crate::channel) fn endpoint(text: &str) -> Result<Url, &'static str> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&whole).map_err(|_| "is no endpoint; write a host such as dysmsapi.aliyuncs.com")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must be a host, or start with http:// or https://");
    }
    let has_more = url.query().is_some() || url.fragment().is_some();
    if has_more || !url.username().is_empty() || url.password().is_some() {
        return Err("must be a host and nothing else: no query and no user name");
    }
    Ok(url)
}

impl Gateway for Aliyun {
    fn rates(&self) -> &'static [Rate] {
        match self.service {
            Service::Text { .. } => TEXT,
            Service::Voice { .. } => VOICE,
        }
    }

    fn request(&self, number: &Number, envelope: &Envelope<'_>) -> Request {
        let (action, query) = payload::call(&self.service, number, envelope);
        let nonce = sign::nonce(envelope.delivery_id, action, envelope.now);
        let call = sign::Call { action, version: "2017-05-25", query: &query, nonce: &nonce, now: envelope.now };
        call.signed(&self.endpoint, &self.keys)
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::verdict(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        self.keys.secrets()
    }
}

#[cfg(test)]
mod tests;
