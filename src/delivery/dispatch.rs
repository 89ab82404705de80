//! The dispatcher: the one task that owns all lanes.
//!
//! It never waits for a receiver or for the API server: attempts and status writes are tasks of their own that report
//! back. So one slow, dead or hostile target cannot delay another.

mod live;
mod outcome;
mod sending;
mod state;
mod takeover;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::NoticeKey;
use super::book::{Book, NoticeView, Summary};
use super::budget::Budgets;
use super::lane::Parcel;
use super::metrics::DeliveryMetrics;
use super::settle::Written;
use super::targets::{GoneTargets, Recipient, TargetKey, TargetTable, Texts};
use crate::api::Notice;
use crate::channel::{self, Outcome};
use crate::cluster::clock::Clock;
use crate::cluster::deadline::{self, ApiError};
use crate::cluster::tasks::Tasks;
use crate::rules::Policy;
use crate::watch::stream::Change;
use state::Dispatcher;

/// How often the summary of the book is published, if it changed.
const SUMMARY_EVERY: Duration = Duration::from_millis(500);
/// How long a stop waits for attempts that are on their way.
const GRACE: Duration = Duration::from_secs(20);
/// Notices asked for at once when taking over.
const PAGE: u32 = 500;

/// What delivery needs.
pub struct Delivering {
    /// API client.
    pub client: Client,
    /// The one HTTP client.
    pub http: channel::Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// What is in force.
    pub policy: watch::Receiver<Option<Arc<Policy>>>,
    /// Every target.
    pub targets: watch::Receiver<Arc<TargetTable>>,
    /// Texts that messages are made with.
    pub texts: watch::Receiver<Arc<Texts>>,
    /// What receivers take; shared with connectivity tests.
    pub budgets: Budgets,
    /// Whether this replica is the leader.
    pub leading: watch::Receiver<bool>,
    /// Notices that the outbox has stored.
    pub stored: mpsc::UnboundedReceiver<Notice>,
    /// Changes of Notices.
    pub changes: mpsc::Receiver<Change<NoticeView>>,
    /// Where the summary goes.
    pub summary: watch::Sender<Arc<Summary>>,
    /// Where the throttled targets go.
    pub throttled: watch::Sender<Arc<std::collections::HashMap<TargetKey, Timestamp>>>,
    /// Where the targets go whose receiver is gone for good.
    pub gone: watch::Sender<Arc<GoneTargets>>,
    /// The book, for retention.
    pub book: Arc<std::sync::Mutex<Book>>,
    /// Metrics.
    pub metrics: DeliveryMetrics,
}

/// What tasks report back.
enum Report {
    /// An attempt has ended.
    Attempted { recipient: Recipient, parcel: Parcel, digest: Option<String>, outcome: Outcome, took: Duration },
    /// A status is stored, or its Notice is gone.
    Written { key: NoticeKey, written: Written },
    /// Every stored Notice, found when taking over.
    Found(Vec<Notice>),
    /// A stored Notice that another replica has recorded.
    Stray(Box<Notice>),
    /// A Notice whose failed deliveries are to be tried again.
    Again { notice: Box<Notice>, why: Why },
    /// Reading a Notice that is to be tried again failed or found nothing.
    AgainFailed(NoticeKey),
}

/// Why failed deliveries are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// Somebody asked for it by the annotation, which has this value.
    Redeliver(String),
    /// This target, as the Notice names it, was edited; others are left alone.
    Mended(String),
}

