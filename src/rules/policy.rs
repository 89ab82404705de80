//! The policy: every workspace that is in force, with its active rules, as one immutable value.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::CompiledRule;
use crate::api::workspace::Locale;
use crate::lifecycle::Event;

/// Everything that is in force at one moment. Replaced as a whole when anything changes.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    namespaces: HashMap<String, Arc<WorkspacePolicy>>,
}

/// What is in force in the namespace of one workspace that is activated and granted.
#[derive(Clone, Debug)]
pub struct WorkspacePolicy {
    /// Name of the Workspace.
    pub workspace: String,
    /// Its namespace.
    pub namespace: String,
    /// Language of the built-in messages.
    pub locale: Locale,
    /// Rules that are active, by name.
    pub rules: BTreeMap<String, Arc<ActiveRule>>,
}

/// A rule that is in force.
#[derive(Clone, Debug)]
pub struct ActiveRule {
    /// The compiled rule.
    pub rule: CompiledRule,
    /// Events before this are not this rule's.
    pub active_since: Timestamp,
    /// Names of the targets within the quota, in the rule's order.
    pub targets: Vec<String>,
}

/// Which rules and targets one event is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Target and the rules that chose it, by target.
    pub deliveries: BTreeMap<String, Vec<String>>,
    /// Rules whose filter failed on this event, with the error's text.
    pub filter_errors: Vec<(String, String)>,
}

impl Policy {
    /// A policy of these workspaces. Where two have the same namespace, the last one wins; callers do not let it come to that.
    #[must_use]
    pub fn new(workspaces: impl IntoIterator<Item = WorkspacePolicy>) -> Self {
        Self { namespaces: workspaces.into_iter().map(|w| (w.namespace.clone(), Arc::new(w))).collect() }
    }

    /// What is in force in a namespace, if anything is.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> Option<&Arc<WorkspacePolicy>> {
        self.namespaces.get(namespace)
    }

    /// Every workspace in force.
    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<WorkspacePolicy>> {
        self.namespaces.values()
    }
}

impl WorkspacePolicy {
    /// The rules and targets that an event is for. `effective` is the time that counts for `active_since`.
    #[must_use]
    pub fn matches(&self, event: &Event, effective: Timestamp) -> Match {
        let mut found = Match::default();
        let input = OnceCell::new();
        for (name, active) in &self.rules {
            if effective < active.active_since {
                continue;
            }
            match active.rule.matches_with(event, &input) {
                Ok(true) => {
                    for target in &active.targets {
                        let rules = found.deliveries.entry(target.clone()).or_default();
                        // A rule may name a target twice where no CRD has checked it.
                        if rules.last() != Some(name) {
                            rules.push(name.clone());
                        }
                    }
                }
                Ok(false) => {}
                Err(error) => found.filter_errors.push((name.clone(), error.to_string())),
            }
        }
        found
    }
}
