//! What a Job needs to know of one of its Pods, also after the Pod is gone.
//!
//! The Pods of all Jobs are in memory in this form only, so it is small, and what most Pods never have is behind a
//! pointer. Facts are never unlearned: see [`PodFacts::merge`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::view::PodView;
use super::{PREEMPTION, Phase, disruption, ended_by_itself};
use crate::detect::condition::{Condition, Status, holding};
use crate::detect::{Detected, minute};
use crate::lifecycle::Transition;

/// The facts about one Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Name.
    pub name: Box<str>,
    /// Node.
    pub node: Option<Box<str>>,
    /// When it first was ready.
    pub ready: Option<Timestamp>,
    /// Since when the scheduler finds no node for it, while that is so.
    pub unschedulable: Option<Box<Timestamp>>,
    /// Its containers' restarts, if there were any.
    pub restarts: Option<Box<Restarts>>,
    /// How it failed, if it did so by itself.
    pub failure: Option<Box<Exit>>,
    /// That the scheduler took its place away for a Pod of higher priority.
    pub preempted: Option<Box<Disruption>>,
    /// That it had to go for another reason: a drained or lost node, memory pressure, ...
    pub disruption: Option<Box<Disruption>>,
}

/// How often the containers of a Pod were started again, and the end before the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Over all containers.
    pub count: i64,
    /// The latest end that led to a restart.
    pub last: Exit,
}

/// The end of a container, or of a Pod that ended without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Container.
    pub container: Option<Box<str>>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// `OOMKilled`, `Error`, `Evicted`, ...; may be empty.
    pub reason: Box<str>,
    /// Last words; may be empty.
    pub message: Box<str>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// That a Pod had to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disruption {
    /// `PreemptionByScheduler`, `DeletionByTaintManager`, ...
    pub reason: Box<str>,
    /// One sentence; may be empty.
    pub message: Box<str>,
    /// When that was decided.
    pub time: Option<Timestamp>,
}

/// The facts that the Pod's present state shows.
#[must_use]
pub fn facts(pod: &PodView) -> PodFacts {
    let disrupted = disruption(pod)
        .filter(|_| pod.status.phase != Phase::Succeeded)
        .map(|condition| Box::new(disruption_of(condition)));
    let (preempted, disruption) = match disrupted {
        Some(disruption) if &*disruption.reason == PREEMPTION => (Some(disruption), None),
        other => (None, other),
    };
    PodFacts {
        name: pod.metadata.name.clone(),
        node: pod.node().map(Into::into),
        ready: holding(&pod.status.conditions, "Ready").and_then(|ready| ready.time),
        unschedulable: unschedulable(pod),
        restarts: restarts(pod),
        failure: (pod.status.phase == Phase::Failed && ended_by_itself(pod)).then(|| Box::new(failure(pod))),
        preempted,
        disruption,
    }
}

impl PodFacts {
    /// Adds what a newer state of the same Pod shows. What was once known stays known (a preemption, though the reason
    /// may be overwritten on the way out), and keeps the time under which it was told.
    pub fn merge(&mut self, newer: Self) {
        let Self { name, node, ready, unschedulable, restarts, failure, preempted, disruption } = newer;
        if !name.is_empty() {
            self.name = name;
        }
        self.node = node.or(self.node.take());
        self.ready = self.ready.into_iter().chain(ready).min();
        // The one fact that is about the present only.
        self.unschedulable = unschedulable;
        let known = self.restarts.as_ref().map_or(0, |restarts| restarts.count);
        if restarts.as_ref().is_some_and(|restarts| restarts.count >= known) {
            self.restarts = restarts;
        }
        self.failure = failure.or(self.failure.take());
        self.preempted = self.preempted.take().or(preempted);
        self.disruption = self.disruption.take().or(disruption);
    }

    /// How the Pod was lost to its Job other than by preemption: its own failure, else a disruption.
    fn loss(&self) -> Option<Loss<'_>> {
        let failure = self.failure.as_deref().map(|exit| Loss::of(self, exit));
        failure.or_else(|| {
            let disruption = self.disruption.as_deref()?;
            Some(Loss {
                pod: self,
                container: None,
                exit_code: None,
                reason: &disruption.reason,
                message: &disruption.message,
                time: disruption.time,
            })
        })
    }
}

/// One Pod or container that was lost, as the detail of an event.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    pod: &'a PodFacts,
    container: Option<&'a str>,
    exit_code: Option<i64>,
    /// May be empty.
    pub reason: &'a str,
    /// May be empty.
    pub message: &'a str,
    /// When.
    pub time: Option<Timestamp>,
}

impl<'a> Loss<'a> {
    fn of(pod: &'a PodFacts, exit: &'a Exit) -> Self {
        Self {
            pod,
            container: exit.container.as_deref(),
            exit_code: exit.exit_code,
            reason: &exit.reason,
            message: &exit.message,
            time: exit.finished_at,
        }
    }

    /// Adds the detail to an event.
    #[must_use]
    pub fn tell(self, found: Detected) -> Detected {
        found
            .with("pod", Some(&*self.pod.name))
            .with("node", self.pod.node.as_deref())
            .with("container", self.container)
            .with("exitCode", self.exit_code)
            .with("podReason", Some(self.reason).filter(|reason| !reason.is_empty()))
    }
}

