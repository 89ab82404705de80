//! A Workspace judged: is it activated, is access granted, and since when. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use super::edits::last_edit;
use crate::api::condition::{ACCESS_GRANTED, ACTIVATED, CONSOLE_URL_VALID, READY, Reason, Verdict};
use crate::api::names::{SERVICE_ROLE, WORKSPACE_LABEL, bus_name};
use crate::api::workspace::WorkspaceSpec;
use crate::api::{EventBus, Workspace};
use crate::message::ConsoleUrl;

/// What is known of a namespace's binding.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// The binding.
    pub(super) binding: RoleBinding,
    /// What the API server said to it: the first right that is missing; `Err` if it was not asked yet.
    pub(super) missing: Result<Option<String>, ()>,
}

/// What a judgement is made from.
pub(super) struct Surroundings<'a> {
    pub(super) namespaces: &'a HashSet<String>,
    pub(super) buses: &'a HashMap<(String, String), EventBus>,
    pub(super) access: &'a HashMap<String, Access>,
    /// `namespace/name` of the operator's `ServiceAccount`.
    pub(super) operator: &'a str,
}

/// A Workspace, judged.
#[derive(Clone, Debug)]
pub(super) struct WorkspaceVerdict {
    pub(super) workspace: Workspace,
    pub(super) namespace: String,
    /// Since when it is activated; `None` if it is not. Does not hang on the bus: whoever deletes that loses no event.
    pub(super) activated: Option<Timestamp>,
    /// Since when access is granted; `None` if it is not.
    pub(super) granted: Option<Timestamp>,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether the bus is to be made (and not only kept).
    pub(super) needs_bus: bool,
    /// Whether the binding is to be made.
    pub(super) needs_binding: bool,
}

impl WorkspaceVerdict {
    pub(super) fn name(&self) -> String {
        self.workspace.name_any()
    }

    /// Whether the namespace that it asks for is known, and its own.
    pub(super) fn has_its_namespace(&self) -> bool {
        !self.verdicts.iter().any(|verdict| matches!(verdict.reason, Reason::NamespaceTaken | Reason::Undecodable))
    }

    /// Since when events are this workspace's: `None` while it is not in force.
    pub(super) fn in_force_since(&self) -> Option<Timestamp> {
        Some(self.activated?.max(self.granted?))
    }
}

/// Judges all Workspaces: a namespace belongs to the oldest that asks for it. One that is being deleted asks for nothing.
pub(super) fn judge_all(workspaces: Vec<Workspace>, around: &Surroundings<'_>) -> Vec<WorkspaceVerdict> {
    let mut sorted = workspaces;
    sorted.retain(|workspace| workspace.metadata.deletion_timestamp.is_none());
    sorted.sort_by_key(|workspace| {
        (workspace.metadata.creation_timestamp.as_ref().map(|time| time.0), workspace.name_any())
    });
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    sorted
        .into_iter()
        .map(|workspace| {
            let owner = owners.entry(workspace.namespace().to_owned()).or_insert_with(|| workspace.name_any()).clone();
            if owner == workspace.name_any() { judge(workspace, around) } else { taken(workspace, &owner) }
        })
        .collect()
}

fn taken(workspace: Workspace, owner: &str) -> WorkspaceVerdict {
    let namespace = workspace.namespace().to_owned();
    let message = format!(
        "namespace {namespace} belongs to the older Workspace {owner}; choose another namespace, or delete one of the two"
    );
    refused(workspace, namespace, Reason::NamespaceTaken, &message)
}

/// A Workspace that cannot be read: nobody knows which namespace it asks for.
pub(super) fn undecodable(metadata: ObjectMeta, error: &str) -> WorkspaceVerdict {
    let workspace = Workspace { metadata, spec: WorkspaceSpec::default(), status: None };
    let message = format!("the object cannot be read: {error}; mend that field");
    refused(workspace, String::new(), Reason::Undecodable, &message)
}

fn refused(workspace: Workspace, namespace: String, reason: Reason, message: &str) -> WorkspaceVerdict {
    let no = |kind| Verdict::no(kind, reason, message);
    WorkspaceVerdict {
        workspace,
        namespace,
        activated: None,
        granted: None,
        verdicts: vec![no(READY), no(ACTIVATED), no(ACCESS_GRANTED)],
        needs_bus: false,
        needs_binding: false,
    }
}

