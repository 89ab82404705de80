//! Kinds of other projects: permissive CRDs of the same group and kind, and objects of them whose status a test writes.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client};
use serde_json::{Value, json};

/// A kind: `group/version` and kind. Its plural is the usual one.
#[derive(Clone, Copy, Debug)]
pub struct Foreign(pub &'static str, pub &'static str);

impl Foreign {
    fn gvk(self) -> GroupVersionKind {
        let (group, version) = self.0.split_once('/').unwrap();
        GroupVersionKind::gvk(group, version, self.1)
    }

    fn resource(self) -> ApiResource {
        ApiResource::from_gvk(&self.gvk())
    }

    /// The name of its CRD.
    pub fn name(self) -> String {
        format!("{}.{}", self.resource().plural, self.gvk().group)
    }

    fn crd(self) -> Value {
        let GroupVersionKind { group, version, kind } = self.gvk();
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = json!({"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": anything},
            "subresources": {"status": {}}});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name()},
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": self.resource().plural, "singular": kind.to_lowercase()},
                "scope": "Namespaced",
                "versions": [version],
            },
        })
    }

    /// Installs its CRD, and waits until it is served.
    pub async fn install(self, admin: &Client) -> anyhow::Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
        crds.patch(&self.name(), &PatchParams::apply("test"), &Patch::Apply(self.crd())).await?;
        let name = self.name();
        let established = await_condition(crds, &name, conditions::is_crd_established());
        let established = tokio::time::timeout(Duration::from_secs(30), established).await;
        established.with_context(|| format!("{} is not established", self.name()))??;
        // Established comes a moment before the API server serves it everywhere.
        let api: Api<DynamicObject> = Api::all_with(admin.clone(), &self.resource());
        for _ in 0..100 {
            if api.list(&kube::api::ListParams::default()).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{} is not served", self.name())
    }

    /// Removes its CRD, and so all of its objects.
    pub async fn uninstall(self, admin: &Client) -> anyhow::Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
        crds.delete(&self.name(), &DeleteParams::default()).await?;
        for _ in 0..400 {
            if crds.get_opt(&self.name()).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{} is still there", self.name())
    }

    fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }
}

/// An object of such a kind.
#[derive(Clone)]
pub struct Thing {
    api: Api<DynamicObject>,
    kind: Foreign,
    pub name: String,
    uid: String,
}

impl Thing {
    /// Creates it; `more` is merged into it (`metadata.labels`, `spec`, ...).
    pub async fn create(client: &Client, kind: Foreign, namespace: &str, name: &str, more: Value) -> Self {
        let mut object =
            json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name, "namespace": namespace}});
        merge(&mut object, &more);
        let api = kind.api(client, namespace);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = api.create(&PostParams::default(), &object).await.unwrap();
        Self { api, kind, name: name.to_owned(), uid: created.metadata.uid.unwrap() }
    }

    /// Replaces its status, as far as a merge does.
    pub async fn status(&self, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.api.patch_status(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Merges into it.
    pub async fn patch(&self, patch: Value) {
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub async fn delete(&self) {
        self.api.delete(&self.name, &DeleteParams::background()).await.unwrap();
    }

    /// As its subject is called in messages.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.kind.1, self.name)
    }

    /// What an object that it owns has in its metadata.
    pub fn owns(&self) -> Value {
        json!({"ownerReferences": [{"apiVersion": self.kind.0, "kind": self.kind.1, "name": self.name, "uid": self.uid,
            "controller": true}]})
    }
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}
