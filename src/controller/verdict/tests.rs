//! The whole, judged: each test changes one thing about a workspace with one rule and one target, all of it in order.

use serde_json::{Value, json};

use super::*;
use crate::api::condition::{self, ACCESS_GRANTED, ACTIVATED, QUOTA_EXCEEDED, READY};
use crate::api::event_target::ConnectivityTest;
use crate::api::notice::NoticeCounts;
use crate::api::notice_rule::TargetState;
use crate::delivery::book::TargetSummary;

const BUS: &str = "http://bus";
const CREATED: &str = "2026-01-01T00:00:00Z";
const BOUND: &str = "2026-01-02T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better in the tests")]
fn object<K: serde::de::DeserializeOwned>(kind: &str, namespace: Option<&str>, name: &str, spec: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "notification.pai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": namespace, "uid": format!("{kind}-{name}"), "generation": 1, "creationTimestamp": CREATED},
    }))
    .unwrap()
}

fn workspace(name: &str) -> Workspace {
    object("Workspace", None, name, json!({"namespace": "vision", "activate": true, "grantAccess": true}))
}

fn target(name: &str) -> EventTarget {
    object("EventTarget", Some("vision"), name, json!({"http": {"webhook": {"url": "https://a.example"}}}))
}

fn rule(targets: &[&str]) -> NoticeRule {
    let targets: Vec<_> = targets.iter().map(|name| json!({"name": name})).collect();
    object(
        "NoticeRule",
        Some("vision"),
        "nightly",
        json!({"sources": [{"type": "DLCJob", "events": ["JobFailed"]}], "targets": targets}),
    )
}

fn access(missing: Result<Option<&str>, ()>) -> Access {
    let binding = serde_json::from_value(json!({
        "metadata": {"name": "AliyunServiceRoleForPAIWorkspace", "namespace": "vision", "creationTimestamp": BOUND},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "AliyunServiceRoleForPAIWorkspace"},
    }))
    .unwrap();
    Access { binding, missing: missing.map(|missing| missing.map(str::to_owned)) }
}

fn world() -> World {
    let bus = object("EventBus", Some("vision"), "pai-system-vision", json!({"workspace": "vision"}));
    World {
        sources: Arc::default(),
        gone: GoneTargets::new(),
        registries: RegistryHealth::new(),
        workspaces: vec![workspace("vision")],
        buses: HashMap::from([(("vision".to_owned(), "pai-system-vision".to_owned()), bus)]),
        targets: vec![target("oncall")],
        rules: vec![rule(&["oncall"])],
        undecodable: Undecodable::default(),
        namespaces: HashSet::from(["vision".to_owned()]),
        access: HashMap::from([("vision".to_owned(), access(Ok(None)))]),
        secrets: HashMap::from([("vision".to_owned(), SecretsOf::readable(Vec::new()))]),
        operator: "pai/operator".to_owned(),
    }
}

fn judged(change: impl FnOnce(&mut World)) -> Judgement {
    let mut world = world();
    change(&mut world);
    judge(world, &mut Cache::default())
}

fn verdict<'a>(verdicts: &'a [Verdict], kind: &str) -> &'a Verdict {
    verdicts.iter().find(|verdict| verdict.kind == kind).unwrap()
}

