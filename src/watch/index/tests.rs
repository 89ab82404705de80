use serde_json::{Value, json};

use super::*;
use crate::watch::Place;
use Freshness::{Live, Replayed};

/// A time on the day of all these tests.
fn at(clock: &str) -> Timestamp {
    stamp(clock).parse().unwrap()
}

fn stamp(clock: &str) -> String {
    format!("2026-11-24T{clock}Z")
}

fn condition(kind: &str, reason: &str, clock: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": reason, "lastTransitionTime": stamp(clock)})
}

/// A Job created at 10:00:00.
fn job(uid: &str, revision: u64, status: &Value) -> JobView {
    serde_json::from_value(json!({
        "metadata": {"name": "nightly", "namespace": "vision", "uid": uid, "resourceVersion": revision.to_string(),
            "creationTimestamp": stamp("10:00:00")},
        "status": status,
    }))
    .unwrap()
}

fn queued() -> Value {
    json!({"ready": 0, "active": 1})
}

fn running() -> Value {
    json!({"ready": 1, "active": 1, "startTime": stamp("10:00:01")})
}

fn succeeded() -> Value {
    json!({"startTime": stamp("10:00:01"), "completionTime": stamp("11:00:00"),
        "conditions": [condition("Complete", "", "11:00:00")]})
}

/// A Pod of the Job `u1`.
fn worker(uid: &str, revision: u64, status: &Value) -> PodView {
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "nightly", "uid": "u1", "controller": true});
    pod(uid, revision, &json!({"ownerReferences": [owner]}), status)
}

/// A notebook's Pod.
fn notebook(uid: &str, revision: u64, status: &Value) -> PodView {
    pod(uid, revision, &json!({"labels": {"notification.pai.dev/source": "DSWInstance"}}), status)
}

fn pod(uid: &str, revision: u64, more: &Value, status: &Value) -> PodView {
    let mut metadata = json!({"name": format!("pod-{uid}"), "namespace": "vision", "uid": uid,
        "resourceVersion": revision.to_string(), "creationTimestamp": stamp("10:00:00")});
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
}

fn restarted(count: i64, clock: &str) -> Value {
    let exit = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": stamp(clock)}});
    let main = json!({"name": "main", "restartCount": count, "state": {"running": {}}, "lastState": exit});
    json!({"phase": "Running", "containerStatuses": [main]})
}

fn preempted(clock: &str) -> Value {
    json!({"phase": "Running", "conditions": [condition("DisruptionTarget", "PreemptionByScheduler", clock)]})
}

/// An index, fed at noon.
#[derive(Default)]
struct Fed(Index);

impl Fed {
    fn apply(&mut self, change: KindChange) -> Vec<Observation> {
        self.0.apply(change, at("12:00:00"))
    }

    fn job(&mut self, change: Change<JobView>) -> Vec<String> {
        shown(&self.apply(KindChange::Job(change)))
    }

    fn pod(&mut self, change: Change<PodView>) -> Vec<String> {
        shown(&self.apply(KindChange::Pod(change)))
    }

    /// A whole list of Jobs.
    fn list(&mut self, since: Option<u64>, revision: u64, jobs: Vec<JobView>) -> Vec<String> {
        let mut told = self.job(Change::ListStarted { since });
        for job in jobs {
            told.extend(self.job(Change::Listed(job)));
        }
        told.extend(self.job(Change::ListEnded { revision }));
        told
    }

    /// A whole list of Pods.
    fn pods(&mut self, since: Option<u64>, revision: u64, pods: Vec<PodView>) -> Vec<String> {
        let mut told = self.pod(Change::ListStarted { since });
        for pod in pods {
            told.extend(self.pod(Change::Listed(pod)));
        }
        told.extend(self.pod(Change::ListEnded { revision }));
        told
    }
}

