//! Stores Notices, once each, whatever the API server does meanwhile.
//!
//! Notices are spread over [`SHARDS`] tasks by their subject: those of one subject are stored in order, others side by side.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::mpsc;

use super::draft;
use super::metrics::OutboxMetrics;
use crate::api::Notice;
use crate::cluster::clock::Clock;
use crate::cluster::create::{Creation, create_once};
use crate::cluster::deadline::{self, ApiError};
use crate::cluster::tasks::Tasks;
use crate::watch::Kind;

/// Notices that are stored at the same time at most.
pub const SHARDS: usize = 16;
/// Tries before a refusal is taken for one: a binding that was just made may not have reached every API server.
const REFUSALS: u32 = 5;

/// A Notice to store.
#[derive(Debug)]
pub struct Order {
    /// The Notice.
    pub notice: Box<Notice>,
    /// Of which kind and resourceVersion its observation was: reported back when it is stored.
    pub kind: Kind,
    /// See `kind`.
    pub revision: u64,
    /// When the transition was seen.
    pub observed: Timestamp,
    /// Whether a rule that was seen late wants it: then an event that is there already may need further targets.
    pub late_claim: bool,
}

/// An order is done with.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// The order's.
    pub kind: Kind,
    /// The order's.
    pub revision: u64,
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
    /// Where orders are reported back.
    pub closed: mpsc::UnboundedSender<Closed>,
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
        let Order { notice, kind, revision, observed, late_claim } = order;
        let name = notice.metadata.name.clone().unwrap_or_default();
        let namespace = notice.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Notice> = Api::namespaced(self.client.clone(), &namespace);
        match self.create(&api, &notice).await {
            Some(Creation::Created(stored)) => {
                self.metrics.count("recorded");
                let took = self.clock.now().duration_since(observed);
                self.metrics.latency.observe(took.as_secs_f64().max(0.0));
                tracing::info!(%namespace, notice = %name, event = %notice.spec.event.id, "recorded");
                let _ = self.stored.send(*stored);
            }
            Some(Creation::AlreadyThere) => {
                self.metrics.count("already_recorded");
                self.already_there(&api, &notice, late_claim).await;
            }
            None => self.metrics.count("refused"),
        }
        let _ = self.closed.send(Closed { kind, revision });
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

fn gives_up(error: &ApiError, tries: u32) -> bool {
    !error.is_retryable() && (!error.is_forbidden() || tries >= REFUSALS)
}

/// 0.1 s, doubling, to 10 s.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(50).saturating_mul(1 << tries.min(12)).min(Duration::from_secs(10))
}
