//! The raw list and watch of one kind, as a stream of [`Change`]s that survives every fault of the connection.
//!
//! After a start with a checkpoint, the watch begins *at the checkpoint*, not at the list: the API server then tells again
//! what changed while nobody watched, in order and with the deletions. Only if that history is gone (410) does the list
//! stand for itself, and what is missing from it is gone for a reason that nobody saw.
//!
//! Guaranteed: per object, changes come in the order of their resourceVersions, and the last state always comes.
//! Not guaranteed: that every intermediate state comes.

use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::core::params::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// Objects asked for at once. A page of 500 Pods is about 3 MB of JSON.
const PAGE: u32 = 500;
/// Longest wait for one page.
const LIST_DEADLINE: Duration = Duration::from_mins(1);
/// How long the server keeps one watch open, in seconds. Bookmarks come about once a minute meanwhile.
const WATCH_SECONDS: u32 = 240;
/// Silence after which a watch is given up for dead: longer than the pause between two bookmarks.
const SILENCE: Duration = Duration::from_mins(2);
/// Two watches begin at least this long after each other.
const SHORTEST_WATCH: Duration = Duration::from_millis(500);
/// Longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// An object that can be watched. Its decoding must not fail on anything that its own schema allows.
pub trait Watched: DeserializeOwned + Clone + Send + 'static {
    /// `metadata.resourceVersion` as the number that it is (Kubernetes 1.35 and later guarantee that it can be compared;
    /// etcd's revisions always could). 0 if it is none.
    fn revision(&self) -> u64;
}

/// How a change became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As it happened.
    Live,
    /// Told again after a gap in watching.
    Replayed,
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// A list begins. With `since`, objects not newer than it have been dealt with, and newer ones come again as changes.
    ListStarted {
        /// The checkpoint from which the watch will tell again.
        since: Option<u64>,
    },
    /// One object of the list.
    Listed(T),
    /// The list is complete; what it lacks is gone.
    ListEnded {
        /// The resourceVersion of the list.
        revision: u64,
    },
    /// An object was added or changed.
    Applied(T, Freshness),
    /// An object was deleted; this is its last state.
    Deleted(T, Freshness),
    /// Everything up to this resourceVersion was told.
    Progress(u64),
}

impl<T> Change<T> {
    /// The same with another form of the object.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::ListStarted { since } => Change::ListStarted { since },
            Self::Listed(object) => Change::Listed(form(object)),
            Self::ListEnded { revision } => Change::ListEnded { revision },
            Self::Applied(object, freshness) => Change::Applied(form(object), freshness),
            Self::Deleted(object, freshness) => Change::Deleted(form(object), freshness),
            Self::Progress(revision) => Change::Progress(revision),
        }
    }
}

/// What is asked for of each object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    #[default]
    Whole,
    /// Its `metadata`, and nothing else.
    Metadata,
}

/// How a watch goes, as it is reported.
#[derive(Debug)]
pub enum Report<'a> {
    /// The API server answers. `listed`: with changes, since everything is listed.
    Well {
        /// See above.
        listed: bool,
    },
    /// It does not, so many times in a row.
    Fault(&'a WatchError, u32),
}

/// Why a watch failed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The API server refused or could not be reached.
    #[error("the API server did not answer as expected")]
    Api(#[source] Box<kube::Error>),
    /// A page did not come in time.
    #[error("no answer within {} s", LIST_DEADLINE.as_secs())]
    Deadline,
    /// The history up to the resourceVersion asked for is gone.
    #[error("the history is gone (410 Gone or expired)")]
    Expired,
    /// Nobody listens any more.
    #[error("the program is stopping")]
    Closed,
}

impl WatchError {
    /// Fixed label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Api(error) => match error.as_ref() {
                kube::Error::Api(status) if status.code == 403 => "forbidden",
                kube::Error::Api(status) if status.code == 404 => "not_found",
                kube::Error::Api(_) => "api",
                _ => "connection",
            },
            Self::Deadline => "deadline",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

impl From<kube::Error> for WatchError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 410 || status.reason == "Expired" => Self::Expired,
            _ => Self::Api(Box::new(error)),
        }
    }
}

/// A page of a list. Its items are decoded one by one, so that one that does not decode cannot fail the others.
#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    #[serde(default)]
    items: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl PageMeta {
    fn revision(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }
}

/// Where changes go. Each watch feeds the one index through a closure that says of which kind they are.
pub struct Sink<T, M> {
    /// Wraps a change for the channel.
    pub wrap: Box<dyn Fn(Change<T>) -> M + Send + Sync>,
    /// The index's channel.
    pub sender: mpsc::Sender<M>,
}

impl<T, M> Sink<T, M> {
    /// Passes on changes as this closure wraps them.
    pub fn new(wrap: impl Fn(Change<T>) -> M + Send + Sync + 'static, sender: mpsc::Sender<M>) -> Self {
        Self { wrap: Box::new(wrap), sender }
    }

    async fn send(&self, change: Change<T>) -> Result<(), WatchError> {
        self.sender.send((self.wrap)(change)).await.map_err(|_| WatchError::Closed)
    }
}

/// What is watched, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Such as `/apis/batch/v1/jobs`.
    pub path: &'a str,
    /// What is asked for of each object.
    pub extent: Extent,
    /// Where to begin.
    pub checkpoint: Option<u64>,
}

impl<'a> Target<'a> {
    /// Whole objects.
    #[must_use]
    pub const fn new(path: &'a str, checkpoint: Option<u64>) -> Self {
        Self { path, extent: Extent::Whole, checkpoint }
    }
}