fn shown(observations: &[Observation]) -> Vec<String> {
    observations.iter().map(|seen| format!("{} {}", seen.subject.uid, seen.detected.transition)).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_unchanged_job_that_is_modified_or_listed_again_tells_nothing_twice() {
    let mut index = Fed::default();
    assert_eq!(index.job(Change::Applied(job("u1", 5, &running()), Live)), ["u1 Running"]);
    assert_eq!(index.job(Change::Applied(job("u1", 6, &running()), Live)), NOTHING);
    assert_eq!(index.list(None, 9, vec![job("u1", 6, &running())]), NOTHING);
    assert_eq!(index.list(Some(6), 9, vec![job("u1", 6, &running())]), NOTHING);
    assert_eq!(index.job(Change::Applied(job("u1", 10, &succeeded()), Live)), ["u1 Succeeded"]);
    assert_eq!(index.list(None, 12, vec![job("u1", 10, &succeeded())]), NOTHING);
}

#[test]
fn after_a_restart_what_was_dealt_with_is_silent_and_the_rest_comes_again_in_order() {
    let mut index = Fed::default();
    let listed = vec![job("u1", 5, &running()), job("u2", 10, &running()), job("u3", 11, &running())];
    assert_eq!(index.list(Some(10), 20, listed), NOTHING, "u3 is newer than the checkpoint, and comes again");
    assert_eq!(index.job(Change::Applied(job("u3", 11, &running()), Replayed)), ["u3 Running"]);
    assert_eq!(index.job(Change::Applied(job("u3", 12, &succeeded()), Replayed)), ["u3 Succeeded"]);
    assert_eq!(index.job(Change::Deleted(job("u3", 13, &succeeded()), Replayed)), NOTHING);
    assert_eq!(index.job(Change::Applied(job("u1", 21, &succeeded()), Live)), ["u1 Succeeded"], "the baseline goes on");
}

#[test]
fn a_job_that_came_and_went_while_nobody_watched_is_told_from_the_history() {
    let mut index = Fed::default();
    assert_eq!(index.list(Some(10), 20, Vec::new()), NOTHING);
    assert_eq!(index.job(Change::Applied(job("u9", 11, &queued()), Replayed)), ["u9 Queued"]);
    assert_eq!(index.job(Change::Applied(job("u9", 12, &running()), Replayed)), ["u9 Running"]);
    assert_eq!(index.job(Change::Deleted(job("u9", 13, &running()), Replayed)), ["u9 Stopped"]);
}

#[test]
fn a_time_that_counts_depends_on_how_a_change_became_known() {
    let list = || Change::ListStarted { since: None };
    // The Running of a Job without Pods has no time of its own; Succeeded has 11:00.
    let table: [(&str, Vec<Change<JobView>>, &str); 6] = [
        ("listed, own time", vec![list(), Change::Listed(job("u1", 5, &succeeded()))], "11:00:00"),
        ("listed, no time: its creation", vec![list(), Change::Listed(job("u1", 5, &running()))], "10:00:00"),
        ("live, no time: now", vec![Change::Applied(job("u1", 5, &running()), Live)], "12:00:00"),
        ("live, by a clock an hour behind", vec![Change::Applied(job("u1", 5, &succeeded()), Live)], "11:55:00"),
        ("replayed, own time", vec![Change::Applied(job("u1", 5, &succeeded()), Replayed)], "11:00:00"),
        ("replayed, no time: now", vec![Change::Applied(job("u1", 5, &running()), Replayed)], "12:00:00"),
    ];
    for (case, changes, expected) in table {
        let mut index = Fed::default();
        let told: Vec<_> = changes.into_iter().flat_map(|change| index.apply(KindChange::Job(change))).collect();
        assert_eq!(told.iter().map(|seen| seen.effective).collect::<Vec<_>>(), [at(expected)], "{case}");
    }
}

fn places(told: &[Observation]) -> Vec<Place> {
    told.iter().filter_map(|seen| seen.place.clone()).collect()
}

#[test]
fn an_observation_carries_the_kind_and_revision_of_the_change_that_proved_it() {
    let mut index = Fed::default();
    let told = index.apply(KindChange::Job(Change::Applied(job("u1", 5, &running()), Live)));
    assert_eq!(places(&told), [Place { kind: Kind::Job, revision: 5 }]);
    let told = index.apply(KindChange::Pod(Change::Applied(worker("p1", 7, &restarted(1, "11:59:00")), Live)));
    assert_eq!(places(&told), [Place { kind: Kind::Pod, revision: 7 }]);
    assert!(told.iter().all(|seen| seen.subject.kind == "Job" && seen.subject.uid == "u1"), "{told:?}");
}

#[test]
fn a_job_that_is_missing_from_a_second_list_is_stopped_once() {
    let mut index = Fed::default();
    let listed = vec![job("u1", 5, &running()), job("u2", 6, &running()), job("u3", 7, &succeeded())];
    assert_eq!(index.list(None, 10, listed), ["u1 Running", "u2 Running", "u3 Succeeded"]);
    index.job(Change::ListStarted { since: None });
    index.job(Change::Listed(job("u2", 6, &running())));
    let gone = index.apply(KindChange::Job(Change::ListEnded { revision: 30 }));
    assert_eq!(shown(&gone), ["u1 Stopped"], "u3 had succeeded, which was told");
    assert_eq!(gone[0].detected.reason, "Gone");
    assert_eq!(places(&gone), [Place { kind: Kind::Job, revision: 30 }]);
    assert_eq!(index.list(None, 40, vec![job("u2", 6, &running())]), NOTHING);
}

#[test]
fn a_deletion_tells_the_end_that_is_not_told_yet() {
    let table = [
        ("ended before", succeeded(), succeeded(), vec![]),
        ("not ended", running(), running(), vec!["u1 Stopped"]),
        ("ended with its last state", running(), succeeded(), vec!["u1 Succeeded"]),
    ];
    for (case, before, last, expected) in table {
        let mut index = Fed::default();
        index.job(Change::Applied(job("u1", 5, &before), Live));
        assert_eq!(index.job(Change::Deleted(job("u1", 6, &last), Live)), expected, "{case}");
        assert!(index.0.is_empty(), "{case}");
        assert_eq!(index.list(None, 9, Vec::new()), NOTHING, "{case}");
    }
}

#[test]
fn a_job_on_its_way_out_is_stopped_once() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    let mut leaving = job("u1", 6, &running());
    leaving.metadata.deletion = Some(at("11:59:30"));
    assert_eq!(index.job(Change::Applied(leaving.clone(), Live)), ["u1 Stopped"]);
    assert_eq!(index.job(Change::Deleted(leaving, Live)), NOTHING);
}

