//! Situations that detectors of workloads are known to get wrong, over the kinds in which they occur.

use super::*;
use crate::detect::job::{self, JobView};
use crate::detect::pod::PodView;

fn job(status: &Value) -> JobView {
    let metadata = json!({"name": "nightly", "creationTimestamp": at("10:00:00")});
    serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
}

fn pytorch() -> Kind {
    kind("kubeflow.org/PyTorchJob", "v1")
}

fn of(status: &Value) -> Object {
    object(&json!({}), status)
}

fn found(kind: &Kind, object: &Object) -> Vec<Detected> {
    kind.detect(object, &Below::default(), Presence::Present).found
}

fn since(start: &str, all: &[Value]) -> Value {
    json!({"startTime": at(start), "conditions": all})
}

/// For every kind of job: how it shows that it has ended well.
fn ends() -> Vec<(Kind, Value)> {
    let condition = |kind: &str| conditions(&[yes(kind, "", "11:00:00")]);
    let ray = json!({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": at("11:00:00")});
    let volcano = json!({"state": {"phase": "Completed", "lastTransitionTime": at("11:00:00")}, "conditions": [
        {"status": "Running", "lastTransitionTime": at("10:00:09")}]});
    vec![
        (pytorch(), condition("Succeeded")),
        (kind("kubeflow.org/MPIJob", "v2beta1"), condition("Succeeded")),
        (kind("training.kubedl.io/PyTorchJob", "v1alpha1"), condition("Succeeded")),
        (kind("jobset.x-k8s.io/JobSet", "v1alpha2"), condition("Completed")),
        (kind("trainer.kubeflow.org/TrainJob", "v1alpha1"), condition("Complete")),
        (kind("ray.io/RayJob", "v1"), ray),
        (kind("batch.volcano.sh/Job", "v1alpha1"), volcano),
    ]
}

#[test]
fn pitfall_01_terminal_state_is_the_first_thing_seen() {
    for (kind, status) in ends() {
        proves(&kind, &of(&status), &["Succeeded[]@11:00:00"]);
        assert!(kind.is_finished(&of(&status)), "{}", kind.file());
    }
}

#[test]
fn pitfall_03_same_name_new_uid_is_another_subject() {
    let uid = |uid: &str| {
        let object = Object::from(json!({"metadata": {"name": "nightly", "uid": uid}}));
        pytorch().subject(&object)
    };
    assert_ne!(uid("u1").uid, uid("u2").uid);
    assert_eq!((uid("u1").api_version.as_str(), uid("u1").kind.as_str()), ("kubeflow.org/v1", "PyTorchJob"));
}

#[test]
fn pitfall_04_condition_toggles_true_false_true_with_the_same_reason() {
    let restarting = |clock| of(&since("10:00:02", &[yes("Restarting", "PyTorchJobRestarting", clock)]));
    proves(&pytorch(), &restarting("10:20:00"), &["FaultTolerance[10:20:00]@10:20:00"]);
    proves(&pytorch(), &of(&since("10:00:02", &[yes("Running", "", "10:21:00")])), &["Running[10:00:02]@10:21:00"]);
    proves(&pytorch(), &restarting("10:40:00"), &["FaultTolerance[10:40:00]@10:40:00"]);
}

#[test]
fn pitfall_05_condition_rewritten_with_new_message_only() {
    let names = |kind: &Kind, status: &Value| {
        found(kind, &of(status)).into_iter().map(|it| (it.transition, it.occurrence)).collect::<Vec<_>>()
    };
    let rewritten = |condition: &str, status: &str, clock: &str| {
        conditions(&[json!({"type": condition, "status": status, "message": clock, "lastTransitionTime": at(clock)})])
    };
    let volcano = |clock: &str| {
        json!({"state": {"phase": "Running", "lastTransitionTime": at(clock)},
        "conditions": [{"status": "Running", "lastTransitionTime": at(clock)}], "running": 3})
    };
    for (kind, [before, after]) in [
        (
            kind("tekton.dev/TaskRun", "v1"),
            ["10:20:00", "10:21:00"].map(|clock| rewritten("Succeeded", "False", clock)),
        ),
        (
            kind("serving.kserve.io/InferenceService", "v1beta1"),
            ["10:20:00", "10:21:00"].map(|clock| rewritten("Ready", "True", clock)),
        ),
        (kind("batch.volcano.sh/Job", "v1alpha1"), ["10:20:00", "10:21:00"].map(volcano)),
    ] {
        assert_eq!(names(&kind, &before).len(), 1, "{}", kind.file());
        assert_eq!(names(&kind, &before), names(&kind, &after), "{}", kind.file());
    }
}

#[test]
fn pitfall_06_suspend_resume_suspend_again() {
    let suspended = |clock, start| since(start, &[not("Running", "", clock), yes("Suspended", "", clock)]);
    let resumed = |start| since(start, &[not("Suspended", "", start), yes("Running", "", start)]);
    let by_hand = [
        (suspended("10:10:00", "10:00:02"), "Stopped[10:10:00]@10:10:00"),
        (resumed("10:20:00"), "Running[10:20:00]@10:20:00"),
        (suspended("10:30:00", "10:20:00"), "Stopped[10:30:00]@10:30:00"),
    ];
    for (status, expected) in by_hand {
        proves(&pytorch(), &of(&status), &[expected]);
        proves(&pytorch(), &labelled(&kueue(), &json!({}), &status), &[&expected.replace("Stopped", "Queued")]);
    }
}

#[test]
fn pitfall_07_jobset_restarts_twice_between_two_watch_events() {
    let told = found(&kind("jobset.x-k8s.io/JobSet", "v1alpha2"), &of(&json!({"restarts": 2})));
    assert_eq!(shown(&told), ["FaultTolerance[restarts:2]@-"]);
    assert_eq!(told[0].data["restarts"], 2);
}

#[test]
fn pitfall_08_restarting_replaced_by_running_before_it_is_seen() {
    let status = json!({"startTime": at("10:00:02"), "replicaStatuses": {"Worker": {"failed": 1}},
        "conditions": [yes("Running", "", "10:20:30")]});
    proves(&pytorch(), &of(&status), &["Running[10:00:02]@10:20:30", "FaultTolerance[failed:1]@-"]);
    // A container that is restarted in its Pod never raises the condition.
    let exit = json!({"terminated": {"exitCode": 1, "finishedAt": at("10:20:00")}});
    let pods = [pod(
        "w-0",
        &json!({"phase": "Running", "containerStatuses": [{"name": "pytorch", "restartCount": 1, "lastState": exit}]}),
    )];
    let running = of(&since("10:00:02", &[yes("Running", "", "10:00:30")]));
    proves_below(
        &pytorch(),
        &running,
        &Below { pods: &pods, lent: &[] },
        &["Running[10:00:02]@10:00:30", "FaultTolerance[restarts@10:20:00]@10:20:00"],
    );
    assert!(pytorch().note().is_some_and(|note| note.contains("restart")));
}

#[test]
fn pitfall_09_preempted_by_kueue_and_readmitted_at_once() {
    let workload = kind("kueue.x-k8s.io/Workload", "v1beta2");
    let counted = |all: &[Value]| {
        json!({"conditions": all, "schedulingStats": {"evictions": [{"reason": "Preempted",
        "count": 1}]}})
    };
    let all_true = counted(&[
        yes("Evicted", "Preempted", "10:30:00"),
        yes("QuotaReserved", "", "10:30:00"),
        yes("Admitted", "", "10:30:00"),
    ]);
    let readmitted = counted(&[
        not("Evicted", "QuotaReserved", "10:30:00"),
        yes("QuotaReserved", "", "10:30:00"),
        yes("Admitted", "", "10:30:00"),
    ]);
    for status in [all_true, readmitted] {
        let (lent, _) = workload.lend(&of(&status), &Below::default());
        assert!(shown(&lent.found).contains(&"Preempted[preempted:1]@10:30:00".to_owned()), "{:?}", shown(&lent.found));
    }
}

#[test]
fn pitfall_10_pod_deleted_by_its_job_after_success_phase_failed_on_the_way_out() {
    let pod: PodView = serde_json::from_value(json!({
        "metadata": {"name": "w-0", "deletionTimestamp": at("11:00:31"), "deletionGracePeriodSeconds": 30},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 143,
            "finishedAt": at("11:00:03")}}}]}}))
    .unwrap();
    assert_eq!(pod::facts(&pod).failure, None);
    let pods = [pod::facts(&pod)];
    proves_below(
        &pytorch(),
        &of(&conditions(&[yes("Succeeded", "", "11:00:00")])),
        &Below { pods: &pods, lent: &[] },
        &["Succeeded[]@11:00:00"],
    );
}

