//! Writes what the judgement asks for, on the leader alone: only what differs, each object on its own, so that one refusal
//! stops nothing else. A task of its own, so that no message waits for a status.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Preconditions};
use kube::core::{DeserializeGuard, NamespaceResourceScope, ObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bus;
use super::connectivity::Tests;
use super::store::{Kept, Kinds, decoded};
use super::verdict::{self, Judgement, Tally};
use super::workspace::{WorkspaceVerdict, is_ours};
use crate::api::event_bus::EventBusStatus;
use crate::api::event_target::EventTargetStatus;
use crate::api::names::{SERVICE_ROLE, WORKSPACE_LABEL, bus_name};
use crate::api::notice_rule::NoticeRuleStatus;
use crate::api::workspace::WorkspaceStatus;
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::cluster::apply::{apply, apply_status};
use crate::cluster::clock::Clock;
use crate::cluster::deadline::{self, ApiError};
use crate::delivery::book::Summary;
use crate::delivery::targets::TargetKey;
use crate::outbox::recorder::FilterErrors;

const MANAGER: &str = "pai-notification-controller";
/// Writes at the same time.
const CONCURRENCY: usize = 8;
/// Statuses that differ only in counts are written this often.
const COUNTS_EVERY: Duration = Duration::from_secs(1);
/// First pause after a write that failed; doubles from there.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// Longest pause after a write that failed.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What writing needs.
pub(super) struct Writing {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    /// `namespace/name` of the operator's `ServiceAccount`.
    pub(super) operator: String,
    pub(super) kinds: Kinds,
    pub(super) judged: watch::Receiver<Option<Arc<Judgement>>>,
    pub(super) leading: watch::Receiver<bool>,
    pub(super) summary: watch::Receiver<Arc<Summary>>,
    pub(super) throttled: watch::Receiver<Arc<HashMap<TargetKey, Timestamp>>>,
    pub(super) filter_errors: FilterErrors,
    pub(super) tests: Tests,
    pub(super) bus_url: String,
}

/// What became of the Notices, as the statuses say it.
struct Counts {
    summary: Arc<Summary>,
    throttled: Arc<HashMap<TargetKey, Timestamp>>,
    filter_errors: HashMap<(String, String), (i64, String)>,
    taken: Instant,
}

/// One write; whether it could be done.
type Write = BoxFuture<'static, bool>;
/// Namespace (empty for a Workspace) and name.
type Key = (String, String);

/// Writes until `stop` is cancelled.
pub(super) async fn run(mut writing: Writing, stop: CancellationToken) {
    let mut written = Written::default();
    let mut counts = writing.counts();
    let mut failures = 0_u32;
    loop {
        // What comes after this makes another pass; what came before is part of this one.
        let judgement = writing.judged.borrow_and_update().clone();
        let leads = *writing.leading.borrow_and_update();
        if let Some(judgement) = judgement.filter(|_| leads) {
            // Counts change with every Notice: they are written once a second.
            if counts.taken.elapsed() >= COUNTS_EVERY {
                counts = writing.counts();
            }
            let well = writing.pass(&judgement, &counts, &mut written).await;
            failures = if well { 0 } else { failures.saturating_add(1) };
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = writing.next_cause(&counts, failures) => {}
        }
    }
}

impl Writing {
    fn counts(&self) -> Counts {
        Counts {
            summary: self.summary.borrow().clone(),
            throttled: self.throttled.borrow().clone(),
            filter_errors: self.filter_errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            taken: Instant::now(),
        }
    }

    async fn next_cause(&mut self, counts: &Counts, failures: u32) {
        let (mut judged, mut leading) = (self.judged.clone(), self.leading.clone());
        let retry = async {
            match retry_pause(failures) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = judged.changed() => {}
            Ok(()) = leading.changed() => {}
            () = self.behind(counts) => {}
            () = retry => {}
        }
    }

    /// Resolves when statuses are behind what became of the Notices, and were written long enough ago. On a standby, that
    /// is the leader's business.
    async fn behind(&self, counts: &Counts) {
        let mut look = counts.taken + COUNTS_EVERY;
        loop {
            tokio::time::sleep_until(look).await;
            if *self.leading.borrow() && self.differ(counts) {
                return;
            }
            look = Instant::now() + COUNTS_EVERY;
        }
    }

    fn differ(&self, counts: &Counts) -> bool {
        !Arc::ptr_eq(&counts.summary, &self.summary.borrow())
            || !Arc::ptr_eq(&counts.throttled, &self.throttled.borrow())
            || counts.filter_errors != *self.filter_errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that differed could be written.
    async fn pass(&self, judgement: &Judgement, counts: &Counts, written: &mut Written) -> bool {
        let owned = all(self.owned(judgement)).await;
        let statuses = self.statuses(judgement, counts, written).await;
        owned && statuses
    }

    /// Makes and removes what workspaces own.
    fn owned(&self, judgement: &Judgement) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::new();
        for workspace in &judgement.workspaces {
            if workspace.needs_bus {
                let api: Api<EventBus> = Api::namespaced(self.client.clone(), &workspace.namespace);
                writes.push(make(api, "EventBus", bus::bus(workspace)));
            }
            let api: Api<RoleBinding> = Api::namespaced(self.client.clone(), &workspace.namespace);
            if workspace.needs_binding {
                writes.push(make(api, "RoleBinding", bus::binding(workspace, &self.operator)));
            } else if let Some(binding) = find(&self.kinds.bindings, &workspace.namespace, SERVICE_ROLE)
                && drops_binding(workspace, &binding)
            {
                writes.push(remove(api, "RoleBinding", binding.meta()));
            }
        }
        for unwanted in decoded(&self.kinds.buses).iter().filter(|bus| is_unwanted(bus, judgement)) {
            let api: Api<EventBus> = Api::namespaced(self.client.clone(), &unwanted.namespace().unwrap_or_default());
            writes.push(remove(api, "EventBus", &unwanted.metadata));
        }
        writes
    }

    /// Writes every status that differs.
    async fn statuses(&self, judgement: &Judgement, counts: &Counts, written: &mut Written) -> bool {
        let Counts { summary, throttled, filter_errors, taken: _ } = counts;
        let tally = Tally { summary, throttled, filter_errors, tests: &self.tests.answers(), bus_url: &self.bus_url };
        let now = self.clock.now();
        let (client, kinds) = (&self.client, &self.kinds);

        let workspaces = judgement.workspaces.iter().map(|judged| {
            let key = (String::new(), judged.name());
            let before =
                written.workspaces.known(&key, find(&kinds.workspaces, "", &key.1).as_deref(), |object| &object.status);
            let fresh = verdict::workspace_status(judged, before.as_ref(), &tally, now);
            Due { api: Api::all(client.clone()), key, differs: before.as_ref() != Some(&fresh), fresh }
        });
        let workspaces = send::<Workspace, _>("Workspace", workspaces.collect()).await;
        let targets = judgement.targets.values().map(|judged| {
            let key = (judged.key.namespace.clone(), judged.key.name.clone());
            let before =
                written.targets.known(&key, find(&kinds.targets, &key.0, &key.1).as_deref(), |object| &object.status);
            let fresh = verdict::target_status(judged, before.as_ref(), &tally, now);
            Due { api: namespaced(client, &key.0), key, differs: before.as_ref() != Some(&fresh), fresh }
        });
        let targets = send::<EventTarget, _>("EventTarget", targets.collect()).await;
        let rules = judgement.rules.iter().map(|judged| {
            let key = (judged.object.namespace().unwrap_or_default(), judged.object.name_any());
            let before =
                written.rules.known(&key, find(&kinds.rules, &key.0, &key.1).as_deref(), |object| &object.status);
            let fresh = verdict::rule_status(judged, before.as_ref(), &tally, now);
            Due { api: namespaced(client, &key.0), key, differs: before.as_ref() != Some(&fresh), fresh }
        });
        let rules = send::<NoticeRule, _>("NoticeRule", rules.collect()).await;
        let buses = decoded(&kinds.buses);
        let buses = buses.iter().map(|object| {
            let key = (object.namespace().unwrap_or_default(), object.name_any());
            let before =
                written.buses.known(&key, find(&kinds.buses, &key.0, &key.1).as_deref(), |object| &object.status);
            // The bus counts, and writes that itself.
            let before = before.map(|status| EventBusStatus { counters: None, ..status });
            let fresh = verdict::bus_status(object, before.as_ref(), judgement, &self.bus_url, now);
            Due { api: namespaced(client, &key.0), key, differs: before.as_ref() != Some(&fresh), fresh }
        });
        let buses = send::<EventBus, _>("EventBus", buses.collect()).await;
        [
            written.workspaces.note(workspaces),
            written.targets.note(targets),
            written.rules.note(rules),
            written.buses.note(buses),
        ]
        .into_iter()
        .all(|well| well)
    }
}

fn retry_pause(failures: u32) -> Option<Duration> {
    let doublings = failures.checked_sub(1)?.min(16);
    Some(FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY))
}

