//! Everything that talks to the API server in its own way: deadlines, creating once, applying, leading.
//!
//! kube's client has no read timeout and repeats a call up to fifteen times by itself, so every call goes through
//! [`deadline`]. Nothing here knows what is notified.

pub mod access;
pub mod apply;
pub mod clock;
pub mod create;
pub mod deadline;
pub mod leader;
pub mod tasks;
