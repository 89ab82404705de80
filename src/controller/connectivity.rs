//! Connectivity tests: one clearly marked message through the same code as real ones, asked for by an annotation.
//!
//! [`decide`] is pure: it says what a request leads to. [`Tests`] remembers, per target, the last request that was acted
//! on, so that one value of the annotation sends one message. Only a leader tests. A test that was under way when the
//! leader ended is done again by the next, since nothing is recorded of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use tokio::sync::Notify;

use super::target::TargetVerdict;
use super::verdict::Judgement;
use super::workspace::WorkspaceVerdict;
use crate::api::EventTarget;
use crate::api::event_target::{ConnectivityTest, TestResult};
use crate::api::names::TEST_ANNOTATION;
use crate::api::workspace::Locale;
use crate::channel::{self, Channel, Envelope, Outcome, Rate, ResolvedTarget};
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::budget::{BudgetKey, Budgets, after};
use crate::delivery::targets::{Recipient, TargetKey, TargetState};
use crate::lifecycle::identity::delivery_id;
use crate::lifecycle::{Event, Source, Subject, Transition};
use crate::message::{Body, Fact, Message, Tone, locale};

/// What to say where a channel has no test.
const NOT_SUPPORTED: &str = "nothing was sent: this channel cannot be tested without an event; run a Job that one of the target's rules matches";

/// What a request leads to.
#[derive(Clone, Debug)]
enum Decision {
    /// Send one message.
    Send(Arc<ResolvedTarget>),
    /// Nothing is sent; this is the answer.
    Answer(TestResult, String),
}

/// Who is told how a test went.
#[derive(Clone)]
pub(super) struct Testing {
    pub(super) http: channel::Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    /// What receivers take.
    pub(super) budgets: Budgets,
    pub(super) changed: Arc<Notify>,
}

/// The last request of each target that was acted on, and its answer once there is one.
#[derive(Clone, Default)]
pub(super) struct Tests(Arc<Mutex<HashMap<TargetKey, Acted>>>);

#[derive(Clone, Debug)]
struct Acted {
    /// Of the target: another one of the same name has asked for nothing yet.
    uid: Option<String>,
    request: String,
    answer: Option<ConnectivityTest>,
}

impl Tests {
    /// Acts on every new request, and forgets targets that are gone.
    pub(super) fn act(&self, judgement: &Judgement, testing: &Testing) {
        let mut known = self.lock();
        known.retain(|key, acted| judgement.targets.get(key).is_some_and(|target| target.object.uid() == acted.uid));
        for (key, target) in &judgement.targets {
            if !known.contains_key(key) {
                restore(key, target, testing);
            }
            let Some(request) = new_request(&target.object, known.get(key)) else { continue };
            let mut acted = Acted { uid: target.object.uid(), request: request.clone(), answer: None };
            match decide(target) {
                Decision::Answer(result, message) => {
                    let time = testing.clock.now();
                    acted.answer = Some(ConnectivityTest { request, time, result, message });
                }
                Decision::Send(resolved) => {
                    let workspace = judgement.workspaces.iter().find(|workspace| workspace.namespace == key.namespace);
                    let test = Test {
                        key: key.clone(),
                        uid: acted.uid.clone(),
                        request,
                        resolved,
                        timeout: target.target.timeout,
                        rate_per_minute: target.target.rate_per_minute,
                        workspace: workspace.map(WorkspaceVerdict::name).unwrap_or_default(),
                        locale: workspace.map(|workspace| workspace.workspace.spec.locale).unwrap_or_default(),
                    };
                    let (tests, testing) = (self.clone(), testing.clone());
                    testing.tasks.clone().background("connectivity-test", async move {
                        let answer = test.run(&testing).await;
                        tests.answer(&test, answer);
                        testing.changed.notify_one();
                    });
                }
            }
            known.insert(key.clone(), acted);
        }
    }

    /// Every answer so far.
    pub(super) fn answers(&self) -> HashMap<TargetKey, ConnectivityTest> {
        self.lock().iter().filter_map(|(key, acted)| Some((key.clone(), acted.answer.clone()?))).collect()
    }

