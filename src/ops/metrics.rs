//! All metrics of the program, under the prefix `pai_notification_`.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::bus::metrics::BusMetrics;
use crate::delivery::metrics::DeliveryMetrics;
use crate::outbox::metrics::OutboxMetrics;
use crate::registry::metrics::RegistryMetrics;
use crate::watch::metrics::WatchMetrics;

/// Every layer's metrics, and the registry that shows them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Of watching.
    pub watch: WatchMetrics,
    /// Of recording.
    pub outbox: OutboxMetrics,
    /// Of delivery.
    pub delivery: DeliveryMetrics,
    /// Of the bus.
    pub bus: BusMetrics,
    /// Of asking model registries.
    pub registry: RegistryMetrics,
    /// 1 on the leader.
    pub leader: Gauge,
    all: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pai_notification");
        let (watch, outbox, delivery) = (WatchMetrics::default(), OutboxMetrics::default(), DeliveryMetrics::default());
        let leader = Gauge::default();
        watch.register(&mut registry);
        outbox.register(&mut registry);
        delivery.register(&mut registry);
        let bus = BusMetrics::default();
        bus.register(&mut registry);
        let registries = RegistryMetrics::default();
        registries.register(&mut registry);
        registry.register("leader", "1 on the replica that records and sends", leader.clone());
        let build: Family<Vec<(&'static str, &'static str)>, Gauge> = Family::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "Version of the program", build);
        Self { watch, outbox, delivery, bus, registry: registries, leader, all: Arc::new(registry) }
    }
}

impl Metrics {
    /// The `OpenMetrics` text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.all).is_err() {
            tracing::error!("the metrics could not be encoded");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::metrics::CodeLabel;
    use crate::delivery::metrics::{AttemptLabel, SettledLabel};
    use crate::registry::metrics::PollLabel;
    use crate::watch::metrics::{KindLabel, TransitionLabel};

    #[test]
    fn every_stage_has_a_metric() {
        let metrics = Metrics::default();
        // What has labels is shown once it has counted.
        metrics.outbox.count("recorded");
        metrics.watch.changes.get_or_create(&KindLabel { kind: crate::watch::Kind::Pod }).inc();
        metrics.watch.observations.get_or_create(&TransitionLabel { source: "DLCJob", transition: "Failed" }).inc();
        metrics.delivery.attempts.get_or_create(&AttemptLabel { channel: "http", outcome: "delivered" }).inc();
        metrics.delivery.settled.get_or_create(&SettledLabel { state: "Delivered" }).inc();
        metrics.bus.requests.get_or_create(&CodeLabel { code: 202 }).inc();
        metrics.registry.polls.get_or_create(&PollLabel { registry: "mlflow", result: "ok" }).inc();
        let text = metrics.text();
        for name in [
            "pai_notification_watch_changes",
            "pai_notification_observations",
            "pai_notification_outbox_observations_total{result=\"recorded\"} 1",
            "pai_notification_record_seconds",
            "pai_notification_delivery_attempts",
            "pai_notification_deliveries_settled",
            "pai_notification_bus_requests_total{code=\"202\"} 1",
            "pai_notification_registry_polls_total{registry=\"mlflow\",result=\"ok\"} 1",
            "pai_notification_leader 0",
            "pai_notification_build_info",
        ] {
            assert!(text.contains(name), "{name} is missing in:\n{text}");
        }
    }
}
