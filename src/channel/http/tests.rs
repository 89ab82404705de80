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
        webhook_is_secret: false,
        method: event_target::Method::Post,
        headers: vec![(HeaderName::from_static("x-team"), HeaderValue::from_static("vision"))],
        signing_keys: if keys.is_empty() { Vec::new() } else { SigningKey::parse_all(keys).unwrap() },
        body,
        header_secrets: Vec::new(),
        tls: None,
        origin: None,
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
    let request = request(&endpoint("", event_target::Body::CloudEvent), Body::Text(String::new().into()));
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
fn in_the_binary_mode_the_attributes_are_headers_and_the_data_is_the_body() {
    let request = request(&endpoint("", event_target::Body::CloudEventBinary), Body::Text(String::new().into()));
    for (name, expected) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "0123"),
        ("ce-type", "pai.dlc.job.failed"),
        ("ce-source", "/workspaces/w/namespaces/ns"),
        ("ce-subject", "Job/a"),
        ("ce-time", "1970-01-01T00:00:00Z"),
        ("webhook-id", "msg_1"),
    ] {
        assert_eq!(value(&request, name), Some(expected), "{name}");
    }
    assert_eq!(request.headers.iter().filter(|(name, _)| name.as_str().starts_with("ce-")).count(), 6);
    let data: Value = serde_json::from_slice(&request.body).unwrap();
    let structured =
        super::tests::request(&endpoint("", event_target::Body::CloudEvent), Body::Text(String::new().into()));
    let event: Value = serde_json::from_slice(&structured.body).unwrap();
    assert_eq!(data, event["data"]);
}

#[test]
fn with_an_origin_every_message_and_the_question_before_it_carry_it() {
    let without = request(&endpoint("", event_target::Body::CloudEvent), Body::Text(String::new().into()));
    assert!(value(&without, "webhook-request-origin").is_none() && without.handshake.is_none());
    let mut asking = endpoint("", event_target::Body::CloudEvent);
    asking.origin = Some(HeaderValue::from_static("notifier.example.com"));
    let request = request(&asking, Body::Text(String::new().into()));
    assert_eq!(value(&request, "webhook-request-origin"), Some("notifier.example.com"));
    let expected = Handshake { origin: HeaderValue::from_static("notifier.example.com"), headers: asking.headers };
    assert!(request.handshake.as_deref() == Some(&expected));
}

#[test]
fn with_several_keys_any_of_them_verifies() {
    let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let request = request(&endpoint(keys, event_target::Body::CloudEvent), Body::Text(String::new().into()));
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
fn another_implementation_verifies_the_signature() {
    for key in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "c2hvcnQ=", &format!("whsec_{}", "YWJj".repeat(30))] {
        let request = request(&endpoint(key, event_target::Body::CloudEventBinary), Body::Text(String::new().into()));
        let other = standardwebhooks::Webhook::new(key).unwrap();
        let expected = other.sign("msg_1", 1_767_225_600, &request.body).unwrap();
        assert_eq!(value(&request, "webhook-signature"), Some(expected.as_str()), "{key}");
    }
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
        let request = request(&endpoint("", event_target::Body::Template), Body::Text(text.to_owned().into()));
        assert_eq!(request.body, text.as_bytes());
        assert_eq!(value(&request, "content-type"), Some(kind));
    }
}

