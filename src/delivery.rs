//! Delivery: takes stored Notices to their targets, and writes what became of each onto the Notice.
//!
//! One lane per recipient ([`lane`], pure) decides what is tried when; [`dispatch`] is the one task that owns all lanes and
//! never waits for a receiver; [`attempt`] is one try; [`settle`] writes the outcome. [`book`] is what is known of the
//! retained Notices, from which every count in a status is recomputed. Nothing is sent that is not stored. Start at
//! [`dispatch`].

pub mod attempt;
pub mod book;
pub mod budget;
pub mod dispatch;
pub mod lane;
pub mod metrics;
pub mod retry;
pub mod settle;
pub mod targets;

pub use targets::Recipient;

/// Namespace and name of a Notice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for NoticeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
