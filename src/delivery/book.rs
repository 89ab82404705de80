//! The book: what is known of every retained Notice, small enough to hold them all, kept by a watch.
//!
//! Every count in a rule's, target's or workspace's status is recomputed from here; no counter lives only in memory.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::NoticeKey;
use super::targets::TargetKey;
use crate::api::event_target::{LastDelivery, LastOutcome};
use crate::api::names::REDELIVER_ANNOTATION;
use crate::api::notice::{DeliveryState, DeliveryStatus, NoticeCounts, NoticeDelivery, NoticeStatus, Phase};
use crate::api::notice_rule::LastNotice;
use crate::watch::stream::{Change, Watched};

/// Path of the cluster-wide list.
pub const PATH: &str = "/apis/notification.pai.dev/v1alpha1/notices";

/// A Notice as the watch decodes it: without the event's text and data.
#[derive(Clone, Debug, Deserialize)]
pub struct NoticeView {
    metadata: MetaView,
    spec: SpecView,
    #[serde(default)]
    status: NoticeStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaView {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    creation_timestamp: Timestamp,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SpecView {
    event: EventView,
    deliveries: Vec<NoticeDelivery>,
}

#[derive(Clone, Debug, Deserialize)]
struct EventView {
    #[serde(default)]
    events: Vec<String>,
    time: Timestamp,
    subject: SubjectView,
}

#[derive(Clone, Debug, Deserialize)]
struct SubjectView {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

impl NoticeView {
    /// Its key, if nobody has written what became of it yet.
    #[must_use]
    pub fn untouched(&self) -> Option<NoticeKey> {
        let MetaView { name, namespace, .. } = &self.metadata;
        let untouched = self.status.deliveries.is_empty();
        untouched.then(|| NoticeKey { namespace: namespace.clone(), name: name.clone() })
    }
}

impl Watched for NoticeView {
    fn revision(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or(0)
    }
}

/// What the book holds of one Notice.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// Most specific event type.
    event: String,
    /// `<kind>/<name>`.
    subject: String,
    /// Time of the event.
    time: Timestamp,
    /// Targets and rules.
    pub deliveries: Vec<NoticeDelivery>,
    /// What became of them.
    pub status: NoticeStatus,
    /// The redeliver annotation, if it was not acted on yet.
    pub redeliver: Option<String>,
    revision: u64,
}

/// What the statuses of rules, targets and workspaces are computed from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Per namespace.
    pub namespaces: HashMap<String, NoticeCounts>,
    /// Per namespace and rule.
    pub rules: HashMap<(String, String), RuleSummary>,
    /// Per target.
    pub targets: HashMap<TargetKey, TargetSummary>,
}

/// Of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSummary {
    /// Its retained deliveries.
    pub notices: NoticeCounts,
    /// Its newest Notice.
    pub last: Option<LastNotice>,
}

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetSummary {
    /// Its retained deliveries.
    pub deliveries: NoticeCounts,
    /// Its last attempt.
    pub last: Option<LastDelivery>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Book {
    notices: HashMap<NoticeKey, Entry>,
    listing: Option<HashMap<NoticeKey, Entry>>,
    /// Whether the first list is complete.
    pub listed: bool,
}

impl Book {
    /// Takes in a change; returns the Notice if it asks to be redelivered.
    pub fn apply(&mut self, change: Change<NoticeView>) -> Option<NoticeKey> {
        match change {
            Change::ListStarted { .. } => self.listing = Some(HashMap::new()),
            Change::Listed(view) => {
                let (key, entry) = entry(view);
                if let Some(listing) = &mut self.listing {
                    listing.insert(key, entry);
                }
            }
            Change::ListEnded { .. } => {
                self.notices = self.listing.take().unwrap_or_default();
                self.listed = true;
            }
            Change::Applied(view, _) => {
                let (key, entry) = entry(view);
                let asks = entry.redeliver.is_some();
                if self.notices.get(&key).is_none_or(|known| known.revision <= entry.revision) {
                    self.notices.insert(key.clone(), entry);
                }
                return asks.then_some(key);
            }
            Change::Deleted(view, _) => {
                self.notices.remove(&entry(view).0);
            }
            Change::Progress(_) => {}
        }
        None
    }

    /// Every retained Notice.
    pub fn iter(&self) -> impl Iterator<Item = (&NoticeKey, &Entry)> {
        self.notices.iter()
    }

    /// One Notice.
    #[must_use]
    pub fn get(&self, key: &NoticeKey) -> Option<&Entry> {
        self.notices.get(key)
    }

    /// Finished Notices with a failed delivery to a target, recorded after `since`.
    #[must_use]
    pub fn failed_at(&self, target: &TargetKey, since: Timestamp) -> Vec<NoticeKey> {
        let failed = |key: &NoticeKey, entry: &Entry| {
            let named = target.seen_from(&key.namespace);
            entry.status.deliveries.iter().any(|d| d.state == DeliveryState::Failed && d.target == named)
        };
        let mut keys: Vec<_> = self
            .notices
            .iter()
            .filter(|(key, entry)| entry.created >= since && failed(key, entry))
            .map(|(key, entry)| (entry.time, key.clone()))
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// The counts and the newest of everything.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for (key, entry) in &self.notices {
            entry.add_to(key, &mut summary);
        }
        summary
    }
}

