//! The ingress: from a request to its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt as _;
use jiff::SignedDuration;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::{Access, forbidden};
use super::counters::{Counters, WRITE_EVERY};
use super::decode::{Mode, SINGLE, decode};
use super::limit::Limiter;
use super::listen::{self, Protection};
use super::mapping::{self, Arrival, Published};
use super::metrics::{BusMetrics, CodeLabel, ResultLabel};
use super::mlflow;
use super::publish::{Answer, Fate, Outbox, busy, not_in_force};
use super::refusal::Refusal;
use crate::api::event_bus::EventBusCounters;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::controller::{Ingress, Ingresses};
use crate::outbox::recorder::Publication;

/// Longest wait for a body.
const BODY: Duration = Duration::from_secs(30);
/// Bodies that are held at the same time, in KiB.
const ROOM: u32 = 32 * 1024;
/// Longest wait for room.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// A body that is too long is read up to this size before that is said: many clients read no answer while they write.
const MOST_READ: usize = 8 * 1024 * 1024;

/// What the bus needs.
pub struct Serving {
    /// API client.
    pub client: Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// The port.
    pub listener: TcpListener,
    /// Whether connections are protected, and how.
    pub protection: Protection,
    /// The workspaces; `None` until they are known.
    pub ingresses: watch::Receiver<Option<Arc<Ingresses>>>,
    /// Where publications go.
    pub outbox: mpsc::Sender<Publication>,
    /// Oldest event that may still be notified.
    pub lookback: SignedDuration,
    /// Events that a workspace may publish a second; 0 is no limit.
    pub rate: u32,
    /// Metrics.
    pub metrics: BusMetrics,
}

struct Server {
    access: Access,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    ingresses: watch::Receiver<Option<Arc<Ingresses>>>,
    lookback: SignedDuration,
    limiter: Limiter,
    room: Arc<Semaphore>,
    counters: Counters,
    metrics: BusMetrics,
}

/// Serves until `stop` is cancelled; then writes the counts once more.
pub async fn run(serving: Serving, stop: CancellationToken) {
    let Serving { client, clock, tasks, listener, protection, ingresses, outbox, lookback, rate, metrics } = serving;
    let server = Arc::new(Server {
        access: Access::new(client.clone()),
        outbox: Outbox { client: client.clone(), inbox: outbox },
        clock,
        ingresses,
        lookback,
        limiter: Limiter::new(rate),
        room: Arc::new(Semaphore::new(ROOM as usize)),
        counters: Counters::default(),
        metrics,
    });
    let router = Router::new()
        .route("/v1/workspaces/{workspace}/events", post(events))
        .route("/v1/workspaces/{workspace}/mlflow", post(webhook))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .with_state(server.clone());
    let upkeep = async {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            server.counters.write(&client).await;
            let known = server.ingresses.borrow().clone().unwrap_or_default();
            server.limiter.keep_only(|workspace| known.contains_key(workspace));
        }
    };
    tokio::select! {
        () = listen::serve(listener, router, protection, &tasks, &stop) => {}
        () = upkeep => {}
    }
    server.counters.write(&client).await;
}

async fn events(State(server): State<Arc<Server>>, Path(workspace): Path<String>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let begun = Instant::now();
    let answers = server.events(&workspace, &parts, body).await;
    server.respond(&workspace, answers, begun)
}

async fn webhook(State(server): State<Arc<Server>>, Path(workspace): Path<String>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let begun = Instant::now();
    let answers = server.webhook(&workspace, &parts, body).await;
    server.respond(&workspace, answers, begun)
}

impl Server {
    /// `CloudEvents` of somebody with a token.
    async fn events(&self, workspace: &str, parts: &Parts, body: Body) -> Result<Vec<Answer>, Refusal> {
        let publisher = self.access.authenticate(&parts.headers).await?;
        let ingress = self.ingress(workspace)?.ok_or_else(|| forbidden(workspace))?;
        self.access.authorize(&publisher, workspace, &ingress.namespace).await?;
        let answers = self.publish(workspace, &ingress, parts, body).await;
        if let Err(refusal) = &answers {
            let (publisher, reason) = (publisher.name(), refusal.reason());
            tracing::info!(workspace, publisher, reason, %refusal, "publishing was refused");
        }
        self.count(workspace, &ingress, &answers);
        answers
    }

    async fn publish(
        &self,
        workspace: &str,
        ingress: &Ingress,
        parts: &Parts,
        body: Body,
    ) -> Result<Vec<Answer>, Refusal> {
        if !ingress.in_force {
            return Err(not_in_force());
        }
        self.within_limit(workspace, 0)?;
        let mode = Mode::of(&parts.headers)?;
        let _room = self.room_for(&parts.headers, mode.longest()).await?;
        let body = read(&parts.headers, body, mode.longest()).await?;
        let arrival = self.arrival(workspace, ingress);
        let batch = mode == Mode::Batch;
        let mut events: Vec<(String, Published)> = Vec::new();
        for (index, envelope) in decode(mode, &parts.headers, &body)?.into_iter().enumerate() {
            let id = envelope.id.clone();
            let read = mapping::read(envelope, &arrival);
            events.push((id, if batch { read.map_err(|refusal| refusal.at(index)) } else { read }?));
        }
        self.within_limit(workspace, events.len())?;
        self.outbox.record(events, &arrival).await
    }

