//! Creating an object once: that it is there already is success.

use std::fmt::Debug;

use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::deadline::{self, ApiError};

/// How a creation went.
#[derive(Clone, Debug)]
pub enum Creation<K> {
    /// It is new.
    Created(Box<K>),
    /// Somebody (or an earlier call of ours, whose answer was lost) has made it before.
    AlreadyThere,
}

/// Creates an object.
///
/// # Errors
/// [`ApiError`]; after a deadline the object may be there all the same.
pub async fn create_once<K>(api: &Api<K>, object: &K) -> Result<Creation<K>, ApiError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    match deadline::write(api.create(&PostParams::default(), object)).await {
        Ok(created) => Ok(Creation::Created(Box::new(created))),
        Err(error) if error.is_already_exists() => Ok(Creation::AlreadyThere),
        Err(error) => Err(error),
    }
}
