use axum::http::{HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn decoded(pairs: &[(&str, &str)], body: &[u8]) -> Result<Vec<Envelope>, Refusal> {
    let headers = headers(pairs);
    decode(Mode::of(&headers)?, &headers, body)
}

fn structured(event: &Value) -> Result<Envelope, Refusal> {
    decoded(&[("content-type", STRUCTURED)], event.to_string().as_bytes()).map(|mut events| events.remove(0))
}

fn event(change: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": "pai.dlc.job.failed"});
    event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    event
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_mode_is_chosen_by_the_content_type() {
    for (content_type, expected) in [
        (STRUCTURED, Ok(Mode::Structured)),
        ("Application/CloudEvents+JSON; charset=UTF-8", Ok(Mode::Structured)),
        (BATCHED, Ok(Mode::Batch)),
        ("application/cloudevents-batch+json;charset=\"utf-8\"", Ok(Mode::Batch)),
        ("application/json", Ok(Mode::Binary)),
        ("text/plain", Ok(Mode::Binary)),
        ("application/cloudevents+xml", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        ("application/cloudevents+avro", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        ("application/cloudevents-batch+protobuf", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        ("application/cloudevents", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        ("application/cloudevents+json; charset=utf-16", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    ] {
        let mode = Mode::of(&headers(&[("content-type", content_type)]));
        assert_eq!(mode.map_err(|refusal| refusal.status()), expected, "{content_type}");
    }
    assert_eq!(Mode::of(&HeaderMap::new()), Ok(Mode::Binary));
    let two = headers(&[("content-type", STRUCTURED), ("content-type", BATCHED)]);
    assert_eq!(Mode::of(&two).unwrap_err().status(), 400);
}

#[test]
fn a_structured_event_is_read_whole() {
    let whole = event(&json!({"subject": "Job/nightly", "time": "2026-11-24T10:32:05.5+01:00", "dataschema": "x:y",
        "datacontenttype": "application/json; charset=utf-8", "data": {"reason": "x"}, "count": 7, "flag": true,
        "traceparent": "00-1", "gone": null}));
    assert_eq!(
        structured(&whole).unwrap(),
        Envelope {
            id: "1".to_owned(),
            source: "/ci".to_owned(),
            kind: "pai.dlc.job.failed".to_owned(),
            subject: Some("Job/nightly".to_owned()),
            time: Some(at("2026-11-24T09:32:05.5Z")),
            data: Some(json!({"reason": "x"})),
        }
    );
}

#[test]
fn data_comes_in_several_ways() {
    for (change, expected) in [
        (json!({}), None),
        (json!({"data": null}), Some(Value::Null)),
        (json!({"data": "{\"a\": 1}"}), Some(json!("{\"a\": 1}"))),
        (json!({"datacontenttype": "application/vnd.x+json", "data": [1]}), Some(json!([1]))),
        (json!({"datacontenttype": "application/json", "data_base64": "eyJhIjoxfQ=="}), Some(json!({"a": 1}))),
        (json!({"data": {"a": 1}, "data_base64": null}), Some(json!({"a": 1}))),
        (json!({"datacontenttype": "text/plain"}), None),
    ] {
        assert_eq!(structured(&event(&change)).unwrap().data, expected, "{change}");
    }
}

#[test]
fn what_is_malformed_is_named() {
    let long = "x".repeat(LONGEST_ATTRIBUTE + 1);
    for (change, named) in [
        (json!({"specversion": null}), "specversion is missing"),
        (json!({"specversion": "0.3"}), "only 1.0"),
        (json!({"specversion": 1.0}), "specversion has to be a string"),
        (json!({"id": null}), "id is missing"),
        (json!({"id": ""}), "id is empty"),
        (json!({"id": " "}), "id is empty"),
        (json!({"id": 7}), "id has to be a string"),
        (json!({"id": long}), "id is longer"),
        (json!({"id": "a\nb"}), "control characters"),
        (json!({"source": null}), "source is missing"),
        (json!({"source": "my jobs"}), "URI reference"),
        (json!({"source": "50%"}), "%25"),
        (json!({"source": "/%zz"}), "%25"),
        (json!({"type": null}), "type is missing"),
        (json!({"subject": ""}), "subject is empty"),
        (json!({"subject": {}}), "subject has to be a string"),
        (json!({"time": 1_764_000_000}), "time has to be a string"),
        (json!({"dataschema": 1}), "dataschema has to be a string"),
        (json!({"Extension": "x"}), "lower-case"),
        (json!({"my_extension": "x"}), "lower-case"),
        (json!({"": null}), "lower-case"),
        (json!({"extension": {"a": 1}}), "into data"),
        (json!({"extension": 1.5}), "integer"),
        (json!({"extension": 3_000_000_000_i64}), "32 bits"),
        (json!({"data": {}, "data_base64": "e30="}), "not both"),
        (json!({"data_base64": "e30="}), "datacontenttype"),
        (json!({"datacontenttype": "application/json", "data_base64": "!"}), "no Base64"),
        (json!({"datacontenttype": "application/json", "data_base64": "eyI="}), "no JSON"),
        (json!({"datacontenttype": "application/json", "data_base64": 5}), "has to be a string"),
    ] {
        let refusal = structured(&event(&change)).unwrap_err();
        assert_eq!(refusal.status(), 400, "{change}: {refusal}");
        assert!(refusal.to_string().contains(named), "{change}: {refusal}");
    }
    let xml = structured(&event(&json!({"datacontenttype": "text/xml", "data": "<a/>"}))).unwrap_err();
    assert_eq!(xml.status(), 415);
}

#[test]
fn what_is_no_event_at_all_is_refused() {
    let twice = r#"{"specversion": "1.0", "id": "1", "id": "2", "source": "/ci", "type": "t"}"#;
    let data = r#"{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "data": {}, "data": {}}"#;
    let many: Value = (0..200).map(|number| (format!("a{number}"), Value::Null)).collect();
    let many = many.to_string();
    let deep = format!(r#"{{"data": {}}}"#, "[".repeat(100_000));
    let invalid = b"{\"id\": \"\xff\"}";
    for (body, named) in [
        ("".as_bytes(), "no JSON object"),
        (b"{", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\"event\"", "no JSON object"),
        (b"{} {}", "no JSON object"),
        (invalid, "no JSON object"),
        (deep.as_bytes(), "no JSON object"),
        (many.as_bytes(), "at most"),
        (twice.as_bytes(), "id appears twice"),
        (data.as_bytes(), "data appears twice"),
    ] {
        let refusal = decoded(&[("content-type", STRUCTURED)], body).unwrap_err();
        assert_eq!(refusal.status(), 400);
        assert!(refusal.to_string().contains(named), "{refusal}");
        assert!(refusal.to_string().len() < 1000, "nobody is sent back what they sent");
    }
}

#[test]
fn a_time_is_rfc_3339_and_nothing_else() {
    for (text, expected) in [
        ("2026-11-24T10:32:05Z", Some("2026-11-24T10:32:05Z")),
        ("2026-11-24t10:32:05z", Some("2026-11-24T10:32:05Z")),
        ("2026-11-24T10:32:05.123456789+08:00", Some("2026-11-24T02:32:05.123456789Z")),
        ("1969-01-01T00:00:00-23:59", Some("1969-01-01T23:59:00Z")),
        ("2026-11-24T10:32:05", None),
        ("2026-11-24 10:32:05Z", None),
        ("2026-11-24T10:32Z", None),
        ("2026-11-24T10:32:05.Z", None),
        ("2026-11-24T10:32:05+0800", None),
        ("2026-11-24T10:32:05Z[UTC]", None),
        ("20261124T103205Z", None),
        ("2026-13-24T10:32:05Z", None),
        ("2026-02-30T10:32:05Z", None),
        ("2020-08-17T16:04:46.149Asia/Shanghai", None),
        ("2020-08-17T16:04:46.149PRC", None),
        ("+002026-11-24T10:32:05Z", None),
        ("yesterday", None),
        ("٢٠٢٦-11-24T10:32:05Z", None),
    ] {
        let time = structured(&event(&json!({"time": text}))).map(|envelope| envelope.time);
        match expected {
            Some(expected) => assert_eq!(time, Ok(Some(at(expected))), "{text}"),
            None => assert!(time.unwrap_err().to_string().contains("RFC 3339"), "{text}"),
        }
    }
}

#[test]
fn the_binary_mode_has_its_attributes_in_headers() {
    let base = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/ci"), ("ce-type", "t")];
    let with = |more: &[(&str, &str)], body: &[u8]| {
        let pairs: Vec<_> = base.iter().chain(more).copied().collect();
        decoded(&pairs, body).map(|mut events| events.remove(0))
    };
    let json = ("content-type", "application/json");
    assert_eq!(with(&[json], br#"{"a": 1}"#).unwrap().data, Some(json!({"a": 1})));
    assert_eq!(with(&[], b"").unwrap().data, None);
    for (value, expected) in [
        ("plain", "plain"),
        ("Job%2Fa%20b", "Job/a b"),
        ("\"in quotes\"", "in quotes"),
        ("%E6%A8%A1%e5%9e%8b", "模型"),
        ("%2525", "%25"),
        ("%41", "A"),
    ] {
        assert_eq!(with(&[("ce-subject", value)], b"").unwrap().subject.as_deref(), Some(expected), "{value}");
    }
    for (more, body, status, named) in [
        (&[("ce-subject", "%")][..], "", 400, "%25"),
        (&[("ce-subject", "100%!")], "", 400, "%25"),
        (&[("ce-subject", "%e6")], "", 400, "UTF-8"),
        (&[("ce-subject", "%c0%af")], "", 400, "UTF-8"),
        (&[("ce-subject", "模型")], "", 400, "percent-encoded"),
        (&[("ce-id", "2")], "", 400, "twice"),
        (&[("ce-datacontenttype", "application/json")], "", 400, "Content-Type says it"),
        (&[("ce-my-attribute", "x")], "", 400, "lower-case"),
        (&[("ce-time", "now")], "", 400, "RFC 3339"),
        (&[json], "{", 400, "no JSON"),
        (&[("content-type", "text/plain")], "text", 415, "application/json"),
        (&[], "{}", 415, "application/json"),
    ] {
        let refusal = with(more, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status().as_u16(), status, "{more:?}: {refusal}");
        assert!(refusal.to_string().contains(named), "{more:?}: {refusal}");
    }
    let none = decoded(&[json], b"{}").unwrap_err();
    assert!(none.to_string().contains("application/cloudevents+json"), "{none}");
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let batch = |events: &Value| decoded(&[("content-type", BATCHED)], events.to_string().as_bytes());
    assert_eq!(batch(&json!([])), Ok(vec![]));
    assert_eq!(batch(&Value::from(vec![event(&json!({})); MOST_EVENTS])).unwrap().len(), MOST_EVENTS);
    for (events, status, named) in [
        (json!([event(&json!({})), {"id": "2"}]), 400, "event 1 of the batch: "),
        (json!([event(&json!({})), 7]), 400, "event 1 of the batch: "),
        (json!({}), 400, "array"),
        (Value::from(vec![event(&json!({})); MOST_EVENTS + 1]), 413, "several batches"),
    ] {
        let refusal = batch(&events).unwrap_err();
        assert_eq!(refusal.status().as_u16(), status);
        assert!(refusal.to_string().contains(named), "{refusal}");
    }
    let open = decoded(&[("content-type", BATCHED)], b"[{\"specversion\":").unwrap_err();
    assert!(open.to_string().contains("no JSON array"), "{open}");
}

/// JSON of any shape, not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("1.0")),
        Just(json!("2026-11-24T10:32:05Z")),
        Just(json!("application/json")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,6}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// An event, some of whose members are of any shape.
fn nearly_an_event() -> impl Strategy<Value = Value> {
    let names =
        ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "data_base64", "x"];
    prop::collection::vec((prop::sample::select(names.to_vec()), any_json()), 0..4).prop_map(|changes| {
        let mut event = event(&json!({}));
        event.as_object_mut().unwrap().extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        event
    })
}

fn is_well_formed(envelope: &Envelope) -> bool {
    let Envelope { id, source, kind, .. } = envelope;
    [id, source, kind].iter().all(|text| !text.trim().is_empty() && text.len() <= LONGEST_ATTRIBUTE)
}

proptest! {
    #[test]
    fn any_bytes_are_an_event_or_refused(
        content_type in prop::sample::select(&[STRUCTURED, BATCHED, "application/json", "text/plain"][..]),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(events) = decoded(&[("content-type", content_type)], &body) {
            prop_assert!(events.iter().all(is_well_formed));
        }
    }

    #[test]
    fn anything_like_an_event_is_well_formed_or_refused(events in prop::collection::vec(nearly_an_event(), 0..5)) {
        for event in &events {
            match structured(event) {
                Ok(envelope) => prop_assert!(is_well_formed(&envelope)),
                Err(refusal) => prop_assert!(matches!(refusal.status().as_u16(), 400 | 415)),
            }
        }
        let alone: Result<Vec<_>, _> = events.iter().map(structured).collect();
        let batch = decoded(&[("content-type", BATCHED)], Value::from(events).to_string().as_bytes());
        prop_assert_eq!(batch.is_ok(), alone.is_ok());
    }

    #[test]
    fn any_headers_are_attributes_or_refused(
        values in prop::collection::vec(("ce-[a-z]{1,8}", "[ -~]{0,40}"), 0..6),
        subject in "\\PC{0,40}",
    ) {
        let mut pairs = vec![("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/ci"), ("ce-type", "t")];
        pairs.extend(values.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if let Ok(events) = decoded(&pairs, b"") {
            prop_assert!(events.iter().all(is_well_formed));
        }
        let encoded = subject.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
        let encoded = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/ci"), ("ce-type", "t"), ("ce-subject", &*encoded)];
        match decoded(&encoded, b"") {
            Ok(events) => prop_assert_eq!(events[0].subject.as_deref(), Some(&*subject)),
            Err(refusal) => prop_assert!(subject.trim().is_empty(), "{}", refusal),
        }
    }

    #[test]
    fn a_time_that_is_written_is_read_as_it_was(seconds in -60_000_000_000_i64..250_000_000_000, nanoseconds in 0..1_000_000_000_i32) {
        let time = Timestamp::new(seconds, nanoseconds).unwrap();
        prop_assert_eq!(time_of(&time.to_string()), Ok(time));
    }
}
