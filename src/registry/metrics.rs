//! Metrics of asking model registries.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Labels of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PollLabel {
    /// `mlflow` or `kubeflow`.
    pub registry: &'static str,
    /// `ok`, `not_recorded`, or the reason of the condition.
    pub result: &'static str,
}

/// Metrics of asking model registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryMetrics {
    /// Polls.
    pub polls: Family<PollLabel, Counter>,
}

impl RegistryMetrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("registry_polls", "Polls of model registries, by their result", self.polls.clone());
    }
}
