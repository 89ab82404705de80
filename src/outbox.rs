//! The outbox: an observation that a rule wants becomes a Notice, stored before anything is sent.
//!
//! [`draft`] is pure: observation and policy in, Notice out. [`recorder`] stores it once, under a name that depends only on
//! the event, and hands it to delivery. Nothing is ever sent from here. Start at [`recorder`].

pub mod draft;
pub mod metrics;
pub mod recorder;
pub mod store;
