//! The loop: gather, judge, publish, write.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::retention::Retentions;
use super::rule::Cache;
use super::store::{Stores, decoded};
use super::verdict::{Judgement, Tally, World, judge};
use super::workspace::Access;
use super::write;
use crate::api::EventBus;
use crate::cluster::access;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::book::Summary;
use crate::delivery::targets::{RuleTemplates, TargetKey, TargetTable};
use crate::outbox::recorder::FilterErrors;
use crate::rules::Policy;

/// Changes within this time are judged together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Statuses that differ only in counts are written this often.
const COUNTS_EVERY: Duration = Duration::from_secs(1);
/// Everything is judged anew this often, whatever happens.
const RESYNC: Duration = Duration::from_mins(1);
/// A right that is missing is asked for again this often: a new binding takes a moment to be in force.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A right that is there is asked for again this often.
const CONFIRM_AGAIN: Duration = Duration::from_mins(1);
/// Longest wait for the Secrets of granted namespaces before the first judgement is published.
const SECRETS_FIRST: Duration = Duration::from_secs(5);

/// What the controller needs.
pub struct Controlling {
    /// API client.
    pub client: Client,
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
    /// What the API server said of each binding, with the binding's resourceVersion and when it was asked.
    answers: HashMap<String, Answer>,
}

struct Answer {
    version: Option<String>,
    asked: Instant,
    missing: Option<String>,
}

/// Reconciles until `stop` is cancelled.
pub async fn run(mut controlling: Controlling, stop: CancellationToken) {
    let changed = Arc::new(Notify::new());
    let stores = Stores::start(&controlling.client, &controlling.tasks, &changed);
    tokio::select! {
        () = stores.ready() => {}
        () = stop.cancelled() => return,
    }
    let (mut leading, mut summary, mut throttled) =
        (controlling.leading.clone(), controlling.summary.clone(), controlling.throttled.clone());
    let _ = (leading.borrow_and_update(), controlling.leading.borrow_and_update());
    let mut controller = Controller { controlling, stores, cache: Cache::default(), answers: HashMap::new() };
    controller.refresh_access().await;
    controller.stores.secrets_ready(SECRETS_FIRST).await;
    let mut counts_written = Instant::now();
    loop {
        controller.reconcile().await;
        counts_written = counts_written.max(Instant::now());
        // Counts change with every Notice; what is in force does not, so those may wait for the next second.
        let counts = async {
            tokio::select! {
                Ok(()) = summary.changed() => {}
                Ok(()) = throttled.changed() => {}
                else => std::future::pending().await,
            }
            tokio::time::sleep_until(counts_written + COUNTS_EVERY).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed.notified() => tokio::time::sleep(DEBOUNCE).await,
            Ok(()) = leading.changed() => {}
            () = counts => {}
            () = tokio::time::sleep(controller.next_look()) => {}
        }
        summary.mark_unchanged();
        throttled.mark_unchanged();
    }
}

impl Controller {
    async fn reconcile(&mut self) {
        self.refresh_access().await;
        let buses = decoded(&self.stores.buses);
        let world = self.gather(&buses);
        let access = world.access.clone();
        let judgement = judge(world, &mut self.cache);
        self.publish(&judgement);
        if !*self.controlling.leading.borrow() {
            return;
        }
        let Controlling { client, clock, operator, summary, throttled, filter_errors, .. } = &self.controlling;
        write::owned(client, &judgement, &buses, &access, operator).await;
        let (summary, throttled) = (summary.borrow().clone(), throttled.borrow().clone());
        let filter_errors = filter_errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tally =
            Tally { summary: &summary, throttled: &throttled, filter_errors: &filter_errors, tests: &HashMap::new() };
        write::statuses(client, &judgement, &buses, &tally, clock.now()).await;
    }

    fn gather(&self, buses: &[EventBus]) -> World {
        let namespaces: HashSet<String> =
            self.stores.namespaces.state().iter().map(|namespace| namespace.name_any()).collect();
        let key = |bus: &EventBus| (bus.namespace().unwrap_or_default(), bus.name_any());
        World {
            workspaces: decoded(&self.stores.workspaces),
            buses: buses.iter().map(|bus| (key(bus), bus.clone())).collect(),
            targets: decoded(&self.stores.targets),
            rules: decoded(&self.stores.rules),
            access: self.access(),
            secrets: namespaces.iter().map(|namespace| (namespace.clone(), self.stores.secrets(namespace))).collect(),
            namespaces,
            operator: self.controlling.operator.clone(),
        }
    }

    fn access(&self) -> HashMap<String, Access> {
        decoded(&self.stores.bindings)
            .into_iter()
            .filter(|binding| binding.metadata.deletion_timestamp.is_none())
            .map(|binding| {
                let namespace = binding.namespace().unwrap_or_default();
                let answer = self.answers.get(&namespace).filter(|answer| answer.version == binding.resource_version());
                let missing = answer.map(|answer| answer.missing.clone()).ok_or(());
                (namespace, Access { binding, missing })
            })
            .collect()
    }

    /// What is in force goes out before anything is written: no message waits for a status.
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
        let bindings = decoded(&self.stores.bindings);
        let mut granted = HashSet::new();
        let mut answers = HashMap::new();
        for binding in bindings.iter().filter(|binding| binding.metadata.deletion_timestamp.is_none()) {
            let namespace = binding.namespace().unwrap_or_default();
            let version = binding.resource_version();
            let known = self.answers.remove(&namespace).filter(|answer| answer.version == version && !answer.is_due());
            let answer = match known {
                Some(answer) => answer,
                None => match access::missing_right(&self.controlling.client, &namespace).await {
                    Ok(missing) => Answer { version, asked: Instant::now(), missing },
                    Err(error) => {
                        tracing::warn!(namespace, %error, "the API server could not be asked about access yet");
                        continue;
                    }
                },
            };
            if answer.missing.is_none() {
                granted.insert(namespace.clone());
            }
            answers.insert(namespace, answer);
        }
        self.answers = answers;
        self.stores.watch_secrets(&granted);
    }

    fn next_look(&self) -> Duration {
        let unanswered = decoded(&self.stores.bindings).len() > self.answers.len();
        let due = self.answers.values().map(Answer::due_in).min().unwrap_or(RESYNC);
        if unanswered { ASK_AGAIN } else { due.min(RESYNC) }
    }
}

impl Answer {
    fn due_in(&self) -> Duration {
        let every = if self.missing.is_none() { CONFIRM_AGAIN } else { ASK_AGAIN };
        every.saturating_sub(self.asked.elapsed())
    }

    fn is_due(&self) -> bool {
        self.due_in().is_zero()
    }
}
