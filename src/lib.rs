//! PAI Notification: tells machine-learning teams when their jobs, notebooks, pipeline steps and models change state.
//!
//! The folders are layers, each built on those above it in this list; `ARCHITECTURE.md` follows one event through them.

pub mod api;
pub mod detect;
pub mod lifecycle;
