//! HTTP endpoints.

use rstest::rstest;
use serde_json::{Value, json};

use crate::robot::{Behaviour, Consent, Endpoint, Receiver, Verdict};
use crate::{client, hmac, now_ms};

fn cloud_event() -> Value {
    json!({"specversion": "1.0", "id": "e1", "source": "/a", "type": "pai.dlc.job.failed", "subject": "Job/j",
        "time": "2026-01-01T00:00:00Z", "data": {"reason": "OOMKilled"}})
}

#[tokio::test]
async fn an_endpoint_takes_signed_cloud_events_only() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(
        Endpoint::cloud_events("/audit").with_signing_secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    );
    let key: Vec<u8> = (0..32).collect();
    let send = async |id: &str, kind: &str, age: u64, body: &Value, key: &[u8]| {
        let (body, time) = (body.to_string(), now_ms() / 1000 - age);
        let signature = format!("v1a,xyz v1,{}", hmac(key, format!("{id}.{time}.{body}").as_bytes()));
        let request = client().post(inbox.url()).header("content-type", kind).header("webhook-id", id);
        let request = request.header("webhook-timestamp", time).header("webhook-signature", signature).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let kind = "application/cloudevents+json; charset=utf-8";
    assert_eq!(send("msg_1", kind, 0, &cloud_event(), &key).await, 204);
    assert_eq!(send("msg_1", kind, 0, &cloud_event(), &key).await, 204);
    assert_eq!(send("msg_2", kind, 0, &cloud_event(), b"another").await, 401);
    assert_eq!(send("msg_3", kind, 600, &cloud_event(), &key).await, 401);
    assert_eq!(send("msg.4", kind, 0, &cloud_event(), &key).await, 401);
    assert_eq!(send("msg_5", "application/json", 0, &cloud_event(), &key).await, 415);
    for (attribute, value) in [("id", json!("")), ("specversion", json!("0.3")), ("time", json!("yesterday"))] {
        let mut event = cloud_event();
        event[attribute] = value;
        assert_eq!(send("msg_6", kind, 0, &event, &key).await, 400, "{attribute}");
    }
    assert_eq!(inbox.messages().len(), 1);
    assert_eq!(inbox.messages()[0].title, "pai.dlc.job.failed");
}

#[tokio::test]
async fn any_of_several_keys_is_enough() {
    let receiver = Receiver::start().await.unwrap();
    let (old, new) = ("whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk", "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3");
    let endpoint = Endpoint::anything("/hook").with_signing_secret(old).with_signing_secret(new);
    let inbox = receiver.endpoint(endpoint);
    let send = async |keys: &[&[u8]]| {
        let time = now_ms() / 1000;
        let signatures: Vec<String> =
            keys.iter().map(|key| format!("v1,{}", hmac(key, format!("msg.{time}.a").as_bytes()))).collect();
        let request = client().post(inbox.url()).header("webhook-id", "msg").header("webhook-timestamp", time);
        let request = request.header("webhook-signature", signatures.join(" ")).body("a");
        request.send().await.unwrap().status().as_u16()
    };
    let (old, new, other) = (&b"old".repeat(8)[..], &b"new".repeat(8)[..], &b"other"[..]);
    for (keys, status) in [(&[old][..], 204), (&[new], 204), (&[other], 401), (&[other, new], 204), (&[], 401)] {
        assert_eq!(send(keys).await, status);
    }
    assert!(inbox.messages()[0].signed);
}

#[tokio::test]
async fn an_endpoint_demands_its_credentials() {
    let receiver = Receiver::start().await.unwrap();
    let bearer = receiver.endpoint(Endpoint::anything("/bearer").with_bearer("token"));
    let basic = receiver.endpoint(Endpoint::anything("/basic").with_basic("user", "pass:word"));
    for inbox in [&bearer, &basic] {
        assert_eq!(client().post(inbox.url()).body("a").send().await.unwrap().status(), 401);
    }
    let sent = client().post(bearer.url()).bearer_auth("token").body("a").send().await.unwrap();
    assert_eq!(sent.status(), 204);
    let sent = client().post(basic.url()).basic_auth("user", Some("pass:word")).body("a").send().await.unwrap();
    assert_eq!(sent.status(), 204);
}

