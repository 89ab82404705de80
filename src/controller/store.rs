//! Our kinds in memory, each kept by a watch; any change wakes the reconcile.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::secret::{SecretView, SecretsOf};
use crate::api::names::SERVICE_ROLE;
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::cluster::tasks::Tasks;

/// Secrets that no target can name with profit, and that may be large.
const SECRET_TYPES: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// Everything that is watched.
pub(super) struct Stores {
    pub(super) workspaces: Store<DeserializeGuard<Workspace>>,
    pub(super) buses: Store<DeserializeGuard<EventBus>>,
    pub(super) targets: Store<DeserializeGuard<EventTarget>>,
    pub(super) rules: Store<DeserializeGuard<NoticeRule>>,
    pub(super) bindings: Store<DeserializeGuard<RoleBinding>>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
    secrets: HashMap<String, NamespaceSecrets>,
    client: Client,
    tasks: Tasks,
    changed: Arc<Notify>,
}

struct NamespaceSecrets {
    store: Store<DeserializeGuard<SecretView>>,
    stop: CancellationToken,
}

impl Stores {
    pub(super) fn start(client: &Client, tasks: &Tasks, changed: &Arc<Notify>) -> Self {
        let bindings = watcher::Config::default().fields(&format!("metadata.name={SERVICE_ROLE}"));
        Self {
            workspaces: keep("workspaces", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            buses: keep("eventbuses", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            targets: keep("eventtargets", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            rules: keep("noticerules", Api::all(client.clone()), watcher::Config::default(), tasks, changed),
            bindings: keep("rolebindings", Api::all(client.clone()), bindings, tasks, changed),
            namespaces: keep_namespaces(client, tasks, changed),
            secrets: HashMap::new(),
            client: client.clone(),
            tasks: tasks.clone(),
            changed: changed.clone(),
        }
    }

    /// Waits until every list is complete.
    pub(super) async fn ready(&self) {
        let Self { workspaces, buses, targets, rules, bindings, namespaces, .. } = self;
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
        let (changed, stopped, namespace) = (self.changed.clone(), stop.clone(), namespace.to_owned());
        self.tasks.background("watch-secrets", async move {
            let mut stream = std::pin::pin!(reflector::reflector(writer, watcher(api, config).default_backoff()));
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    event = stream.next() => match event {
                        Some(Ok(_)) => changed.notify_one(),
                        Some(Err(error)) => tracing::warn!(namespace, %error, "Secrets cannot be watched yet"),
                        None => return,
                    },
                }
            }
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
) -> Store<DeserializeGuard<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    let (store, writer) = reflector::store();
    let changed = changed.clone();
    tasks.background(name, async move {
        let mut stream = std::pin::pin!(reflector::reflector(writer, watcher(api, config).default_backoff()));
        while let Some(event) = stream.next().await {
            match event {
                Ok(
                    watcher::Event::Apply(DeserializeGuard(Err(bad)))
                    | watcher::Event::InitApply(DeserializeGuard(Err(bad))),
                ) => {
                    tracing::error!(
                        kind = name,
                        namespace = bad.metadata.namespace,
                        object = bad.metadata.name,
                        error = bad.error,
                        "an object does not decode and is left out; is its CRD newer than this program?"
                    );
                    changed.notify_one();
                }
                Ok(_) => changed.notify_one(),
                Err(error) => tracing::warn!(kind = name, %error, "a watch failed and will be tried again"),
            }
        }
    });
    store
}

fn keep_namespaces(client: &Client, tasks: &Tasks, changed: &Arc<Notify>) -> Store<PartialObjectMeta<Namespace>> {
    let (store, writer) = reflector::store();
    let (api, changed): (Api<PartialObjectMeta<Namespace>>, _) = (Api::all(client.clone()), changed.clone());
    tasks.background("namespaces", async move {
        let stream = watcher(api, watcher::Config::default()).default_backoff();
        let mut stream = std::pin::pin!(reflector::reflector(writer, stream));
        while let Some(event) = stream.next().await {
            match event {
                Ok(_) => changed.notify_one(),
                Err(error) => tracing::warn!(kind = "namespaces", %error, "a watch failed and will be tried again"),
            }
        }
    });
    store
}

/// What decodes of a store.
pub(super) fn decoded<K: Resource + Clone>(store: &Store<DeserializeGuard<K>>) -> Vec<K>
where
    K::DynamicType: Eq + Hash + Clone,
{
    store.state().iter().filter_map(|guard| guard.0.as_ref().ok().cloned()).collect()
}
