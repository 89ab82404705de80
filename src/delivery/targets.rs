//! The targets and templates as delivery sees them: replaced as a whole by the controller whenever anything changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::channel::{Channel, Leg, ResolvedTarget};
use crate::message::ConsoleUrl;
use crate::message::template::CompiledTemplate;

/// Namespace and name of an `EventTarget`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl TargetKey {
    /// The target that a Notice of `namespace` names: `<name>`, or `<namespace>/<name>` if it is shared from another.
    #[must_use]
    pub fn named(namespace: &str, reference: &str) -> Self {
        let (namespace, name) = reference.split_once('/').unwrap_or((namespace, reference));
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// How a Notice of `namespace` names it.
    #[must_use]
    pub fn seen_from(&self, namespace: &str) -> String {
        if self.namespace == namespace { self.name.clone() } else { self.to_string() }
    }
}

impl std::fmt::Display for TargetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who gets a message: a target, or one contact of it by one method.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient {
    /// The target.
    pub target: TargetKey,
    /// The contact and the method, where the target has contacts.
    pub leg: Option<Leg>,
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.leg {
            Some(leg) => write!(f, "{}/{leg}", self.target),
            None => self.target.fmt(f),
        }
    }
}

/// Whether a target can be delivered to.
#[derive(Clone, Debug)]
pub enum TargetState {
    /// Ready, with everything resolved.
    Ready(Arc<ResolvedTarget>),
    /// `spec.suspend` is true: deliveries are skipped.
    Suspended,
    /// Not ready: deliveries wait. The text is the condition's message.
    NotReady(String),
}

impl TargetState {
    /// The channel of a recipient, if the target is ready and has such a leg.
    #[must_use]
    pub fn channel(&self, leg: Option<&Leg>) -> Option<&dyn Channel> {
        match self {
            Self::Ready(resolved) => resolved.channel(leg),
            Self::Suspended | Self::NotReady(_) => None,
        }
    }
}

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whether it can be delivered to.
    pub state: TargetState,
    /// Changes whenever its spec or one of its Secrets does: failed and waiting deliveries then get a new try.
    pub revision: u64,
    /// Every way to every contact; none for a target without contacts.
    pub legs: Vec<Leg>,
    /// When its spec was last edited.
    pub edited: Option<Timestamp>,
    /// Until when the receiver asked for silence, as an operator before this one wrote it down.
    pub throttled_until: Option<Timestamp>,
    /// Own text.
    pub template: Option<Arc<CompiledTemplate>>,
    /// Longest time of one attempt.
    pub timeout: Duration,
    /// Age of an event at which it is given up.
    pub max_age: Duration,
    /// Most messages a minute, where the spec says so.
    pub rate_per_minute: Option<u32>,
}

/// Every target of every workspace in force.
pub type TargetTable = HashMap<TargetKey, Target>;

/// Texts that messages are made with, beside those of the targets.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Own texts of rules, by namespace and rule.
    pub rules: HashMap<(String, String), Arc<CompiledTemplate>>,
    /// Where the subjects of each namespace can be looked at.
    pub consoles: HashMap<String, ConsoleUrl>,
}

/// Targets whose receiver said that it is gone for good, each with the revision that was told so.
pub type GoneTargets = HashMap<TargetKey, u64>;