    /// A call of a model registry, which has signed it.
    async fn webhook(&self, workspace: &str, parts: &Parts, body: Body) -> Result<Vec<Answer>, Refusal> {
        let ingress = self.ingress(workspace)?;
        let webhook = ingress.as_ref().and_then(|ingress| ingress.mlflow.as_ref());
        let _room = self.room_for(&parts.headers, SINGLE).await?;
        let body = read(&parts.headers, body, SINGLE).await?;
        let secret = webhook.and_then(|webhook| webhook.secret.as_ref());
        let signed = mlflow::check(&parts.headers, &body, secret, self.clock.now())?;
        let (Some(ingress), Some(webhook)) = (&ingress, webhook) else { return Err(forbidden(workspace)) };
        let answers = async {
            if !ingress.in_force {
                return Err(not_in_force());
            }
            self.within_limit(workspace, 1)?;
            let arrival = self.arrival(workspace, ingress);
            let id = signed.delivery.to_owned();
            match mlflow::read(&body, signed.delivery, &webhook.spec, &arrival)? {
                Some(published) => self.outbox.record(vec![(id, published)], &arrival).await,
                None => Ok(vec![Answer { id, result: Fate::Ignored, notice: None }]),
            }
        };
        let answers = answers.await;
        if let Err(refusal) = &answers {
            tracing::info!(workspace, publisher = "mlflow", reason = refusal.reason(), %refusal, "publishing was refused");
        }
        self.count(workspace, ingress, &answers);
        answers
    }

    fn ingress(&self, workspace: &str) -> Result<Option<Ingress>, Refusal> {
        let known = self.ingresses.borrow().clone().ok_or_else(|| Refusal::NotNow {
            reason: "Starting",
            message: "the operator has just started and does not know the workspaces yet".to_owned(),
            wait: Duration::from_secs(1),
        })?;
        Ok(known.get(workspace).cloned())
    }

    fn arrival<'a>(&self, workspace: &'a str, ingress: &'a Ingress) -> Arrival<'a> {
        Arrival { workspace, namespace: &ingress.namespace, now: self.clock.now(), lookback: self.lookback }
    }

    fn within_limit(&self, workspace: &str, events: usize) -> Result<(), Refusal> {
        let count = u32::try_from(events).unwrap_or(u32::MAX);
        let what = "the workspace publishes more events than it may (--bus-rate of the operator)";
        self.limiter.take(workspace, count, Instant::now()).map_err(|wait| Refusal::TooMany { what, wait })
    }

    /// Memory for a body.
    async fn room_for(&self, headers: &HeaderMap, longest: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let bytes = length(headers).unwrap_or(longest).min(longest);
        let needed = u32::try_from(bytes.div_ceil(1024)).unwrap_or(ROOM).clamp(1, ROOM);
        let room = self.room.clone().acquire_many_owned(needed);
        match tokio::time::timeout(ROOM_WAIT, room).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn count(&self, workspace: &str, ingress: &Ingress, answers: &Result<Vec<Answer>, Refusal>) {
        let mut counts = EventBusCounters::default();
        match answers {
            Ok(answers) => answers.iter().for_each(|answer| counts.add(answer.result.counts())),
            Err(_) => counts.refused = 1,
        }
        self.counters.add(&ingress.namespace, workspace, counts);
    }

    fn respond(&self, workspace: &str, answers: Result<Vec<Answer>, Refusal>, begun: Instant) -> Response {
        let response = match answers {
            Ok(answers) => {
                for answer in &answers {
                    self.metrics.events.get_or_create(&ResultLabel { result: answer.result.label() }).inc();
                }
                tracing::debug!(workspace, events = answers.len(), "published");
                (StatusCode::ACCEPTED, Json(json!({"events": answers}))).into_response()
            }
            Err(refusal) => refusal.into_response(),
        };
        self.metrics.requests.get_or_create(&CodeLabel { code: response.status().as_u16() }).inc();
        self.metrics.latency.observe(begun.elapsed().as_secs_f64());
        response
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body, within its size and its time.
async fn read(headers: &HeaderMap, body: Body, longest: usize) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        let message = format!(
            "the body is longer than {} KiB; leave out what receivers do not need, or send less at once",
            longest / 1024
        );
        Refusal::TooLarge(message)
    };
    if length(headers).is_some_and(|length| length > MOST_READ) {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let collected = async {
        let (mut bytes, mut seen) = (Vec::new(), 0_usize);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::malformed("the body ended before it was complete"))?;
            seen = seen.saturating_add(chunk.len());
            if seen <= longest {
                bytes.extend_from_slice(&chunk);
            } else if seen > MOST_READ {
                break;
            }
        }
        if seen > longest { Err(too_large()) } else { Ok(bytes) }
    };
    tokio::time::timeout(BODY, collected).await.unwrap_or(Err(Refusal::TooSlow(BODY)))
}

#[cfg(test)]
mod tests;
