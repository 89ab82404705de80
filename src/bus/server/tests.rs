//! The ingress against an API server that is played by a router.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::*;
use crate::cluster::clock::SystemClock;
use crate::outbox::store::Recorded;

/// What the API server was asked, and how it answers.
#[derive(Default)]
struct ApiServer {
    tokens: AtomicUsize,
    rights: AtomicUsize,
    down: AtomicBool,
    last: Mutex<Value>,
}

impl ApiServer {
    fn client(self: &Arc<Self>) -> Client {
        let (tokens, rights) = (self.clone(), self.clone());
        let token = move |Json(review): Json<Value>| {
            let server = tokens.clone();
            async move {
                server.tokens.fetch_add(1, Ordering::Relaxed);
                let name = review["spec"]["token"].as_str().unwrap_or_default().strip_prefix("token-of-");
                let user = name.map(|name| json!({"username": name, "groups": ["system:authenticated"]}));
                answer(
                    &server,
                    json!({"spec": {"token": ""}, "status": {"authenticated": user.is_some(), "user": user}}),
                )
            }
        };
        let right = move |Json(review): Json<Value>| {
            let server = rights.clone();
            async move {
                server.rights.fetch_add(1, Ordering::Relaxed);
                let allowed = review["spec"]["user"] == "ci";
                *server.last.lock().unwrap() = review["spec"].clone();
                answer(&server, json!({"spec": {}, "status": {"allowed": allowed}}))
            }
        };
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(right));
        Client::new(router, "default")
    }
}

fn answer(server: &ApiServer, body: Value) -> Response {
    if server.down.load(Ordering::Relaxed) {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "reason": "InternalError"});
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(status)).into_response();
    }
    Json(body).into_response()
}

struct Bus {
    api: Arc<ApiServer>,
    server: Server,
    /// What the recorder has got.
    inbox: mpsc::Receiver<Publication>,
}

impl Bus {
    /// With workspace `vision`, in force, and `dormant`, whose access is not granted.
    fn new(rate: u32) -> Self {
        let api = Arc::new(ApiServer::default());
        let client = api.client();
        let ingress = |in_force| Ingress {
            namespace: "vision-ns".to_owned(),
            in_force,
            mlflow: None,
            retained: SignedDuration::from_hours(72),
            polled: Vec::new(),
        };
        let ingresses = [("vision".to_owned(), ingress(true)), ("dormant".to_owned(), ingress(false))];
        let (sender, inbox) = mpsc::channel(4);
        let server = Server {
            access: Access::new(client.clone()),
            outbox: Outbox { client, inbox: sender },
            clock: Arc::new(SystemClock),
            ingresses: watch::Sender::new(Some(Arc::new(Ingresses::from(ingresses)))).subscribe(),
            lookback: SignedDuration::from_hours(24),
            limiter: Limiter::new(rate),
            room: Arc::new(Semaphore::new(ROOM as usize)),
            counters: Counters::default(),
            metrics: BusMetrics::default(),
        };
        Self { api, server, inbox }
    }

    async fn publish(&self, workspace: &str, token: &str, body: &Value) -> Result<Vec<Answer>, Refusal> {
        let mode = if body.is_array() { "application/cloudevents-batch+json" } else { "application/cloudevents+json" };
        let request = Request::builder()
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, mode)
            .body(Body::from(body.to_string()))
            .unwrap();
        let (parts, body) = request.into_parts();
        self.server.events(workspace, &parts, body).await
    }

    /// Publishes one event, which the recorder answers so.
    async fn answered(&mut self, recorded: Option<Recorded>) -> Result<Vec<Answer>, Refusal> {
        let (api, event) = (self.api.clone(), event("1"));
        let Self { server, inbox, .. } = self;
        let request = Request::builder()
            .header(header::AUTHORIZATION, "Bearer token-of-ci")
            .header(header::CONTENT_TYPE, "application/cloudevents+json")
            .body(Body::from(event.to_string()))
            .unwrap();
        let (parts, body) = request.into_parts();
        let answering = async {
            let publication = inbox.recv().await.unwrap();
            match recorded {
                Some(recorded) => publication.answer.send(recorded).unwrap(),
                None => std::future::pending().await,
            }
            std::future::pending::<()>().await;
        };
        let answers = tokio::select! {
            answers = server.events("vision", &parts, body) => answers,
            () = answering => unreachable!(),
        };
        drop(api);
        answers
    }
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/ci", "type": "pai.dlc.job.failed", "subject": "a"})
}

#[tokio::test]
async fn the_right_is_asked_for_the_bus_of_the_workspace_and_the_answer_is_kept() {
    let mut bus = Bus::new(0);
    for _ in 0..3 {
        let answers = bus.answered(Some(Recorded::Stored)).await.unwrap();
        assert_eq!((answers.len(), answers[0].result), (1, Fate::Stored));
    }
    assert_eq!((bus.api.tokens.load(Ordering::Relaxed), bus.api.rights.load(Ordering::Relaxed)), (1, 1));
    let asked = bus.api.last.lock().unwrap().clone();
    assert_eq!((&asked["user"], &asked["groups"]), (&json!("ci"), &json!(["system:authenticated"])));
    assert_eq!(
        asked["resourceAttributes"],
        json!({"group": "notification.pai.dev", "resource": "eventbuses", "verb": "publish",
            "name": "pai-system-vision", "namespace": "vision-ns"})
    );
}

