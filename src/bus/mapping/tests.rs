use serde_json::Map;

use super::*;
use crate::lifecycle::cloudevent::{CloudEvent, kind};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn arrival() -> Arrival<'static> {
    Arrival {
        workspace: "vision",
        namespace: "vision-ns",
        now: at("2026-11-24T12:00:00Z"),
        lookback: SignedDuration::from_hours(24),
    }
}

fn envelope(kind: &str, subject: Option<&str>, data: Option<Value>) -> Envelope {
    Envelope {
        id: "1".to_owned(),
        source: "/ci".to_owned(),
        kind: kind.to_owned(),
        subject: subject.map(str::to_owned),
        time: None,
        data,
    }
}

fn failed(subject: Option<&str>, data: Value) -> Result<Observation, Refusal> {
    read(envelope("pai.dlc.job.failed", subject, Some(data)), &arrival()).map(|published| published.observation)
}

#[test]
fn every_type_of_ours_is_known_and_no_other() {
    let mut known = 0;
    for source in Source::ALL {
        for &transition in Transition::ALL {
            let kind = format!("pai.{}.{}", source.cloudevents_name(), transition.cloudevents_name());
            let read = read(envelope(&kind, Some("a"), None), &arrival());
            if EventType::naming(source, transition).is_some() {
                let observation = read.unwrap().observation;
                assert_eq!((observation.source, observation.detected.transition), (source, transition));
                known += 1;
            } else {
                assert!(read.unwrap_err().to_string().contains("there are pai.flow.task."), "{kind}");
            }
        }
    }
    assert!(known > 15, "{known}");
    for wrong in ["pai.dlc.job", "pai.dlc.job.Failed", "PAI.dlc.job.failed", "com.example.failed", &"x".repeat(500)] {
        let refusal = read(envelope(wrong, Some("a"), None), &arrival()).unwrap_err();
        assert!(refusal.to_string().contains("pai.model.version.approved"), "{refusal}");
        assert!(refusal.to_string().len() < 1500);
    }
}

#[test]
fn the_subject_is_taken_from_the_data_then_from_the_attribute() {
    let described = json!({"subject": {"apiVersion": "batch/v1", "kind": "PyTorchJob", "name": "b", "uid": "u",
        "namespace": "elsewhere", "labels": {"team": "vision"}}});
    for (attribute, data, kind, name) in [
        (Some("Job/a"), json!({}), "Job", "a"),
        (Some("a"), json!({}), "Job", "a"),
        (Some("team/a"), json!({}), "Job", "team/a"),
        (Some("models:/iris/3"), json!({}), "Job", "models:/iris/3"),
        (Some("RayJob/team/a"), json!({}), "RayJob", "team/a"),
        (Some("Job/"), json!({}), "Job", "Job/"),
        (Some("Job/a"), described.clone(), "PyTorchJob", "b"),
        (Some("RayJob/a"), json!({"subject": {"name": "b"}}), "RayJob", "b"),
        (None, json!({"subject": {"name": "b"}}), "Job", "b"),
    ] {
        let subject = failed(attribute, data.clone()).unwrap().subject;
        assert_eq!((subject.kind.as_str(), subject.name.as_str()), (kind, name), "{attribute:?} {data}");
        assert_eq!(subject.namespace, "vision-ns", "whatever the publisher says");
    }
    let whole = failed(None, described).unwrap();
    assert_eq!((whole.subject.uid.as_str(), whole.subject.api_version.as_str()), ("u", "batch/v1"));
    assert_eq!(whole.subject.labels.get("team").map(String::as_str), Some("vision"));
    assert_eq!(whole.detected.data["origin"]["namespace"], "elsewhere");
    for (attribute, data) in [
        (None, json!({})),
        (None, json!({"subject": {"name": " "}})),
        (None, json!({"subject": {"name": "a", "uid": "u".repeat(200)}})),
        (None, json!({"subject": {"name": "a\n# b"}})),
        (None, json!({"subject": {"name": "a", "kind": "Job\u{7}"}})),
    ] {
        assert_eq!(failed(attribute, data.clone()).unwrap_err().status(), 400, "{data}");
    }
    let long = failed(None, json!({"subject": {"name": "名".repeat(200)}})).unwrap();
    assert!(long.subject.name.len() <= LONGEST_NAME && long.subject.name.len() > LONGEST_NAME - 3);
}