/// Delivers until `stop` is cancelled; then lets what is on its way finish and be recorded.
pub async fn run(delivering: Delivering, stop: CancellationToken) {
    let Delivering { mut policy, mut targets, mut texts, mut leading, mut stored, mut changes, .. } = delivering;
    let (reports, mut inbox) = mpsc::unbounded_channel();
    let mut dispatcher = Dispatcher::new(
        delivering.client,
        delivering.http,
        delivering.clock,
        delivering.tasks,
        delivering.metrics,
        delivering.book,
        reports,
        delivering.budgets,
        delivering.gone,
    );
    let mut publish = tokio::time::interval(SUMMARY_EVERY);
    publish.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    dispatcher.in_force(policy.borrow_and_update().clone(), &targets.borrow_and_update(), &texts.borrow_and_update());
    if *leading.borrow_and_update() {
        dispatcher.lead();
    }
    loop {
        let wake = dispatcher.wake_in();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(report) = inbox.recv() => dispatcher.report(report),
            Some(notice) = stored.recv() => dispatcher.take_in(notice),
            Ok(()) = policy.changed() => dispatcher.in_force(
                policy.borrow_and_update().clone(), &targets.borrow(), &texts.borrow()),
            Ok(()) = targets.changed() => dispatcher.in_force(
                policy.borrow().clone(), &targets.borrow_and_update(), &texts.borrow()),
            Ok(()) = texts.changed() => dispatcher.in_force(
                policy.borrow().clone(), &targets.borrow(), &texts.borrow_and_update()),
            Ok(()) = leading.changed() => if *leading.borrow_and_update() { dispatcher.lead() },
            Some(change) = changes.recv() => dispatcher.notice_change(change),
            _ = publish.tick() => dispatcher.publish(&delivering.summary, &delivering.throttled),
            () = tokio::time::sleep(wake) => {
                dispatcher.adopt();
                dispatcher.run_all();
            }
        }
    }
    dispatcher.stopping();
    let finish = async {
        while dispatcher.is_busy() {
            match inbox.recv().await {
                Some(report) => dispatcher.report(report),
                None => break,
            }
        }
    };
    if tokio::time::timeout(GRACE, finish).await.is_err() {
        tracing::warn!("stopped while attempts were still on their way; they will be tried again by the next leader");
    }
}

/// Reads every stored Notice and reports them all at once, since together they say what receivers were sent lately; in
/// the order of their events, so that one subject's open ones go out as they happened. Reads on until it has succeeded. One that does not decode is left out.
async fn find_open(client: Client, reports: mpsc::UnboundedSender<Report>) {
    let api: Api<DeserializeGuard<Notice>> = Api::all(client);
    let mut found = loop {
        match list_all(&api).await {
            Ok(found) => break found,
            Err(error) => {
                tracing::warn!(%error, "could not read the stored Notices yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    found.sort_by_key(|notice| (notice.spec.event.time, notice.spec.event.observed_time));
    let _ = reports.send(Report::Found(found));
}

async fn list_all(api: &Api<DeserializeGuard<Notice>>) -> Result<Vec<Notice>, ApiError> {
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = deadline::read(api.list(&params)).await?;
        for guard in page.items {
            match guard.0 {
                Ok(notice) => found.push(notice),
                Err(bad) => tracing::error!(
                    notice = bad.metadata.name,
                    error = bad.error,
                    "a Notice does not decode and is left out"
                ),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Reads open Notices that another replica has stored, until it has succeeded.
async fn read_open(client: Client, keys: Vec<NoticeKey>, reports: mpsc::UnboundedSender<Report>) {
    for key in keys {
        let api: Api<Notice> = Api::namespaced(client.clone(), &key.namespace);
        loop {
            match deadline::read(api.get_opt(&key.name)).await {
                Ok(Some(notice)) => {
                    tracing::debug!(notice = %key, "taking in a Notice that another replica has stored");
                    let _ = reports.send(Report::Stray(Box::new(notice)));
                    break;
                }
                Ok(None) => break,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(notice = %key, %error, "could not read a Notice that another replica has stored yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => {
                    tracing::error!(notice = %key, %error, "cannot read a Notice that another replica has stored");
                    break;
                }
            }
        }
    }
}

/// Reads Notices that are to be tried again, a few at a time.
async fn read_again(client: Client, keys: Vec<(NoticeKey, Why)>, reports: mpsc::UnboundedSender<Report>) {
    let read_one = |(key, why): (NoticeKey, Why)| {
        let api: Api<Notice> = Api::namespaced(client.clone(), &key.namespace);
        let reports = reports.clone();
        async move {
            let report = match deadline::read(api.get_opt(&key.name)).await {
                Ok(Some(notice)) => Report::Again { notice: Box::new(notice), why },
                Ok(None) => Report::AgainFailed(key),
                Err(error) => {
                    tracing::warn!(notice = %key, %error, "could not read a Notice that is to be tried again");
                    Report::AgainFailed(key)
                }
            };
            let _ = reports.send(report);
        }
    };
    // In order: one subject's Notices go out as they happened.
    futures::stream::iter(keys).map(read_one).buffered(8).collect::<()>().await;
}
