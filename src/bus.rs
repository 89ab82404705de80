//! The event bus: where other systems publish events of a workspace.
//!
//! A request is authenticated and authorised by the API server ([`access`]), decoded ([`decode`]), read as an observation
//! ([`mapping`], or [`mlflow`] for the webhook of a model registry) and handed to the outbox, as if it had been watched. The
//! answer is 202 only once every Notice that it makes is stored. Any replica answers: a Notice's name depends only on the
//! event, and the leader finds what another has stored. Nothing is sent from here. Start at [`server`].

pub mod access;
pub mod counters;
pub mod decode;
pub mod limit;
pub mod listen;
pub mod mapping;
pub mod metrics;
pub mod mlflow;
pub mod model;
pub mod payload;
pub mod publish;
pub mod refusal;
pub mod server;
pub mod tls;

pub use server::{Serving, run};
