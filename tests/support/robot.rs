//! Receivers for tests and the demo: robots of three vendors, a cloud gateway for SMS and voice, and HTTP endpoints.
//!
//! One [`Receiver`] is one port, plain or TLS. On it live any number of inboxes, each of a kind that checks what the
//! real one checks (signature, clock, schema, size, budget) and answers with the real one's codes: [`Robot`]
//! (`DingTalk`), [`WeCom`], [`Lark`], [`Gateway`] (Alibaba Cloud) and [`Endpoint`]. Every request is recorded with its
//! verdict; what the receiver's people would see is recorded once more as a [`Message`], a repeat of the same id only
//! as a post. An inbox or the whole port misbehaves on demand ([`Behaviour`]). [`Proxy`] stands between, [`Authority`]
//! makes certificates. Nothing here uses the crate under test, so that an error there cannot hide itself.

#![allow(dead_code, unused_imports, reason = "every test binary includes this file and uses a part of it")]

#[path = "robot/aliyun.rs"]
mod aliyun;
#[path = "robot/behaviour.rs"]
mod behaviour;
#[path = "robot/book.rs"]
mod book;
#[path = "robot/budget.rs"]
mod budget;
#[path = "robot/certificates.rs"]
mod certificates;
#[path = "robot/dingtalk.rs"]
mod dingtalk;
#[path = "robot/door.rs"]
mod door;
#[path = "robot/endpoint.rs"]
mod endpoint;
#[path = "robot/inspect.rs"]
mod inspect;
#[path = "robot/lark.rs"]
mod lark;
#[path = "robot/proxy.rs"]
mod proxy;
#[path = "robot/record.rs"]
mod record;
#[path = "robot/wecom.rs"]
mod wecom;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::broadcast;

pub use aliyun::{Gateway, acs3};
pub use behaviour::{Behaviour, HUGE};
use book::{Shared, Slot, router};
pub use budget::Limit;
pub use certificates::{Authority, Identity, Tls};
pub use dingtalk::Robot;
use door::{Door, Speech};
pub use endpoint::{Consent, Endpoint, Handshake};
use inspect::Inspect;
pub use lark::Lark;
pub use proxy::{Proxied, Proxy};
pub use record::{Message, Post, Verdict, list};
pub use wecom::WeCom;

