//! Owners: who is told about, who waits for whom, and what becomes of those whose owner is gone.

use jiff::ToSpan as _;

use super::*;
use crate::detect::declared::{Catalog, Object};

/// Kinds by the word that tests use for them.
const KINDS: [(&str, &str, &str); 7] = [
    ("TrainJob", "trainer.kubeflow.org", "v1alpha1"),
    ("JobSet", "jobset.x-k8s.io", "v1alpha2"),
    ("Workload", "kueue.x-k8s.io", "v1beta2"),
    ("PyTorchJob", "kubeflow.org", "v1"),
    ("Workflow", "argoproj.io", "v1alpha1"),
    ("RayJob", "ray.io", "v1"),
    ("ModelVersion", "model.kubedl.io", "v1alpha1"),
];

fn declared(kind: &str) -> (Kind, declared::Kind, String) {
    let (name, group, version) = KINDS.into_iter().find(|(name, ..)| *name == kind).unwrap();
    let catalog = Catalog::built_in();
    let kind = catalog.serving(group, name, &[version]).unwrap().0.clone();
    (Kind::declared(&kind), kind, format!("{group}/{version}"))
}

/// An object of a kind: `kind/uid`, and the one that owns it, in the same form.
pub(super) fn thing(name: &str, owner: Option<&str>, revision: u64, status: &Value) -> (Kind, Object) {
    let (kind, uid) = name.split_once('/').unwrap();
    let (name, _, api_version) = declared(kind);
    let owners: Vec<Value> = owner.map(reference).into_iter().collect();
    let object = json!({"apiVersion": api_version, "kind": kind, "status": status, "metadata": {"name": uid, "uid": uid,
        "namespace": "vision", "resourceVersion": revision.to_string(), "creationTimestamp": stamp("10:00:00"),
        "generation": 1, "ownerReferences": owners}});
    (name, Object::from(object))
}

fn reference(owner: &str) -> Value {
    let (kind, uid) = owner.split_once('/').unwrap();
    let api_version = if kind == "Job" { "batch/v1".to_owned() } else { declared(kind).2 };
    json!({"apiVersion": api_version, "kind": kind, "name": uid, "uid": uid, "controller": true})
}

/// A Job with an owner.
fn part(uid: &str, owner: &str, revision: u64, status: &Value) -> JobView {
    let mut whole = serde_json::to_value(json!({
        "metadata": {"name": uid, "namespace": "vision", "uid": uid, "resourceVersion": revision.to_string(),
            "creationTimestamp": stamp("10:00:00")},
        "status": status,
    }))
    .unwrap();
    whole["metadata"]["ownerReferences"] = json!([reference(owner)]);
    serde_json::from_value(whole).unwrap()
}

/// An index in which these kinds are watched, and the time.
pub(super) struct Watched {
    pub(super) index: Index,
    now: Timestamp,
}

impl Watched {
    /// With all of them listed, and nothing there.
    pub(super) fn of(kinds: &[&str]) -> Self {
        let mut watched = Self { index: Index::of(&Catalog::built_in()), now: at("12:00:00") };
        for kind in kinds {
            watched.start(kind);
            watched.list(kind, None, 1, Vec::new());
        }
        watched
    }

    fn start(&mut self, kind: &str) {
        let (name, kind, _) = declared(kind);
        self.tell(KindChange::Started(name, kind));
    }

    fn tell(&mut self, change: KindChange) -> Vec<String> {
        shown(&self.index.apply(change, self.now))
    }

    pub(super) fn list(
        &mut self,
        kind: &str,
        since: Option<u64>,
        revision: u64,
        all: Vec<(Kind, Object)>,
    ) -> Vec<String> {
        let name = declared(kind).0;
        let mut told = self.tell(KindChange::Declared(name.clone(), Change::ListStarted { since }));
        for (kind, object) in all {
            told.extend(self.tell(KindChange::Declared(kind, Change::Listed(object))));
        }
        told.extend(self.tell(KindChange::Declared(name, Change::ListEnded { revision })));
        told
    }

    pub(super) fn live(&mut self, (kind, object): (Kind, Object)) -> Vec<String> {
        self.tell(KindChange::Declared(kind, Change::Applied(object, Live)))
    }

    pub(super) fn deleted(&mut self, (kind, object): (Kind, Object)) -> Vec<String> {
        self.tell(KindChange::Declared(kind, Change::Deleted(object, Live)))
    }