#[test]
fn what_is_no_object_is_one_subject_as_long_as_source_and_subject_are_the_same() {
    let uid = |source: &str, subject: &str, id: &str| {
        let mut envelope = envelope("pai.dlc.job.failed", Some(subject), None);
        (envelope.source, envelope.id) = (source.to_owned(), id.to_owned());
        read(envelope, &arrival()).unwrap().observation.subject.uid
    };
    assert_eq!(uid("/ci", "a", "1"), uid("/ci", "a", "2"));
    assert_ne!(uid("/ci", "a", "1"), uid("/ci", "b", "1"));
    assert_ne!(uid("/ci", "a", "1"), uid("/cd", "a", "1"));
}

#[test]
fn an_event_is_the_same_by_source_and_id_whatever_else_it_says() {
    let name = |change: fn(&mut Envelope)| {
        let mut envelope = envelope("pai.dlc.job.failed", Some("Job/a"), Some(json!({"message": "m"})));
        change(&mut envelope);
        let observation = read(envelope, &arrival()).unwrap().observation;
        observation.key("vision").notice_name(&observation.subject.name)
    };
    let first = name(|_| {});
    assert!(first.starts_with("a-jobfailed-"), "{first}");
    assert_eq!(first, name(|event| event.data = None));
    assert_eq!(first, name(|event| event.time = Some(at("2026-11-24T11:00:00Z"))));
    assert_ne!(first, name(|event| event.id = "2".to_owned()));
    assert_ne!(first, name(|event| event.source = "/cd".to_owned()));
}

#[test]
fn a_deadline_makes_a_failure_a_timeout() {
    for (data, timeout) in [
        (json!({}), false),
        (json!({"deadline": true}), true),
        (json!({"events": ["JobFailed", "JobFinished", "JobTimeout"]}), true),
        (json!({"events": ["JobFailed"]}), false),
    ] {
        let event = failed(Some("a"), data.clone()).unwrap().event("vision");
        assert_eq!(event.events.contains(&EventType::JobTimeout), timeout, "{data}");
    }
}

#[test]
fn data_that_contradicts_the_type_is_refused() {
    for wrong in [json!({"source": "Model"}), json!({"transition": "Running"})] {
        let refusal = failed(Some("a"), wrong).unwrap_err();
        assert!(refusal.to_string().contains("but the type says DLCJob Failed"), "{refusal}");
    }
    assert!(failed(Some("a"), json!({"source": "DLCJob", "transition": "Failed"})).is_ok());
}

#[test]
fn a_time_is_shown_as_given_and_counts_within_the_tolerance_for_clocks() {
    for (time, shown, effective) in [
        (None, "12:00:00", "12:00:00"),
        (Some("2026-11-24T11:59:00Z"), "11:59:00", "11:59:00"),
        (Some("2026-11-24T09:00:00Z"), "09:00:00", "11:55:00"),
        (Some("2026-11-24T15:00:00Z"), "15:00:00", "15:00:00"),
    ] {
        let mut envelope = envelope("pai.dlc.job.failed", Some("a"), None);
        envelope.time = time.map(at);
        let observation = read(envelope, &arrival()).unwrap().observation;
        let clock = |text: &str| at(&format!("2026-11-24T{text}Z"));
        assert_eq!(observation.event("vision").time, clock(shown));
        assert_eq!(observation.effective, clock(effective), "{time:?}");
    }
    let mut old = envelope("pai.dlc.job.failed", Some("a"), None);
    old.time = Some(at("2026-11-20T12:00:00Z"));
    let observation = read(old, &Arrival { lookback: HOUR, ..arrival() }).unwrap().observation;
    assert_eq!(observation.effective, at("2026-11-20T12:00:00Z"), "older than the look-back limit: a replay");
}

#[test]
fn data_is_kept_as_far_as_a_notice_has_room_and_the_origin_always() {
    let mut data: Map<String, Value> =
        (0..20).map(|number| (format!("a{number:02}"), json!("x".repeat(1000)))).collect();
    data.insert("exitCode".to_owned(), json!(137));
    data.insert("list".to_owned(), json!(vec!["x"; 3000]));
    let kept = failed(Some("a"), json!({"data": data})).unwrap().detected.data;
    assert_eq!(kept["origin"], json!({"source": "/ci", "id": "1"}));
    assert!(kept["a00"].as_str().is_some_and(|text| text.len() < 600));
    assert_eq!(kept["exitCode"], 137);
    assert!(kept.contains_key("a03") && !kept.contains_key("a19") && !kept.contains_key("list"));
}

