//! Running the program: flags, logs, metrics, health, and the supervision of everything that runs.
//!
//! Nothing here decides what is notified; it puts the layers together. Start at [`supervise`].

pub mod args;
pub mod health;
pub mod metrics;
pub mod ports;
pub mod supervise;
pub mod telemetry;
