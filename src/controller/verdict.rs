//! The whole judged at once: what is in force, and what every status should say. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use super::bus;
use super::ingress::{self, Ingresses};
use super::registry::{self, RegistryHealth};
use super::rule::{self, Cache, RuleVerdict};
use super::secret::SecretsOf;
use super::sources;
use super::target::{self, TargetVerdict};
use super::workspace::{self, Access, Surroundings, WorkspaceVerdict};
use crate::api::condition::{REACHABLE, Reason, Verdict, conditions};
use crate::api::event_bus::EventBusStatus;
use crate::api::event_target::{ConnectivityTest, EventTargetStatus, LastDelivery, LastOutcome, TestResult};
use crate::api::names::bus_name;
use crate::api::notice_rule::{FilterErrors, NoticeRuleStatus, TargetState};
use crate::api::workspace::{EventBusReference, WorkspaceStatus};
use crate::api::{EventBus, EventTarget, NoticeRule, Workspace};
use crate::channel;
use crate::delivery::book::Summary;
use crate::delivery::targets::{GoneTargets, TargetKey, TargetTable, Texts};
use crate::message::ConsoleUrl;
use crate::rules::{Policy, WorkspacePolicy};
use crate::watch::sources::Sources;

/// Everything that is judged.
pub(super) struct World {
    pub(super) workspaces: Vec<Workspace>,
    pub(super) buses: HashMap<(String, String), EventBus>,
    pub(super) targets: Vec<EventTarget>,
    pub(super) rules: Vec<NoticeRule>,
    pub(super) undecodable: Undecodable,
    pub(super) namespaces: HashSet<String>,
    pub(super) access: HashMap<String, Access>,
    pub(super) secrets: HashMap<String, SecretsOf>,
    /// Targets whose receiver said that it is gone for good.
    pub(super) gone: GoneTargets,
    /// How the model registries that are asked are.
    pub(super) registries: RegistryHealth,
    pub(super) operator: String,
    /// How the watches go.
    pub(super) sources: Arc<Sources>,
}

/// Objects that cannot be read, and why.
#[derive(Default)]
pub(super) struct Undecodable {
    pub(super) workspaces: Vec<(ObjectMeta, String)>,
    pub(super) targets: Vec<(ObjectMeta, String)>,
    pub(super) rules: Vec<(ObjectMeta, String)>,
}

/// The judgement.
pub(super) struct Judgement {
    pub(super) workspaces: Vec<WorkspaceVerdict>,
    pub(super) targets: HashMap<TargetKey, TargetVerdict>,
    pub(super) rules: Vec<RuleVerdict>,
    pub(super) ingresses: Ingresses,
}

/// What statuses say beyond the judgement: what became of the Notices.
pub(super) struct Tally<'a> {
    pub(super) summary: &'a Summary,
    pub(super) throttled: &'a HashMap<TargetKey, Timestamp>,
    pub(super) filter_errors: &'a HashMap<(String, String), (i64, String)>,
    pub(super) tests: &'a HashMap<TargetKey, ConnectivityTest>,
    /// The URL under which the bus is reached, without a path.
    pub(super) bus_url: &'a str,
}

/// Judges everything.
pub(super) fn judge(world: World, cache: &mut Cache) -> Judgement {
    let World {
        workspaces,
        buses,
        targets,
        rules,
        undecodable,
        namespaces,
        access,
        secrets,
        gone,
        registries,
        operator,
        sources,
    } = world;
    let around = Surroundings { namespaces: &namespaces, buses: &buses, access: &access, operator: &operator };
    let mut workspaces = workspace::judge_all(workspaces, &around);
    workspaces.extend(undecodable.workspaces.into_iter().map(|(meta, error)| workspace::undecodable(meta, &error)));
    let healthy = sources::judge(&sources);
    for workspace in &mut workspaces {
        workspace.verdicts.push(healthy.clone());
    }
    let unreadable = SecretsOf::default();
    let ingresses = ingress::all(&workspaces, &secrets);
    for workspace in &mut workspaces {
        let name = workspace.name();
        let polled = ingresses.get(&name).map(|ingress| ingress.polled.as_slice()).unwrap_or_default();
        workspace.verdicts.extend(registry::judge(&name, polled, &registries));
    }
    let by_namespace = owners(&workspaces);
    let targets = targets.into_iter().map(|object| {
        let namespace = object.namespace().unwrap_or_default();
        let secrets = secrets.get(&namespace).unwrap_or(&unreadable);
        let owner = by_namespace.get(&namespace).map(|owner| &owner.workspace);
        let workspace = owner.map(Workspace::name_any).unwrap_or_default();
        let settings = owner.and_then(|owner| owner.spec.message_settings.as_ref());
        target::judge(object, &channel::Surroundings { secrets, workspace: &workspace, settings }, &gone)
    });
    let targets = targets.chain(undecodable.targets.into_iter().map(|(meta, error)| target::undecodable(meta, &error)));
    let targets: HashMap<TargetKey, TargetVerdict> = targets.map(|verdict| (verdict.key.clone(), verdict)).collect();
    let rules: Vec<RuleVerdict> = rules
        .into_iter()
        .map(|object| {
            let workspace = by_namespace.get(&object.namespace().unwrap_or_default()).copied();
            rule::judge(object, workspace, &targets, cache)
        })
        .chain(undecodable.rules.into_iter().map(|(meta, error)| rule::undecodable(meta, &error)))
        .collect();
    cache.keep_only(&rules);
    Judgement { workspaces, targets, rules, ingresses }
}

