//! The checkpoint: per kind, the resourceVersion up to which everything has been dealt with.
//!
//! "Dealt with" means that the Notices are stored, not only that the change was seen. [`Progress`] is the pure part;
//! [`load`] and [`save`] keep it in a `ConfigMap` of the operator's namespace.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};

use super::Kind;
use crate::cluster::deadline::{self, ApiError};

/// Name of the `ConfigMap`.
pub const NAME: &str = "pai-notification-checkpoint";
const MANAGER: &str = "pai-notification-checkpoint";
const TIME: &str = "time";

/// What has been dealt with, per kind.
pub type Positions = BTreeMap<Kind, u64>;

/// Follows one kind's changes from being seen to being dealt with.
#[derive(Debug, Default)]
pub struct Progress {
    seen: u64,
    /// Observations that are not stored yet, by resourceVersion.
    open: BTreeMap<u64, usize>,
}

impl Progress {
    /// Everything up to `revision` was seen.
    pub fn saw(&mut self, revision: u64) {
        self.seen = self.seen.max(revision);
    }

    /// Up to where everything was seen.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// An observation made at `revision` awaits its Notice.
    pub fn opened(&mut self, revision: u64) {
        *self.open.entry(revision).or_default() += 1;
    }

    /// Its Notice is stored, or nobody wanted one.
    pub fn closed(&mut self, revision: u64) {
        if let Some(count) = self.open.get_mut(&revision) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&revision);
            }
        }
    }

    /// Up to where everything has been dealt with; `None` before anything was seen.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        let first_open = self.open.keys().next().map_or(u64::MAX, |revision| revision.saturating_sub(1));
        Some(self.seen.min(first_open)).filter(|&position| position > 0)
    }

    /// How many observations await their Notice.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.values().sum()
    }
}

/// Reads the checkpoint; a missing one, or an entry that is no number, is no checkpoint.
///
/// # Errors
/// The API server's.
pub async fn load(client: &Client, namespace: &str) -> Result<Positions, ApiError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = deadline::read(api.get_opt(NAME)).await?;
    let data = found.and_then(|map| map.data).unwrap_or_default();
    Ok(data.iter().filter_map(|(name, revision)| Some((Kind::named(name)?, revision.parse().ok()?))).collect())
}

/// Writes the checkpoint by server-side apply.
///
/// # Errors
/// The API server's.
pub async fn save(client: &Client, namespace: &str, positions: &Positions, now: Timestamp) -> Result<(), ApiError> {
    let mut data: BTreeMap<String, String> =
        positions.iter().map(|(kind, revision)| (kind.as_str().to_owned(), revision.to_string())).collect();
    data.insert(TIME.to_owned(), now.to_string());
    let body = ConfigMap {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(data),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams::apply(MANAGER).force();
    deadline::write(api.patch(NAME, &params, &Patch::Apply(&body))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_never_passes_an_observation_that_is_not_stored() {
        let mut progress = Progress::default();
        assert_eq!(progress.position(), None);
        progress.saw(10);
        progress.opened(10);
        progress.saw(12);
        assert_eq!(progress.position(), Some(9));
        progress.opened(12);
        progress.opened(12);
        progress.closed(10);
        assert_eq!(progress.position(), Some(11));
        progress.closed(12);
        assert_eq!(progress.position(), Some(11));
        progress.closed(12);
        progress.closed(99);
        assert_eq!((progress.position(), progress.open()), (Some(12), 0));
    }
}
