//! Metrics of the bus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Label: the HTTP status of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// Such as `202`.
    pub code: u16,
}

/// Label: what became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `stored`, `duplicate`, `unmatched`, `too_old`, `ignored`.
    pub result: &'static str,
}

/// Metrics of the bus.
#[derive(Clone, Debug)]
pub struct BusMetrics {
    /// Answered requests.
    pub requests: Family<CodeLabel, Counter>,
    /// Accepted events.
    pub events: Family<ResultLabel, Counter>,
    /// Seconds from a request's head to its answer.
    pub latency: Histogram,
}

impl Default for BusMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            events: Family::default(),
            latency: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
        }
    }
}

impl BusMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "bus_requests",
            "Requests to the event bus, by the status of the answer",
            self.requests.clone(),
        );
        registry.register("bus_events", "Events that the event bus has accepted", self.events.clone());
        registry.register("bus_seconds", "Seconds from a request to the event bus to its answer", self.latency.clone());
    }
}
