//! The loop: which registry is asked when, and what becomes of its answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::ask::{self, Answer};
use super::known::{Known, Look, news};
use super::memory::{self, Key, Memory};
use super::metrics::{PollLabel, RegistryMetrics};
use crate::api::condition::Reason;
use crate::bus::mapping::{Arrival, Published};
use crate::bus::publish::Outbox;
use crate::channel;
use crate::cluster::clock::Clock;
use crate::controller::{Credentials, Health, Ingresses, PollFault, Polled, RegistryHealth};
use crate::outbox::recorder::Publication;

/// Registries that are asked at the same time.
const CONCURRENCY: usize = 4;
/// Findings that wait for their Notices at the same time.
const BATCH: usize = 64;
/// Longest pause after failures, unless the interval is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// What polling needs.
pub struct Polling {
    /// API client.
    pub client: kube::Client,
    /// The one HTTP client.
    pub http: channel::Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Namespace of what is kept.
    pub namespace: String,
    /// Oldest event that may still be notified.
    pub lookback: SignedDuration,
    /// The workspaces and their registries; `None` until they are known.
    pub ingresses: watch::Receiver<Option<Arc<Ingresses>>>,
    /// Whether this replica is the leader: only then is anything asked.
    pub leading: watch::Receiver<bool>,
    /// Where publications go.
    pub outbox: mpsc::Sender<Publication>,
    /// Where it is said how the registries are.
    pub health: watch::Sender<Arc<RegistryHealth>>,
    /// Metrics.
    pub metrics: RegistryMetrics,
}

/// A registry, between two polls.
struct Entry {
    place: Place,
    /// What its knowledge is about.
    basis: u64,
    fingerprint: String,
    /// Told apart from those before it, whose polls may still be on their way.
    generation: u64,
    /// When it is asked next; `None` while it is being asked.
    due: Option<Instant>,
    failures: u32,
    known: Option<Known>,
}

/// A registry and where it belongs.
#[derive(Clone)]
struct Place {
    namespace: String,
    polled: Polled,
    /// How far back an answer may be told: what retention has removed can no longer be recognised.
    lookback: SignedDuration,
}

/// How a poll ended.
enum Outcome {
    /// Everything in the answer is told, and known.
    Told { known: Known, complete: bool },
    /// The Notices could not be stored yet.
    NotRecorded,
    /// No answer that can be used.
    Failed(PollFault),
}

type Ended = (Key, u64, Outcome);

struct Poller {
    polling: Arc<Polling>,
    room: Arc<Semaphore>,
    entries: HashMap<Key, Entry>,
    kept: Memory,
    generations: u64,
    /// Whether what is kept is behind what is known.
    unsaved: bool,
}

/// Asks registries, for as long as the program runs.
pub async fn run(polling: Polling) {
    let (mut leading, mut ingresses) = (polling.leading.clone(), polling.ingresses.clone());
    if leading.wait_for(|&leading| leading).await.is_err() {
        return;
    }
    let kept = kept(&polling).await;
    let mut poller = Poller {
        polling: Arc::new(polling),
        room: Arc::new(Semaphore::new(CONCURRENCY)),
        entries: HashMap::new(),
        kept,
        generations: 0,
        unsaved: false,
    };
    let mut running: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
    loop {
        let known = ingresses.borrow_and_update().clone();
        if let Some(known) = known {
            poller.take_up(&known);
        }
        poller.start_due(&running);
        let due = poller.entries.values().filter_map(|entry| entry.due).min();
        tokio::select! {
            Ok(()) = ingresses.changed() => {}
            Some((key, generation, outcome)) = running.next(), if !running.is_empty() => {
                poller.ended(&key, generation, outcome);
                poller.save().await;
            }
            () = until(due) => {}
        }
    }
}

