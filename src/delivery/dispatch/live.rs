//! A Notice that is held in memory, because a delivery is open or its outcome is not stored yet.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::Notice;
use crate::api::notice::{DeliveryState, DeliveryStatus, NoticeStatus};

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
    /// Takes up a stored Notice; deliveries without a status are waiting.
    #[must_use]
    pub fn new(notice: Notice) -> Self {
        let mut status = notice.status.clone().unwrap_or_default();
        for delivery in &notice.spec.deliveries {
            if !status.deliveries.iter().any(|known| known.target == delivery.target) {
                let waiting = DeliveryStatus { target: delivery.target.clone(), ..DeliveryStatus::default() };
                status.deliveries.push(waiting);
            }
        }
        status.phase = NoticeStatus::phase_of(&status.deliveries);
        let shown = notice.status.is_some();
        Self { notice: Arc::new(notice), status, writing: false, dirty: false, shown }
    }

    /// Notes for what a delivery waits that was not tried yet.
    pub fn note_waiting(&mut self, target: &str, why: &str) {
        if let Some(delivery) = self.status.deliveries.iter_mut().find(|delivery| delivery.target == target) {
            delivery.message = Some(format!("waits for its target: {why}"));
        }
        self.changed();
    }

    /// Targets that still wait for this Notice.
    pub fn pending(&self) -> impl Iterator<Item = &DeliveryStatus> {
        self.status.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Pending)
    }

    /// Makes the failed deliveries (to `only`, if given) wait again; returns how many those are.
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

    /// Notes what became of the delivery to `target`; returns its state.
    pub fn note(&mut self, target: &str, attempts: u32, note: Note) -> DeliveryState {
        let Some(delivery) = self.status.deliveries.iter_mut().find(|delivery| delivery.target == target) else {
            return DeliveryState::Skipped;
        };
        delivery.attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
        delivery.next_attempt_time = None;
        match note {
            Note::Delivered { at, code } => {
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
        self.status.phase = NoticeStatus::phase_of(&self.status.deliveries);
        self.dirty = true;
    }
}
