//! Receivers for tests and the demo: `DingTalk` robots and HTTP endpoints that check what the real ones check.
//!
//! One [`Receiver`] is one port. On it live any number of inboxes: robots at `/robot/send?access_token=...`, endpoints
//! at any other path. Every POST is recorded with its verdict; what the receiver's people would see is recorded once
//! more as a [`Message`], a repeat of the same id only as a post. An inbox or the whole port misbehaves on demand.
//! Nothing here uses the crate under test, so that an error there cannot hide itself. Start at [`Receiver`].

#[path = "robot/dingtalk.rs"]
mod dingtalk;
#[path = "robot/door.rs"]
mod door;
#[path = "robot/endpoint.rs"]
mod endpoint;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::sync::{broadcast, watch};

pub use dingtalk::Robot;
use door::{Door, Peer};
pub use endpoint::Endpoint;

/// Larger bodies are cut off by the receiver itself.
const MAX_BODY: usize = 1 << 20;

/// What an inbox does with the next POST.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// Checks it and answers like the real one.
    #[default]
    Ok,
    /// Answers this without looking; nothing is shown.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// Reads the request and never answers; nothing is shown.
    Hang,
    /// Reads the request and resets the connection; nothing is shown.
    Reset,
    /// Shows the message, then resets the connection: the sender cannot know.
    LoseReply,
    /// Waits, then does as `Ok`.
    Slow(Duration),
}

impl Behaviour {
    /// A JSON body inside HTTP 200, as robots report their errors.
    #[must_use]
    pub fn code(errcode: i64, errmsg: &str) -> Self {
        Self::Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::json!({"errcode": errcode, "errmsg": errmsg}).to_string(),
        }
    }

    /// An HTTP status with nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }
}

/// What became of one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted and shown.
    Shown,
    /// Accepted, but its id was shown before.
    Repeat,
    /// Refused, with the receiver's code and words.
    Refused {
        /// `errcode` of a robot, HTTP status of an endpoint.
        code: i64,
        /// Why.
        message: String,
    },
    /// Answered by a [`Behaviour`], unread.
    Misbehaved,
}

/// One POST as it came in.
#[derive(Clone, Debug)]
pub struct Post {
    /// Since the receiver was started.
    pub at: Duration,
    /// Name of the inbox; empty where no inbox has this address.
    pub inbox: String,
    /// Path.
    pub path: String,
    /// Query, decoded.
    pub query: BTreeMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, exactly as sent.
    pub body: Bytes,
    /// What became of it.
    pub verdict: Verdict,
}

impl Post {
    /// The body as JSON, `Null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One message as the receiver's people see it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Since the receiver was started.
    pub at: Duration,
    /// Name of the inbox.
    pub inbox: String,
    /// The id that makes a repeat recognisable: `msgUuid`, `webhook-id` or the CloudEvent's source and id.
    pub id: Option<String>,
    /// Title, or the CloudEvent's type.
    pub title: String,
    /// Text, or the CloudEvent's subject.
    pub text: String,
    /// Whether a signature was demanded and found right.
    pub signed: bool,
    /// The whole body.
    pub body: Value,
}

/// A kind of inbox. It decides; the receiver records and answers.
trait Inspect: Send + Sync {
    /// Whether a request is for this inbox.
    fn owns(&self, request: &Incoming<'_>) -> bool;
    /// Checks a request.
    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked;
    /// The reply for a verdict.
    fn answer(&self, verdict: &Verdict) -> Response;
}

/// What an inbox looks at.
struct Incoming<'a> {
    path: &'a str,
    query: &'a BTreeMap<String, String>,
    headers: &'a HeaderMap,
    body: &'a [u8],
    now: SystemTime,
}

/// What an inbox remembers between requests.
#[derive(Default)]
struct Memory {
    accepted_at: VecDeque<SystemTime>,
    blocked_until: Option<SystemTime>,
}

/// What a check comes to.
enum Checked {
    Good { id: Option<String>, title: String, text: String, signed: bool, body: Value },
    Bad { code: i64, message: String },
}

/// A port with inboxes. Closed when dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: tokio::sync::Mutex<Option<Door>>,
}

struct Shared {
    started: Instant,
    state: Mutex<Book>,
    count: watch::Sender<usize>,
    shown: broadcast::Sender<Message>,
}

#[derive(Default)]
struct Book {
    inboxes: Vec<Slot>,
    posts: Vec<Post>,
    messages: Vec<Message>,
    everywhere: Option<Behaviour>,
}

struct Slot {
    name: String,
    kind: Arc<dyn Inspect>,
    next: VecDeque<Behaviour>,
    standing: Behaviour,
    memory: Memory,
    seen: HashSet<String>,
}

