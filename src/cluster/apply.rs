//! Server-side apply: of owned objects, and of statuses.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::deadline::{self, ApiError};

/// Applies an object as `manager`, taking over fields that others have set.
///
/// # Errors
/// [`ApiError`].
pub async fn apply<K>(api: &Api<K>, manager: &str, object: &K) -> Result<K, ApiError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let params = PatchParams::apply(manager).force();
    deadline::write(api.patch(&object.name_any(), &params, &Patch::Apply(object))).await
}

/// Applies the status of the object called `name`, as a whole.
///
/// # Errors
/// [`ApiError`].
pub async fn apply_status<K, S>(api: &Api<K>, manager: &str, name: &str, status: &S) -> Result<K, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    S: Serialize + Sync,
{
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    let params = PatchParams::apply(manager).force();
    deadline::write(api.patch_status(name, &params, &Patch::Apply(&body))).await
}