/// The workspace that has each namespace: not those that found it taken, or cannot be read.
fn owners(workspaces: &[WorkspaceVerdict]) -> HashMap<String, &WorkspaceVerdict> {
    let owners = workspaces.iter().filter(|workspace| workspace.has_its_namespace());
    owners.map(|workspace| (workspace.namespace.clone(), workspace)).collect()
}

impl Judgement {
    /// What is in force.
    pub(super) fn policy(&self) -> Policy {
        let in_force = self.workspaces.iter().filter(|workspace| workspace.in_force_since().is_some());
        Policy::new(in_force.map(|workspace| {
            let rules = self
                .rules
                .iter()
                .filter(|rule| rule.object.namespace().as_ref() == Some(&workspace.namespace))
                .filter_map(|rule| Some((rule.object.name_any(), Arc::new(rule.active.clone()?))))
                .collect::<BTreeMap<_, _>>();
            WorkspacePolicy {
                workspace: workspace.name(),
                namespace: workspace.namespace.clone(),
                locale: workspace.workspace.spec.locale,
                rules,
            }
        }))
    }

    /// Every target.
    pub(super) fn target_table(&self) -> TargetTable {
        self.targets.iter().map(|(key, verdict)| (key.clone(), verdict.target.clone())).collect()
    }

    /// What messages are made with, beside the targets' own texts.
    pub(super) fn texts(&self) -> Texts {
        let of_rule = |rule: &RuleVerdict| {
            let key = (rule.object.namespace().unwrap_or_default(), rule.object.name_any());
            Some((key, rule.template.clone()?))
        };
        let console = |workspace: &WorkspaceVerdict| {
            let url = workspace.workspace.spec.console_url.as_deref()?;
            Some((workspace.namespace.clone(), ConsoleUrl::compile(url).ok()?))
        };
        let owners = self.workspaces.iter().filter(|workspace| workspace.has_its_namespace());
        Texts { rules: self.rules.iter().filter_map(of_rule).collect(), consoles: owners.filter_map(console).collect() }
    }

    /// Targets whose receiver is gone for good, each with its present revision.
    pub(super) fn gone(&self) -> GoneTargets {
        let gone = self.targets.values().filter(|target| target.ready.reason == Reason::Gone);
        gone.map(|target| (target.key.clone(), target.target.revision)).collect()
    }
}

