use std::collections::HashMap;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::channel::Channel as _;
use crate::channel::resolve::SecretError;

struct Secrets(HashMap<(&'static str, &'static str), String>);

impl SecretLookup for Secrets {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        match self.0.get(&(name, key)) {
            Some(value) => Ok(SecretString::from(value.as_str())),
            None if self.0.keys().any(|(secret, _)| *secret == name) => Err(SecretError::KeyMissing),
            None => Err(SecretError::NotFound),
        }
    }
}

/// A certificate of its own, and its key.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn secrets() -> Secrets {
    let ((certificate, key), (_, other)) = (pair(), pair());
    Secrets(HashMap::from([
        (("ca", "ca.crt"), certificate.clone()),
        (("ca", "bundle"), format!("{certificate}{certificate}")),
        (("ca", "text"), "hello".to_owned()),
        (("client", "tls.crt"), certificate.clone()),
        (("client", "tls.key"), key),
        (("mixed", "tls.crt"), certificate),
        (("mixed", "tls.key"), other),
        (("half", "tls.crt"), "x".to_owned()),
        (("url", "url"), "https://a.example/T0AB/x".to_owned()),
    ]))
}

/// An endpoint's spec: what every one has, and `more`.
fn resolved(secrets: &Secrets, more: Value) -> Result<Http, TargetError> {
    let mut spec = json!({"webhook": {"url": "https://a.example/hook"}});
    let Value::Object(more) = more else { panic!("not an object") };
    spec.as_object_mut().unwrap().extend(more);
    let spec: event_target::Http = serde_json::from_value(spec).unwrap();
    http(&spec, &Surroundings::without_workspace(secrets))
}

#[test]
fn tls_is_the_machines_unless_the_spec_asks_for_something() {
    let secrets = secrets();
    for (tls, own) in [
        (json!({}), false),
        (json!({"tls": {}}), false),
        (json!({"tls": {"insecureSkipVerify": false}}), false),
        (json!({"tls": {"insecureSkipVerify": true}}), true),
        (json!({"tls": {"caRef": {"name": "ca"}}}), true),
        (json!({"tls": {"caRef": {"name": "ca", "key": "bundle"}}}), true),
        (json!({"tls": {"clientCertificateRef": {"name": "client"}}}), true),
        (json!({"tls": {"caRef": {"name": "ca"}, "clientCertificateRef": {"name": "client"}}}), true),
        (json!({"webhook": {"url": "http://a.example/"}, "tls": {"insecureSkipVerify": false}}), false),
    ] {
        assert_eq!(resolved(&secrets, tls.clone()).unwrap().tls.is_some(), own, "{tls}");
    }
}

#[test]
fn what_is_wrong_with_certificates_and_headers_is_said_with_its_field_and_what_to_do() {
    let secrets = secrets();
    let header = |body: &str, name: &str| json!({"body": body, "headers": [{"name": name, "value": "x"}]});
    for (more, words) in [
        (
            json!({"tls": {"caRef": {"name": "ca", "key": "text"}}}),
            &["spec.http.tls.caRef: key text of Secret ca: has no certificate", "in PEM form"] as &[&str],
        ),
        (json!({"tls": {"caRef": {"name": "gone"}}}), &["spec.http.tls.caRef: there is no Secret gone"]),
        (json!({"tls": {"caRef": {"name": "url"}}}), &["spec.http.tls.caRef: Secret url has no key ca.crt"]),
        (
            json!({"tls": {"clientCertificateRef": {"name": "half"}}}),
            &["spec.http.tls.clientCertificateRef: Secret half has no key tls.key"],
        ),
        (
            json!({"tls": {"caRef": {"name": "ca"}, "clientCertificateRef": {"name": "mixed"}}}),
            &["spec.http.tls.clientCertificateRef: tls.key does not belong", "Secret mixed", "put in a pair that fits"],
        ),
        (
            json!({"webhook": {"url": "http://a.example/"}, "tls": {"caRef": {"name": "ca"}}}),
            &["spec.http.tls: a URL that starts with http:// has no TLS", "use https://"],
        ),
        (json!({"handshake": {"origin": "a\nb"}}), &["spec.http.handshake.origin: is no DNS name"]),
        (header("CloudEventBinary", "CE-Id"), &["spec.http.headers[0]: this header is the operator's own"]),
        (header("CloudEvent", "WebHook-Request-Origin"), &["the operator's own"]),
        (header("CloudEvent", "Proxy-Authorization"), &["the operator's own"]),
        (header("CloudEvent", "Transfer-Encoding"), &["the operator's own"]),
    ] {
        let error = resolved(&secrets, more.clone()).unwrap_err().to_string();
        for words in words {
            assert!(error.contains(words), "{more}: {error}");
        }
        assert!(!error.contains("BEGIN PRIVATE"), "{error}");
    }
    assert!(resolved(&secrets, header("CloudEvent", "ce-id")).is_ok());
}

#[test]
fn a_url_from_a_secret_is_known_to_be_one() {
    let secrets = secrets();
    let by_secret = json!({"webhook": {"secretKeyRef": {"name": "url", "key": "url"}}});
    let shown = |more: Value| {
        let secrets = resolved(&secrets, more).unwrap().secrets();
        secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown(by_secret), ["T0AB"]);
    assert_eq!(shown(json!({})), [""; 0]);
}

#[test]
fn the_origin_is_asked_with() {
    let secrets = secrets();
    assert_eq!(resolved(&secrets, json!({})).unwrap().origin, None);
    let asking = resolved(&secrets, json!({"handshake": {"origin": "notifier.example.com"}})).unwrap();
    assert_eq!(asking.origin, Some(HeaderValue::from_static("notifier.example.com")));
}