/// A port with inboxes. Closed when dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    speech: Speech,
    door: tokio::sync::Mutex<Option<Door>>,
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
        Self::speaking(Speech::default()).await
    }

    /// The same with TLS.
    pub async fn start_tls(tls: &Tls) -> anyhow::Result<Self> {
        Self::speaking(Speech { tls: Some(tls.config()?), ..Speech::default() }).await
    }

    async fn speaking(speech: Speech) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0)), &speech, router(&shared)).await?;
        Ok(Self { shared, address: door.address(), speech, door: tokio::sync::Mutex::new(Some(door)) })
    }

    /// Where the port is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on this port.
    #[must_use]
    pub fn url_for(&self, path: &str) -> String {
        let scheme = if self.speech.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Waits until at least `n` handshakes of TLS came to nothing, and says why: for instance because a client does not
    /// trust the certificate. The client may know before this does.
    pub async fn failed_handshakes(&self, n: usize, deadline: Duration) -> anyhow::Result<Vec<String>> {
        let failures = &self.speech.failures;
        if tokio::time::timeout(deadline, failures.wait_for(n)).await.is_err() {
            bail!("{} of {n} failed handshakes after {deadline:?}", failures.list().len());
        }
        Ok(failures.list())
    }

    /// Puts a `DingTalk` robot up; its access token is the inbox's name.
    #[must_use]
    pub fn robot(&self, robot: Robot) -> Inbox {
        let name = robot.token().to_owned();
        let url = self.url_for(&format!("robot/send?access_token={name}"));
        self.add(name, url, Arc::new(robot))
    }

    /// Puts a `WeCom` robot up; its key is the inbox's name.
    #[must_use]
    pub fn wecom(&self, robot: WeCom) -> Inbox {
        let name = robot.key().to_owned();
        let url = self.url_for(&format!("cgi-bin/webhook/send?key={name}"));
        self.add(name, url, Arc::new(robot))
    }

    /// Puts a `Lark` robot up; its token is the inbox's name.
    #[must_use]
    pub fn lark(&self, robot: Lark) -> Inbox {
        let name = robot.token().to_owned();
        let url = self.url_for(&format!("open-apis/bot/v2/hook/{name}"));
        self.add(name, url, Arc::new(robot))
    }

    /// Puts a gateway of Alibaba Cloud up at the root of the port; its access key id is the inbox's name.
    #[must_use]
    pub fn gateway(&self, gateway: Gateway) -> Inbox {
        let name = gateway.key_id().to_owned();
        self.add(name, self.url_for("/"), Arc::new(gateway))
    }

    /// Puts an HTTP endpoint up; its path is the inbox's name.
    #[must_use]
    pub fn endpoint(&self, endpoint: Endpoint) -> Inbox {
        let name = endpoint.path().trim_start_matches('/').to_owned();
        let url = self.url_for(&name);
        self.add(name, url, Arc::new(endpoint))
    }

    fn add(&self, name: String, url: String, kind: Arc<dyn Inspect>) -> Inbox {
        self.shared.lock().inboxes.push(Slot::new(name.clone(), kind));
        Inbox { shared: Arc::clone(&self.shared), name, url }
    }

    /// From now on every inbox does this; `Behaviour::Ok` gives each its own behaviour back.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().everywhere = Some(behaviour).filter(|b| !matches!(b, Behaviour::Ok));
    }

    /// Moves the clock by which inboxes judge timestamps and budgets: what was sent before is that much older now.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.lock().ahead += by;
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
            *door = Some(Door::open(self.address, &self.speech, router(&self.shared)).await?);
        }
        Ok(())
    }

    /// Every request so far, in the order of arrival.
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
    /// Name: the robot's token, the gateway's access key id, the endpoint's path.
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

    /// Every request so far.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.shared.lock().posts.iter().filter(|post| post.inbox == self.name).cloned().collect()
    }

    /// The most requests that came within any time of this length. A sender that keeps a budget never goes over it,
    /// whether or not the inbox has one.
    #[must_use]
    pub fn most_posts_in(&self, window: Duration) -> usize {
        let mut recent = VecDeque::new();
        let mut most = 0;
        for post in self.posts() {
            recent.push_back(post.at);
            while recent.front().is_some_and(|first| post.at.saturating_sub(*first) >= window) {
                recent.pop_front();
            }
            most = most.max(recent.len());
        }
        most
    }

    /// Every message shown so far, repeats left out.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.lock().messages.iter().filter(|message| message.inbox == self.name).cloned().collect()
    }

    /// Every handshake that was asked for so far. They are no posts.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Handshake> {
        let book = self.shared.lock();
        book.handshakes.iter().filter(|handshake| handshake.inbox == self.name).cloned().collect()
    }

    /// Changes what an endpoint with handshakes answers to the next one; to withhold also takes back what was given.
    pub fn consent(&self, consent: Consent) {
        self.slot(|slot| slot.memory.consent.decide(consent));
    }

    /// Waits until at least `n` messages were shown here.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> anyhow::Result<Vec<Message>> {
        self.shared.wait_for(n, deadline, |message| message.inbox == self.name).await
    }

    /// Waits until at least `n` requests came, whatever became of them.
    pub async fn wait_for_posts(&self, n: usize, deadline: Duration) -> anyhow::Result<Vec<Post>> {
        let mut count = self.shared.count.subscribe();
        let enough = tokio::time::timeout(deadline, count.wait_for(|_| self.posts().len() >= n));
        if enough.await.is_err() {
            bail!("{} of {n} posts at {} after {deadline:?}", self.posts().len(), self.name);
        }
        Ok(self.posts())
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
