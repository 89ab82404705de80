use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

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

#[tokio::test(start_paused = true)]
async fn a_leader_renews_every_three_seconds_then_hurries_and_gives_up_before_another_may_take_over() {
    let start = Instant::now();
    let table = [
        (None, 100_000, Next::RoundIn(LOOK)),
        (Some(start), 0, Next::RoundIn(RENEW)),
        (Some(start), 1_000, Next::RoundIn(Duration::from_secs(2))),
        (Some(start), 3_000, Next::RoundIn(LOOK)),
        (Some(start), 9_500, Next::RoundIn(Duration::from_millis(500))),
        (Some(start), 10_000, Next::Lost),
        (Some(start), 30_000, Next::Lost),
    ];
    for (confirmed, milliseconds, expected) in table {
        let now = start + Duration::from_millis(milliseconds);
        assert_eq!(after(confirmed, now), expected, "{confirmed:?} after {milliseconds} ms");
    }
    assert!(GIVE_UP < LEASE);
}

#[test]
fn a_renewal_is_no_news() {
    let (leading, mut listener) = watch::channel(false);
    assert!(announce(&leading));
    assert!(*listener.borrow_and_update());
    assert!(!announce(&leading));
    assert!(!listener.has_changed().unwrap(), "nobody takes over again");
}

/// An API server that holds one Lease.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    lease: Option<Value>,
    version: u64,
    hangs: bool,
    /// A person writes to the Lease between the next read and the next write.
    interferes: bool,
}

impl Server {
    fn candidate(&self, identity: &str) -> Candidate {
        let one = "/apis/coordination.k8s.io/v1/namespaces/ours/leases/the-lease";
        let all = "/apis/coordination.k8s.io/v1/namespaces/ours/leases";
        let router = Router::new()
            .route(one, get(read).put(replace))
            .route(all, axum::routing::post(create))
            .with_state(self.clone());
        Candidate {
            client: Client::new(router, "ours"),
            namespace: "ours".to_owned(),
            name: "the-lease".to_owned(),
            identity: identity.to_owned(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn holder(&self) -> Option<String> {
        self.with(|held| held.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(str::to_owned))
    }

    async fn hang_if_told(&self) {
        if self.with(|held| held.hangs) {
            std::future::pending::<()>().await;
        }
    }
}

impl Held {
    fn store(&mut self, mut lease: Value) -> Response {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        Json(lease).into_response()
    }
}

fn refusal(code: StatusCode, reason: &str) -> Response {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(),
        "reason": reason, "message": reason});
    (code, Json(status)).into_response()
}

async fn read(State(server): State<Server>) -> Response {
    server.hang_if_told().await;
    server.with(|held| {
        let answer = held.lease.clone();
        if std::mem::take(&mut held.interferes)
            && let Some(lease) = answer.clone()
        {
            held.store(lease);
        }
        answer.map_or_else(|| refusal(StatusCode::NOT_FOUND, "NotFound"), |lease| Json(lease).into_response())
    })
}

async fn create(State(server): State<Server>, Json(lease): Json<Value>) -> Response {
    server.hang_if_told().await;
    server.with(|held| match &held.lease {
        Some(_) => refusal(StatusCode::CONFLICT, "AlreadyExists"),
        None => held.store(lease),
    })
}

async fn replace(State(server): State<Server>, Json(lease): Json<Value>) -> Response {
    server.hang_if_told().await;
    server.with(|held| {
        if lease["metadata"]["resourceVersion"] == json!(held.version.to_string()) {
            held.store(lease)
        } else {
            refusal(StatusCode::CONFLICT, "Conflict")
        }
    })
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A candidate that runs.
struct Running {
    candidate: Candidate,
    leading: watch::Receiver<bool>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<Result<(), LeadershipLost>>,
}

#[expect(clippy::disallowed_methods, reason = "the test waits for the task itself")]
fn run_for(server: &Server, identity: &str) -> Running {
    let (candidate, stop) = (server.candidate(identity), CancellationToken::new());
    let (sender, leading) = watch::channel(false);
    let (ours, until) = (candidate.clone(), stop.clone());
    let ended = tokio::spawn(async move { run(&ours, &FixedClock, &sender, &until).await });
    Running { candidate, leading, stop, ended }
}

async fn leads_within(running: &mut Running, longest: Duration) -> bool {
    matches!(tokio::time::timeout(longest, running.leading.wait_for(|&leading| leading)).await, Ok(Ok(_)))
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_takes_over_when_it_falls_silent() {
    let server = Server::default();
    let mut first = run_for(&server, "first");
    assert!(leads_within(&mut first, Duration::from_secs(2)).await);
    let mut second = run_for(&server, "second");
    assert!(!leads_within(&mut second, Duration::from_mins(1)).await, "the first one renews");
    first.ended.abort();
    assert!(!leads_within(&mut second, Duration::from_secs(11)).await, "too early");
    assert!(leads_within(&mut second, Duration::from_secs(6)).await);
    assert_eq!(server.holder().as_deref(), Some("second"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_calls_hang_has_lost_before_its_lease_runs_out() {
    let server = Server::default();
    let mut first = run_for(&server, "first");
    assert!(leads_within(&mut first, Duration::from_secs(2)).await);
    let from = Instant::now();
    server.with(|held| held.hangs = true);
    assert!(matches!(first.ended.await.unwrap(), Err(LeadershipLost::NotRenewed)));
    assert!(from.elapsed() <= GIVE_UP, "{:?}", from.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_person_touched_is_not_lost_but_one_that_another_took_is() {
    let server = Server::default();
    let mut first = run_for(&server, "first");
    assert!(leads_within(&mut first, Duration::from_secs(2)).await);
    server.with(|held| held.interferes = true);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!first.ended.is_finished());
    server.with(|held| {
        let mut lease = held.lease.clone().unwrap();
        lease["spec"]["holderIdentity"] = json!("usurper");
        held.store(lease);
    });
    assert!(matches!(first.ended.await.unwrap(), Err(LeadershipLost::Taken)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_back_is_taken_at_once() {
    let server = Server::default();
    let mut first = run_for(&server, "first");
    assert!(leads_within(&mut first, Duration::from_secs(2)).await);
    let mut second = run_for(&server, "second");
    assert!(!leads_within(&mut second, Duration::from_secs(5)).await);
    first.stop.cancel();
    assert!(first.ended.await.unwrap().is_ok());
    release(&first.candidate).await;
    assert_eq!(server.holder(), None);
    assert!(leads_within(&mut second, LOOK + Duration::from_millis(100)).await);
}
