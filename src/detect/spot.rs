//! Nodes that can be taken away again (spot, preemptible): who asks for them, who waits for them, who lost them.
//!
//! Kubernetes has no bidding, and what is told here is called by its name: waiting for spot capacity. Kinds keep their
//! Pod templates in many places, so [`is_asked_for`] looks through a whole spec for what only a Pod template has. A
//! toleration allows such a node, and asks for nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::lenient::{self, Structure};
use super::meta::Labels;
use super::pod::{Disruption, PodFacts};
use super::{Detected, minute};
use crate::lifecycle::Transition;

/// Node labels by which clouds and autoscalers mark such nodes. The values are compared without regard to case.
const LABELS: [(&str, &str); 6] = [
    ("karpenter.sh/capacity-type", "spot"),
    ("eks.amazonaws.com/capacityType", "spot"),
    ("cloud.google.com/gke-spot", "true"),
    ("cloud.google.com/gke-preemptible", "true"),
    ("cloud.google.com/gke-provisioning", "spot"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
];

/// Whether a node selector or a required node affinity anywhere in the spec names such nodes, or KubeDL's
/// `spotReplicaNumber` is more than zero.
#[must_use]
pub fn is_asked_for(spec: &Json) -> bool {
    match spec {
        Json::Object(fields) => fields.iter().any(|(name, value)| match name.as_str() {
            "nodeSelector" => selects(value),
            "requiredDuringSchedulingIgnoredDuringExecution" => requires(value),
            "spotReplicaNumber" => value.as_i64().is_some_and(|number| number > 0),
            // Texts of users, often long, and never a template.
            "env" | "args" | "command" | "annotations" | "labels" => false,
            _ => is_asked_for(value),
        }),
        Json::Array(items) => items.iter().any(is_asked_for),
        _ => false,
    }
}

fn selects(selector: &Json) -> bool {
    let labels = selector.as_object().into_iter().flatten();
    labels.into_iter().any(|(key, value)| value.as_str().is_some_and(|value| is_spot(key, value)))
}

/// Whether a node fits only if it is such a node: every one of the alternatives must ask for it.
fn requires(affinity: &Json) -> bool {
    let terms = affinity.get("nodeSelectorTerms").and_then(Json::as_array);
    terms.is_some_and(|terms| !terms.is_empty() && terms.iter().all(term_requires))
}

fn term_requires(term: &Json) -> bool {
    let expressions = term.get("matchExpressions").and_then(Json::as_array).into_iter().flatten();
    expressions.into_iter().any(|expression| {
        let text = |field| expression.get(field).and_then(Json::as_str).unwrap_or_default();
        let values = expression.get("values").and_then(Json::as_array);
        text("operator") == "In"
            && values.is_some_and(|values| {
                !values.is_empty()
                    && values.iter().all(|value| value.as_str().is_some_and(|value| is_spot(text("key"), value)))
            })
    })
}

/// Whether this label of a node says that it can be taken away.
#[must_use]
pub fn is_spot(key: &str, value: &str) -> bool {
    LABELS.iter().any(|(label, spot)| key == *label && value.eq_ignore_ascii_case(spot))
}

/// A Pod template, read for nothing but this.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    #[serde(deserialize_with = "lenient::or_default")]
    spec: TemplateSpec,
}

