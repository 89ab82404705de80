use axum::http::HeaderMap;
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::Value;
use sha2::Sha256;

use super::*;
use crate::api::workspace::{ApprovedTag, KeyReference};
use crate::lifecycle::EventType;

const NOW: i64 = 1_795_000_000;

fn spec() -> Mlflow {
    Mlflow {
        webhook_secret_ref: Some(KeyReference { name: "mlflow".to_owned(), key: "secret".to_owned() }),
        poll: None,
        approved_tag: ApprovedTag::default(),
        approved_aliases: vec!["champion".to_owned()],
    }
}

fn arrival() -> Arrival<'static> {
    Arrival {
        workspace: "vision",
        namespace: "vision-ns",
        now: Timestamp::from_second(NOW).unwrap(),
        lookback: SignedDuration::from_hours(24),
    }
}

fn call(entity: &str, action: &str, data: &Value) -> Result<Option<Published>, Refusal> {
    let body = json!({"entity": entity, "action": action, "timestamp": "2026-11-18T11:06:40.5+00:00", "data": data});
    read(body.to_string().as_bytes(), "d1", &spec(), &arrival())
}

#[test]
fn each_call_is_mapped_as_the_table_says() {
    let version =
        json!({"name": "iris", "version": "3", "source": "s3://x", "run_id": "r", "tags": {}, "description": null});
    let tag = |key: &str, value: &str| json!({"name": "iris", "version": "3", "key": key, "value": value});
    let alias = |alias: &str| json!({"name": "iris", "alias": alias, "version": 3});
    for (entity, action, data, expected) in [
        ("registered_model", "created", json!({"name": "iris"}), None),
        ("prompt", "created", json!({"name": "p"}), None),
        ("model_version", "transitioned", version.clone(), None),
        ("model_version", "created", version, Some((Transition::StatusChanged, "Registered", "iris/3"))),
        (
            "model_version_tag",
            "set",
            tag("validation_status", "approved"),
            Some((Transition::Approved, "Approved", "iris/3")),
        ),
        (
            "model_version_tag",
            "set",
            tag("validation_status", "Approved"),
            Some((Transition::StatusChanged, "TagSet", "iris/3")),
        ),
        ("model_version_tag", "set", tag("stage", "approved"), Some((Transition::StatusChanged, "TagSet", "iris/3"))),
        ("model_version_tag", "deleted", tag("stage", ""), Some((Transition::StatusChanged, "TagDeleted", "iris/3"))),
        ("model_version_alias", "created", alias("champion"), Some((Transition::Approved, "Approved", "iris/3"))),
        ("model_version_alias", "created", alias("rival"), Some((Transition::StatusChanged, "AliasCreated", "iris/3"))),
        (
            "model_version_alias",
            "deleted",
            json!({"name": "iris", "alias": "champion"}),
            Some((Transition::StatusChanged, "AliasDeleted", "iris")),
        ),
    ] {
        let published = call(entity, action, &data).unwrap();
        let event = published.as_ref().map(|published| published.observation.event("vision"));
        let told = event.as_ref().map(|event| (event.transition, event.reason.as_str(), event.subject.name.as_str()));
        assert_eq!(told, expected, "{entity} {action} {data}");
        if let Some(event) = event {
            assert_eq!((event.source, event.subject.namespace.as_str()), (Source::Model, "vision-ns"));
            assert_eq!(event.time.to_string(), "2026-11-18T11:06:40.5Z");
            assert!(event.events.contains(&EventType::ModelVersionStatusChanged));
            assert_eq!(event.data["model"], "iris");
        }
    }
}

#[test]
fn a_call_that_is_sent_again_is_recognised_and_one_subject_stays_one() {
    let data = json!({"name": "iris", "version": "3", "key": "a", "value": "b"});
    let of = |delivery: &str, workspace: Value| {
        let body = json!({"entity": "model_version_tag", "action": "set", "data": data, "workspace": workspace});
        let observation =
            read(body.to_string().as_bytes(), delivery, &spec(), &arrival()).unwrap().unwrap().observation;
        (observation.key("vision").id(), observation.subject.uid)
    };
    assert_eq!(of("d1", Value::Null), of("d1", Value::Null));
    let (other, same) = (of("d2", Value::Null), of("d1", Value::Null));
    assert!(other.0 != same.0 && other.1 == same.1);
    assert_ne!(of("d1", json!("team-b")).1, same.1, "another workspace of MLflow has other models");
}

