//! Workload objects. Written by hand, they lack what an API server gives every object: a `uid`.

use std::collections::HashMap;

use serde_json::Value;

use crate::detect::job::JobView;
use crate::detect::pod::PodView;

/// The objects as detection reads them, which never fails on an object.
pub(super) fn views(mut jobs: Vec<Value>, mut pods: Vec<Value>) -> (Vec<JobView>, Vec<PodView>) {
    let mut uids = HashMap::new();
    for job in &mut jobs {
        let (namespace, name) = (text(job, "/metadata/namespace"), text(job, "/metadata/name"));
        let uid = ensure_uid(job, &format!("job/{namespace}/{name}"));
        uids.insert((namespace, name), uid);
    }
    for pod in &mut pods {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        ensure_uid(pod, &format!("pod/{namespace}/{name}"));
        let owners = pod.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
        for owner in owners.into_iter().flatten().filter(|owner| text(owner, "/kind") == "Job") {
            if let Some(uid) = uids.get(&(namespace.clone(), text(owner, "/name"))) {
                ensure_owner_uid(owner, uid);
            }
        }
    }
    let jobs = jobs.into_iter().filter_map(|job| serde_json::from_value(job).ok()).collect();
    let pods = pods.into_iter().filter_map(|pod| serde_json::from_value(pod).ok()).collect();
    (jobs, pods)
}

fn text(value: &Value, field: &str) -> String {
    value.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The object's uid; this one if it has none.
fn ensure_uid(object: &mut Value, uid: &str) -> String {
    let present = text(object, "/metadata/uid");
    if !present.is_empty() {
        return present;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".to_owned(), uid.into());
    }
    uid.to_owned()
}

fn ensure_owner_uid(owner: &mut Value, uid: &str) {
    if text(owner, "/uid").is_empty()
        && let Some(owner) = owner.as_object_mut()
    {
        owner.insert("uid".to_owned(), uid.into());
    }
}
