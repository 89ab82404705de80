//! What a replica makes of the stored Notices when it becomes the leader: what is open goes on, and what its predecessors
//! sent counts against the budgets.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Why;
use super::live;
use super::state::{Dispatcher, Role};
use crate::api::Notice;
use crate::api::names::REDELIVER_ANNOTATION;
use crate::api::notice::{DeliveryState, DeliveryStatus};
use crate::delivery::budget::{BudgetKey, LONGEST};
use crate::delivery::targets::{Recipient, TargetKey, TargetState, TargetTable};

impl Dispatcher {
    /// Everything that is stored, when this replica has become the leader.
    pub(super) fn take_over(&mut self, notices: Vec<Notice>) {
        let now = self.clock.now();
        for notice in &notices {
            self.note_past(notice, now);
        }
        for notice in notices {
            match self.asked_meanwhile(&notice, now) {
                Some(why) => self.again(notice, why),
                None => self.take_in(notice),
            }
        }
        self.note_untraced(now);
        self.role = Role::Leading;
        self.restore_budgets(&Arc::default());
        self.run_all();
    }

    /// Why a Notice is to be tried again that failed before this replica led: nobody may have led when it was asked for,
    /// or when the target was edited.
    fn asked_meanwhile(&self, notice: &Notice, now: Timestamp) -> Option<Why> {
        let status = notice.status.as_ref()?;
        let annotations = notice.metadata.annotations.as_ref();
        if let Some(request) = annotations.and_then(|all| all.get(REDELIVER_ANNOTATION))
            && status.redelivered.as_ref() != Some(request)
        {
            return Some(Why::Redeliver(request.clone()));
        }
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        let age =
            Duration::try_from(now.duration_since(notice.metadata.creation_timestamp.as_ref()?.0)).unwrap_or_default();
        let mended = |delivery: &&DeliveryStatus| {
            let key = TargetKey::named(&namespace, &delivery.target);
            self.targets.get(&key).is_some_and(|target| {
                matches!(target.state, TargetState::Ready(_))
                    && age < target.max_age
                    && target.edited > delivery.last_attempt_time
            })
        };
        let failed = |delivery: &&DeliveryStatus| {
            delivery.state == DeliveryState::Failed && delivery.last_attempt_time.is_some()
        };
        let found = status.deliveries.iter().filter(failed).find(mended)?;
        Some(Why::Mended(found.target.clone()))
    }

    /// Attempts that an operator before this one made count against the budgets, too. Its very last message to a recipient
    /// may have left no trace, so that one more is counted where anything waits.
    fn note_past(&mut self, notice: &Notice, now: Timestamp) {
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        for delivery in notice.status.iter().flat_map(|status| &status.deliveries) {
            let Some(sent) = delivery.last_attempt_time.filter(|&t| now.duration_since(t) < LONGEST) else { continue };
            let attempts = u32::try_from(delivery.attempts).unwrap_or(1);
            self.past.entry(live::recipient(&namespace, delivery)).or_default().push((sent, attempts));
        }
    }

    fn note_untraced(&mut self, now: Timestamp) {
        let waiting = self.lanes.iter().filter(|(_, lane)| !lane.is_empty()).map(|(recipient, _)| recipient.clone());
        for (index, recipient) in waiting.collect::<Vec<_>>().into_iter().enumerate() {
            // Each at a time of its own: equal times are taken for one digest.
            let time = now - SignedDuration::from_micros(i64::try_from(index).unwrap_or(0));
            self.past.entry(recipient).or_default().push((time, 1));
        }
    }

    /// Gives the budgets what is known of the past, as far as targets say which receiver they reach.
    pub(super) fn restore_budgets(&mut self, before: &TargetTable) {
        let now = self.clock.now();
        let (targets, budgets) = (self.targets.clone(), self.budgets.clone());
        self.past.retain(|recipient, past| {
            let target = targets.get(&recipient.target);
            let Some(channel) = target.and_then(|target| target.state.channel(recipient.leg.as_ref())) else {
                return true;
            };
            if !channel.limits().rates.is_empty() || target.is_some_and(|target| target.rate_per_minute.is_some()) {
                let key = BudgetKey::of(channel, recipient);
                budgets.with(&key, |budget| past.iter().for_each(|(sent, attempts)| budget.restore(*sent, *attempts)));
            }
            false
        });
        for (key, target) in targets.iter().filter(|(key, _)| !before.contains_key(*key)) {
            let silence = target.throttled_until.filter(|until| *until > now);
            if let (Some(until), Some(channel)) = (silence, target.state.channel(None)) {
                let key = BudgetKey::of(channel, &Recipient { target: key.clone(), leg: None });
                budgets.with(&key, |budget| budget.silence(until));
            }
        }
    }
}
