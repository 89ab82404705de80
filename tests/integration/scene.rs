//! A namespace with receivers of its own, and the turn to run an operator.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use pai_notification::api::event_target::ConnectivityTest;
use pai_notification::api::notice::{DeliveryState, DeliveryStatus};
use pai_notification::api::{EventTarget, Notice, NoticeRule, Workspace};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::cluster::{self, Cluster};
use crate::install::{Installed, NAMESPACE, Operator, apply, install};
use crate::robot::{Endpoint, Inbox, Receiver, Robot};

/// How long anything may take that takes a moment.
pub const SOON: Duration = Duration::from_secs(45);
/// How long is waited for what must not come.
pub const QUIET: Duration = Duration::from_secs(3);
/// Signing key of the test robots.
pub const KEY: &str = "SECthe-robots-own-key";

static TURN: Mutex<()> = Mutex::const_new(());

/// See the module's text.
pub struct Scene {
    _turn: MutexGuard<'static, ()>,
    pub cluster: &'static Cluster,
    pub installed: Installed,
    pub admin: Client,
    pub receiver: Receiver,
    pub namespace: String,
}

impl Scene {
    /// Takes the turn and makes a namespace. No other test's Workspace is left.
    pub async fn new(namespace: &str) -> Self {
        let turn = TURN.lock().await;
        let cluster = cluster::shared().await;
        let installed = install(cluster).await.unwrap();
        let admin = installed.admin.clone();
        let workspaces: Api<Workspace> = Api::all(admin.clone());
        workspaces.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
        // The last test's operator was killed and gave nothing back.
        let leases: Api<Lease> = Api::namespaced(admin.clone(), NAMESPACE);
        let _ = leases.delete("pai-notification", &DeleteParams::default()).await;
        let scene = Self {
            _turn: turn,
            cluster,
            admin,
            installed,
            receiver: Receiver::start().await.unwrap(),
            namespace: namespace.to_owned(),
        };
        scene.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        scene
    }

    /// A scene with a Workspace in force, a robot as target `oncall` and an endpoint as target `audit`.
    pub async fn in_force(namespace: &str) -> (Self, Inbox, Inbox) {
        let scene = Self::new(namespace).await;
        scene.workspace(json!({})).await;
        let robot = scene.robot_target("oncall").await;
        let endpoint = scene.endpoint_target("audit").await;
        (scene, robot, endpoint)
    }

    /// Starts the operator.
    pub async fn operator(&self) -> Operator {
        Operator::start(&self.installed, &[]).await.unwrap()
    }

    /// The Workspace of the namespace, activated and granted unless `spec` says otherwise.
    pub async fn workspace(&self, spec: Value) {
        let mut whole = json!({"activate": true, "grantAccess": true});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.apply(object("Workspace", None, &self.namespace, whole)).await;
    }

    /// A robot, and the target that delivers to it.
    pub async fn robot_target(&self, name: &str) -> Inbox {
        self.robot_with(name, Robot::signed(&format!("{}-{name}", self.namespace), KEY)).await
    }

    /// This robot, and the target that delivers to it.
    pub async fn robot_with(&self, name: &str, robot: Robot) -> Inbox {
        let robot = self.receiver.robot(robot);
        self.secret(&format!("{name}-robot"), json!({"url": robot.url(), "signing-key": KEY})).await;
        let reference = |key: &str| json!({"secretKeyRef": {"name": format!("{name}-robot"), "key": key}});
        self.target(name, json!({"dingTalk": {"webhook": reference("url"), "signingKey": reference("signing-key")}}))
            .await;
        robot
    }

    /// An endpoint, and the target that delivers to it.
    pub async fn endpoint_target(&self, name: &str) -> Inbox {
        let endpoint = self.receiver.endpoint(Endpoint::cloud_events(&format!("{}-{name}", self.namespace)));
        self.target(name, json!({"http": {"webhook": {"url": endpoint.url()}}})).await;
        endpoint
    }

