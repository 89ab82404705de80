//! What the operator makes for a Workspace: its `EventBus` and its `RoleBinding`.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};

use super::workspace::WorkspaceVerdict;
use crate::api::EventBus;
use crate::api::condition::{READY, Reason, Verdict};
use crate::api::event_bus::EventBusSpec;
use crate::api::names::{SERVICE_ROLE, WORKSPACE_LABEL, bus_name};

/// The bus of a workspace.
pub(super) fn bus(workspace: &WorkspaceVerdict) -> EventBus {
    let name = workspace.name();
    let metadata = owned(workspace, bus_name(&name));
    EventBus { metadata, spec: EventBusSpec { workspace: name }, status: None }
}

/// Where a workspace's events are published.
pub(super) fn address(url: &str, workspace: &str) -> String {
    format!("{url}/v1/workspaces/{workspace}/events")
}

/// Whether a bus is in use. One that somebody made by hand belongs to nobody.
pub(super) fn judge(bus: &EventBus, workspaces: &[WorkspaceVerdict]) -> Verdict {
    let name = &bus.spec.workspace;
    let owner = workspaces.iter().find(|workspace| {
        workspace.name() == *name
            && bus.namespace().as_deref() == Some(&workspace.namespace)
            && bus.name_any() == bus_name(name)
    });
    match owner {
        None => {
            let message = format!("Workspace {name} has no bus of this name here; delete this one");
            Verdict::no(READY, Reason::NoWorkspace, message)
        }
        Some(owner) if owner.activated.is_some() => {
            Verdict::yes(READY, Reason::Ready, format!("Workspace {name} is activated"))
        }
        Some(_) => {
            let message = format!("Workspace {name} is not activated; set its spec.activate to true");
            Verdict::no(READY, Reason::WorkspaceNotActivated, message)
        }
    }
}

/// The binding of a workspace, for the operator's `ServiceAccount` (`namespace/name`).
pub(super) fn binding(workspace: &WorkspaceVerdict, operator: &str) -> RoleBinding {
    let (namespace, name) = operator.split_once('/').unwrap_or(("", operator));
    RoleBinding {
        metadata: owned(workspace, SERVICE_ROLE.to_owned()),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "ClusterRole".to_owned(),
            name: SERVICE_ROLE.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            ..Subject::default()
        }]),
    }
}

/// Labelled, and removed by the cluster itself when the Workspace is.
fn owned(workspace: &WorkspaceVerdict, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(workspace.namespace.clone()),
        labels: Some(BTreeMap::from([(WORKSPACE_LABEL.to_owned(), workspace.name())])),
        owner_references: workspace.workspace.owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}
