//! Whether a spec asks for nodes that can be taken away again: spot or preemptible instances.
//!
//! Kinds keep their Pod templates in many places, so the whole spec is looked through for what only a Pod template
//! has. A toleration allows such a node, and asks for nothing.

use serde_json::Value as Json;

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