fn rules_in_force(judgement: &Judgement) -> Vec<String> {
    judgement
        .policy()
        .namespace("vision")
        .map(|workspace| workspace.rules.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn a_workspace_that_is_activated_and_granted_puts_its_rules_in_force_since_the_latest_of_all() {
    let judgement = judged(|_| {});
    for kind in [READY, ACTIVATED, ACCESS_GRANTED] {
        assert!(verdict(&judgement.workspaces[0].verdicts, kind).is_true(), "{kind}");
    }
    assert!(verdict(&judgement.rules[0].verdicts, READY).is_true());
    let policy = judgement.policy();
    let active = &policy.namespace("vision").unwrap().rules["nightly"];
    assert_eq!(active.active_since, at(BOUND), "the binding came last");
    assert_eq!(active.targets, ["oncall"]);
}

#[test]
fn whatever_is_missing_keeps_a_rule_out_of_force_and_is_named() {
    type Change = fn(&mut World);
    let table: [(&str, Change, Reason, &str); 9] = [
        ("no workspace", |w| w.workspaces.clear(), Reason::NoWorkspace, "no Workspace switches on namespace vision"),
        ("not activated", |w| w.workspaces[0].spec.activate = false, Reason::WorkspaceNotActivated, "Workspace vision"),
        ("no namespace", |w| w.namespaces.clear(), Reason::WorkspaceNotActivated, "Workspace vision"),
        ("no binding", |w| w.access.clear(), Reason::AccessNotGranted, "vision"),
        (
            "not confirmed",
            |w| w.access = HashMap::from([("vision".to_owned(), access(Ok(Some("get secrets"))))]),
            Reason::AccessNotGranted,
            "vision",
        ),
        (
            "not asked",
            |w| w.access = HashMap::from([("vision".to_owned(), access(Err(())))]),
            Reason::AccessNotGranted,
            "vision",
        ),
        ("suspended", |w| w.rules[0].spec.suspend = true, Reason::Suspended, "set spec.suspend to false"),
        ("no target", |w| w.targets.clear(), Reason::NoActiveTarget, "there is no EventTarget oncall"),
        (
            "bad filter",
            |w| w.rules[0].spec.sources[0].filter = Some("event.".to_owned()),
            Reason::InvalidSource,
            "filter",
        ),
    ];
    for (what, change, reason, words) in table {
        let judgement = judged(change);
        let ready = verdict(&judgement.rules[0].verdicts, READY);
        assert_eq!((ready.is_true(), ready.reason), (false, reason), "{what}");
        assert!(ready.message.contains(words), "{what}: {}", ready.message);
        assert!(rules_in_force(&judgement).is_empty(), "{what}");
    }
}

#[test]
fn a_rule_whose_target_is_not_ready_stays_in_force_so_that_deliveries_wait() {
    let judgement =
        judged(|world| world.targets[0].spec.http.as_mut().unwrap().webhook.url = Some("ftp://a.example".to_owned()));
    assert_eq!(judgement.rules[0].targets[0].state, TargetState::NotReady);
    assert_eq!(verdict(&judgement.rules[0].verdicts, READY).reason, Reason::NoActiveTarget);
    assert_eq!(rules_in_force(&judgement), ["nightly"]);
}

#[test]
fn a_target_over_the_quota_is_not_delivered_to_and_is_named() {
    let judgement = judged(|world| {
        world.workspaces[0].spec.quota.targets_per_rule = 2;
        world.targets = ["a", "b", "c"].map(target).to_vec();
        world.rules = vec![rule(&["a", "missing", "b", "c"])];
    });
    let judged = &judgement.rules[0];
    let states: Vec<_> = judged.targets.iter().map(|target| target.state).collect();
    assert_eq!(states, [TargetState::Active, TargetState::NotFound, TargetState::Active, TargetState::OverQuota]);
    assert_eq!((judged.quota.used, judged.quota.limit), (2, 2));
    let exceeded = verdict(&judged.verdicts, QUOTA_EXCEEDED);
    assert!(exceeded.is_true() && exceeded.message.contains(": c;"), "{}", exceeded.message);
    assert_eq!(judged.active.as_ref().unwrap().targets, ["a", "b"]);
}

#[test]
fn a_namespace_belongs_to_the_older_workspace_whatever_their_order() {
    for swapped in [false, true] {
        let judgement = judged(|world| {
            let mut later = workspace("another");
            later.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(BOUND)));
            world.workspaces.push(later);
            if swapped {
                world.workspaces.reverse();
            }
        });
        let reasons: HashMap<_, _> =
            judgement.workspaces.iter().map(|w| (w.name(), verdict(&w.verdicts, READY).reason)).collect();
        assert_eq!(reasons["vision"], Reason::Ready);
        assert_eq!(reasons["another"], Reason::NamespaceTaken);
        assert_eq!(judgement.policy().namespace("vision").unwrap().workspace, "vision");
    }
}

#[test]
fn a_bus_is_ready_with_its_workspace_and_one_made_by_hand_belongs_to_nobody() {
    let bus = |name: &str| object("EventBus", Some("vision"), name, json!({"workspace": "vision"}));
    let on = judged(|_| {});
    assert!(crate::controller::bus::judge(&bus("pai-system-vision"), &on.workspaces).is_true());
    assert_eq!(crate::controller::bus::judge(&bus("mine"), &on.workspaces).reason, Reason::NoWorkspace);
    let off = judged(|world| world.workspaces[0].spec.activate = false);
    let verdict = crate::controller::bus::judge(&bus("pai-system-vision"), &off.workspaces);
    assert_eq!(verdict.reason, Reason::WorkspaceNotActivated);
}

