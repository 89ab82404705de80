use crate::channel::http::sign::KeyError;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::*;
use crate::lifecycle::{Event, EventType, Source, Subject, Transition};
use crate::message::{Body, Message, Tone};

fn event() -> Event {
    Event {
        id: "0123".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: vec![EventType::JobFailed],
        time: Timestamp::UNIX_EPOCH,
        observed_time: Timestamp::UNIX_EPOCH,
        reason: "BackoffLimitExceeded".to_owned(),
        message: String::new(),
        subject: Subject { kind: "Job".into(), namespace: "ns".into(), name: "a".into(), ..Subject::default() },
        data: Map::new(),
    }
}

fn endpoint(keys: &str, body: event_target::Body) -> Http {
    Http {
        webhook: Url::parse("https://example.com/hook?token=t0ken").unwrap(),
        method: event_target::Method::Post,
        headers: vec![(HeaderName::from_static("x-team"), HeaderValue::from_static("vision"))],
        signing_keys: if keys.is_empty() { Vec::new() } else { SigningKey::parse_all(keys).unwrap() },
        body,
        header_secrets: Vec::new(),
    }
}

fn request(endpoint: &Http, body: Body) -> Request {
    let message = Message { title: "Job a failed".to_owned(), body, tone: Tone::Bad, link: None };
    let now = Timestamp::from_second(1_767_225_600).unwrap();
    let envelope = Envelope { workspace: "w", event: &event(), message: &message, delivery_id: "msg_1", now };
    let Outgoing::Http(request) = endpoint.request(&envelope) else { panic!("no request") };
    request
}

fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_str().unwrap())
}

#[test]
fn the_signature_is_that_of_the_published_vectors() {
    let table = [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "msg_pai0001",
            "1767225600",
            r#"{"type":"pai.dlc.job.failed","timestamp":"2026-01-01T00:00:00Z","data":{"jobId":"dlc1a2b3c"}}"#,
            "v1,/1K8mbk+KoyZ+Atau0MgjOFJyOWy/2j+InPcJiwgmSA=",
        ),
    ];
    for (key, id, timestamp, body, expected) in table {
        let keys = SigningKey::parse_all(key).unwrap();
        assert_eq!(keys[0].signature(id, timestamp, body.as_bytes()), expected);
    }
}

#[test]
fn a_cloudevent_carries_the_event_and_the_same_id_on_every_try() {
    let request = request(&endpoint("", event_target::Body::CloudEvent), Body::Text(String::new()));
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(value(&request, "content-type"), Some("application/cloudevents+json; charset=utf-8"));
    assert_eq!(value(&request, "webhook-id"), Some("msg_1"));
    assert_eq!(value(&request, "webhook-signature"), None);
    assert_eq!(value(&request, "x-team"), Some("vision"));
    for (field, expected) in [
        ("specversion", "1.0"),
        ("id", "0123"),
        ("type", "pai.dlc.job.failed"),
        ("source", "/workspaces/w/namespaces/ns"),
        ("subject", "Job/a"),
        ("time", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(event[field], expected, "{field}");
    }
    assert_eq!(event["data"]["reason"], "BackoffLimitExceeded");
}

#[test]
fn with_several_keys_any_of_them_verifies() {
    let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let request = request(&endpoint(keys, event_target::Body::CloudEvent), Body::Text(String::new()));
    let signatures: Vec<&str> = value(&request, "webhook-signature").unwrap().split(' ').collect();
    let expected: Vec<String> = SigningKey::parse_all(keys)
        .unwrap()
        .iter()
        .map(|key| key.signature("msg_1", "1767225600", &request.body))
        .collect();
    assert_eq!(signatures, expected);
    assert_eq!(value(&request, "webhook-timestamp"), Some("1767225600"));
}

#[test]
fn keys_that_are_none_are_refused() {
    for (text, expected) in [
        ("", KeyError::Empty),
        (" \n ", KeyError::Empty),
        ("whsec_", KeyError::Empty),
        ("whsec_%%", KeyError::NotBase64),
    ] {
        assert_eq!(SigningKey::parse_all(text).err(), Some(expected), "{text:?}");
    }
}

#[test]
fn an_own_text_goes_out_as_it_is_with_the_content_type_that_it_has() {
    for (text, kind) in [("{\"a\": 1}", "application/json"), ("a = 1", "text/plain; charset=utf-8")] {
        let request = request(&endpoint("", event_target::Body::Template), Body::Text(text.to_owned()));
        assert_eq!(request.body, text.as_bytes());
        assert_eq!(value(&request, "content-type"), Some(kind));
    }
}

#[test]
fn the_status_is_the_verdict() {
    let minute = Some(Duration::from_mins(1));
    let table: [(u16, Option<Duration>, &str); 14] = [
        (200, None, "delivered"),
        (204, None, "delivered"),
        (301, None, "permanent"),
        (307, None, "permanent"),
        (400, None, "permanent"),
        (401, None, "permanent"),
        (404, None, "permanent"),
        (408, None, "transient"),
        (410, None, "gone"),
        (429, minute, "throttled"),
        (429, None, "throttled"),
        (500, None, "transient"),
        (503, None, "transient"),
        (503, minute, "throttled"),
    ];
    for (status, retry_after, label) in table {
        let outcome =
            endpoint("", event_target::Body::CloudEvent).verdict(&Reply { status, retry_after, body: Vec::new() });
        assert_eq!((outcome.label(), outcome.code()), (label, status.to_string().as_str()));
    }
}

#[test]
fn an_endpoint_shows_no_secret() {
    let endpoint = endpoint("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", event_target::Body::CloudEvent);
    let request = request(&endpoint, Body::Text(String::new()));
    for shown in [format!("{endpoint:?}"), format!("{request:?}")] {
        assert!(!shown.contains("t0ken") && !shown.contains("MfKQ"), "{shown}");
    }
    let secrets = endpoint.secrets();
    let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "t0ken"]);
}
