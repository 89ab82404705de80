//! Metrics of watching.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Label: the kind watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Plural and group.
    pub kind: &'static str,
}

/// Labels of a failed watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FaultLabel {
    /// Plural and group.
    pub kind: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Labels of an observation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TransitionLabel {
    /// Event source.
    pub source: &'static str,
    /// Transition.
    pub transition: &'static str,
}

/// Metrics of watching.
#[derive(Clone, Debug, Default)]
pub struct WatchMetrics {
    /// Changes taken in.
    pub changes: Family<KindLabel, Counter>,
    /// Faults of a watch.
    pub faults: Family<FaultLabel, Counter>,
    /// Transitions seen for the first time.
    pub observations: Family<TransitionLabel, Counter>,
    /// Objects held.
    pub objects: Gauge,
}

impl WatchMetrics {
    /// Registers them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("watch_changes", "Changes taken in from watches", self.changes.clone());
        registry.register("watch_faults", "Faults of a watch, by reason", self.faults.clone());
        registry.register("observations", "Transitions seen for the first time", self.observations.clone());
        registry.register("indexed_objects", "Objects held in memory", self.objects.clone());
    }
}
