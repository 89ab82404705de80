//! The index: what detection needs to know of every object, and which transitions were told already.
//!
//! Pure: changes in, observations out; the time is an argument. An object's state proves transitions
//! ([`crate::detect`]); each is told once per life of this process. That a restart does not tell them again is the
//! checkpoint's and the Notices' names' doing.
//!
//! The time that counts for a rule's `activeSince` ([`Observation::effective`]) depends on how a change became known:
//! what was seen live happened about now, however wrong the clock that wrote it (up to [`CLOCK_TOLERANCE`]); what a list
//! shows without a time may be old, so that it counts as having happened when the object was created.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::{SignedDuration, Timestamp};

use super::observation::{Kind, Observation, Place};
use super::stream::{Change, Freshness, Watched};
use crate::detect::job::{self, JobView};
use crate::detect::meta::Meta;
use crate::detect::pod::{self, PodFacts, PodView};
use crate::detect::{Detected, Presence};
use crate::lifecycle::{Source, Subject, Transition};

/// How far the clock that wrote an event's time may be behind before a live event could be taken for an old one.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Detectors mark a burst (many workers at once) by its minute; two marks closer than this are one burst.
const BURST: SignedDuration = SignedDuration::from_secs(60);

impl Watched for JobView {
    fn revision(&self) -> u64 {
        self.metadata.revision()
    }
}

impl Watched for PodView {
    fn revision(&self) -> u64 {
        self.metadata.revision()
    }
}

/// A change of one of the watched kinds.
#[derive(Clone, Debug)]
pub enum KindChange {
    /// Of a Job.
    Job(Change<JobView>),
    /// Of a Pod.
    Pod(Change<PodView>),
}

/// How an object's state became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// By a change.
    Changed(Freshness),
    /// By a list, with no checkpoint that vouches for what was before.
    Listed,
    /// By a list, and dealt with before.
    Baseline,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Index {
    jobs: HashMap<Box<str>, Entry<JobView>>,
    pods: HashMap<Box<str>, Entry<PodView>>,
    /// Facts about the Pods of each unfinished Job, by the Job's uid and the Pod's.
    facts: HashMap<Box<str>, HashMap<Box<str>, PodFacts>>,
    job_list: Option<Listing>,
    pod_list: Option<Listing>,
}

/// A list that is being read.
#[derive(Debug)]
struct Listing {
    since: Option<u64>,
    uids: HashSet<Box<str>>,
}

#[derive(Debug)]
struct Entry<V> {
    view: V,
    told: Told,
}

/// Which transitions of one object were told.
#[derive(Debug, Default)]
struct Told {
    marks: Vec<u64>,
    bursts: Vec<(Transition, Timestamp)>,
}

impl Told {
    /// Whether this is new; remembers it.
    fn first_time(&mut self, detected: &Detected) -> bool {
        let mut hasher = DefaultHasher::new();
        (detected.transition, &detected.occurrence).hash(&mut hasher);
        let mark = hasher.finish();
        if self.marks.contains(&mark) {
            return false;
        }
        self.marks.push(mark);
        !self.continues_burst(detected)
    }

    fn continues_burst(&mut self, detected: &Detected) -> bool {
        let Some(time) = detected.time.filter(|_| detected.occurrence.contains('@')) else { return false };
        let known = self.bursts.iter_mut().find(|(transition, _)| *transition == detected.transition);
        let Some((_, last)) = known else {
            self.bursts.push((detected.transition, time));
            return false;
        };
        let continues = time.duration_since(*last).abs() < BURST;
        *last = time.max(*last);
        continues
    }
}

impl Index {
    /// Takes in a change and returns what it proves for the first time.
    pub fn apply(&mut self, change: KindChange, now: Timestamp) -> Vec<Observation> {
        match change {
            KindChange::Job(change) => self.job_change(change, now),
            KindChange::Pod(change) => self.pod_change(change, now),
        }
    }

