//! What the operator makes for a Workspace: its `EventBus` and its `RoleBinding`.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::Resource as _;
use kube::api::ObjectMeta;

use super::workspace::WorkspaceVerdict;
use crate::api::EventBus;
use crate::api::event_bus::EventBusSpec;
use crate::api::names::{SERVICE_ROLE, WORKSPACE_LABEL, bus_name};

/// The bus of a workspace.
pub(super) fn bus(workspace: &WorkspaceVerdict) -> EventBus {
    let name = workspace.name();
    let metadata = owned(workspace, bus_name(&name));
    EventBus { metadata, spec: EventBusSpec { workspace: name }, status: None }
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
