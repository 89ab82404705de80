//! The loop: gather, judge, publish. What it comes to is written by a task of its own ([`write`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connectivity::{Testing, Tests};
use super::retention::Retentions;
use super::rule::Cache;
use super::store::{Stores, decoded, undecodable};
use super::verdict::{Judgement, Undecodable, World, judge};
use super::workspace::Access;
use super::write::{self, Writing};
use crate::api::EventBus;
use crate::channel;
use crate::cluster::access;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::book::Summary;
use crate::delivery::targets::{RuleTemplates, TargetKey, TargetTable};
use crate::outbox::recorder::FilterErrors;
use crate::rules::Policy;

/// Changes within this time are judged together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Everything is judged anew this often, whatever happens.
const RESYNC: Duration = Duration::from_mins(1);
/// A right that is missing is asked for again after this long: a new binding takes a moment to be in force.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// ... and then less and less often, down to this.
const ASK_SELDOM: Duration = Duration::from_secs(2);
/// A right that is there is asked for again this often.
const CONFIRM_AGAIN: Duration = Duration::from_mins(1);
/// Namespaces that the API server is asked about at the same time.
const ASKED_AT_ONCE: usize = 8;
/// Longest wait for answers about the bindings that are there before the first judgement is published: what happens
/// in a namespace that is not known to be granted is not notified.
const ANSWERS_FIRST: Duration = Duration::from_secs(10);
/// Longest wait for the Secrets of granted namespaces before the first judgement is published.
const SECRETS_FIRST: Duration = Duration::from_secs(5);

/// What the controller needs.
pub struct Controlling {
    /// API client.
    pub client: Client,
    /// The one HTTP client, for connectivity tests.
    pub http: channel::Client,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Spawns.
    pub tasks: Tasks,
    /// `namespace/name` of the operator's `ServiceAccount`.
    pub operator: String,
    /// Whether this replica is the leader: only then are statuses written.
    pub leading: watch::Receiver<bool>,
    /// What the retained Notices add up to.
    pub summary: watch::Receiver<Arc<Summary>>,
    /// Targets that asked for silence.
    pub throttled: watch::Receiver<Arc<HashMap<TargetKey, Timestamp>>>,
    /// Filters that failed.
    pub filter_errors: FilterErrors,
    /// Where what is in force is published.
    pub policy: watch::Sender<Option<Arc<Policy>>>,
    /// Where the targets are published.
    pub targets: watch::Sender<Arc<TargetTable>>,
    /// Where the rules' templates are published.
    pub templates: watch::Sender<Arc<RuleTemplates>>,
    /// Where the retention of each namespace is published.
    pub retentions: watch::Sender<Arc<Retentions>>,
}

struct Controller {
    controlling: Controlling,
    stores: Stores,
    cache: Cache,
    /// What the API server said of each namespace that has a binding.
    answers: HashMap<String, Answer>,
    tests: Tests,
    testing: Testing,
    /// The last judgement, for those that write.
    judged: watch::Sender<Option<Arc<Judgement>>>,
}

/// What the API server said of a namespace.
struct Answer {
    /// Of the binding.
    version: Option<String>,
    /// The first right that is missing.
    missing: Option<String>,
    /// How often in a row it was found missing.
    tries: u32,
    /// When to ask again.
    due: Instant,
}

/// Reconciles until `stop` is cancelled.
pub async fn run(controlling: Controlling, stop: CancellationToken) {
    let changed = Arc::new(Notify::new());
    let stores = Stores::start(&controlling.client, &controlling.tasks, &changed);
    let mut leading = controlling.leading.clone();
    let mut controller = Controller::new(controlling, stores, &changed);
    tokio::select! {
        () = controller.prepare() => {}
        () = stop.cancelled() => return,
    }
    controller.start_writing(&stop);
    loop {
        // Before the judgement: leadership that comes during it makes another round.
        let _ = leading.borrow_and_update();
        controller.reconcile().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed.notified() => tokio::time::sleep(DEBOUNCE).await,
            Ok(()) = leading.changed() => {}
            () = tokio::time::sleep(controller.next_look()) => {}
        }
    }
}

