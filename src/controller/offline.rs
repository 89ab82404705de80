//! The judgement without a cluster: what would be in force if these objects were applied and the operator had done its
//! part, which is to make the buses and the bindings that Workspaces ask for. Pure; nothing is judged here that
//! [`verdict`](super::verdict) does not judge for a cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use secrecy::SecretString;

use super::bus;
use super::registry::RegistryHealth;
use super::rule::{Cache, RuleVerdict};
use super::secret::{SecretView, SecretsOf};
use super::verdict::{self, Judgement, Undecodable, World};
use super::workspace::{self, Access, Surroundings, WorkspaceVerdict};
use crate::api::condition::{QUOTA_EXCEEDED, READY, Reason, Verdict};
use crate::api::notice_rule::TargetState;
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::delivery::targets::{GoneTargets, TargetTable, Texts};
use crate::rules::Policy;
use crate::watch::sources::Sources;

/// The operator's `ServiceAccount`, as it is unless somebody renames it.
const OPERATOR: &str = "pai-notification-system/pai-notification";

/// Texts of Secrets by key, by namespace and name of the Secret.
pub type SecretTexts = BTreeMap<(String, String), BTreeMap<String, SecretString>>;

/// What is judged.
#[derive(Debug, Default)]
pub struct Objects {
    /// Workspaces. All of their namespaces are there.
    pub workspaces: Vec<Workspace>,
    /// Targets.
    pub targets: Vec<EventTarget>,
    /// Rules.
    pub rules: Vec<NoticeRule>,
    /// Secrets. All can be read, so that what is wrong with one shows before access is granted.
    pub secrets: SecretTexts,
}

/// What would be in force.
#[derive(Debug)]
pub struct InForce {
    /// The rules, by namespace.
    pub policy: Policy,
    /// Every target.
    pub targets: TargetTable,
    /// Texts of rules, and console URLs.
    pub texts: Texts,
    /// Name of the Workspace of each namespace, whether it is in force or not.
    pub workspaces: BTreeMap<String, String>,
    /// What is wrong, in the words of the conditions. What is suspended is meant so.
    pub findings: Vec<Finding>,
}

/// Something wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind, and namespace and name, such as `NoticeRule vision/nightly`.
    pub object: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Judges everything.
#[must_use]
pub fn judge(objects: Objects) -> InForce {
    let judgement = verdict::judge(world(objects), &mut Cache::default());
    let owners = judgement.workspaces.iter().filter(|workspace| workspace.has_its_namespace());
    InForce {
        policy: judgement.policy(),
        targets: judgement.target_table(),
        texts: judgement.texts(),
        workspaces: owners.map(|workspace| (workspace.namespace.clone(), workspace.name())).collect(),
        findings: findings(&judgement),
    }
}

/// The cluster in which the operator has done its part.
fn world(objects: Objects) -> World {
    let Objects { mut workspaces, targets, mut rules, secrets } = objects;
    for metadata in workspaces.iter_mut().map(|w| &mut w.metadata).chain(rules.iter_mut().map(|r| &mut r.metadata)) {
        stored(metadata);
    }
    let namespaces: HashSet<String> = workspaces.iter().map(|workspace| workspace.namespace().to_owned()).collect();
    let (mut buses, mut access) = (HashMap::new(), HashMap::new());
    let nothing = Surroundings { namespaces: &namespaces, buses: &buses, access: &access, operator: OPERATOR };
    for workspace in workspace::judge_all(workspaces.clone(), &nothing) {
        let namespace = workspace.namespace.clone();
        if workspace.needs_bus {
            let bus: EventBus = bus::bus(&workspace);
            buses.insert((namespace.clone(), bus.name_any()), bus);
        }
        if workspace.needs_binding {
            let mut binding = bus::binding(&workspace, OPERATOR);
            stored(&mut binding.metadata);
            access.insert(namespace, Access { binding, missing: Ok(None) });
        }
    }
    let readable = by_namespace(&targets, secrets);
    World {
        workspaces,
        buses,
        targets,
        rules,
        undecodable: Undecodable::default(),
        namespaces,
        access,
        secrets: readable,
        gone: GoneTargets::new(),
        registries: RegistryHealth::new(),
        operator: OPERATOR.to_owned(),
        // Nothing is watched here, and so nothing is missing.
        sources: Arc::new(Sources { discovered: true, ..Sources::default() }),
    }
}