#[test]
fn a_preempted_pod_of_a_job_that_goes_on_is_one_preemption() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    assert_eq!(index.pod(Change::Applied(worker("p1", 6, &json!({"phase": "Running"})), Live)), NOTHING);
    assert_eq!(index.pod(Change::Applied(worker("p1", 7, &preempted("11:59:00")), Live)), ["u1 Preempted"]);
    assert_eq!(index.pod(Change::Deleted(worker("p1", 8, &preempted("11:59:00")), Live)), NOTHING);
    let lost = json!({"ready": 1, "active": 1, "failed": 1, "startTime": stamp("10:00:01")});
    assert_eq!(index.job(Change::Applied(job("u1", 9, &lost), Live)), NOTHING, "the lost pod is the preempted one");
    assert_eq!(index.0.len(), 1, "a Pod of a Job is no subject");
}

#[test]
fn two_workers_that_fall_within_a_minute_are_one_burst_though_the_clock_passes_a_minute() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    let restart = |index: &mut Fed, uid: &str, revision, count, clock: &str| {
        index.pod(Change::Applied(worker(uid, revision, &restarted(count, clock)), Live))
    };
    assert_eq!(restart(&mut index, "p1", 6, 1, "11:10:50"), ["u1 FaultTolerance"]);
    assert_eq!(restart(&mut index, "p2", 7, 1, "11:11:05"), NOTHING, "15 seconds after");
    assert_eq!(restart(&mut index, "p3", 8, 1, "11:11:58"), NOTHING, "53 seconds after the one before");
    assert_eq!(restart(&mut index, "p1", 9, 2, "11:30:00"), ["u1 FaultTolerance"], "another burst");
}

#[test]
fn the_pods_that_were_there_before_their_job_was_seen_give_its_cause() {
    let mut index = Fed::default();
    let exit = json!({"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": stamp("10:59:00")}});
    let status = json!({"phase": "Failed", "containerStatuses": [{"name": "main", "state": exit}]});
    assert_eq!(index.pods(None, 4, vec![worker("p1", 4, &status)]), NOTHING);
    let failed = json!({"failed": 1, "conditions": [condition("Failed", "BackoffLimitExceeded", "11:00:00")]});
    let told = index.apply(KindChange::Job(Change::Applied(job("u1", 5, &failed), Live)));
    assert_eq!(shown(&told), ["u1 Failed"]);
    assert_eq!(told[0].detected.data.get("exitCode"), Some(&json!(3)));
    assert_eq!(told[0].detected.data.get("pod"), Some(&json!("pod-p1")));
}

#[test]
fn a_labelled_pod_of_a_job_is_no_subject() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "nightly", "uid": "u1", "controller": true});
    let more = json!({"ownerReferences": [owner], "labels": {"notification.pai.dev/source": "DSWInstance"}});
    let ready = json!({"phase": "Running", "conditions": [condition("Ready", "", "11:59:00")]});
    assert_eq!(index.pod(Change::Applied(pod("p1", 6, &more, &ready), Live)), NOTHING);
    assert_eq!(index.pod(Change::Deleted(pod("p1", 7, &more, &ready), Live)), NOTHING);
    assert_eq!(index.0.len(), 1);
}

