//! From an `EventTarget`'s spec to a channel with everything resolved, or to a reason why not.
//!
//! A [`ResolvedTarget`] exists only if its URL parsed, its Secrets were there and its keys were usable.

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Channel;
use super::dingtalk::DingTalk;
use super::http::{Http, SigningKey};
use crate::api::condition::Reason;
use crate::api::event_target::{self, EventTargetSpec, SecretKeyReference, Webhook};

/// Reads Secrets of the target's namespace.
pub trait SecretLookup {
    /// The value of a key.
    ///
    /// # Errors
    /// [`SecretError`] says why there is none.
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError>;
}

/// Why a Secret's value is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// No such Secret.
    NotFound,
    /// It has no such key, or no text in it.
    KeyMissing,
    /// It cannot be read.
    Forbidden,
}

/// A target cannot be delivered to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not exactly one channel.
    #[error("the target needs exactly one channel, but has {0}: keep one of dingTalk and http")]
    Channels(usize),
    /// A URL cannot be used.
    #[error("{field}: {message}")]
    Url {
        /// Field of the spec.
        field: &'static str,
        /// What is wrong; holds no part of the URL.
        message: &'static str,
    },
    /// A Secret is not there.
    #[error("{field}: there is no Secret {name} in this namespace; create it, or name another one")]
    SecretNotFound {
        /// Field of the spec.
        field: String,
        /// Name of the Secret.
        name: String,
    },
    /// A Secret lacks a key.
    #[error("{field}: Secret {name} has no key {key}, or nothing in it; add it")]
    SecretKeyMissing {
        /// Field of the spec.
        field: String,
        /// Name of the Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// Secrets cannot be read.
    #[error("{field}: Secret {name} cannot be read yet; grant access on the Workspace (spec.grantAccess)")]
    SecretForbidden {
        /// Field of the spec.
        field: String,
        /// Name of the Secret.
        name: String,
    },
    /// Another value cannot be used.
    #[error("{field}: {message}")]
    Invalid {
        /// Field of the spec.
        field: String,
        /// What is wrong and what to do.
        message: String,
    },
}

impl TargetError {
    /// Reason for the condition `Ready`.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Channels(_) | Self::Invalid { .. } => Reason::InvalidSpec,
            Self::Url { .. } => Reason::InvalidUrl,
            Self::SecretNotFound { .. } => Reason::SecretNotFound,
            Self::SecretKeyMissing { .. } => Reason::SecretKeyMissing,
            Self::SecretForbidden { .. } => Reason::SecretForbidden,
        }
    }
}

/// A target that can be delivered to.
#[derive(Debug)]
pub struct ResolvedTarget {
    channel: Box<dyn Channel>,
}

impl ResolvedTarget {
    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> &dyn Channel {
        self.channel.as_ref()
    }
}

/// The name of the channel that a spec asks for, as it stands in the status; `None` if not exactly one.
#[must_use]
pub const fn channel_name(spec: &EventTargetSpec) -> Option<&'static str> {
    match (&spec.ding_talk, &spec.http) {
        (Some(_), None) => Some("DingTalk"),
        (None, Some(_)) => Some("HTTP"),
        _ => None,
    }
}

/// Resolves a spec.
///
/// # Errors
/// [`TargetError`] says what is wrong, in which field, and what to do.
pub fn resolve(spec: &EventTargetSpec, secrets: &dyn SecretLookup) -> Result<ResolvedTarget, TargetError> {
    let channel: Box<dyn Channel> = match (&spec.ding_talk, &spec.http) {
        (Some(spec), None) => Box::new(dingtalk(spec, secrets)?),
        (None, Some(spec)) => Box::new(http(spec, secrets)?),
        (None, None) => return Err(TargetError::Channels(0)),
        (Some(_), Some(_)) => return Err(TargetError::Channels(2)),
    };
    Ok(ResolvedTarget { channel })
}

fn dingtalk(spec: &event_target::DingTalk, secrets: &dyn SecretLookup) -> Result<DingTalk, TargetError> {
    let webhook = webhook("spec.dingTalk.webhook", &spec.webhook, secrets);
    let key = secret("spec.dingTalk.signingKey", &spec.signing_key.secret_key_ref, secrets)?;
    let mention = spec.mention.clone().unwrap_or_default();
    Ok(DingTalk::new(webhook?, key, mention, spec.format))
}

