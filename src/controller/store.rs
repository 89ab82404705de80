//! Our kinds in memory, each kept by a watch; any change but that of a status wakes the reconcile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::core::{DeserializeGuard, ObjectMeta, PartialObjectMeta};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::secret::{SecretView, SecretsOf};
use crate::api::names::SERVICE_ROLE;
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::cluster::tasks::Tasks;

/// Secrets that no target can name with profit, and that may be large.
const SECRET_TYPES: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// A kind whose objects may fail to decode.
pub(super) type Kept<K> = Store<DeserializeGuard<K>>;

/// What is watched in the whole cluster. Cheap to clone.
#[derive(Clone)]
pub(super) struct Kinds {
    pub(super) workspaces: Kept<Workspace>,
    pub(super) buses: Kept<EventBus>,
    pub(super) targets: Kept<EventTarget>,
    pub(super) rules: Kept<NoticeRule>,
    pub(super) bindings: Kept<RoleBinding>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
}

/// Everything that is watched.
pub(super) struct Stores {
    pub(super) kinds: Kinds,
    secrets: HashMap<String, NamespaceSecrets>,
    client: Client,
    tasks: Tasks,
    changed: Arc<Notify>,
}

struct NamespaceSecrets {
    store: Kept<SecretView>,
    stop: CancellationToken,
}

impl Stores {
    /// Starts every watch. Changes of bindings wake `bound`, which asks what they give; all others wake `changed`.
    pub(super) fn start(client: &Client, tasks: &Tasks, changed: &Arc<Notify>, bound: &Arc<Notify>) -> Self {
        let bindings = watcher::Config::default().fields(&format!("metadata.name={SERVICE_ROLE}"));
        let kinds = Kinds {
            workspaces: keep("workspaces", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            buses: keep("eventbuses", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            targets: keep("eventtargets", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            rules: keep("noticerules", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            bindings: keep("rolebindings", Api::all(client.clone()), bindings, tasks, bound),
            namespaces: keep_namespaces(client, tasks, changed),
        };
        Self { kinds, secrets: HashMap::new(), client: client.clone(), tasks: tasks.clone(), changed: changed.clone() }
    }

    /// Waits until every list is complete.
    pub(super) async fn ready(&self) {
        let Kinds { workspaces, buses, targets, rules, bindings, namespaces } = &self.kinds;
        let _ = tokio::join!(
            workspaces.wait_until_ready(),
            buses.wait_until_ready(),
            targets.wait_until_ready(),
            rules.wait_until_ready(),
            bindings.wait_until_ready(),
            namespaces.wait_until_ready(),
        );
    }

    /// Watches the Secrets of exactly these namespaces.
    pub(super) fn watch_secrets(&mut self, namespaces: &HashSet<String>) {
        self.secrets.retain(|namespace, secrets| {
            let wanted = namespaces.contains(namespace);
            if !wanted {
                secrets.stop.cancel();
            }
            wanted
        });
        for namespace in namespaces {
            if !self.secrets.contains_key(namespace) {
                let started = self.start_secrets(namespace);
                self.secrets.insert(namespace.clone(), started);
            }
        }
    }

    /// Waits until the Secrets of every granted namespace are listed.
    pub(super) async fn secrets_ready(&self, longest: Duration) {
        let all = futures::future::join_all(self.secrets.values().map(|secrets| secrets.store.wait_until_ready()));
        let _ = tokio::time::timeout(longest, all).await;
    }

    fn start_secrets(&self, namespace: &str) -> NamespaceSecrets {
        let (store, writer) = reflector::store();
        let stop = CancellationToken::new();
        let api: Api<DeserializeGuard<SecretView>> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().fields(SECRET_TYPES);
        let (kept, stopped) = (keep_up("secrets", api, config, writer, self.changed.clone(), |_| {}), stop.clone());
        self.tasks.background("watch-secrets", async move {
            let _ = stopped.run_until_cancelled(kept).await;
        });
        NamespaceSecrets { store, stop }
    }

    /// The Secrets of every namespace whose list is complete: until then, nobody knows what is missing.
    pub(super) fn secrets(&self) -> HashMap<String, SecretsOf> {
        let listed = |secrets: &NamespaceSecrets| secrets.store.wait_until_ready().now_or_never().is_some();
        self.secrets
            .iter()
            .filter(|(_, secrets)| listed(secrets))
            .map(|(namespace, secrets)| (namespace.clone(), SecretsOf::readable(decoded(&secrets.store))))
            .collect()
    }
}

/// Keeps a store of a kind. An object that does not decode is kept as such and stops nothing.
fn keep<K>(
    name: &'static str,
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    tasks: &Tasks,
    changed: &Arc<Notify>,
) -> Kept<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    let (store, writer) = reflector::store();
    let log_undecodable = move |event: &watcher::Event<DeserializeGuard<K>>| {
        if let watcher::Event::Apply(DeserializeGuard(Err(bad)))
        | watcher::Event::InitApply(DeserializeGuard(Err(bad))) = event
        {
            tracing::error!(
                kind = name,
                namespace = bad.metadata.namespace,
                object = bad.metadata.name,
                error = bad.error,
                "an object does not decode and is left out; is its CRD newer than this program?"
            );
        }
    };
    tasks.background(name, keep_up(name, api, config, writer, changed.clone(), log_undecodable));
    store
}

fn keep_namespaces(client: &Client, tasks: &Tasks, changed: &Arc<Notify>) -> Store<PartialObjectMeta<Namespace>> {
    let (store, writer) = reflector::store();
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let kept = keep_up("namespaces", api, watcher::Config::default(), writer, changed.clone(), |_| {});
    tasks.background("namespaces", kept);
    store
}

async fn keep_up<K>(
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    mut writer: reflector::store::Writer<K>,
    changed: Arc<Notify>,
    look: impl Fn(&watcher::Event<K>),
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let mut marks = Marks::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                look(&event);
                let matters = marks.matter(&event);
                writer.apply_watcher_event(&event);
                if matters {
                    changed.notify_one();
                }
            }
            Err(error) => tracing::warn!(kind = name, %error, "a watch failed and will be tried again"),
        }
    }
}

