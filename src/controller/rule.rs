//! A `NoticeRule` judged: is it in force, since when, and for which targets. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use super::edits::last_edit;
use super::target::TargetVerdict;
use super::workspace::WorkspaceVerdict;
use crate::api::NoticeRule;
use crate::api::condition::{QUOTA_EXCEEDED, READY, Reason, Verdict};
use crate::api::notice_rule::{NoticeRuleSpec, RuleQuota, RuleTargetStatus, TargetState};
use crate::delivery::targets::TargetKey;
use crate::message::template::{self, CompiledTemplate};
use crate::rules::quota::{self, Claim, Fit};
use crate::rules::{ActiveRule, CompiledRule, compile};

/// A rule's compiled form, or why there is none.
type Compiled = Result<(CompiledRule, Option<Arc<CompiledTemplate>>), (Reason, String)>;

/// Compiled rules by uid and generation: an unchanged rule is not compiled again.
#[derive(Debug, Default)]
pub(super) struct Cache {
    compiled: HashMap<String, (i64, Compiled)>,
}

impl Cache {
    fn compiled(&mut self, rule: &NoticeRule) -> Compiled {
        let uid = rule.uid().unwrap_or_default();
        let generation = rule.metadata.generation.unwrap_or(0);
        match self.compiled.get(&uid) {
            Some((known, compiled)) if *known == generation => compiled.clone(),
            _ => {
                let compiled = compile_all(rule);
                self.compiled.insert(uid, (generation, compiled.clone()));
                compiled
            }
        }
    }

    /// Forgets rules that are gone.
    pub(super) fn keep_only(&mut self, rules: &[RuleVerdict]) {
        let uids: std::collections::HashSet<_> = rules.iter().filter_map(|rule| rule.object.uid()).collect();
        self.compiled.retain(|uid, _| uids.contains(uid));
    }
}

