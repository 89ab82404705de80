//! Metrics of delivery.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttemptLabel {
    /// Channel.
    pub channel: &'static str,
    /// Outcome.
    pub outcome: &'static str,
}

/// Label: how a delivery was settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SettledLabel {
    /// `Delivered`, `Failed` or `Skipped`.
    pub state: &'static str,
}

/// Metrics of delivery.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics {
    /// Attempts by channel and outcome.
    pub attempts: Family<AttemptLabel, Counter>,
    /// Deliveries settled.
    pub settled: Family<SettledLabel, Counter>,
    /// Deliveries that wait or are on their way.
    pub pending: Gauge,
    /// Notices held in memory because a delivery or a status write is open.
    pub live: Gauge,
    /// Seconds of one attempt.
    pub attempt_seconds: Histogram,
    /// Seconds from a transition seen to its message accepted.
    pub latency: Histogram,
    /// Attempts that carried a digest.
    pub digests: Counter,
    /// Status writes that failed and were tried again.
    pub write_faults: Counter,
}

impl Default for DeliveryMetrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            settled: Family::default(),
            pending: Gauge::default(),
            live: Gauge::default(),
            attempt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            latency: Histogram::new(exponential_buckets(0.001, 2.0, 20)),
            digests: Counter::default(),
            write_faults: Counter::default(),
        }
    }
}

impl DeliveryMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("delivery_attempts", "Attempts by channel and outcome", self.attempts.clone());
        registry.register("deliveries_settled", "Deliveries settled, by state", self.settled.clone());
        registry.register("deliveries_pending", "Deliveries that wait or are on their way", self.pending.clone());
        registry.register("notices_live", "Notices held in memory", self.live.clone());
        registry.register("attempt_seconds", "Seconds of one attempt", self.attempt_seconds.clone());
        registry.register(
            "delivery_seconds",
            "Seconds from a transition seen to its message accepted",
            self.latency.clone(),
        );
        registry.register("digests", "Attempts that carried a digest of several events", self.digests.clone());
        registry.register("status_write_faults", "Status writes that failed", self.write_faults.clone());
    }
}
