//! The controller: from what users wrote to what is in force, and back to what they see.
//!
//! All of our kinds are held in memory ([`store`]). Whenever anything changes, the whole is judged anew by pure functions
//! ([`verdict`] and the files beside it); what is in force is published first, statuses are written after that, by the
//! leader alone and only where they differ. Nothing here sends a message or records an event. Start at [`reconcile`].

mod access;
mod bus;
mod connectivity;
mod edits;
mod ingress;
pub mod offline;
mod reconcile;
mod registry;
pub mod retention;
mod rule;
mod secret;
mod sources;
mod store;
mod target;
mod verdict;
mod workspace;
mod write;

pub use ingress::{Ingress, Ingresses, Webhook};
pub use reconcile::{Controlling, run};
pub use registry::{Credentials, Health, PollFault, Polled, Registry, RegistryHealth};