impl Controller {
    fn new(controlling: Controlling, stores: Stores, changed: &Arc<Notify>) -> Self {
        let testing = Testing {
            http: controlling.http.clone(),
            clock: controlling.clock.clone(),
            tasks: controlling.tasks.clone(),
            changed: changed.clone(),
        };
        Self {
            controlling,
            stores,
            cache: Cache::default(),
            answers: HashMap::new(),
            tests: Tests::default(),
            testing,
            judged: watch::Sender::default(),
        }
    }

    /// Waits until a judgement can be trusted: everything is listed, every binding was asked about, Secrets are there.
    async fn prepare(&mut self) {
        self.stores.ready().await;
        let until = Instant::now() + ANSWERS_FIRST;
        loop {
            self.refresh_access().await;
            if self.unanswered() == 0 || Instant::now() >= until {
                break;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        self.stores.secrets_ready(SECRETS_FIRST).await;
    }

    fn start_writing(&self, stop: &CancellationToken) {
        let Controlling { client, clock, operator, leading, summary, throttled, filter_errors, tasks, .. } =
            &self.controlling;
        let writing = Writing {
            client: client.clone(),
            clock: clock.clone(),
            operator: operator.clone(),
            kinds: self.stores.kinds.clone(),
            judged: self.judged.subscribe(),
            leading: leading.clone(),
            summary: summary.clone(),
            throttled: throttled.clone(),
            filter_errors: filter_errors.clone(),
            tests: self.tests.clone(),
        };
        tasks.spawn("status", write::run(writing, stop.clone()));
    }

    async fn reconcile(&mut self) {
        self.refresh_access().await;
        let judgement = Arc::new(judge(self.gather(), &mut self.cache));
        // What is in force goes out before anything is written: no message waits for a status.
        self.publish(&judgement);
        if *self.controlling.leading.borrow() {
            self.tests.act(&judgement, &self.testing);
        }
        self.judged.send_replace(Some(judgement));
    }

    fn gather(&self) -> World {
        // One that is on its way out takes in nothing new.
        let there = |namespace: &PartialObjectMeta<Namespace>| namespace.metadata.deletion_timestamp.is_none();
        let namespaces = self.stores.kinds.namespaces.state();
        let namespaces: HashSet<String> =
            namespaces.iter().filter(|namespace| there(namespace)).map(|namespace| namespace.name_any()).collect();
        let kinds = &self.stores.kinds;
        let key = |bus: &EventBus| (bus.namespace().unwrap_or_default(), bus.name_any());
        World {
            workspaces: decoded(&kinds.workspaces),
            buses: decoded(&kinds.buses).into_iter().map(|bus| (key(&bus), bus)).collect(),
            targets: decoded(&kinds.targets),
            rules: decoded(&kinds.rules),
            undecodable: Undecodable {
                workspaces: undecodable(&kinds.workspaces),
                targets: undecodable(&kinds.targets),
                rules: undecodable(&kinds.rules),
            },
            access: self.access(),
            secrets: self.stores.secrets(),
            namespaces,
            operator: self.controlling.operator.clone(),
        }
    }

    fn access(&self) -> HashMap<String, Access> {
        decoded(&self.stores.kinds.bindings)
            .into_iter()
            .filter(|binding| binding.metadata.deletion_timestamp.is_none())
            .map(|binding| {
                let namespace = binding.namespace().unwrap_or_default();
                // The last word stands until the next: an edit of the binding takes nothing away before it was asked about.
                let missing = self.answers.get(&namespace);
                let missing = missing.map(|answer| answer.missing.clone()).ok_or(());
                (namespace, Access { binding, missing })
            })
            .collect()
    }

    fn publish(&self, judgement: &Judgement) {
        let Controlling { policy, targets, templates, retentions, .. } = &self.controlling;
        targets.send_replace(Arc::new(judgement.target_table()));
        templates.send_replace(Arc::new(judgement.templates()));
        policy.send_replace(Some(Arc::new(judgement.policy())));
        let in_force = judgement.workspaces.iter().filter(|workspace| workspace.granted.is_some());
        let of = |workspace: &super::workspace::WorkspaceVerdict| {
            (workspace.namespace.clone(), workspace.workspace.spec.retention.clone())
        };
        retentions.send_replace(Arc::new(in_force.map(of).collect()));
    }

    /// Asks the API server about bindings that are new, have changed, or were asked about long ago; and watches the
    /// Secrets of the namespaces that are granted.
    async fn refresh_access(&mut self) {
        let bindings = decoded(&self.stores.kinds.bindings);
        let present = bindings.iter().filter(|binding| binding.metadata.deletion_timestamp.is_none());
        let versions: HashMap<String, Option<String>> =
            present.map(|binding| (binding.namespace().unwrap_or_default(), binding.resource_version())).collect();
        self.answers.retain(|namespace, _| versions.contains_key(namespace));
        let now = Instant::now();
        let due = versions.into_iter().filter(|(namespace, version)| {
            self.answers.get(namespace).is_none_or(|answer| answer.version != *version || answer.due <= now)
        });
        let client = &self.controlling.client;
        let ask = |(namespace, version): (String, Option<String>)| async move {
            let said = access::missing_right(client, &namespace).await;
            (namespace, version, said)
        };
        let said: Vec<_> =
            futures::stream::iter(due.collect::<Vec<_>>()).map(ask).buffer_unordered(ASKED_AT_ONCE).collect().await;
        for (namespace, version, said) in said {
            match said {
                Ok(missing) => {
                    let before = self.answers.get(&namespace);
                    let answer = Answer::new(version, missing, before, Instant::now());
                    self.answers.insert(namespace, answer);
                }
                Err(error) => {
                    tracing::warn!(namespace, %error, "the API server could not be asked about access yet");
                    // Until it can be, its last word holds: nothing may be lost because nobody could be asked.
                    if let Some(answer) = self.answers.get_mut(&namespace) {
                        answer.version = version;
                        answer.due = Instant::now() + ASK_SELDOM;
                    }
                }
            }
        }
        let granted = self.answers.iter().filter(|(_, answer)| answer.missing.is_none());
        let granted: HashSet<String> = granted.map(|(namespace, _)| namespace.clone()).collect();
        self.stores.watch_secrets(&granted);
    }

    /// Bindings that the API server was not asked about yet.
    fn unanswered(&self) -> usize {
        let bindings = decoded(&self.stores.kinds.bindings);
        let present = bindings.iter().filter(|binding| binding.metadata.deletion_timestamp.is_none());
        present.filter(|binding| !self.answers.contains_key(&binding.namespace().unwrap_or_default())).count()
    }

    fn next_look(&self) -> Duration {
        let due = self.answers.values().map(|answer| answer.due.saturating_duration_since(Instant::now())).min();
        let due = due.unwrap_or(RESYNC).min(RESYNC);
        if self.unanswered() > 0 { due.min(ASK_SELDOM) } else { due }
    }
}

impl Answer {
    fn new(version: Option<String>, missing: Option<String>, before: Option<&Self>, now: Instant) -> Self {
        // Another binding starts anew.
        let again = before.filter(|before| before.version == version).map_or(0, |before| before.tries);
        let tries = if missing.is_some() { again.saturating_add(1) } else { 0 };
        let pause = match tries {
            0 => CONFIRM_AGAIN,
            tries => ASK_AGAIN.saturating_mul(1 << (tries - 1).min(8)).min(ASK_SELDOM),
        };
        Self { version, missing, tries, due: now + pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_missing_right_is_asked_for_soon_then_every_two_seconds_and_a_confirmed_one_once_a_minute() {
        let (now, version) = (Instant::now(), Some("1".to_owned()));
        let mut answer = Answer::new(version.clone(), Some("get secrets".to_owned()), None, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            pauses.push((answer.due - now).as_millis());
            answer = Answer::new(version.clone(), Some("get secrets".to_owned()), Some(&answer), now);
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 2000, 2000]);
        let edited = Answer::new(Some("2".to_owned()), Some("get secrets".to_owned()), Some(&answer), now);
        assert_eq!(edited.due - now, ASK_AGAIN, "an edited binding starts anew");
        let granted = Answer::new(version, None, Some(&answer), now);
        assert_eq!((granted.due - now, granted.tries), (CONFIRM_AGAIN, 0));
    }
}
