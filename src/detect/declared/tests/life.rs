//! Whole lives: what is told from the first sight of a job to its end, with all that is below it.

use std::collections::BTreeSet;

use super::*;
use crate::detect::job::JobView;

/// One moment in the life of a `TrainJob` that Kueue manages.
struct Moment {
    train: Value,
    set: Value,
    job: Value,
    workload: Value,
    pods: Vec<PodFacts>,
}

impl Moment {
    fn told(&self) -> Vec<Detected> {
        let (train, set) =
            (kind("trainer.kubeflow.org/TrainJob", "v1alpha1"), kind("jobset.x-k8s.io/JobSet", "v1alpha2"));
        let workload = kind("kueue.x-k8s.io/Workload", "v1beta2");
        let job = json!({"metadata": {"name": "nightly-node-0", "labels": kueue()}, "status": self.job});
        let of = |status: &Value| labelled(&kueue(), &json!({}), status);
        let lent = [
            Lent::of_job(&serde_json::from_value::<JobView>(job).unwrap(), &self.pods),
            set.lend(&of(&self.set), &Below::default()).0,
            workload.lend(&object(&json!({}), &self.workload), &Below::default()).0,
        ];
        let Findings { found, problems } =
            train.detect(&of(&self.train), &Below { pods: &self.pods, lent: &lent }, Presence::Present);
        assert_eq!(problems, []);
        found
    }
}

fn ready_pod(name: &str, clock: &str) -> PodFacts {
    pod(name, &json!({"phase": "Running", "conditions": [yes("Ready", "", clock)]}))
}

fn failed_pod(name: &str, clock: &str) -> PodFacts {
    let exit = json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": at(clock)}});
    pod(name, &json!({"phase": "Failed", "containerStatuses": [{"name": "main", "state": exit}]}))
}

fn replicas(ready: i64) -> Value {
    json!([{"name": "node", "ready": ready}])
}

fn resumed(clock: &str, ready: i64) -> Value {
    json!({"conditions": [not("Suspended", "Resumed", clock)], "jobsStatus": replicas(ready)})
}

fn suspended(clock: &str) -> Value {
    conditions(&[yes("Suspended", "Suspended", clock)])
}

/// A `JobSet` after its first restart.
fn restarted(ready: i64) -> Value {
    json!({"restarts": 1, "replicatedJobsStatus": replicas(ready)})
}

/// A `Workload` that was preempted once.
fn preempted(all: &[Value]) -> Value {
    json!({"conditions": all, "schedulingStats": {"evictions": [{"reason": "Preempted", "count": 1}]}})
}

/// From the queue to the first restart.
fn before_the_preemption() -> Vec<Moment> {
    let admitted = || conditions(&[yes("QuotaReserved", "", "10:01:00"), yes("Admitted", "", "10:01:00")]);
    let lost = || failed_pod("node-0", "10:20:00");
    vec![
        Moment {
            train: suspended("10:00:00"),
            set: json!({}),
            job: json!({}),
            workload: conditions(&[not("QuotaReserved", "Pending", "10:00:00")]),
            pods: vec![],
        },
        Moment {
            train: resumed("10:01:00", 0),
            set: json!({}),
            job: json!({"active": 1, "startTime": at("10:01:01")}),
            workload: admitted(),
            pods: vec![],
        },
        Moment {
            train: resumed("10:01:00", 1),
            set: json!({"replicatedJobsStatus": replicas(1)}),
            job: json!({"ready": 1, "startTime": at("10:01:01")}),
            workload: admitted(),
            pods: vec![ready_pod("node-0", "10:02:00")],
        },
        Moment {
            train: resumed("10:01:00", 0),
            set: json!({"restarts": 1}),
            job: conditions(&[yes("Failed", "BackoffLimitExceeded", "10:20:01")]),
            workload: admitted(),
            pods: vec![lost()],
        },
        Moment {
            train: resumed("10:01:00", 1),
            set: restarted(1),
            job: json!({"ready": 1}),
            workload: admitted(),
            pods: vec![lost(), ready_pod("node-1", "10:21:00")],
        },
    ]
}

/// From the preemption to the end.
fn from_the_preemption_on() -> Vec<Moment> {
    let pods = || vec![failed_pod("node-0", "10:20:00"), ready_pod("node-1", "10:21:00")];
    let again = || pods().into_iter().chain([ready_pod("node-2", "10:51:00")]).collect();
    let evicted = yes("Evicted", "Preempted", "10:40:00");
    vec![
        Moment {
            train: resumed("10:01:00", 1),
            set: restarted(1),
            job: json!({"ready": 1}),
            workload: preempted(&[evicted.clone(), yes("QuotaReserved", "", "10:01:00")]),
            pods: pods(),
        },
        Moment {
            train: suspended("10:40:05"),
            set: restarted(0),
            job: json!({}),
            workload: preempted(&[evicted, not("QuotaReserved", "Pending", "10:40:06")]),
            pods: pods(),
        },
        Moment {
            train: resumed("10:50:00", 1),
            set: restarted(1),
            job: json!({"ready": 1}),
            workload: preempted(&[not("Evicted", "", "10:50:00"), yes("QuotaReserved", "", "10:50:00")]),
            pods: again(),
        },
        Moment {
            train: conditions(&[not("Suspended", "Resumed", "10:50:00"), yes("Complete", "", "11:30:00")]),
            set: restarted(0),
            job: json!({}),
            workload: conditions(&[yes("Finished", "Succeeded", "11:30:01")]),
            pods: again(),
        },
    ]
}

#[test]
fn a_trainjob_is_told_about_and_nothing_below_it() {
    let mut known = BTreeSet::new();
    let mut fresh = |moment: &Moment| {
        let is_new = |it: &Detected| known.insert((it.transition, it.occurrence.clone()));
        shown(&moment.told().into_iter().filter(is_new).collect::<Vec<_>>()).join(" ")
    };
    let told: Vec<String> = before_the_preemption().iter().chain(&from_the_preemption_on()).map(&mut fresh).collect();
    let expected = [
        "Queued[]@10:00:00",
        "",
        "Running[10:01:00]@10:02:00",
        "FaultTolerance[nightly:restarts:1]@10:20:00",
        "",
        "Preempted[nightly:preempted:1]@10:40:00",
        "Queued[10:40:05]@10:40:05",
        "Running[10:50:00]@10:51:00",
        "Succeeded[]@11:30:00",
    ];
    assert_eq!(told, expected);
}
