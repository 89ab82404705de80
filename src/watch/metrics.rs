//! Metrics of watching.

use std::fmt::Write as _;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Kind;

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.as_str())
    }
}

/// Label: the kind watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Plural and group.
    pub kind: Kind,
}

/// Labels of a failed watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FaultLabel {
    /// Plural and group.
    pub kind: Kind,
    /// Why.
    pub reason: &'static str,
}

/// Labels of how a watch goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpLabel {
    /// Plural and group.
    pub kind: Kind,
    /// Why it is not up: `listing`, or as for its faults. Empty if it is.
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
    /// 1 for every kind that is listed and watched, 0 for one that is not.
    pub up: Family<UpLabel, Gauge>,
    /// Expressions of the catalog that failed on an object.
    pub expressions: Family<KindLabel, Counter>,
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
        registry.register("watch_up", "Whether a kind is listed and watched, and if not, why", self.up.clone());
        registry.register(
            "catalog_expression_failures",
            "Expressions of the catalog that failed on an object",
            self.expressions.clone(),
        );
        registry.register("observations", "Transitions seen for the first time", self.observations.clone());
        registry.register("indexed_objects", "Objects held in memory", self.objects.clone());
    }
}