#[tokio::test]
async fn each_refusal_has_its_status_and_nothing_reaches_the_recorder() {
    let mut bus = Bus::new(0);
    for (workspace, token, status) in [
        ("vision", "nonsense", 401),
        ("unknown", "nonsense", 401),
        ("vision", "token-of-stranger", 403),
        ("unknown", "token-of-ci", 403),
        ("dormant", "token-of-stranger", 403),
        ("dormant", "token-of-ci", 503),
    ] {
        let refusal = bus.publish(workspace, token, &event("1")).await.unwrap_err();
        assert_eq!(refusal.status(), status, "{workspace} {token}: {refusal}");
    }
    bus.api.down.store(true, Ordering::Relaxed);
    for token in ["token-of-another", "token-of-a-third"] {
        let refusal = bus.publish("vision", token, &event("1")).await.unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.reason()), (503, "ApiServerUnavailable"), "{refusal}");
    }
    assert!(bus.inbox.try_recv().is_err());
    bus.server.ingresses = watch::Sender::new(None).subscribe();
    bus.api.down.store(false, Ordering::Relaxed);
    let refusal = bus.publish("vision", "token-of-ci", &event("1")).await.unwrap_err();
    assert_eq!((refusal.status().as_u16(), refusal.reason()), (503, "Starting"));
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_what_the_recorder_says_and_503_if_it_says_nothing() {
    for (recorded, expected) in [
        (Some(Recorded::Stored), Ok((Fate::Stored, true))),
        (Some(Recorded::Duplicate), Ok((Fate::Duplicate, true))),
        (Some(Recorded::Unmatched), Ok((Fate::Unmatched, false))),
        (Some(Recorded::TooOld), Ok((Fate::TooOld, false))),
        (Some(Recorded::NotInForce), Err("WorkspaceNotInForce")),
        (Some(Recorded::Refused), Err("NotStored")),
        (None, Err("NotStored")),
    ] {
        let answers = Bus::new(0).answered(recorded).await;
        let told = answers.as_ref().map(|answers| (answers[0].result, answers[0].notice.is_some()));
        assert_eq!(told.map_err(Refusal::reason), expected, "{recorded:?}");
        assert!(answers.err().is_none_or(|refusal| refusal.status() == 503));
    }
}

#[tokio::test]
async fn more_than_the_recorder_can_hold_is_refused_for_now() {
    let bus = Bus::new(0);
    let batch: Vec<Value> = (0..5).map(|number| event(&number.to_string())).collect();
    let refusal = bus.publish("vision", "token-of-ci", &Value::from(batch)).await.unwrap_err();
    assert_eq!((refusal.status().as_u16(), refusal.reason()), (503, "Busy"));
}

#[tokio::test(start_paused = true)]
async fn who_publishes_too_much_is_told_how_long_to_wait() {
    let mut bus = Bus::new(1);
    for _ in 0..4 {
        assert!(bus.answered(Some(Recorded::Stored)).await.is_ok());
    }
    let refusal = bus.answered(Some(Recorded::Stored)).await.unwrap_err();
    assert_eq!(refusal.status(), 429);
    let response = refusal.into_response();
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(bus.answered(Some(Recorded::Stored)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_within_its_size_and_its_time() {
    let read_all = async |headers: &[(&str, &str)], body: Body| {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        read(&pairs.collect(), body, SINGLE).await.map(|bytes| bytes.len()).map_err(|refusal| refusal.status().as_u16())
    };
    let chunks = |count: usize| {
        let chunk = || Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]);
        Body::from_stream(futures::stream::iter(std::iter::repeat_with(chunk).take(count)))
    };
    assert_eq!(read_all(&[], Body::empty()).await, Ok(0));
    assert_eq!(read_all(&[], chunks(4)).await, Ok(SINGLE));
    assert_eq!(read_all(&[], chunks(5)).await, Err(413));
    assert_eq!(read_all(&[], chunks(1_000_000)).await, Err(413), "not read to its end");
    assert_eq!(read_all(&[("content-length", "99999999")], Body::empty()).await, Err(413));
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    assert_eq!(read_all(&[], Body::from_stream(never)).await, Err(408));
    let broken = futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]);
    assert_eq!(read_all(&[], Body::from_stream(broken)).await, Err(400));
}

#[tokio::test]
async fn without_a_webhook_the_answer_is_that_of_a_wrong_signature() {
    let bus = Bus::new(0);
    let call = async |workspace: &str| {
        let now = SystemClock.now().as_second();
        let request = Request::builder()
            .header("x-mlflow-delivery-id", "d1")
            .header("x-mlflow-timestamp", now)
            .header("x-mlflow-signature", "v1,AAAA")
            .body(Body::from("{}"))
            .unwrap();
        let (parts, body) = request.into_parts();
        bus.server.webhook(workspace, &parts, body).await.unwrap_err()
    };
    assert_eq!(call("vision").await, call("unknown").await);
    assert_eq!(call("vision").await.status(), 401);
}