/// What the leader before this one knew.
async fn kept(polling: &Polling) -> Memory {
    loop {
        match memory::load(&polling.client, &polling.namespace).await {
            Ok(memory) => return memory,
            Err(error) if error.is_forbidden() => {
                tracing::warn!(%error, "what is known of model registries cannot be kept; does the operator's Role allow it?");
                return Memory::new();
            }
            Err(error) => {
                tracing::warn!(%error, "what is known of model registries could not be read yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Poller {
    /// Takes up what the Workspaces say now.
    fn take_up(&mut self, ingresses: &Ingresses) {
        let mut before = std::mem::take(&mut self.entries);
        for (workspace, ingress) in ingresses.iter().filter(|(_, ingress)| ingress.in_force) {
            for polled in ingress.polled.iter().filter(|polled| polled.access.is_ok()) {
                let key = (workspace.clone(), polled.registry);
                let lookback = self.polling.lookback.min(ingress.retained);
                let place = Place { namespace: ingress.namespace.clone(), polled: polled.clone(), lookback };
                let entry = self.entry(&key, place, before.remove(&key));
                self.entries.insert(key, entry);
            }
        }
        let is_asked = |key: &Key, in_force_only: bool| {
            let ingress = ingresses.get(&key.0).filter(|ingress| ingress.in_force || !in_force_only);
            ingress.is_some_and(|ingress| ingress.polled.iter().any(|polled| polled.registry == key.1))
        };
        self.kept.retain(|key, _| is_asked(key, false));
        // One whose Secret is missing for a moment comes back.
        for (key, entry) in before.into_iter().filter(|(key, _)| is_asked(key, true)) {
            let basis = entry.basis;
            self.kept.extend(entry.known.map(|known| (key, (basis, known))));
        }
        let entries = &self.entries;
        self.polling.health.send_if_modified(|health| {
            if health.keys().all(|key| entries.contains_key(key)) {
                return false;
            }
            Arc::make_mut(health).retain(|key, _| entries.contains_key(key));
            true
        });
    }

    fn entry(&mut self, key: &Key, place: Place, before: Option<Entry>) -> Entry {
        let fingerprint = fingerprint(&place);
        let basis = memory::basis(&place.polled);
        match before {
            Some(entry) if entry.fingerprint == fingerprint => Entry { place, ..entry },
            before => {
                let same = before.filter(|entry| entry.basis == basis);
                let kept = self.kept.remove(key).filter(|(of, _)| *of == basis).map(|(_, known)| known);
                self.generations += 1;
                let known = same.and_then(|entry| entry.known).or(kept);
                let (generation, due) = (self.generations, Some(Instant::now()));
                Entry { place, basis, fingerprint, generation, due, failures: 0, known }
            }
        }
    }

    fn start_due(&mut self, running: &FuturesUnordered<BoxFuture<'static, Ended>>) {
        let now = Instant::now();
        for (key, entry) in &mut self.entries {
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            entry.due = None;
            let (polling, room) = (self.polling.clone(), self.room.clone());
            let (key, generation) = (key.clone(), entry.generation);
            let (place, known) = (entry.place.clone(), entry.known.clone());
            running.push(Box::pin(async move {
                // Never closed.
                let _room = room.acquire_owned().await;
                let outcome = polling.poll(&key.0, &place, known).await;
                (key, generation, outcome)
            }));
        }
    }

    fn ended(&mut self, key: &Key, generation: u64, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.generation == generation) else { return };
        let registry = key.1.as_str();
        let (health, result): (Option<Health>, &'static str) = match outcome {
            Outcome::Told { known, complete } => {
                self.unsaved |= entry.known.as_ref().is_none_or(|before| !before.knows_as(&known));
                (entry.known, entry.failures) = (Some(known), 0);
                let health = if complete { Ok(()) } else { Err(too_many()) };
                (Some(health), if complete { "ok" } else { Reason::TooManyVersions.as_str() })
            }
            Outcome::NotRecorded => {
                entry.failures = entry.failures.saturating_add(1);
                (None, "not_recorded")
            }
            Outcome::Failed(fault) => {
                entry.failures = entry.failures.saturating_add(1);
                let (workspace, reason) = (&key.0, fault.reason.as_str());
                tracing::warn!(workspace, registry, reason, %fault, "a model registry could not be read; it is asked again later");
                (Some(Err(fault)), reason)
            }
        };
        entry.due = Some(Instant::now() + pause(entry.place.polled.interval, entry.failures));
        self.polling.metrics.polls.get_or_create(&PollLabel { registry, result }).inc();
        if let Some(health) = health {
            self.polling.health.send_if_modified(|all| {
                let differs = all.get(key) != Some(&health);
                if differs {
                    Arc::make_mut(all).insert(key.clone(), health);
                }
                differs
            });
        }
    }

    async fn save(&mut self) {
        if !self.unsaved {
            return;
        }
        let known = self.entries.iter().filter_map(|(key, entry)| Some((key, entry.basis, entry.known.as_ref()?)));
        let kept = self.kept.iter().map(|(key, (basis, known))| (key, *basis, known));
        let known: Vec<_> = known.chain(kept).collect();
        match memory::save(&self.polling.client, &self.polling.namespace, &known).await {
            Ok(()) => self.unsaved = false,
            Err(error) => tracing::warn!(%error, "what is known of model registries could not be kept yet"),
        }
    }
}

impl Polling {
    /// Asks a registry, and tells what is news.
    async fn poll(&self, workspace: &str, place: &Place, known: Option<Known>) -> Outcome {
        let now = self.clock.now();
        let Answer { versions, complete } = match ask::ask(&self.http, &place.polled, now).await {
            Ok(answer) => answer,
            Err(fault) => return Outcome::Failed(fault),
        };
        let look = Look { namespace: &place.namespace, now, lookback: place.lookback };
        let (news, mut all) = news(&versions, &place.polled, known.as_ref(), &look);
        if !self.record(workspace, place, news, now).await {
            return Outcome::NotRecorded;
        }
        if !complete {
            // What was not read is still known.
            all.extend(known.iter().flat_map(Known::ids));
        }
        let known = match known {
            Some(known) => known.then(now, all),
            None => Known::first(now, all),
        };
        Outcome::Told { known, complete }
    }

    /// Whether every Notice is stored.
    async fn record(&self, workspace: &str, place: &Place, mut news: Vec<Published>, now: Timestamp) -> bool {
        let arrival = Arrival { workspace, namespace: &place.namespace, now, lookback: self.lookback };
        let outbox = Outbox { client: self.client.clone(), inbox: self.outbox.clone() };
        while !news.is_empty() {
            let rest = news.split_off(news.len().min(BATCH));
            let batch = news.into_iter().map(|published| (published.origin.id.clone(), published)).collect();
            if let Err(refusal) = outbox.record(batch, &arrival).await {
                let reason = refusal.reason();
                tracing::warn!(workspace, reason, %refusal, "what a model registry tells could not be stored yet");
                return false;
            }
            news = rest;
        }
        true
    }
}

fn too_many() -> PollFault {
    let message = "it has more versions than are looked at (100 pages); the oldest are not watched, delete some";
    PollFault::new(Reason::TooManyVersions, message)
}

/// What a registry is asked, and with what.
fn fingerprint(place: &Place) -> String {
    let Place { namespace, polled, lookback: _ } = place;
    let (user, password) = match polled.access.as_ref().ok().and_then(|(_, credentials)| credentials.as_ref()) {
        Some(Credentials::Token(token)) => ("", token.expose_secret()),
        Some(Credentials::Basic(user, password)) => (user.expose_secret(), password.expose_secret()),
        None => ("", ""),
    };
    let parts = [namespace.as_str(), user, password, &polled.interval.as_secs().to_string()];
    format!("{:x}-{}", memory::basis(polled), crate::bus::mapping::hash(&parts))
}

/// How long until a registry is asked again.
fn pause(interval: Duration, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    interval.saturating_mul(factor).min(LONGEST_PAUSE.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_fails_is_asked_ever_more_seldom_and_never_more_often_than_it_should_be() {
        let seconds = |interval, failures| pause(Duration::from_secs(interval), failures).as_secs();
        assert_eq!([0, 1, 2, 3, 99].map(|failures| seconds(60, failures)), [60, 60, 120, 240, 600]);
        assert_eq!([0, 1, 2, 99].map(|failures| seconds(3600, failures)), [3600; 4]);
    }
}
