//! Retention: finished Notices are removed when they are old, or too many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::Notice;
use crate::api::workspace::Retention;
use crate::cluster::clock::Clock;
use crate::cluster::deadline;
use crate::delivery::NoticeKey;
use crate::delivery::book::{Book, Entry};

/// How often the book is looked through.
const EVERY: Duration = Duration::from_secs(5);

/// The retention of each namespace in force.
pub type Retentions = HashMap<String, Retention>;

/// Finished Notices of one namespace that are to be removed. Never one that is younger than the stored checkpoint: after a
/// restart, its object would be looked at again, and the removed Notice would come back.
#[must_use]
pub fn expired<'a>(
    notices: impl Iterator<Item = (&'a NoticeKey, &'a Entry)>,
    retention: &Retention,
    now: Timestamp,
    checkpointed: Option<Timestamp>,
) -> Vec<(NoticeKey, String)> {
    // A creationTimestamp is cut to the whole second: what says 10 s may be of 10.9 s.
    let vouched = checkpointed.and_then(|time| time.checked_sub(SignedDuration::from_secs(1)).ok());
    let Some(vouched) = vouched else { return Vec::new() };
    // One that is to be tried again is not finished, whatever its status still says.
    let over = |entry: &Entry| entry.is_finished() && entry.redeliver.is_none();
    let mut finished: Vec<_> = notices.filter(|(_, entry)| over(entry)).collect();
    let most = usize::try_from(retention.max).unwrap_or(0);
    let surplus = finished.len().saturating_sub(most);
    if surplus > 0 {
        // The oldest come first; among those of one second, the name decides. Not sorted: the book is locked meanwhile.
        let by_age = |a: &(&NoticeKey, &Entry), b: &(&NoticeKey, &Entry)| {
            (a.1.created, &a.0.name).cmp(&(b.1.created, &b.0.name))
        };
        finished.select_nth_unstable_by(surplus - 1, by_age);
    }
    let age = SignedDuration::try_from(Duration::from(retention.notices)).unwrap_or(SignedDuration::MAX);
    let oldest = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    finished
        .into_iter()
        .enumerate()
        .filter(|(position, (_, entry))| *position < surplus || entry.created < oldest)
        .filter(|(_, (_, entry))| entry.created < vouched)
        .map(|(_, (key, entry))| (key.clone(), entry.uid.clone()))
        .collect()
}

/// What retention needs.
pub struct Retaining {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Every retained Notice.
    pub book: Arc<Mutex<Book>>,
    /// The retention of each namespace in force.
    pub retentions: watch::Receiver<Arc<Retentions>>,
    /// Whether this replica is the leader.
    pub leading: watch::Receiver<bool>,
    /// When the stored checkpoint was taken.
    pub checkpointed: watch::Receiver<Option<Timestamp>>,
}

/// Removes what is due, until `stop` is cancelled.
pub async fn run(retaining: Retaining, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if *retaining.leading.borrow() {
            for (key, uid) in retaining.due() {
                if stop.is_cancelled() {
                    return;
                }
                remove(&retaining.client, &key, uid).await;
            }
        }
    }
}

impl Retaining {
    fn due(&self) -> Vec<(NoticeKey, String)> {
        let (now, retentions) = (self.clock.now(), self.retentions.borrow().clone());
        let checkpointed = *self.checkpointed.borrow();
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_namespace: HashMap<&str, Vec<(&NoticeKey, &Entry)>> = HashMap::new();
        for (key, entry) in book.iter().filter(|(key, _)| retentions.contains_key(&key.namespace)) {
            by_namespace.entry(&key.namespace).or_default().push((key, entry));
        }
        by_namespace
            .into_iter()
            .filter_map(|(namespace, notices)| Some((retentions.get(namespace)?, notices)))
            .flat_map(|(retention, notices)| expired(notices.into_iter(), retention, now, checkpointed))
            .collect()
    }
}

