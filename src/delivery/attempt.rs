//! One attempt: compose the message, send it, believe the receiver's verdict.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::targets::{Recipient, Target, Texts};
use crate::api::Notice;
use crate::channel::{self, Channel, Client, Envelope, Outcome, ResolvedTarget};
use crate::lifecycle::Event;
use crate::lifecycle::identity::delivery_id;
use crate::message::template::CompiledTemplate;
use crate::message::{self, Message, Origin};
use crate::rules::WorkspacePolicy;

/// Everything that one attempt needs, taken when it starts.
pub struct Attempt {
    /// The Notice whose event stands for the message: of a digest, that of the newest event.
    newest: Arc<Notice>,
    recipient: Recipient,
    resolved: Arc<ResolvedTarget>,
    timeout: Duration,
    message: Message,
    workspace: String,
    /// What the receiver knows a repeat by.
    pub delivery_id: String,
}

impl Attempt {
    /// Composes the message of one Notice, or a digest of several; `None` if there is none. A rule's own template wins
    /// over the target's, and that over the built-in text; a digest has the built-in one.
    #[must_use]
    pub fn new(
        notices: &[Arc<Notice>],
        recipient: Recipient,
        (target, resolved): (&Target, Arc<ResolvedTarget>),
        workspace: &WorkspacePolicy,
        texts: &Texts,
    ) -> Option<Self> {
        let newest = notices.iter().max_by_key(|notice| notice.spec.event.time)?.clone();
        let message = compose(notices, &newest, &recipient, target, workspace, texts);
        let mut events: Vec<&str> = notices.iter().map(|notice| notice.spec.event.id.as_str()).collect();
        events.sort_unstable();
        let delivery_id = delivery_id(&events.join(","), &recipient.to_string());
        let (timeout, workspace) = (target.timeout, workspace.workspace.clone());
        Some(Self { newest, recipient, resolved, timeout, message, workspace, delivery_id })
    }

    /// The channel that it goes through; `None` if the target has no such contact any more.
    #[must_use]
    pub fn channel(&self) -> Option<&dyn Channel> {
        self.resolved.channel(self.recipient.leg.as_ref())
    }

    /// What the channel makes its request from. `now` is the time that a signature carries.
    #[must_use]
    pub fn envelope(&self, now: Timestamp) -> Envelope<'_> {
        Envelope {
            workspace: &self.workspace,
            event: &self.newest.spec.event,
            message: &self.message,
            delivery_id: &self.delivery_id,
            now,
        }
    }

    /// Sends it.
    pub async fn send(&self, client: &Client, now: Timestamp) -> Outcome {
        match self.channel() {
            Some(channel) => channel::send(channel, client, &self.envelope(now), self.timeout).await,
            None => Outcome::Permanent {
                code: "ContactNotFound".to_owned(),
                message: "the target has no such contact any more".to_owned(),
            },
        }
    }
}

fn compose(
    notices: &[Arc<Notice>],
    newest: &Notice,
    recipient: &Recipient,
    target: &Target,
    workspace: &WorkspacePolicy,
    texts: &Texts,
) -> Message {
    let key = &recipient.target;
    let own = newest.metadata.namespace.as_deref().unwrap_or_default();
    let named = key.seen_from(own);
    let rules = newest.spec.deliveries.iter().find(|delivery| delivery.target == named);
    let rules: &[String] = rules.map(|delivery| delivery.rules.as_slice()).unwrap_or_default();
    let WorkspacePolicy { workspace: name, namespace, locale, rules: _ } = workspace;
    let console = texts.consoles.get(namespace);
    let origin = Origin { workspace: name, namespace, locale: *locale, rules, console };
    if notices.len() > 1 {
        let events: Vec<&Event> = notices.iter().map(|notice| &notice.spec.event).collect();
        return message::digest(&origin, &events);
    }
    let of_rule = |rule: &String| texts.rules.get(&(own.to_owned(), rule.clone()));
    let template: Option<&CompiledTemplate> =
        rules.iter().find_map(of_rule).or(target.template.as_ref()).map(Arc::as_ref);
    message::compose(&origin, &newest.spec.event, template)
}
