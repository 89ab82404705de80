//! Which events go where: rules compiled from their specs, matched against events.
//!
//! A [`CompiledRule`] exists only if every selector, pattern and filter of its spec compiled; what is downstream takes
//! it, never the raw spec. A [`Policy`] is the whole of what is in force at one moment. Nothing here reads a clock or
//! talks to anybody. Start at [`policy`].

pub mod compile;
pub mod filter;
pub mod policy;
pub mod quota;

pub use compile::{CompiledRule, RuleError};
pub use policy::{ActiveRule, Match, Policy, WorkspacePolicy};