fn http(spec: &event_target::Http, secrets: &dyn SecretLookup) -> Result<Http, TargetError> {
    let webhook = webhook("spec.http.webhook", &spec.webhook, secrets);
    let mut signing_keys = Ok(Vec::new());
    if let Some(signing) = &spec.signing {
        let field = "spec.http.signing.standardWebhooks";
        let reference = &signing.standard_webhooks.secret_key_ref;
        let text = secret(field, reference, secrets)?;
        signing_keys = SigningKey::parse_all(text.expose_secret()).map_err(|error| TargetError::Invalid {
            field: field.to_owned(),
            message: format!("key {} of Secret {} {error}", reference.key, reference.name),
        });
    }
    let mut headers = Headers { secrets, pairs: Vec::new(), values: Vec::new() };
    for (index, header) in spec.headers.iter().enumerate() {
        headers.add(index, header)?;
    }
    if let Some(authorization) = &spec.authorization {
        headers.authorize(authorization)?;
    }
    let Headers { secrets: _, pairs: headers, values } = headers;
    Ok(Http {
        webhook: webhook?,
        method: spec.method,
        headers,
        signing_keys: signing_keys?,
        body: spec.body,
        header_secrets: values,
    })
}

fn webhook(field: &'static str, webhook: &Webhook, secrets: &dyn SecretLookup) -> Result<Url, TargetError> {
    let text = match (&webhook.url, &webhook.secret_key_ref) {
        (Some(url), None) => SecretString::from(url.as_str()),
        (None, Some(reference)) => secret(field, reference, secrets)?,
        _ => {
            let message = "exactly one of url and secretKeyRef is needed".to_owned();
            return Err(TargetError::Invalid { field: field.to_owned(), message });
        }
    };
    let wrong = |message| TargetError::Url { field, message };
    let url =
        Url::parse(text.expose_secret()).map_err(|_| wrong("is not a URL; it must look like https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must start with http:// or https://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a user name or password; use authorization.basic"));
    }
    Ok(url)
}

/// A Secret's value, without the line break that `echo` leaves at its end.
fn secret(
    field: &str,
    reference: &SecretKeyReference,
    secrets: &dyn SecretLookup,
) -> Result<SecretString, TargetError> {
    let SecretKeyReference { name, key } = reference;
    let (field, name, key) = (field.to_owned(), name.clone(), key.clone());
    match secrets.get(&name, &key) {
        Ok(value) => {
            let trimmed = value.expose_secret().trim_end_matches(['\r', '\n']);
            if trimmed.is_empty() {
                Err(TargetError::SecretKeyMissing { field, name, key })
            } else {
                Ok(trimmed.into())
            }
        }
        Err(SecretError::NotFound) => Err(TargetError::SecretNotFound { field, name }),
        Err(SecretError::KeyMissing) => Err(TargetError::SecretKeyMissing { field, name, key }),
        Err(SecretError::Forbidden) => Err(TargetError::SecretForbidden { field, name }),
    }
}

/// Headers that a target cannot set: they say whose message it is, and how long.
const OURS: [&str; 7] = [
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Collects an endpoint's headers.
struct Headers<'a> {
    secrets: &'a dyn SecretLookup,
    pairs: Vec<(HeaderName, HeaderValue)>,
    values: Vec<SecretString>,
}

impl Headers<'_> {
    fn add(&mut self, index: usize, header: &event_target::Header) -> Result<(), TargetError> {
        let field = format!("spec.http.headers[{index}]");
        let invalid = |message: &str| TargetError::Invalid { field: field.clone(), message: message.to_owned() };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| invalid("is no header name"))?;
        if OURS.contains(&name.as_str()) {
            return Err(invalid("this header is the operator's own; leave it out"));
        }
        let (text, is_secret) = match (&header.value, &header.secret_key_ref) {
            (Some(value), None) => (SecretString::from(value.as_str()), false),
            (None, Some(reference)) => (secret(&field, reference, self.secrets)?, true),
            _ => return Err(invalid("exactly one of value and secretKeyRef is needed")),
        };
        let mut value = HeaderValue::from_str(text.expose_secret())
            .map_err(|_| invalid("the value has characters that a header cannot have"))?;
        value.set_sensitive(is_secret);
        self.pairs.push((name, value));
        if is_secret {
            self.values.push(text);
        }
        Ok(())
    }

    fn authorize(&mut self, authorization: &event_target::Authorization) -> Result<(), TargetError> {
        let field = "spec.http.authorization";
        let invalid = |message: &str| TargetError::Invalid { field: field.to_owned(), message: message.to_owned() };
        let text = match (&authorization.bearer, &authorization.basic) {
            (Some(bearer), None) => {
                let token = secret(field, &bearer.secret_key_ref, self.secrets)?;
                let text = format!("Bearer {}", token.expose_secret());
                self.values.push(token);
                text
            }
            (None, Some(basic)) => {
                let read = |key: &str| {
                    let reference = SecretKeyReference { name: basic.name.clone(), key: key.to_owned() };
                    secret(field, &reference, self.secrets)
                };
                let (username, password) = (read("username")?, read("password")?);
                let pair = format!("{}:{}", username.expose_secret(), password.expose_secret());
                let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
                self.values.push(password);
                self.values.push(SecretString::from(encoded.as_str()));
                format!("Basic {encoded}")
            }
            _ => return Err(invalid("exactly one of bearer and basic is needed")),
        };
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| invalid("the Secret has characters that a header cannot have"))?;
        value.set_sensitive(true);
        self.pairs.push((header::AUTHORIZATION, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
