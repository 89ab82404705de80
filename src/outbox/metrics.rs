//! Metrics of recording.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Label: what became of an observation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `recorded`, `already_recorded`, `unwanted`, `too_old`, `no_workspace`, `refused`.
    pub result: &'static str,
}

/// Label: a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub rule: String,
}

/// Metrics of recording.
#[derive(Clone, Debug)]
pub struct OutboxMetrics {
    /// What became of observations.
    pub results: Family<ResultLabel, Counter>,
    /// Filters that failed on an event.
    pub filter_errors: Family<RuleLabel, Counter>,
    /// Observations that await their Notice.
    pub open: Gauge,
    /// Seconds from seeing a transition to its Notice being stored.
    pub latency: Histogram,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            results: Family::default(),
            filter_errors: Family::default(),
            open: Gauge::default(),
            latency: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
        }
    }
}

impl OutboxMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("outbox_observations", "What became of observations", self.results.clone());
        registry.register("filter_errors", "Filters that failed on an event", self.filter_errors.clone());
        registry.register("outbox_open", "Observations that await their Notice", self.open.clone());
        registry.register(
            "record_seconds",
            "Seconds from a transition seen to its Notice stored",
            self.latency.clone(),
        );
    }

    /// Counts one result.
    pub fn count(&self, result: &'static str) {
        self.results.get_or_create(&ResultLabel { result }).inc();
    }
}