#[test]
fn a_status_says_what_became_of_the_notices_and_settles() {
    let judgement = judged(|_| {});
    let key = TargetKey { namespace: "vision".to_owned(), name: "oncall".to_owned() };
    let counts = NoticeCounts { pending: 1, delivered: 2, failed: 3 };
    let last = LastDelivery {
        time: at(BOUND),
        notice: "n".to_owned(),
        outcome: LastOutcome::Retrying,
        code: Some("503".to_owned()),
        message: Some("busy".to_owned()),
    };
    let summary = Summary {
        targets: HashMap::from([(key.clone(), TargetSummary { deliveries: counts, last: Some(last) })]),
        ..Summary::default()
    };
    let (throttled, filter_errors, tests) = (HashMap::new(), HashMap::new(), HashMap::new());
    let tally =
        Tally { summary: &summary, throttled: &throttled, filter_errors: &filter_errors, tests: &tests, bus_url: BUS };
    let status =
        target_status(&judgement.targets[&key], judgement.targets[&key].object.status.as_ref(), &tally, at(BOUND));
    assert_eq!((status.deliveries, status.channel.as_deref()), (Some(counts), Some("HTTP")));
    let reachable = condition::find(&status.conditions, REACHABLE).unwrap();
    assert_eq!(
        (reachable.status.as_str(), reachable.message.as_str()),
        ("False", "the last message was not accepted: 503 busy")
    );
    // What was written is what the next judgement comes to, however much later: nothing is written again.
    let again = judged(|world| world.targets[0].status = Some(status.clone()));
    assert_eq!(
        target_status(
            &again.targets[&key],
            again.targets[&key].object.status.as_ref(),
            &tally,
            at("2027-01-01T00:00:00Z")
        ),
        status
    );
}

#[test]
fn the_later_one_of_delivery_and_test_tells_whether_the_receiver_can_be_reached() {
    let last = |second, outcome| LastDelivery {
        time: Timestamp::from_second(second).unwrap(),
        notice: "n".to_owned(),
        outcome,
        code: None,
        message: None,
    };
    let test = |second, result| ConnectivityTest {
        request: "1".to_owned(),
        time: Timestamp::from_second(second).unwrap(),
        result,
        message: "m".to_owned(),
    };
    let table = [
        (None, None, None),
        (None, Some(test(1, TestResult::NotSupported)), None),
        (None, Some(test(1, TestResult::Succeeded)), Some(true)),
        (Some(last(2, LastOutcome::Failed)), Some(test(1, TestResult::Succeeded)), Some(false)),
        (Some(last(1, LastOutcome::Failed)), Some(test(2, TestResult::Succeeded)), Some(true)),
        (Some(last(1, LastOutcome::Delivered)), Some(test(2, TestResult::Failed)), Some(false)),
        (Some(last(1, LastOutcome::Delivered)), Some(test(2, TestResult::NotSupported)), Some(true)),
    ];
    for (last, test, expected) in table {
        assert_eq!(reachable(last.as_ref(), test.as_ref()).status, expected, "{last:?} {test:?}");
    }
}

fn unreadable(kind: &str, namespace: Option<&str>, name: &str) -> (ObjectMeta, String) {
    let whole: EventBus = object(kind, namespace, name, json!({"workspace": "x"}));
    (whole.metadata, "invalid type: string, expected i32".to_owned())
}