fn judge(workspace: Workspace, around: &Surroundings<'_>) -> WorkspaceVerdict {
    let (name, namespace) = (workspace.name_any(), workspace.namespace().to_owned());
    let exists = around.namespaces.contains(&namespace);
    let has_bus = around.buses.contains_key(&(namespace.clone(), bus_name(&name)));
    let wants = workspace.spec.activate;
    let activation = match (wants, exists, has_bus) {
        (false, ..) => {
            Verdict::no(ACTIVATED, Reason::NotActivated, format!("set spec.activate of Workspace {name} to true"))
        }
        (true, false, _) => Verdict::no(
            ACTIVATED,
            Reason::NamespaceNotFound,
            format!("there is no namespace {namespace}; create it, and the rest follows"),
        ),
        (true, true, false) => Verdict::no(ACTIVATED, Reason::NotActivated, "the event bus is being made"),
        (true, true, true) => {
            Verdict::yes(ACTIVATED, Reason::Activated, format!("event bus {} is there", bus_name(&name)))
        }
    };
    let access = around.access.get(&namespace);
    let grant = judge_access(&workspace, &namespace, access, around.operator);
    let activated = if wants && exists { activated_at(&workspace) } else { None };
    let granted = access.filter(|_| grant.is_true()).and_then(|access| granted_at(&access.binding));
    let ready = [&activation, &grant].into_iter().find(|verdict| !verdict.is_true()).map_or_else(
        || Verdict::yes(READY, Reason::Ready, format!("events of namespace {namespace} are notified")),
        |verdict| Verdict::no(READY, verdict.reason, verdict.message.clone()),
    );
    let console = workspace.spec.console_url.as_deref().map(judge_console);
    let ours = access.is_some_and(|access| is_ours(&access.binding, &name));
    WorkspaceVerdict {
        needs_bus: wants && exists && !has_bus,
        needs_binding: workspace.spec.grant_access
            && exists
            && access.is_none_or(|access| ours && !binds(&access.binding, around.operator)),
        workspace,
        namespace,
        activated,
        granted,
        verdicts: [ready, activation, grant].into_iter().chain(console).collect(),
    }
}

/// A console URL that does not compile costs messages their link, and nothing else.
fn judge_console(url: &str) -> Verdict {
    match ConsoleUrl::compile(url) {
        Ok(_) => Verdict::yes(CONSOLE_URL_VALID, Reason::Valid, "messages link to their subjects"),
        Err(error) => {
            let what = error.to_string().replacen("template.consoleUrl", "spec.consoleUrl", 1);
            Verdict::no(CONSOLE_URL_VALID, Reason::InvalidTemplate, format!("messages have no link: {what}"))
        }
    }
}

fn judge_access(workspace: &Workspace, namespace: &str, access: Option<&Access>, operator: &str) -> Verdict {
    let name = workspace.name_any();
    let how = format!(
        "set spec.grantAccess of Workspace {name} to true, or bind ClusterRole {SERVICE_ROLE} to ServiceAccount {operator} in namespace {namespace}"
    );
    match access.map(|access| &access.missing) {
        None if workspace.spec.grant_access => {
            Verdict::no(ACCESS_GRANTED, Reason::AccessNotGranted, "the RoleBinding is being made")
        }
        None => Verdict::no(ACCESS_GRANTED, Reason::AccessNotGranted, how),
        Some(Ok(None)) => Verdict::yes(
            ACCESS_GRANTED,
            Reason::AccessGranted,
            format!("RoleBinding {SERVICE_ROLE} is there, and the API server confirms the rights"),
        ),
        Some(Ok(Some(missing))) => Verdict::no(
            ACCESS_GRANTED,
            Reason::AccessNotGranted,
            format!(
                "RoleBinding {SERVICE_ROLE} is there, but the API server does not allow the operator to {missing}; {how}"
            ),
        ),
        Some(Err(())) => Verdict::no(
            ACCESS_GRANTED,
            Reason::AccessNotGranted,
            "the API server is being asked whether the rights are there",
        ),
    }
}

/// The time of the edit that activated the workspace, by the object's own times.
///
/// One edit cannot switch off and on: if the recorded status had it activated and at most one edit came after that,
/// activation goes back to the time that is recorded. Otherwise it is the last edit by an owner of `spec.activate`.
fn activated_at(workspace: &Workspace) -> Option<Timestamp> {
    let status = workspace.status.as_ref();
    let edits = workspace.metadata.generation.unwrap_or(0) - status.and_then(|s| s.observed_generation).unwrap_or(0);
    // Recorded only while it is activated.
    let recorded = status.and_then(|status| status.activated_at).filter(|_| edits <= 1);
    recorded.or_else(|| last_edit(&workspace.metadata, &["f:spec", "f:activate"]))
}

fn granted_at(binding: &RoleBinding) -> Option<Timestamp> {
    last_edit(&binding.metadata, &["f:subjects"])
}

/// Whether the operator made the binding for this workspace.
pub(super) fn is_ours(binding: &RoleBinding, workspace: &str) -> bool {
    binding.labels().get(WORKSPACE_LABEL).is_some_and(|name| name == workspace)
}

fn binds(binding: &RoleBinding, operator: &str) -> bool {
    let subject = |subject: &k8s_openapi::api::rbac::v1::Subject| {
        subject.kind == "ServiceAccount"
            && format!("{}/{}", subject.namespace.as_deref().unwrap_or_default(), subject.name) == operator
    };
    binding.role_ref.name == SERVICE_ROLE && binding.subjects.iter().flatten().any(subject)
}

#[cfg(test)]
mod tests;
