//! The targets and templates as delivery sees them: replaced as a whole by the controller whenever anything changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::ResolvedTarget;
use crate::message::template::CompiledTemplate;

/// Namespace and name of an `EventTarget`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for TargetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
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

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whether it can be delivered to.
    pub state: TargetState,
    /// Changes whenever its spec or one of its Secrets does: failed and waiting deliveries then get a new try.
    pub revision: u64,
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

/// Templates of rules, by namespace and rule.
pub type RuleTemplates = HashMap<(String, String), Arc<CompiledTemplate>>;
