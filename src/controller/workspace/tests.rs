use serde_json::{Value, json};

use super::*;
use crate::api::condition::{self, find};

const OPERATOR: &str = "pai-notification/operator";

fn at(day: u8) -> Timestamp {
    stamp(day).parse().unwrap()
}

/// Noon of a day in November.
fn stamp(day: u8) -> String {
    format!("2026-11-{day:02}T12:00:00Z")
}

/// An edit of these fields.
fn edit(manager: &str, day: u8, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "time": stamp(day), "fieldsV1": fields})
}

/// A Workspace of the first of the month, for namespace `vision`.
fn workspace(name: &str, created: u8, spec: &Value) -> Workspace {
    let mut whole = json!({"namespace": "vision"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "notification.pai.dev/v1alpha1", "kind": "Workspace",
        "metadata": {"name": name, "creationTimestamp": stamp(created), "generation": 1}, "spec": whole,
    }))
    .unwrap()
}

fn wanted() -> Workspace {
    workspace("research", 1, &json!({"activate": true, "grantAccess": true}))
}

fn bus_of(name: &str) -> EventBus {
    serde_json::from_value(json!({
        "apiVersion": "notification.pai.dev/v1alpha1", "kind": "EventBus",
        "metadata": {"name": bus_name(name), "namespace": "vision"}, "spec": {"workspace": name},
    }))
    .unwrap()
}

/// A binding of the operator, of the second of the month, made for a workspace or by hand.
fn binding(made_for: Option<&str>, account: &str) -> RoleBinding {
    let labels = made_for.map(|name| json!({WORKSPACE_LABEL: name})).unwrap_or_default();
    serde_json::from_value(json!({
        "metadata": {"name": SERVICE_ROLE, "namespace": "vision", "labels": labels, "creationTimestamp": stamp(2),
            "managedFields": [edit("any", 3, &json!({"f:subjects": {}})), edit("other", 9, &json!({"f:metadata": {}}))]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SERVICE_ROLE},
        "subjects": [{"kind": "ServiceAccount", "namespace": "pai-notification", "name": account}],
    }))
    .unwrap()
}

/// A cluster, as far as Workspaces care.
#[derive(Default)]
struct Cluster {
    namespaces: HashSet<String>,
    buses: HashMap<(String, String), EventBus>,
    access: HashMap<String, Access>,
}

impl Cluster {
    fn with_namespace() -> Self {
        Self { namespaces: HashSet::from(["vision".to_owned()]), ..Self::default() }
    }

    fn bus(mut self, workspace: &str) -> Self {
        self.buses.insert(("vision".to_owned(), bus_name(workspace)), bus_of(workspace));
        self
    }

    fn access(mut self, binding: RoleBinding, missing: Result<Option<&str>, ()>) -> Self {
        let missing = missing.map(|missing| missing.map(str::to_owned));
        self.access.insert("vision".to_owned(), Access { binding, missing });
        self
    }

    /// All is there.
    fn whole() -> Self {
        Self::with_namespace().bus("research").access(binding(Some("research"), "operator"), Ok(None))
    }

    fn judge_all(&self, workspaces: Vec<Workspace>) -> Vec<WorkspaceVerdict> {
        let Self { namespaces, buses, access } = self;
        judge_all(workspaces, &Surroundings { namespaces, buses, access, operator: OPERATOR })
    }

    fn judge(&self, workspace: Workspace) -> WorkspaceVerdict {
        self.judge_all(vec![workspace]).remove(0)
    }
}

fn condition<'a>(verdict: &'a WorkspaceVerdict, kind: &str) -> &'a Verdict {
    verdict.verdicts.iter().find(|verdict| verdict.kind == kind).unwrap()
}

fn reasons(verdict: &WorkspaceVerdict) -> [Reason; 3] {
    [READY, ACTIVATED, ACCESS_GRANTED].map(|kind| condition(verdict, kind).reason)
}

#[test]
fn a_workspace_with_bus_and_access_is_ready() {
    let verdict = Cluster::whole().judge(wanted());
    assert_eq!(reasons(&verdict), [Reason::Ready, Reason::Activated, Reason::AccessGranted]);
    assert!(verdict.verdicts.iter().all(Verdict::is_true));
    assert!(!verdict.needs_bus && !verdict.needs_binding);
    assert_eq!((verdict.activated, verdict.granted), (Some(at(1)), Some(at(3))));
    assert_eq!(verdict.in_force_since(), Some(at(3)), "the later of the two");
    assert_eq!(condition(&verdict, READY).message, "events of namespace vision are notified");
}