    fn job(&mut self, job: JobView) -> Vec<String> {
        self.tell(KindChange::Job(Change::Applied(job, Live)))
    }

    fn pod(&mut self, pod: PodView) -> Vec<String> {
        self.tell(KindChange::Pod(Change::Applied(pod, Live)))
    }

    /// So many milliseconds later.
    pub(super) fn after(&mut self, milliseconds: i64) -> Vec<String> {
        self.now = self.now.checked_add(milliseconds.milliseconds()).unwrap();
        shown(&self.index.wake(self.now))
    }
}

fn ready() -> Value {
    json!({"jobsStatus": [{"name": "node", "ready": 1}]})
}

fn restarts(count: i64) -> Value {
    json!({"restarts": count, "replicatedJobsStatus": [{"name": "node", "ready": 1}]})
}

#[test]
fn only_the_topmost_owner_is_told_about_and_what_is_below_it_tells_of_it() {
    let mut watched = Watched::of(&["TrainJob", "JobSet"]);
    assert_eq!(watched.live(thing("TrainJob/t", None, 5, &ready())), ["t Running"]);
    assert_eq!(watched.live(thing("JobSet/s", Some("TrainJob/t"), 6, &json!({}))), NOTHING);
    assert_eq!(watched.job(part("j", "JobSet/s", 7, &running())), NOTHING);
    let worker =
        |revision, status: &Value| pod("p", revision, &json!({"ownerReferences": [reference("Job/j")]}), status);
    assert_eq!(watched.pod(worker(8, &json!({"phase": "Running"}))), NOTHING);
    assert_eq!(watched.pod(worker(9, &preempted("11:59:00"))), ["t Preempted"]);
    assert_eq!(watched.live(thing("JobSet/s", Some("TrainJob/t"), 10, &restarts(1))), ["t FaultTolerance"]);
    assert_eq!(watched.live(thing("JobSet/s", Some("TrainJob/t"), 11, &restarts(1))), NOTHING);
    assert_eq!(watched.job(part("j", "JobSet/s", 12, &succeeded())), NOTHING);
    let complete = json!({"conditions": [condition("Complete", "", "11:59:30")]});
    assert_eq!(watched.live(thing("TrainJob/t", None, 13, &complete)), ["t Succeeded"]);
    assert!(watched.index.facts.is_empty(), "nothing need be known of its Pods any more");
    assert_eq!(watched.deleted(thing("JobSet/s", Some("TrainJob/t"), 14, &restarts(1))), NOTHING);
    assert_eq!(watched.deleted(thing("TrainJob/t", None, 15, &complete)), NOTHING);
    assert_eq!(watched.after(10_000), NOTHING);
}

#[test]
fn a_part_that_comes_before_its_owner_waits_and_holds_the_checkpoint() {
    let mut watched = Watched::of(&["TrainJob", "JobSet"]);
    assert_eq!(watched.live(thing("JobSet/s", Some("TrainJob/t"), 6, &restarts(1))), NOTHING);
    assert_eq!(watched.job(part("j", "JobSet/s", 7, &running())), NOTHING);
    let (set, train) = (declared("JobSet").0, declared("TrainJob").0);
    assert_eq!((watched.index.held(&set), watched.index.held(&Kind::Job)), (Some(6), Some(7)));
    assert_eq!(watched.index.next_wake(), Some(at("12:00:03")));
    assert_eq!(watched.after(1000), NOTHING);
    assert_eq!(watched.live(thing("TrainJob/t", None, 8, &ready())), ["t Running", "t FaultTolerance"]);
    assert_eq!(
        (watched.index.held(&set), watched.index.held(&Kind::Job), watched.index.held(&train)),
        (None, None, None)
    );
    assert_eq!(watched.index.next_wake(), None);
}

#[test]
fn a_part_whose_owner_never_comes_says_nothing_and_one_whose_owners_kind_is_not_watched_is_told_about() {
    let mut watched = Watched::of(&["JobSet"]);
    assert_eq!(watched.job(part("j", "JobSet/gone", 7, &running())), NOTHING);
    assert_eq!(watched.after(3000), NOTHING, "its owner is deleted");
    assert_eq!(watched.job(part("j", "JobSet/gone", 8, &succeeded())), NOTHING);
    assert_eq!(watched.index.held(&Kind::Job), None);
    assert_eq!(watched.job(part("k", "PyTorchJob/x", 9, &running())), ["k Running"]);
}

