//! From documents to objects, by kind, in the order of the input.

mod decode;
mod secrets;
mod workload;

use serde_json::Value;

use super::problem::{InputError, InputErrors, Problem};
use super::read::Document;
use crate::api::names::{GROUP, VERSION};
use crate::api::{EventBus, EventTarget, Notice, NoticeRule, Workspace};
use crate::detect::declared::Catalog;

pub(super) use secrets::Secrets;
pub(super) use workload::Workload;

/// Where `kubectl apply` puts what names no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// Everything that the simulation is about.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) workspaces: Vec<Workspace>,
    pub(super) targets: Vec<EventTarget>,
    pub(super) rules: Vec<NoticeRule>,
    pub(super) secrets: Secrets,
    /// In the order in which they are to be seen.
    pub(super) workloads: Vec<Workload>,
    pub(super) problems: Vec<Problem>,
}

/// Sorts documents into kinds; workloads are those of the catalog, beside Jobs and Pods.
pub(super) fn sort(documents: Vec<Document>, catalog: &Catalog) -> Result<Input, InputErrors> {
    let mut sorter = Sorter { catalog, input: Input::default(), workloads: Vec::new() };
    let mut errors = Vec::new();
    for Document { file, number, value } in documents {
        let mut troubles = Vec::new();
        sorter.add(value, "", &mut troubles);
        let error = |message| InputError::Document { file: file.clone(), document: number, message };
        errors.extend(troubles.into_iter().map(error));
    }
    let Sorter { mut input, workloads, .. } = sorter;
    input.workloads = workload::views(workloads);
    InputErrors::check(input, errors)
}

struct Sorter<'a> {
    catalog: &'a Catalog,
    input: Input,
    workloads: Vec<(workload::Kind, Value)>,
}

impl Sorter<'_> {
    /// Adds one object, or every one of a list. `path` is where it stands in its document.
    fn add(&mut self, value: Value, path: &str, troubles: &mut Vec<String>) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let at = |message: &str| if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") };
        if !value.is_object() {
            troubles.push(at("is no object; it needs apiVersion, kind and metadata"));
        } else if kind.is_empty() {
            troubles.push(at("kind is missing; an object needs apiVersion, kind and metadata"));
        } else if api_version.is_empty() {
            troubles.push(at("apiVersion is missing; an object needs apiVersion, kind and metadata"));
        } else if let (Some(of), Some(Value::Array(items))) = (kind.strip_suffix("List"), value.get("items")) {
            for (index, item) in items.iter().enumerate() {
                let item = item_of_list(item, &api_version, of);
                self.add(item, &format!("{}items[{index}]", prefix(path)), troubles);
            }
        } else if let Err(message) = self.add_object(value, &api_version, &kind) {
            troubles.push(format!("{}{message}", prefix(path)));
        }
    }

    fn add_object(&mut self, mut value: Value, api_version: &str, kind: &str) -> Result<(), String> {
        let is_ours = api_version == format!("{GROUP}/{VERSION}");
        let is_cluster_wide = is_ours && kind == "Workspace";
        let object = complete(&mut value, kind, is_cluster_wide)?;
        let Self { catalog, input, workloads } = self;
        let problems = &mut input.problems;
        match (api_version, kind) {
            ("batch/v1", "Job") => workloads.push((workload::Kind::Job, value)),
            ("v1", "Pod") => workloads.push((workload::Kind::Pod, value)),
            ("v1", "Secret") => input.secrets.add(&value)?,
            // Stands beside a Workspace in many a file, and says nothing that matters here.
            ("v1", "Namespace") => {}
            (_, "Workspace") if is_ours => {
                let workspace: Workspace = decode::ours(value, &object, problems)?;
                let same = |other: &Workspace| other.metadata.name == workspace.metadata.name;
                replace(&mut input.workspaces, same, &object, problems);
                input.workspaces.push(workspace);
            }
            (_, "EventTarget") if is_ours => {
                let target: EventTarget = decode::ours(value, &object, problems)?;
                let key = (target.metadata.namespace.clone(), target.metadata.name.clone());
                let same = |other: &EventTarget| (&other.metadata.namespace, &other.metadata.name) == (&key.0, &key.1);
                replace(&mut input.targets, same, &object, problems);
                input.targets.push(target);
            }
            (_, "NoticeRule") if is_ours => {
                let rule: NoticeRule = decode::ours(value, &object, problems)?;
                let key = (rule.metadata.namespace.clone(), rule.metadata.name.clone());
                let same = |other: &NoticeRule| (&other.metadata.namespace, &other.metadata.name) == (&key.0, &key.1);
                replace(&mut input.rules, same, &object, problems);
                input.rules.push(rule);
            }
            // Made by the operator: checked, but nothing follows from them.
            (_, "EventBus") if is_ours => drop(decode::ours::<EventBus>(value, &object, problems)?),
            (_, "Notice") if is_ours => drop(decode::ours::<Notice>(value, &object, problems)?),
            _ => match catalog.kind_of(api_version, kind) {
                Some(declared) => workloads.push((workload::Kind::Declared(declared.clone()), value)),
                None => problems.push(Problem::new(object, unknown(api_version, kind, catalog))),
            },
        }
        Ok(())
    }
}

