//! Hands what was published to the outbox and waits until every Notice is stored.

use std::time::Duration;

use kube::{Api, Client};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::mapping::{Arrival, Published};
use super::refusal::Refusal;
use crate::api::Notice;
use crate::api::event_bus::EventBusCounters;
use crate::cluster::deadline;
use crate::lifecycle::identity::notice_name;
use crate::outbox::recorder::Publication;
use crate::outbox::store::Recorded;

/// Longest wait until one event is stored.
const LONGEST: Duration = Duration::from_secs(10);
/// What each further event of a batch may take: those of one subject are stored one after the other.
const EACH: Duration = Duration::from_millis(50);

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Fate {
    /// It is stored as a Notice.
    Stored,
    /// It was published before, and is not notified again.
    Duplicate,
    /// No rule wants it.
    Unmatched,
    /// It is older than the operator's look-back limit.
    TooOld,
    /// It is of no interest: a webhook that tells of nothing that has an event type.
    Ignored,
}

impl Fate {
    /// Label for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Unmatched => "unmatched",
            Self::TooOld => "too_old",
            Self::Ignored => "ignored",
        }
    }

    /// What it counts as on the bus.
    #[must_use]
    pub fn counts(self) -> EventBusCounters {
        EventBusCounters {
            accepted: 1,
            matched: i64::from(self == Self::Stored),
            duplicates: i64::from(self == Self::Duplicate),
            refused: 0,
        }
    }
}

/// The answer to one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `id` of the event, as it was published.
    pub id: String,
    /// What became of it.
    pub result: Fate,
    /// Name of its Notice, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The way to the outbox.
#[derive(Clone)]
pub struct Outbox {
    /// API client.
    pub client: Client,
    /// Takes publications.
    pub inbox: mpsc::Sender<Publication>,
}

impl Outbox {
    /// Records events, each with its `id` as published.
    ///
    /// # Errors
    /// [`Refusal::NotNow`] if one of them could not be stored. Others may be stored all the same.
    pub async fn record(
        &self,
        events: Vec<(String, Published)>,
        arrival: &Arrival<'_>,
    ) -> Result<Vec<Answer>, Refusal> {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let deadline = Instant::now() + LONGEST + EACH.saturating_mul(count);
        let mut waiting = Vec::with_capacity(events.len());
        for (id, published) in events {
            waiting.push((id, self.hand_over(published, arrival).await?));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (id, handed) in waiting {
            answers.push(handed.answer(id, deadline).await?);
        }
        Ok(answers)
    }

    async fn hand_over(&self, published: Published, arrival: &Arrival<'_>) -> Result<Handed, Refusal> {
        let Published { observation, origin } = published;
        let subject = &observation.subject.name;
        if let Some(own) = origin.own_event(arrival) {
            let name = notice_name(own, observation.source, observation.detected.transition, subject);
            if self.has_notice(arrival.namespace, &name, own).await? {
                return Ok(Handed::Own(name));
            }
        }
        let name = observation.key(arrival.workspace).notice_name(subject);
        let (answer, told) = oneshot::channel();
        match self.inbox.try_send(Publication { observation, answer }) {
            Ok(()) => Ok(Handed::Asked(name, told)),
            Err(_) => Err(busy()),
        }
    }

    /// Whether an event that comes round is recorded here already.
    async fn has_notice(&self, namespace: &str, name: &str, id: &str) -> Result<bool, Refusal> {
        let api: Api<Notice> = Api::namespaced(self.client.clone(), namespace);
        match deadline::read(api.get_opt(name)).await {
            Ok(found) => Ok(found.is_some_and(|notice| notice.spec.event.id == id)),
            Err(error) => {
                tracing::warn!(%error, reason = error.label(), "could not look whether an event is recorded already");
                Err(not_stored())
            }
        }
    }
}

/// An event on its way.
enum Handed {
    /// It has come round: this is its Notice.
    Own(String),
    /// The outbox has it; its Notice would have this name.
    Asked(String, oneshot::Receiver<Recorded>),
}

impl Handed {
    async fn answer(self, id: String, deadline: Instant) -> Result<Answer, Refusal> {
        let (name, told) = match self {
            Self::Own(name) => return Ok(Answer { id, result: Fate::Duplicate, notice: Some(name) }),
            Self::Asked(name, told) => (name, told),
        };
        let Ok(Ok(recorded)) = tokio::time::timeout_at(deadline, told).await else { return Err(not_stored()) };
        let (result, notice) = match recorded {
            Recorded::Stored => (Fate::Stored, Some(name)),
            Recorded::Duplicate => (Fate::Duplicate, Some(name)),
            Recorded::Unmatched => (Fate::Unmatched, None),
            Recorded::TooOld => (Fate::TooOld, None),
            Recorded::NotInForce => return Err(not_in_force()),
            Recorded::Refused => return Err(not_stored()),
        };
        Ok(Answer { id, result, notice })
    }
}

/// The workspace is activated, but access is not granted.
#[must_use]
pub fn not_in_force() -> Refusal {
    let message = "access to the workspace's namespace is not granted (any more), so nothing can be recorded; \
                   `kubectl describe workspace` says what is missing";
    Refusal::NotNow { reason: "WorkspaceNotInForce", message: message.to_owned(), wait: Duration::from_secs(10) }
}

/// More has come than can be stored.
#[must_use]
pub fn busy() -> Refusal {
    let message = "more is being published than can be stored at this moment".to_owned();
    Refusal::NotNow { reason: "Busy", message, wait: Duration::from_secs(1) }
}

fn not_stored() -> Refusal {
    let message = "the API server has not confirmed that everything is stored".to_owned();
    Refusal::NotNow { reason: "NotStored", message, wait: Duration::from_secs(5) }
}