    /// How many objects are held: subjects, and Jobs whose Pods are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len() + self.pods.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.pods.is_empty()
    }

    fn job_change(&mut self, change: Change<JobView>, now: Timestamp) -> Vec<Observation> {
        match change {
            Change::ListStarted { since } => {
                self.job_list = Some(Listing { since, uids: HashSet::new() });
                Vec::new()
            }
            Change::Listed(view) => match known_by(self.job_list.as_mut(), &view.metadata) {
                Some(known) => self.job_applied(view, known, now),
                None => Vec::new(),
            },
            Change::ListEnded { revision } => {
                let Some(list) = self.job_list.take() else { return Vec::new() };
                let gone: Vec<_> = self.jobs.keys().filter(|uid| !list.uids.contains(*uid)).cloned().collect();
                gone.iter().flat_map(|uid| self.job_gone(uid, Presence::Gone, None, revision, now)).collect()
            }
            Change::Applied(view, freshness) => self.job_applied(view, Known::Changed(freshness), now),
            Change::Deleted(view, freshness) => {
                let (uid, revision) = (view.metadata.uid.clone(), view.revision());
                // The last state may prove an end that no earlier change told.
                self.remember_job(view);
                self.job_gone(&uid, Presence::Deleted, Some(freshness), revision, now)
            }
            Change::Progress(_) => Vec::new(),
        }
    }

    fn job_applied(&mut self, view: JobView, known: Known, now: Timestamp) -> Vec<Observation> {
        let uid: Box<str> = view.metadata.uid.clone();
        let revision = view.revision();
        if self.jobs.get(&uid).is_some_and(|entry| entry.view.revision() > revision) {
            return Vec::new();
        }
        let finished = job::is_finished(&view);
        self.remember_job(view);
        let observations = self.look_at_job(&uid, Kind::Job, revision, known, now);
        if finished {
            self.facts.remove(&uid);
        }
        observations
    }

    fn remember_job(&mut self, view: JobView) {
        match self.jobs.get_mut(&view.metadata.uid) {
            Some(entry) => entry.view = view,
            None => {
                self.jobs.insert(view.metadata.uid.clone(), Entry { view, told: Told::default() });
            }
        }
    }

    fn look_at_job(&mut self, uid: &str, kind: Kind, revision: u64, known: Known, now: Timestamp) -> Vec<Observation> {
        let Some(entry) = self.jobs.get_mut(uid) else { return Vec::new() };
        let facts: Vec<PodFacts> = self.facts.get(uid).map(|pods| pods.values().cloned().collect()).unwrap_or_default();
        let detected = job::detect(&entry.view, &facts, Presence::Present);
        let seen = Seen { kind, revision, known, now, created: entry.view.metadata.creation };
        tell(&mut entry.told, detected, job::source(&entry.view), || job::subject(&entry.view), seen)
    }

    fn job_gone(
        &mut self,
        uid: &str,
        presence: Presence,
        freshness: Option<Freshness>,
        revision: u64,
        now: Timestamp,
    ) -> Vec<Observation> {
        let Some(mut entry) = self.jobs.remove(uid) else { return Vec::new() };
        let facts: Vec<PodFacts> = self.facts.remove(uid).map(|pods| pods.into_values().collect()).unwrap_or_default();
        let detected = job::detect(&entry.view, &facts, presence);
        let known = Known::Changed(freshness.unwrap_or(Freshness::Live));
        let seen = Seen { kind: Kind::Job, revision, known, now, created: entry.view.metadata.creation };
        tell(&mut entry.told, detected, job::source(&entry.view), || job::subject(&entry.view), seen)
    }

    fn pod_change(&mut self, change: Change<PodView>, now: Timestamp) -> Vec<Observation> {
        match change {
            Change::ListStarted { since } => {
                self.pod_list = Some(Listing { since, uids: HashSet::new() });
                Vec::new()
            }
            Change::Listed(view) => match known_by(self.pod_list.as_mut(), &view.metadata) {
                Some(known) => self.pod_applied(view, known, now),
                None => Vec::new(),
            },
            Change::ListEnded { revision } => {
                let Some(list) = self.pod_list.take() else { return Vec::new() };
                let jobs = &self.jobs;
                self.facts.retain(|job, pods| {
                    // Facts outlive a Pod for the sake of its Job only.
                    pods.retain(|uid, _| jobs.contains_key(job) || list.uids.contains(uid));
                    !pods.is_empty()
                });
                let gone: Vec<_> = self.pods.keys().filter(|uid| !list.uids.contains(*uid)).cloned().collect();
                gone.iter().flat_map(|uid| self.pod_gone(uid, Presence::Gone, None, revision, now)).collect()
            }
            Change::Applied(view, freshness) => self.pod_applied(view, Known::Changed(freshness), now),
            Change::Deleted(view, freshness) => self.pod_deleted(view, freshness, now),
            Change::Progress(_) => Vec::new(),
        }
    }

    fn pod_applied(&mut self, view: PodView, known: Known, now: Timestamp) -> Vec<Observation> {
        if let Some(job) = owning_job(&view.metadata) {
            return self.pod_of_job(&view, &job, known, now);
        }
        let uid: Box<str> = view.metadata.uid.clone();
        let revision = view.revision();
        if pod::source(&view).is_none() {
            // Not a subject, or not one any more.
            self.pods.remove(&uid);
            return Vec::new();
        }
        if self.pods.get(&uid).is_some_and(|entry| entry.view.revision() > revision) {
            return Vec::new();
        }
        let entry = self.pods.entry(uid).or_insert_with(|| Entry { view: view.clone(), told: Told::default() });
        entry.view = view;
        let seen = Seen { kind: Kind::Pod, revision, known, now, created: entry.view.metadata.creation };
        let detected = pod::detect(&entry.view, Presence::Present);
        tell(&mut entry.told, detected, pod::source(&entry.view), || pod::subject(&entry.view), seen)
    }

    /// A Pod of a Job is no subject; it tells of the Job's restarts, preemptions and causes.
    fn pod_of_job(&mut self, view: &PodView, job: &str, known: Known, now: Timestamp) -> Vec<Observation> {
        if self.jobs.get(job).is_some_and(|entry| job::is_finished(&entry.view)) {
            return Vec::new();
        }
        let newer = pod::facts(view);
        let pods = self.facts.entry(job.into()).or_default();
        match pods.get_mut(&view.metadata.uid) {
            Some(facts) => facts.merge(newer),
            None => {
                pods.insert(view.metadata.uid.clone(), newer);
            }
        }
        self.look_at_job(job, Kind::Pod, view.revision(), known, now)
    }

    fn pod_deleted(&mut self, view: PodView, freshness: Freshness, now: Timestamp) -> Vec<Observation> {
        let uid: Box<str> = view.metadata.uid.clone();
        if let Some(job) = owning_job(&view.metadata) {
            let observations = self.pod_of_job(&view, &job, Known::Changed(freshness), now);
            // The facts outlive the Pod while its Job is there: a preemption is still the cause after the Pod has gone.
            if !self.jobs.contains_key(&job)
                && let Some(pods) = self.facts.get_mut(&job)
            {
                pods.remove(&uid);
                if pods.is_empty() {
                    self.facts.remove(&job);
                }
            }
            return observations;
        }
        if pod::source(&view).is_none() {
            self.pods.remove(&uid);
            return Vec::new();
        }
        let revision = view.revision();
        match self.pods.get_mut(&uid) {
            Some(entry) => entry.view = view,
            None => {
                self.pods.insert(uid.clone(), Entry { view, told: Told::default() });
            }
        }
        self.pod_gone(&uid, Presence::Deleted, Some(freshness), revision, now)
    }

    fn pod_gone(
        &mut self,
        uid: &str,
        presence: Presence,
        freshness: Option<Freshness>,
        revision: u64,
        now: Timestamp,
    ) -> Vec<Observation> {
        let Some(mut entry) = self.pods.remove(uid) else { return Vec::new() };
        let detected = pod::detect(&entry.view, presence);
        let known = Known::Changed(freshness.unwrap_or(Freshness::Live));
        let seen = Seen { kind: Kind::Pod, revision, known, now, created: entry.view.metadata.creation };
        tell(&mut entry.told, detected, pod::source(&entry.view), || pod::subject(&entry.view), seen)
    }
}

