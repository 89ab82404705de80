//! How long one update of an object takes, from its bytes to what it proves: for a declared kind, and for the Pods,
//! which are read in Rust.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pai_notification::detect::Presence;
use pai_notification::detect::declared::{Below, Catalog, Object};
use pai_notification::detect::pod::{self, PodView};
use serde_json::{Value, json};

const UPDATES: u64 = 10_000;

/// The `n`th status update of a job with a Pod template as people write it.
fn pytorch_job(n: u64) -> Vec<u8> {
    let time = |second: u64| format!("2026-11-24T10:{:02}:{:02}Z", second / 60 % 60, second % 60);
    let condition = |kind: &str, status: &str, second| {
        json!({"type": kind, "status": status, "reason": format!("PyTorchJob{kind}"),
            "message": format!("PyTorchJob vision/nightly-{n} is {kind}."),
            "lastUpdateTime": time(second), "lastTransitionTime": time(second)})
    };
    let mut conditions = vec![condition("Created", "True", 0)];
    match n % 4 {
        0 => {}
        1 => conditions.push(condition("Running", "True", 7)),
        2 => conditions.push(condition("Restarting", "True", 60)),
        _ => conditions.extend([condition("Running", "False", 90), condition("Succeeded", "True", 90)]),
    }
    let replica = |replicas: u64| json!({"replicas": replicas, "restartPolicy": "OnFailure", "template": template()});
    let job = json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": metadata(n),
        "spec": {"runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 3, "activeDeadlineSeconds": 86400},
            "pytorchReplicaSpecs": {"Master": replica(1), "Worker": replica(7)}},
        "status": {"startTime": time(1), "conditions": conditions,
            "replicaStatuses": {"Master": {"active": 1}, "Worker": {"active": 7, "failed": n % 4 / 2}}},
    });
    serde_json::to_vec(&job).unwrap()
}

fn metadata(n: u64) -> Value {
    json!({"name": format!("nightly-{n}"), "namespace": "vision", "uid": format!("5f0c1f9e-0000-4000-8000-{n:012}"),
        "resourceVersion": (100_000 + n).to_string(), "generation": 1, "creationTimestamp": "2026-11-24T10:00:00Z",
        "labels": {"team": "vision", "tier": "gold", "app.kubernetes.io/name": "train"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(900)},
        "managedFields": [managed("kubectl-client-side-apply"), managed("training-operator")]})
}

fn managed(manager: &str) -> Value {
    let fields: serde_json::Map<String, Value> = (0..16).map(|n| (format!("f:field{n}"), json!({".": {}}))).collect();
    json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-11-24T10:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields, "f:status": {}}})
}

fn template() -> Value {
    let env: Vec<Value> = (0..8).map(|n| json!({"name": format!("OPTION_{n}"), "value": "some value"})).collect();
    json!({"metadata": {"labels": {"team": "vision"}}, "spec": {
        "nodeSelector": {"accelerator": "a100"},
        "containers": [{"name": "pytorch", "image": "registry.example.com/vision/train:1.4.2",
            "command": ["python", "/workspace/train.py", "--epochs=90", "--batch-size=256"], "env": env,
            "resources": {"limits": {"nvidia.com/gpu": "8", "cpu": "64", "memory": "512Gi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "shm", "mountPath": "/dev/shm"}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "imagenet"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}}]}})
}

/// A running Pod with one sidecar, of about 6 KB.
fn running_pod() -> Vec<u8> {
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "lastProbeTime": null,
        "lastTransitionTime": "2026-11-24T10:00:09Z"})
    };
    let container = |name: &str| {
        json!({"name": name, "ready": true, "started": true, "restartCount": 1,
            "image": "registry.example.com/vision/train:1.4.2",
            "imageID": format!("registry.example.com/vision/train@sha256:{}", "0f".repeat(32)),
            "containerID": format!("containerd://{}", "ab".repeat(32)),
            "state": {"running": {"startedAt": "2026-11-24T10:00:08Z"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-11-24T10:00:03Z",
                "finishedAt": "2026-11-24T10:00:07Z", "containerID": format!("containerd://{}", "cd".repeat(32))}}})
    };
    let spec = template()["spec"].clone();
    let conditions =
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(1), "spec": {
            "nodeName": "node-17", "restartPolicy": "OnFailure", "serviceAccountName": "default",
            "containers": [spec["containers"][0], spec["containers"][0]], "volumes": spec["volumes"],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}]},
        "status": {"phase": "Running", "hostIP": "10.0.0.17", "podIP": "10.1.0.9", "qosClass": "Burstable",
            "startTime": "2026-11-24T10:00:02Z",
            "conditions": conditions,
            "containerStatuses": [container("pytorch"), container("logs")]}});
    serde_json::to_vec(&pod).unwrap()
}

fn declared(c: &mut Criterion) {
    let catalog = Catalog::built_in();
    let kind = catalog.kind_of("kubeflow.org/v1", "PyTorchJob").unwrap().clone();
    let updates: Vec<Vec<u8>> = (0..UPDATES).map(pytorch_job).collect();
    let objects: Vec<Object> = updates.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
    let below = Below::default();
    let mut group =
        c.benchmark_group(format!("PyTorchJob, {} bytes, {UPDATES} updates", updates.first().unwrap().len()));
    group.throughput(Throughput::Elements(UPDATES)).sample_size(10);
    group.bench_function("decode, trim and detect", |b| {
        b.iter(|| {
            for bytes in &updates {
                let mut object: Object = serde_json::from_slice(bytes).unwrap();
                kind.trim(&mut object);
                black_box(kind.detect(&object, &below, Presence::Present));
                black_box(object);
            }
        });
    });
    group.bench_function("detect alone", |b| {
        b.iter(|| {
            for object in &objects {
                black_box(kind.detect(object, &below, Presence::Present));
            }
        });
    });
    group.finish();
}

fn start(c: &mut Criterion) {
    c.bench_function("compile the built-in catalog", |b| b.iter(Catalog::built_in));
}

fn rust(c: &mut Criterion) {
    let bytes = running_pod();
    let mut group = c.benchmark_group(format!("Pod, {} bytes", bytes.len()));
    group.bench_function("decode", |b| b.iter(|| serde_json::from_slice::<PodView>(black_box(&bytes)).unwrap()));
    group.bench_function("facts", |b| {
        let pod: PodView = serde_json::from_slice(&bytes).unwrap();
        b.iter_batched(|| &pod, |pod| black_box(pod::facts(pod)), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, start, declared, rust);
criterion_main!(benches);
