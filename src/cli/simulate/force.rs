//! What would be in force: what the controller would publish if all objects of the input were applied.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::input::Secrets;
use super::problem::Problem;
use crate::api::{EventTarget, NoticeRule, Workspace};
use crate::channel::resolve::{Surroundings, legs, quota_units, resolve};
use crate::delivery::targets::{Target, TargetKey, TargetState, TargetTable, Texts};
use crate::message::{ConsoleUrl, template};
use crate::rules::quota::{self, Claim, Fit};
use crate::rules::{ActiveRule, Policy, WorkspacePolicy, compile};

/// Not used by a simulation, which sends nothing.
const TIMEOUT: Duration = Duration::from_secs(10);
/// See [`TIMEOUT`].
const MAX_AGE: Duration = Duration::from_hours(24);

/// What would be in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub(super) policy: Policy,
    pub(super) targets: TargetTable,
    pub(super) texts: Texts,
    /// Name of the Workspace of each namespace, whether it is in force or not.
    pub(super) workspaces: BTreeMap<String, String>,
}

/// What the judgement is made from.
pub(super) struct Objects {
    pub(super) workspaces: Vec<Workspace>,
    pub(super) targets: Vec<EventTarget>,
    pub(super) rules: Vec<NoticeRule>,
    pub(super) secrets: Secrets,
}

/// Judges everything.
pub(super) fn judge(objects: Objects, problems: &mut Vec<Problem>) -> InForce {
    let Objects { workspaces, targets, rules, secrets } = objects;
    let owners = owners(workspaces, problems);
    let units: HashMap<TargetKey, i32> =
        targets.iter().map(|target| (key_of(target), quota_units(&target.spec))).collect();
    let targets: TargetTable = targets
        .iter()
        .map(|target| {
            let owner = owners.get(&target.namespace().unwrap_or_default());
            judge_target(target, owner, &secrets, problems)
        })
        .collect();
    name_missing_workspaces(&rules, &owners, problems);
    let mut in_force = InForce {
        targets,
        workspaces: owners.iter().map(|(namespace, owner)| (namespace.clone(), owner.name_any())).collect(),
        ..InForce::default()
    };
    in_force.texts.consoles = consoles(&owners, problems);
    let mut active: HashMap<String, BTreeMap<String, Arc<ActiveRule>>> = HashMap::new();
    for rule in &rules {
        let namespace = rule.namespace().unwrap_or_default();
        let owner = owners.get(&namespace);
        let Some((rule, active_rule)) = judge_rule(rule, owner, &units, problems).map(|active| (rule, active)) else {
            continue;
        };
        // Checked by judge_rule.
        if let Some(template) = rule.spec.template.as_ref().and_then(|template| template::compile(template).ok()) {
            in_force.texts.rules.insert((namespace.clone(), rule.name_any()), Arc::new(template));
        }
        active.entry(namespace).or_default().insert(rule.name_any(), Arc::new(active_rule));
    }
    let policies = owners.into_iter().filter(|(_, workspace)| is_in_force(workspace)).map(|(namespace, workspace)| {
        let rules = active.remove(&namespace).unwrap_or_default();
        WorkspacePolicy { workspace: workspace.name_any(), namespace, locale: workspace.spec.locale, rules }
    });
    in_force.policy = Policy::new(policies.collect::<Vec<_>>());
    in_force
}

const fn is_in_force(workspace: &Workspace) -> bool {
    workspace.spec.activate && workspace.spec.grant_access
}

/// The Workspace of each namespace: the oldest that asks for it.
fn owners(mut workspaces: Vec<Workspace>, problems: &mut Vec<Problem>) -> BTreeMap<String, Workspace> {
    workspaces.sort_by_key(|workspace| (created(&workspace.metadata), workspace.name_any()));
    let mut owners: BTreeMap<String, Workspace> = BTreeMap::new();
    for workspace in workspaces {
        let namespace = workspace.namespace().to_owned();
        match owners.get(&namespace) {
            None => {
                owners.insert(namespace, workspace);
            }
            Some(owner) => problems.push(Problem::new(
                format!("Workspace {}", workspace.name_any()),
                format!("namespace {namespace} belongs to Workspace {}; choose another namespace", owner.name_any()),
            )),
        }
    }
    owners
}

fn name_missing_workspaces(rules: &[NoticeRule], owners: &BTreeMap<String, Workspace>, problems: &mut Vec<Problem>) {
    let namespaces: BTreeSet<String> = rules.iter().filter_map(|rule| rule.metadata.namespace.clone()).collect();
    for namespace in namespaces {
        let missing = match owners.get(&namespace) {
            None => {
                format!("create one with spec.namespace: {namespace}, spec.activate: true and spec.grantAccess: true")
            }
            Some(owner) if is_in_force(owner) => continue,
            Some(owner) if owner.spec.activate => {
                format!("set spec.grantAccess of Workspace {} to true", owner.name_any())
            }
            Some(owner) if owner.spec.grant_access => {
                format!("set spec.activate of Workspace {} to true", owner.name_any())
            }
            Some(owner) => format!("set spec.activate and spec.grantAccess of Workspace {} to true", owner.name_any()),
        };
        let message = format!("has rules, but no Workspace in force; {missing}");
        problems.push(Problem::new(format!("Namespace {namespace}"), message));
    }
}