#[test]
fn what_cannot_be_read_says_so_and_a_target_still_holds_its_deliveries() {
    let judgement = judged(|world| {
        world.undecodable = Undecodable {
            workspaces: vec![unreadable("Workspace", None, "broken")],
            targets: vec![unreadable("EventTarget", Some("vision"), "oncall")],
            rules: vec![unreadable("NoticeRule", Some("vision"), "broken")],
        };
        world.targets.clear();
    });
    let (summary, none) = (Summary::default(), HashMap::new());
    let tally = Tally {
        summary: &summary,
        throttled: &none,
        filter_errors: &HashMap::new(),
        tests: &HashMap::new(),
        bus_url: BUS,
    };
    let now = at(BOUND);
    let workspace = workspace_status(judgement.workspaces.last().unwrap(), None, &tally, now);
    let target = target_status(judgement.targets.values().next().unwrap(), None, &tally, now);
    let rule = rule_status(judgement.rules.last().unwrap(), None, &tally, now);
    for conditions in [workspace.conditions, target.conditions, rule.conditions] {
        let ready = condition::find(&conditions, READY).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Undecodable"));
        assert!(ready.message.contains("expected i32"), "{}", ready.message);
    }
    assert_eq!(workspace.namespace, None, "nobody knows");
    let waiting = &judgement.rules[0].targets[0];
    assert_eq!(waiting.state, TargetState::NotReady, "not NotFound: its deliveries wait");
    assert_eq!(rules_in_force(&judgement), ["nightly"]);
}

type Change = fn(&mut World);

#[test]
fn a_bus_is_ready_only_where_its_workspace_is_activated() {
    let bus = |namespace: &str, workspace: &str| -> EventBus {
        object("EventBus", Some(namespace), "pai-system-vision", json!({"workspace": workspace}))
    };
    let table: [(EventBus, Change, &str); 5] = [
        (bus("vision", "vision"), |_| {}, "Ready"),
        (bus("vision", "vision"), |w| w.workspaces[0].spec.activate = false, "WorkspaceNotActivated"),
        (bus("vision", "vision"), |w| w.workspaces.clear(), "NoWorkspace"),
        (bus("elsewhere", "vision"), |_| {}, "NoWorkspace"),
        (bus("vision", "other"), |_| {}, "NoWorkspace"),
    ];
    for (bus, change, reason) in table {
        let status = bus_status(&bus, None, &judged(change), BUS, at(BOUND));
        assert_eq!(status.conditions[0].reason, reason, "{:?} {}", bus.metadata.namespace, bus.spec.workspace);
        let address = (reason == "Ready").then(|| "http://bus/v1/workspaces/vision/events".to_owned());
        assert_eq!(status.address, address, "only where something is taken in");
    }
}

#[test]
fn the_bus_knows_every_workspace_that_is_activated_and_whether_anything_can_be_stored_there() {
    let registry = json!({"mlflow": {"webhookSecretRef": {"name": "mlflow", "key": "secret"}}});
    let table: [(&str, Change, Option<bool>); 4] = [
        ("as it should be", |_| {}, Some(true)),
        ("not granted", |world| world.access.clear(), Some(false)),
        ("not activated", |world| world.workspaces[0].spec.activate = false, None),
        ("no namespace", |world| world.namespaces.clear(), None),
    ];
    for (case, change, in_force) in table {
        let judgement = judged(|world| {
            world.workspaces[0].spec.model_registry = serde_json::from_value(registry.clone()).unwrap();
            change(world);
        });
        let ingress = judgement.ingresses.get("vision");
        assert_eq!(ingress.map(|ingress| ingress.in_force), in_force, "{case}");
        let bus = object("EventBus", Some("vision"), "pai-system-vision", json!({"workspace": "vision"}));
        let conditions = bus_status(&bus, None, &judgement, BUS, at(BOUND)).conditions;
        let webhook = conditions.iter().find(|condition| condition.type_ == "WebhookReady");
        assert_eq!(webhook.map(|found| found.reason.as_str()), in_force.map(|_| "SecretNotFound"), "{case}");
    }
}

#[test]
fn the_notices_of_a_namespace_are_counted_for_its_own_workspace_alone() {
    let judgement = judged(|world| {
        let mut later = workspace("later");
        later.metadata.creation_timestamp = serde_json::from_value(json!(BOUND)).unwrap();
        world.workspaces.push(later);
    });
    let counts = NoticeCounts { pending: 0, delivered: 3, failed: 0 };
    let summary = Summary { namespaces: HashMap::from([("vision".to_owned(), counts)]), ..Summary::default() };
    let none = HashMap::new();
    let tally = Tally {
        summary: &summary,
        throttled: &none,
        filter_errors: &HashMap::new(),
        tests: &HashMap::new(),
        bus_url: BUS,
    };
    let shown: Vec<_> =
        judgement.workspaces.iter().map(|verdict| workspace_status(verdict, None, &tally, at(BOUND)).notices).collect();
    assert_eq!(shown, [Some(counts), None]);
}
