//! Writes what became of a Notice's deliveries onto it.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::NoticeKey;
use super::metrics::DeliveryMetrics;
use crate::api::Notice;
use crate::api::notice::NoticeStatus;
use crate::cluster::deadline;

const MANAGER: &str = "pai-notification-delivery";

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The status is stored.
    Stored,
    /// The Notice was removed meanwhile; there is nothing to write to.
    Removed,
}

/// Writes until it is stored or the Notice is gone: an outcome that is not written would be tried again after a restart.
pub async fn write(client: &Client, key: &NoticeKey, status: &NoticeStatus, metrics: &DeliveryMetrics) -> Written {
    let api: Api<Notice> = Api::namespaced(client.clone(), &key.namespace);
    let body = json!({
        "apiVersion": "notification.pai.dev/v1alpha1",
        "kind": "Notice",
        "metadata": {"name": key.name},
        "status": status,
    });
    let params = PatchParams::apply(MANAGER).force();
    let mut tries = 0_u32;
    loop {
        match deadline::write(api.patch_status(&key.name, &params, &Patch::Apply(&body))).await {
            Ok(_) => return Written::Stored,
            Err(error) if error.is_not_found() => return Written::Removed,
            Err(error) => {
                metrics.write_faults.inc();
                tracing::warn!(notice = %key, tries, %error, "could not write an outcome yet");
                tries = tries.saturating_add(1);
                let pause = Duration::from_millis(100).saturating_mul(1 << tries.min(10));
                tokio::time::sleep(pause.min(Duration::from_secs(10))).await;
            }
        }
    }
}