    fn answer(&self, test: &Test, answer: ConnectivityTest) {
        if let Some(acted) = self.lock().get_mut(&test.key)
            && (&acted.uid, &acted.request) == (&test.uid, &test.request)
        {
            acted.answer = Some(answer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TargetKey, Acted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A test that an operator before this one made counts against the budget, too.
fn restore(key: &TargetKey, target: &TargetVerdict, testing: &Testing) {
    let test = target.object.status.as_ref().and_then(|status| status.connectivity_test.as_ref());
    let (Some(test), Some(channel)) = (test, target.target.state.channel(None)) else { return };
    let sent =
        test.result != TestResult::NotSupported && test.time > testing.clock.now() - SignedDuration::from_mins(1);
    if sent && !channel.limits().rates.is_empty() {
        let key = BudgetKey::of(channel, &Recipient { target: key.clone(), leg: None });
        testing.budgets.with(&key, |budget| budget.restore(test.time, 1));
    }
}

/// The annotation's value, if it was acted on neither by this process nor by one before it.
fn new_request(object: &EventTarget, known: Option<&Acted>) -> Option<String> {
    let request = object.annotations().get(TEST_ANNOTATION).filter(|request| !request.is_empty())?;
    let recorded = object.status.as_ref().and_then(|status| status.connectivity_test.as_ref());
    let done = match known {
        Some(acted) => acted.request == *request,
        None => recorded.is_some_and(|test| test.request == *request),
    };
    (!done).then(|| request.clone())
}

fn decide(target: &TargetVerdict) -> Decision {
    let spec = &target.object.spec;
    if spec.http.is_some() || spec.contacts.is_some() {
        return Decision::Answer(TestResult::NotSupported, NOT_SUPPORTED.to_owned());
    }
    match &target.target.state {
        TargetState::Ready(resolved) => Decision::Send(resolved.clone()),
        TargetState::Suspended | TargetState::NotReady(_) => {
            let why = &target.ready.message;
            Decision::Answer(TestResult::Failed, format!("nothing was sent, because the target is not ready: {why}"))
        }
    }
}

/// One test, under way.
struct Test {
    key: TargetKey,
    uid: Option<String>,
    request: String,
    resolved: Arc<ResolvedTarget>,
    timeout: Duration,
    rate_per_minute: Option<u32>,
    workspace: String,
    locale: Locale,
}

impl Test {
    async fn run(&self, testing: &Testing) -> ConnectivityTest {
        let now = testing.clock.now();
        let (event, message) = (self.event(now), self.message());
        // A new request is a new message, also for a receiver that recognises repeats.
        let delivery_id = delivery_id(&event.id, &self.key.to_string());
        let envelope =
            Envelope { workspace: &self.workspace, event: &event, message: &message, delivery_id: &delivery_id, now };
        let (result, message) = match self.resolved.channel(None) {
            None => answer(None),
            Some(channel) => {
                if let Err(until) = self.take_from_budget(channel, testing).await {
                    (TestResult::Failed, throttled(until))
                } else {
                    let envelope = Envelope { now: testing.clock.now(), ..envelope };
                    let outcome = channel::probe(channel, &testing.http, &envelope, self.timeout).await;
                    self.note_throttling(channel, outcome.as_ref(), testing);
                    answer(outcome.as_ref())
                }
            }
        };
        tracing::info!(target = %self.key, result = ?result, "connectivity tested");
        ConnectivityTest { request: self.request.clone(), time: testing.clock.now(), result, message }
    }

    /// A test uses up what the receiver takes, and waits for its turn; not for the end of a silence that was asked for,
    /// which is the error.
    async fn take_from_budget(&self, channel: &dyn Channel, testing: &Testing) -> Result<(), Timestamp> {
        let key = self.budget(channel);
        let rates: Vec<Rate> = channel.limits().rates_with(self.rate_per_minute).collect();
        loop {
            let now = testing.clock.now();
            let free = testing.budgets.with(&key, |budget| {
                if let Some(until) = budget.silent_until(now) {
                    return Err(until);
                }
                let free = budget.free_at(now, rates.iter().copied());
                if free.is_none() && !rates.is_empty() {
                    budget.spend(now);
                }
                Ok(free)
            })?;
            let Some(free) = free else { return Ok(()) };
            let wait = Duration::try_from(free.duration_since(now)).unwrap_or(Duration::ZERO);
            tokio::time::sleep(wait + Duration::from_millis(1)).await;
        }
    }

    fn note_throttling(&self, channel: &dyn Channel, outcome: Option<&Outcome>, testing: &Testing) {
        if let Some(Outcome::Throttled { retry_after, .. }) = outcome {
            let pause = retry_after.unwrap_or_else(|| channel.limits().throttle_pause);
            let until = after(testing.clock.now(), pause);
            testing.budgets.with(&self.budget(channel), |budget| budget.silence(until));
        }
    }

    fn budget(&self, channel: &dyn Channel) -> BudgetKey {
        BudgetKey::of(channel, &Recipient { target: self.key.clone(), leg: None })
    }

    fn message(&self) -> Message {
        let title = locale::test_title(self.locale).to_owned();
        let fact = Fact { label: "EventTarget", value: self.key.to_string() };
        Message { title, body: Body::Facts(vec![fact]), tone: Tone::Neutral, link: None }
    }

    /// Stands where a real message has its event; no channel that can be tested shows anything of it.
    fn event(&self, now: Timestamp) -> Event {
        Event {
            id: format!("test-{}-{}", self.uid.as_deref().unwrap_or_default(), self.request),
            source: Source::DLCJob,
            transition: Transition::Running,
            events: Vec::new(),
            time: now,
            observed_time: now,
            reason: String::new(),
            message: String::new(),
            subject: Subject {
                api_version: "notification.pai.dev/v1alpha1".to_owned(),
                kind: "EventTarget".to_owned(),
                namespace: self.key.namespace.clone(),
                name: self.key.name.clone(),
                uid: self.uid.clone().unwrap_or_default(),
                labels: BTreeMap::new(),
            },
            data: serde_json::Map::new(),
        }
    }
}

fn throttled(until: Timestamp) -> String {
    format!("nothing was sent: the receiver asked for silence until {until:.0}; try again after that")
}

fn answer(outcome: Option<&Outcome>) -> (TestResult, String) {
    match outcome {
        None => (TestResult::NotSupported, NOT_SUPPORTED.to_owned()),
        Some(Outcome::Delivered { .. }) => (TestResult::Succeeded, "the receiver accepted the test message".to_owned()),
        Some(failed) => (TestResult::Failed, format!("{}: {}", failed.code(), failed.message())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::secret::SecretsOf;
    use crate::controller::target;

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tables")]
    fn object(spec: Value, annotation: Option<&str>, recorded: Option<&str>) -> EventTarget {
        let annotations = annotation.map(|value| json!({TEST_ANNOTATION: value})).unwrap_or(json!({}));
        let test =
            recorded.map(|request| json!({"request": request, "time": "2026-01-01T00:00:00Z", "result": "Failed"}));
        let mut object = json!({
            "apiVersion": "notification.pai.dev/v1alpha1", "kind": "EventTarget",
            "metadata": {"name": "oncall", "namespace": "vision", "uid": "u", "annotations": annotations}, "spec": spec,
        });
        if let Some(test) = test {
            object["status"] = json!({"connectivityTest": test});
        }
        serde_json::from_value(object).unwrap()
    }

    fn http() -> Value {
        json!({"http": {"webhook": {"url": "https://a.example"}}})
    }

    fn acted(request: &str) -> Acted {
        Acted { uid: Some("u".to_owned()), request: request.to_owned(), answer: None }
    }

    #[test]
    fn one_value_of_the_annotation_asks_for_one_test_also_after_a_restart() {
        let table = [
            (None, None, None, None),
            (Some(""), None, None, None),
            (Some("1"), None, None, Some("1")),
            (Some("1"), Some("1"), None, None),
            (Some("2"), Some("1"), None, Some("2")),
            // Under way here, while the status still has the one before.
            (Some("2"), Some("1"), Some("2"), None),
            (Some("3"), Some("1"), Some("2"), Some("3")),
            // Back to a value that the status may still show: a new value, too.
            (Some("1"), Some("1"), Some("2"), Some("1")),
        ];
        for (annotation, recorded, known, expected) in table {
            let known = known.map(acted);
            let found = new_request(&object(http(), annotation, recorded), known.as_ref());
            assert_eq!(found.as_deref(), expected, "{annotation:?} {recorded:?} {known:?}");
        }
    }

    #[test]
    fn an_http_target_cannot_be_tested_and_one_that_is_not_ready_says_why() {
        let judged = |spec| {
            decide(&target::judge(
                object(spec, Some("1"), None),
                &channel::Surroundings::without_workspace(&SecretsOf::readable(Vec::new())),
                &std::collections::HashMap::new(),
            ))
        };
        let Decision::Answer(result, message) = judged(http()) else { panic!("sent") };
        assert_eq!(result, TestResult::NotSupported);
        assert!(message.starts_with("nothing was sent"), "{message}");
        let ding = json!({"dingTalk": {"webhook": {"url": "https://a.example"},
            "signingKey": {"secretKeyRef": {"name": "ding", "key": "k"}}}});
        let Decision::Answer(result, message) = judged(ding) else { panic!("sent") };
        assert_eq!(result, TestResult::Failed);
        assert!(message.contains("there is no Secret ding"), "{message}");
    }

    #[test]
    fn only_the_receivers_own_word_is_success() {
        let word = |code: &str| (code.to_owned(), "keywords not in content".to_owned());
        let (code, message) = word("310000");
        let (result, text) = answer(Some(&Outcome::Permanent { code, message }));
        assert_eq!((result, text.as_str()), (TestResult::Failed, "310000: keywords not in content"));
        let (code, message) = word("Timeout");
        assert_eq!(answer(Some(&Outcome::Ambiguous { code, message })).0, TestResult::Failed);
        assert_eq!(answer(Some(&Outcome::Delivered { code: "0".to_owned() })).0, TestResult::Succeeded);
        assert_eq!(answer(None).0, TestResult::NotSupported);
    }
}