#[test]
fn a_notebook_tells_each_state_of_its_life_once() {
    let mut index = Fed::default();
    let creating = json!({"phase": "Pending", "conditions": [condition("PodScheduled", "", "11:58:00")]});
    let ready = json!({"phase": "Running", "conditions": [condition("Ready", "", "11:59:00")]});
    for (revision, status, expected) in [
        (5, json!({"phase": "Pending"}), vec![]),
        (6, creating.clone(), vec!["n1 Creating"]),
        (7, creating, vec![]),
        (8, ready.clone(), vec!["n1 Running"]),
        (9, ready.clone(), vec![]),
    ] {
        assert_eq!(index.pod(Change::Applied(notebook("n1", revision, &status), Live)), expected, "{revision}");
    }
    let mut leaving = notebook("n1", 10, &ready);
    leaving.metadata.deletion = Some(at("12:00:30"));
    leaving.metadata.deletion_grace_seconds = Some(30);
    assert_eq!(index.pod(Change::Applied(leaving.clone(), Live)), ["n1 Stopping"]);
    assert_eq!(index.pod(Change::Applied(leaving.clone(), Live)), NOTHING);
    assert_eq!(index.pod(Change::Deleted(leaving, Live)), ["n1 Stopped"]);
    assert!(index.0.is_empty());
}

#[test]
fn a_pod_without_a_label_or_one_that_lost_it_is_no_subject() {
    let mut index = Fed::default();
    let ready = json!({"phase": "Running", "conditions": [condition("Ready", "", "11:59:00")]});
    assert_eq!(index.pod(Change::Applied(pod("n1", 5, &json!({}), &ready), Live)), NOTHING);
    assert_eq!(index.pod(Change::Applied(notebook("n1", 6, &ready), Live)), ["n1 Running"]);
    assert_eq!(index.pod(Change::Applied(pod("n1", 7, &json!({}), &ready), Live)), NOTHING);
    assert_eq!(index.pod(Change::Deleted(pod("n1", 8, &json!({}), &ready), Live)), NOTHING);
    assert!(index.0.is_empty());
}

#[test]
fn the_same_name_with_another_uid_is_another_subject() {
    let mut index = Fed::default();
    assert_eq!(index.job(Change::Applied(job("u1", 5, &running()), Live)), ["u1 Running"]);
    assert_eq!(index.job(Change::Deleted(job("u1", 6, &running()), Live)), ["u1 Stopped"]);
    assert_eq!(index.job(Change::Applied(job("u2", 7, &running()), Live)), ["u2 Running"]);
    // Replaced while a list was read: the old one is gone, the new one is new.
    assert_eq!(index.list(None, 10, vec![job("u3", 9, &running())]), ["u3 Running", "u2 Stopped"]);
}

#[test]
fn an_older_state_after_a_newer_one_is_ignored() {
    let mut index = Fed::default();
    assert_eq!(index.job(Change::Applied(job("u1", 6, &running()), Live)), ["u1 Running"]);
    assert_eq!(index.job(Change::Applied(job("u1", 5, &queued()), Replayed)), NOTHING);
    let ready = json!({"phase": "Running", "conditions": [condition("Ready", "", "11:59:00")]});
    let creating = json!({"phase": "Pending", "conditions": [condition("PodScheduled", "", "11:58:00")]});
    assert_eq!(index.pod(Change::Applied(notebook("n1", 8, &ready), Live)), ["n1 Running"]);
    assert_eq!(index.pod(Change::Applied(notebook("n1", 7, &creating), Replayed)), NOTHING);
}

#[test]
fn nothing_is_kept_of_the_pods_of_a_job_that_has_ended() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    index.pod(Change::Applied(worker("p1", 6, &json!({"phase": "Running"})), Live));
    assert_eq!(index.0.facts.len(), 1);
    index.job(Change::Applied(job("u1", 7, &succeeded()), Live));
    assert!(index.0.facts.is_empty());
    index.pod(Change::Applied(worker("p1", 8, &json!({"phase": "Succeeded"})), Live));
    assert!(index.0.facts.is_empty(), "its Pods go on for a while");
    index.job(Change::Deleted(job("u1", 9, &succeeded()), Live));
    index.pod(Change::Applied(worker("p1", 10, &json!({"phase": "Succeeded"})), Live));
    index.pod(Change::Deleted(worker("p1", 11, &json!({"phase": "Succeeded"})), Live));
    assert!(index.0.facts.is_empty(), "the Job went before its Pods");
}

#[test]
fn nothing_is_kept_of_pods_that_went_while_nobody_watched_and_whose_job_is_unknown() {
    let mut index = Fed::default();
    index.pods(None, 4, vec![worker("p1", 4, &json!({"phase": "Running"}))]);
    assert_eq!(index.0.facts.len(), 1, "the Job may come");
    index.pods(None, 9, Vec::new());
    assert!(index.0.facts.is_empty());
}

#[test]
fn bookmarks_and_lists_without_a_beginning_tell_nothing() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    assert_eq!(index.job(Change::Progress(9)), NOTHING);
    assert_eq!(index.job(Change::ListEnded { revision: 9 }), NOTHING);
    assert_eq!(index.0.len(), 1);
}
