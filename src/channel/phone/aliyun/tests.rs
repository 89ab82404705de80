use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::*;
use crate::channel::phone::variables::length;
use crate::channel::phone::{Method, Phone};
use crate::channel::{Channel, Outgoing};
use crate::lifecycle::{Event, EventType, Source, Subject, Transition};
use crate::message::{Body, Digest, Message, Tone};

fn keys(id: &str, secret: &str, token: Option<&str>) -> Keys {
    Keys::new(id.into(), secret.into(), token.map(SecretString::from)).unwrap()
}

fn event(name: &str, reason: &str) -> Event {
    Event {
        id: "0123".to_owned(),
        source: Source::DLCJob,
        transition: Transition::Failed,
        events: vec![EventType::JobFailed, EventType::JobFinished],
        time: Timestamp::from_second(1_767_225_600).unwrap(),
        observed_time: Timestamp::UNIX_EPOCH,
        reason: reason.to_owned(),
        message: String::new(),
        subject: Subject { name: name.to_owned(), ..Subject::default() },
        data: Map::new(),
    }
}

fn text() -> Phone {
    phone(Method::Text, "+8613900000000", "dysmsapi.aliyuncs.com", "")
}

fn phone(method: Method, number: &str, at: &str, shown: &str) -> Phone {
    let service = match method {
        Method::Text => Service::Text { sign_name: "PAI通知".to_owned(), template_code: "SMS_1".to_owned() },
        Method::Voice => Service::Voice { tts_code: "TTS_1".to_owned(), called_show_number: shown.to_owned() },
    };
    let keys = keys("testAccessKeyId", "testAccessKeySecret", None);
    Phone::new(method, Number::parse(number).unwrap(), Aliyun::new(endpoint(at).unwrap(), keys, service))
}

fn request(phone: &Phone, title: &str, event: &Event, second: i64) -> Request {
    let body = Body::Facts(Vec::new());
    sent(phone, &Message { title: title.to_owned(), body, tone: Tone::Bad, link: None }, event, second)
}

fn sent(phone: &Phone, message: &Message, event: &Event, second: i64) -> Request {
    let now = Timestamp::from_second(second).unwrap();
    let id = "msg_0123456789abcdef0123456789abcdef";
    let envelope = Envelope { workspace: "vision", event, message, delivery_id: id, now };
    match phone.request(&envelope) {
        Outgoing::Http(request) => request,
        Outgoing::Mail(_) => panic!("a mail"),
    }
}

fn query(request: &Request) -> Map<String, Value> {
    request.url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect()
}

/// The template's variables.
fn values(request: &Request, name: &str) -> Map<String, Value> {
    serde_json::from_str(query(request)[name].as_str().unwrap()).unwrap()
}

#[test]
fn the_signature_is_that_of_the_published_vector() {
    let query = [
        ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd".to_owned()),
        ("RegionId", "cn-shanghai".to_owned()),
    ];
    let call = sign::Call {
        action: "RunInstances",
        version: "2014-05-26",
        query: &query,
        nonce: "3156853299f313e23d1673dc12e1703d",
        now: "2023-10-26T10:22:32Z".parse().unwrap(),
    };
    let keys = keys("YourAccessKeyId", "YourAccessKeySecret", None);
    let canonical = call.canonical(&endpoint("ecs.cn-shanghai.aliyuncs.com").unwrap(), &keys);
    assert_eq!(canonical.hash, "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259");
    assert_eq!(canonical.signature(&keys), "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0");
}

