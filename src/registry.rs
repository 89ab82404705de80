//! Model registries that are asked, because they cannot call, or must not.
//!
//! The leader reads every version of every registry that a Workspace names ([`poll`]), page by page ([`ask`]), and tells what it
//! did not know ([`known`]): level, not edge. What it tells has a name that depends only on the registry, the version and
//! what was found out, as what the registry's webhook tells has. [`mlflow`] and [`kubeflow`] are the two forms of answers,
//! [`version`] is what they have in common, [`memory`] is what survives a restart. Nothing here writes to a registry. Start at [`poll`].

pub mod ask;
pub mod known;
pub mod kubeflow;
pub mod memory;
pub mod metrics;
pub mod mlflow;
pub mod poll;
pub mod version;

pub use poll::{Polling, run};
