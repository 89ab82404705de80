//! How each kind's watch goes: for readiness, metrics and the Workspaces' condition.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::Kind;
use super::metrics::{UpLabel, WatchMetrics};

/// Faults in a row before a kind is said to fail: a watch may break at any time, and go on at once.
const FAULTS: u32 = 4;

/// Every installed kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// How the watch of each goes.
    pub kinds: BTreeMap<Kind, State>,
    /// Whether it is known which kinds are installed.
    pub discovered: bool,
    /// What is wrong with the catalog's files, by file and line.
    pub catalog: Vec<String>,
}

/// How the watch of a kind goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its objects are being listed.
    Listing,
    /// All of its objects are known, and their changes come.
    Listed,
    /// It fails, for this reason.
    Failing(&'static str),
}

impl State {
    const fn reason(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Listed => "",
            Self::Failing(reason) => reason,
        }
    }
}

impl Sources {
    /// Whether every installed kind has been listed, or cannot be.
    #[must_use]
    pub fn are_settled(&self) -> bool {
        let settled = |kind: &Kind, state: &State| match kind {
            Kind::Job | Kind::Pod => *state == State::Listed,
            Kind::Declared(_) => *state != State::Listing,
        };
        self.discovered && self.kinds.iter().all(|(kind, state)| settled(kind, state))
    }

    /// Whether Jobs and Pods were listed.
    #[must_use]
    pub fn have_the_basics(&self) -> bool {
        [Kind::Job, Kind::Pod].iter().all(|kind| self.kinds.get(kind) == Some(&State::Listed))
    }
}

/// Where the watches note how they go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Board {
    sources: watch::Sender<Arc<Sources>>,
    metrics: WatchMetrics,
}

impl Board {
    /// A board on which nothing stands but Jobs, Pods and what is wrong with the catalog.
    #[must_use]
    pub fn new(metrics: WatchMetrics, catalog: Vec<String>) -> Self {
        let sources = Sources { catalog, ..Sources::default() };
        let board = Self { sources: watch::Sender::new(Arc::new(sources)), metrics };
        board.set(&Kind::Job, Some(State::Listing));
        board.set(&Kind::Pod, Some(State::Listing));
        board
    }

    /// What stands there now, and is to come.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Sources>> {
        self.sources.subscribe()
    }

    /// How it goes with a kind; `None` if it is not watched any more.
    pub fn set(&self, kind: &Kind, state: Option<State>) {
        self.sources.send_if_modified(|sources| {
            let before = sources.kinds.get(kind).copied();
            if before == state {
                return false;
            }
            if let Some(before) = before {
                self.metrics.up.remove(&UpLabel { kind: kind.clone(), reason: before.reason() });
            }
            let kinds = &mut Arc::make_mut(sources).kinds;
            match state {
                Some(state) => {
                    let label = UpLabel { kind: kind.clone(), reason: state.reason() };
                    self.metrics.up.get_or_create(&label).set(i64::from(state == State::Listed));
                    kinds.insert(kind.clone(), state);
                }
                None => {
                    kinds.remove(kind);
                }
            }
            true
        });
    }

    /// A fault of the kind's watch, after so many in a row.
    pub fn fault(&self, kind: &Kind, reason: &'static str, times: u32) {
        if times >= FAULTS || reason == "forbidden" {
            self.set(kind, Some(State::Failing(reason)));
        }
    }

    /// The API server answers the kind's watch.
    pub fn well(&self, kind: &Kind, listed: bool) {
        if matches!(self.sources.borrow().kinds.get(kind), Some(State::Failing(_))) {
            self.set(kind, Some(if listed { State::Listed } else { State::Listing }));
        }
    }

    /// It is known which kinds are installed.
    pub fn discovered(&self) {
        self.sources.send_if_modified(|sources| {
            let news = !sources.discovered;
            if news {
                Arc::make_mut(sources).discovered = true;
            }
            news
        });
    }
}
