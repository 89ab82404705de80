//! Text messages and voice calls to one phone number, over a gateway.
//!
//! A [`Gateway`] is one provider's API for one method; another provider is one new file beside [`aliyun`]. Neither sends
//! free text: a template that the provider approved has [`variables`], which are filled in here.

pub(super) mod aliyun;
mod number;
mod variables;

use std::time::Duration;

use secrecy::SecretString;

pub use number::{Number, NumberError};

use super::{Channel, Envelope, Limits, Outcome, Outgoing, Rate, Reply, Request, receiver};

/// How a phone is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a text message.
    Text,
    /// By a call that reads the message.
    Voice,
}

/// One provider's API for one method.
pub trait Gateway: Send + Sync + std::fmt::Debug {
    /// What the provider allows for each number.
    fn rates(&self) -> &'static [Rate];
    /// What delivers the message. Pure: the same input gives the same bytes.
    fn request(&self, number: &Number, envelope: &Envelope<'_>) -> Request;
    /// What the provider's reply means.
    fn verdict(&self, reply: &Reply) -> Outcome;
    /// Credentials, which must not appear in anything that is shown.
    fn secrets(&self) -> Vec<SecretString>;
}

/// One phone, reached by one method.
#[derive(Debug)]
pub struct Phone {
    method: Method,
    number: Number,
    gateway: Box<dyn Gateway>,
}

impl Phone {
    /// A phone with everything resolved; the gateway is one for the method.
    pub(super) fn new(method: Method, number: Number, gateway: impl Gateway + 'static) -> Self {
        Self { method, number, gateway: Box::new(gateway) }
    }
}

impl Channel for Phone {
    fn name(&self) -> &'static str {
        match self.method {
            Method::Text => "TextMessage",
            Method::Voice => "VoiceCall",
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: self.gateway.rates(),
            concurrency: 1,
            throttle_pause: Duration::from_mins(1),
            // The gateways take an id, but only give it back in receipts.
            idempotent: false,
            digest: true,
            most_attempts: match self.method {
                Method::Text => None,
                // Each attempt may ring.
                Method::Voice => Some(2),
            },
        }
    }

    fn receiver(&self) -> Option<u64> {
        Some(receiver(self.name(), self.number.international()))
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        Outgoing::Http(self.gateway.request(&self.number, envelope))
    }

    fn probe(&self, _envelope: &Envelope<'_>) -> Option<Outgoing> {
        None
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        // Every word that is kept is cleaned of long numbers; this one may be short.
        self.gateway.verdict(reply).map_message(|message| self.number.cut_out_of(message))
    }

    fn secrets(&self) -> Vec<SecretString> {
        self.gateway.secrets()
    }
}
