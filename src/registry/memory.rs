//! What is known of registries, kept in a `ConfigMap` of the operator's namespace, so that what changes while no operator runs
//! is told by the next one.
//!
//! It is written after the Notices are stored, never before. Losing it repeats nothing, since the names of Notices depend on
//! what happened; it only makes the next look the first one.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};

use super::known::Known;
use crate::bus::mapping::hash;
use crate::cluster::deadline::{self, ApiError};
use crate::controller::{Polled, Registry};

/// Name of the `ConfigMap`.
pub const NAME: &str = "pai-notification-registries";
const MANAGER: &str = "pai-notification-registries";
/// Most bytes that are kept; with base64 and all, an object must not be larger than 1 MiB. What does not fit is kept in memory
/// only, the largest first.
const ROOM: usize = 640 * 1024;
/// Bytes of a number.
const WORD: usize = 8;

/// A registry of a workspace.
pub type Key = (String, Registry);

/// What is known of each registry, and of what it is known.
pub type Memory = HashMap<Key, (u64, Known)>;

/// What knowledge is about: of another address, or with another tag that approves, it is of no use.
#[must_use]
pub fn basis(polled: &Polled) -> u64 {
    let Polled { registry, access, interval: _, approved, aliases } = polled;
    let url = access.as_ref().map(|(url, _)| url.as_str()).unwrap_or_default();
    let mut parts = vec![registry.as_str(), url, &approved.key, &approved.value];
    let mut aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    aliases.sort_unstable();
    parts.extend(aliases);
    hash(&parts).get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Reads it. What cannot be read is not known.
///
/// # Errors
/// The API server's.
pub async fn load(client: &Client, namespace: &str) -> Result<Memory, ApiError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = deadline::read(api.get_opt(NAME)).await?;
    let data = found.and_then(|map| map.binary_data).unwrap_or_default();
    Ok(data.iter().filter_map(|(name, bytes)| Some((key(name)?, decode(&bytes.0)?))).collect())
}

/// Writes it by server-side apply.
///
/// # Errors
/// The API server's.
pub async fn save(client: &Client, namespace: &str, memory: &[(&Key, u64, &Known)]) -> Result<(), ApiError> {
    let body = ConfigMap {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        binary_data: Some(encoded(memory)),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams::apply(MANAGER).force();
    deadline::write(api.patch(NAME, &params, &Patch::Apply(&body))).await?;
    Ok(())
}

fn encoded(memory: &[(&Key, u64, &Known)]) -> BTreeMap<String, ByteString> {
    let one = |(key, basis, known): &(&Key, u64, &Known)| (name(key), encode(*basis, known));
    let mut all: Vec<(String, Vec<u8>)> = memory.iter().map(one).collect();
    all.sort_by_key(|(name, bytes)| (bytes.len(), name.clone()));
    let mut room = ROOM;
    let fits = |bytes: usize| room.checked_sub(bytes).inspect(|left| room = *left).is_some();
    let mut fits = fits;
    all.into_iter().filter(|(_, bytes)| fits(bytes.len())).map(|(name, bytes)| (name, ByteString(bytes))).collect()
}

fn name((workspace, registry): &Key) -> String {
    format!("{workspace}.{}", registry.as_str())
}

fn key(name: &str) -> Option<Key> {
    let (workspace, registry) = name.rsplit_once('.')?;
    let registry = [Registry::Mlflow, Registry::Kubeflow].into_iter().find(|known| known.as_str() == registry)?;
    Some((workspace.to_owned(), registry))
}

/// Basis, time in milliseconds, ids in order.
fn encode(basis: u64, known: &Known) -> Vec<u8> {
    let mut ids: Vec<u64> = known.ids().collect();
    ids.sort_unstable();
    let head = [basis, u64::try_from(known.asked.as_millisecond()).unwrap_or(0)];
    head.into_iter().chain(ids).flat_map(u64::to_be_bytes).collect()
}

fn decode(bytes: &[u8]) -> Option<(u64, Known)> {
    let (words, rest) = bytes.as_chunks::<WORD>();
    let mut words = words.iter().map(|word| u64::from_be_bytes(*word));
    let (basis, asked) = (words.next()?, words.next()?);
    let asked = Timestamp::from_millisecond(i64::try_from(asked).ok()?).ok()?;
    rest.is_empty().then(|| (basis, Known::first(asked, words.collect::<HashSet<_>>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(ids: std::ops::Range<u64>) -> Known {
        Known::first(Timestamp::from_second(1_795_000_000).unwrap(), ids.collect())
    }

    #[test]
    fn what_is_kept_is_read_again_and_what_is_none_is_not_known() {
        let two = known(0..3).then(known(0..0).asked, [7].into());
        let (basis, read) = decode(&encode(42, &two)).unwrap();
        assert_eq!((basis, read.asked), (42, two.asked));
        assert_eq!(read.last, [0, 1, 2, 7].into());
        for broken in [&[][..], &[1; 8], &[0; 17], &[0xff; 24]] {
            assert_eq!(decode(broken), None);
        }
        let key_of = ("team-a".to_owned(), Registry::Kubeflow);
        assert_eq!(key(&name(&key_of)), Some(key_of));
        assert_eq!((key("x"), key("x.other")), (None, None));
    }

    #[test]
    fn what_does_not_fit_is_left_out_beginning_with_the_largest() {
        let keys: Vec<Key> = ["a", "b", "c"].map(|name| (name.to_owned(), Registry::Mlflow)).into();
        let (small, large) = (known(0..100), known(0..70_000));
        let kept = encoded(&[(&keys[0], 1, &large), (&keys[1], 1, &large), (&keys[2], 1, &small)]);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a.mlflow", "c.mlflow"]);
        assert!(kept.values().map(|bytes| bytes.0.len()).sum::<usize>() <= ROOM);
    }
}
