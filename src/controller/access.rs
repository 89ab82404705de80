//! Asks the API server what it allows us in each namespace that has a binding.
//!
//! An answer stands until the next one: neither an API server that cannot be asked nor an edit of the binding takes
//! away what was granted, because events that pass meanwhile would be lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::store::{Kept, decoded};
use crate::cluster::access;
use crate::cluster::deadline::ApiError;

/// A right that is there is asked for again this often.
const CONFIRM: Duration = Duration::from_mins(1);
/// First pause after an answer that was no: a new binding takes a moment to be in force. Doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause after an answer that was no.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long the first answers wait for each other: until then, it is not known what is in force, and nothing is recorded.
pub(super) const FIRST_ANSWERS: Duration = Duration::from_secs(10);
/// Namespaces that are asked about at the same time.
const CONCURRENCY: usize = 8;

/// The answers by namespace.
pub(super) type Answers = HashMap<String, Answer>;

/// What the API server said of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Every right is there.
    Granted,
    /// The first right that is missing.
    Missing(String),
}

impl Answer {
    /// The first right that is missing.
    pub(super) fn missing(&self) -> Option<String> {
        match self {
            Self::Granted => None,
            Self::Missing(right) => Some(right.clone()),
        }
    }
}

/// What asking needs.
pub(super) struct Asking {
    pub(super) client: Client,
    pub(super) bindings: Kept<RoleBinding>,
    /// Woken when a binding has changed.
    pub(super) woken: Arc<Notify>,
    /// Who is to judge anew when a binding or an answer has changed.
    pub(super) changed: Arc<Notify>,
    /// Where the answers go: `Some` once every binding was asked about.
    pub(super) answers: watch::Sender<Option<Arc<Answers>>>,
}

/// What is known of one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interview {
    version: Option<String>,
    due: Instant,
    tries: u32,
    answer: Option<Answer>,
}

impl Interview {
    const fn new(version: Option<String>, now: Instant) -> Self {
        Self { version, due: now, tries: 0, answer: None }
    }

    /// A binding that was edited is asked about at once; what was answered before stands until then.
    fn edited(&mut self, version: Option<String>, now: Instant) {
        if self.version != version {
            *self = Self { version, due: now, tries: 0, answer: self.answer.take() };
        }
    }

    fn note(&mut self, result: Result<Option<String>, ApiError>, now: Instant) {
        let good = matches!(result, Ok(None));
        if let Ok(answer) = result {
            self.answer = Some(answer.map_or(Answer::Granted, Answer::Missing));
        }
        self.tries = if good { 0 } else { self.tries.saturating_add(1) };
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.tries.saturating_sub(1).min(16));
        self.due = now + if good { CONFIRM } else { doubled.min(LONGEST_PAUSE) };
    }
}