async fn remove(client: &Client, key: &NoticeKey, uid: String) {
    let api: Api<Notice> = Api::namespaced(client.clone(), &key.namespace);
    let preconditions = Preconditions { uid: Some(uid), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match deadline::write(api.delete(&key.name, &params)).await {
        Ok(_) => tracing::debug!(notice = %key, "removed by retention"),
        Err(error) if error.is_not_found() => {}
        Err(error) => tracing::warn!(notice = %key, %error, "could not be removed by retention yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::delivery::book::NoticeView;
    use crate::watch::stream::{Change, Freshness};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn book(notices: &[(&str, &str, i64)]) -> Book {
        let mut book = Book::default();
        for (name, phase, created) in notices {
            let view: NoticeView = serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1", "creationTimestamp": at(*created).to_string()},
                "spec": {"event": {"time": at(*created).to_string(), "subject": {}}, "deliveries": []},
                "status": {"phase": phase, "deliveries": [{"target": "t", "state": phase}]},
            }))
            .unwrap();
            book.apply(Change::Applied(view, Freshness::Live));
        }
        book
    }

    fn names(book: &Book, age: u64, max: i32, checkpointed: Option<i64>) -> Vec<String> {
        let retention = Retention { notices: Duration::from_secs(age).into(), max };
        let mut names: Vec<_> = expired(book.iter(), &retention, at(1000), checkpointed.map(at))
            .into_iter()
            .map(|(key, _)| key.name)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn old_and_surplus_finished_notices_go_and_pending_ones_stay() {
        let book = book(&[
            ("a", "Delivered", 100),
            ("b", "Failed", 500),
            ("c", "Delivered", 900),
            ("d", "Delivered", 950),
            ("waiting", "Pending", 10),
        ]);
        assert_eq!(names(&book, 600, 100, Some(1000)), ["a"]);
        assert_eq!(names(&book, 100_000, 2, Some(1000)), ["a", "b"]);
        assert_eq!(names(&book, 1, 1, Some(1000)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn nothing_goes_that_the_checkpoint_does_not_vouch_for() {
        let book = book(&[("a", "Delivered", 100), ("b", "Delivered", 500)]);
        assert_eq!(names(&book, 1, 1, Some(300)), ["a"]);
        assert!(names(&book, 1, 1, None).is_empty());
        assert!(names(&book, 1, 1, Some(101)).is_empty(), "it may have been created within that second");
    }

    #[test]
    fn the_oldest_go_first_and_among_those_of_one_second_by_name() {
        let all: Vec<String> = (0..50).map(|n| format!("n{n:02}")).collect();
        let notices: Vec<_> = all
            .iter()
            .rev()
            .enumerate()
            .map(|(n, name)| (name.as_str(), "Delivered", 100 + i64::from(n % 3 == 0)))
            .collect();
        let mut oldest: Vec<_> = notices.iter().map(|(name, _, created)| (*created, *name)).collect();
        oldest.sort_unstable();
        let mut expected: Vec<_> = oldest[..40].iter().map(|(_, name)| *name).collect();
        expected.sort_unstable();
        assert_eq!(names(&book(&notices), 100_000, 10, Some(1000)), expected);
    }

    #[test]
    fn a_notice_that_is_asked_to_be_sent_again_stays() {
        let mut book = book(&[("a", "Failed", 100)]);
        let view: NoticeView = serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "n", "uid": "a", "resourceVersion": "2", "creationTimestamp": at(100).to_string(),
                "annotations": {"notification.pai.dev/redeliver": "please"}},
            "spec": {"event": {"time": at(100).to_string(), "subject": {}}, "deliveries": []},
            "status": {"phase": "Failed", "deliveries": [{"target": "t", "state": "Failed"}]},
        }))
        .unwrap();
        book.apply(Change::Applied(view, Freshness::Live));
        assert!(names(&book, 1, 1, Some(1000)).is_empty());
    }
}