/// One inbox of a receiver.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
    name: String,
    url: String,
}

impl Receiver {
    /// Opens a free port on the loopback interface.
    pub async fn start() -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            state: Mutex::default(),
            count: watch::Sender::new(0),
            shown: broadcast::Sender::new(4096),
        });
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0)), router(&shared)).await?;
        Ok(Self { shared, address: door.address(), door: tokio::sync::Mutex::new(Some(door)) })
    }

    /// The URL of a path on this port.
    #[must_use]
    pub fn url_for(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Puts a `DingTalk` robot up; its access token is the inbox's name.
    #[must_use]
    pub fn robot(&self, robot: Robot) -> Inbox {
        let name = robot.token().to_owned();
        let url = self.url_for(&format!("robot/send?access_token={name}"));
        self.add(name, url, Arc::new(robot))
    }

    /// Puts an HTTP endpoint up; its path is the inbox's name.
    #[must_use]
    pub fn endpoint(&self, endpoint: Endpoint) -> Inbox {
        let name = endpoint.path().trim_start_matches('/').to_owned();
        let url = self.url_for(&name);
        self.add(name, url, Arc::new(endpoint))
    }

    fn add(&self, name: String, url: String, kind: Arc<dyn Inspect>) -> Inbox {
        self.shared.lock().inboxes.push(Slot {
            name: name.clone(),
            kind,
            next: VecDeque::new(),
            standing: Behaviour::Ok,
            memory: Memory::default(),
            seen: HashSet::new(),
        });
        Inbox { shared: Arc::clone(&self.shared), name, url }
    }

    /// From now on every inbox does this; `Behaviour::Ok` gives each its own behaviour back.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().everywhere = Some(behaviour).filter(|b| !matches!(b, Behaviour::Ok));
    }

    /// Closes the port and every connection: senders are refused.
    pub async fn down(&self) {
        if let Some(door) = self.door.lock().await.take() {
            door.close().await;
        }
    }

    /// Opens the same port again.
    pub async fn up(&self) -> anyhow::Result<()> {
        let mut door = self.door.lock().await;
        if door.is_none() {
            *door = Some(Door::open(self.address, router(&self.shared)).await?);
        }
        Ok(())
    }

    /// Every POST so far, in the order of arrival.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.shared.lock().posts.clone()
    }

    /// Every message shown so far, repeats left out.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.lock().messages.clone()
    }

    /// Messages from now on, as they are shown.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Message> {
        self.shared.shown.subscribe()
    }

    /// Waits until at least `n` messages were shown on all inboxes together.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> anyhow::Result<Vec<Message>> {
        self.shared.wait_for(n, deadline, |_| true).await
    }
}