/// A workspace's status. `before` is the one that is stored.
pub(super) fn workspace_status(
    verdict: &WorkspaceVerdict,
    before: Option<&WorkspaceStatus>,
    tally: &Tally<'_>,
    now: Timestamp,
) -> WorkspaceStatus {
    let generation = verdict.workspace.metadata.generation;
    let counts = tally.summary.namespaces.get(&verdict.namespace).filter(|_| verdict.has_its_namespace()).copied();
    WorkspaceStatus {
        observed_generation: generation,
        namespace: Some(verdict.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        event_bus: verdict.activated.map(|_| EventBusReference {
            name: bus_name(&verdict.name()),
            address: Some(bus::address(tally.bus_url, &verdict.name())),
        }),
        activated_at: verdict.activated,
        notices: counts,
        conditions: conditions(of(before, |status| &status.conditions), &verdict.verdicts, generation, now),
    }
}

/// A target's status. `before` is the one that is stored.
pub(super) fn target_status(
    verdict: &TargetVerdict,
    before: Option<&EventTargetStatus>,
    tally: &Tally<'_>,
    now: Timestamp,
) -> EventTargetStatus {
    let generation = verdict.object.metadata.generation;
    let found = tally.summary.targets.get(&verdict.key);
    let last = found.and_then(|target| target.last.clone());
    let test =
        tally.tests.get(&verdict.key).cloned().or_else(|| before.and_then(|status| status.connectivity_test.clone()));
    let reachable = reachable(last.as_ref(), test.as_ref());
    EventTargetStatus {
        observed_generation: generation,
        channel: verdict.channel.map(str::to_owned),
        quota_units: Some(verdict.units()),
        connectivity_test: test,
        deliveries: Some(found.map(|target| target.deliveries).unwrap_or_default()),
        last_delivery: last,
        throttled_until: tally.throttled.get(&verdict.key).copied(),
        conditions: conditions(
            of(before, |status| &status.conditions),
            &[verdict.ready.clone(), reachable],
            generation,
            now,
        ),
    }
}

/// What the last message says of the receiver, be it a delivery or a test.
fn reachable(last: Option<&LastDelivery>, test: Option<&ConnectivityTest>) -> Verdict {
    let refused = |what: &str, words: &str| {
        let message = format!("{what} was not accepted: {words}");
        Verdict::no(REACHABLE, Reason::Failed, message.trim_end().to_owned())
    };
    // Where nothing was sent, nothing was learnt.
    let test = test.filter(|test| test.result != TestResult::NotSupported);
    if let Some(test) = test.filter(|test| last.is_none_or(|last| last.time < test.time)) {
        return if test.result == TestResult::Succeeded {
            Verdict::yes(REACHABLE, Reason::Succeeded, "the last test message was accepted")
        } else {
            refused("the last test message", &test.message)
        };
    }
    match last {
        None => Verdict::unknown(REACHABLE, Reason::NotTried, "nothing was sent yet"),
        Some(last) if last.outcome == LastOutcome::Delivered => {
            Verdict::yes(REACHABLE, Reason::Succeeded, "the last message was accepted")
        }
        Some(last) => {
            let words: Vec<_> = [&last.code, &last.message].into_iter().flatten().map(String::as_str).collect();
            refused("the last message", &words.join(" "))
        }
    }
}

/// The types of a rule's sources, each once, in the rule's order.
fn source_types(rule: &NoticeRule) -> String {
    let mut types: Vec<&str> = Vec::new();
    for source in &rule.spec.sources {
        if !types.contains(&source.kind.as_str()) {
            types.push(source.kind.as_str());
        }
    }
    types.join(",")
}

/// A rule's status. `before` is the one that is stored.
pub(super) fn rule_status(
    verdict: &RuleVerdict,
    before: Option<&NoticeRuleStatus>,
    tally: &Tally<'_>,
    now: Timestamp,
) -> NoticeRuleStatus {
    let generation = verdict.object.metadata.generation;
    let key = (verdict.object.namespace().unwrap_or_default(), verdict.object.name_any());
    let found = tally.summary.rules.get(&key);
    let active = verdict.targets.iter().filter(|target| target.state == TargetState::Active).count();
    NoticeRuleStatus {
        observed_generation: generation,
        edited_at: verdict.edited_at,
        active_since: verdict.active_since,
        sources: source_types(&verdict.object),
        targets_active: format!("{active}/{}", verdict.targets.len()),
        quota: Some(verdict.quota),
        targets: verdict.targets.clone(),
        notices: Some(found.map(|rule| rule.notices).unwrap_or_default()),
        last_notice: found.and_then(|rule| rule.last.clone()),
        filter_errors: tally
            .filter_errors
            .get(&key)
            .map(|(count, last)| FilterErrors { count: *count, last: last.clone() }),
        conditions: conditions(of(before, |status| &status.conditions), &verdict.verdicts, generation, now),
    }
}

/// A bus's status. `before` is the one that is stored.
pub(super) fn bus_status(
    bus: &EventBus,
    before: Option<&EventBusStatus>,
    judgement: &Judgement,
    bus_url: &str,
    now: Timestamp,
) -> EventBusStatus {
    let ready = bus::judge(bus, &judgement.workspaces);
    let address = ready.is_true().then(|| bus::address(bus_url, &bus.spec.workspace));
    let ingress = judgement.ingresses.get(&bus.spec.workspace).filter(|_| ready.is_true());
    let webhook = ingress.and_then(|ingress| ingress.mlflow.as_ref()).map(ingress::judge_webhook);
    let verdicts: Vec<Verdict> = [ready].into_iter().chain(webhook).collect();
    let generation = bus.metadata.generation;
    let conditions = conditions(of(before, |status| &status.conditions), &verdicts, generation, now);
    EventBusStatus { observed_generation: generation, address, counters: None, conditions }
}

fn of<S>(status: Option<&S>, conditions: fn(&S) -> &Vec<Condition>) -> &[Condition] {
    status.map_or(&[], |status| conditions(status).as_slice())
}

#[cfg(test)]
mod tests;
