//! What the dispatcher notes, writes and publishes of outcomes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Report;
use super::live::{self, Note};
use super::state::Dispatcher;
use crate::api::notice::DeliveryState;
use crate::delivery::NoticeKey;
use crate::delivery::book::Summary;
use crate::delivery::budget::BudgetKey;
use crate::delivery::lane::Lane;
use crate::delivery::metrics::SettledLabel;
use crate::delivery::settle::{self, Written};
use crate::delivery::targets::{Recipient, TargetKey, TargetState};

/// A Notice that waits for longer than this shows that it does; one that goes out at once needs no such write.
const SHOW_WAITING: SignedDuration = SignedDuration::from_secs(1);
/// How long a settled Notice is remembered: longer than reading all of them takes.
const REMEMBER_SETTLED: SignedDuration = SignedDuration::from_mins(2);

impl Dispatcher {
    /// Publishes what the book adds up to.
    pub(super) fn publish(
        &mut self,
        summary: &watch::Sender<Arc<Summary>>,
        throttled: &watch::Sender<Arc<HashMap<TargetKey, Timestamp>>>,
    ) {
        let silent = self.silent();
        throttled.send_if_modified(|known| {
            let changed = **known != silent;
            if changed {
                *known = Arc::new(silent);
            }
            changed
        });
        if std::mem::take(&mut self.book_changed) {
            let fresh = self.book.lock().unwrap_or_else(PoisonError::into_inner).summary();
            summary.send_if_modified(|known| {
                let changed = **known != fresh;
                if changed {
                    *known = Arc::new(fresh);
                }
                changed
            });
        }
        self.budgets.sweep(self.clock.now());
        self.show_waiting();
        let forgotten = self.clock.now().checked_sub(REMEMBER_SETTLED).unwrap_or(Timestamp::MIN);
        self.settled.retain(|_, at| *at > forgotten);
        let pending: usize = self.lanes.values().map(Lane::len).sum();
        self.metrics.pending.set(i64::try_from(pending + self.attempts).unwrap_or(i64::MAX));
        self.metrics.live.set(i64::try_from(self.live.len()).unwrap_or(i64::MAX));
    }

    /// Until when receivers asked for silence; of a target with contacts, the last of them.
    fn silent(&self) -> HashMap<TargetKey, Timestamp> {
        let now = self.clock.now();
        let mut silent: HashMap<TargetKey, Timestamp> = HashMap::new();
        for recipient in self.lanes.keys() {
            let target = self.targets.get(&recipient.target);
            let Some(channel) = target.and_then(|target| target.state.channel(recipient.leg.as_ref())) else {
                continue;
            };
            let key = BudgetKey::of(channel, recipient);
            if let Some(until) = self.budgets.with(&key, |budget| budget.silent_until(now)) {
                let known = silent.entry(recipient.target.clone()).or_insert(until);
                *known = until.max(*known);
            }
        }
        silent
    }

    /// Writes the first status of Notices that could not be tried at once, with what they wait for.
    fn show_waiting(&mut self) {
        let now = self.clock.now();
        let waiting: Vec<NoticeKey> = self
            .live
            .iter()
            .filter(|(_, live)| {
                let age = now.duration_since(live.notice.spec.event.observed_time);
                !live.shown && !live.writing && age >= SHOW_WAITING
            })
            .map(|(key, _)| key.clone())
            .collect();
        let targets = self.targets.clone();
        for key in waiting {
            let Some(live) = self.live.get_mut(&key) else { continue };
            let pending: Vec<Recipient> =
                live.pending().map(|delivery| live::recipient(&key.namespace, delivery)).collect();
            for recipient in pending {
                let why = match targets.get(&recipient.target).map(|target| &target.state) {
                    Some(TargetState::NotReady(why)) => why.as_str(),
                    _ => "its turn has not come yet",
                };
                live.note_waiting(&recipient, why);
            }
            self.write(&key);
        }
    }

    pub(super) fn note(&mut self, notice: &NoticeKey, recipient: &Recipient, attempts: u32, note: Note) {
        let Some(live) = self.live.get_mut(notice) else { return };
        let state = live.note(recipient, attempts, note);
        if state == DeliveryState::Delivered {
            let took = self.clock.now().duration_since(live.notice.spec.event.observed_time);
            self.metrics.latency.observe(took.as_secs_f64().max(0.0));
        }
        let label = match state {
            DeliveryState::Pending => None,
            DeliveryState::Delivered => Some("Delivered"),
            DeliveryState::Failed => Some("Failed"),
            DeliveryState::Skipped => Some("Skipped"),
        };
        if let Some(state) = label {
            self.metrics.settled.get_or_create(&SettledLabel { state }).inc();
        }
        self.write(notice);
    }

    /// Writes a Notice's status, unless a write is on its way: then once that is done.
    pub(super) fn write(&mut self, key: &NoticeKey) {
        let Some(live) = self.live.get_mut(key).filter(|live| live.dirty && !live.writing) else { return };
        live.dirty = false;
        live.writing = true;
        live.shown = true;
        let (client, metrics, reports) = (self.client.clone(), self.metrics.clone(), self.reports.clone());
        let (key, status) = (key.clone(), live.status.clone());
        self.tasks.spawn("settle", async move {
            let written = settle::write(&client, &key, &status, &metrics).await;
            let _ = reports.send(Report::Written { key, written });
        });
    }

    pub(super) fn written(&mut self, key: &NoticeKey, written: Written) {
        let Some(live) = self.live.get_mut(key) else { return };
        live.writing = false;
        if written == Written::Removed {
            self.live.remove(key);
        } else if live.dirty {
            self.write(key);
            return;
        } else if live.pending().next().is_none() {
            self.live.remove(key);
            self.settled.insert(key.clone(), self.clock.now());
        }
        for recipient in self.unstored.remove(key).unwrap_or_default() {
            self.run(&recipient);
        }
    }
}