#[test]
fn the_signature_is_that_of_a_text_message_checked_with_two_implementations() {
    let query = [
        ("SignName", "PAI通知".to_owned()),
        ("PhoneNumbers", "13900000000".to_owned()),
        ("TemplateParam", r#"{"job":"dlc1a2b","status":"Failed"}"#.to_owned()),
        ("TemplateCode", "SMS_000000001".to_owned()),
    ];
    let call = sign::Call {
        action: "SendSms",
        version: "2017-05-25",
        query: &query,
        nonce: "00000000000000000000000000000001",
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    let keys = keys("testAccessKeyId", "testAccessKeySecret", None);
    let endpoint = endpoint("dysmsapi.aliyuncs.com").unwrap();
    let canonical = call.canonical(&endpoint, &keys);
    assert_eq!(canonical.hash, "1a5b0b540c8d5d3526b23a03ccd9c6773cfde16c2ee89ae994782839e431dc99");
    assert_eq!(canonical.signature(&keys), "cabe62a49b5617ad5147966e6b306ead631108b6d66febe26d026f4ed0667765");
    let request = call.signed(&endpoint, &keys);
    assert_eq!(
        request.url.as_str(),
        "https://dysmsapi.aliyuncs.com/?PhoneNumbers=13900000000&SignName=PAI%E9%80%9A%E7%9F%A5\
         &TemplateCode=SMS_000000001&TemplateParam=%7B%22job%22%3A%22dlc1a2b%22%2C%22status%22%3A%22Failed%22%7D"
    );
    assert_eq!(
        request.header_map()["authorization"],
        "ACS3-HMAC-SHA256 Credential=testAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;\
         x-acs-signature-nonce;x-acs-version,\
         Signature=cabe62a49b5617ad5147966e6b306ead631108b6d66febe26d026f4ed0667765"
    );
}

#[test]
fn a_temporary_keys_token_is_sent_and_signed() {
    let call =
        sign::Call { action: "SendSms", version: "2017-05-25", query: &[], nonce: "n", now: Timestamp::UNIX_EPOCH };
    let request = call.signed(&endpoint("a.example").unwrap(), &keys("id", "secret", Some("t0ken")));
    let headers = request.header_map();
    assert_eq!(headers["x-acs-security-token"], "t0ken");
    assert!(headers["x-acs-security-token"].is_sensitive() && headers["authorization"].is_sensitive());
    assert!(headers["authorization"].to_str().unwrap().contains(";x-acs-security-token;"));
}

#[test]
fn keys_that_cannot_stand_in_a_header_are_refused_by_name() {
    for (id, secret, token, name) in [
        ("a b", "s", None, "accessKeyId"),
        ("a", "s\u{0}", None, "accessKeySecret"),
        ("a", "s", Some("訓"), "securityToken"),
    ] {
        assert_eq!(Keys::new(id.into(), secret.into(), token.map(SecretString::from)).unwrap_err(), name);
    }
}

#[test]
fn an_endpoint_is_a_host_a_host_with_a_port_or_a_url() {
    for (text, url) in [
        ("dysmsapi.aliyuncs.com", "https://dysmsapi.aliyuncs.com/"),
        ("dysmsapi.aliyuncs.com:8443", "https://dysmsapi.aliyuncs.com:8443/"),
        ("10.0.0.1:80", "https://10.0.0.1:80/"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
        ("https://dyvmsapi.aliyuncs.com/", "https://dyvmsapi.aliyuncs.com/"),
    ] {
        assert_eq!(endpoint(text).unwrap().as_str(), url, "{text}");
    }
    for text in ["", "a b", "ftp://a.example", "a.example?x=1", "https://u:p@a.example", "host:port", "a.example#x"] {
        assert!(endpoint(text).is_err(), "{text}");
    }
}

#[test]
fn the_signed_host_is_the_one_that_is_sent() {
    let a = request(&phone(Method::Text, "13900000000", "http://h.example:9000", ""), "x", &event("a", ""), 0);
    let b = request(&phone(Method::Text, "13900000000", "http://h.example:80", ""), "x", &event("a", ""), 0);
    let c = request(&phone(Method::Text, "13900000000", "http://h.example", ""), "x", &event("a", ""), 0);
    let signature = |request: &Request| request.header_map()["authorization"].clone();
    assert_ne!(signature(&a), signature(&b));
    assert_eq!(signature(&b), signature(&c));
}

#[test]
fn a_text_message_says_what_the_template_asks_for() {
    let request = request(&text(), "Job nightly failed", &event("nightly", "BackoffLimitExceeded"), 1_767_225_601);
    let query = query(&request);
    assert_eq!((request.method.as_str(), request.body.len()), ("POST", 0));
    assert_eq!(query["PhoneNumbers"], "13900000000");
    assert_eq!(query["SignName"], "PAI通知");
    assert_eq!(query["TemplateCode"], "SMS_1");
    assert_eq!(query["OutId"], "0123456789abcde");
    let expected = json!({
        "title": "Job nightly failed", "workspace": "vision", "name": "nightly", "event": "JobFailed",
        "status": "Failed", "reason": "BackoffLimitExceeded", "time": "2026-01-01 00:00:00 UTC",
    });
    assert_eq!(Value::Object(values(&request, "TemplateParam")), expected);
    let headers = request.header_map();
    assert_eq!(
        (&headers["x-acs-action"], &headers["x-acs-date"]),
        (&"SendSms".parse().unwrap(), &"2026-01-01T00:00:01Z".parse().unwrap())
    );
}

#[test]
fn a_voice_call_shows_a_number_only_if_there_is_one() {
    let hidden = request(&phone(Method::Voice, "+852000012345", "dyvmsapi.aliyuncs.com", ""), "x", &event("a", ""), 0);
    let query_of_hidden = query(&hidden);
    assert_eq!(query_of_hidden["CalledNumber"], "852000012345");
    assert_eq!(query_of_hidden["TtsCode"], "TTS_1");
    assert_eq!(query_of_hidden["PlayTimes"], "2");
    assert!(query_of_hidden["OutId"].as_str().unwrap().len() <= 15);
    assert!(!query_of_hidden.contains_key("CalledShowNumber"));
    assert_eq!(hidden.header_map()["x-acs-action"], "SingleCallByTts");
    let shown = phone(Method::Voice, "13900000000", "dyvmsapi.aliyuncs.com", "057100000000");
    assert_eq!(query(&request(&shown, "x", &event("a", ""), 0))["CalledShowNumber"], "057100000000");
}

#[test]
fn every_attempt_has_a_nonce_of_its_own_and_the_same_attempt_the_same_bytes() {
    let at = |second| request(&text(), "x", &event("a", ""), second);
    assert_eq!(at(1), at(1));
    let nonce = |request: Request| request.header_map()["x-acs-signature-nonce"].clone();
    assert_ne!(nonce(at(1)), nonce(at(2)));
}

#[test]
fn values_of_any_script_fit_and_are_cut_between_characters() {
    let voice = phone(Method::Voice, "13900000000", "dyvmsapi.aliyuncs.com", "");
    for long in ["训".repeat(400), "🚀".repeat(400), "\"\\\u{1}".repeat(400), "x".repeat(9000), "字a🚀".repeat(99)]
    {
        for (phone, name) in [(&text(), "TemplateParam"), (&voice, "TtsParam")] {
            let values = values(&request(phone, &long, &event(&long, &long), 0), name);
            let lengths: Vec<usize> = values.values().map(|value| length(value.as_str().unwrap())).collect();
            let name = values["name"].as_str().unwrap();
            assert!((34..=35).contains(&length(name)) && name.ends_with('…'), "{name}");
            assert!(lengths.iter().sum::<usize>() < payload::TTS_LIMIT, "{lengths:?}");
        }
    }
}

#[test]
fn a_call_reads_as_much_of_the_title_as_the_other_values_leave_room_for() {
    let voice = phone(Method::Voice, "13900000000", "dyvmsapi.aliyuncs.com", "");
    let title = "训练".repeat(40);
    assert_eq!(values(&request(&voice, &title, &event("a", ""), 0), "TtsParam")["title"], title);
    assert_eq!(
        length(values(&request(&text(), &title, &event("a", ""), 0), "TemplateParam")["title"].as_str().unwrap()),
        35
    );
}

#[test]
fn a_value_is_one_plain_line_without_links_and_signatures_and_never_empty() {
    let hostile = event("a\r\n\"},{\u{0}b", "see https://evil.example/x or WWW.evil.example 【Bank】");
    let values = values(&request(&text(), "\n", &hostile, 0), "TemplateParam");
    assert_eq!(values["name"], "a \"},{ b");
    assert_eq!(values["reason"], "see … or … [Bank]");
    assert_eq!(values["title"], "-");
    assert!(values.values().all(Value::is_string));
}

#[test]
fn a_digest_is_told_by_its_title() {
    let digest = Digest { counts: Vec::new(), items: Vec::new(), more: "" };
    let title = "工作空间 vision 有 37 条事件".to_owned();
    let message = Message { title: title.clone(), body: Body::Digest(digest), tone: Tone::Bad, link: None };
    assert_eq!(values(&sent(&text(), &message, &event("a", ""), 0), "TemplateParam")["title"], title);
}

#[test]
fn one_number_has_one_budget_for_each_method() {
    let of = |method, number| phone(method, number, "a.example", "").receiver();
    assert_eq!(of(Method::Text, "13900000000"), of(Method::Text, "+8613900000000"));
    assert_ne!(of(Method::Text, "13900000000"), of(Method::Voice, "13900000000"));
    assert_ne!(of(Method::Text, "13900000000"), of(Method::Text, "13900000001"));
    let (text, voice) = (text().limits(), phone(Method::Voice, "13900000000", "a.example", "").limits());
    assert_eq!(text.rates, [Rate { count: 50, window: Duration::from_hours(24) }]);
    let voice_rates: Vec<_> = voice.rates.iter().map(|rate| (rate.count, rate.window.as_secs())).collect();
    assert_eq!(voice_rates, [(1, 60), (5, 3600), (20, 86_400)]);
    assert_eq!((text.most_attempts, voice.most_attempts), (None, Some(2)));
}

#[test]
fn only_the_code_in_the_body_is_a_verdict() {
    let table: [(u16, &str, &str, &str); 32] = [
        (200, r#"{"Code":"OK","Message":"OK","BizId":"9006","RequestId":"F655"}"#, "delivered", "OK"),
        (200, r#"{"Code":"OK","Message":"OK","CallId":"1160^1028"}"#, "delivered", "OK"),
        (200, r#"{"Code":"isv.BUSINESS_LIMIT_CONTROL"}"#, "throttled", "isv.BUSINESS_LIMIT_CONTROL"),
        (200, r#"{"Code":"isv.VOICE_ROBOT_NOT_PERIOD"}"#, "throttled", "isv.VOICE_ROBOT_NOT_PERIOD"),
        (200, r#"{"Code":"isv.VOICE_CALL_PERIOD_ERROR"}"#, "throttled", "isv.VOICE_CALL_PERIOD_ERROR"),
        (200, r#"{"Code":"isv.VOICE_CALL_FAIL"}"#, "transient", "isv.VOICE_CALL_FAIL"),
        (200, r#"{"Code":"isp.SYSTEM_ERROR"}"#, "transient", "isp.SYSTEM_ERROR"),
        (200, r#"{"Code":"isp.RAM_PERMISSION_DENY"}"#, "permanent", "isp.RAM_PERMISSION_DENY"),
        (200, r#"{"Code":"isv.DAY_LIMIT_CONTROL"}"#, "permanent", "isv.DAY_LIMIT_CONTROL"),
        (200, r#"{"Code":"isv.MONTH_LIMIT_CONTROL"}"#, "permanent", "isv.MONTH_LIMIT_CONTROL"),
        (200, r#"{"Code":"isv.AMOUNT_NOT_ENOUGH"}"#, "permanent", "isv.AMOUNT_NOT_ENOUGH"),
        (200, r#"{"Code":"isv.MOBILE_NUMBER_ILLEGAL"}"#, "permanent", "isv.MOBILE_NUMBER_ILLEGAL"),
        (200, r#"{"Code":"isv.TTS_TEMPLATE_ILLEGAL"}"#, "permanent", "isv.TTS_TEMPLATE_ILLEGAL"),
        (200, r#"{"Code":"isv.NEVER_HEARD_OF"}"#, "permanent", "isv.NEVER_HEARD_OF"),
        (200, r#"{"Code":"ok"}"#, "permanent", "ok"),
        (400, r#"{"Code":"SignatureDoesNotMatch","HostId":"x"}"#, "permanent", "SignatureDoesNotMatch"),
        (404, r#"{"Code":"InvalidAccessKeyId.NotFound"}"#, "permanent", "InvalidAccessKeyId.NotFound"),
        (400, r#"{"Code":"Throttling.User"}"#, "transient", "Throttling.User"),
        (400, r#"{"Code":"Throttling"}"#, "transient", "Throttling"),
        (400, r#"{"Code":"ThrottlingNot"}"#, "permanent", "ThrottlingNot"),
        (503, r#"{"Code":"ServiceUnavailable"}"#, "transient", "ServiceUnavailable"),
        (429, r#"{"Code":"TooManyRequests"}"#, "throttled", "TooManyRequests"),
        (200, "", "transient", "BodyNotUnderstood"),
        (200, "OK", "transient", "BodyNotUnderstood"),
        (200, "{}", "transient", "BodyNotUnderstood"),
        (200, r#"{"Code":""}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"Code":0}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"Code":["OK"]}"#, "transient", "BodyNotUnderstood"),
        (200, r#"{"code":"OK"}"#, "transient", "BodyNotUnderstood"),
        (502, "<html>", "transient", "502"),
        (429, "", "throttled", "429"),
        (403, "<html>", "permanent", "403"),
    ];
    for (status, body, label, code) in table {
        let outcome = text().verdict(&Reply { status, retry_after: None, body: body.as_bytes().to_vec() });
        assert_eq!((outcome.label(), outcome.code()), (label, code), "{status} {body}");
    }
}

#[test]
fn a_numbers_limit_says_in_english_or_chinese_when_it_ends() {
    for (message, seconds) in [
        ("触发分钟级流控Permits:1", 60),
        ("触发小时级流控Permits:5", 3600),
        ("触发天级流控Permits:50", 86_400),
        ("Minute-level flow control, Permits:1", 60),
        ("the HOUR limit of 5", 3600),
        ("over the limit per day", 86_400),
        ("business limit", 60),
        ("", 60),
    ] {
        let body = json!({"Code": "isv.BUSINESS_LIMIT_CONTROL", "Message": message}).to_string().into_bytes();
        let outcome = text().verdict(&Reply { status: 200, retry_after: None, body });
        let Outcome::Throttled { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(retry_after.unwrap().as_secs(), seconds, "{message}");
    }
}

#[test]
fn neither_keys_nor_numbers_are_shown() {
    let phone = phone(Method::Voice, "+12345", "a.example", "");
    let shown = format!("{phone:?}");
    assert!(!shown.contains("testAccessKey") && !shown.contains("12345"), "{shown}");
    let secrets: Vec<String> = phone.secrets().iter().map(|secret| secret.expose_secret().to_owned()).collect();
    assert_eq!(secrets, ["testAccessKeyId", "testAccessKeySecret"]);
    let body = br#"{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"12345 is no number"}"#.to_vec();
    let outcome = phone.verdict(&Reply { status: 200, retry_after: None, body });
    assert_eq!(outcome.message(), "*** is no number");
    assert!(
        phone
            .probe(&Envelope {
                workspace: "w",
                event: &event("a", ""),
                message: &Message { title: String::new(), body: Body::Facts(Vec::new()), tone: Tone::Bad, link: None },
                delivery_id: "msg_1",
                now: Timestamp::UNIX_EPOCH,
            })
            .is_none()
    );
}