#[test]
fn parts_wait_for_the_list_of_their_owners_kind_but_not_if_that_fails() {
    let mut watched = Watched::of(&[]);
    watched.start("JobSet");
    let set = declared("JobSet").0;
    assert_eq!(watched.job(part("j", "JobSet/s", 7, &running())), NOTHING);
    assert_eq!(watched.after(4000), NOTHING, "the list may take a while");
    let listed = vec![thing("JobSet/s", None, 3, &restarts(0))];
    assert_eq!(watched.list("JobSet", None, 9, listed), ["s Running"]);

    let mut watched = Watched::of(&[]);
    watched.start("JobSet");
    assert_eq!(watched.job(part("j", "JobSet/s", 7, &running())), NOTHING);
    watched.tell(KindChange::Failing(set.clone(), true));
    assert_eq!(watched.after(0), ["j Running"], "nobody knows when the list will come");
    assert_eq!(watched.job(part("k", "JobSet/s", 8, &running())), ["k Running"]);
    watched.tell(KindChange::Failing(set, false));
    assert_eq!(watched.list("JobSet", None, 9, vec![thing("JobSet/s", None, 3, &restarts(0))]), ["s Running"]);
    assert_eq!(watched.job(part("k", "JobSet/s", 10, &succeeded())), NOTHING, "now it is a part");
}

#[test]
fn owners_that_own_each_other_end_somewhere() {
    let mut watched = Watched::of(&["JobSet", "TrainJob"]);
    watched.live(thing("JobSet/a", Some("TrainJob/b"), 5, &restarts(1)));
    watched.live(thing("TrainJob/b", Some("JobSet/a"), 6, &ready()));
    watched.live(thing("JobSet/a", Some("TrainJob/b"), 7, &restarts(2)));
    watched.live(thing("JobSet/self", Some("JobSet/self"), 8, &restarts(1)));
    watched.after(60_000);
    assert_eq!(watched.index.len(), 3);
    watched.deleted(thing("JobSet/a", Some("TrainJob/b"), 9, &restarts(2)));
    watched.deleted(thing("TrainJob/b", Some("JobSet/a"), 10, &ready()));
    watched.deleted(thing("JobSet/self", Some("JobSet/self"), 11, &restarts(1)));
    watched.after(60_000);
    assert_eq!((watched.index.len(), watched.index.next_wake()), (0, None));
}

#[test]
fn what_changed_while_its_owner_was_unknown_is_told_though_the_owner_was_dealt_with() {
    let mut watched = Watched::of(&["JobSet"]);
    watched.start("TrainJob");
    assert_eq!(watched.live(thing("JobSet/s", Some("TrainJob/t"), 30, &restarts(1))), NOTHING);
    let listed = vec![thing("TrainJob/t", None, 5, &ready())];
    let told = watched.list("TrainJob", Some(20), 40, listed);
    assert_eq!(told, ["t FaultTolerance"], "that it runs was told before, by the one before us");
}

#[test]
fn a_pod_that_fell_before_its_job_was_listed_is_told_though_the_job_was_dealt_with() {
    let mut index = Fed::default();
    index.pods(Some(10), 20, vec![]);
    let replayed = index.pod(Change::Applied(worker("p1", 12, &preempted("11:59:00")), Replayed));
    assert_eq!(replayed, NOTHING);
    assert_eq!(index.list(Some(10), 20, vec![job("u1", 9, &running())]), ["u1 Preempted"]);
}

#[test]
fn a_model_or_an_image_is_told_about_whatever_owns_it() {
    let mut watched = Watched::of(&["PyTorchJob", "ModelVersion"]);
    watched.live(thing("PyTorchJob/t", None, 5, &json!({})));
    let built = json!({"imageBuildPhase": "ImageBuildSucceeded"});
    assert_eq!(watched.live(thing("ModelVersion/m", Some("PyTorchJob/t"), 6, &built)), ["m StatusChanged"]);
    let mut save = part("save", "PyTorchJob/t", 7, &succeeded());
    save.metadata.labels =
        serde_json::from_value::<JobView>(json!({"metadata": {"labels": {"notification.pai.dev/image-of": "book"}}}))
            .unwrap()
            .metadata
            .labels;
    assert_eq!(watched.job(save), ["save ImageSaved"]);
}

