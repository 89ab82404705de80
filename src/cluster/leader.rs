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

/// Takes part in the election until `stop` is cancelled; then gives the Lease back. `leading` becomes true once this
/// replica leads.
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
    let mut renewed = Instant::now();
    loop {
        let round = round(&api, candidate, clock, &mut seen).await;
        match round {
            Ok(Action::Claim) => {
                renewed = Instant::now();
                if announce(leading) {
                    tracing::info!(identity = candidate.identity, "leading");
                }
            }
            Ok(Action::Wait) if *leading.borrow() => return Err(LeadershipLost::Taken),
            Ok(Action::Wait) => {}
            Err(error) => tracing::warn!(%error, "the Lease could not be read or written"),
        }
        if *leading.borrow() && renewed.elapsed() >= GIVE_UP {
            return Err(LeadershipLost::NotRenewed);
        }
        let pause = if *leading.borrow() && renewed.elapsed() < RENEW { RENEW } else { LOOK };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(())
}

/// Tells that this replica leads; whether that is news. Renewals are not: whoever listens takes over once, not every few
/// seconds.
fn announce(leading: &watch::Sender<bool>) -> bool {
    leading.send_if_modified(|leads| !std::mem::replace(leads, true))
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
) -> Result<Action, ApiError> {
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
        return Ok(action);
    }
    match claim(api, candidate, clock, found).await {
        Ok(()) => Ok(Action::Claim),
        // Somebody was faster.
        Err(error) if error.is_conflict() || error.is_already_exists() => Ok(Action::Wait),
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
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_taken_over_only_when_it_has_run_out() {
        let start = Instant::now();
        let seen = |holder: Option<&str>| Seen { holder: holder.map(str::to_owned), mark: None, at: start };
        let table = [
            (None, 0, Action::Claim),
            (Some(""), 0, Action::Claim),
            (Some("me"), 0, Action::Claim),
            (Some("me"), 100, Action::Claim),
            (Some("other"), 0, Action::Wait),
            (Some("other"), 14, Action::Wait),
            (Some("other"), 15, Action::Claim),
        ];
        for (holder, seconds, expected) in table {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(decide(&seen(holder), "me", now), expected, "{holder:?} after {seconds} s");
        }
    }

    #[test]
    fn a_renewal_is_no_news() {
        let (leading, mut listener) = watch::channel(false);
        assert!(announce(&leading));
        assert!(*listener.borrow_and_update());
        assert!(!announce(&leading));
        assert!(!listener.has_changed().unwrap(), "nobody takes over again");
    }

    #[test]
    fn a_leader_gives_up_before_another_may_take_over() {
        assert!(GIVE_UP + RENEW < LEASE);
    }
}