/// Gives an object of a file what the API server gives every object; made before everything if it does not say when.
fn stored(metadata: &mut ObjectMeta) {
    metadata.creation_timestamp.get_or_insert(Time(Timestamp::MIN));
    let identity = || {
        format!(
            "{}/{}",
            metadata.namespace.as_deref().unwrap_or_default(),
            metadata.name.as_deref().unwrap_or_default()
        )
    };
    if metadata.uid.is_none() {
        metadata.uid = Some(identity());
    }
}

fn by_namespace(targets: &[EventTarget], secrets: SecretTexts) -> HashMap<String, SecretsOf> {
    let namespaces = targets.iter().map(|target| (target.namespace().unwrap_or_default(), Vec::new()));
    let mut views: HashMap<String, Vec<SecretView>> = namespaces.collect();
    for ((namespace, name), data) in secrets {
        views.entry(namespace).or_default().push(SecretView::of(name, data));
    }
    views.into_iter().map(|(namespace, views)| (namespace, SecretsOf::readable(views))).collect()
}

fn findings(judgement: &Judgement) -> Vec<Finding> {
    let mut findings = Vec::new();
    for workspace in &judgement.workspaces {
        add(&mut findings, &format!("Workspace {}", workspace.name()), of_workspace(workspace));
    }
    let mut targets: Vec<_> = judgement.targets.values().collect();
    targets.sort_by(|a, b| a.key.cmp(&b.key));
    for target in targets {
        let wrong = Some(&target.ready).filter(|ready| !ready.is_true() && ready.reason != Reason::Suspended);
        add(&mut findings, &format!("EventTarget {}", target.key), wrong.map(|ready| ready.message.clone()));
    }
    for rule in &judgement.rules {
        let name = format!("NoticeRule {}/{}", rule.object.namespace().unwrap_or_default(), rule.object.name_any());
        add(&mut findings, &name, of_rule(rule));
    }
    findings
}

fn add(findings: &mut Vec<Finding>, object: &str, messages: impl IntoIterator<Item = String>) {
    findings.extend(messages.into_iter().map(|message| Finding { object: object.to_owned(), message }));
}

/// `Ready` says again what the others say.
fn of_workspace(workspace: &WorkspaceVerdict) -> Vec<String> {
    let wrong = workspace.verdicts.iter().filter(|verdict| verdict.kind != READY && !verdict.is_true());
    let mut messages: Vec<String> = wrong.map(|verdict| verdict.message.clone()).collect();
    messages.dedup();
    messages
}

