//! A Notice that is held in memory, because a delivery is open or its outcome is not stored yet.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::Notice;
use crate::api::notice::{DeliveryState, DeliveryStatus, NoticeStatus};
use crate::channel::Leg;
use crate::delivery::targets::{Recipient, TargetKey};

/// See the module's text.
#[derive(Debug)]
pub struct Live {
    /// The Notice as it was stored.
    pub notice: Arc<Notice>,
    /// Its status as it should be.
    pub status: NoticeStatus,
    /// Whether a write is on its way.
    pub writing: bool,
    /// Whether the status has changed since that write began.
    pub dirty: bool,
    /// Whether any status stands on the Notice yet.
    pub shown: bool,
}

/// What to note on a delivery.
#[derive(Debug)]
pub enum Note {
    /// Accepted at this time.
    Delivered {
        /// When.
        at: Timestamp,
        /// The receiver's code.
        code: String,
        /// The id of the digest that told it, if one did.
        digest: Option<String>,
    },
    /// Failed, and to be tried again.
    Retry {
        /// When it was tried.
        at: Timestamp,
        /// When it will be again.
        next: Timestamp,
        /// The receiver's code.
        code: String,
        /// The receiver's words.
        message: String,
    },
    /// Given up after an attempt.
    Failed {
        /// When it was tried.
        at: Timestamp,
        /// The receiver's code.
        code: String,
        /// The receiver's words.
        message: String,
    },
    /// Given up because of its age.
    Expired {
        /// What to say.
        message: String,
    },
    /// Not wanted.
    Skipped {
        /// The reason, one word.
        code: &'static str,
        /// What to say.
        message: String,
    },
}

impl Live {
    /// Takes up a stored Notice; deliveries without a status are waiting. `legs` are the ways to a target's contacts as
    /// they are now: which of them a Notice takes is settled when it is taken up for the first time.
    #[must_use]
    pub fn new(notice: Notice, legs: impl Fn(&str) -> Vec<Leg>) -> Self {
        let mut status = notice.status.clone().unwrap_or_default();
        for delivery in &notice.spec.deliveries {
            if status.deliveries.iter().any(|known| known.target == delivery.target) {
                continue;
            }
            let waiting = DeliveryStatus { target: delivery.target.clone(), ..DeliveryStatus::default() };
            let legs = legs(&delivery.target);
            if legs.is_empty() {
                status.deliveries.push(waiting);
                continue;
            }
            status.deliveries.extend(legs.into_iter().map(|Leg { contact, method }| DeliveryStatus {
                contact: Some(contact),
                method: Some(method),
                ..waiting.clone()
            }));
        }
        status.sum_up();
        let shown = notice.status.is_some();
        Self { notice: Arc::new(notice), status, writing: false, dirty: false, shown }
    }

    /// Notes for what a delivery waits that was not tried yet.
    pub fn note_waiting(&mut self, recipient: &Recipient, why: &str) {
        if let Some(delivery) = self.delivery_mut(recipient) {
            delivery.message = Some(format!("waits for its target: {why}"));
        }
        self.changed();
    }

    /// What the last note on the delivery to a recipient says.
    pub fn message(&self, recipient: &Recipient) -> Option<String> {
        let namespace = self.notice.metadata.namespace.as_deref().unwrap_or_default();
        self.status.deliveries.iter().find(|delivery| is_for(namespace, delivery, recipient))?.message.clone()
    }

    fn delivery_mut(&mut self, recipient: &Recipient) -> Option<&mut DeliveryStatus> {
        let namespace = self.notice.metadata.namespace.as_deref().unwrap_or_default();
        self.status.deliveries.iter_mut().find(|delivery| is_for(namespace, delivery, recipient))
    }

    /// Targets that still wait for this Notice.
    pub fn pending(&self) -> impl Iterator<Item = &DeliveryStatus> {
        self.status.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Pending)
    }

    /// Makes the failed deliveries (to `only`, if given) wait again; returns those.
    pub fn reopen(&mut self, only: Option<&str>) -> Vec<DeliveryStatus> {
        let wanted = |delivery: &DeliveryStatus| {
            delivery.state == DeliveryState::Failed && only.is_none_or(|target| delivery.target == target)
        };
        let mut reopened = Vec::new();
        for delivery in self.status.deliveries.iter_mut().filter(|delivery| wanted(delivery)) {
            delivery.state = DeliveryState::Pending;
            delivery.next_attempt_time = None;
            reopened.push(delivery.clone());
        }
        self.changed();
        reopened
    }

    /// Notes what became of the delivery to a recipient; returns its state.
    pub fn note(&mut self, recipient: &Recipient, attempts: u32, note: Note) -> DeliveryState {
        let Some(delivery) = self.delivery_mut(recipient) else { return DeliveryState::Skipped };
        delivery.attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
        delivery.next_attempt_time = None;
        match note {
            Note::Delivered { at, code, digest } => {
                delivery.digest = digest;
                delivery.state = DeliveryState::Delivered;
                delivery.last_attempt_time = Some(at);
                delivery.delivered_time = Some(at);
                delivery.code = Some(code);
                delivery.message = None;
            }
            Note::Retry { at, next, code, message } => {
                delivery.last_attempt_time = Some(at);
                delivery.next_attempt_time = Some(next);
                delivery.code = Some(code);
                delivery.message = Some(message);
            }
            Note::Failed { at, code, message } => {
                delivery.state = DeliveryState::Failed;
                delivery.last_attempt_time = Some(at);
                delivery.code = Some(code);
                delivery.message = Some(message);
            }
            Note::Expired { message } => {
                delivery.state = DeliveryState::Failed;
                delivery.message = Some(message);
            }
            Note::Skipped { code, message } => {
                delivery.state = DeliveryState::Skipped;
                delivery.code = Some(code.to_owned());
                delivery.message = Some(message);
            }
        }
        let state = delivery.state;
        self.changed();
        state
    }

    fn changed(&mut self) {
        self.status.sum_up();
        self.dirty = true;
    }
}

