//! The counts on each `EventBus`: added up here, and added to what stands on the object every few seconds.
//!
//! Any replica may count, so each reads what stands there, adds its own, and writes that back on the very revision that it
//! has read. What could not be written is tried again with the next. A replica that is killed loses the counts, never the
//! events, of its last seconds.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource as _};
use serde_json::json;

use crate::api::EventBus;
use crate::api::event_bus::EventBusCounters;
use crate::api::names::bus_name;
use crate::cluster::deadline::{self, ApiError};

const MANAGER: &str = "pai-notification-bus";
/// How often counts are written.
pub const WRITE_EVERY: Duration = Duration::from_secs(3);

/// Namespace and workspace.
type Key = (String, String);

/// Counts that do not stand on their objects yet.
#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<Key, EventBusCounters>>);

impl Counters {
    /// Adds to a workspace's counts.
    pub fn add(&self, namespace: &str, workspace: &str, counts: EventBusCounters) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((namespace.to_owned(), workspace.to_owned())).or_default().add(counts);
    }

    fn take(&self) -> HashMap<Key, EventBusCounters> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds all counts to what stands on their objects.
    pub async fn write(&self, client: &Client) {
        for ((namespace, workspace), counts) in self.take() {
            match write_one(client, &namespace, &workspace, counts).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {
                    tracing::debug!(workspace, "a bus is gone, and its counts with it");
                }
                Err(error) => {
                    tracing::debug!(workspace, %error, "the counts of a bus could not be written yet");
                    self.add(&namespace, &workspace, counts);
                }
            }
        }
    }
}

async fn write_one(
    client: &Client,
    namespace: &str,
    workspace: &str,
    counts: EventBusCounters,
) -> Result<(), ApiError> {
    let (api, name): (Api<DeserializeGuard<EventBus>>, _) =
        (Api::namespaced(client.clone(), namespace), bus_name(workspace));
    let stored = deadline::read(api.get(&name)).await?;
    let Ok(bus) = &stored.0 else { return Ok(()) };
    let mut sum = bus.status.as_ref().and_then(|status| status.counters).unwrap_or_default();
    sum.add(counts);
    let body = json!({
        "apiVersion": EventBus::api_version(&()),
        "kind": EventBus::kind(&()),
        "metadata": {"name": name, "resourceVersion": bus.metadata.resource_version},
        "status": {"counters": sum},
    });
    let params = PatchParams::apply(MANAGER).force();
    deadline::write(api.patch_status(&name, &params, &Patch::Apply(&body))).await.map(|_| ())
}
