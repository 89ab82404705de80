//! The life of one request: which inbox it is for, what that inbox is told to do, what it finds, what is written down.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{broadcast, watch};

use super::behaviour::{Behaviour, trickle};
use super::door::Peer;
use super::endpoint::Handshake;
use super::inspect::{Checked, Incoming, Inspect, Memory};
use super::record::{Message, Post, Verdict, list};

/// Larger bodies are cut off by the receiver itself.
const MAX_BODY: usize = 1 << 20;

/// What a receiver, its inboxes and its handlers have in common.
pub(super) struct Shared {
    started: Instant,
    state: Mutex<Book>,
    pub(super) count: watch::Sender<usize>,
    pub(super) shown: broadcast::Sender<Message>,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) inboxes: Vec<Slot>,
    pub(super) posts: Vec<Post>,
    pub(super) messages: Vec<Message>,
    pub(super) handshakes: Vec<Handshake>,
    pub(super) everywhere: Option<Behaviour>,
    /// How far the receiver's clock is ahead.
    pub(super) ahead: Duration,
}

/// An inbox as the receiver sees it.
pub(super) struct Slot {
    pub(super) name: String,
    kind: Arc<dyn Inspect>,
    pub(super) next: VecDeque<Behaviour>,
    pub(super) standing: Behaviour,
    pub(super) memory: Memory,
    seen: HashSet<String>,
}

impl Slot {
    pub(super) fn new(name: String, kind: Arc<dyn Inspect>) -> Self {
        Self {
            name,
            kind,
            next: VecDeque::new(),
            standing: Behaviour::Ok,
            memory: Memory::default(),
            seen: HashSet::new(),
        }
    }

    /// Checks a request; a message is given if it is one that was not shown yet.
    fn look_at(&mut self, incoming: &Incoming<'_>, at: Duration) -> (Verdict, Option<Message>) {
        match self.kind.inspect(incoming, &mut self.memory) {
            Checked::Bad { code, message } => (Verdict::Refused { code, message }, None),
            Checked::Good { id: Some(id), .. } if !self.seen.insert(id.clone()) => (Verdict::Repeat, None),
            Checked::Good { id, title, text, signed, body } => {
                (Verdict::Shown, Some(Message { at, inbox: self.name.clone(), id, title, text, signed, body }))
            }
        }
    }
}

/// Whom a request is for.
#[derive(Clone, Copy)]
enum Addressee {
    Inbox(usize),
    /// Nobody, on the host of this inbox.
    NobodyBeside(usize),
    Nobody,
}

impl Book {
    fn addressee(&self, incoming: &Incoming<'_>) -> Addressee {
        let find = |wanted: &dyn Fn(&dyn Inspect) -> bool| self.inboxes.iter().rposition(|slot| wanted(&*slot.kind));
        if let Some(index) = find(&|kind| kind.owns(incoming)) {
            return Addressee::Inbox(index);
        }
        find(&|kind| kind.shares_host(incoming)).map_or(Addressee::Nobody, Addressee::NobodyBeside)
    }

    /// What is to be done with a request.
    fn behaviour_for(&mut self, addressee: Addressee) -> Behaviour {
        let own = match addressee {
            Addressee::Inbox(index) => {
                self.inboxes.get_mut(index).map(|slot| slot.next.pop_front().unwrap_or_else(|| slot.standing.clone()))
            }
            Addressee::NobodyBeside(_) | Addressee::Nobody => None,
        };
        self.everywhere.clone().or(own).unwrap_or_default()
    }

    fn name_of(&self, addressee: Addressee) -> String {
        match addressee {
            Addressee::Inbox(index) => self.inboxes.get(index).map(|slot| slot.name.clone()).unwrap_or_default(),
            Addressee::NobodyBeside(_) | Addressee::Nobody => String::new(),
        }
    }

    fn judge(
        &mut self,
        incoming: &Incoming<'_>,
        addressee: Addressee,
        at: Duration,
    ) -> (Verdict, Option<Message>, Response) {
        let slot = match addressee {
            Addressee::Inbox(index) | Addressee::NobodyBeside(index) => self.inboxes.get_mut(index),
            Addressee::Nobody => None,
        };
        let Some(slot) = slot else {
            let refused = Verdict::Refused { code: 404, message: "no inbox has this address".to_owned() };
            return (refused, None, StatusCode::NOT_FOUND.into_response());
        };
        let (verdict, shown) = slot.look_at(incoming, at);
        let response = slot.kind.answer(incoming, &verdict);
        (verdict, shown, response)
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
            count: watch::Sender::new(0),
            shown: broadcast::Sender::new(4096),
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) async fn wait_for(
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

    /// Answers OPTIONS, if it is for an inbox that knows what to make of it.
    fn shake_hands(&self, incoming: &Incoming<'_>, addressee: Addressee) -> Option<Response> {
        let Addressee::Inbox(index) = addressee else { return None };
        let mut book = self.lock();
        let slot = book.inboxes.get_mut(index)?;
        let (handshake, response) = slot.kind.shake_hands(incoming, &mut slot.memory)?;
        let handshake = Handshake { at: self.started.elapsed(), inbox: slot.name.clone(), ..handshake };
        book.handshakes.push(handshake);
        Some(response)
    }

    /// Takes one request: writes it down, and says how to answer.
    fn take(&self, incoming: &Incoming<'_>, addressee: Addressee, behaviour: &Behaviour) -> Response {
        let mut book = self.lock();
        let at = self.started.elapsed();
        let (verdict, shown, response) = if let Some(response) = behaviour.unread() {
            (Verdict::Misbehaved, None, response)
        } else if ["POST", "PUT"].contains(&incoming.method.as_str()) {
            book.judge(incoming, addressee, at)
        } else {
            let refused = Verdict::Refused { code: 405, message: format!("the method is {}", incoming.method) };
            (refused, None, StatusCode::METHOD_NOT_ALLOWED.into_response())
        };
        let inbox = book.name_of(addressee);
        book.posts.push(Post {
            at,
            inbox,
            method: incoming.method.clone(),
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

pub(super) fn router(shared: &Arc<Shared>) -> axum::Router {
    axum::Router::new().fallback(receive).with_state(Arc::clone(shared))
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (method, path) = (&head.method, head.uri.path());
    let now = SystemTime::now() + shared.lock().ahead;
    let incoming = Incoming { method, path, query: &query, headers: &head.headers, body: &body, now };
    let addressee = shared.lock().addressee(&incoming);
    if *method == Method::OPTIONS
        && let Some(response) = shared.shake_hands(&incoming, addressee)
    {
        return response;
    }
    let behaviour = shared.lock().behaviour_for(addressee);
    if let Behaviour::Slow(time) = behaviour {
        tokio::time::sleep(time).await;
    }
    let response = shared.take(&incoming, addressee, &behaviour);
    match behaviour {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Trickle(pause) => trickle(response, pause).await,
        Behaviour::Reset | Behaviour::LoseReply => {
            peer.reset();
            response
        }
        Behaviour::Ok | Behaviour::Answer { .. } | Behaviour::Slow(_) | Behaviour::Endless(_) | Behaviour::Huge => {
            response
        }
    }
}
