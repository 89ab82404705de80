//! Delivery channels: one folder each, with the same files (payload, sign, reply, tests).
//!
//! A channel turns a message into requests and a reply into an [`Outcome`], both pure; [`client`] is the only code that
//! opens a connection. A channel never retries, waits or writes status: that is `delivery`'s. Start at [`Channel`].

pub mod client;
pub mod dingtalk;
pub mod http;
pub mod outcome;
pub mod resolve;
pub mod text;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

pub use client::{AddressPolicy, CallError, Client, Reply, Request};
pub use outcome::Outcome;
pub use resolve::{ResolvedTarget, SecretLookup, TargetError};

use crate::lifecycle::Event;
use crate::message::Message;

/// What is to be sent, and with which identity.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Name of the Workspace.
    pub workspace: &'a str,
    /// The event.
    pub event: &'a Event,
    /// Its text.
    pub message: &'a Message,
    /// Idempotency key: the same for every attempt of this event to this target.
    pub delivery_id: &'a str,
    /// Time of this attempt.
    pub now: Timestamp,
}

/// What a channel allows, before a target's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most messages in any 60 seconds.
    pub rate_per_minute: Option<u32>,
    /// Most attempts at the same time to one target.
    pub concurrency: usize,
    /// How long to be silent after a throttling reply that names no time.
    pub throttle_pause: Duration,
    /// Whether the receiver recognises a repeat by the delivery id, so that an ambiguous attempt may be repeated freely.
    pub idempotent: bool,
}

/// One delivery channel of one target, its secrets resolved.
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// Name as it stands in `EventTarget.status.channel`.
    fn name(&self) -> &'static str;
    /// What the channel allows.
    fn limits(&self) -> Limits;
    /// The request that delivers the message. Pure: the same input gives the same bytes.
    fn request(&self, envelope: &Envelope<'_>) -> Request;
    /// The request of a connectivity test; `None` if the channel cannot be tested without an event.
    fn probe(&self, envelope: &Envelope<'_>) -> Option<Request>;
    /// What the receiver's reply means. Never takes HTTP 200 for an answer where the body holds the verdict.
    fn verdict(&self, reply: &Reply) -> Outcome;
    /// Strings that must not appear in anything that is shown: URL tokens, keys, credentials.
    fn secrets(&self) -> Vec<SecretString>;
}

/// One attempt through a channel: request, call, verdict; the receiver's words are cleaned before anybody sees them.
pub async fn send(channel: &dyn Channel, client: &Client, envelope: &Envelope<'_>, timeout: Duration) -> Outcome {
    exchange(channel, client, channel.request(envelope), timeout, envelope.now).await
}

/// One connectivity test through the same code; `None` if the channel has none.
pub async fn probe(
    channel: &dyn Channel,
    client: &Client,
    envelope: &Envelope<'_>,
    timeout: Duration,
) -> Option<Outcome> {
    let request = channel.probe(envelope)?;
    Some(exchange(channel, client, request, timeout, envelope.now).await)
}

async fn exchange(
    channel: &dyn Channel,
    client: &Client,
    request: Request,
    timeout: Duration,
    now: Timestamp,
) -> Outcome {
    let outcome = match client.call(request, timeout, now).await {
        Ok(reply) => channel.verdict(&reply),
        Err(error) => error.outcome(),
    };
    outcome.map_message(|message| text::cleaned(message, &channel.secrets()))
}