fn compile_all(rule: &NoticeRule) -> Compiled {
    let compiled = compile::compile(&rule.spec).map_err(|error| (error.reason(), error.to_string()));
    let template = rule.spec.template.as_ref().map(template::compile).transpose();
    let template = template.map_err(|error| (error.reason(), format!("spec.{error}")));
    match (compiled, template) {
        (Ok(compiled), Ok(template)) => Ok((compiled, template.map(Arc::new))),
        (Err((reason, source)), Err((_, template))) => Err((reason, format!("{source}; {template}"))),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

/// A rule, judged.
pub(super) struct RuleVerdict {
    pub(super) object: NoticeRule,
    pub(super) edited_at: Option<Timestamp>,
    pub(super) active_since: Option<Timestamp>,
    pub(super) quota: RuleQuota,
    pub(super) targets: Vec<RuleTargetStatus>,
    pub(super) verdicts: Vec<Verdict>,
    /// The rule, if it is in force.
    pub(super) active: Option<ActiveRule>,
    pub(super) template: Option<Arc<CompiledTemplate>>,
}

/// Judges one rule.
pub(super) fn judge(
    object: NoticeRule,
    workspace: Option<&WorkspaceVerdict>,
    targets: &HashMap<TargetKey, TargetVerdict>,
    cache: &mut Cache,
) -> RuleVerdict {
    let namespace = object.namespace().unwrap_or_default();
    let limit = workspace.map_or_else(
        || crate::api::workspace::Quota::default().targets_per_rule,
        |workspace| workspace.workspace.spec.quota.targets_per_rule,
    );
    let (statuses, used) = judge_targets(&object, &namespace, targets, limit);
    let edited_at = edited_at(&object);
    let in_force_since = workspace.and_then(WorkspaceVerdict::in_force_since);
    let active_since = edited_at.zip(in_force_since).map(|(edited, in_force)| edited.max(in_force));
    let compiled = cache.compiled(&object);
    let ready = judge_ready(&object, &namespace, workspace, &compiled, &statuses);
    // A rule without a usable target is in force all the same for those that only wait.
    let in_force = ready.is_true() || (ready.reason == Reason::NoActiveTarget && !object.spec.suspend);
    let names: Vec<String> = statuses
        .iter()
        .filter(|target| matches!(target.state, TargetState::Active | TargetState::NotReady))
        .map(|target| target.name.clone())
        .collect();
    let (active, template) = match (compiled, active_since) {
        (Ok((rule, template)), Some(active_since)) if in_force && !names.is_empty() => {
            (Some(ActiveRule { rule, active_since, targets: names }), template)
        }
        _ => (None, None),
    };
    RuleVerdict {
        quota: RuleQuota { used, limit },
        verdicts: vec![ready, judge_quota(&statuses, limit)],
        targets: statuses,
        object,
        edited_at,
        active_since,
        active,
        template,
    }
}

/// A rule that cannot be read.
pub(super) fn undecodable(metadata: ObjectMeta, error: &str) -> RuleVerdict {
    let message = format!("the object cannot be read: {error}; mend that field");
    let object = NoticeRule { metadata, spec: NoticeRuleSpec::default(), status: None };
    RuleVerdict {
        edited_at: last_edit(&object.metadata, &["f:spec"]),
        object,
        active_since: None,
        quota: RuleQuota::default(),
        targets: Vec::new(),
        verdicts: vec![
            Verdict::no(READY, Reason::Undecodable, message.clone()),
            Verdict::unknown(QUOTA_EXCEEDED, Reason::Undecodable, message),
        ],
        active: None,
        template: None,
    }
}

/// The last edit of the spec, by the object's own times. While the generation is the recorded one, so is the edit.
fn edited_at(rule: &NoticeRule) -> Option<Timestamp> {
    let status = rule.status.as_ref();
    let same = status.and_then(|status| status.observed_generation) == rule.metadata.generation;
    let recorded = status.and_then(|status| status.edited_at).filter(|_| same && rule.metadata.generation.is_some());
    recorded.or_else(|| last_edit(&rule.metadata, &["f:spec"]))
}

fn judge_targets(
    rule: &NoticeRule,
    namespace: &str,
    targets: &HashMap<TargetKey, TargetVerdict>,
    limit: i32,
) -> (Vec<RuleTargetStatus>, i32) {
    let find = |name: &str| {
        let found = targets.get(&TargetKey::named(namespace, name))?;
        let shared = &found.object.spec.shared_with;
        (found.key.namespace == namespace || shared.iter().any(|with| with == namespace)).then_some(found)
    };
    let names: Vec<String> = rule.spec.targets.iter().map(|target| target.seen_from(namespace)).collect();
    let claims: Vec<Claim<'_>> =
        names.iter().map(|name| Claim { name, units: find(name).map(TargetVerdict::units) }).collect();
    let (fits, used) = quota::assign(&claims, limit);
    let status = |(claim, fit): (&Claim<'_>, Fit)| {
        let (state, reason) = match (fit, find(claim.name)) {
            (Fit::Over, _) => (TargetState::OverQuota, Some("TargetsOverQuota".to_owned())),
            (Fit::Missing, _) | (Fit::Within, None) => (TargetState::NotFound, Some("TargetNotFound".to_owned())),
            (Fit::Within, Some(target)) if target.ready.is_true() => (TargetState::Active, None),
            (Fit::Within, Some(target)) => (TargetState::NotReady, Some(target.ready.reason.as_str().to_owned())),
        };
        RuleTargetStatus { name: claim.name.to_owned(), units: claim.units.unwrap_or(0), state, reason }
    };
    (claims.iter().zip(fits).map(status).collect(), used)
}

fn judge_ready(
    rule: &NoticeRule,
    namespace: &str,
    workspace: Option<&WorkspaceVerdict>,
    compiled: &Compiled,
    targets: &[RuleTargetStatus],
) -> Verdict {
    let no = |reason, message: String| Verdict::no(READY, reason, message);
    if let Err((reason, message)) = compiled {
        return no(*reason, message.clone());
    }
    let Some(workspace) = workspace else {
        let message =
            format!("no Workspace switches on namespace {namespace}; create one with spec.namespace: {namespace}");
        return no(Reason::NoWorkspace, message);
    };
    let name = workspace.name();
    if workspace.activated.is_none() {
        return no(
            Reason::WorkspaceNotActivated,
            format!("Workspace {name} is not activated; see its conditions, and set its spec.activate to true"),
        );
    }
    if workspace.granted.is_none() {
        let message = format!(
            "the operator has no access to namespace {namespace}; set spec.grantAccess of Workspace {name} to true, and see its conditions"
        );
        return no(Reason::AccessNotGranted, message);
    }
    if rule.spec.suspend {
        return no(
            Reason::Suspended,
            "set spec.suspend to false to go on; what happens until then is not sent later".to_owned(),
        );
    }
    let names = |state: TargetState| {
        targets
            .iter()
            .filter(|target| target.state == state)
            .map(|target| target.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (missing, not_ready) = (names(TargetState::NotFound), names(TargetState::NotReady));
    let mut troubles = Vec::new();
    if !missing.is_empty() {
        let shared = if missing.contains('/') { ", or none is shared with it by spec.sharedWith" } else { "" };
        troubles.push(format!("there is no EventTarget {missing} in namespace {namespace}{shared}"));
    }
    if !not_ready.is_empty() {
        troubles.push(format!("EventTarget {not_ready} is not ready, see its conditions"));
    }
    if !targets.iter().any(|target| target.state == TargetState::Active) {
        return no(Reason::NoActiveTarget, format!("no target can be delivered to: {}", troubles.join("; ")));
    }
    let message = if troubles.is_empty() {
        "events that match are notified".to_owned()
    } else {
        format!("delivered to the others, but {}", troubles.join("; "))
    };
    Verdict::yes(READY, Reason::Ready, message)
}

fn judge_quota(targets: &[RuleTargetStatus], limit: i32) -> Verdict {
    let over: Vec<&str> = targets
        .iter()
        .filter(|target| target.state == TargetState::OverQuota)
        .map(|target| target.name.as_str())
        .collect();
    if over.is_empty() {
        return Verdict::no(QUOTA_EXCEEDED, Reason::WithinQuota, format!("at most {limit} units are allowed"));
    }
    let message = format!(
        "not delivered to: {}; the workspace allows {limit} units for one rule (spec.quota.targetsPerRule)",
        over.join(", ")
    );
    Verdict::yes(QUOTA_EXCEEDED, Reason::TargetsOverQuota, message)
}

#[cfg(test)]
mod tests;