/// Whom a delivery of a Notice in `namespace` is for.
pub fn recipient(namespace: &str, delivery: &DeliveryStatus) -> Recipient {
    let target = TargetKey::named(namespace, &delivery.target);
    let leg = delivery.contact.clone().zip(delivery.method).map(|(contact, method)| Leg { contact, method });
    Recipient { target, leg }
}

fn is_for(namespace: &str, delivery: &DeliveryStatus, recipient: &Recipient) -> bool {
    let leg = recipient.leg.as_ref();
    TargetKey::named(namespace, &delivery.target) == recipient.target
        && delivery.contact.as_deref() == leg.map(|leg| leg.contact.as_str())
        && delivery.method == leg.map(|leg| leg.method)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::event_target::ContactMethod;
    use crate::api::notice::Phase;
    use DeliveryState::{Delivered, Failed, Pending, Skipped};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A Notice for these targets, with this status.
    fn live(targets: &[&str], status: &serde_json::Value) -> Live {
        let deliveries: Vec<_> = targets.iter().map(|target| json!({"target": target, "rules": ["all"]})).collect();
        let event = json!({"id": "e1", "source": "DLCJob", "transition": "Failed", "events": ["JobFailed"], "time": at(0),
            "observedTime": at(0), "subject": {"kind": "Job", "namespace": "vision", "name": "nightly", "uid": "u1"}});
        Live::new(
            serde_json::from_value(json!({
                "apiVersion": "notification.pai.dev/v1alpha1", "kind": "Notice",
                "metadata": {"name": "nightly-jobfailed-0", "namespace": "vision"},
                "spec": {"event": event, "deliveries": deliveries}, "status": status,
            }))
            .unwrap(),
            |target| if target == "people" { people() } else { Vec::new() },
        )
    }

    fn people() -> Vec<Leg> {
        let leg = |contact: &str, method| Leg { contact: contact.to_owned(), method };
        vec![leg("Li", ContactMethod::Email), leg("Li", ContactMethod::VoiceCall)]
    }

    fn to(target: &str) -> Recipient {
        let target = TargetKey { namespace: "vision".to_owned(), name: target.to_owned() };
        Recipient { target, leg: None }
    }

    fn waiting(targets: &[&str]) -> Live {
        live(targets, &serde_json::Value::Null)
    }

    fn delivered(second: i64) -> Note {
        Note::Delivered { at: at(second), code: "0".to_owned(), digest: None }
    }

    fn failed(second: i64) -> Note {
        Note::Failed { at: at(second), code: "310000".to_owned(), message: "bad sign".to_owned() }
    }

    fn retry(second: i64) -> Note {
        Note::Retry { at: at(second), next: at(second + 5), code: "503".to_owned(), message: "busy".to_owned() }
    }

    fn pending(live: &Live) -> Vec<&str> {
        live.pending().map(|delivery| delivery.target.as_str()).collect()
    }

    #[test]
    fn what_has_no_status_yet_waits_and_what_has_one_keeps_it() {
        let fresh = waiting(&["a", "b"]);
        assert_eq!((pending(&fresh), fresh.status.phase, fresh.dirty), (vec!["a", "b"], Phase::Pending, false));
        let status =
            json!({"phase": "Delivered", "deliveries": [{"target": "a", "state": "Delivered", "attempts": 2}]});
        let known = live(&["a", "b"], &status);
        assert_eq!((pending(&known), known.status.phase), (vec!["b"], Phase::Pending));
        assert_eq!(known.status.deliveries.first().map(|delivery| delivery.attempts), Some(2));
    }

    #[test]
    fn each_note_leaves_what_it_says_and_nothing_of_what_was_before() {
        let before = || {
            let mut live = waiting(&["a"]);
            assert_eq!(live.note(&to("a"), 1, retry(1)), Pending);
            live
        };
        let status = |state, last, next, delivered: Option<i64>, code: &str, message: Option<&str>| DeliveryStatus {
            target: "a".to_owned(),
            contact: None,
            method: None,
            digest: None,
            state,
            attempts: 2,
            last_attempt_time: Some(at(last)),
            next_attempt_time: Option::map(next, at),
            delivered_time: delivered.map(at),
            code: Some(code.to_owned()),
            message: message.map(str::to_owned),
        };
        let expired = Note::Expired { message: "too old".to_owned() };
        let skipped = Note::Skipped { code: "Suspended", message: "the target is suspended".to_owned() };
        let table = [
            (delivered(9), Phase::Delivered, status(Delivered, 9, None, Some(9), "0", None)),
            (retry(9), Phase::Pending, status(Pending, 9, Some(14), None, "503", Some("busy"))),
            (failed(9), Phase::Failed, status(Failed, 9, None, None, "310000", Some("bad sign"))),
            (expired, Phase::Failed, status(Failed, 1, None, None, "503", Some("too old"))),
            (skipped, Phase::Delivered, status(Skipped, 1, None, None, "Suspended", Some("the target is suspended"))),
        ];
        for (note, phase, expected) in table {
            let mut live = before();
            live.dirty = false;
            let case = format!("{note:?}");
            assert_eq!(live.note(&to("a"), 2, note), expected.state, "{case}");
            assert_eq!(live.status.deliveries, [expected], "{case}");
            assert_eq!((live.status.phase, live.dirty), (phase, true), "{case}");
        }
    }

    #[test]
    fn the_phase_follows_the_deliveries() {
        let mut live = waiting(&["a", "b", "c"]);
        live.note(&to("a"), 1, delivered(1));
        assert_eq!(live.status.phase, Phase::Pending);
        live.note(&to("b"), 1, failed(2));
        live.note(&to("c"), 0, Note::Skipped { code: "Gone", message: String::new() });
        assert_eq!((live.status.phase, pending(&live).len()), (Phase::PartlyFailed, 0));
    }

    #[test]
    fn a_note_on_a_target_that_the_notice_does_not_have_changes_nothing() {
        let mut live = waiting(&["a"]);
        let before = live.status.clone();
        assert_eq!(live.note(&to("b"), 3, delivered(1)), Skipped);
        assert_eq!((live.status.clone(), live.dirty), (before, false));
    }

    #[test]
    fn failed_deliveries_are_opened_again_all_or_those_of_one_target() {
        let settled = || {
            let mut live = waiting(&["a", "b", "c"]);
            live.note(&to("a"), 3, failed(1));
            live.note(&to("b"), 4, failed(2));
            live.note(&to("c"), 1, delivered(3));
            live
        };
        let table: [(Option<&str>, &[&str]); 4] =
            [(None, &["a", "b"]), (Some("b"), &["b"]), (Some("c"), &[]), (Some("nobody"), &[])];
        for (only, expected) in table {
            let mut live = settled();
            let reopened = live.reopen(only);
            assert_eq!(reopened.iter().map(|delivery| delivery.target.as_str()).collect::<Vec<_>>(), expected);
            assert_eq!(pending(&live), expected, "{only:?}");
            let phase = if expected.is_empty() { Phase::PartlyFailed } else { Phase::Pending };
            assert_eq!(live.status.phase, phase, "{only:?}");
            assert!(reopened.iter().all(|delivery| delivery.attempts >= 3), "the attempts go on being counted");
        }
    }

    #[test]
    fn a_delivery_that_was_opened_again_and_accepted_shows_no_failure() {
        let mut live = waiting(&["a"]);
        live.note(&to("a"), 1, failed(1));
        live.reopen(None);
        live.note(&to("a"), 2, delivered(8));
        let delivery = live.status.deliveries.first().unwrap();
        assert_eq!((delivery.state, delivery.attempts, delivery.message.as_ref()), (Delivered, 2, None));
        assert_eq!(live.status.phase, Phase::Delivered);
    }

    #[test]
    fn each_contact_and_method_is_a_delivery_of_its_own() {
        let mut live = waiting(&["a", "people"]);
        let of = |leg: usize| Recipient { leg: people().into_iter().nth(leg), ..to("people") };
        assert_eq!(pending(&live), ["a", "people", "people"]);
        live.note(&of(1), 1, failed(3));
        live.note(&of(0), 1, delivered(4));
        live.note(&to("a"), 1, delivered(4));
        let states: Vec<_> = live.status.deliveries.iter().map(|d| (d.recipient(), d.state)).collect();
        let expected = [("a", Delivered), ("people/Li/Email", Delivered), ("people/Li/VoiceCall", Failed)]
            .map(|(a, b)| (a.to_owned(), b));
        assert_eq!((states.as_slice(), live.status.phase), (expected.as_slice(), Phase::PartlyFailed));
        assert_eq!(recipient("vision", &live.status.deliveries[2]), of(1));
    }
}
