//! What the objects below a subject add to it: its Pods, and what objects of other kinds lend.
//!
//! One run can be a `TrainJob` over a `JobSet` over Jobs over Pods, with a Kueue `Workload` beside them. Only the
//! topmost is told about; what happens further down is told of it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::detect::job::{self, JobView};
use crate::detect::pod::{self, PodFacts};
use crate::detect::{Detected, Presence, spot};
use crate::lifecycle::Transition;
use crate::lifecycle::event_type::Cause;

/// Kind of Kueue's queue entries.
const WORKLOAD: &str = "Workload";

/// All that is known of the objects below a subject, however deep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Below<'a> {
    /// Its Pods.
    pub pods: &'a [PodFacts],
    /// What the others lend: see [`super::Kind::lend`] and [`Lent::of_job`].
    pub lent: &'a [Lent],
}

/// What one object adds to the subject above it. Small enough to be kept in place of the object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lent {
    /// Its kind.
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What its state proves about the subject, as long as the subject has not ended.
    pub found: Vec<Detected>,
    /// Ends of tasks of the subject, each with its name in `data.task`.
    pub tasks: Vec<Detected>,
    /// Whether it failed because a deadline passed.
    pub timed_out: bool,
}

impl Lent {
    /// What a `batch/v1` Job lends to the job that it is a part of: the Pods that it lost and replaced, and whether it
    /// timed out. `pods` are its own; what else they show, the subject sees itself.
    #[must_use]
    pub fn of_job(job: &JobView, pods: &[PodFacts]) -> Self {
        let found = job::detect(job, pods, Presence::Present);
        let timed_out = found.iter().any(|it| it.transition == Transition::Failed && it.cause == Cause::Deadline);
        let is_own =
            |it: &Detected| it.transition == Transition::FaultTolerance && it.occurrence.starts_with("failed:");
        Self {
            kind: "Job".into(),
            name: job.metadata.name.clone(),
            found: found.into_iter().filter(is_own).collect(),
            tasks: Vec::new(),
            timed_out,
        }
    }

    fn label(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

impl Below<'_> {
    /// Whether Kueue has a queue entry for the subject.
    pub(super) fn is_queued_by_kueue(&self) -> bool {
        self.lent.iter().any(|lent| &*lent.kind == WORKLOAD)
    }
}

/// What Pods add to a subject that has not ended. `asks_for_spot`: whether all of its Pods want nodes that can be taken
/// away.
pub(super) fn of_pods(pods: &[PodFacts], wanted: &[Transition], asks_for_spot: bool) -> Vec<Detected> {
    let mut found = Vec::new();
    if wanted.contains(&Transition::BiddingStarted) && asks_for_spot {
        found.extend(spot::bidding(pods));
    }
    if wanted.contains(&Transition::FaultTolerance) {
        found.extend(pod::restarted(pods));
    }
    if wanted.contains(&Transition::Preempted) {
        found.extend(pod::preemptions(pods));
        if asks_for_spot {
            found.extend(spot::reclaimed(pods));
        }
    }
    found
}

/// Puts together what a subject proves by itself and what is lent to it. `finished`: whether its own end is decided.
///
/// Works for every subject, those of [`job::detect`] included. What is lent to a subject that has ended only says why;
/// and a queue entry that was given up says more than that the subject waits.
#[must_use]
pub fn combine(found: Vec<Detected>, finished: bool, below: &Below<'_>) -> Vec<Detected> {
    let mut found = combine_details(found, finished, below);
    for lender in below.lent {
        found.extend(lender.tasks.iter().map(|task| lend(lender, task)));
    }
    // Two may see the same, such as the wait for capacity. The first knows it from closer by.
    let mut seen = BTreeSet::new();
    found.retain(|it| seen.insert((it.transition, it.occurrence.clone())));
    found
}

fn combine_details(mut found: Vec<Detected>, finished: bool, below: &Below<'_>) -> Vec<Detected> {
    let Below { pods, lent } = *below;
    if finished {
        for it in found.iter_mut().filter(|it| it.transition == Transition::Failed) {
            // A job that failed once and was started anew is no cause: the message names the one that is.
            let culprit = lent.iter().find(|lent| lent.timed_out && names(&it.message, &lent.name));
            if let Some(culprit) = culprit {
                it.cause = Cause::Deadline;
                it.data.insert("from".to_owned(), culprit.label().into());
            }
        }
        return found;
    }
    let ends = |it: &Detected| matches!(it.transition, Transition::Stopped | Transition::Failed);
    if found.iter().any(ends) {
        return found;
    }
    if lent.iter().flat_map(|lent| &lent.found).any(ends) {
        found.retain(|it| it.transition != Transition::Queued);
    }
    for lender in lent {
        for it in &lender.found {
            if it.transition == Transition::Queued {
                explain_wait(&mut found, it);
            } else {
                found.push(with_loss(lend(lender, it), pods));
            }
        }
    }
    found
}

fn names(message: &str, name: &str) -> bool {
    !name.is_empty() && message.contains(name)
}

/// A subject waits once, whoever says so; the queue only knows better why.
fn explain_wait(found: &mut [Detected], queue: &Detected) {
    for it in found.iter_mut().filter(|it| it.transition == Transition::Queued) {
        if !queue.reason.is_empty() {
            it.reason.clone_from(&queue.reason);
        }
        if !queue.message.is_empty() {
            it.message.clone_from(&queue.message);
        }
        it.data.extend(queue.data.clone());
    }
}

/// What the Pods know of a loss that the subject survived, as far as the one that tells of it does not.
pub(super) fn with_loss(mut it: Detected, pods: &[PodFacts]) -> Detected {
    if it.transition != Transition::FaultTolerance || it.data.contains_key("pod") {
        return it;
    }
    let Some(loss) = pod::latest_loss(pods) else { return it };
    it.time = it.time.or(loss.time);
    loss.tell(it)
}

fn lend(lender: &Lent, it: &Detected) -> Detected {
    let mut it = it.clone().with("from", Some(lender.label()));
    // Two of a kind below one subject count each for themselves. A wait for capacity is one, whoever sees it.
    if it.transition != Transition::BiddingStarted || !it.occurrence.is_empty() {
        it.occurrence = format!("{}:{}", lender.name, it.occurrence);
    }
    it
}

/// When the first of these Pods was ready; `None` if none was.
pub(super) fn first_ready(pods: &[PodFacts], since: Option<Timestamp>) -> Option<Timestamp> {
    pods.iter().filter_map(|pod| pod.ready).filter(|ready| since.is_none_or(|since| *ready >= since)).min()
}