/// Asks for as long as it is polled. The bindings are listed by then.
pub(super) async fn run(asking: Asking) {
    let mut interviews: BTreeMap<String, Interview> = BTreeMap::new();
    let first = Instant::now() + FIRST_ANSWERS;
    loop {
        follow(&mut interviews, &decoded(&asking.bindings), Instant::now());
        // A binding that is gone takes effect without anybody being asked.
        publish(&asking.answers, &interviews, Instant::now() < first);
        asking.changed.notify_one();
        ask_due(&asking.client, &mut interviews).await;
        publish(&asking.answers, &interviews, Instant::now() < first);
        asking.changed.notify_one();
        let next = interviews.values().map(|interview| interview.due).min();
        let next = next.unwrap_or_else(|| Instant::now() + CONFIRM);
        tokio::select! {
            () = asking.woken.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// Forgets bindings that are gone, and takes up those that are new or edited.
fn follow(interviews: &mut BTreeMap<String, Interview>, bindings: &[RoleBinding], now: Instant) {
    let there: HashMap<String, Option<String>> = bindings
        .iter()
        .filter(|binding| binding.metadata.deletion_timestamp.is_none())
        .map(|binding| (binding.namespace().unwrap_or_default(), binding.resource_version()))
        .collect();
    interviews.retain(|namespace, _| there.contains_key(namespace));
    for (namespace, version) in there {
        interviews.entry(namespace).or_insert_with(|| Interview::new(version.clone(), now)).edited(version, now);
    }
}

async fn ask_due(client: &Client, interviews: &mut BTreeMap<String, Interview>) {
    let now = Instant::now();
    let due = interviews.iter().filter(|(_, interview)| interview.due <= now);
    let due: Vec<String> = due.map(|(namespace, _)| namespace.clone()).collect();
    let ask = |namespace: String| async move { (access::missing_right(client, &namespace).await, namespace) };
    let mut answers = futures::stream::iter(due.into_iter().map(ask)).buffer_unordered(CONCURRENCY);
    while let Some((answer, namespace)) = answers.next().await {
        if let Err(error) = &answer {
            tracing::warn!(namespace, %error, "the API server could not be asked about access; what it said last stands");
        }
        if let Some(interview) = interviews.get_mut(&namespace) {
            interview.note(answer, Instant::now());
        }
    }
}

/// With `first`, publishes only what is complete, unless something was published before.
fn publish(answers: &watch::Sender<Option<Arc<Answers>>>, interviews: &BTreeMap<String, Interview>, first: bool) {
    let all: Answers = interviews
        .iter()
        .filter_map(|(namespace, interview)| Some((namespace.clone(), interview.answer.clone()?)))
        .collect();
    let complete = !first || all.len() == interviews.len();
    answers.send_if_modified(|known| {
        let differs = known.as_deref() != Some(&all);
        let publish = differs && (complete || known.is_some());
        if publish {
            *known = Some(Arc::new(all));
        }
        publish
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn binding(namespace: &str, version: &str) -> RoleBinding {
        serde_json::from_value(json!({"metadata": {"name": "b", "namespace": namespace, "resourceVersion": version},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"}}))
        .unwrap()
    }

    fn missing() -> String {
        "get secrets".to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_is_asked_again_soon_then_every_ten_seconds_and_a_yes_every_minute() {
        let now = Instant::now();
        let mut interview = Interview::new(None, now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            interview.note(Ok(Some(missing())), now);
            pauses.push((interview.due - now).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000]);
        interview.note(Ok(None), now);
        assert_eq!(interview.due - now, CONFIRM);
        interview.note(Ok(Some(missing())), now);
        assert_eq!(interview.due - now, FIRST_PAUSE, "revoked: it may come back soon");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_stands_while_the_api_server_cannot_be_asked_or_the_binding_is_edited() {
        let now = Instant::now();
        let mut interviews = BTreeMap::new();
        follow(&mut interviews, &[binding("vision", "1")], now);
        interviews.get_mut("vision").unwrap().note(Ok(None), now);
        let deadline = ApiError::Deadline(Duration::from_secs(10));
        interviews.get_mut("vision").unwrap().note(Err(deadline), now);
        assert_eq!(interviews["vision"].answer, Some(Answer::Granted));
        follow(&mut interviews, &[binding("vision", "2")], now);
        assert_eq!(interviews["vision"].answer, Some(Answer::Granted));
        assert_eq!(interviews["vision"].due, now, "asked at once");
        follow(&mut interviews, &[], now);
        assert!(interviews.is_empty(), "no binding, no access");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_published_before_every_binding_was_asked_about() {
        let now = Instant::now();
        let answers = watch::Sender::new(None);
        let mut interviews = BTreeMap::new();
        follow(&mut interviews, &[binding("one", "1"), binding("two", "1")], now);
        interviews.get_mut("one").unwrap().note(Ok(None), now);
        publish(&answers, &interviews, true);
        assert!(answers.borrow().is_none());
        let late = watch::Sender::new(None);
        publish(&late, &interviews, false);
        assert_eq!(
            late.borrow().as_ref().unwrap().len(),
            1,
            "one that cannot be asked about does not hold up all others"
        );
        interviews.get_mut("two").unwrap().note(Ok(Some(missing())), now);
        publish(&answers, &interviews, true);
        assert_eq!(answers.borrow().as_ref().unwrap()["two"], Answer::Missing(missing()));
        follow(&mut interviews, &[binding("one", "1"), binding("two", "1"), binding("new", "1")], now);
        publish(&answers, &interviews, true);
        assert_eq!(answers.borrow().as_ref().unwrap().len(), 2, "a later one does not take away the others");
    }
}