#[test]
fn the_status_is_the_verdict() {
    let minute = Some(Duration::from_mins(1));
    let table: [(u16, Option<Duration>, &str, &str); 31] = [
        (200, None, "delivered", ""),
        (201, None, "delivered", ""),
        (202, minute, "delivered", ""),
        (204, None, "delivered", ""),
        (299, None, "delivered", ""),
        (300, None, "permanent", "put the final URL into spec.http.webhook"),
        (301, None, "permanent", "redirects are not followed"),
        (304, None, "permanent", "redirects are not followed"),
        (307, minute, "permanent", "redirects are not followed"),
        (400, None, "permanent", "HTTP 400: no such team"),
        (401, None, "permanent", "spec.http.authorization"),
        (403, None, "permanent", "spec.http.authorization"),
        (404, None, "permanent", "spec.http.webhook"),
        (405, None, "permanent", "spec.http.method"),
        (408, None, "transient", "HTTP 408"),
        (410, None, "gone", "until the target is edited"),
        (413, None, "permanent", "size"),
        (415, None, "permanent", "choose another spec.http.body; it said: no such team"),
        (422, minute, "permanent", "HTTP 422"),
        (425, None, "transient", "HTTP 425"),
        (429, minute, "throttled", "HTTP 429"),
        (429, None, "throttled", "HTTP 429"),
        (500, None, "transient", "HTTP 500"),
        (500, minute, "transient", "HTTP 500"),
        (502, None, "transient", "HTTP 502"),
        (502, minute, "throttled", "HTTP 502"),
        (503, None, "transient", "HTTP 503"),
        (503, minute, "throttled", "HTTP 503"),
        (504, None, "transient", "HTTP 504"),
        (504, minute, "throttled", "HTTP 504"),
        (599, None, "transient", "HTTP 599"),
    ];
    for (status, retry_after, label, words) in table {
        let reply = Reply { status, retry_after, body: b"no such\n team".to_vec() };
        let outcome = endpoint("", event_target::Body::CloudEvent).verdict(&reply);
        assert_eq!((outcome.label(), outcome.code()), (label, status.to_string().as_str()));
        assert!(outcome.message().contains(words), "{status}: {}", outcome.message());
        if let Outcome::Throttled { retry_after: wait, .. } = outcome {
            assert_eq!(wait, retry_after, "{status}");
        }
    }
}

#[test]
fn an_endpoint_shows_no_secret() {
    let endpoint = endpoint("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", event_target::Body::CloudEvent);
    let request = request(&endpoint, Body::Text(String::new().into()));
    for shown in [format!("{endpoint:?}"), format!("{request:?}")] {
        assert!(!shown.contains("t0ken") && !shown.contains("MfKQ"), "{shown}");
    }
    let secrets = endpoint.secrets();
    let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "t0ken"]);
}

#[test]
fn of_a_url_from_a_secret_every_part_that_could_be_a_token_is_one() {
    let url = "https://hooks.example/services/T0AB/B%2F9x+y/v1/abcdefghijklmnopq?key=k3y1&s%C3%A9cret&n=1";
    for (webhook_is_secret, expected) in [
        (true, &["k3y1", "s\u{e9}cret", "1", "services", "T0AB", "B%2F9x+y", "B/9x+y", "abcdefghijklmnopq"] as &[&str]),
        (false, &["k3y1", "", "1", "abcdefghijklmnopq"]),
    ] {
        let mut endpoint = endpoint("", event_target::Body::CloudEvent);
        (endpoint.webhook, endpoint.webhook_is_secret) = (Url::parse(url).unwrap(), webhook_is_secret);
        let secrets = endpoint.secrets();
        let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(secrets, expected);
    }
}

#[test]
fn the_requests_of_the_document_verify_with_its_key() {
    let document = include_str!("../../../docs/channels/http.md");
    let key = document.split(['\n', ' ']).find(|word| word.starts_with("whsec_")).unwrap();
    let mut verified = 0;
    for block in document.split("```http\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
        let (head, body) = block.split_once("\n\n").unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let (Some(id), Some(timestamp)) = (header("webhook-id"), header("webhook-timestamp")) else { continue };
        // The document shows the longer one on many lines.
        let one_line = if body.starts_with("{\"") { body.to_owned() } else { compact(body) };
        let keys = SigningKey::parse_all(key).unwrap();
        let signature = keys[0].signature(id, timestamp, one_line.as_bytes());
        assert_eq!(header("webhook-signature"), Some(signature.as_str()), "{one_line}");
        verified += 1;
    }
    assert_eq!(verified, 2);
}

/// JSON without the space around its marks; the order of the fields stays.
fn compact(json: &str) -> String {
    let mut in_text = false;
    let kept = json.chars().filter(|c| {
        in_text ^= *c == '"';
        in_text || !c.is_whitespace()
    });
    kept.collect()
}