/// A binding of ours whose workspace is there and does not want it any more.
fn drops_binding(workspace: &WorkspaceVerdict, binding: &DeserializeGuard<RoleBinding>) -> bool {
    !workspace.workspace.spec.grant_access
        && workspace.has_its_namespace()
        && binding.0.as_ref().is_ok_and(|binding| is_ours(binding, &workspace.name()))
}

/// A bus of ours whose workspace is there and does not want it any more. That of a workspace that is gone goes with it.
fn is_unwanted(bus: &EventBus, judgement: &Judgement) -> bool {
    let Some(name) = bus.labels().get(WORKSPACE_LABEL) else { return false };
    bus.metadata.deletion_timestamp.is_none()
        && bus.name_any() == bus_name(name)
        && judgement.workspaces.iter().any(|workspace| {
            workspace.name() == *name && workspace.has_its_namespace() && !workspace.workspace.spec.activate
        })
}

fn make<K>(api: Api<K>, kind: &'static str, object: K) -> Write
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let about = format!("{kind} {}", object.name_any());
    Box::pin(async move { is_done(&about, &apply(&api, MANAGER, &object).await) })
}

/// Removes exactly the object that was judged: not one that somebody has put in its place.
fn remove<K>(api: Api<K>, kind: &'static str, metadata: &ObjectMeta) -> Write
where
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let name = metadata.name.clone().unwrap_or_default();
    let preconditions =
        Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let about = format!("the removal of {kind} {name}");
    Box::pin(async move {
        let removed = deadline::write(api.delete(&name, &params)).await;
        removed.as_ref().is_err_and(ApiError::is_not_found) || is_done(&about, &removed)
    })
}

