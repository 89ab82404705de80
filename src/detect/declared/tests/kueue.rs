//! What queue entries of Kueue, and node claims of Karpenter, say of the jobs that they are for.

use rstest::rstest;

use super::*;
use crate::detect::job::{self, JobView};

fn workload() -> Kind {
    kind("kueue.x-k8s.io/Workload", "v1beta2")
}

fn pytorch() -> Kind {
    kind("kubeflow.org/PyTorchJob", "v1")
}

fn spot() -> Value {
    json!({"podSets": [{"template": {"spec": {"nodeSelector": {"karpenter.sh/capacity-type": "spot"}}}}]})
}

fn provisioning(state: &str) -> Value {
    json!({"admissionChecks": [{"name": "prov", "state": state, "lastTransitionTime": at("10:00:07")}],
        "conditions": [yes("QuotaReserved", "QuotaReserved", "10:00:05")]})
}

#[track_caller]
fn lends(kind: &Kind, object: &Object) -> Lent {
    let (lent, problems) = kind.lend(object, &Below::default());
    assert_eq!(problems, []);
    lent
}

fn evicted(reason: &str) -> Value {
    conditions(&[
        yes("Evicted", reason, "10:30:00"),
        yes("QuotaReserved", "QuotaReserved", "10:00:05"),
        yes("Admitted", "Admitted", "10:00:05"),
    ])
}

fn counted(mut status: Value, count: i64) -> Value {
    status["schedulingStats"] = json!({"evictions": [
        {"reason": "Preempted", "underlyingCause": "InClusterQueue", "count": count},
        {"reason": "PodsReadyTimeout", "underlyingCause": "", "count": 2}]});
    status
}

#[rstest]
#[case::behind_the_head_of_the_queue(json!({}), &["Queued[]@10:00:00"])]
#[case::waiting(conditions(&[not("QuotaReserved", "WaitingForQuota", "10:00:01")]), &["Queued[]@10:00:00"])]
#[case::quota_held(conditions(&[yes("QuotaReserved", "QuotaReserved", "10:00:05")]), &[])]
#[case::admitted(conditions(&[yes("QuotaReserved", "", "10:00:05"), yes("Admitted", "Admitted", "10:00:05")]), &[])]
#[case::recovering(
    conditions(&[yes("QuotaReserved", "", "10:00:05"), not("PodsReady", "WaitForRecovery", "10:20:00")]),
    &["FaultTolerance[10:20:00]@10:20:00"])]
#[case::preempted(evicted("Preempted"), &["Queued[]@10:00:00", "Preempted[10:30:00]@10:30:00"])]
#[case::preempted_and_counted(counted(evicted("Preempted"), 1), &["Queued[]@10:00:00",
    "Preempted[preempted:1]@10:30:00"])]
#[case::preempted_and_admitted_again(
    counted(conditions(&[not("Evicted", "QuotaReserved", "10:30:02"), yes("QuotaReserved", "", "10:30:02")]), 1),
    &["Preempted[preempted:1]@10:30:02"])]
#[case::node_lost(evicted("NodeFailures"), &["Queued[]@10:00:00", "FaultTolerance[10:30:00]@10:30:00"])]
#[case::timeout(
    evicted("DeactivatedDueToMaximumExecutionTimeExceeded"), &["Queued[]@10:00:00", "Failed![10:30:00]@10:30:00"])]
#[case::given_up(
    evicted("DeactivatedDueToRequeuingLimitExceeded"), &["Queued[]@10:00:00", "Failed[10:30:00]@10:30:00"])]
#[case::stopped_by_hand(evicted("Deactivated"), &["Queued[]@10:00:00", "Stopped[10:30:00]@10:30:00"])]
#[case::startup_took_too_long(evicted("PodsReadyTimeout"), &["Queued[]@10:00:00"])]
#[case::moved(evicted("FlavorMigration"), &["Queued[]@10:00:00"])]
#[case::finished(conditions(&[yes("Finished", "Succeeded", "11:00:00"), yes("Evicted", "Preempted", "10:30:00")]), &[])]
#[case::replaced_by_a_resize(conditions(&[yes("Finished", "WorkloadSliceReplaced", "11:00:00")]), &[])]
#[case::wants_no_spot(provisioning("Pending"), &[])]
fn what_a_workload_lends(#[case] status: Value, #[case] expected: &[&str]) {
    assert_eq!(shown(&lends(&workload(), &object(&json!({}), &status)).found), expected);
}