impl Structure for Template {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TemplateSpec {
    #[serde(deserialize_with = "lenient::or_default")]
    node_selector: Labels,
    affinity: Json,
}

impl Structure for TemplateSpec {}

impl Template {
    /// Whether its Pods can run on such nodes only.
    pub(super) fn asks_for_spot(&self) -> bool {
        let TemplateSpec { node_selector, affinity } = &self.spec;
        LABELS.iter().any(|(label, _)| node_selector.get(label).is_some_and(|value| is_spot(label, value)))
            || is_asked_for(affinity)
    }
}

/// That the scheduler finds no node for Pods that want spot capacity, and none of them was ever ready.
#[must_use]
pub fn bidding(pods: &[PodFacts]) -> Option<Detected> {
    if pods.iter().any(|pod| pod.ready.is_some()) {
        return None;
    }
    let waiting = pods.iter().filter_map(|pod| pod.unschedulable.as_deref().map(|since| (*since, pod)));
    let (since, first) = waiting.clone().min_by_key(|(since, pod)| (*since, &*pod.name))?;
    let found = Detected::new(Transition::BiddingStarted, "", Some(since))
        .because("WaitingForSpotCapacity", "the job waits for spot capacity: no node fits its pods")
        .with("pod", Some(&*first.name))
        .with("pods", Some(waiting.count()));
    Some(found)
}

/// That Pods lost the spot nodes that they asked for. Those of one minute are one.
#[must_use]
pub fn reclaimed(pods: &[PodFacts]) -> Vec<Detected> {
    let mut occurrences: BTreeMap<String, Vec<(&PodFacts, &Disruption)>> = BTreeMap::new();
    for pod in pods {
        if let Some(disruption) = pod.disruption.as_deref() {
            let occurrence = disruption
                .time
                .map_or_else(|| format!("reclaimed:{}", pod.name), |time| format!("reclaimed@{}", minute(time)));
            occurrences.entry(occurrence).or_default().push((pod, disruption));
        }
    }
    let told = |(occurrence, lost): (String, Vec<(&PodFacts, &Disruption)>)| {
        let (pod, disruption) = lost.iter().min_by_key(|(pod, disruption)| (disruption.time, &*pod.name))?;
        let message = format!("a pod had to leave its spot node ({})", disruption.reason);
        let found = Detected::new(Transition::Preempted, occurrence, disruption.time)
            .because("SpotReclaimed", message)
            .with("pod", Some(&*pod.name))
            .with("node", pod.node.as_deref())
            .with("podReason", Some(&*disruption.reason).filter(|reason| !reason.is_empty()))
            .with("pods", Some(lost.len()));
        Some(found)
    };
    occurrences.into_iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn affinity(terms: &Json) -> Json {
        json!({"template": {"spec": {"affinity": {"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}}})
    }

    fn term(key: &str, operator: &str, values: &[&str]) -> Json {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[rstest]
    #[case::selector(json!({"a": [{"spec": {"nodeSelector": {"karpenter.sh/capacity-type": "spot"}}}]}), true)]
    #[case::in_capitals(json!({"nodeSelector": {"eks.amazonaws.com/capacityType": "SPOT"}}), true)]
    #[case::on_demand(json!({"nodeSelector": {"karpenter.sh/capacity-type": "on-demand"}}), false)]
    #[case::required(affinity(&json!([term("cloud.google.com/gke-spot", "In", &["true"])])), true)]
    #[case::one_of_two(affinity(&json!([term("karpenter.sh/capacity-type", "In", &["spot", "on-demand"])])), false)]
    #[case::an_alternative(
        affinity(&json!([term("karpenter.sh/capacity-type", "In", &["spot"]), term("zone", "In", &["a"])])), false)]
    #[case::kept_away(affinity(&json!([term("karpenter.sh/capacity-type", "NotIn", &["spot"])])), false)]
    #[case::kubedl(json!({"replicas": {"Worker": {"spotReplicaSpec": {"spotReplicaNumber": 2}}}}), true)]
    #[case::kubedl_none(json!({"spotReplicaNumber": 0}), false)]
    #[case::only_tolerated(json!({"tolerations": [{"key": "cloud.google.com/gke-spot", "value": "true"}]}), false)]
    #[case::wrong_types(json!({"nodeSelector": ["spot"], "requiredDuringSchedulingIgnoredDuringExecution": 3}), false)]
    #[case::no_terms(affinity(&json!([])), false)]
    #[case::nothing(json!(null), false)]
    fn only_what_can_run_nowhere_else_asks_for_spot(#[case] spec: Json, #[case] expected: bool) {
        assert_eq!(is_asked_for(&spec), expected);
    }
}
