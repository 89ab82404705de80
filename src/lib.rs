//! PAI Notification: tells machine-learning teams when their jobs, notebooks, pipeline steps and models change state.
//!
//! The folders are layers, each built on those above it in this list; `ARCHITECTURE.md` follows one event through them.

pub mod api;
pub mod bus;
pub mod channel;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod delivery;
pub mod detect;
pub mod lifecycle;
pub mod message;
pub mod ops;
pub mod outbox;
pub mod registry;
pub mod rules;
pub mod watch;