impl Inbox {
    /// Name: the robot's access token, the endpoint's path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to send.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What to do from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.slot(|slot| {
            slot.next.clear();
            slot.standing = behaviour;
        });
    }

    /// What to do with the next POSTs, one each, before the standing behaviour holds again.
    pub fn behave_next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.slot(|slot| slot.next.extend(behaviours));
    }

    /// Every POST so far.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.shared.lock().posts.iter().filter(|post| post.inbox == self.name).cloned().collect()
    }

    /// Every message shown so far, repeats left out.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.lock().messages.iter().filter(|message| message.inbox == self.name).cloned().collect()
    }

    /// Waits until at least `n` messages were shown here.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> anyhow::Result<Vec<Message>> {
        self.shared.wait_for(n, deadline, |message| message.inbox == self.name).await
    }

    /// Waits for `n` messages, then for a while in which nothing more may be shown.
    pub async fn wait_for_exactly(
        &self,
        n: usize,
        deadline: Duration,
        quiet: Duration,
    ) -> anyhow::Result<Vec<Message>> {
        self.wait_for(n, deadline).await?;
        if let Ok(more) = self.wait_for(n + 1, quiet).await {
            bail!("{n} messages were expected at {}, these came:\n{}", self.name, list(&more));
        }
        Ok(self.messages())
    }

    fn slot<T>(&self, change: impl FnOnce(&mut Slot) -> T) -> T {
        let mut book = self.shared.lock();
        let slot = book.inboxes.iter_mut().rfind(|slot| slot.name == self.name).expect("an inbox is never removed");
        change(slot)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn wait_for(
        &self,
        n: usize,
        deadline: Duration,
        wanted: impl Fn(&Message) -> bool + Sync,
    ) -> anyhow::Result<Vec<Message>> {
        let mut count = self.count.subscribe();
        let enough = async {
            loop {
                count.borrow_and_update();
                let found: Vec<Message> = self.lock().messages.iter().filter(|m| wanted(m)).cloned().collect();
                if found.len() >= n {
                    return Ok(found);
                }
                count.changed().await.context("the receiver is gone")?;
            }
        };
        if let Ok(found) = tokio::time::timeout(deadline, enough).await {
            return found;
        }
        let book = self.lock();
        let found: Vec<Message> = book.messages.iter().filter(|m| wanted(m)).cloned().collect();
        let refused: Vec<String> = book
            .posts
            .iter()
            .filter(|post| !matches!(post.verdict, Verdict::Shown))
            .map(|post| format!("  {:?} {} {:?}", post.at, post.path, post.verdict))
            .collect();
        bail!(
            "{} of {n} messages after {deadline:?}:\n{}\nposts that were not shown:\n{}",
            found.len(),
            list(&found),
            refused.join("\n")
        );
    }

    /// Takes one POST: records it, and says how to answer.
    fn take(&self, incoming: &Incoming<'_>, slot: Option<usize>, behaviour: &Behaviour) -> Response {
        let mut book = self.lock();
        let at = self.started.elapsed();
        let mut shown = None;
        let mut inbox = String::new();
        let (verdict, response) = match (slot.and_then(|index| book.inboxes.get_mut(index)), behaviour) {
            (slot, Behaviour::Answer { status, headers, body }) => {
                inbox = slot.map(|slot| slot.name.clone()).unwrap_or_default();
                (Verdict::Misbehaved, answer(*status, headers, body))
            }
            (slot, Behaviour::Hang | Behaviour::Reset) => {
                inbox = slot.map(|slot| slot.name.clone()).unwrap_or_default();
                (Verdict::Misbehaved, StatusCode::NO_CONTENT.into_response())
            }
            (None, _) => {
                let refused = Verdict::Refused { code: 404, message: "no inbox has this address".to_owned() };
                (refused, StatusCode::NOT_FOUND.into_response())
            }
            (Some(slot), Behaviour::Ok | Behaviour::Slow(_) | Behaviour::LoseReply) => {
                inbox.clone_from(&slot.name);
                let verdict = match slot.kind.inspect(incoming, &mut slot.memory) {
                    Checked::Bad { code, message } => Verdict::Refused { code, message },
                    Checked::Good { id: Some(id), .. } if !slot.seen.insert(id.clone()) => Verdict::Repeat,
                    Checked::Good { id, title, text, signed, body } => {
                        shown = Some(Message { at, inbox: slot.name.clone(), id, title, text, signed, body });
                        Verdict::Shown
                    }
                };
                let response = slot.kind.answer(&verdict);
                (verdict, response)
            }
        };
        book.posts.push(Post {
            at,
            inbox,
            path: incoming.path.to_owned(),
            query: incoming.query.clone(),
            headers: incoming.headers.clone(),
            body: Bytes::copy_from_slice(incoming.body),
            verdict,
        });
        if let Some(message) = shown {
            book.messages.push(message.clone());
            // Nobody follows: that is fine.
            let _ = self.shown.send(message);
        }
        drop(book);
        self.count.send_modify(|count| *count += 1);
        response
    }
}

fn router(shared: &Arc<Shared>) -> axum::Router {
    axum::Router::new().fallback(receive).with_state(Arc::clone(shared))
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if !["POST", "PUT"].contains(&head.method.as_str()) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let now = SystemTime::now();
    let incoming = Incoming { path: head.uri.path(), query: &query, headers: &head.headers, body: &body, now };
    let (slot, behaviour) = {
        let mut book = shared.lock();
        let everywhere = book.everywhere.clone();
        let slot = book.inboxes.iter().rposition(|slot| slot.kind.owns(&incoming));
        let own = slot
            .and_then(|index| book.inboxes.get_mut(index))
            .map(|slot| slot.next.pop_front().unwrap_or_else(|| slot.standing.clone()));
        (slot, everywhere.or(own).unwrap_or_default())
    };
    if let Behaviour::Slow(time) = behaviour {
        tokio::time::sleep(time).await;
    }
    let response = shared.take(&incoming, slot, &behaviour);
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Reset | Behaviour::LoseReply => peer.reset(),
        Behaviour::Ok | Behaviour::Answer { .. } | Behaviour::Slow(_) => {}
    }
    response
}

fn answer(status: u16, headers: &[(String, String)], body: &str) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(axum::body::Body::from(body.to_owned())).expect("a test gives a valid status and valid headers")
}

/// Messages as a list for people, one a line.
#[must_use]
pub fn list(messages: &[Message]) -> String {
    messages.iter().map(|m| format!("  {:?} {}: {}", m.at, m.inbox, m.title)).collect::<Vec<_>>().join("\n")
}
