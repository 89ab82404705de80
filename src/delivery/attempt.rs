//! One attempt: compose the message, send it, believe the receiver's verdict.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::targets::{RuleTemplates, Target, TargetKey};
use crate::api::Notice;
use crate::channel::{self, Client, Envelope, Outcome, ResolvedTarget};
use crate::lifecycle::identity::delivery_id;
use crate::message::template::CompiledTemplate;
use crate::message::{self, Message, Origin};
use crate::rules::WorkspacePolicy;

/// Everything that one attempt needs, taken when it starts.
pub struct Attempt {
    /// The Notice.
    pub notice: Arc<Notice>,
    /// Where it goes.
    pub target: TargetKey,
    /// The target with its secrets.
    pub resolved: Arc<ResolvedTarget>,
    /// Longest time.
    pub timeout: Duration,
    /// The text.
    pub message: Message,
    /// Name of the Workspace.
    pub workspace: String,
}

impl Attempt {
    /// Composes the message: a rule's own template wins over the target's, and that over the built-in text.
    #[must_use]
    pub fn new(
        notice: Arc<Notice>,
        (key, target, resolved): (TargetKey, &Target, Arc<ResolvedTarget>),
        workspace: &WorkspacePolicy,
        templates: &RuleTemplates,
    ) -> Self {
        let rules = notice.spec.deliveries.iter().find(|delivery| delivery.target == key.name);
        let rules: &[String] = rules.map(|delivery| delivery.rules.as_slice()).unwrap_or_default();
        let of_rule = |rule: &String| templates.get(&(key.namespace.clone(), rule.clone()));
        let template: Option<&CompiledTemplate> =
            rules.iter().find_map(of_rule).or(target.template.as_ref()).map(Arc::as_ref);
        let WorkspacePolicy { workspace: name, namespace, locale, rules: _ } = workspace;
        let origin = Origin { workspace: name, namespace, locale: *locale, rules, console: None };
        let message = message::compose(&origin, &notice.spec.event, template);
        Self { timeout: target.timeout, workspace: workspace.workspace.clone(), notice, target: key, resolved, message }
    }

    /// Sends it. `now` is the time that the signature carries.
    pub async fn send(&self, client: &Client, now: Timestamp) -> Outcome {
        let event = &self.notice.spec.event;
        let delivery_id = delivery_id(&event.id, &self.target.to_string());
        let envelope =
            Envelope { workspace: &self.workspace, event, message: &self.message, delivery_id: &delivery_id, now };
        match self.resolved.channel(None) {
            Some(channel) => channel::send(channel, client, &envelope, self.timeout).await,
            None => Outcome::Permanent { code: "ContactNotFound".to_owned(), message: String::new() },
        }
    }
}
