//! The identity of an event, and the names that are derived from it.
//!
//! Two replicas, a restart or a re-list come to the same name for the same happening, which is what makes a Notice
//! impossible to create twice. So nothing may enter here that another observer could see differently: no clock, no
//! resourceVersion, no cause.

use sha2::{Digest, Sha256};

use super::{EventType, Source, Transition};

/// Longest name of a Notice: that of a DNS label, so that it also fits in a label's value.
pub const MAX_NAME: usize = 63;

/// What makes an event one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKey<'a> {
    /// Name of the Workspace.
    pub workspace: &'a str,
    /// `metadata.uid` of the subject.
    pub uid: &'a str,
    /// Event source.
    pub source: Source,
    /// The transition.
    pub transition: Transition,
    /// Tells apart several occurrences of one transition (a restart counter, a condition's time). Empty if it can
    /// happen only once.
    pub occurrence: &'a str,
}

impl EventKey<'_> {
    /// The event's `id`: 32 hexadecimal digits of a SHA-256 over the length-prefixed parts.
    #[must_use]
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        let parts = [self.workspace, self.uid, self.source.as_str(), self.transition.as_str(), self.occurrence];
        for part in parts {
            // The length in front keeps ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())[..32].to_owned()
    }

    /// The Notice's name: `<subject>-<event>-<hash>`, at most [`MAX_NAME`] bytes, a valid DNS label whatever the
    /// subject is called. The subject's name is cut where it does not fit; the hash keeps cut names apart.
    #[must_use]
    pub fn notice_name(&self, subject: &str) -> String {
        notice_name(&self.id(), self.source, self.transition, subject)
    }

    /// Whether a text may be an event's `id`.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }
}

/// The name of the Notice of the event with this `id`: see [`EventKey::notice_name`].
#[must_use]
pub fn notice_name(id: &str, source: Source, transition: Transition, subject: &str) -> String {
    let event =
        EventType::naming(source, transition).map_or(transition.as_str(), EventType::as_str).to_ascii_lowercase();
    let tail = format!("-{event}-{}", id.get(..10).unwrap_or(id));
    let cut: String = subject
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(MAX_NAME - tail.len())
        .collect();
    let head = cut.trim_matches('-');
    let head = if head.is_empty() { "x" } else { head };
    format!("{head}{tail}")
}

/// The idempotency key of one delivery: the same for every attempt of one event to one recipient, different for
/// another recipient. Used as `webhook-id` and `msgUuid`. `recipient` is the target's key, with contact and method
/// where the target has contacts.
#[must_use]
pub fn delivery_id(event_id: &str, recipient: &str) -> String {
    let mut hash = Sha256::new();
    for part in [event_id, recipient] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("msg_{}", &hex(&hash.finalize())[..32])
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(occurrence: &str) -> EventKey<'_> {
        EventKey {
            workspace: "vision",
            uid: "6f2a",
            source: Source::DLCJob,
            transition: Transition::Failed,
            occurrence,
        }
    }

    #[test]
    fn the_same_happening_has_the_same_name_and_another_one_another() {
        assert_eq!(key("").notice_name("nightly-42"), key("").notice_name("nightly-42"));
        assert_ne!(key("").id(), key("2").id());
        let name = key("").notice_name("nightly-42");
        assert!(name.starts_with("nightly-42-jobfailed-"), "{name}");
        assert_eq!(name.len(), "nightly-42-jobfailed-".len() + 10);
    }

    #[test]
    fn a_part_cannot_borrow_from_its_neighbour() {
        let one = EventKey { workspace: "ab", uid: "c", ..key("") };
        let other = EventKey { workspace: "a", uid: "bc", ..key("") };
        assert_ne!(one.id(), other.id());
    }

    #[test]
    fn any_subject_gives_a_valid_dns_label() {
        for subject in ["", "---", "名字", "a.b.c", "UPPER_case", &"x".repeat(253), "models:/iris/3"] {
            let name = key("").notice_name(subject);
            assert!(name.len() <= MAX_NAME, "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
        }
    }

    #[test]
    fn a_delivery_id_differs_by_recipient_and_has_no_dot() {
        assert_ne!(delivery_id("e", "vision/a"), delivery_id("e", "vision/b"));
        assert!(!delivery_id("e", "vision/a.b").contains('.'));
    }
}
