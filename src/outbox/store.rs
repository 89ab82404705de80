//! Stores Notices, once each, whatever the API server does meanwhile.
//!
//! Notices are spread over [`SHARDS`] tasks by their subject: those of one subject are stored in order, others side by side.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot};

use super::draft;
use super::metrics::OutboxMetrics;
use crate::api::Notice;
use crate::cluster::clock::Clock;
use crate::cluster::create::{Creation, create_once};
use crate::cluster::deadline::{self, ApiError};
use crate::cluster::tasks::Tasks;
use crate::watch::Place;

/// Notices that are stored at the same time at most.
pub const SHARDS: usize = 16;
/// Tries before a refusal is taken for one: a binding that was just made may not have reached every API server.
const REFUSALS: u32 = 5;

/// A Notice to store.
#[derive(Debug)]
pub struct Order {
    /// The Notice.
    pub notice: Box<Notice>,
    /// Where its observation stands: reported back when the Notice is stored.
    pub place: Option<Place>,
    /// When the transition was seen.
    pub observed: Timestamp,
    /// Whether a rule that was seen late wants it: then an event that is there already may need further targets.
    pub late_claim: bool,
    /// Who waits to hear what became of it: for as long as somebody does, it is tried. Without anybody, it is tried
    /// until it has succeeded.
    pub answer: Option<oneshot::Sender<Recorded>>,
}

/// What became of something that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recorded {
    /// Its Notice is stored.
    Stored,
    /// Its Notice was stored before.
    Duplicate,
    /// No active rule wants it.
    Unmatched,
    /// It is older than the look-back limit.
    TooOld,
    /// Its workspace is not in force.
    NotInForce,
    /// The API server refuses to store its Notice.
    Refused,
}

/// What the shards share.
#[derive(Clone)]
pub struct Store {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Metrics.
    pub metrics: OutboxMetrics,
    /// Where stored Notices go.
    pub stored: mpsc::UnboundedSender<Notice>,
    /// Where the places of orders that are done with are reported back.
    pub closed: mpsc::UnboundedSender<Place>,
}

/// The way to the shards.
#[derive(Debug)]
pub struct Shards(Vec<mpsc::UnboundedSender<Order>>);

impl Shards {
    /// Starts the tasks.
    #[must_use]
    pub fn start(store: &Store, tasks: &Tasks) -> Self {
        let start_one = |_| {
            let (sender, mut orders) = mpsc::unbounded_channel::<Order>();
            let store = store.clone();
            tasks.spawn("outbox", async move {
                while let Some(order) = orders.recv().await {
                    store.fulfil(order).await;
                }
            });
            sender
        };
        Self((0..SHARDS).map(start_one).collect())
    }

    /// Queues an order behind the others of its subject.
    pub fn send(&self, order: Order) {
        let mut hasher = DefaultHasher::new();
        order.notice.spec.event.subject.uid.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
        if let Some(shard) = self.0.get(index) {
            let _ = shard.send(order);
        }
    }
}

impl Store {
    async fn fulfil(&self, order: Order) {
        let Order { notice, place, observed, late_claim, mut answer } = order;
        let name = notice.metadata.name.clone().unwrap_or_default();
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Notice> = Api::namespaced(self.client.clone(), &namespace);
        let created = tokio::select! {
            created = self.create(&api, &notice) => created,
            () = unheard(&mut answer) => {
                tracing::debug!(%namespace, notice = %name, "nobody waits for this Notice any more; it was not stored");
                return;
            }
        };
        let recorded = match created {
            Some(Creation::Created(stored)) => {
                self.metrics.count("recorded");
                let took = self.clock.now().duration_since(observed);
                self.metrics.latency.observe(took.as_secs_f64().max(0.0));
                tracing::info!(%namespace, notice = %name, event = %notice.spec.event.id, "recorded");
                let _ = self.stored.send(*stored);
                Recorded::Stored
            }
            Some(Creation::AlreadyThere) => {
                self.metrics.count("already_recorded");
                self.already_there(&api, &notice, late_claim).await;
                Recorded::Duplicate
            }
            None => {
                self.metrics.count("refused");
                Recorded::Refused
            }
        };
        if let Some(answer) = answer {
            let _ = answer.send(recorded);
        }
        if let Some(place) = place {
            let _ = self.closed.send(place);
        }
    }

    /// Delivery may not know of it yet (a creation whose answer was lost), and a late claim may add targets.
    async fn already_there(&self, api: &Api<Notice>, wanted: &Notice, late_claim: bool) {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let first = match deadline::read(api.get_opt(name)).await {
            Ok(Some(first)) => first,
            // Removed meanwhile: it had come to its end.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(notice = name, %error, "could not read a Notice that is there already");
                return;
            }
        };
        if late_claim
            && let Some(supplement) = draft::supplement(&first, wanted)
            && let Some(Creation::Created(stored)) = self.create(api, &supplement).await
        {
            self.metrics.count("recorded");
            let _ = self.stored.send(*stored);
        }
        let _ = self.stored.send(first);
    }

    /// Creates until it is there, or refused for good (`None`).
    async fn create(&self, api: &Api<Notice>, notice: &Notice) -> Option<Creation<Notice>> {
        let mut tries = 0_u32;
        loop {
            let error = match create_once(api, notice).await {
                Ok(creation) => return Some(creation),
                Err(error) => error,
            };
            tries = tries.saturating_add(1);
            let name = notice.metadata.name.as_deref().unwrap_or_default();
            if gives_up(&error, tries) {
                tracing::error!(
                    notice = name,
                    namespace = notice.metadata.namespace.as_deref(),
                    %error,
                    "the API server refuses to store a Notice; the event is not notified"
                );
                return None;
            }
            tracing::warn!(notice = name, tries, %error, "could not store a Notice yet");
            tokio::time::sleep(pause(tries)).await;
        }
    }
}

/// Resolves when whoever waits for the answer has gone: what was published is published again, and need not be kept.
async fn unheard(answer: &mut Option<oneshot::Sender<Recorded>>) {
    match answer {
        Some(answer) => answer.closed().await,
        None => std::future::pending().await,
    }
}

fn gives_up(error: &ApiError, tries: u32) -> bool {
    !error.is_retryable() && (!error.is_forbidden() || tries >= REFUSALS)
}

/// 0.1 s, doubling, to 10 s.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(50).saturating_mul(1 << tries.min(12)).min(Duration::from_secs(10))
}
