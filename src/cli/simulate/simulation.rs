//! The simulation: objects and a time in, a report out. Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::input::{Input, Workload};
use super::problem::Problem;
use super::redact::{self, Secrecy};
use super::report::{Report, ShownRequest, SimulatedDelivery, SimulatedNotice};
use crate::api::Notice;
use crate::channel::Leg;
use crate::controller::offline::{self, InForce, Objects};
use crate::delivery::attempt::Attempt;
use crate::delivery::targets::{Recipient, TargetKey, TargetState};
use crate::outbox::draft::{Draft, draft};
use crate::rules::WorkspacePolicy;
use crate::watch::index::{Index, KindChange};
use crate::watch::stream::Change;
use crate::watch::{Kind, Observation};

/// Oldest event that may be notified; the operator's own default.
const LOOKBACK: SignedDuration = SignedDuration::from_hours(24);

/// When the simulation takes place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// At a time that was asked for: what is too old then is not notified.
    At(Timestamp),
    /// At the time of the clock. Files are as old as they are, so that nothing in them is too old.
    Now(Timestamp),
}

impl Moment {
    const fn time(self) -> Timestamp {
        match self {
            Self::At(time) | Self::Now(time) => time,
        }
    }

    const fn lookback(self) -> SignedDuration {
        match self {
            Self::At(_) => LOOKBACK,
            Self::Now(_) => SignedDuration::MAX,
        }
    }
}

/// Simulates that the operator, just started, sees all of these objects at a moment.
pub(super) fn simulate(input: Input, moment: Moment, secrecy: Secrecy) -> Report {
    let Input { workspaces, targets, rules, secrets, workloads, mut problems } = input;
    let in_force = offline::judge(Objects { workspaces, targets, rules, secrets: secrets.into_texts() });
    problems.extend(in_force.findings.iter().map(|finding| Problem::new(&finding.object, &finding.message)));
    let observations = observe(workloads, moment.time(), &mut problems);
    let mut report = Report { problems, ..Report::default() };
    for observation in observations {
        tell(&observation, &in_force, (moment, secrecy), &mut report);
    }
    report.notices.sort_by(|a, b| (a.event.time, &a.namespace, &a.name).cmp(&(b.event.time, &b.namespace, &b.name)));
    report.unmatched.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    report
}

/// What the operator sees in these objects. An owner that is not among them is none.
fn observe(workloads: Vec<Workload>, now: Timestamp, problems: &mut Vec<Problem>) -> Vec<Observation> {
    let mut index = Index::default();
    for workload in &workloads {
        if let Workload::Declared(kind, _) = workload {
            index.apply(KindChange::Started(Kind::declared(kind), kind.clone()), now);
        }
    }
    let mut observations = Vec::new();
    for workload in workloads {
        let change = match workload {
            Workload::Job(job) => KindChange::Job(Change::Listed(job)),
            Workload::Pod(pod) => KindChange::Pod(Change::Listed(pod)),
            Workload::Declared(kind, object) => KindChange::Declared(Kind::declared(&kind), Change::Listed(object)),
        };
        observations.extend(index.apply(change, now));
    }
    observations.extend(index.settle(now));
    for (kind, problem) in index.take_problems() {
        let problem = Problem::new(kind.to_string(), format!("an expression failed, and proves nothing: {problem}"));
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    observations
}

/// Puts an observation where it belongs in the report.
fn tell(observation: &Observation, in_force: &InForce, (moment, secrecy): (Moment, Secrecy), report: &mut Report) {
    let namespace = &observation.subject.namespace;
    // A Workspace is called like its namespace unless it says otherwise.
    let workspace = in_force.workspaces.get(namespace).unwrap_or(namespace);
    let Some(policy) = in_force.policy.namespace(namespace) else {
        report.unmatched.push(observation.event(workspace));
        return;
    };
    let (draft, filter_errors) = draft(observation, policy, moment.lookback());
    let subject = format!("{} {namespace}/{}", observation.subject.kind, observation.subject.name);
    let transition = observation.detected.transition.as_str();
    for (rule, error) in filter_errors {
        let message = format!("the filter failed on {transition} of {subject}: {error}");
        report.problems.push(Problem::new(format!("NoticeRule {namespace}/{rule}"), message));
    }
    match draft {
        Draft::Wanted(notice) => {
            report.notices.push(simulated(*notice, policy, in_force, (observation.observed, secrecy)));
        }
        Draft::Unwanted => report.unmatched.push(observation.event(workspace)),
        Draft::TooOld => {
            let message = format!(
                "{transition} was at {}, more than {} hours before {}, which is too old to be notified; see --now",
                observation.effective,
                LOOKBACK.as_hours(),
                observation.observed
            );
            report.problems.push(Problem::new(subject, message));
            report.unmatched.push(observation.event(workspace));
        }
    }
}

fn simulated(
    notice: Notice,
    policy: &WorkspacePolicy,
    in_force: &InForce,
    (now, secrecy): (Timestamp, Secrecy),
) -> SimulatedNotice {
    let notice = Arc::new(notice);
    let deliveries = notice.spec.deliveries.iter().map(|delivery| SimulatedDelivery {
        target: delivery.target.clone(),
        rules: delivery.rules.clone(),
        requests: requests(&notice, &delivery.target, policy, in_force, (now, secrecy)),
    });
    SimulatedNotice {
        namespace: policy.namespace.clone(),
        name: notice.name_any(),
        event: notice.spec.event.clone(),
        deliveries: deliveries.collect(),
    }
}

/// The requests of one delivery, made as attempts make them: one, or one for each contact and method; none if the target
/// gets nothing.
fn requests(
    notice: &Arc<Notice>,
    target: &str,
    policy: &WorkspacePolicy,
    in_force: &InForce,
    (now, secrecy): (Timestamp, Secrecy),
) -> Vec<ShownRequest> {
    let key = TargetKey::named(&policy.namespace, target);
    let Some(target) = in_force.targets.get(&key) else { return Vec::new() };
    let TargetState::Ready(resolved) = &target.state else { return Vec::new() };
    let legs: Vec<Option<Leg>> =
        if target.legs.is_empty() { vec![None] } else { target.legs.iter().cloned().map(Some).collect() };
    legs.into_iter()
        .filter_map(|leg| {
            let recipient = Recipient { target: key.clone(), leg };
            let destination = (target, resolved.clone());
            let attempt = Attempt::new(std::slice::from_ref(notice), recipient, destination, policy, &in_force.texts)?;
            let channel = attempt.channel()?;
            Some(redact::shown(channel.request(&attempt.envelope(now)), &channel.secrets(), secrecy))
        })
        .collect()
}
