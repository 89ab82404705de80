use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;

struct Secrets(Result<HashMap<(&'static str, &'static str), &'static str>, SecretError>);

impl SecretLookup for Secrets {
    fn get(&self, name: &str, key: &str) -> Result<SecretString, SecretError> {
        let known = self.0.as_ref().map_err(|error| *error)?;
        match known.get(&(name, key)) {
            Some(value) => Ok(SecretString::from(*value)),
            None if known.keys().any(|(secret, _)| *secret == name) => Err(SecretError::KeyMissing),
            None => Err(SecretError::NotFound),
        }
    }
}

fn secrets() -> Secrets {
    Secrets(Ok(HashMap::from([
        (("ding", "signing-key"), "SECabc\n"),
        (("ding", "url"), "https://oapi.dingtalk.com/robot/send?access_token=t"),
        (("ding", "empty"), "\n"),
        (("web", "username"), "u"),
        (("web", "password"), "p4ssw0rd"),
        (("web", "bad"), "a\u{0}b"),
        (("web", "text"), "not a url"),
    ])))
}

fn outcome(spec: Value, secrets: &Secrets) -> Result<&'static str, (Reason, String)> {
    let spec: EventTargetSpec = serde_json::from_value(spec).unwrap();
    let around = Surroundings { secrets, workspace: "vision", settings: None };
    let name = |target: ResolvedTarget| target.channels.first().unwrap().1.name();
    resolve(&spec, &around).map(name).map_err(|error| (error.reason(), error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "tables are easier to read with values")]
fn ding(webhook: Value, key: &str) -> Value {
    json!({"dingTalk": {"webhook": webhook, "signingKey": {"secretKeyRef": {"name": "ding", "key": key}}}})
}

#[test]
fn a_target_with_everything_in_place_is_ready() {
    let by_secret = json!({"secretKeyRef": {"name": "ding", "key": "url"}});
    assert_eq!(outcome(ding(by_secret, "signing-key"), &secrets()), Ok("DingTalk"));
    assert_eq!(outcome(json!({"http": {"webhook": {"url": "http://a.example"}}}), &secrets()), Ok("HTTP"));
    let basic = json!({"http": {"webhook": {"url": "https://a.example/x"}, "authorization": {"basic": {"name": "web"}},
        "headers": [{"name": "X-Team", "value": "vision"}]}});
    assert_eq!(outcome(basic, &secrets()), Ok("HTTP"));
}

#[test]
fn what_is_wrong_is_said_with_its_field_and_what_to_do() {
    let url = |url: &str| json!({"url": url});
    let header = |header: Value| json!({"http": {"webhook": {"url": "http://a.example"}, "headers": [header]}});
    let table = [
        (json!({}), Reason::InvalidSpec, "exactly one channel, but has 0"),
        (
            json!({"http": {"webhook": {"url": "http://a.example"}}, "dingTalk": ding(url("http://a"), "signing-key")["dingTalk"]}),
            Reason::InvalidSpec,
            "exactly one channel, but has 2",
        ),
        (
            ding(url("http://a.example"), "nope"),
            Reason::SecretKeyMissing,
            "spec.dingTalk.signingKey: Secret ding has no key nope",
        ),
        (ding(url("http://a.example"), "empty"), Reason::SecretKeyMissing, "or nothing in it"),
        (
            ding(json!({"secretKeyRef": {"name": "gone", "key": "k"}}), "signing-key"),
            Reason::SecretNotFound,
            "no Secret gone",
        ),
        (json!({"http": {"webhook": {"url": "a.example/x"}}}), Reason::InvalidUrl, "spec.http.webhook: is not a URL"),
        (
            json!({"http": {"webhook": {"url": "ftp://a.example"}}}),
            Reason::InvalidUrl,
            "must start with http:// or https://",
        ),
        (json!({"http": {"webhook": {"url": "http://u:p@a.example"}}}), Reason::InvalidUrl, "user name"),
        (
            json!({"http": {"webhook": {"secretKeyRef": {"name": "web", "key": "text"}}}}),
            Reason::InvalidUrl,
            "is not a URL",
        ),
        (json!({"http": {"webhook": {}}}), Reason::InvalidSpec, "exactly one of url and secretKeyRef"),
        (header(json!({"name": "a b", "value": "x"})), Reason::InvalidSpec, "spec.http.headers[0]: is no header name"),
        (
            header(json!({"name": "a", "secretKeyRef": {"name": "web", "key": "bad"}})),
            Reason::InvalidSpec,
            "characters",
        ),
        (header(json!({"name": "a"})), Reason::InvalidSpec, "exactly one of value and secretKeyRef"),
        (header(json!({"name": "Webhook-Id", "value": "x"})), Reason::InvalidSpec, "the operator's own"),
        (
            json!({"http": {"webhook": {"url": "http://a.example"},
                "signing": {"standardWebhooks": {"secretKeyRef": {"name": "web", "key": "bad"}}}}}),
            Reason::InvalidSpec,
            "key bad of Secret web is not whsec_",
        ),
    ];
    for (spec, reason, text) in table {
        let (got, message) = outcome(spec.clone(), &secrets()).unwrap_err();
        assert_eq!(got, reason, "{spec}: {message}");
        assert!(message.contains(text), "{spec}: {message}");
        assert!(!message.contains("p4ssw0rd"), "{message}");
    }
}

#[test]
fn without_access_the_message_says_how_to_grant_it() {
    let (reason, message) =
        outcome(ding(json!({"url": "http://a.example"}), "signing-key"), &Secrets(Err(SecretError::Forbidden)))
            .unwrap_err();
    assert_eq!(reason, Reason::SecretForbidden);
    assert!(message.contains("spec.grantAccess"), "{message}");
}
