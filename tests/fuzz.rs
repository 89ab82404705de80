//! Decoders of foreign input against input that nobody would write: real examples with random damage, on the stable toolchain.
//!
//! A second by default; `make fuzz` runs for a minute. A failure prints the input that led to it, as small as it can be made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::SignedDuration;
use pai_notification::bus::decode::{Mode, decode};
use pai_notification::bus::mapping::{self, Arrival};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How long each decoder is tried.
fn time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Tries until the time is over; says how often.
fn fuzz<S: Strategy>(name: &str, input: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    const CASES: u32 = 256;
    let (end, mut tried) = (Instant::now() + time(), 0_u64);
    while Instant::now() < end {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        if let Err(error) = TestRunner::new(config).run(input, &check) {
            panic!("{name}: {error}");
        }
        tried += u64::from(CASES);
    }
    println!("{name}: {tried} inputs");
    assert!(tried > 0);
}

/// Damage to a text.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let tokens: Vec<&[u8]> = vec![
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
    let token = prop::sample::select(tokens).prop_map(<[u8]>::to_vec);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (index(), token).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (index(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (index(), 1..40_usize, 1..300_usize).prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            return bytes;
        }
        let length = bytes.len();
        match damage {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Insert(at, token) => {
                let at = at.index(length);
                bytes.splice(at..at, token.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Damage::Repeat(at, size, times) => {
                let at = at.index(length);
                let part = bytes[at..(at + size).min(length)].repeat(*times);
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

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
    let damages = || prop::collection::vec(damage(), 0..6);
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
