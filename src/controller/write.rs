//! Writes what the judgement asks for: only what differs, each object on its own, so that one refusal stops nothing else.

use std::fmt::Debug;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use kube::{Api, Client, ResourceExt as _};

use super::bus;
use super::verdict::{self, Judgement, Tally};
use super::workspace::{Access, WorkspaceVerdict, is_ours};
use crate::api::names::{SERVICE_ROLE, WORKSPACE_LABEL, bus_name};
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::cluster::apply::{apply, apply_status};
use crate::cluster::deadline::{self, ApiError};

const MANAGER: &str = "pai-notification-controller";
/// Writes at the same time.
const CONCURRENCY: usize = 8;

/// One write, with what it is about.
type Write<'a> = (String, BoxFuture<'a, Result<(), ApiError>>);

/// Makes and removes what workspaces own.
pub(super) async fn owned(
    client: &Client,
    judgement: &Judgement,
    buses: &[EventBus],
    access: &std::collections::HashMap<String, Access>,
    operator: &str,
) {
    let mut writes: Vec<Write<'_>> = Vec::new();
    for workspace in &judgement.workspaces {
        if workspace.needs_bus {
            let api: Api<EventBus> = Api::namespaced(client.clone(), &workspace.namespace);
            let object = bus::bus(workspace);
            let write = async move { apply(&api, MANAGER, &object).await.map(|_| ()) };
            writes.push((format!("EventBus {}", bus_name(&workspace.name())), Box::pin(write)));
        }
        if workspace.needs_binding {
            let api: Api<RoleBinding> = Api::namespaced(client.clone(), &workspace.namespace);
            let object = bus::binding(workspace, operator);
            let write = async move { apply(&api, MANAGER, &object).await.map(|_| ()) };
            writes.push((format!("RoleBinding {}/{SERVICE_ROLE}", workspace.namespace), Box::pin(write)));
        } else if unwanted_binding(workspace, access) {
            let api: Api<RoleBinding> = Api::namespaced(client.clone(), &workspace.namespace);
            let write = async move {
                delete(deadline::write(api.delete(SERVICE_ROLE, &DeleteParams::default())).await.map(|_| ()))
            };
            writes.push((format!("RoleBinding {}/{SERVICE_ROLE}", workspace.namespace), Box::pin(write)));
        }
    }
    for unwanted in buses.iter().filter(|bus| is_unwanted(bus, judgement)) {
        let api: Api<EventBus> = Api::namespaced(client.clone(), &unwanted.namespace().unwrap_or_default());
        let name = unwanted.name_any();
        let about = format!("EventBus {name}");
        let write =
            async move { delete(deadline::write(api.delete(&name, &DeleteParams::default())).await.map(|_| ())) };
        writes.push((about, Box::pin(write)));
    }
    all(writes).await;
}

fn unwanted_binding(workspace: &WorkspaceVerdict, access: &std::collections::HashMap<String, Access>) -> bool {
    !workspace.workspace.spec.grant_access
        && access.get(&workspace.namespace).is_some_and(|access| is_ours(&access.binding, &workspace.name()))
}

/// A bus of ours whose workspace is there and does not want it any more. That of a workspace that is gone goes with it.
fn is_unwanted(bus: &EventBus, judgement: &Judgement) -> bool {
    let Some(name) = bus.labels().get(WORKSPACE_LABEL) else { return false };
    judgement.workspaces.iter().any(|workspace| {
        workspace.name() == *name && !workspace.workspace.spec.activate && bus.name_any() == bus_name(name)
    })
}

fn delete(result: Result<(), ApiError>) -> Result<(), ApiError> {
    result.or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })
}

/// Writes every status that differs.
pub(super) async fn statuses(
    client: &Client,
    judgement: &Judgement,
    buses: &[EventBus],
    tally: &Tally<'_>,
    now: Timestamp,
) {
    let mut writes: Vec<Write<'_>> = Vec::new();
    for judged in &judgement.workspaces {
        let fresh = verdict::workspace_status(judged, tally, now);
        if judged.workspace.status.as_ref() != Some(&fresh) {
            let api: Api<Workspace> = Api::all(client.clone());
            writes.push(status(api, "Workspace", judged.name(), fresh));
        }
    }
    for judged in judgement.targets.values() {
        let fresh = verdict::target_status(judged, tally, now);
        if judged.object.status.as_ref() != Some(&fresh) {
            let api: Api<EventTarget> = Api::namespaced(client.clone(), &judged.key.namespace);
            writes.push(status(api, "EventTarget", judged.key.name.clone(), fresh));
        }
    }
    for judged in &judgement.rules {
        let fresh = verdict::rule_status(judged, tally, now);
        if judged.object.status.as_ref() != Some(&fresh) {
            let api: Api<NoticeRule> = Api::namespaced(client.clone(), &judged.object.namespace().unwrap_or_default());
            writes.push(status(api, "NoticeRule", judged.object.name_any(), fresh));
        }
    }
    for object in buses {
        let fresh = verdict::bus_status(object, judgement, now);
        if object.status.as_ref() != Some(&fresh) {
            let api: Api<EventBus> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
            writes.push(status(api, "EventBus", object.name_any(), fresh));
        }
    }
    all(writes).await;
}

fn status<'a, K, S>(api: Api<K>, kind: &'static str, name: String, status: S) -> Write<'a>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned + Send + Sync + 'a,
    S: serde::Serialize + Send + Sync + 'a,
{
    let about = format!("the status of {kind} {name}");
    let write = async move { delete(apply_status(&api, MANAGER, &name, &status).await.map(|_| ())) };
    (about, Box::pin(write))
}

async fn all(writes: Vec<Write<'_>>) {
    futures::stream::iter(writes).for_each_concurrent(CONCURRENCY, one).await;
}

async fn one((about, write): Write<'_>) {
    if let Err(error) = write.await {
        tracing::warn!(about, %error, "could not be written yet");
    }
}
