//! The pitfalls of detection that hang on what was seen before; `src/detect/declared/tests/pitfalls.rs` has the others.
//! CONTRIBUTING.md has the table of all.

use super::owners::{Watched, thing};
use super::*;

fn torch(uid: &str, revision: u64, conditions: &[(&str, &str)]) -> (Kind, crate::detect::declared::Object) {
    let conditions: Vec<Value> = conditions.iter().map(|(kind, clock)| condition(kind, "", clock)).collect();
    let status = json!({"conditions": conditions, "startTime": stamp("10:00:01")});
    thing(&format!("PyTorchJob/{uid}"), None, revision, &status)
}

#[test]
fn pitfall_02_operator_restarted_and_a_full_list_of_old_finished_objects() {
    let mut index = Fed::default();
    let old = vec![job("u1", 5, &succeeded()), job("u2", 10, &succeeded())];
    assert_eq!(index.list(Some(10), 20, old), NOTHING, "the checkpoint vouches for them");
    let mut watched = Watched::of(&[]);
    watched.index = Watched::of(&["PyTorchJob"]).index;
    let listed = vec![torch("t", 9, &[("Succeeded", "11:00:00")])];
    assert_eq!(watched.list("PyTorchJob", Some(10), 20, listed), NOTHING);
    // Without a checkpoint, what is old is told as old: no rule that was activated later wants it.
    let mut index = Fed::default();
    index.job(Change::ListStarted { since: None });
    let told = index.apply(KindChange::Job(Change::Listed(job("u1", 5, &succeeded()))));
    assert_eq!(told[0].effective, at("11:00:00"));
}

#[test]
fn pitfall_03_same_name_new_uid_between_two_watches() {
    let mut watched = Watched::of(&["PyTorchJob"]);
    assert_eq!(watched.live(torch("t1", 5, &[("Running", "10:01:00")])), ["t1 Running"]);
    let told = watched.list("PyTorchJob", None, 20, vec![torch("t2", 12, &[("Running", "11:01:00")])]);
    assert_eq!(told, ["t2 Running", "t1 Stopped"], "two subjects, and the old one is gone");
}

#[test]
fn pitfall_09_preempted_by_kueue_and_readmitted_at_once() {
    let mut watched = Watched::of(&["PyTorchJob", "Workload"]);
    watched.live(torch("t", 5, &[("Running", "10:01:00")]));
    let queue = |revision, status: &Value| thing("Workload/w", Some("PyTorchJob/t"), revision, status);
    let admitted = |count: i64| {
        json!({"conditions": [condition("QuotaReserved", "", "11:00:00"), condition("Admitted", "", "11:00:00")],
        "schedulingStats": {"evictions": [{"reason": "Preempted", "count": count}]}})
    };
    assert_eq!(watched.live(queue(6, &admitted(0))), NOTHING);
    assert_eq!(watched.live(queue(7, &admitted(1))), ["t Preempted"], "the eviction itself was never seen");
    assert_eq!(watched.live(queue(8, &admitted(1))), NOTHING);
    assert_eq!(watched.live(queue(9, &admitted(2))), ["t Preempted"]);
}

#[test]
fn pitfall_10_pod_deleted_by_its_job_after_success() {
    let mut index = Fed::default();
    index.job(Change::Applied(job("u1", 5, &running()), Live));
    index.pod(Change::Applied(worker("p1", 6, &json!({"phase": "Running"})), Live));
    assert_eq!(index.job(Change::Applied(job("u1", 7, &succeeded()), Live)), ["u1 Succeeded"]);
    let mut leaving = worker("p1", 8, &json!({"phase": "Failed"}));
    leaving.metadata.deletion = Some(at("11:00:30"));
    assert_eq!(index.pod(Change::Applied(leaving.clone(), Live)), NOTHING);
    assert_eq!(index.pod(Change::Deleted(leaving, Live)), NOTHING);
}

#[test]
fn pitfall_13_ttl_seconds_after_finished_0() {
    let mut watched = Watched::of(&["PyTorchJob"]);
    watched.live(torch("t", 5, &[("Running", "10:01:00")]));
    assert_eq!(watched.live(torch("t", 6, &[("Succeeded", "11:00:00")])), ["t Succeeded"]);
    assert_eq!(watched.deleted(torch("t", 7, &[("Succeeded", "11:00:00")])), NOTHING);
    // And if the change that finished it comes with the deletion only.
    watched.live(torch("u", 8, &[("Running", "10:01:00")]));
    assert_eq!(watched.deleted(torch("u", 9, &[("Succeeded", "11:00:00")])), ["u Succeeded"]);
    assert_eq!(watched.after(1000), NOTHING);
}