#[test]
fn a_workload_is_no_subject() {
    let entry = labelled(&json!({"notification.pai.dev/source": "DLCJob"}), &json!({}), &evicted("Preempted"));
    assert_eq!(workload().source_of(&entry), None);
    assert_eq!(workload().detect(&entry, &Below::default(), Presence::Present), Findings::default());
}

#[rstest]
#[case::pending(provisioning("Pending"), &["BiddingStarted[]@10:00:07"])]
#[case::retry(provisioning("Retry"), &["BiddingStarted[]@10:00:07"])]
#[case::ready(provisioning("Ready"), &[])]
#[case::after_an_eviction(counted(provisioning("Pending"), 0), &["BiddingStarted[evictions:2]@10:00:07"])]
fn waiting_for_spot_capacity_is_bidding(#[case] status: Value, #[case] expected: &[&str]) {
    assert_eq!(shown(&lends(&workload(), &object(&spot(), &status)).found), expected);
}

#[test]
fn a_claim_of_a_spot_node_is_bidding_until_the_node_is_launched() {
    let claim = kind("karpenter.sh/NodeClaim", "v1");
    assert_eq!(claim.scope(), Scope::Cluster);
    let labels = |kind: &str| json!({"karpenter.sh/capacity-type": kind});
    let told = |labels: &Value, status: &Value| shown(&lends(&claim, &labelled(labels, &json!({}), status)).found);
    assert_eq!(told(&labels("spot"), &json!({})), ["BiddingStarted[]@10:00:00"]);
    assert_eq!(told(&labels("spot"), &conditions(&[yes("Launched", "Launched", "10:00:09")])), [""; 0]);
    assert_eq!(told(&labels("on-demand"), &json!({})), [""; 0]);
}

/// A job that Kueue has suspended, after it had run.
fn suspended() -> Object {
    let status = json!({"startTime": at("10:00:10"), "conditions": [not("Running", "", "10:30:02"), yes("Suspended",
        "", "10:30:02")]});
    object(&json!({}), &status)
}

#[track_caller]
fn with_workload(job: &Object, status: &Value, expected: &[&str]) {
    let lent = [lends(&workload(), &object(&json!({}), status))];
    proves_below(&pytorch(), job, &Below { pods: &[], lent: &lent }, expected);
}

#[test]
fn a_job_with_a_queue_entry_was_suspended_by_kueue_though_it_has_no_label() {
    with_workload(
        &suspended(),
        &evicted("Preempted"),
        &["Queued[10:30:02]@10:30:02", "Preempted[nightly:10:30:00]@10:30:00"],
    );
    with_workload(
        &suspended(),
        &conditions(&[not("QuotaReserved", "WaitingForQuota", "10:31:00")]),
        &["Queued[10:30:02]@10:30:02"],
    );
}

#[test]
fn a_job_whose_queue_entry_was_given_up_does_not_wait() {
    with_workload(&suspended(), &evicted("Deactivated"), &["Stopped[nightly:10:30:00]@10:30:00"]);
    with_workload(
        &suspended(),
        &evicted("DeactivatedDueToMaximumExecutionTimeExceeded"),
        &["Failed![nightly:10:30:00]@10:30:00"],
    );
}