    pub async fn secret(&self, name: &str, data: Value) {
        self.apply(json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": name, "namespace": self.namespace}}))
            .await;
    }

    pub async fn target(&self, name: &str, spec: Value) {
        self.apply(object("EventTarget", Some(&self.namespace), name, spec)).await;
    }

    /// A rule for all Jobs: the given events go to the given targets.
    pub async fn rule(&self, name: &str, events: &[&str], targets: &[&str]) {
        let targets: Vec<Value> = targets.iter().map(|name| json!({"name": name})).collect();
        self.rule_with(name, json!({"sources": [{"type": "DLCJob", "events": events}], "targets": targets})).await;
    }

    pub async fn rule_with(&self, name: &str, spec: Value) {
        self.apply(object("NoticeRule", Some(&self.namespace), name, spec)).await;
    }

    /// A Job whose simulated Pod behaves as the annotations `sim.pai.dev/<key>` say.
    pub async fn job(&self, name: &str, sim: Value, spec: Value) {
        let annotations: serde_json::Map<String, Value> =
            sim.as_object().unwrap().iter().map(|(key, value)| (format!("sim.pai.dev/{key}"), value.clone())).collect();
        let mut whole = json!({
            "backoffLimit": 0,
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "train"}]},
            },
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.apply(json!({"apiVersion": "batch/v1", "kind": "Job", "spec": whole,
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"team": "vision"}}}))
            .await;
    }

    pub async fn delete_job(&self, name: &str) {
        let jobs: Api<Job> = self.api();
        jobs.delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// Waits until the API server says that the Job has ended.
    pub async fn job_ended(&self, name: &str) {
        self.wait::<Job>(name, |job| {
            let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|c| (c.type_ == "Complete" || c.type_ == "Failed") && c.status == "True")
        })
        .await;
    }

    pub async fn apply(&self, object: Value) {
        apply(&self.admin, object).await.unwrap();
    }

    /// Applies, and returns the API server's refusal.
    pub async fn refused(&self, object: Value) -> String {
        let error = apply(&self.admin, object).await.expect_err("the API server should have refused this");
        format!("{error:#}")
    }

    /// Merges into an object.
    pub async fn patch<K>(&self, name: &str, patch: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// Waits until an object of the namespace is as wanted.
    pub async fn wait<K>(&self, name: &str, wanted: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        wait(&self.api::<K>(), name, wanted).await
    }

    /// Waits until the rule is in force.
    pub async fn rule_ready(&self, name: &str) -> NoticeRule {
        self.wait::<NoticeRule>(name, |rule| {
            let status = rule.status.clone().unwrap_or_default();
            is(&status.conditions, "Ready", "True", "Ready") && status.observed_generation == rule.metadata.generation
        })
        .await
    }

    /// Waits until the rule says that it is not in force, for this reason; returns the message.
    pub async fn rule_not_ready(&self, name: &str, reason: &str) -> String {
        let rule = self
            .wait::<NoticeRule>(name, |rule| {
                rule.status.as_ref().is_some_and(|status| is(&status.conditions, "Ready", "False", reason))
            })
            .await;
        message(&rule.status.unwrap().conditions, "Ready")
    }

    /// Waits until the target has this reason on its condition `Ready`; returns the message.
    pub async fn target_is(&self, name: &str, reason: &str) -> String {
        let target = self
            .wait::<EventTarget>(name, |target| {
                let status = target.status.clone().unwrap_or_default();
                status.conditions.iter().any(|c| c.type_ == "Ready" && c.reason == reason)
            })
            .await;
        message(&target.status.unwrap().conditions, "Ready")
    }

    /// All Notices of the namespace.
    pub async fn notices(&self) -> Vec<Notice> {
        self.api::<Notice>().list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until there is a Notice of the subject whose delivery to the target is as wanted.
    pub async fn delivery(
        &self,
        subject: &str,
        target: &str,
        wanted: impl Fn(&DeliveryStatus) -> bool,
    ) -> DeliveryStatus {
        let deadline = Instant::now() + SOON;
        loop {
            let notices = self.notices().await;
            let of_subject = notices.iter().filter(|notice| notice.spec.event.subject.name == subject);
            let deliveries = of_subject.flat_map(|notice| notice.status.iter().flat_map(|status| &status.deliveries));
            if let Some(found) = deliveries.into_iter().find(|delivery| delivery.target == target && wanted(delivery)) {
                return found.clone();
            }
            assert!(Instant::now() < deadline, "no delivery of {subject} to {target} as wanted; Notices: {notices:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for a connectivity test.
    pub async fn ask_for_test(&self, target: &str, request: &str) {
        let annotation = json!({"notification.pai.dev/test-connectivity": request});
        self.patch::<EventTarget>(target, json!({"metadata": {"annotations": annotation}})).await;
    }

    /// Waits for the answer to a connectivity test.
    pub async fn test_answer(&self, target: &str, request: &str) -> ConnectivityTest {
        let target = self
            .wait::<EventTarget>(target, |target| {
                let test = target.status.as_ref().and_then(|status| status.connectivity_test.as_ref());
                test.is_some_and(|test| test.request == request)
            })
            .await;
        target.status.unwrap().connectivity_test.unwrap()
    }

    /// Merges into the spec of the namespace's Workspace.
    pub async fn patch_workspace(&self, spec: Value) {
        let workspaces: Api<Workspace> = Api::all(self.admin.clone());
        let patch = Patch::Merge(json!({"spec": spec}));
        workspaces.patch(&self.namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until every Notice of the namespace is finished, and there are `count` of them.
    pub async fn all_settled(&self, count: usize) -> Vec<Notice> {
        self.all_settled_within(count, SOON).await
    }

    /// As [`Self::all_settled`], for what takes longer.
    pub async fn all_settled_within(&self, count: usize, longest: Duration) -> Vec<Notice> {
        let deadline = Instant::now() + longest;
        loop {
            let notices = self.notices().await;
            let settled = notices.iter().all(|notice| {
                notice.status.as_ref().is_some_and(|status| {
                    !status.deliveries.is_empty() && status.deliveries.iter().all(|d| d.state != DeliveryState::Pending)
                })
            });
            if settled && notices.len() == count {
                return notices;
            }
            assert!(Instant::now() < deadline, "{} Notices, not {count} settled ones: {notices:#?}", notices.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn exists(&self, namespace: &str) -> bool {
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        namespaces.get_opt(namespace).await.unwrap().is_some()
    }
}

/// Waits until an object is as wanted.
pub async fn wait<K>(api: &Api<K>, name: &str, wanted: impl Fn(&K) -> bool) -> K
where
    K: Clone + DeserializeOwned + Debug,
{
    let deadline = Instant::now() + SOON;
    loop {
        let found = api.get_opt(name).await.unwrap();
        if let Some(found) = found.clone().filter(|found| wanted(found)) {
            return found;
        }
        assert!(Instant::now() < deadline, "{name} is not as wanted: {found:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An object of one of our kinds.
pub fn object(kind: &str, namespace: Option<&str>, name: &str, spec: Value) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": "notification.pai.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// Whether a condition is so.
pub fn is(conditions: &[Condition], kind: &str, status: &str, reason: &str) -> bool {
    conditions.iter().any(|c| c.type_ == kind && c.status == status && c.reason == reason)
}

pub fn message(conditions: &[Condition], kind: &str) -> String {
    conditions.iter().find(|c| c.type_ == kind).map(|c| c.message.clone()).unwrap_or_default()
}
