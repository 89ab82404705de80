//! Email to one person, by the workspace's SMTP server (RFC 5321).

mod payload;
mod reply;

use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::SecretString;

use super::client::mail::Server;
use super::{Channel, Envelope, Limits, Outcome, Outgoing, Reply};

/// One mailbox.
pub struct Email {
    server: Server,
    from: Mailbox,
    to: Mailbox,
}

impl Email {
    /// A mailbox with everything resolved; both addresses are ASCII.
    pub(super) const fn new(server: Server, from: Mailbox, to: Mailbox) -> Self {
        Self { server, from, to }
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Channel for Email {
    fn name(&self) -> &'static str {
        "Email"
    }

    fn limits(&self) -> Limits {
        Limits {
            rates: &[],
            concurrency: 2,
            throttle_pause: Duration::from_mins(1),
            // A repeat has the same Message-ID, but few servers look at it: most put both mails into the mailbox.
            idempotent: false,
            digest: true,
            most_attempts: None,
        }
    }

    fn receiver(&self) -> Option<u64> {
        None
    }

    fn request(&self, envelope: &Envelope<'_>) -> Outgoing {
        Outgoing::Mail(Box::new(payload::mail(envelope, self.server.clone(), &self.from, &self.to)))
    }

    fn probe(&self, _envelope: &Envelope<'_>) -> Option<Outgoing> {
        None
    }

    fn verdict(&self, reply: &Reply) -> Outcome {
        reply::verdict(reply)
    }

    fn secrets(&self) -> Vec<SecretString> {
        self.server.credentials.iter().map(|credentials| credentials.password.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
