//! `batch/v1` Jobs: training jobs, unless a label says otherwise.
//!
//! Start at [`detect`]. A Job that has ended proves its end and nothing else; one that has not proves what it is doing
//! (`Doing`), and what happened to its Pods on the way.

mod view;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use view::{JobSpec, JobStatus, JobView};

use super::condition::Condition;
use super::pod::{self, PodFacts};
use super::role::Role;
use super::{Detected, Presence, spot};
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Source, Subject, Transition};

/// What the API server sets if `spec.backoffLimit` is left out.
const DEFAULT_BACKOFF_LIMIT: i64 = 6;

/// The source that the Job belongs to: the instance whose image it saves, else what its label names, else a training
/// job. A label value that is not a source is no reason to be silent about the Job.
#[must_use]
pub fn source(job: &JobView) -> Option<Source> {
    match role(job) {
        Role::Job(source) | Role::Pod(source) => Some(source),
        Role::ImageSave => Some(Source::DSWInstance),
    }
}

/// The Job as the subject of an event.
#[must_use]
pub fn subject(job: &JobView) -> Subject {
    job.metadata.subject("batch/v1", "Job")
}

/// Whether the Job's end is decided. Its Pods may be on their way out still.
#[must_use]
pub fn is_finished(job: &JobView) -> bool {
    end(job).is_some()
}

/// Every transition that the state of the Job, and what is known of its Pods, proves.
#[must_use]
pub fn detect(job: &JobView, pods: &[PodFacts], presence: Presence) -> Vec<Detected> {
    let found = match end(job) {
        // A terminal state that is the first thing seen would not prove what went before; so it never does.
        Some(end) => vec![ended(job, pods, end)],
        None => unfinished(job, pods, presence),
    };
    let role = role(job);
    let instance = job.metadata.image_of();
    found
        .into_iter()
        .filter_map(|found| role.tells(found.transition).map(|transition| Detected { transition, ..found }))
        .map(|found| found.with("instance", instance))
        .collect()
}

fn role(job: &JobView) -> Role {
    match job.metadata.image_of() {
        Some(_) => Role::ImageSave,
        None => Role::Job(job.metadata.source().unwrap_or(Source::DLCJob)),
    }
}

/// The decided end of a Job. `decision` is the condition that precedes the other by as long as the Pods need to go.
#[derive(Clone, Copy)]
enum End<'a> {
    Succeeded { decision: Option<&'a Condition>, complete: Option<&'a Condition> },
    Failed { decision: Option<&'a Condition>, failed: Option<&'a Condition> },
}

fn end(job: &JobView) -> Option<End<'_>> {
    let [failed, complete] = ["Failed", "Complete"].map(|kind| job.holding(kind));
    let [to_fail, to_succeed] = ["FailureTarget", "SuccessCriteriaMet"].map(|kind| job.holding(kind));
    let failure = End::Failed { decision: to_fail, failed };
    let success = End::Succeeded { decision: to_succeed, complete };
    // No server sets conditions of both ends; should one, what is final goes before what is only decided.
    match (failed, complete, to_fail, to_succeed) {
        (Some(_), _, _, _) | (None, None, Some(_), _) => Some(failure),
        (None, Some(_), _, _) | (None, None, None, Some(_)) => Some(success),
        (None, None, None, None) => None,
    }
}

/// The one transition of a Job that has ended. It is the same, with the same time, whether it is seen at the decision
/// or when the Pods are gone.
fn ended(job: &JobView, pods: &[PodFacts], end: End<'_>) -> Detected {
    let status = &job.status;
    let found = match end {
        End::Succeeded { decision, complete } => {
            let time = status.completion_time.or_else(|| time(decision)).or_else(|| time(complete));
            let (reason, message) = words(decision.or(complete));
            Detected::new(Transition::Succeeded, "", time).because(reason, message)
        }
        End::Failed { decision, failed } => {
            let (reason, message) = words(failed.or(decision));
            let mut found = Detected::new(Transition::Failed, "", time(decision).or_else(|| time(failed)))
                .because(reason, message)
                .with("failedIndexes", status.failed_indexes.as_deref().filter(|indexes| !indexes.is_empty()));
            if reason == "DeadlineExceeded" {
                found.cause = Cause::Deadline;
                found = found.with("activeDeadlineSeconds", job.spec.active_deadline_seconds);
            }
            // A Job that restarts containers in place removes the Pod at the end, and only its restarts are known.
            match pod::latest_loss(pods).or_else(|| pod::latest_restart(pods)) {
                Some(loss) => loss.tell(found),
                None => found,
            }
        }
    };
    let time = found.time;
    found
        .with_span(status.start_time, time)
        .with("succeeded", Some(status.succeeded))
        .with("failed", Some(status.failed))
}