#[test]
fn pitfall_14_owner_deleted_with_a_running_child() {
    let ready = json!({"jobsStatus": [{"name": "node", "ready": 1}]});
    let set = |revision| thing("JobSet/s", Some("TrainJob/t"), revision, &json!({"restarts": 0}));
    let mut watched = Watched::of(&["TrainJob", "JobSet"]);
    watched.live(thing("TrainJob/t", None, 5, &ready));
    watched.live(set(6));
    assert_eq!(watched.deleted(thing("TrainJob/t", None, 7, &ready)), NOTHING);
    assert_eq!(watched.after(500), ["t Stopped"]);
    assert_eq!(watched.live(set(8)), NOTHING);
    assert_eq!(watched.deleted(set(9)), NOTHING);
    assert_eq!(watched.after(10_000), NOTHING);
    assert!(watched.index.is_empty());
    // In the other order, as a foreground deletion does it.
    let mut watched = Watched::of(&["TrainJob", "JobSet"]);
    watched.live(thing("TrainJob/t", None, 5, &ready));
    watched.live(set(6));
    let mut leaving = thing("TrainJob/t", None, 7, &ready);
    leaving.1.metadata.deletion = Some(at("11:59:59"));
    assert_eq!(watched.live(leaving.clone()), ["t Stopped"]);
    assert_eq!(watched.deleted(set(8)), NOTHING);
    assert_eq!(watched.deleted(leaving), NOTHING);
    assert_eq!(watched.after(10_000), NOTHING);
}

#[test]
fn pitfall_15_watch_expired_while_objects_finished_and_were_deleted() {
    let mut watched = Watched::of(&["PyTorchJob"]);
    watched.live(torch("t", 5, &[("Running", "10:01:00")]));
    let name = thing("PyTorchJob/t", None, 5, &json!({})).0;
    watched.index.apply(KindChange::Declared(name.clone(), Change::ListStarted { since: None }), at("12:00:00"));
    let gone = watched.index.apply(KindChange::Declared(name, Change::ListEnded { revision: 90 }), at("12:00:00"));
    assert_eq!(shown(&gone), ["t Stopped"]);
    assert_eq!((gone[0].detected.reason.as_str(), gone[0].detected.time), ("Gone", None), "no guess of success");
}

#[test]
fn pitfall_18_workflow_retried_after_failed() {
    let mut watched = Watched::of(&["Workflow"]);
    let run = |revision, phase: &str, finished: Option<&str>| {
        let status = json!({"phase": phase, "startedAt": stamp("10:00:00"), "finishedAt": finished.map(stamp)});
        thing("Workflow/w", None, revision, &status)
    };
    assert_eq!(watched.live(run(5, "Failed", Some("11:00:00"))), ["w Failed"]);
    assert_eq!(watched.live(run(6, "Running", None)), NOTHING);
    assert_eq!(watched.live(run(7, "Failed", Some("11:30:00"))), ["w Failed"], "a second end");
    assert_eq!(watched.live(run(8, "Running", None)), NOTHING);
    assert_eq!(watched.live(run(9, "Succeeded", Some("11:45:00"))), ["w Succeeded"]);
}

#[test]
fn pitfall_20_event_time_in_the_future_or_before_creation() {
    let told = |clock: &str| {
        let mut watched = Watched::of(&["PyTorchJob"]);
        let (kind, object) = torch("t", 5, &[("Running", clock)]);
        let told = watched.index.apply(KindChange::Declared(kind, Change::Applied(object, Live)), at("12:00:00"));
        (told[0].detected.time, told[0].effective)
    };
    assert_eq!(told("15:00:00"), (Some(at("15:00:00")), at("15:00:00")), "shown as given");
    assert_eq!(told("08:00:00"), (Some(at("08:00:00")), at("11:55:00")), "what is live happened about now");
}

#[test]
fn pitfall_22_two_kinds_with_one_name() {
    let catalog = crate::detect::declared::Catalog::built_in();
    let mut index = Index::of(&catalog);
    let mut told = Vec::new();
    for (group, version) in [("kubeflow.org", "v1"), ("training.kubedl.io", "v1alpha1")] {
        let kind = catalog.serving(group, "PyTorchJob", &[version]).unwrap().0.clone();
        let name = Kind::declared(&kind);
        index.apply(KindChange::Started(name.clone(), kind), at("12:00:00"));
        let object = json!({"apiVersion": format!("{group}/{version}"), "kind": "PyTorchJob",
            "metadata": {"name": "same", "namespace": "vision", "uid": group, "resourceVersion": "5"}});
        let change = Change::Applied(crate::detect::declared::Object::from(object), Live);
        told.extend(index.apply(KindChange::Declared(name, change), at("12:00:00")));
    }
    let subjects: Vec<_> = told.iter().map(|seen| (&*seen.subject.api_version, &*seen.subject.uid)).collect();
    let expected = [("kubeflow.org/v1", "kubeflow.org"), ("training.kubedl.io/v1alpha1", "training.kubedl.io")];
    assert_eq!(subjects, expected);
    // A Job that says to be owned by the one of another group is not owned by this one.
    let owned =
        |api: &str| json!({"apiVersion": api, "kind": "Job", "name": "nightly", "uid": "u1", "controller": true});
    let volcano =
        pod("p1", 6, &json!({"ownerReferences": [owned("batch.volcano.sh/v1alpha1")]}), &preempted("11:59:00"));
    let mut fed = Fed::default();
    fed.job(Change::Applied(job("u9", 5, &running()), Live));
    assert_eq!(fed.pod(Change::Applied(volcano, Live)), NOTHING);
    assert!(fed.0.facts.is_empty(), "Volcano is not watched");
}