/// Carries out every one, also after one that failed.
async fn all(writes: Vec<Write>) -> bool {
    let results = futures::stream::iter(writes).buffer_unordered(CONCURRENCY);
    results.fold(true, |all, well| async move { all && well }).await
}

fn is_done<T>(about: &str, result: &Result<T, ApiError>) -> bool {
    if let Err(error) = result {
        tracing::warn!(about, %error, reason = error.label(), "could not be written yet");
    }
    result.is_ok()
}

/// A status, and whether it is to be written.
struct Due<K, S> {
    api: Api<DeserializeGuard<K>>,
    key: Key,
    fresh: S,
    differs: bool,
}

/// What became of a status.
enum Sent<S> {
    /// It is stored as this revision.
    Stored(Key, u64, S),
    /// It was as it should be already.
    Same(Key),
    /// The object is gone.
    Gone,
    /// Not yet.
    Failed(Key),
}

fn namespaced<K>(client: &Client, namespace: &str) -> Api<DeserializeGuard<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), namespace)
}

async fn send<K, S>(kind: &'static str, due: Vec<Due<K, S>>) -> Vec<Sent<S>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync,
    S: Serialize + Send + Sync,
{
    let one = |Due { api, key, fresh, differs }: Due<K, S>| async move {
        if !differs {
            return Sent::Same(key);
        }
        match apply_status(&api, MANAGER, &key.1, &fresh).await {
            Ok(stored) => Sent::Stored(key, revision(stored.meta()), fresh),
            Err(error) if error.is_not_found() => Sent::Gone,
            Err(error) => {
                tracing::warn!(kind, namespace = key.0, name = key.1, %error, reason = error.label(), "a status could not be written yet");
                Sent::Failed(key)
            }
        }
    };
    futures::stream::iter(due.into_iter().map(one)).buffer_unordered(CONCURRENCY).collect().await
}

/// The statuses that were written last: our watches may be a moment behind our own writes.
#[derive(Debug, Default)]
struct Written {
    workspaces: WrittenOf<WorkspaceStatus>,
    targets: WrittenOf<EventTargetStatus>,
    rules: WrittenOf<NoticeRuleStatus>,
    buses: WrittenOf<EventBusStatus>,
}

#[derive(Debug)]
struct WrittenOf<S>(HashMap<Key, (u64, S)>);

impl<S> Default for WrittenOf<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Clone> WrittenOf<S> {
    /// The status that is stored, as far as is known: the one that we have written, or the one that was seen since.
    fn known<K: Resource>(
        &self,
        key: &Key,
        seen: Option<&DeserializeGuard<K>>,
        status: impl FnOnce(&K) -> &Option<S>,
    ) -> Option<S>
    where
        DeserializeGuard<K>: Resource,
    {
        let seen_revision = seen.map_or(0, |guard| revision(guard.meta()));
        match self.0.get(key) {
            Some((revision, written)) if *revision >= seen_revision => Some(written.clone()),
            _ => seen.and_then(|guard| guard.0.as_ref().ok()).and_then(|object| status(object).clone()),
        }
    }

    /// Keeps what was written, forgets what is gone; whether all is well.
    fn note(&mut self, sent: Vec<Sent<S>>) -> bool {
        let mut before = std::mem::take(&mut self.0);
        let mut well = true;
        for sent in sent {
            let kept = match sent {
                Sent::Stored(key, revision, status) => Some((key, (revision, status))),
                Sent::Same(key) => before.remove_entry(&key),
                Sent::Gone => None,
                Sent::Failed(key) => {
                    well = false;
                    before.remove_entry(&key)
                }
            };
            self.0.extend(kept);
        }
        well
    }
}

fn revision(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// An object of a store; an empty namespace is that of a cluster-scoped one.
fn find<K>(store: &Kept<K>, namespace: &str, name: &str) -> Option<Arc<DeserializeGuard<K>>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let reference = ObjectRef::new(name);
    store.get(&if namespace.is_empty() { reference } else { reference.within(namespace) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::workspace::{Surroundings, judge_all};

    #[test]
    fn a_write_that_fails_is_tried_again_ever_more_slowly() {
        let pauses: Vec<_> = [0, 1, 2, 3, 7, 100].map(|failures| retry_pause(failures).map(|p| p.as_millis())).into();
        assert_eq!(pauses, [None, Some(500), Some(1000), Some(2000), Some(30_000), Some(30_000)]);
    }

    fn seen(version: &str, namespace: &str) -> DeserializeGuard<Workspace> {
        let object = json!({"apiVersion": "notification.pai.dev/v1alpha1", "kind": "Workspace", "spec": {},
            "metadata": {"name": "vision", "resourceVersion": version}, "status": {"namespace": namespace}});
        serde_json::from_value(object).unwrap()
    }

    fn status(namespace: &str) -> WorkspaceStatus {
        WorkspaceStatus { namespace: Some(namespace.to_owned()), ..WorkspaceStatus::default() }
    }

    #[test]
    fn what_was_written_counts_until_something_younger_is_seen() {
        let key = (String::new(), "vision".to_owned());
        let mut written = WrittenOf::default();
        let known = |written: &WrittenOf<WorkspaceStatus>, seen: Option<&DeserializeGuard<Workspace>>| {
            written.known(&key, seen, |object| &object.status).and_then(|status| status.namespace)
        };
        assert_eq!(known(&written, None), None);
        assert_eq!(known(&written, Some(&seen("5", "seen"))).as_deref(), Some("seen"));
        assert!(written.note(vec![Sent::Stored(key.clone(), 7, status("written"))]));
        for (version, expected) in [("5", "written"), ("7", "written"), ("8", "seen")] {
            assert_eq!(known(&written, Some(&seen(version, "seen"))).as_deref(), Some(expected), "{version}");
        }
        assert!(written.note(vec![Sent::Same(key.clone())]), "kept");
        assert_eq!(known(&written, Some(&seen("5", "seen"))).as_deref(), Some("written"));
        assert!(!written.note(vec![Sent::Failed(key.clone())]), "kept, and to be tried again");
        assert_eq!(known(&written, Some(&seen("5", "seen"))).as_deref(), Some("written"));
        assert!(written.note(vec![Sent::Gone]), "forgotten");
        assert_eq!(known(&written, Some(&seen("5", "seen"))).as_deref(), Some("seen"));
    }

    #[test]
    fn a_status_that_was_written_to_an_unreadable_object_is_remembered() {
        let key = (String::new(), "vision".to_owned());
        let mut unreadable = json!({"metadata": {"name": "vision", "resourceVersion": "7"}, "spec": {"quota": "many"}});
        let guard: DeserializeGuard<Workspace> = serde_json::from_value(unreadable.take()).unwrap();
        assert!(guard.0.is_err());
        let mut written = WrittenOf::default();
        written.note(vec![Sent::Stored(key.clone(), 7, status("written"))]);
        assert_eq!(written.known(&key, Some(&guard), |object| &object.status), Some(status("written")));
    }

    fn verdict(spec: &Value) -> WorkspaceVerdict {
        let workspace = json!({"apiVersion": "notification.pai.dev/v1alpha1", "kind": "Workspace", "spec": spec,
            "metadata": {"name": "vision"}});
        let (around, none) = (HashMap::new(), std::collections::HashSet::new());
        let surroundings = Surroundings { namespaces: &none, buses: &around, access: &HashMap::new(), operator: "a/b" };
        judge_all(vec![serde_json::from_value(workspace).unwrap()], &surroundings).remove(0)
    }

    #[test]
    fn only_a_binding_of_ours_is_removed_and_only_while_access_is_not_to_be_granted() {
        let binding = |workspace: Option<&str>| -> DeserializeGuard<RoleBinding> {
            let labels = workspace.map_or(json!({}), |name| json!({WORKSPACE_LABEL: name}));
            serde_json::from_value(json!({"metadata": {"name": SERVICE_ROLE, "labels": labels},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SERVICE_ROLE}}))
            .unwrap()
        };
        for (grant, made_for, drops) in [
            (false, Some("vision"), true),
            (false, Some("other"), false),
            (false, None, false),
            (true, Some("vision"), false),
        ] {
            let found = drops_binding(&verdict(&json!({"grantAccess": grant})), &binding(made_for));
            assert_eq!(found, drops, "grantAccess {grant}, made for {made_for:?}");
        }
    }
}
