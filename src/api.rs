//! The five kinds of `notification.pai.dev/v1alpha1` as Rust types, and the names that go with them.
//!
//! These types are the contract: the CRDs in `crds/` are printed from them. They hold what users write and what the
//! operator answers, unchecked; the checked forms that the rest of the program works on come out of `rules`, `channel`
//! and `controller`. Nothing here reads a clock or talks to an API server. Start at [`notice_rule`].

pub mod condition;
pub mod event_bus;
pub mod event_target;
pub mod names;
pub mod notice;
pub mod notice_rule;
pub mod workspace;

pub use event_bus::EventBus;
pub use event_target::EventTarget;
pub use notice::Notice;
pub use notice_rule::NoticeRule;
pub use workspace::Workspace;
