//! Delivery channels: one folder each, with the same files (payload, sign, reply, tests).
//!
//! A channel turns a message into requests and a reply into an [`Outcome`], both pure; [`client`] is the only code that
//! opens a connection. A channel never retries, waits or writes status: that is `delivery`'s. Start at [`Channel`].

pub mod client;
#[cfg(test)]
mod contract;
pub mod dingtalk;
pub mod email;
#[cfg(test)]
mod golden;
pub mod http;
pub mod lark;
pub mod layout;
#[cfg(test)]
mod manuals;
pub mod outcome;
pub mod phone;
pub mod resolve;
mod robot;
#[cfg(test)]
mod samples;
pub mod text;
pub mod wecom;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

pub use client::{AddressPolicy, CallError, Client, Mail, Outgoing, Reply, Request};
pub use outcome::Outcome;
pub use resolve::{Leg, ResolvedTarget, SecretLookup, Surroundings, TargetError};

use crate::lifecycle::Event;
use crate::message::Message;

/// What is to be sent, and with which identity.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Name of the Workspace.
    pub workspace: &'a str,
    /// The event; of a digest, its newest one.
    pub event: &'a Event,
    /// Its text.
    pub message: &'a Message,
    /// Idempotency key: the same for every attempt of this event to this target.
    pub delivery_id: &'a str,
    /// Time of this attempt.
    pub now: Timestamp,
}

/// Most messages in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub window: Duration,
}

impl Rate {
    /// So many in any 60 seconds.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self { count, window: Duration::from_mins(1) }
    }
}

/// What a channel allows, before a target's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The receiver's own budget: all of these hold.
    pub rates: &'static [Rate],
    /// Most attempts at the same time to one target.
    pub concurrency: usize,
    /// How long to be silent after a throttling reply that names no time.
    pub throttle_pause: Duration,
    /// Whether the receiver recognises a repeat by the delivery id, so that an ambiguous attempt may be repeated freely.
    pub idempotent: bool,
    /// Whether many events can be told in one message.
    pub digest: bool,
    /// Most attempts of one message, where a repeat disturbs people.
    pub most_attempts: Option<u32>,
}

impl Limits {
    /// Every rate that holds: the receiver's own, and the target's where it has one.
    pub fn rates_with(&self, per_minute: Option<u32>) -> impl Iterator<Item = Rate> + use<> {
        self.rates.iter().copied().chain(per_minute.map(Rate::per_minute))
    }
}

/// One delivery channel of one target, its secrets resolved.
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// Name for people and metrics: `DingTalk`, `HTTP`, `Email`, ...
    fn name(&self) -> &'static str;
    /// What the channel allows.
    fn limits(&self) -> Limits;
    /// The receiver whose budget the messages use up, the same for every target that reaches it: a robot's URL, a phone
    /// number. `None` if the budget is the target's own. Made by [`receiver`], so that it shows nothing.
    fn receiver(&self) -> Option<u64>;
    /// What delivers the message. Pure: the same input gives the same bytes.
    fn request(&self, envelope: &Envelope<'_>) -> Outgoing;
    /// The request of a connectivity test; `None` if the channel cannot be tested without an event.
    fn probe(&self, envelope: &Envelope<'_>) -> Option<Outgoing>;
    /// What the receiver's reply means. Never takes HTTP 200 for an answer where the body holds the verdict.
    fn verdict(&self, reply: &Reply) -> Outcome;
    /// Strings that must not appear in anything that is shown: URL tokens, keys, credentials.
    fn secrets(&self) -> Vec<SecretString>;
}

/// The mark of a receiver: which channel, and its address there.
#[must_use]
pub fn receiver(channel: &str, address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (channel, address).hash(&mut hasher);
    hasher.finish()
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
    outgoing: Outgoing,
    timeout: Duration,
    now: Timestamp,
) -> Outcome {
    let outcome = match client.send(outgoing, timeout, now).await {
        Ok(reply) => channel.verdict(&reply),
        Err(error) => error.outcome(),
    };
    outcome.map_message(|message| text::cleaned(message, &channel.secrets()))
}