#[test]
fn pitfall_11_rayjob_complete_and_stopped_failed_and_running() {
    let state = |phase: &str, job: &str| {
        of(&json!({"jobDeploymentStatus": phase, "jobStatus": job, "endTime": at("11:00:00")}))
    };
    let rayjob = kind("ray.io/RayJob", "v1");
    proves(&rayjob, &state("Complete", "STOPPED"), &["Stopped[]@11:00:00"]);
    proves(&rayjob, &state("Failed", "RUNNING"), &["Failed[]@11:00:00"]);
}

#[test]
fn pitfall_12_deadline_hit_is_timeout_and_failed() {
    use crate::lifecycle::EventType::{JobFailed, JobFinished, JobTimeout};
    let by_reason = |kind: &str| conditions(&[yes(kind, "DeadlineExceeded", "11:00:00")]);
    let mut message = yes("Failed", "JobFailed", "11:00:00");
    message["message"] = json!("nightly has failed because it was active longer than specified deadline");
    let by_message = conditions(&[message]);
    let ray = json!({"jobDeploymentStatus": "Failed", "reason": "DeadlineExceeded", "endTime": at("11:00:00")});
    let mut set = yes("Failed", "FailedJobs", "11:00:00");
    set["message"] = json!("first failed job: nightly");
    let child = [Lent::of_job(&job(&by_reason("Failed")), &[])];
    let alone = Below::default();
    let over_a_job = Below { pods: &[], lent: &child };
    for (name, version, status, below) in [
        ("trainer.kubeflow.org/TrainJob", "v1alpha1", by_reason("Failed"), &alone),
        ("kubeflow.org/MPIJob", "v2beta1", by_reason("Failed"), &alone),
        ("ray.io/RayJob", "v1", ray, &alone),
        ("kubeflow.org/PyTorchJob", "v1", by_message.clone(), &alone),
        ("training.kubedl.io/PyTorchJob", "v1alpha1", by_message, &alone),
        ("jobset.x-k8s.io/JobSet", "v1alpha2", conditions(&[set]), &over_a_job),
    ] {
        let found = kind(name, version).detect(&of(&status), below, Presence::Present).found;
        let [only] = found.as_slice() else { panic!("{name}: {}", shown(&found).join(" ")) };
        let events = EventType::of(Source::DLCJob, only.transition, only.cause);
        assert_eq!(events, [JobFailed, JobFinished, JobTimeout], "{name}");
    }
    assert_eq!(job::detect(&job(&by_reason("Failed")), &[], Presence::Present)[0].cause, Cause::Deadline);
}

