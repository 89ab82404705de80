//! The life of a training job, notebook, pipeline step or model version, as this program speaks of it.
//!
//! A [`Source`] goes through [`Transition`]s; a rule names [`EventType`]s, each of which covers some transitions of
//! one source. An [`Event`] is one transition of one subject, with an identity that depends on nothing but what
//! happened. Nothing here reads a clock or talks to anybody. Start at [`event_type`] for the table of events.

pub mod cloudevent;
pub mod event;
pub mod event_type;
pub mod identity;
pub mod source;
pub mod transition;

pub use event::{Event, Subject};
pub use event_type::EventType;
pub use identity::EventKey;
pub use source::Source;
pub use transition::Transition;