#[test]
fn a_job_learns_from_its_queue_entry_why_it_waits() {
    let created = labelled(&kueue(), &json!({}), &conditions(&[yes("Suspended", "PyTorchJobSuspended", "10:00:01")]));
    let mut waiting = not("QuotaReserved", "WaitingForQuota", "10:00:01");
    waiting["message"] = json!("insufficient unused quota for nvidia.com/gpu");
    let entry = object(&json!({"queueName": "gpu"}), &conditions(&[waiting]));
    let lent = [lends(&workload(), &entry)];
    let found = pytorch().detect(&created, &Below { pods: &[], lent: &lent }, Presence::Present).found;
    assert_eq!(shown(&found), ["Queued[]@10:00:00"]);
    assert_eq!(
        (found[0].reason.as_str(), found[0].message.as_str()),
        ("WaitingForQuota", "insufficient unused quota for nvidia.com/gpu")
    );
    assert_eq!(found[0].data["queue"], "gpu");
}

#[test]
fn a_job_that_has_ended_is_told_nothing_more_of_its_queue() {
    let done = object(&json!({}), &conditions(&[yes("Succeeded", "", "11:00:00")]));
    with_workload(&done, &counted(evicted("Preempted"), 3), &["Succeeded[]@11:00:00"]);
}

#[test]
fn a_batch_job_is_told_of_its_queue_entry_too() {
    let suspended = json!({"type": "Suspended", "status": "True", "lastTransitionTime": at("10:30:02")});
    let view = json!({"metadata": {"name": "nightly", "labels": kueue(), "creationTimestamp": at("10:00:00")},
        "spec": {"suspend": true}, "status": {"startTime": at("10:00:10"), "conditions": [suspended]}});
    let view: JobView = serde_json::from_value(view).unwrap();
    let of_job = || job::detect(&view, &[], Presence::Present);
    let told = |status: &Value| {
        let lent = [lends(&workload(), &object(&json!({}), status))];
        shown(&combine(of_job(), job::is_finished(&view), &Below { pods: &[], lent: &lent }))
    };
    let preempted = ["Queued[10:30:02]@10:30:02", "Preempted[nightly:10:30:00]@10:30:00"];
    assert_eq!(told(&evicted("Preempted")), preempted);
    assert_eq!(told(&evicted("Deactivated")), ["Stopped[nightly:10:30:00]@10:30:00"]);
}

#[test]
fn pods_that_find_no_spot_node_are_bidding_and_pods_that_lose_theirs_preempted() {
    let pods = json!({"spec": {"nodeSelector": {"cloud.google.com/gke-spot": "true"}}});
    let template = json!({"pytorchReplicaSpecs": {"Worker": {"template": pods}}});
    let job = object(&template, &json!({}));
    let waiting = |name, clock| {
        pod(name, &json!({"phase": "Pending", "conditions": [not("PodScheduled", "Unschedulable", clock)]}))
    };
    let pods = [waiting("w-1", "10:00:09"), waiting("w-0", "10:00:07")];
    proves_below(
        &pytorch(),
        &job,
        &Below { pods: &pods, lent: &[] },
        &["Queued[]@10:00:00", "BiddingStarted[]@10:00:07"],
    );
    // Kueue says the same: it is one wait.
    let lent = [lends(&workload(), &object(&spot(), &provisioning("Pending")))];
    let both = Below { pods: &pods, lent: &lent };
    proves_below(&pytorch(), &job, &both, &["Queued[]@10:00:00", "BiddingStarted[]@10:00:07"]);
    let on_demand = object(&json!({}), &json!({}));
    proves_below(&pytorch(), &on_demand, &Below { pods: &pods, lent: &[] }, &["Queued[]@10:00:00"]);

    let running =
        object(&template, &json!({"startTime": at("10:00:02"), "conditions": [yes("Running", "", "10:00:30")]}));
    let lost = |name, clock| {
        pod(
            name,
            &json!({"phase": "Running", "conditions": [yes("DisruptionTarget", "DeletionByTaintManager", clock)]}),
        )
    };
    let pods = [lost("w-0", "10:20:03"), lost("w-1", "10:20:01")];
    let found = pytorch().detect(&running, &Below { pods: &pods, lent: &[] }, Presence::Present).found;
    assert_eq!(shown(&found), ["Running[10:00:02]@10:00:30", "Preempted[reclaimed@10:20:00]@10:20:01"]);
    assert_eq!((found[1].reason.as_str(), &found[1].data["pods"]), ("SpotReclaimed", &json!(2)));
}