#[test]
fn pitfall_13_ttl_seconds_after_finished_0() {
    for (kind, status) in ends() {
        leaves(&kind, &of(&status), Presence::Deleted, &["Succeeded[]@11:00:00"]);
    }
}

#[test]
fn pitfall_15_watch_expired_while_objects_finished_and_were_deleted() {
    for (kind, _) in ends() {
        let gone = kind.detect(&of(&json!({})), &Below::default(), Presence::Gone).found;
        assert_eq!(shown(&gone), ["Stopped[deleted]@-"], "{}", kind.file());
        assert_eq!(gone[0].message, "gone; the cause was not observed");
    }
}

#[test]
fn pitfall_16_failure_target_then_failed_minutes_later() {
    let target = yes("FailureTarget", "BackoffLimitExceeded", "11:00:00");
    let over = job(&conditions(&[target, yes("Failed", "BackoffLimitExceeded", "11:07:00")]));
    assert_eq!(shown(&job::detect(&over, &[], Presence::Present)), ["Failed[]@11:00:00"]);
}

#[test]
fn pitfall_17_elastic_resize_is_no_finish() {
    let workload = kind("kueue.x-k8s.io/Workload", "v1beta2");
    let replaced = of(&conditions(&[yes("Finished", "WorkloadSliceReplaced", "10:30:00")]));
    let lent = [workload.lend(&replaced, &Below::default()).0];
    let running = of(&since("10:00:02", &[yes("Running", "", "10:00:30")]));
    proves_below(&pytorch(), &running, &Below { pods: &[], lent: &lent }, &["Running[10:00:02]@10:00:30"]);
}