#[test]
fn a_namespace_belongs_to_the_oldest_workspace_and_then_to_the_first_by_name() {
    let spec = json!({"activate": true, "grantAccess": true});
    for (first, second, owner) in [(("b", 1), ("a", 2), "b"), (("a", 2), ("b", 1), "b"), (("b", 1), ("a", 1), "a")] {
        let cluster = Cluster::with_namespace().bus("a").bus("b").access(binding(None, "operator"), Ok(None));
        let both = [first, second].map(|(name, day)| workspace(name, day, &spec));
        let verdicts = cluster.judge_all(both.to_vec());
        assert_eq!(verdicts.len(), 2);
        for verdict in verdicts {
            if verdict.name() == owner {
                assert!(condition(&verdict, READY).is_true(), "{first:?} {second:?}");
                continue;
            }
            assert_eq!(reasons(&verdict), [Reason::NamespaceTaken; 3], "{first:?} {second:?}");
            let message = &condition(&verdict, READY).message;
            assert!(
                message.contains("namespace vision") && message.contains(&format!("Workspace {owner};")),
                "{message}"
            );
            assert_eq!(verdict.in_force_since(), None);
            assert!(!verdict.needs_bus && !verdict.needs_binding);
        }
    }
}

#[test]
fn activation_says_what_is_missing_and_makes_the_bus_only_in_a_namespace() {
    let off = workspace("research", 1, &json!({"grantAccess": true}));
    let table = [
        (
            "off",
            off.clone(),
            Cluster::whole(),
            Reason::NotActivated,
            "set spec.activate of Workspace research to true",
            false,
        ),
        ("off, no namespace", off, Cluster::default(), Reason::NotActivated, "set spec.activate", false),
        (
            "no namespace",
            wanted(),
            Cluster::default(),
            Reason::NamespaceNotFound,
            "there is no namespace vision",
            false,
        ),
        ("no bus", wanted(), Cluster::with_namespace(), Reason::NotActivated, "the event bus is being made", true),
        ("other's bus", wanted(), Cluster::with_namespace().bus("other"), Reason::NotActivated, "being made", true),
    ];
    for (case, workspace, cluster, reason, message, needs_bus) in table {
        let verdict = cluster.judge(workspace);
        let activated = condition(&verdict, ACTIVATED);
        assert_eq!((activated.status, activated.reason), (Some(false), reason), "{case}");
        assert!(activated.message.contains(message), "{case}: {}", activated.message);
        assert_eq!(verdict.needs_bus, needs_bus, "{case}");
        assert_eq!(verdict.activated.is_some(), needs_bus, "{case}: in force already while only the bus is missing");
        let ready = condition(&verdict, READY);
        assert_eq!(
            (ready.reason, &ready.message),
            (activated.reason, &activated.message),
            "{case}: Ready says the same"
        );
    }
}

#[test]
fn access_is_granted_only_by_a_binding_whose_rights_are_confirmed() {
    let by_hand = || workspace("research", 1, &json!({"activate": true}));
    let bound = |missing| Cluster::with_namespace().bus("research").access(binding(None, "operator"), missing);
    let none = || Cluster::with_namespace().bus("research");
    let table = [
        (
            "none",
            by_hand(),
            none(),
            false,
            "or bind ClusterRole AliyunServiceRoleForPAIWorkspace to ServiceAccount pai-notification/operator in namespace vision",
        ),
        ("asked for", wanted(), none(), false, "the RoleBinding is being made"),
        ("by hand", by_hand(), bound(Ok(None)), true, "the API server confirms the rights"),
        ("not asked yet", by_hand(), bound(Err(())), false, "the API server is being asked"),
        (
            "a right is missing",
            by_hand(),
            bound(Ok(Some("get secrets"))),
            false,
            "does not allow the operator to get secrets; set spec.grantAccess of Workspace research",
        ),
    ];
    for (case, workspace, cluster, granted, message) in table {
        let verdict = cluster.judge(workspace);
        let access = condition(&verdict, ACCESS_GRANTED);
        assert_eq!(access.is_true(), granted, "{case}");
        assert!(access.message.contains(message), "{case}: {}", access.message);
        assert_eq!(verdict.granted, granted.then(|| at(3)), "{case}");
        let ready = condition(&verdict, READY);
        assert_eq!(ready.is_true(), granted, "{case}");
        assert_eq!(ready.reason, if granted { Reason::Ready } else { Reason::AccessNotGranted }, "{case}");
    }
}