/// The Pod that was lost last, other than by preemption.
#[must_use]
pub fn latest_loss(pods: &[PodFacts]) -> Option<Loss<'_>> {
    pods.iter().filter_map(PodFacts::loss).max_by_key(|loss| (loss.time, &*loss.pod.name))
}

/// The container that was restarted last.
#[must_use]
pub fn latest_restart(pods: &[PodFacts]) -> Option<Loss<'_>> {
    let restarts = pods.iter().filter_map(|pod| pod.restarts.as_deref().map(|restarts| (pod, restarts)));
    let latest = restarts.max_by_key(|(pod, restarts)| (restarts.last.finished_at, restarts.count, &*pod.name));
    latest.map(|(pod, restarts)| Loss::of(pod, &restarts.last))
}

/// That containers were started again inside their Pods. Workers that fall together, as the workers of one training
/// run do, are one occurrence.
#[must_use]
pub fn restarted(pods: &[PodFacts]) -> Option<Detected> {
    let latest = latest_restart(pods)?;
    let counts = || pods.iter().filter_map(|pod| pod.restarts.as_ref()).map(|restarts| restarts.count);
    let sum = counts().fold(0, i64::saturating_add);
    let occurrence = latest.time.map_or_else(
        || format!("restarts:{}:{}", latest.pod.name, latest.pod.restarts.as_ref().map_or(0, |own| own.count)),
        |time| format!("restarts@{}", minute(time)),
    );
    let message = match sum {
        1 => "a container was restarted; the job goes on".to_owned(),
        _ => format!("containers were restarted {sum} times so far; the job goes on"),
    };
    let found = Detected::new(Transition::FaultTolerance, occurrence, latest.time).because(latest.reason, message);
    Some(latest.tell(found.with("restarts", Some(sum))))
}

/// The preemptions of Pods. Several within a minute are one.
#[must_use]
pub fn preemptions(pods: &[PodFacts]) -> Vec<Detected> {
    let mut occurrences: BTreeMap<String, Vec<(&PodFacts, &Disruption)>> = BTreeMap::new();
    for pod in pods {
        if let Some(preemption) = pod.preempted.as_deref() {
            let occurrence = preemption
                .time
                .map_or_else(|| format!("preempted:{}", pod.name), |time| format!("preempted@{}", minute(time)));
            occurrences.entry(occurrence).or_default().push((pod, preemption));
        }
    }
    occurrences
        .into_iter()
        .filter_map(|(occurrence, lost)| {
            let (pod, preemption) = lost.iter().min_by_key(|(pod, preemption)| (preemption.time, &*pod.name))?;
            let found = Detected::new(Transition::Preempted, occurrence, preemption.time)
                .because(&*preemption.reason, &*preemption.message)
                .with("pod", Some(&*pod.name))
                .with("node", pod.node.as_deref())
                .with("pods", Some(lost.len()));
            Some(found)
        })
        .collect()
}

fn unschedulable(pod: &PodView) -> Option<Box<Timestamp>> {
    let scheduled = pod.status.conditions.iter().find(|condition| &*condition.kind == "PodScheduled")?;
    let is_waiting = pod.status.phase == Phase::Pending && pod.metadata.deletion.is_none();
    let finds_none = scheduled.status == Status::False && &*scheduled.reason == "Unschedulable";
    scheduled.time.filter(|_| is_waiting && finds_none).map(Box::new)
}

fn disruption_of(condition: &Condition) -> Disruption {
    let Condition { kind: _, status: _, reason, message, time } = condition;
    Disruption { reason: reason.clone(), message: message.clone(), time: *time }
}

fn restarts(pod: &PodView) -> Option<Box<Restarts>> {
    let restarted = || pod.status.containers.iter().filter(|container| container.restart_count > 0);
    let last = restarted().max_by_key(|container| container.last_state.terminated.as_ref().map(|e| e.finished_at))?;
    let exit = last.last_state.terminated.as_ref();
    Some(Box::new(Restarts {
        count: restarted().map(|container| container.restart_count).fold(0, i64::saturating_add),
        last: Exit {
            container: Some(last.name.clone()),
            exit_code: exit.and_then(|exit| exit.exit_code),
            reason: exit.map(|exit| exit.reason.clone()).unwrap_or_default(),
            message: exit.map(|exit| exit.message.clone()).unwrap_or_default(),
            finished_at: exit.and_then(|exit| exit.finished_at),
        },
    }))
}

fn failure(pod: &PodView) -> Exit {
    let failed = pod.failed_container();
    let own = failed.map(|(_, exit)| exit);
    let or_pods =
        |own: Option<&Box<str>>, pods: &str| own.filter(|text| !text.is_empty()).map_or(pods.into(), Clone::clone);
    Exit {
        container: failed.map(|(container, _)| container.name.clone()),
        exit_code: own.and_then(|exit| exit.exit_code),
        reason: or_pods(own.map(|exit| &exit.reason), &pod.status.reason),
        message: or_pods(own.map(|exit| &exit.message), &pod.status.message),
        finished_at: pod.finished().or_else(|| disruption(pod).and_then(|condition| condition.time)),
    }
}
