//! Leader election on a Lease (`coordination.k8s.io/v1`).
//!
//! Every write carries the resourceVersion that the decision was made on, so that two replicas cannot both win. How old
//! another holder's claim is, is measured on this machine's monotonic clock from when its last renewal was *seen*:
//! clocks need not agree. Who has led and cannot renew in time has lost, and its process ends: its successor must not find
//! it still sending.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::deadline::{self, ApiError};

/// A claim that was not renewed for this long may be taken over.
const LEASE: Duration = Duration::from_secs(15);
/// How often a leader renews.
const RENEW: Duration = Duration::from_secs(3);
/// A leader that could not renew for this long has lost; less than [`LEASE`], so that it stops before another starts.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often a standby looks.
const LOOK: Duration = Duration::from_secs(1);

/// Who wants to lead, and where the Lease is.
#[derive(Clone)]
pub struct Candidate {
    /// API client.
    pub client: Client,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Name of this process, unique among the replicas.
    pub identity: String,
}

/// The leadership is lost; the process has to end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum LeadershipLost {
    /// Another replica has the Lease.
    #[error("another replica has taken the Lease")]
    Taken,
    /// The Lease could not be renewed.
    #[error("the Lease could not be renewed for {} s", GIVE_UP.as_secs())]
    NotRenewed,
}

/// What the Lease says, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    holder: Option<String>,
    /// Changes with every renewal.
    mark: Option<String>,
    at: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// It is free, or its holder has not renewed in time, or it is ours.
    Claim,
    /// Somebody else has it.
    Wait,
}

fn decide(seen: &Seen, me: &str, now: Instant) -> Action {
    match &seen.holder {
        None => Action::Claim,
        Some(holder) if holder.is_empty() || holder == me => Action::Claim,
        Some(_) if now.duration_since(seen.at) >= LEASE => Action::Claim,
        Some(_) => Action::Wait,
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The Lease is ours, freshly renewed.
    Ours,
    /// Somebody else has it.
    Theirs,
    /// Somebody wrote to it meanwhile (another candidate, or a person with kubectl): only another look tells.
    Unclear,
}

/// What comes after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Too late to renew: another may lead soon.
    Lost,
    /// Another round after this pause.
    RoundIn(Duration),
}

/// `confirmed` is when the last renewal that succeeded was *begun*, on a leader.
fn after(confirmed: Option<Instant>, now: Instant) -> Next {
    let Some(confirmed) = confirmed else { return Next::RoundIn(LOOK) };
    let age = now.duration_since(confirmed);
    if age >= GIVE_UP {
        Next::Lost
    } else if age < RENEW {
        Next::RoundIn(RENEW.saturating_sub(age))
    } else {
        Next::RoundIn(LOOK.min(GIVE_UP.saturating_sub(age)))
    }
}

/// Takes part in the election until `stop` is cancelled; `leading` becomes true once this replica leads.
///
/// # Errors
/// [`LeadershipLost`] if it has led and does not any more.
pub async fn run(
    candidate: &Candidate,
    clock: &dyn Clock,
    leading: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> Result<(), LeadershipLost> {
    let api: Api<Lease> = Api::namespaced(candidate.client.clone(), &candidate.namespace);
    let mut seen: Option<Seen> = None;
    let mut confirmed: Option<Instant> = None;
    loop {
        let began = Instant::now();
        // Two calls that are each within their deadline may together take longer than a leader has.
        let until = confirmed.map(|confirmed| confirmed + GIVE_UP);
        let standing = tokio::select! {
            standing = round(&api, candidate, clock, &mut seen) => standing,
            () = reached(until) => return Err(LeadershipLost::NotRenewed),
            () = stop.cancelled() => return Ok(()),
        };
        match standing {
            Ok(Standing::Ours) => {
                confirmed = Some(began);
                if announce(leading) {
                    tracing::info!(identity = candidate.identity, "leading");
                }
            }
            Ok(Standing::Theirs) if confirmed.is_some() => return Err(LeadershipLost::Taken),
            Ok(Standing::Theirs | Standing::Unclear) => {}
            Err(error) => tracing::warn!(%error, "the Lease could not be read or written"),
        }
        match after(confirmed, Instant::now()) {
            Next::Lost => return Err(LeadershipLost::NotRenewed),
            Next::RoundIn(pause) => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return Ok(()),
            },
        }
    }
}

/// Tells that this replica leads; whether that is news. Renewals are not: whoever listens takes over once, not every few
/// seconds.
fn announce(leading: &watch::Sender<bool>) -> bool {
    leading.send_if_modified(|leads| !std::mem::replace(leads, true))
}

async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Gives the Lease back, so that a standby need not wait for it to run out. Call when everything has ended.
pub async fn release(candidate: &Candidate) {
    let api: Api<Lease> = Api::namespaced(candidate.client.clone(), &candidate.namespace);
    let released = async {
        let Some(mut lease) = deadline::read(api.get_opt(&candidate.name)).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&candidate.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        deadline::write(api.replace(&candidate.name, &PostParams::default(), &lease)).await.map(|_| ())
    };
    let released: Result<(), ApiError> = released.await;
    if let Err(error) = released {
        tracing::warn!(%error, "the Lease could not be given back; it runs out by itself");
    }
}

async fn round(
    api: &Api<Lease>,
    candidate: &Candidate,
    clock: &dyn Clock,
    seen: &mut Option<Seen>,
) -> Result<Standing, ApiError> {
    let found = deadline::read(api.get_opt(&candidate.name)).await?;
    let fresh = look(found.as_ref());
    // What has not changed is as old as when it was first seen.
    let known = match seen.take() {
        Some(known) if known.holder == fresh.holder && known.mark == fresh.mark => known,
        _ => fresh,
    };
    let action = decide(&known, &candidate.identity, Instant::now());
    *seen = Some(known);
    if action == Action::Wait {
        return Ok(Standing::Theirs);
    }
    match claim(api, candidate, clock, found).await {
        Ok(()) => Ok(Standing::Ours),
        Err(error) if error.is_conflict() || error.is_already_exists() => Ok(Standing::Unclear),
        Err(error) => Err(error),
    }
}

fn look(lease: Option<&Lease>) -> Seen {
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    Seen {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        mark: lease.and_then(|lease| lease.metadata.resource_version.clone()),
        at: Instant::now(),
    }
}

async fn claim(
    api: &Api<Lease>,
    candidate: &Candidate,
    clock: &dyn Clock,
    found: Option<Lease>,
) -> Result<(), ApiError> {
    let now = MicroTime(clock.now());
    let seconds = i32::try_from(LEASE.as_secs()).unwrap_or(15);
    let Some(mut lease) = found else {
        let spec = LeaseSpec {
            holder_identity: Some(candidate.identity.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { name: Some(candidate.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        return deadline::write(api.create(&PostParams::default(), &lease)).await.map(|_| ());
    };
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(&candidate.identity) {
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        spec.acquire_time = Some(now.clone());
        spec.holder_identity = Some(candidate.identity.clone());
    }
    spec.lease_duration_seconds = Some(seconds);
    spec.renew_time = Some(now);
    // Carries the resourceVersion that was read.
    deadline::write(api.replace(&candidate.name, &PostParams::default(), &lease)).await.map(|_| ())
}

#[cfg(test)]
mod tests;