#[test]
fn however_much_is_published_little_of_it_is_held() {
    let huge = "界".repeat(50_000);
    let labels: std::collections::BTreeMap<_, _> =
        (0..100).map(|number| (format!("l{number}"), "x".repeat(900))).collect();
    let data =
        json!({"reason": huge, "message": huge, "subject": {"labels": labels}, "data": {"a": huge, "b": [huge]}});
    let observation = failed(Some("a"), data).unwrap();
    let event = serde_json::to_string(&observation.event("vision")).unwrap();
    assert!(event.len() < 10 * 1024, "{}", event.len());
}

/// A job's failure as it was watched.
fn watched() -> Observation {
    let subject = Subject {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        namespace: "vision-ns".to_owned(),
        name: "nightly".to_owned(),
        uid: "6f2a".to_owned(),
        labels: [("team".to_owned(), "vision".to_owned())].into(),
    };
    let detected = Detected {
        transition: Transition::Failed,
        occurrence: String::new(),
        time: Some(at("2026-11-24T11:59:30Z")),
        cause: Cause::Deadline,
        reason: "DeadlineExceeded".to_owned(),
        message: "Job was active longer than specified deadline".to_owned(),
        data: [("exitCode".to_owned(), json!(137))].into_iter().collect(),
    };
    observation(subject, Source::DLCJob, detected, &arrival())
}

/// What an `http` target is sent, as its receiver would publish it again.
fn sent(workspace: &str, observation: &Observation) -> Envelope {
    let event = CloudEvent::new(workspace, &observation.event(workspace));
    let body = serde_json::to_vec(&event).unwrap();
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("content-type", crate::lifecycle::cloudevent::CONTENT_TYPE.parse().unwrap());
    let mode = super::super::decode::Mode::of(&headers).unwrap();
    super::super::decode::decode(mode, &headers, &body).unwrap().remove(0)
}

#[test]
fn what_we_send_out_can_be_published_on_another_bus_and_is_the_same_event_there() {
    let original = watched();
    let there = Arrival { workspace: "research", namespace: "research-ns", ..arrival() };
    let published = read(sent("vision", &original), &there).unwrap();
    let (before, after) = (original.event("vision"), published.observation.event("research"));
    assert_eq!(kind(&before), kind(&after));
    assert_eq!((before.time, &before.reason, &before.message), (after.time, &after.reason, &after.message));
    assert_eq!(before.events, after.events, "a timeout stays one");
    assert_eq!((&before.subject.uid, &before.subject.labels), (&after.subject.uid, &after.subject.labels));
    assert_eq!(after.subject.namespace, "research-ns");
    assert_eq!(after.data["exitCode"], 137);
    assert_eq!(after.data["origin"]["id"], json!(before.id));
    assert_eq!(published.origin.own_event(&there), None);
}

#[test]
fn an_event_that_comes_round_is_recognised() {
    let original = watched();
    let id = original.event("vision").id;
    // Straight back.
    let back = read(sent("vision", &original), &arrival()).unwrap();
    assert_eq!(back.origin.own_event(&arrival()), Some(id.as_str()));
    // Over another bus.
    let there = Arrival { workspace: "research", namespace: "research-ns", ..arrival() };
    let over = read(sent("vision", &original), &there).unwrap().observation;
    let back = read(sent("research", &over), &arrival()).unwrap();
    assert_eq!(back.origin.own_event(&arrival()), Some(id.as_str()));
    // What was published by somebody else keeps its name, however often it goes round.
    let foreign = read(envelope("pai.dlc.job.failed", Some("Job/a"), None), &arrival()).unwrap().observation;
    let again = read(sent("vision", &foreign), &arrival()).unwrap();
    assert_eq!(again.origin.own_event(&arrival()), None);
    let name = |observation: &Observation| observation.key("vision").notice_name(&observation.subject.name);
    assert_eq!(name(&foreign), name(&again.observation));
}

#[test]
fn nobody_can_take_the_name_of_what_is_watched() {
    let original = watched();
    let mut forged = sent("vision", &original);
    forged.source = "/ci".to_owned();
    let forged = read(forged, &arrival()).unwrap().observation;
    assert_eq!(forged.subject.uid, original.subject.uid);
    assert_ne!(forged.key("vision").id(), original.key("vision").id());
}
