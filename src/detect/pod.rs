//! Pods: subjects of their own by label, and the detail of the Jobs that own them.
//!
//! Start at [`detect`] for a Pod that is a subject, and at [`facts`] for what a Job needs to know of its Pods.

mod facts;
mod view;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use facts::{Disruption, Exit, PodFacts, Restarts, facts, latest_loss, latest_restart, preemptions, restarted};
pub use view::{Container, ContainerState, Phase, PodSpec, PodStatus, PodView, Running, Terminated};

use super::condition::{Condition, holding};
use super::role::Role;
use super::{Detected, Presence};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Subject, Transition};

/// Reason of a disruption in favour of a Pod of higher priority.
const PREEMPTION: &str = "PreemptionByScheduler";

/// The source that the Pod's label names. Without it a Pod is no subject.
#[must_use]
pub fn source(pod: &PodView) -> Option<Source> {
    pod.metadata.source()
}

/// The Pod as the subject of an event.
#[must_use]
pub fn subject(pod: &PodView) -> Subject {
    pod.metadata.subject("v1", "Pod")
}

/// Whether all containers have ended for good.
#[must_use]
pub fn is_finished(pod: &PodView) -> bool {
    matches!(pod.status.phase, Phase::Succeeded | Phase::Failed)
}

/// Every transition that the Pod's state proves; none for a Pod that is no subject.
#[must_use]
pub fn detect(pod: &PodView, presence: Presence) -> Vec<Detected> {
    let Some(source) = source(pod) else { return Vec::new() };
    let found = match ending(pod, presence) {
        Some(ending) => vec![ended(pod, ending)],
        None => alive(pod).into_iter().chain(restarted(&[facts(pod)])).collect(),
    };
    let role = Role::Pod(source);
    found
        .into_iter()
        .filter_map(|found| role.tells(found.transition).map(|transition| Detected { transition, ..found }))
        .collect()
}

/// How a Pod ended, or is ending.
#[derive(Clone, Copy)]
enum Ending<'a> {
    /// All containers ended well.
    Succeeded,
    /// A container failed, or the kubelet gave the Pod up.
    Failed,
    /// It was deleted for a reason that a condition announced beforehand.
    Disrupted(&'a Condition),
    /// It was asked to stop.
    Stopping,
    /// It stopped because it was asked to.
    Stopped,
    /// It is gone, and nothing was seen of how.
    Gone,
}

fn ending(pod: &PodView, presence: Presence) -> Option<Ending<'_>> {
    if ended_by_itself(pod) {
        return Some(if pod.status.phase == Phase::Succeeded { Ending::Succeeded } else { Ending::Failed });
    }
    let deleted = pod.metadata.deletion.is_some();
    if !deleted && presence == Presence::Present {
        // A disruption that is only announced proves nothing: the Pod may yet finish.
        return None;
    }
    Some(match disruption(pod) {
        Some(condition) => Ending::Disrupted(condition),
        None if presence == Presence::Deleted || is_finished(pod) => Ending::Stopped,
        None if presence == Presence::Gone && !deleted => Ending::Gone,
        None if presence == Presence::Gone => Ending::Stopped,
        None => Ending::Stopping,
    })
}

/// Whether the Pod's end was its own. A Pod that is being deleted passes through Failed or Succeeded on its way out,
/// which says nothing about its work; only if it had ended before the second of the request, it ended by itself (a
/// finalizer, such as Kueue's, keeps such a Pod visible).
fn ended_by_itself(pod: &PodView) -> bool {
    is_finished(pod)
        && match pod.metadata.deletion_request() {
            None => true,
            Some(request) => pod.finished().is_some_and(|finished| finished.as_second() < request.as_second()),
        }
}

/// What announced that the Pod has to go: Kubernetes' condition, or Kueue's for the Pods that it manages.
fn disruption(pod: &PodView) -> Option<&Condition> {
    let conditions = &pod.status.conditions;
    holding(conditions, "DisruptionTarget").or_else(|| holding(conditions, "TerminationTarget"))
}

/// The transition of an ending. A Pod ends once, so there is no occurrence to tell apart, and the deletion of a Pod
/// that was already told as stopped tells nothing new.
fn ended(pod: &PodView, ending: Ending<'_>) -> Detected {
    let status = &pod.status;
    let found = |transition, time| Detected::new(transition, "", time);
    let end = match ending {
        Ending::Succeeded => found(Transition::Succeeded, pod.finished()).because(&*status.reason, &*status.message),
        Ending::Failed => failed(pod),
        Ending::Disrupted(condition) => {
            let preempted = &*condition.reason == PREEMPTION;
            found(if preempted { Transition::Preempted } else { Transition::Failed }, condition.time)
                .because(&*condition.reason, &*condition.message)
        }
        Ending::Stopping => found(Transition::Stopping, pod.metadata.deletion_request())
            .because("PodDeleted", "the Pod was asked to stop by its deletion"),
        Ending::Stopped => found(Transition::Stopped, pod.finished())
            .because("PodDeleted", "the Pod was deleted before it had finished"),
        Ending::Gone => found(Transition::Stopped, None).because("Gone", "gone; the cause was not observed"),
    };
    let time = end.time;
    end.with_span(status.start, time).with("node", pod.node())
}

fn failed(pod: &PodView) -> Detected {
    let status = &pod.status;
    let disruption = disruption(pod);
    let exit = pod.failed_container();
    // The kubelet's word for the whole Pod (Evicted) is the cause; a container's exit may only be its consequence.
    let reason = [
        &*status.reason,
        exit.map_or("", |(_, exit)| &*exit.reason),
        disruption.map_or("", |condition| &*condition.reason),
    ];
    let message = [
        &*status.message,
        exit.map_or("", |(_, exit)| &*exit.message),
        disruption.map_or("", |condition| &*condition.message),
    ];
    let time = pod.finished().or_else(|| disruption.and_then(|condition| condition.time));
    let mut found = Detected::new(Transition::Failed, "", time)
        .because(first(reason), first(message))
        .with("container", exit.map(|(container, _)| &*container.name))
        .with("exitCode", exit.and_then(|(_, exit)| exit.exit_code))
        .with("podReason", exit.map(|(_, exit)| &*exit.reason).filter(|reason| !reason.is_empty()));
    if &*status.reason == "DeadlineExceeded" {
        found.cause = Cause::Deadline;
    }
    found
}

/// The first of them that is not empty, or an empty one.
fn first<const N: usize>(texts: [&str; N]) -> &str {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// What a Pod that is not ending shows at present. What it may have been before is not made up.
fn alive(pod: &PodView) -> Option<Detected> {
    let scheduled = holding(&pod.status.conditions, "PodScheduled");
    match (pod.status.phase, scheduled) {
        (Phase::Pending, None) => {
            let waiting = pod.status.conditions.iter().find(|condition| &*condition.kind == "PodScheduled");
            let (reason, message) = waiting.map_or(("", ""), |condition| (&*condition.reason, &*condition.message));
            Some(Detected::new(Transition::Queued, "", pod.metadata.creation).because(reason, message))
        }
        (Phase::Pending, Some(scheduled)) => {
            Some(Detected::new(Transition::Creating, "", scheduled.time).with("node", pod.node()))
        }
        (Phase::Running, _) => {
            let ready = holding(&pod.status.conditions, "Ready")?;
            let time: Option<Timestamp> = ready.time.or_else(|| pod.started());
            let found = Detected::new(Transition::Running, "", time);
            Some(found.with_span(pod.status.start, None).with("node", pod.node()))
        }
        (Phase::Succeeded | Phase::Failed | Phase::Other, _) => None,
    }
}