/// What was last seen of each object, but for its status: that is written by us, and must not wake us.
#[derive(Debug, Default)]
struct Marks(HashMap<(Option<String>, Option<String>), Mark>);

#[derive(Debug, PartialEq, Eq)]
struct Mark {
    uid: Option<String>,
    /// The generation, for kinds that have one; else the resourceVersion.
    version: Result<i64, Option<String>>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deleting: bool,
}

impl Mark {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone(),
            version: meta.generation.ok_or_else(|| meta.resource_version.clone()),
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
            deleting: meta.deletion_timestamp.is_some(),
        }
    }
}

impl Marks {
    fn matter<K: Resource>(&mut self, event: &watcher::Event<K>) -> bool {
        let key = |object: &K| (object.namespace(), object.meta().name.clone());
        match event {
            // The store shows a list only once it is complete.
            watcher::Event::Init => {
                self.0.clear();
                false
            }
            watcher::Event::InitApply(object) => {
                self.0.insert(key(object), Mark::of(object.meta()));
                false
            }
            watcher::Event::InitDone => true,
            watcher::Event::Apply(object) => {
                let mark = Mark::of(object.meta());
                let before = self.0.get(&key(object));
                let matters = before != Some(&mark);
                if matters {
                    self.0.insert(key(object), mark);
                }
                matters
            }
            watcher::Event::Delete(object) => {
                self.0.remove(&key(object));
                true
            }
        }
    }
}

/// What decodes of a store.
pub(super) fn decoded<K: Resource + Clone>(store: &Kept<K>) -> Vec<K>
where
    K::DynamicType: Eq + Hash + Clone,
{
    store.state().iter().filter_map(|guard| guard.0.as_ref().ok().cloned()).collect()
}

/// What does not decode of a store, and why.
pub(super) fn undecodable<K: Resource + Clone>(store: &Kept<K>) -> Vec<(ObjectMeta, String)>
where
    K::DynamicType: Eq + Hash + Clone,
{
    let bad = |guard: &DeserializeGuard<K>| {
        guard.0.as_ref().err().map(|invalid| (invalid.metadata.clone(), invalid.error.clone()))
    };
    store.state().iter().filter_map(|guard| bad(guard)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(metadata: &Value) -> NoticeRule {
        let mut rule = json!({"metadata": {"name": "r", "namespace": "n", "uid": "u", "generation": 1, "resourceVersion": "1"},
            "spec": {"sources": [], "targets": []}});
        let fields = rule["metadata"].as_object_mut().unwrap();
        fields.extend(metadata.as_object().unwrap().clone());
        serde_json::from_value(rule).unwrap()
    }

    #[test]
    fn a_status_wakes_nobody_and_everything_else_does() {
        let table = [
            (json!({"resourceVersion": "2"}), false),
            (json!({"generation": 2}), true),
            (json!({"uid": "another"}), true),
            (json!({"labels": {"a": "b"}}), true),
            (json!({"annotations": {"notification.pai.dev/test-connectivity": "1"}}), true),
            (json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), true),
        ];
        for (change, matters) in table {
            let mut marks = Marks::default();
            assert!(marks.matter(&watcher::Event::Apply(rule(&json!({})))), "it is new");
            assert_eq!(marks.matter(&watcher::Event::Apply(rule(&change))), matters, "{change}");
            assert!(marks.matter(&watcher::Event::Delete(rule(&json!({})))));
        }
    }

    #[test]
    fn a_list_wakes_once_when_it_is_complete() {
        let mut marks = Marks::default();
        assert!(!marks.matter(&watcher::Event::<NoticeRule>::Init));
        assert!(!marks.matter(&watcher::Event::InitApply(rule(&json!({})))));
        assert!(marks.matter(&watcher::Event::<NoticeRule>::InitDone));
        assert!(
            !marks.matter(&watcher::Event::Apply(rule(&json!({"resourceVersion": "7"})))),
            "only its status changed"
        );
    }

    #[test]
    fn a_kind_without_generation_wakes_by_its_resource_version() {
        let binding = |version: &str| -> RoleBinding {
            serde_json::from_value(json!({"metadata": {"name": "b", "namespace": "n", "resourceVersion": version},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"}}))
            .unwrap()
        };
        let mut marks = Marks::default();
        assert!(marks.matter(&watcher::Event::Apply(binding("1"))));
        assert!(!marks.matter(&watcher::Event::Apply(binding("1"))));
        assert!(marks.matter(&watcher::Event::Apply(binding("2"))));
    }
}