/// Says that nothing is known of a kind, or not in this version.
fn unknown(api_version: &str, kind: &str, catalog: &Catalog) -> String {
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let others = catalog.kinds().iter().filter(|known| (known.group(), known.kind()) == (group, kind));
    let versions: Vec<&str> = others.flat_map(|known| known.versions()).map(String::as_str).collect();
    if !versions.is_empty() {
        return format!(
            "the kind {kind} of {api_version} is unknown here and left out; of {group}, known is {}",
            versions.join(", ")
        );
    }
    format!(
        "the kind {kind} of {api_version} is unknown here and left out; known are Workspace, EventTarget and NoticeRule \
         of {GROUP}/{VERSION}, Secret and Pod of v1, Job of batch/v1, and the kinds of the catalog (docs/kinds.md), to \
         which --catalog adds"
    )
}

/// What is applied twice counts as it was applied last.
fn replace<T>(objects: &mut Vec<T>, same: impl Fn(&T) -> bool, object: &str, problems: &mut Vec<Problem>) {
    let before = objects.len();
    objects.retain(|other| !same(other));
    if objects.len() < before {
        problems.push(Problem::new(object, "is there more than once; the last one counts"));
    }
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}.") }
}

/// An item of a list of one kind does not say itself what it is.
fn item_of_list(item: &Value, api_version: &str, kind: &str) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut().filter(|_| !kind.is_empty()) {
        fields.entry("apiVersion").or_insert_with(|| api_version.into());
        fields.entry("kind").or_insert_with(|| kind.into());
    }
    item
}

/// Gives an object the namespace that it would get, and returns what it is called.
fn complete(value: &mut Value, kind: &str, is_cluster_wide: bool) -> Result<String, String> {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut).ok_or("metadata is missing")?;
    let name = match metadata.get("name") {
        Some(Value::String(name)) if !name.is_empty() => name.clone(),
        Some(Value::String(_) | Value::Null) | None => return Err("metadata.name is missing".to_owned()),
        Some(_) => return Err("metadata.name: must be a string; quote it".to_owned()),
    };
    if is_cluster_wide {
        return Ok(format!("{kind} {name}"));
    }
    match metadata.entry("namespace").or_insert(Value::Null) {
        Value::String(namespace) if !namespace.is_empty() => Ok(format!("{kind} {namespace}/{name}")),
        namespace @ (Value::String(_) | Value::Null) => {
            *namespace = DEFAULT_NAMESPACE.into();
            Ok(format!("{kind} {DEFAULT_NAMESPACE}/{name}"))
        }
        _ => Err("metadata.namespace: must be a string; quote it".to_owned()),
    }
}
