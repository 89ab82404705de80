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

#[test]
fn a_trainjob_is_told_about_and_nothing_below_it() {
    let replicas = |ready: i64| json!([{"name": "node", "ready": ready}]);
    let admitted = |clock: &str| {
        json!({"conditions": [yes("QuotaReserved", "", clock), yes("Admitted", "", clock)],
        "schedulingStats": {"evictions": []}})
    };
    let preempted = |current: Value| {
        json!({"conditions": current,
        "schedulingStats": {"evictions": [{"reason": "Preempted", "underlyingCause": "InClusterQueue", "count": 1}]}})
    };
    let suspended = |clock: &str| conditions(&[yes("Suspended", "Suspended", clock)]);
    let resumed = |clock: &str, ready: i64| {
        json!({"conditions": [not("Suspended", "Resumed", clock)],
        "jobsStatus": replicas(ready)})
    };
    let restarted = json!({"restarts": 1, "replicatedJobsStatus": replicas(1)});
    let first = ready_pod("node-0", "10:02:00");
    let lost = failed_pod("node-0", "10:20:00");
    let second = ready_pod("node-0b", "10:21:00");
    let third = ready_pod("node-0c", "10:51:00");
    let moments = [
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
            workload: admitted("10:01:00"),
            pods: vec![],
        },
        Moment {
            train: resumed("10:01:00", 1),
            set: json!({"replicatedJobsStatus": replicas(1)}),
            job: json!({"ready": 1, "startTime": at("10:01:01")}),
            workload: admitted("10:01:00"),
            pods: vec![first],
        },
        Moment {
            train: resumed("10:01:00", 0),
            set: json!({"restarts": 1}),
            job: json!({"conditions": [yes("Failed", "BackoffLimitExceeded", "10:20:01")]}),
            workload: admitted("10:01:00"),
            pods: vec![lost.clone()],
        },
        Moment {
            train: resumed("10:01:00", 1),
            set: restarted.clone(),
            job: json!({"ready": 1}),
            workload: admitted("10:01:00"),
            pods: vec![lost.clone(), second.clone()],
        },
        Moment {
            train: resumed("10:01:00", 1),
            set: restarted.clone(),
            job: json!({"ready": 1}),
            workload: preempted(json!([
                yes("Evicted", "Preempted", "10:40:00"),
                yes("Preempted", "InClusterQueue", "10:40:00"),
                yes("QuotaReserved", "", "10:01:00")
            ])),
            pods: vec![lost.clone(), second.clone()],
        },
        Moment {
            train: suspended("10:40:05"),
            set: json!({"restarts": 1}),
            job: json!({}),
            workload: preempted(json!([
                yes("Evicted", "Preempted", "10:40:00"),
                not("QuotaReserved", "Pending", "10:40:06")
            ])),
            pods: vec![lost.clone(), second.clone()],
        },
        Moment {
            train: resumed("10:50:00", 1),
            set: restarted,
            job: json!({"ready": 1}),
            workload: preempted(json!([
                not("Evicted", "QuotaReserved", "10:50:00"),
                yes("QuotaReserved", "", "10:50:00")
            ])),
            pods: vec![lost.clone(), second.clone(), third.clone()],
        },
        Moment {
            train: conditions(&[
                not("Suspended", "Resumed", "10:50:00"),
                yes("Complete", "AllJobsCompleted", "11:30:00"),
            ]),
            set: json!({"restarts": 1}),
            job: json!({}),
            workload: conditions(&[yes("Finished", "Succeeded", "11:30:01")]),
            pods: vec![lost, second, third],
        },
    ];
    let mut known = BTreeSet::new();
    let mut told = Vec::new();
    for moment in &moments {
        let fresh: Vec<Detected> =
            moment.told().into_iter().filter(|it| known.insert((it.transition, it.occurrence.clone()))).collect();
        told.push(shown(&fresh).join(" "));
    }
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
