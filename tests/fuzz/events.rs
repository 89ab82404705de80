//! The CloudEvents decoder of the bus.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::SignedDuration;
use pai_notification::bus::decode::{Mode, decode};
use pai_notification::bus::mapping::{self, Arrival};
use proptest::prelude::*;

use crate::{damage, damaged, fuzz};

/// What a decoder of JSON and headers may stumble over.
const TOKENS: [&[u8]; 22] = [
    b"null",
    b"true",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b":",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-0",
    b"%",
    b"%C0%AF",
    b"\"data\":{}",
    b"\"id\":",
    b"\xff",
    b"\xe6\xa8",
    b"\r\n",
    b" ",
    b"99999999999999999999",
];

const EVENT: &str = r#"{"specversion":"1.0","id":"7","source":"/ci/pipelines/7","type":"pai.dlc.job.failed","subject":"Job/nightly",
"time":"2026-11-24T10:32:05.123+08:00","datacontenttype":"application/json","traceparent":"00-1","count":7,
"data":{"reason":"OOMKilled","message":"no memory","deadline":true,"events":["JobFailed","JobTimeout"],
"subject":{"apiVersion":"batch/v1","kind":"Job","name":"nightly","uid":"u","labels":{"team":"vision"}},
"data":{"exitCode":137,"origin":{"source":"/workspaces/a/namespaces/b","id":"0123456789abcdef0123456789abcdef"}}}}"#;

/// Headers and body of a request as somebody might write it.
fn requests() -> Vec<(Vec<(&'static str, &'static str)>, String)> {
    let encoded = r#"{"specversion":"1.0","id":"8","source":"/x","type":"pai.model.version.approved","subject":"iris/3",
        "datacontenttype":"application/json","data_base64":"eyJyZWFzb24iOiJ4In0="}"#;
    let binary = vec![
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "9"),
        ("ce-source", "/a%20b"),
        ("ce-type", "pai.dsw.instance.running"),
        ("ce-subject", "%E6%A8%A1%E5%9E%8B"),
        ("ce-time", "2026-11-24T10:32:05Z"),
    ];
    vec![
        (vec![("content-type", "application/cloudevents+json")], EVENT.to_owned()),
        (vec![("content-type", "application/cloudevents+json; charset=utf-8")], encoded.to_owned()),
        (vec![("content-type", "application/cloudevents-batch+json")], format!("[{EVENT},{encoded}]")),
        (binary, r#"{"reason":"x","subject":{"name":"note"}}"#.to_owned()),
    ]
}

#[test]
fn the_cloudevents_decoder_takes_or_refuses_whatever_comes() {
    let damages = || prop::collection::vec(damage(&TOKENS), 0..6);
    let input = (prop::sample::select(requests()), damages(), damages());
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let lookback = SignedDuration::from_hours(24);
    let arrival = Arrival { workspace: "vision", namespace: "vision", now, lookback };
    fuzz("CloudEvents decoder", &input, |((pairs, body), to_headers, to_body)| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = if name == "content-type" { value.into() } else { damaged(value.into(), &to_headers) };
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let body = damaged(body.into_bytes(), &to_body);
        let Ok(mode) = Mode::of(&headers) else { return Ok(()) };
        let events = match decode(mode, &headers, &body) {
            Ok(events) => events,
            Err(refusal) => {
                prop_assert!(refusal.status().is_client_error() && refusal.to_string().len() < 2000);
                return Ok(());
            }
        };
        for envelope in events {
            match mapping::read(envelope, &arrival) {
                Ok(published) => {
                    let observation = published.observation;
                    prop_assert_eq!(&observation.subject.namespace, "vision");
                    prop_assert!(observation.key("vision").notice_name(&observation.subject.name).len() <= 63);
                }
                Err(refusal) => prop_assert!(refusal.status() == 400 && refusal.to_string().len() < 2000),
            }
        }
        Ok(())
    });
}