#[test]
fn pitfall_18_workflow_retried_after_failed() {
    let workflow = kind("argoproj.io/Workflow", "v1alpha1");
    let run = |phase: &str, clock: &str| of(&json!({"phase": phase, "finishedAt": at(clock)}));
    proves(&workflow, &run("Failed", "11:00:00"), &["Failed[11:00:00]@11:00:00"]);
    proves(&workflow, &of(&json!({"phase": "Running"})), &[]);
    proves(&workflow, &run("Failed", "11:30:00"), &["Failed[11:30:00]@11:30:00"]);
    proves(&workflow, &run("Succeeded", "11:30:00"), &["Succeeded[11:30:00]@11:30:00"]);
}

#[test]
fn pitfall_19_unknown_phase_missing_conditions_empty_status_reason_absent() {
    for (kind, _) in ends() {
        for status in [json!(null), json!({}), json!({"conditions": []}), json!({"conditions": [{}]})] {
            proves(&kind, &of(&status), &["Queued[]@10:00:00"]);
        }
        let bare = json!({"conditions": [{"type": "Failed", "status": "True"}], "state": {"phase": "Failed"},
            "jobDeploymentStatus": "Failed"});
        let found = found(&kind, &of(&bare));
        assert_eq!(shown(&found), ["Failed[]@-"], "{}", kind.file());
    }
}

#[test]
fn pitfall_20_event_time_before_creation_or_in_the_future_is_shown_as_given() {
    for clock in ["09:00:00", "23:59:59"] {
        let expected = format!("Failed[]@{clock}");
        proves(&pytorch(), &of(&conditions(&[yes("Failed", "", clock)])), &[&expected]);
    }
    let skewed = json!({"startTime": at("12:00:00"), "conditions": [yes("Failed", "", "11:00:00")]});
    assert_eq!(found(&pytorch(), &of(&skewed))[0].data.get("durationSeconds"), None);
}

#[test]
fn pitfall_21_status_for_an_old_generation() {
    let rayjob = kind("ray.io/RayJob", "v1");
    let status = |observed: i64| {
        json!({"observedGeneration": observed, "jobDeploymentStatus": "Running",
        "jobStatus": "RUNNING"})
    };
    proves(&rayjob, &of(&status(1)), &[]);
    proves(&rayjob, &of(&status(2)), &["Running[]@-"]);
    proves(&rayjob, &of(&status(0)), &["Running[]@-"]);
}

#[test]
fn pitfall_22_two_kinds_with_one_name() {
    let catalog = Catalog::built_in();
    let file = |api_version: &str, kind: &str| catalog.kind_of(api_version, kind).map(Kind::file);
    assert_eq!(file("kubeflow.org/v1", "PyTorchJob"), Some("kubeflow-pytorchjob.yaml"));
    assert_eq!(file("training.kubedl.io/v1alpha1", "PyTorchJob"), Some("kubedl-pytorchjob.yaml"));
    assert_eq!(file("batch.volcano.sh/v1alpha1", "Job"), Some("volcano-job.yaml"));
    assert_eq!(file("batch/v1", "Job"), None);
    assert_eq!(file("kubeflow.org/v1", "Notebook"), Some("kubeflow-notebook.yaml"));
    assert_eq!(file("notebook.kubedl.io/v1alpha1", "Notebook"), Some("kubedl-notebook.yaml"));
    assert_eq!(file("kubeflow.org/v1", "MPIJob"), Some("kubeflow-mpijob-v1.yaml"));
    assert_eq!(file("kubeflow.org/v2beta1", "MPIJob"), Some("kubeflow-mpijob-v2beta1.yaml"));
    assert_eq!(file("v1", "Pod"), None);
}