#[test]
fn a_binding_is_made_where_access_is_wanted_and_none_that_was_made_by_hand_is_touched() {
    let by_hand = || workspace("research", 1, &json!({"activate": true}));
    let there = |made_for, account| Cluster::with_namespace().access(binding(made_for, account), Ok(None));
    let table = [
        ("none, wanted", wanted(), Cluster::with_namespace(), true),
        ("none, not wanted", by_hand(), Cluster::with_namespace(), false),
        ("no namespace", wanted(), Cluster::default(), false),
        ("ours and right", wanted(), there(Some("research"), "operator"), false),
        ("ours, of another account", wanted(), there(Some("research"), "renamed"), true),
        ("ours, no longer wanted", by_hand(), there(Some("research"), "renamed"), false),
        ("by hand, of another account", wanted(), there(None, "renamed"), false),
        ("another workspace's", wanted(), there(Some("other"), "renamed"), false),
    ];
    for (case, workspace, cluster, needs_binding) in table {
        assert_eq!(cluster.judge(workspace).needs_binding, needs_binding, "{case}");
    }
}

/// A Workspace whose `activate` was edited on the fifth, and other fields on the seventh.
fn edited(generation: i64, recorded: Option<(Value, i64)>) -> Workspace {
    let mut workspace = wanted();
    workspace.metadata.generation = Some(generation);
    let fields = [
        edit("console", 5, &json!({"f:spec": {"f:activate": {}}})),
        edit("quota", 7, &json!({"f:spec": {"f:quota": {}}})),
    ];
    workspace.metadata.managed_fields = Some(serde_json::from_value(json!(fields)).unwrap());
    workspace.status = recorded.map(|(activated_at, observed)| {
        serde_json::from_value(json!({"observedGeneration": observed, "activatedAt": activated_at})).unwrap()
    });
    workspace
}

#[test]
fn the_time_of_activation_is_kept_while_no_edit_can_have_switched_it_off_and_on() {
    let on = || json!(stamp(4));
    let table = [
        ("the first time", edited(1, None), 5),
        ("nothing was edited", edited(3, Some((on(), 3))), 4),
        ("one edit", edited(4, Some((on(), 3))), 4),
        ("two edits while the operator was down", edited(5, Some((on(), 3))), 5),
        ("it was off", edited(4, Some((Value::Null, 3))), 5),
    ];
    for (case, workspace, day) in table {
        assert_eq!(Cluster::whole().judge(workspace).activated, Some(at(day)), "{case}");
    }
}

#[test]
fn a_deleted_bus_neither_ends_nor_moves_the_activation() {
    let recorded = Some((json!(stamp(4)), 3));
    let verdict = Cluster::with_namespace().judge(edited(3, recorded));
    assert_eq!((verdict.activated, verdict.needs_bus), (Some(at(4)), true));
}

#[test]
fn a_workspace_that_is_being_deleted_asks_for_nothing_and_gives_its_namespace_away() {
    let mut leaving = wanted();
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!(stamp(8))).unwrap();
    let successor = workspace("successor", 6, &json!({"activate": true}));
    let cluster = Cluster::with_namespace();
    let verdicts = cluster.judge_all(vec![leaving, successor]);
    let names: Vec<_> = verdicts.iter().map(WorkspaceVerdict::name).collect();
    assert_eq!(names, ["successor"]);
    assert!(verdicts[0].needs_bus);
}

#[test]
fn without_owners_of_the_fields_the_creation_counts() {
    let mut bound = binding(None, "operator");
    bound.metadata.managed_fields = None;
    let verdict = Cluster::with_namespace().bus("research").access(bound, Ok(None)).judge(wanted());
    assert_eq!((verdict.activated, verdict.granted), (Some(at(1)), Some(at(2))));
}

#[test]
fn the_verdicts_become_the_conditions_of_the_status() {
    let verdict = Cluster::whole().judge(wanted());
    let written = condition::conditions(&[], &verdict.verdicts, Some(1), at(9));
    assert_eq!(find(&written, ACTIVATED).map(|c| (c.status.as_str(), c.reason.as_str())), Some(("True", "Activated")));
    let later = condition::conditions(&written, &verdict.verdicts, Some(2), at(20));
    assert_eq!(find(&later, ACTIVATED).map(|c| c.last_transition_time.0), Some(at(9)), "the status is the same");
}
