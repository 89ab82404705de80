//! Seeing what happens: one supervised watch per kind, and an index that turns changes into observations.
//!
//! [`kinds`] finds out which kinds are installed, and starts and ends their watches. [`stream`] talks to the API server and knows no kind. [`index`] is pure: it holds, per object, only what detection
//! needs, and tells each transition once. [`checkpoint`] remembers up to which resourceVersion everything has been dealt
//! with, so that a restart neither repeats nor forgets. [`recent`] keeps what was seen lately, for rules that appear a
//! moment later and for a standby that takes over. [`sources`] says how each watch goes. Nothing here decides who is told. Start at [`index`].

pub mod checkpoint;
pub mod index;
pub mod kinds;
pub mod metrics;
pub mod observation;
pub mod recent;
pub mod sources;
pub mod stream;
pub mod task;

pub use observation::{Kind, Observation, Place};