impl Entry {
    /// Whether every delivery is settled.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.status.phase != Phase::Pending && !self.status.deliveries.is_empty()
    }

    fn add_to(&self, key: &NoticeKey, summary: &mut Summary) {
        let whole = match self.status.phase {
            Phase::Pending => DeliveryState::Pending,
            Phase::Delivered => DeliveryState::Delivered,
            Phase::PartlyFailed | Phase::Failed => DeliveryState::Failed,
        };
        summary.namespaces.entry(key.namespace.clone()).or_default().add(whole);
        for delivery in &self.deliveries {
            let statuses: Vec<&DeliveryStatus> =
                self.status.deliveries.iter().filter(|status| status.target == delivery.target).collect();
            // What has no status yet waits.
            let states: Vec<DeliveryState> = match statuses.as_slice() {
                [] => vec![DeliveryState::Pending],
                known => known.iter().map(|status| status.state).collect(),
            };
            for rule in &delivery.rules {
                let entry = summary.rules.entry((key.namespace.clone(), rule.clone())).or_default();
                for state in &states {
                    entry.notices.add(*state);
                }
                if entry.last.as_ref().is_none_or(|last| (last.time, &last.name) < (self.time, &key.name)) {
                    entry.last = Some(LastNotice {
                        name: key.name.clone(),
                        event: self.event.clone(),
                        subject: self.subject.clone(),
                        time: self.time,
                    });
                }
            }
            let target = TargetKey::named(&key.namespace, &delivery.target);
            let target = summary.targets.entry(target).or_default();
            for state in &states {
                target.deliveries.add(*state);
            }
            for status in statuses {
                let Some(time) = status.last_attempt_time else { continue };
                if target.last.as_ref().is_none_or(|last| (last.time, &last.notice) < (time, &key.name)) {
                    target.last = Some(last_delivery(&key.name, status, time));
                }
            }
        }
    }
}

fn last_delivery(notice: &str, status: &DeliveryStatus, time: Timestamp) -> LastDelivery {
    let outcome = match status.state {
        DeliveryState::Pending => LastOutcome::Retrying,
        DeliveryState::Delivered => LastOutcome::Delivered,
        DeliveryState::Failed | DeliveryState::Skipped => LastOutcome::Failed,
    };
    let (code, message) = (status.code.clone(), status.message.clone());
    LastDelivery { time, notice: notice.to_owned(), outcome, code, message }
}

fn entry(view: NoticeView) -> (NoticeKey, Entry) {
    let revision = view.revision();
    let NoticeView { metadata, spec, status } = view;
    let MetaView { name, namespace, uid, resource_version: _, creation_timestamp, mut annotations } = metadata;
    let redeliver = annotations.remove(REDELIVER_ANNOTATION).filter(|value| status.redelivered.as_ref() != Some(value));
    let SubjectView { kind, name: subject } = spec.event.subject;
    let entry = Entry {
        uid,
        created: creation_timestamp,
        event: spec.event.events.into_iter().next().unwrap_or_default(),
        subject: format!("{kind}/{subject}"),
        time: spec.event.time,
        deliveries: spec.deliveries,
        status,
        redeliver,
        revision,
    };
    (NoticeKey { namespace, name }, entry)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::watch::stream::Freshness;

    fn view(name: &str, state: &str, second: i64, annotation: Option<&str>) -> NoticeView {
        let time = Timestamp::from_second(second).unwrap().to_string();
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "vision", "uid": name, "resourceVersion": "5",
                "creationTimestamp": time, "annotations": annotation.map(|v| json!({REDELIVER_ANNOTATION: v})).unwrap_or(json!({})),
            },
            "spec": {
                "event": {"events": ["JobFailed"], "time": time, "subject": {"kind": "Job", "name": "a"}},
                "deliveries": [{"target": "oncall", "rules": ["r1", "r2"]}],
            },
            "status": {"phase": state, "deliveries": [{
                "target": "oncall", "state": state, "attempts": 1, "lastAttemptTime": time, "code": "0",
            }]},
        }))
        .unwrap()
    }

    #[test]
    fn counts_and_the_newest_come_from_the_retained_notices() {
        let mut book = Book::default();
        book.apply(Change::Applied(view("one", "Delivered", 10, None), Freshness::Live));
        book.apply(Change::Applied(view("two", "Failed", 20, None), Freshness::Live));
        let summary = book.summary();
        assert_eq!(summary.namespaces["vision"], NoticeCounts { pending: 0, delivered: 1, failed: 1 });
        let rule = &summary.rules[&("vision".to_owned(), "r2".to_owned())];
        assert_eq!(rule.last.as_ref().unwrap().name, "two");
        let target = &summary.targets[&TargetKey { namespace: "vision".into(), name: "oncall".into() }];
        assert_eq!(target.deliveries.failed, 1);
        assert_eq!(target.last.as_ref().unwrap().outcome, LastOutcome::Failed);
        book.apply(Change::Deleted(view("two", "Failed", 20, None), Freshness::Live));
        assert_eq!(book.summary().namespaces["vision"].failed, 0);
    }

    #[test]
    fn a_new_annotation_asks_for_redelivery() {
        let mut book = Book::default();
        assert_eq!(book.apply(Change::Applied(view("one", "Failed", 10, None), Freshness::Live)), None);
        let asked = book.apply(Change::Applied(view("one", "Failed", 10, Some("again")), Freshness::Live));
        assert_eq!(asked.unwrap().name, "one");
    }

    #[test]
    fn a_new_list_replaces_what_was_known() {
        let mut book = Book::default();
        book.apply(Change::Applied(view("old", "Failed", 10, None), Freshness::Live));
        book.apply(Change::ListStarted { since: None });
        book.apply(Change::Listed(view("new", "Failed", 10, None)));
        book.apply(Change::ListEnded { revision: 9 });
        let target = TargetKey { namespace: "vision".into(), name: "oncall".into() };
        let failed = book.failed_at(&target, Timestamp::UNIX_EPOCH);
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].name, "new");
    }
}