/// Headers of an event in binary mode, with one of them as given.
fn binary(name: &str, value: &str) -> Vec<(String, String)> {
    let mut headers = vec![("ce-specversion", "1.0"), ("ce-id", "e1"), ("ce-source", "/a"), ("ce-type", "t")];
    headers.push(("content-type", "application/json"));
    headers.retain(|(one, _)| *one != name);
    headers.push((name, value));
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[rstest]
#[case::plain("ce-subject", "Job/a", "{}", 204)]
#[case::encoded("ce-subject", "%E8%AE%AD%e7%bb%83%20%22a%22%25", "{}", 204)]
#[case::needless_escapes("ce-subject", "%4Aob", "{}", 204)]
#[case::quoted("ce-subject", "\"Job\"", "{}", 204)]
#[case::extension("ce-workspace", "vision", "{}", 204)]
#[case::no_data("ce-subject", "Job/a", "", 204)]
#[case::space("ce-subject", "a b", "{}", 400)]
#[case::not_ascii("ce-subject", "训练", "{}", 400)]
#[case::bare_percent("ce-subject", "100%", "{}", 400)]
#[case::half_an_escape("ce-subject", "%4", "{}", 400)]
#[case::overlong("ce-subject", "%C0%AF", "{}", 400)]
#[case::no_id("ce-id", "", "{}", 400)]
#[case::old("ce-specversion", "0.3", "{}", 400)]
#[case::no_time("ce-time", "yesterday", "{}", 400)]
#[case::data_type_twice("ce-datacontenttype", "application/json", "{}", 400)]
#[case::strange_name("ce-work-space", "a", "{}", 400)]
#[case::broken_data("ce-subject", "a", "{", 400)]
#[case::structured("content-type", "application/cloudevents+json", "{}", 415)]
#[case::batch("content-type", "application/cloudevents-batch+json", "[]", 415)]
#[tokio::test]
async fn an_endpoint_judges_events_in_binary_mode(
    #[case] name: &str,
    #[case] value: &str,
    #[case] data: &'static str,
    #[case] status: u16,
) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(Endpoint::binary_cloud_events("/hook"));
    let mut request = client().post(inbox.url()).body(data);
    for (name, value) in binary(name, value) {
        request = request.header(name, value);
    }
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), status, "{}", String::from_utf8_lossy(&reply.bytes().await.unwrap()));
}

#[tokio::test]
async fn an_event_in_binary_mode_is_shown_decoded() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(Endpoint::binary_cloud_events("/hook"));
    for _ in 0..2 {
        let mut request = client().post(inbox.url()).body(r#"{"reason":"OOM"}"#);
        for (name, value) in binary("ce-subject", "%E8%AE%AD%e7%bb%83%20a%2541") {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 204);
    }
    let [message] = &inbox.messages()[..] else { panic!("one message, once") };
    assert_eq!((message.id.as_deref(), message.title.as_str()), (Some("/a e1"), "t"));
    assert_eq!((message.text.as_str(), &message.body["data"]), ("训练 a%41", &json!({"reason": "OOM"})));
}

#[tokio::test]
async fn an_endpoint_takes_events_after_a_handshake_only() {
    let receiver = Receiver::start().await.unwrap();
    let consent = |origin: &str, rate| Consent::Given { origin: origin.to_owned(), rate };
    let inbox = receiver.endpoint(Endpoint::anything("/hook").with_handshake(Consent::Withheld));
    let ask = async || {
        let request = client().request(reqwest::Method::OPTIONS, inbox.url());
        let request = request.header("WebHook-Request-Origin", "notifier.example.com");
        let reply = request.header("WebHook-Request-Rate", "120").send().await.unwrap();
        let header = |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (reply.status().as_u16(), header("webhook-allowed-origin"), header("webhook-allowed-rate"))
    };
    let send = async |origin: Option<&str>| {
        let mut request = client().post(inbox.url()).body("a");
        if let Some(origin) = origin {
            request = request.header("WebHook-Request-Origin", origin);
        }
        request.send().await.unwrap()
    };
    let ours = Some("notifier.example.com");
    assert_eq!(ask().await, (200, None, None));
    assert_eq!(send(ours).await.status(), 403);
    inbox.consent(consent("other.example.com", None));
    assert_eq!(ask().await, (200, Some("other.example.com".to_owned()), Some("*".to_owned())));
    assert_eq!(send(ours).await.status(), 403);
    inbox.consent(consent("*", Some(2)));
    assert_eq!(ask().await, (200, Some("*".to_owned()), Some("2".to_owned())));
    assert_eq!(send(None).await.status(), 400);
    assert_eq!(send(Some("other.example.com")).await.status(), 403);
    for status in [204, 204, 429] {
        assert_eq!(send(ours).await.status(), status);
    }
    assert_eq!(send(ours).await.headers()["retry-after"], "60");
    inbox.consent(Consent::Withheld);
    assert_eq!(send(ours).await.status(), 403);
    let asked = inbox.handshakes();
    assert_eq!(asked.iter().map(|handshake| handshake.consented).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((asked[2].origin.as_deref(), asked[2].rate.as_deref()), (ours, Some("120")));
    assert_eq!(inbox.messages().len(), 2);
}

#[tokio::test]
async fn an_endpoint_without_handshakes_takes_no_options() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    let reply = client().request(reqwest::Method::OPTIONS, inbox.url()).send().await.unwrap();
    assert_eq!(reply.status(), 405);
    assert!(matches!(inbox.posts()[0].verdict, Verdict::Refused { code: 405, .. }));
    inbox.behave(Behaviour::status(410));
    assert_eq!(client().post(inbox.url()).body("a").send().await.unwrap().status(), 410);
}