#[test]
fn a_call_that_is_none_is_refused() {
    for (body, named) in [
        ("", "no call"),
        ("[]", "no call"),
        ("{}", "entity"),
        (r#"{"entity": 1, "action": "set"}"#, "entity"),
        (r#"{"entity": "model_version", "action": "created", "data": {"name": "iris"}}"#, "data.version is missing"),
        (r#"{"entity": "model_version", "action": "created", "data": {"version": "1"}}"#, "data.name is missing"),
        (
            r#"{"entity": "model_version_tag", "action": "set", "data": {"name": "a", "version": "1"}}"#,
            "data.key is missing",
        ),
        (
            r#"{"entity": "model_version", "action": "created", "timestamp": "now", "data": {"name": "a", "version": "1"}}"#,
            "timestamp",
        ),
    ] {
        let refusal = read(body.as_bytes(), "d1", &spec(), &arrival()).unwrap_err();
        assert_eq!(refusal.status(), 400);
        assert!(refusal.to_string().contains(named), "{body}: {refusal}");
    }
}

fn signed(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("x-mlflow-delivery-id", id.parse().unwrap());
    headers.insert("x-mlflow-timestamp", timestamp.to_string().parse().unwrap());
    headers.insert("x-mlflow-signature", format!("v1,{signature}").parse().unwrap());
    headers
}

#[test]
fn a_known_signature_holds() {
    // Computed with: printf 'd1.1795000000.{}' | openssl dgst -sha256 -hmac s3cret -binary | base64
    let headers = signed("s3cret", "d1", NOW, b"{}");
    assert_eq!(headers["x-mlflow-signature"], "v1,qEjpkNPIOurCeqwmzgOhoErM+/92SjmpliWdL0qXq9c=");
}

#[test]
fn only_a_signature_of_now_with_the_secret_of_the_workspace_holds() {
    let secret = SecretString::from("s3cret");
    let body = br#"{"entity": "model_version"}"#;
    let without = |name: &str| {
        let mut headers = signed("s3cret", "d1", NOW, body);
        headers.remove(name);
        headers
    };
    let several = {
        let mut headers = signed("s3cret", "d1", NOW, body);
        let good = headers["x-mlflow-signature"].to_str().unwrap().to_owned();
        headers.insert("x-mlflow-signature", format!("v1,AAAA {good}").parse().unwrap());
        headers
    };
    for (case, headers, body, secret, holds) in [
        ("as it should be", signed("s3cret", "d1", NOW, body), &body[..], Some(&secret), true),
        ("several signatures", several, body, Some(&secret), true),
        ("almost too old", signed("s3cret", "d1", NOW - 300, body), body, Some(&secret), true),
        ("too old", signed("s3cret", "d1", NOW - 301, body), body, Some(&secret), false),
        ("from the future", signed("s3cret", "d1", NOW + 301, body), body, Some(&secret), false),
        ("another secret", signed("other", "d1", NOW, body), body, Some(&secret), false),
        ("another body", signed("s3cret", "d1", NOW, body), b"{}", Some(&secret), false),
        ("no webhook", signed("s3cret", "d1", NOW, body), body, None, false),
        ("nothing signed with", signed("", "d1", NOW, body), body, Some(&secret), false),
        ("no id", without("x-mlflow-delivery-id"), body, Some(&secret), false),
        ("no timestamp", without("x-mlflow-timestamp"), body, Some(&secret), false),
        ("no signature", without("x-mlflow-signature"), body, Some(&secret), false),
        ("an empty id", signed("s3cret", "", NOW, body), body, Some(&secret), false),
    ] {
        let checked = check(&headers, body, secret, arrival().now);
        assert_eq!(checked.is_ok(), holds, "{case}");
        if let Err(refusal) = checked {
            assert_eq!(refusal.status(), 401, "{case}");
        }
    }
}
