//! The loop: gather, judge, publish. What it comes to is written by a task of its own ([`write`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::access::{self, Answer, Answers, Asking, FIRST_ANSWERS};
use super::connectivity::{Testing, Tests};
use super::ingress::Ingresses;
use super::registry::RegistryHealth;
use super::retention::Retentions;
use super::rule::Cache;
use super::store::{Stores, decoded, undecodable};
use super::verdict::{Judgement, Undecodable, World, judge};
use super::workspace::Access;
use super::write::{self, Writing};
use crate::api::EventBus;
use crate::channel;
use crate::cluster::clock::Clock;
use crate::cluster::tasks::Tasks;
use crate::delivery::book::Summary;
use crate::delivery::budget::Budgets;
use crate::delivery::targets::{GoneTargets, TargetKey, TargetTable, Texts};
use crate::outbox::recorder::FilterErrors;
use crate::rules::Policy;
use crate::watch::sources::Sources;

/// Changes within this time are judged together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Everything is judged anew this often, whatever happens.
const RESYNC: Duration = Duration::from_mins(1);
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
    /// Where what messages are made with is published.
    pub texts: watch::Sender<Arc<Texts>>,
    /// Targets whose receiver is gone for good; the controller adds those that an operator before it wrote down.
    pub gone: watch::Sender<Arc<GoneTargets>>,
    /// What receivers take: connectivity tests use it up, too.
    pub budgets: Budgets,
    /// Where the retention of each namespace is published.
    pub retentions: watch::Sender<Arc<Retentions>>,
    /// Where the workspaces that take in what is published are published.
    pub ingresses: watch::Sender<Option<Arc<Ingresses>>>,
    /// How the model registries that are asked are.
    pub registries: watch::Receiver<Arc<RegistryHealth>>,
    /// The URL under which the bus is reached, without a path.
    pub bus_url: String,
    /// How the watches go.
    pub sources: watch::Receiver<Arc<Sources>>,
}

struct Controller {
    controlling: Controlling,
    stores: Stores,
    cache: Cache,
    /// What the API server said of each namespace that has a binding.
    answers: watch::Receiver<Option<Arc<Answers>>>,
    tests: Tests,
    testing: Testing,
    /// The last judgement, for those that write.
    judged: watch::Sender<Option<Arc<Judgement>>>,
}

/// Reconciles until `stop` is cancelled.
pub async fn run(controlling: Controlling, stop: CancellationToken) {
    let changed = Arc::new(Notify::new());
    let bound = Arc::new(Notify::new());
    let stores = Stores::start(&controlling.client, &controlling.tasks, &changed, &bound);
    // Only here: of two tasks that wait for one of kube's stores, the library wakes only the last.
    tokio::select! {
        () = stores.ready() => {}
        () = stop.cancelled() => return,
    }
    let (answers, answered) = watch::channel(None);
    let (client, bindings) = (controlling.client.clone(), stores.kinds.bindings.clone());
    let asking = Asking { client, bindings, woken: bound, changed: changed.clone(), answers };
    controlling.tasks.background("access", access::run(asking));
    let mut leading = controlling.leading.clone();
    let mut gone = controlling.gone.subscribe();
    let mut sources = controlling.sources.clone();
    let mut registries = controlling.registries.clone();
    let mut controller = Controller::new(controlling, stores, answered, &changed);
    tokio::select! {
        () = controller.prepare() => {}
        () = stop.cancelled() => return,
    }
    controller.start_writing(&stop);
    loop {
        // Before the judgement: leadership that comes during it makes another round.
        let _ = leading.borrow_and_update();
        let _ = gone.borrow_and_update();
        let _ = sources.borrow_and_update();
        let _ = registries.borrow_and_update();
        controller.reconcile();
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed.notified() => tokio::time::sleep(DEBOUNCE).await,
            Ok(()) = leading.changed() => {}
            Ok(()) = gone.changed() => {}
            Ok(()) = sources.changed() => tokio::time::sleep(DEBOUNCE).await,
            Ok(()) = registries.changed() => {}
            () = tokio::time::sleep(RESYNC) => {}
        }
    }
}