fn consoles(owners: &BTreeMap<String, Workspace>, problems: &mut Vec<Problem>) -> HashMap<String, ConsoleUrl> {
    let mut consoles = HashMap::new();
    for (namespace, owner) in owners {
        match owner.spec.console_url.as_deref().map(ConsoleUrl::compile) {
            Some(Ok(console)) => {
                consoles.insert(namespace.clone(), console);
            }
            Some(Err(error)) => {
                let what = error.to_string().replacen("template.consoleUrl", "spec.consoleUrl", 1);
                problems.push(Problem::new(format!("Workspace {}", owner.name_any()), what));
            }
            None => {}
        }
    }
    consoles
}

fn key_of(target: &EventTarget) -> TargetKey {
    TargetKey { namespace: target.namespace().unwrap_or_default(), name: target.name_any() }
}

/// A target with its secrets, or why it has none.
fn judge_target(
    object: &EventTarget,
    owner: Option<&Workspace>,
    secrets: &Secrets,
    problems: &mut Vec<Problem>,
) -> (TargetKey, Target) {
    let key = key_of(object);
    let workspace = owner.map(Workspace::name_any).unwrap_or_default();
    let settings = owner.and_then(|owner| owner.spec.message_settings.as_ref());
    let secrets = secrets.of(&key.namespace);
    let resolved = resolve(&object.spec, &Surroundings { secrets: &secrets, workspace: &workspace, settings });
    let template = object.spec.template.as_ref().map(template::compile).transpose();
    let mut wrong = Vec::new();
    wrong.extend(resolved.as_ref().err().map(ToString::to_string));
    wrong.extend(template.as_ref().err().map(|error| format!("spec.{error}")));
    let state = match resolved {
        Ok(_) if !wrong.is_empty() => TargetState::NotReady(wrong.join("; ")),
        Ok(_) if object.spec.suspend => TargetState::Suspended,
        Ok(resolved) => TargetState::Ready(Arc::new(resolved)),
        Err(error) => TargetState::NotReady(error.to_string()),
    };
    problems.extend(wrong.into_iter().map(|message| Problem::new(format!("EventTarget {key}"), message)));
    let target = Target {
        state,
        revision: 0,
        legs: legs(&object.spec),
        edited: None,
        throttled_until: None,
        template: template.ok().flatten().map(Arc::new),
        timeout: TIMEOUT,
        max_age: MAX_AGE,
        rate_per_minute: None,
    };
    (key, target)
}

/// The rule, if it is in force.
fn judge_rule(
    object: &NoticeRule,
    owner: Option<&Workspace>,
    targets: &HashMap<TargetKey, i32>,
    problems: &mut Vec<Problem>,
) -> Option<ActiveRule> {
    let name = format!("NoticeRule {}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let compiled = compile::compile(&object.spec).map_err(|error| error.to_string());
    let template = object.spec.template.as_ref().map(template::compile).transpose();
    let template = template.map_err(|error| format!("spec.{error}"));
    let wrong = [compiled.as_ref().err(), template.as_ref().err()];
    problems.extend(wrong.into_iter().flatten().map(|message| Problem::new(&name, message)));
    let targets = fitting_targets(object, owner, targets, &name, problems);
    let owner = owner.filter(|owner| is_in_force(owner))?;
    let active_since = created(&owner.metadata).max(created(&object.metadata));
    match (compiled, template) {
        (Ok(rule), Ok(_)) if !object.spec.suspend && !targets.is_empty() => {
            Some(ActiveRule { rule, active_since: active_since.unwrap_or(Timestamp::MIN), targets })
        }
        _ => None,
    }
}

fn fitting_targets(
    object: &NoticeRule,
    owner: Option<&Workspace>,
    targets: &HashMap<TargetKey, i32>,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let namespace = object.namespace().unwrap_or_default();
    let limit = owner.map(|owner| owner.spec.quota).unwrap_or_default().targets_per_rule;
    let units = |name: &str| targets.get(&TargetKey { namespace: namespace.clone(), name: name.to_owned() }).copied();
    let claims: Vec<Claim<'_>> =
        object.spec.targets.iter().map(|target| Claim { name: &target.name, units: units(&target.name) }).collect();
    let (fits, _) = quota::assign(&claims, limit);
    let mut within = Vec::new();
    for (index, (claim, fit)) in claims.iter().zip(fits).enumerate() {
        let target = claim.name;
        match fit {
            Fit::Within => within.push(target.to_owned()),
            Fit::Over => problems.push(Problem::new(
                name,
                format!(
                    "spec.targets[{index}]: {target} is over the quota and gets nothing; Workspace {} allows {limit} \
                     units for one rule (spec.quota.targetsPerRule)",
                    owner.map(Workspace::name_any).unwrap_or_default()
                ),
            )),
            Fit::Missing => problems.push(Problem::new(
                name,
                format!("spec.targets[{index}]: there is no EventTarget {target} in namespace {namespace}; create it, or name another one"),
            )),
        }
    }
    within
}

/// When an object was made; `None`, which is before everything, if it does not say.
fn created(metadata: &kube::api::ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}
