//! `Notice`: one event that matched, and each of its deliveries.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event_target::ContactMethod;
use crate::lifecycle::Event;

/// One event that matched at least one rule, and each of its deliveries. Written by the operator; its name depends only
/// on the event, so that nothing can record an event twice.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "notification.pai.dev",
    version = "v1alpha1",
    kind = "Notice",
    shortname = "pnt",
    category = "pai-notification",
    namespaced,
    status = "NoticeStatus",
    derive = "PartialEq",
    doc = "Notice is one event that matched a rule, and what became of each of its deliveries. The operator writes it.",
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.event.source"),
    printcolumn(name = "Event", type_ = "string", json_path = ".spec.event.events[0]"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.event.subject.name"),
    printcolumn(name = "Event-Reason", type_ = "string", json_path = ".spec.event.reason"),
    printcolumn(name = "Delivered", type_ = "string", json_path = ".status.delivered"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Codes", type_ = "string", json_path = ".status.codes", priority = 1),
    printcolumn(name = "Time", type_ = "date", json_path = ".spec.event.time")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a Notice's spec is immutable"))]
pub struct NoticeSpec {
    /// What happened.
    pub event: Event,
    /// Where it goes: one entry per target, however many rules named it.
    #[schemars(length(max = 200))]
    pub deliveries: Vec<NoticeDelivery>,
}

/// A target and the rules that chose it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NoticeDelivery {
    /// Name of the `EventTarget`; `<namespace>/<name>` if it is shared from another namespace.
    pub target: String,
    /// Names of the rules, in order.
    pub rules: Vec<String>,
}

/// What became of a Notice as a whole.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// At least one delivery is not settled.
    #[default]
    Pending,
    /// Every delivery that was not skipped was accepted by its receiver.
    Delivered,
    /// Some were accepted, some failed.
    PartlyFailed,
    /// None was accepted, at least one failed.
    Failed,
}

/// What became of one delivery.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Waiting for its first or next attempt.
    #[default]
    Pending,
    /// The receiver's own reply said that it accepted the message.
    Delivered,
    /// Given up: refused for good, or older than `maxAge`.
    Failed,
    /// Not wanted: the target is suspended or gone.
    Skipped,
}

/// The state of a Notice's deliveries.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NoticeStatus {
    /// The whole.
    pub phase: Phase,
    /// How many deliveries were accepted, of how many: `1/2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delivered: String,
    /// Each recipient with its last code: `oncall=0,audit=503`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub codes: String,
    /// Each delivery.
    pub deliveries: Vec<DeliveryStatus>,
    /// The last value of the redeliver annotation that was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<String>,
}

/// The state of one delivery.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliveryStatus {
    /// Name of the `EventTarget`; `<namespace>/<name>` if it is shared from another namespace.
    pub target: String,
    /// Name of the contact, where the target has contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// How the contact is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<ContactMethod>,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i32,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt_time: Option<Timestamp>,
    /// The next attempt, while it waits for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Timestamp>,
    /// When the receiver accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_time: Option<Timestamp>,
    /// The digest that delivered it together with others, by the id that the receiver got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The receiver's verdict as text: a robot's `errcode`, an HTTP status, or a word such as `Timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The receiver's words, cleaned of secrets, or why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Retained Notices (or deliveries) by what became of them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NoticeCounts {
    /// Waiting.
    pub pending: i64,
    /// Accepted by the receiver.
    pub delivered: i64,
    /// Given up.
    pub failed: i64,
}

impl NoticeCounts {
    /// Counts one delivery; a skipped one counts nowhere.
    pub const fn add(&mut self, state: DeliveryState) {
        match state {
            DeliveryState::Pending => self.pending += 1,
            DeliveryState::Delivered => self.delivered += 1,
            DeliveryState::Failed => self.failed += 1,
            DeliveryState::Skipped => {}
        }
    }
}

impl NoticeStatus {
    /// Brings what is said of the whole in line with the deliveries.
    pub fn sum_up(&mut self) {
        let accepted = self.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Delivered).count();
        let code = |delivery: &DeliveryStatus| Some(format!("{}={}", delivery.recipient(), delivery.code.as_deref()?));
        self.phase = Self::phase_of(&self.deliveries);
        self.delivered = format!("{accepted}/{}", self.deliveries.len());
        self.codes = self.deliveries.iter().filter_map(code).collect::<Vec<_>>().join(",");
    }

    /// The phase that the deliveries' states add up to.
    #[must_use]
    pub fn phase_of(deliveries: &[DeliveryStatus]) -> Phase {
        let mut counts = NoticeCounts::default();
        for delivery in deliveries {
            counts.add(delivery.state);
        }
        match counts {
            NoticeCounts { pending: 1.., .. } => Phase::Pending,
            NoticeCounts { failed: 0, .. } => Phase::Delivered,
            NoticeCounts { delivered: 0, .. } => Phase::Failed,
            NoticeCounts { .. } => Phase::PartlyFailed,
        }
    }
}

impl DeliveryStatus {
    /// Who it is for, in one word: `<target>`, or `<target>/<contact>/<method>`.
    #[must_use]
    pub fn recipient(&self) -> String {
        match (&self.contact, self.method) {
            (Some(contact), Some(method)) => format!("{}/{contact}/{method}", self.target),
            _ => self.target.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_follows_from_the_deliveries() {
        use DeliveryState::{Delivered, Failed, Pending, Skipped};
        let table: [(&[DeliveryState], Phase); 7] = [
            (&[Pending, Delivered], Phase::Pending),
            (&[Delivered, Delivered], Phase::Delivered),
            (&[Delivered, Skipped], Phase::Delivered),
            (&[Delivered, Failed], Phase::PartlyFailed),
            (&[Failed, Skipped], Phase::Failed),
            (&[Failed], Phase::Failed),
            (&[Skipped], Phase::Delivered),
        ];
        for (states, phase) in table {
            let deliveries: Vec<_> =
                states.iter().map(|&state| DeliveryStatus { state, ..DeliveryStatus::default() }).collect();
            assert_eq!(NoticeStatus::phase_of(&deliveries), phase, "{states:?}");
        }
    }
}