/// Lists and watches until nobody listens any more. `report` hears of every fault, once, and of every answer.
pub async fn run<T: Watched, M: Send>(
    client: Client,
    target: Target<'_>,
    sink: Sink<T, M>,
    report: impl Fn(Report<'_>) + Send + Sync,
) {
    let Target { path, extent, checkpoint } = target;
    let mut state = State { client, path, extent, checkpoint, sink, position: None, listed: 0, report: &report };
    let mut faults = 0_u32;
    loop {
        match state.step().await {
            Ok(()) => faults = 0,
            Err(WatchError::Closed) => return,
            Err(error) => {
                faults = faults.saturating_add(1);
                report(Report::Fault(&error, faults));
                if matches!(error, WatchError::Expired) {
                    // Only the list can tell now. A second list in a row must not be a tight loop.
                    state.position = None;
                    state.checkpoint = None;
                }
                tokio::time::sleep(backoff(faults - 1)).await;
            }
        }
    }
}

/// 0.1 s, doubling, to 30 s.
fn backoff(faults: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << faults.min(16)).min(MAX_BACKOFF)
}

struct State<'a, T, M, R> {
    client: Client,
    path: &'a str,
    extent: Extent,
    checkpoint: Option<u64>,
    sink: Sink<T, M>,
    /// Up to where the watch has told everything; `None` before the first list.
    position: Option<u64>,
    /// The last list's resourceVersion: changes up to it are told again, those after it are live.
    listed: u64,
    report: &'a R,
}

impl<T: Watched, M, R: Fn(Report<'_>)> State<'_, T, M, R> {
    async fn step(&mut self) -> Result<(), WatchError> {
        match self.position {
            None => self.list().await,
            Some(position) => self.watch(position).await,
        }
    }

    async fn list(&mut self) -> Result<(), WatchError> {
        let mut params = ListParams { limit: Some(PAGE), ..ListParams::default() };
        let mut page = self.page(&params).await?;
        // A checkpoint from the future is one of another cluster, or of this one before a restore.
        let since = self.checkpoint.filter(|&since| since <= page.metadata.revision());
        self.sink.send(Change::ListStarted { since }).await?;
        loop {
            let revision = page.metadata.revision();
            for item in page.items {
                match serde_json::from_str(item.get()) {
                    Ok(object) => self.sink.send(Change::Listed(object)).await?,
                    Err(error) => tracing::warn!(path = self.path, %error, "skipped an object that does not decode"),
                }
            }
            let Some(token) = page.metadata.next.filter(|token| !token.is_empty()) else {
                self.listed = revision;
                self.position = Some(since.unwrap_or(revision));
                // A checkpoint is good once: after that, memory knows more.
                self.checkpoint = None;
                return self.sink.send(Change::ListEnded { revision }).await;
            };
            params.continue_token = Some(token);
            page = self.page(&params).await?;
        }
    }

    async fn page(&self, params: &ListParams) -> Result<Page, WatchError> {
        let request = Request::new(self.path);
        let request = match self.extent {
            Extent::Whole => request.list(params),
            Extent::Metadata => request.list_metadata(params),
        }
        .map_err(kube::Error::BuildRequest)?;
        let answer = tokio::time::timeout(LIST_DEADLINE, self.client.request::<Page>(request)).await;
        let page = answer.map_err(|_| WatchError::Deadline)??;
        (self.report)(Report::Well { listed: false });
        Ok(page)
    }

    async fn watch(&mut self, from: u64) -> Result<(), WatchError> {
        let params = WatchParams { timeout: Some(WATCH_SECONDS), bookmarks: true, ..WatchParams::default() };
        let (request, from) = (Request::new(self.path), from.to_string());
        let request = match self.extent {
            Extent::Whole => request.watch(&params, &from),
            Extent::Metadata => request.watch_metadata(&params, &from),
        }
        .map_err(kube::Error::BuildRequest)?;
        let opening = tokio::time::timeout(LIST_DEADLINE, self.client.request_events::<T>(request)).await;
        let stream = opening.map_err(|_| WatchError::Deadline)??;
        (self.report)(Report::Well { listed: true });
        let mut stream = std::pin::pin!(stream);
        let opened = tokio::time::Instant::now();
        loop {
            match tokio::time::timeout(SILENCE, stream.next()).await {
                // The server closes a watch when its time is up; the next one goes on where this one was.
                Ok(None) | Err(_) => {
                    // A server that closes at once must not be asked in a tight loop.
                    tokio::time::sleep_until(opened + SHORTEST_WATCH).await;
                    return Ok(());
                }
                Ok(Some(Err(kube::Error::SerdeError(error)))) => {
                    tracing::warn!(path = self.path, %error, "skipped a watch event that is not valid JSON");
                }
                Ok(Some(event)) => self.pass_on(event?).await?,
            }
        }
    }

    async fn pass_on(&mut self, event: WatchEvent<T>) -> Result<(), WatchError> {
        let (revision, change) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let freshness = self.freshness(&object);
                (object.revision(), Change::Applied(object, freshness))
            }
            WatchEvent::Deleted(object) => {
                let freshness = self.freshness(&object);
                (object.revision(), Change::Deleted(object, freshness))
            }
            WatchEvent::Bookmark(bookmark) => {
                let revision = bookmark.metadata.resource_version.parse().unwrap_or(0);
                (revision, Change::Progress(revision))
            }
            WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
        };
        self.sink.send(change).await?;
        self.position = self.position.max(Some(revision));
        Ok(())
    }

    fn freshness(&self, object: &T) -> Freshness {
        if object.revision() > self.listed { Freshness::Live } else { Freshness::Replayed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_two_tries_doubles_and_has_an_end() {
        assert_eq!(backoff(0), Duration::from_millis(100));
        assert_eq!(backoff(3), Duration::from_millis(800));
        assert_eq!(backoff(200), MAX_BACKOFF);
    }
}