fn time(condition: Option<&Condition>) -> Option<Timestamp> {
    condition.and_then(|condition| condition.time)
}

fn words(condition: Option<&Condition>) -> (&str, &str) {
    condition.map_or(("", ""), |condition| (&*condition.reason, &*condition.message))
}

/// What a Job that has not ended is doing.
enum Doing<'a> {
    /// Suspended by hand, after it had been taken up.
    Suspended(&'a Condition),
    /// Deleted, or on its way to it.
    Removed,
    /// Suspended by Kueue after it had been taken up: it waits again.
    WaitingAgain(&'a Condition),
    /// Not running, and nothing shows that it ever did.
    Waiting,
    /// At least one Pod is ready.
    Running,
    /// No Pod is ready, but one was: they are being replaced, or brought back after a suspension.
    Recovering,
}

fn unfinished(job: &JobView, pods: &[PodFacts], presence: Presence) -> Vec<Detected> {
    let reclaimed = || job.spec.asks_for_spot.then(|| spot::reclaimed(pods)).into_iter().flatten();
    let preemptions = || pod::preemptions(pods).into_iter().chain(reclaimed());
    let on_the_way = || lost_pods(job, pods).into_iter().chain(pod::restarted(pods)).chain(preemptions());
    let bidding = || spot::bidding(pods).filter(|_| job.spec.asks_for_spot);
    match doing(job, pods, presence) {
        Doing::Suspended(condition) => on_the_way().chain([suspended(Transition::Stopped, condition)]).collect(),
        Doing::WaitingAgain(condition) => on_the_way().chain([suspended(Transition::Queued, condition)]).collect(),
        Doing::Removed => vec![removed(job, presence)],
        Doing::Waiting => [waiting(job)].into_iter().chain(bidding()).chain(on_the_way()).collect(),
        Doing::Running => [running(job, pods)].into_iter().chain(on_the_way()).collect(),
        Doing::Recovering => on_the_way().collect(),
    }
}

fn doing<'a>(job: &'a JobView, pods: &[PodFacts], presence: Presence) -> Doing<'a> {
    let status = &job.status;
    let has_run = has_run(job, pods);
    let by_kueue = job.metadata.is_queued_by_kueue();
    match job.holding("Suspended") {
        // Deleting what was stopped by hand does not stop it a second time.
        Some(condition) if (has_run || status.start_time.is_some()) && !by_kueue => Doing::Suspended(condition),
        _ if presence != Presence::Present || job.metadata.deletion.is_some() => Doing::Removed,
        // Kueue takes startTime away when it suspends a Job, and the Job controller counts no Pod as failed for it:
        // then only the Pods tell that it ran.
        Some(condition) if has_run || status.start_time.is_some() => Doing::WaitingAgain(condition),
        None if is_running(job, pods) => Doing::Running,
        None if has_run => Doing::Recovering,
        Some(_) | None => Doing::Waiting,
    }
}

/// Whether anything shows that a Pod of the Job did run.
fn has_run(job: &JobView, pods: &[PodFacts]) -> bool {
    let status = &job.status;
    status.ready.is_some_and(|ready| ready > 0)
        || status.succeeded > 0
        || status.failed > 0
        || pods.iter().any(|pod| pod.ready.is_some() || pod.restarts.is_some())
}