/// What a listed object is to be taken for; `None` if the watch will tell of it again.
fn known_by(list: Option<&mut Listing>, meta: &Meta) -> Option<Known> {
    let Some(list) = list else { return Some(Known::Listed) };
    list.uids.insert(meta.uid.clone());
    match list.since {
        None => Some(Known::Listed),
        Some(since) if meta.revision() <= since => Some(Known::Baseline),
        Some(_) => None,
    }
}

/// The uid of the Job that controls this object.
fn owning_job(meta: &Meta) -> Option<Box<str>> {
    let owner = meta.owner.as_ref()?;
    (&*owner.kind == "Job" && owner.api_version.starts_with("batch/")).then(|| owner.uid.clone())
}

/// Circumstances of a look at an object.
#[derive(Clone, Copy)]
struct Seen {
    kind: Kind,
    revision: u64,
    known: Known,
    now: Timestamp,
    created: Option<Timestamp>,
}

impl Seen {
    fn effective(&self, time: Option<Timestamp>) -> Timestamp {
        let earliest_live = self.now.checked_sub(CLOCK_TOLERANCE).unwrap_or(Timestamp::MIN);
        match self.known {
            Known::Changed(Freshness::Live) => time.unwrap_or(self.now).max(earliest_live),
            Known::Changed(Freshness::Replayed) => time.unwrap_or(self.now),
            Known::Listed | Known::Baseline => time.or(self.created).unwrap_or(self.now),
        }
    }
}

fn tell(
    told: &mut Told,
    detected: Vec<Detected>,
    source: Option<Source>,
    subject: impl Fn() -> Subject,
    seen: Seen,
) -> Vec<Observation> {
    let Some(source) = source else { return Vec::new() };
    detected
        .into_iter()
        .filter(|detected| told.first_time(detected) && seen.known != Known::Baseline)
        .map(|detected| Observation {
            place: Some(Place { kind: seen.kind, revision: seen.revision }),
            subject: subject(),
            source,
            effective: seen.effective(detected.time),
            detected,
            observed: seen.now,
        })
        .collect()
}

#[cfg(test)]
mod tests;
