//! Workload objects. Written by hand, they lack what an API server gives every object: a `uid`.

use std::collections::HashMap;

use serde_json::Value;

use crate::detect::declared::{self, Object};
use crate::detect::job::JobView;
use crate::detect::pod::PodView;

/// An object as detection reads it.
#[derive(Clone, Debug)]
pub(in crate::cli::simulate) enum Workload {
    Job(JobView),
    Pod(PodView),
    Declared(declared::Kind, Object),
}

/// What kind of workload an object is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Job,
    Pod,
    Declared(declared::Kind),
}

impl Kind {
    fn name(&self) -> (&str, &str) {
        match self {
            Self::Job => ("batch", "Job"),
            Self::Pod => ("", "Pod"),
            Self::Declared(kind) => (kind.group(), kind.kind()),
        }
    }

    fn api_version(&self) -> String {
        match self {
            Self::Job => "batch/v1".to_owned(),
            Self::Pod => "v1".to_owned(),
            Self::Declared(kind) => kind.api_version(),
        }
    }

    fn made_up_uid(&self, namespace: &str, name: &str) -> String {
        match self {
            Self::Job => format!("job/{namespace}/{name}"),
            Self::Pod => format!("pod/{namespace}/{name}"),
            Self::Declared(kind) => format!("{}/{namespace}/{name}", kind.name()),
        }
    }

    /// Reading an object never fails.
    fn view(self, object: Value) -> Option<Workload> {
        match self {
            Self::Job => serde_json::from_value(object).ok().map(Workload::Job),
            Self::Pod => serde_json::from_value(object).ok().map(Workload::Pod),
            Self::Declared(kind) => Some(Workload::Declared(kind, Object::from(object))),
        }
    }
}

/// Owners by namespace, kind and name: their group, `apiVersion` and uid.
type Owners = HashMap<(String, String, String), Vec<(String, String, String)>>;

/// The objects in the order in which they are to be seen: what is a part before what it is a part of, so that everything
/// is known when the whole is told about. Several states of one object keep their order.
pub(super) fn views(mut objects: Vec<(Kind, Value)>) -> Vec<Workload> {
    let mut owners = Owners::new();
    for (kind, object) in &mut objects {
        let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        let uid = ensure_uid(object, &kind.made_up_uid(&namespace, &name));
        let (group, kind_name) = kind.name();
        let known = owners.entry((namespace, kind_name.to_owned(), name)).or_default();
        known.push((group.to_owned(), kind.api_version(), uid));
    }
    let mut above: HashMap<String, String> = HashMap::new();
    for (_, object) in &mut objects {
        let (namespace, own) = (text(object, "/metadata/namespace"), text(object, "/metadata/uid"));
        let references = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            complete_owner(reference, &namespace, &owners);
            above.insert(own.clone(), text(reference, "/uid"));
        }
    }
    let depth = |uid: String| std::iter::successors(above.get(&uid), |uid| above.get(*uid)).take(objects.len()).count();
    let mut ordered: Vec<(usize, usize)> = Vec::new();
    for (index, (kind, object)) in objects.iter().enumerate() {
        // Pods are parts of all others.
        let depth = if matches!(kind, Kind::Pod) { usize::MAX } else { depth(text(object, "/metadata/uid")) };
        ordered.push((depth, index));
    }
    ordered.sort_by_key(|(depth, index)| (std::cmp::Reverse(*depth), *index));
    let mut objects: Vec<Option<(Kind, Value)>> = objects.into_iter().map(Some).collect();
    let taken = ordered.into_iter().filter_map(|(_, index)| objects.get_mut(index)?.take());
    taken.filter_map(|(kind, object)| kind.view(object)).collect()
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

/// Gives the reference to an owner what its controller would have written, as far as it is left out.
fn complete_owner(reference: &mut Value, namespace: &str, owners: &Owners) {
    let key = (namespace.to_owned(), text(reference, "/kind"), text(reference, "/name"));
    let (api_version, uid) = (text(reference, "/apiVersion"), text(reference, "/uid"));
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut known = owners.get(&key).into_iter().flatten();
    let Some((_, version, own)) = known.find(|(of, _, _)| api_version.is_empty() || of == group) else { return };
    let Some(reference) = reference.as_object_mut() else { return };
    if uid.is_empty() {
        reference.insert("uid".to_owned(), own.as_str().into());
    }
    reference.entry("apiVersion").or_insert_with(|| version.as_str().into());
    reference.entry("controller").or_insert(Value::Bool(true));
}
