//! One event of every kind that can be told, for the tests of texts and of channels.

use serde_json::json;

use crate::api::workspace::Locale;
use crate::lifecycle::event_type::Cause;
use crate::lifecycle::{Event, EventType, Source, Subject, Transition};

pub(crate) const LOCALES: [Locale; 2] = [Locale::En, Locale::Zh];

/// Every transition that a source has an event type for, in the order of a life; a timeout beside its failure.
pub(crate) fn told() -> Vec<(Source, Transition, Cause)> {
    let pairs = Source::ALL.into_iter().flat_map(|source| Transition::ALL.iter().map(move |found| (source, *found)));
    let mut told: Vec<_> = pairs
        .filter(|(source, found)| !EventType::of(*source, *found, Cause::Other).is_empty())
        .map(|(source, found)| (source, found, Cause::Other))
        .collect();
    told.push((Source::DLCJob, Transition::Failed, Cause::Deadline));
    told
}

/// An event of that kind, with everything that a detector could say about it.
pub(crate) fn event(source: Source, transition: Transition, cause: Cause) -> Event {
    let (reason, message) = match (transition, cause) {
        (_, Cause::Deadline) => ("DeadlineExceeded", "Job was active longer than specified deadline"),
        (Transition::Failed, Cause::Other) => ("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        (Transition::FaultTolerance, _) => ("OOMKilled", "a container was restarted; the job goes on"),
        (Transition::Preempted, _) => ("PreemptionByScheduler", "preempting to accommodate a higher priority pod"),
        (Transition::Stopped, _) => ("JobDeleted", "the job was deleted before it had finished"),
        _ => ("", ""),
    };
    let detail = match transition {
        Transition::Failed => json!({"durationSeconds": 8047, "exitCode": 137, "container": "main",
            "podReason": "OOMKilled", "pod": "nightly-42-0", "node": "gpu-node-7"}),
        Transition::FaultTolerance => json!({"restarts": 3, "pod": "nightly-42-1", "node": "gpu-node-8"}),
        Transition::Succeeded => json!({"durationSeconds": 754}),
        Transition::ImageSaving | Transition::ImageSaved | Transition::ImageSaveFailed => {
            json!({"instance": "dev-box", "durationSeconds": 12})
        }
        _ => json!({}),
    };
    let kind = if source == Source::DSWInstance { "Pod" } else { "Job" };
    let labels = [("team", "vision"), ("kueue.x-k8s.io/queue-name", "gpu")];
    Event {
        id: "0123456789abcdef".to_owned(),
        source,
        transition,
        events: EventType::of(source, transition, cause),
        time: "2026-11-24T10:32:05.25Z".parse().unwrap(),
        observed_time: "2026-11-24T10:32:06Z".parse().unwrap(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        subject: Subject {
            kind: kind.to_owned(),
            namespace: "vision".to_owned(),
            name: "nightly-42".to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Subject::default()
        },
        data: detail.as_object().cloned().unwrap_or_default(),
    }
}
