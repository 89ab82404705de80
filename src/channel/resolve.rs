//! From an `EventTarget`'s spec to a channel with everything resolved, or to a reason why not.
//!
//! A [`ResolvedTarget`] exists only if its URL parsed, its Secrets were there and its keys were usable.

mod contact;
mod endpoint;
mod robot;

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Channel;
use crate::api::condition::Reason;
use crate::api::event_target::{ContactMethod, EventTargetSpec, SecretKeyReference, Webhook};
use crate::api::workspace::MessageSettings;

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
    #[error("the target needs exactly one channel, but has {0}: keep one of dingTalk, weCom, lark, http and contacts")]
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
    /// The workspace has no gateway for a method.
    #[error(
        "{field}: {method} needs spec.messageSettings.{setting} of Workspace {workspace}; \
         ask its administrator to set it"
    )]
    SettingsMissing {
        /// Field of the spec.
        field: String,
        /// The method.
        method: &'static str,
        /// Name of the Workspace.
        workspace: String,
        /// The missing part of its message settings.
        setting: &'static str,
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
            Self::SettingsMissing { .. } => Reason::MessageSettingsMissing,
        }
    }
}

/// Longest time of one attempt, unless the target says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What a target is resolved with.
pub struct Surroundings<'a> {
    /// The Secrets of its namespace.
    pub secrets: &'a dyn SecretLookup,
    /// Name of its Workspace; empty if there is none.
    pub workspace: &'a str,
    /// The Workspace's gateways.
    pub settings: Option<&'a MessageSettings>,
}

impl<'a> Surroundings<'a> {
    /// Those of a target that no Workspace looks after.
    #[must_use]
    pub const fn without_workspace(secrets: &'a dyn SecretLookup) -> Self {
        Self { secrets, workspace: "", settings: None }
    }
}

/// One way to one contact.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leg {
    /// Name of the contact; of a later contact with the same name and method, with `#2` and so on behind it.
    pub contact: String,
    /// How they are reached.
    pub method: ContactMethod,
}

impl std::fmt::Display for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.contact, self.method)
    }
}

/// A channel, and the leg that it is for.
type Way = (Option<Leg>, Box<dyn Channel>);

/// A target that can be delivered to.
#[derive(Debug)]
pub struct ResolvedTarget {
    channels: Vec<Way>,
}

impl ResolvedTarget {
    /// The channel of a leg, or of the target itself; `None` if the target has no such leg.
    #[must_use]
    pub fn channel(&self, leg: Option<&Leg>) -> Option<&dyn Channel> {
        self.channels.iter().find(|(known, _)| known.as_ref() == leg).map(|(_, channel)| channel.as_ref())
    }

    fn single(channel: impl Channel + 'static) -> Self {
        Self { channels: vec![(None, Box::new(channel))] }
    }
}

/// The name of the channel that a spec asks for, as it stands in the status; `None` if not exactly one.
#[must_use]
pub fn channel_name(spec: &EventTargetSpec) -> Option<&'static str> {
    match channels(spec).as_slice() {
        [name] => Some(name),
        _ => None,
    }
}

fn channels(spec: &EventTargetSpec) -> Vec<&'static str> {
    let there = [
        ("DingTalk", spec.ding_talk.is_some()),
        ("WeCom", spec.we_com.is_some()),
        ("Lark", spec.lark.is_some()),
        ("HTTP", spec.http.is_some()),
        ("Contacts", spec.contacts.is_some()),
    ];
    there.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

/// Every way to every contact of a target, in order; none for a target without contacts.
#[must_use]
pub fn legs(spec: &EventTargetSpec) -> Vec<Leg> {
    let mut seen: HashMap<(&str, ContactMethod), usize> = HashMap::new();
    let ways = spec
        .contacts
        .iter()
        .flatten()
        .flat_map(|contact| contact.methods.iter().map(move |method| (contact.name.as_str(), *method)));
    ways.map(|(name, method)| {
        let times = seen.entry((name, method)).or_default();
        *times += 1;
        let contact = if *times == 1 { name.to_owned() } else { format!("{name}#{times}") };
        Leg { contact, method }
    })
    .collect()
}

/// How much of a rule's quota a target takes: a webhook one unit, contacts one per contact and method.
#[must_use]
pub fn quota_units(spec: &EventTargetSpec) -> i32 {
    i32::try_from(legs(spec).len()).unwrap_or(i32::MAX).max(1)
}

/// Resolves a spec.
///
/// # Errors
/// [`TargetError`] says what is wrong, in which field, and what to do.
pub fn resolve(spec: &EventTargetSpec, around: &Surroundings<'_>) -> Result<ResolvedTarget, TargetError> {
    let count = channels(spec).len();
    if count != 1 {
        return Err(TargetError::Channels(count));
    }
    let EventTargetSpec {
        ding_talk,
        we_com,
        lark,
        http,
        contacts,
        suspend: _,
        shared_with: _,
        template: _,
        delivery: _,
    } = spec;
    if let Some(spec) = ding_talk {
        robot::dingtalk(spec, around).map(ResolvedTarget::single)
    } else if let Some(spec) = we_com {
        robot::wecom(spec, around).map(ResolvedTarget::single)
    } else if let Some(spec) = lark {
        robot::lark(spec, around).map(ResolvedTarget::single)
    } else if let Some(spec) = http {
        endpoint::http(spec, around).map(ResolvedTarget::single)
    } else {
        let contacts = contacts.as_deref().unwrap_or_default();
        contact::contacts(spec, contacts, around).map(|channels| ResolvedTarget { channels })
    }
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

#[cfg(test)]
mod tests;