fn is_running(job: &JobView, pods: &[PodFacts]) -> bool {
    // Servers before 1.24 leave `ready` out, and every server does until its first look at the Job. A Pod may be ready
    // before that; then the start is not known yet, which the run is told apart by.
    let by_pods = || job.status.start_time.is_some() && first_ready(job, pods).is_some();
    job.status.ready.map_or_else(by_pods, |ready| ready > 0)
}

/// When the first Pod of the present run was ready. Pods from before a suspension are of an earlier run.
fn first_ready(job: &JobView, pods: &[PodFacts]) -> Option<Timestamp> {
    let start = job.status.start_time;
    pods.iter().filter_map(|pod| pod.ready).filter(|ready| start.is_none_or(|start| *ready >= start)).min()
}

fn waiting(job: &JobView) -> Detected {
    // The same before and after the controller has written its condition.
    let (reason, message) = match job.spec.suspend {
        Some(true) => ("JobSuspended", "the job was created suspended, and waits to be let run"),
        _ => ("", ""),
    };
    Detected::new(Transition::Queued, "", job.metadata.creation)
        .because(reason, message)
        .with("active", Some(job.status.active).filter(|active| *active > 0))
        .with("parallelism", job.spec.parallelism)
        .with("completions", job.spec.completions)
}

/// A suspension after a run: each has its own time.
fn suspended(transition: Transition, condition: &Condition) -> Detected {
    let occurrence = condition.time.map_or_else(|| "suspended".to_owned(), |time| time.to_string());
    let message = match transition {
        Transition::Queued => "the job was suspended by Kueue and waits to be admitted again",
        _ => "the job was suspended before it had finished",
    };
    Detected::new(transition, occurrence, condition.time).because("JobSuspended", message)
}

fn removed(job: &JobView, presence: Presence) -> Detected {
    let time = job.metadata.deletion_request();
    let found = Detected::new(Transition::Stopped, "deleted", time).with_span(job.status.start_time, time);
    if presence == Presence::Gone && time.is_none() {
        // It may as well have finished and been cleaned up: what is not known is not said.
        return found.because("Gone", "gone; the cause was not observed");
    }
    found.because("JobDeleted", "the job was deleted before it had finished")
}

fn running(job: &JobView, pods: &[PodFacts]) -> Detected {
    let start = job.status.start_time;
    // The start is reset whenever a suspended Job is resumed: each resumption is a run of its own.
    let occurrence = start.map(|start| start.to_string()).unwrap_or_default();
    Detected::new(Transition::Running, occurrence, first_ready(job, pods))
        .with_span(start, None)
        .with("ready", job.status.ready)
        .with("parallelism", job.spec.parallelism)
        .with("completions", job.spec.completions)
}

/// That Pods have failed, or were lost with their node, while the Job goes on.
fn lost_pods(job: &JobView, pods: &[PodFacts]) -> Option<Detected> {
    let failed = job.status.failed;
    // Preempted Pods count as failed too, and are told as what they are.
    let is_reclaimed = |pod: &PodFacts| job.spec.asks_for_spot && pod.disruption.is_some();
    let preempted = pods.iter().filter(|pod| pod.preempted.is_some() || is_reclaimed(pod)).count();
    if failed <= i64::try_from(preempted).unwrap_or(i64::MAX) || is_about_to_fail(job) {
        return None;
    }
    let loss = pod::latest_loss(pods);
    let message = match failed {
        1 => "a pod was lost; the job goes on".to_owned(),
        _ => format!("{failed} pods were lost so far; the job goes on"),
    };
    let found = Detected::new(Transition::FaultTolerance, format!("failed:{failed}"), loss.and_then(|loss| loss.time))
        .because(loss.map_or("", |loss| loss.reason), message)
        .with("restarts", Some(failed));
    Some(match loss {
        Some(loss) => loss.tell(found),
        None => found,
    })
}

/// Whether more Pods have failed than may: the condition that says so follows with the next write.
fn is_about_to_fail(job: &JobView) -> bool {
    let spec = &job.spec;
    let every_failure_counts = spec.pod_failure_policy.is_none() && spec.backoff_limit_per_index.is_none();
    every_failure_counts && job.status.failed > spec.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT)
}
