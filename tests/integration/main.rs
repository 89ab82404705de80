//! Integration tests: the operator as a process under its own ServiceAccount, against a real control plane.
//!
//! All tests share one cluster and take turns ([`scene::Scene`]), since each runs its own operator. Receivers are local
//! servers that check what the real ones check.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    dead_code,
    reason = "tests, with support that not all of them use"
)]

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/install.rs"]
mod install;
#[path = "../support/kinds.rs"]
mod kinds_support;
#[path = "../support/mail.rs"]
mod mail;
#[path = "../support/registry.rs"]
mod model_registry;
#[path = "../support/robot.rs"]
mod robot;

mod access;
mod bad_input;
mod budget;
mod bus;
mod crash;
mod detection;
mod examples;
mod kinds;
mod methods;
mod registry;
mod scene;
mod secrecy;
mod shared;
mod since;
mod verdicts;
mod workspace;