/// What the rule's Workspace and targets do not say themselves.
fn of_rule(rule: &RuleVerdict) -> Vec<String> {
    let said_elsewhere = |reason| {
        matches!(
            reason,
            Reason::Suspended | Reason::WorkspaceNotActivated | Reason::AccessNotGranted | Reason::NoActiveTarget
        )
    };
    let is_wrong = |verdict: &&Verdict| match verdict.kind {
        READY => !verdict.is_true() && !said_elsewhere(verdict.reason),
        QUOTA_EXCEEDED => verdict.is_true(),
        _ => false,
    };
    let namespace = rule.object.namespace().unwrap_or_default();
    let missing = rule.targets.iter().enumerate().filter(|(_, target)| target.state == TargetState::NotFound);
    let missing = missing.map(|(index, target)| {
        let name = &target.name;
        let what = if name.contains('/') {
            format!("EventTarget {name} does not exist, or does not name {namespace} in its spec.sharedWith")
        } else {
            format!("there is no EventTarget {name} in namespace {namespace}; create it, or name another one")
        };
        format!("spec.targets[{index}]: {what}")
    });
    rule.verdicts.iter().filter(is_wrong).map(|verdict| verdict.message.clone()).chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tests")]
    fn object<K: serde::de::DeserializeOwned>(kind: &str, metadata: Value, spec: Value) -> K {
        let object =
            json!({"apiVersion": "notification.pai.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn workspace(name: &str, grant: bool) -> Workspace {
        object("Workspace", json!({"name": name}), json!({"namespace": "ml", "activate": true, "grantAccess": grant}))
    }

    fn rule(name: &str, spec: Value) -> NoticeRule {
        object("NoticeRule", json!({"name": name, "namespace": "ml"}), spec)
    }

    fn target(spec: Value) -> EventTarget {
        object("EventTarget", json!({"name": "audit", "namespace": "ml"}), spec)
    }

    fn all() -> Value {
        json!({"sources": [{"type": "DLCJob"}], "targets": [{"name": "audit"}]})
    }

    fn http() -> Value {
        json!({"http": {"webhook": {"url": "https://a.example"}}})
    }

    fn messages(in_force: &InForce) -> Vec<(&str, &str)> {
        in_force.findings.iter().map(|finding| (finding.object.as_str(), finding.message.as_str())).collect()
    }

    #[test]
    fn objects_that_were_never_stored_are_in_force_each_rule_as_its_own() {
        let rules = vec![rule("a", all()), rule("b", all())];
        let in_force = judge(Objects {
            workspaces: vec![workspace("ml", true)],
            targets: vec![target(http())],
            rules,
            ..Objects::default()
        });
        assert_eq!(messages(&in_force), []);
        let rules = &in_force.policy.namespace("ml").unwrap().rules;
        assert_eq!(rules.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(rules.values().all(|rule| rule.active_since == Timestamp::MIN));
    }

    #[test]
    fn only_the_workspace_that_has_the_namespace_can_grant_access() {
        let in_force = judge(Objects {
            workspaces: vec![workspace("b", true), workspace("a", false)],
            targets: vec![target(http())],
            rules: vec![rule("a", all())],
            ..Objects::default()
        });
        assert!(in_force.policy.namespace("ml").is_none());
        assert_eq!(in_force.workspaces["ml"], "a");
        let [(owner, grant), (other, taken)] = messages(&in_force)[..] else { panic!("{:?}", in_force.findings) };
        assert!(owner == "Workspace a" && grant.starts_with("set spec.grantAccess of Workspace a to true"), "{grant}");
        assert!(
            other == "Workspace b" && taken.starts_with("namespace ml belongs to the older Workspace a"),
            "{taken}"
        );
    }

    #[test]
    fn a_target_of_another_namespace_counts_only_where_it_is_shared() {
        let judged = |shared_with: &str| {
            let mut spec = all();
            spec["targets"][0]["namespace"] = "ops".into();
            let mut shared = http();
            shared["sharedWith"] = json!([shared_with]);
            judge(Objects {
                workspaces: vec![workspace("ml", true)],
                targets: vec![object("EventTarget", json!({"name": "audit", "namespace": "ops"}), shared)],
                rules: vec![rule("a", spec)],
                ..Objects::default()
            })
        };
        let shared = judged("ml");
        assert_eq!(messages(&shared), []);
        assert_eq!(shared.policy.namespace("ml").unwrap().rules["a"].targets, ["ops/audit"]);
        let message =
            "spec.targets[0]: EventTarget ops/audit does not exist, or does not name ml in its spec.sharedWith";
        assert_eq!(messages(&judged("speech")), [("NoticeRule ml/a", message)]);
    }

    #[test]
    fn everything_that_does_not_compile_is_told_at_once_and_what_is_suspended_is_meant_so() {
        let mut spec = all();
        spec["sources"][0]["filter"] = "event.reason ==".into();
        spec["template"] = json!({"body": "{{ nope }}"});
        let mut suspended = all();
        suspended["suspend"] = true.into();
        let mut wrong = http();
        wrong["http"]["webhook"] = json!({"secretKeyRef": {"name": "nowhere", "key": "url"}});
        wrong["template"] = json!({"body": "{{ nope }}"});
        let in_force = judge(Objects {
            workspaces: vec![workspace("ml", true)],
            targets: vec![target(wrong)],
            rules: vec![rule("a", spec), rule("b", suspended)],
            ..Objects::default()
        });
        let [(target, of_target), (rule, of_rule)] = messages(&in_force)[..] else { panic!("{:?}", in_force.findings) };
        assert_eq!((target, rule), ("EventTarget ml/audit", "NoticeRule ml/a"));
        for part in ["there is no Secret nowhere", "; spec.template.body, line 1"] {
            assert!(of_target.contains(part), "{of_target}");
        }
        for part in ["spec.sources[0].filter, line 1", "; spec.template.body, line 1"] {
            assert!(of_rule.contains(part), "{of_rule}");
        }
    }
}