impl Controller {
    fn new(
        controlling: Controlling,
        stores: Stores,
        answers: watch::Receiver<Option<Arc<Answers>>>,
        changed: &Arc<Notify>,
    ) -> Self {
        let testing = Testing {
            http: controlling.http.clone(),
            clock: controlling.clock.clone(),
            tasks: controlling.tasks.clone(),
            budgets: controlling.budgets.clone(),
            changed: changed.clone(),
        };
        Self {
            controlling,
            stores,
            cache: Cache::default(),
            answers,
            tests: Tests::default(),
            testing,
            judged: watch::Sender::default(),
        }
    }

    /// Waits until a judgement can be trusted: every binding was asked about, and Secrets are there.
    async fn prepare(&mut self) {
        let answered = self.answers.wait_for(Option::is_some);
        if tokio::time::timeout(FIRST_ANSWERS, answered).await.is_err() {
            tracing::warn!("the API server has not said what access is granted; until it does, none is");
        }
        let answers = self.answers.borrow().clone();
        self.stores.watch_secrets(&granted(answers.as_deref()));
        self.stores.secrets_ready(SECRETS_FIRST).await;
    }

    fn start_writing(&self, stop: &CancellationToken) {
        let Controlling { client, clock, operator, leading, summary, throttled, filter_errors, tasks, bus_url, .. } =
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
            bus_url: bus_url.clone(),
        };
        tasks.spawn("status", write::run(writing, stop.clone()));
    }

    fn reconcile(&mut self) {
        let answers = self.answers.borrow().clone();
        self.stores.watch_secrets(&granted(answers.as_deref()));
        let judgement = Arc::new(judge(self.gather(answers.as_deref()), &mut self.cache));
        // What is in force goes out before anything is written: no message waits for a status.
        self.publish(&judgement);
        if *self.controlling.leading.borrow() {
            self.tests.act(&judgement, &self.testing);
        }
        self.judged.send_replace(Some(judgement));
    }

    fn gather(&self, answers: Option<&Answers>) -> World {
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
            access: self.access(answers),
            secrets: self.stores.secrets(),
            gone: self.controlling.gone.borrow().as_ref().clone(),
            registries: self.controlling.registries.borrow().as_ref().clone(),
            namespaces,
            operator: self.controlling.operator.clone(),
            sources: self.controlling.sources.borrow().clone(),
        }
    }

    fn access(&self, answers: Option<&Answers>) -> HashMap<String, Access> {
        decoded(&self.stores.kinds.bindings)
            .into_iter()
            .filter(|binding| binding.metadata.deletion_timestamp.is_none())
            .map(|binding| {
                let namespace = binding.namespace().unwrap_or_default();
                let missing = answers.and_then(|answers| answers.get(&namespace)).map(Answer::missing).ok_or(());
                (namespace, Access { binding, missing })
            })
            .collect()
    }

    fn publish(&self, judgement: &Judgement) {
        let Controlling { policy, targets, texts, retentions, gone, ingresses, .. } = &self.controlling;
        ingresses.send_replace(Some(Arc::new(judgement.ingresses.clone())));
        targets.send_replace(Arc::new(judgement.target_table()));
        texts.send_replace(Arc::new(judgement.texts()));
        let recorded = judgement.gone();
        gone.send_if_modified(|known| {
            let new = recorded.iter().any(|(key, revision)| known.get(key) != Some(revision));
            let vanished = known.keys().any(|key| !judgement.targets.contains_key(key));
            if new || vanished {
                let known = Arc::make_mut(known);
                known.extend(recorded);
                known.retain(|key, _| judgement.targets.contains_key(key));
            }
            new || vanished
        });
        policy.send_replace(Some(Arc::new(judgement.policy())));
        let in_force = judgement.workspaces.iter().filter(|workspace| workspace.granted.is_some());
        let of = |workspace: &super::workspace::WorkspaceVerdict| {
            (workspace.namespace.clone(), workspace.workspace.spec.retention.clone())
        };
        retentions.send_replace(Arc::new(in_force.map(of).collect()));
    }
}

fn granted(answers: Option<&Answers>) -> HashSet<String> {
    let granted = answers.into_iter().flatten().filter(|(_, answer)| **answer == Answer::Granted);
    granted.map(|(namespace, _)| namespace.clone()).collect()
}