#[test]
fn a_kind_that_is_not_watched_any_more_is_forgotten_without_a_word() {
    let mut watched = Watched::of(&["PyTorchJob", "JobSet"]);
    for number in 0..3 {
        watched.live(thing(&format!("PyTorchJob/t{number}"), None, 5 + number, &json!({})));
    }
    watched.live(thing("JobSet/s", None, 8, &restarts(0)));
    watched.job(part("j", "JobSet/s", 9, &running()));
    // Its objects are deleted before, since its CRD is on its way out.
    assert_eq!(watched.deleted(thing("PyTorchJob/t0", None, 10, &json!({}))), NOTHING);
    let (torch, set) = (declared("PyTorchJob").0, declared("JobSet").0);
    assert_eq!(watched.index.held(&torch), Some(10), "the checkpoint does not pass it until it is told");
    watched.tell(KindChange::Stopped(torch.clone()));
    watched.tell(KindChange::Stopped(set));
    assert_eq!(watched.live(thing("PyTorchJob/t1", None, 11, &json!({}))), NOTHING, "too late");
    assert_eq!(watched.after(60_000), NOTHING);
    assert_eq!(watched.tell(KindChange::Job(Change::Deleted(part("j", "JobSet/s", 12, &running()), Live))), NOTHING);
    assert_eq!((watched.index.len(), watched.index.held(&torch)), (0, None));

    watched.start("PyTorchJob");
    assert_eq!(watched.live(thing("PyTorchJob/again", None, 20, &json!({}))), ["again Queued"]);
    assert_eq!(watched.deleted(thing("PyTorchJob/again", None, 21, &json!({}))), NOTHING);
    assert_eq!(watched.after(500), ["again Stopped"], "its kind stays");
}

#[test]
fn a_queue_entry_tells_of_the_job_or_pod_that_owns_it() {
    let evicted = json!({"conditions": [condition("Evicted", "Preempted", "11:59:00")]});
    let mut watched = Watched::of(&["Workload"]);
    watched.job(job("u1", 5, &running()));
    let queue = thing("Workload/w", Some("Job/u1"), 6, &json!({}));
    assert_eq!(watched.live(queue), NOTHING);
    let told = watched.live(thing("Workload/w", Some("Job/u1"), 7, &evicted));
    assert_eq!(told, ["u1 Preempted"]);
    assert_eq!(watched.index.next_wake(), None, "what is no subject does not wait");

    // Plain Pods that are queued as a group own one entry together.
    let mut watched = Watched::of(&["Workload"]);
    for uid in ["n1", "n2"] {
        watched.pod(notebook(uid, 8, &json!({"phase": "Running"})));
    }
    let failed = json!({"conditions": [condition("Evicted", "DeactivatedDueToRequeuingLimitExceeded", "11:59:00")]});
    let (kind, _) = thing("Workload/g", None, 9, &failed);
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": uid, "uid": uid});
    let group = Object::from(json!({"metadata": {"name": "g", "uid": "g", "resourceVersion": "9",
        "ownerReferences": [owner("n1"), owner("n2")]}, "status": failed}));
    assert_eq!(watched.live((kind, group)), ["n1 Failed", "n2 Failed"]);
}

#[test]
fn a_part_that_is_released_by_its_owner_speaks_for_itself() {
    let mut watched = Watched::of(&["JobSet"]);
    watched.live(thing("JobSet/s", None, 5, &restarts(0)));
    assert_eq!(watched.job(part("u1", "JobSet/s", 6, &running())), NOTHING);
    assert_eq!(watched.job(job("u1", 7, &running())), ["u1 Running"]);
    assert_eq!(watched.live(thing("JobSet/s", None, 8, &restarts(1))), ["s FaultTolerance"]);
    assert!(!watched.index.children.contains_key("s"));
}

/// The nodes of a `Workflow` have Pods, whose states are no news of the run.
#[test]
fn an_object_of_any_shape_is_held_and_let_go() {
    let mut watched = Watched::of(&["PyTorchJob", "Workflow", "RayJob"]);
    for status in [json!(null), json!(7), json!([1]), json!({"conditions": 3}), json!({"phase": {}, "nodes": [[]]})] {
        for name in ["PyTorchJob/a", "Workflow/b", "RayJob/c"] {
            watched.live(thing(name, None, 5, &status));
            watched.deleted(thing(name, None, 6, &status));
        }
        watched.after(1000);
        assert!(watched.index.is_empty());
    }
}
