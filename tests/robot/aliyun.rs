//! The gateway of Alibaba Cloud.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client;
use crate::robot::acs3::{self, Signed};
use crate::robot::{Behaviour, Gateway, Inbox, Limit, Receiver};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const KEY: (&str, &str) = ("testAccessKeyId", "testAccessKeySecret");
const SMS: [(&str, &str); 4] = [
    ("PhoneNumbers", "13900000000"),
    ("SignName", "PAI通知"),
    ("TemplateCode", "SMS_000000001"),
    ("TemplateParam", r#"{"job":"dlc1a2b","status":"Failed"}"#),
];
const CALL: [(&str, &str); 3] =
    [("CalledNumber", "13900000000"), ("TtsCode", "TTS_1"), ("TtsParam", r#"{"job":"dlc1a2b"}"#)];

fn gateway() -> Gateway {
    Gateway::new(KEY.0, KEY.1)
        .with_sms("PAI通知", "SMS_000000001", &["job", "status"])
        .with_voice("TTS_1", &["job"])
        .with_real_budget()
}

/// A request as a sender makes it; a test changes some of it before or after it is signed.
#[derive(Clone)]
struct Call {
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    secret: String,
    unsigned: Vec<&'static str>,
    body: String,
}

impl Call {
    fn new(action: &str, parameters: &[(&str, &str)]) -> Self {
        static NONCES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let nonce = format!("{:032}", NONCES.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let headers = [
            ("x-acs-action", action),
            ("x-acs-version", "2017-05-25"),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-content-sha256", EMPTY),
        ];
        Self {
            query: parameters.iter().map(owned).collect(),
            headers: headers.iter().map(owned).collect(),
            secret: KEY.1.to_owned(),
            unsigned: Vec::new(),
            body: String::new(),
        }
    }

    fn sms() -> Self {
        Self::new("SendSms", &SMS)
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The parameters in a form instead of the query.
    fn in_a_form(mut self) -> Self {
        let pairs = std::mem::take(&mut self.query);
        self.body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let hash = Sha256::digest(&self.body).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        self.header("x-acs-content-sha256", &hash).header("content-type", "application/x-www-form-urlencoded")
    }

    fn parameter(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        if value.is_empty() {
            self.query.remove(name);
        }
        self
    }

    fn sent_at(self, time: SystemTime) -> Self {
        let date = jiff::Timestamp::try_from(time).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.header("x-acs-date", &date)
    }

    fn authorization(&self, host: &str) -> String {
        let mut headers: HeaderMap =
            self.headers.iter().map(|(k, v)| (k.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect();
        headers.insert("host", host.parse().unwrap());
        let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.retain(|name| !self.unsigned.contains(&name.as_str()));
        names.sort();
        let signed =
            Signed { method: "POST", path: "/", query: &self.query, headers: &headers, body: self.body.as_bytes() };
        let text = acs3::string_to_sign(&signed.canonical_request(&names));
        let signature = acs3::signature(&self.secret, &text);
        format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={signature}", KEY.0, names.join(";"))
    }

    async fn send(self, inbox: &Inbox) -> (u16, Value) {
        let mut url = url::Url::parse(inbox.url()).unwrap();
        url.query_pairs_mut().extend_pairs(&self.query);
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let mut request = client().post(url);
        if !self.headers.contains_key("authorization") {
            request = request.header("authorization", self.authorization(&host));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let reply = request.body(self.body).send().await.unwrap();
        (reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
    }
}

/// The text that is signed, and the signature, of a request without a body.
fn signed(action: [&str; 4], host: &str, query: &[(&str, &str)], secret: &str) -> (String, String) {
    let [name, version, date, nonce] = action;
    let pairs = [("host", host), ("x-acs-action", name), ("x-acs-content-sha256", EMPTY), ("x-acs-date", date)];
    let more = [("x-acs-signature-nonce", nonce), ("x-acs-version", version)];
    let headers: HeaderMap = pairs
        .iter()
        .chain(&more)
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let whole = Signed { method: "POST", path: "/", query: &query, headers: &headers, body: b"" };
    let text = acs3::string_to_sign(&whole.canonical_request(&names));
    let signature = acs3::signature(secret, &text);
    (text.split_once('\n').unwrap().1.to_owned(), signature)
}

#[test]
fn the_known_vectors_hold() {
    let image = "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd";
    let action = ["RunInstances", "2014-05-26", "2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d"];
    let query = [("ImageId", image), ("RegionId", "cn-shanghai")];
    let (hash, signature) = signed(action, "ecs.cn-shanghai.aliyuncs.com", &query, "YourAccessKeySecret");
    assert_eq!(hash, "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259");
    assert_eq!(signature, "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0");

    let action = ["SendSms", "2017-05-25", "2026-01-01T00:00:00Z", "00000000000000000000000000000001"];
    let (hash, signature) = signed(action, "dysmsapi.aliyuncs.com", &SMS, KEY.1);
    assert_eq!(hash, "1a5b0b540c8d5d3526b23a03ccd9c6773cfde16c2ee89ae994782839e431dc99");
    assert_eq!(signature, "cabe62a49b5617ad5147966e6b306ead631108b6d66febe26d026f4ed0667765");
}

#[tokio::test]
async fn a_good_request_is_shown_with_its_variables() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway());
    let (status, reply) = Call::sms().send(&inbox).await;
    assert_eq!((status, reply["Code"].as_str(), reply["BizId"].is_string()), (200, Some("OK"), true), "{reply}");
    assert_eq!(Call::sms().in_a_form().send(&inbox).await.1["Code"], "OK");
    let (status, reply) = Call::new("SingleCallByTts", &CALL).send(&inbox).await;
    assert_eq!((status, reply["Code"].as_str(), reply["CallId"].is_string()), (200, Some("OK"), true), "{reply}");
    let messages = inbox.messages();
    assert_eq!((messages[0].title.as_str(), messages[0].text.as_str()), ("SendSms", "job=dlc1a2b\nstatus=Failed"));
    assert_eq!(messages[0].body["TemplateParam"], json!({"job": "dlc1a2b", "status": "Failed"}));
    assert_eq!(messages[1].body, messages[0].body);
    assert_eq!((messages[2].title.as_str(), messages[2].signed), ("SingleCallByTts", true));
    assert_eq!(messages[2].body["CalledNumber"], "13900000000");
}

#[rstest]
#[case::wrong_secret(Call { secret: "other".to_owned(), ..Call::sms() }, 400, "SignatureDoesNotMatch")]
#[case::unknown_key(Call::sms().header("authorization", "ACS3-HMAC-SHA256 Credential=who,SignedHeaders=host,Signature=00"), 404, "InvalidAccessKeyId.NotFound")]
#[case::no_authorization(Call::sms().header("authorization", ""), 400, "IncompleteSignature")]
#[case::spaces_after_the_commas(Call::sms().header("authorization", "ACS3-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=00"), 400, "IncompleteSignature")]
#[case::unsigned_header(Call { unsigned: vec!["x-acs-action"], ..Call::sms() }, 400, "IncompleteSignature")]
#[case::unsigned_type(Call { unsigned: vec!["content-type"], ..Call::sms().in_a_form() }, 400, "IncompleteSignature")]
#[case::changed_on_the_way(Call { body: "PhoneNumbers=1".to_owned(), ..Call::sms() }, 400, "IncompleteSignature")]
#[case::unsigned_host(Call { unsigned: vec!["host"], ..Call::sms() }, 400, "IncompleteSignature")]
#[case::no_nonce(Call::sms().without("x-acs-signature-nonce"), 400, "IncompleteSignature")]
#[case::hash_of_another_body(Call::sms().header("x-acs-content-sha256", "00"), 400, "IncompleteSignature")]
#[case::old(Call::sms().sent_at(SystemTime::now() - Duration::from_mins(16)), 400, "InvalidTimeStamp.Expired")]
#[case::no_date(Call::sms().header("x-acs-date", "Thu, 01 Jan 2026 00:00:00 GMT"), 400, "InvalidTimeStamp.Format")]
#[case::date_with_fractions(Call::sms().header("x-acs-date", "2026-01-01T00:00:00.000Z"), 400, "InvalidTimeStamp.Format")]
#[case::unknown_action(Call::sms().header("x-acs-action", "SendFax"), 404, "InvalidAction.NotFound")]
#[case::other_version(Call::sms().header("x-acs-version", "2014-05-26"), 404, "InvalidVersion")]
#[case::token_of_nobody(Call::sms().header("x-acs-security-token", "t"), 400, "InvalidSecurityToken.Expired")]
#[case::no_number(Call::sms().parameter("PhoneNumbers", ""), 400, "MissingPhoneNumbers")]
#[case::no_sign(Call::sms().parameter("SignName", ""), 400, "MissingSignName")]
#[tokio::test]
async fn the_gateway_refuses_by_status(#[case] call: Call, #[case] status: u16, #[case] code: &str) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway());
    let (given, reply) = call.send(&inbox).await;
    assert_eq!((given, reply["Code"].as_str()), (status, Some(code)), "{reply}");
    assert!(reply["Message"].is_string() && reply["RequestId"].is_string() && reply["HostId"].is_string(), "{reply}");
    assert!(inbox.messages().is_empty());
}

fn call(name: &str, value: &str) -> Call {
    Call::new("SingleCallByTts", &CALL).parameter(name, value)
}

fn sms(name: &str, value: &str) -> Call {
    Call::sms().parameter(name, value)
}

#[rstest]
#[case::country(sms("PhoneNumbers", "+8613900000000,008613900000001,8613900000002"), "OK")]
#[case::abroad(sms("PhoneNumbers", "85290000000"), "OK")]
#[case::too_short(sms("PhoneNumbers", "1390000000"), "isv.MOBILE_NUMBER_ILLEGAL")]
#[case::no_digits(sms("PhoneNumbers", "139-0000-0000"), "isv.MOBILE_NUMBER_ILLEGAL")]
#[case::too_many(sms("PhoneNumbers", &vec!["13900000000"; 1001].join(",")), "isv.MOBILE_COUNT_OVER_LIMIT")]
#[case::other_sign(sms("SignName", "【PAI通知】"), "isv.SMS_SIGNATURE_ILLEGAL")]
#[case::other_template(sms("TemplateCode", "SMS_2"), "isv.SMS_TEMPLATE_ILLEGAL")]
#[case::no_json(sms("TemplateParam", "job=a"), "isv.INVALID_JSON_PARAM")]
#[case::no_text(sms("TemplateParam", r#"{"job":1,"status":"a"}"#), "isv.INVALID_JSON_PARAM")]
#[case::no_variables(sms("TemplateParam", ""), "isv.TEMPLATE_MISSING_PARAMETERS")]
#[case::empty_variable(sms("TemplateParam", r#"{"job":"","status":"a"}"#), "isv.TEMPLATE_MISSING_PARAMETERS")]
#[case::url(sms("TemplateParam", r#"{"job":"a","status":"see HTTPS://x.example"}"#), "isv.PARAM_NOT_SUPPORT_URL")]
#[case::unknown_parameter(sms("PhoneNumber", "13900000000"), "isv.INVALID_PARAMETERS")]
#[case::call(call("PlayTimes", "3"), "OK")]
#[case::longest(call("TtsParam", &json!({"job": "训".repeat(249)}).to_string()), "OK")]
#[case::too_long(call("TtsParam", &json!({"job": "训".repeat(200), "x": "a".repeat(50)}).to_string()), "isv.PARAM_LENGTH_LIMIT")]
#[case::url_to_say(call("TtsParam", r#"{"job":"www.x.example"}"#), "isv.PARAM_NOT_SUPPORT_URL")]
#[case::two_numbers(call("CalledNumber", "13900000000,13900000001"), "isv.MOBILE_NUMBER_ILLEGAL")]
#[case::other_tts(call("TtsCode", "TTS_2"), "isv.TTS_TEMPLATE_ILLEGAL")]
#[case::shown_number(call("CalledShowNumber", "05710000000"), "isv.DISPLAY_NUMBER_ILLEGAL")]
#[case::four_times(call("PlayTimes", "4"), "isv.INVALID_PARAMETERS")]
#[case::too_loud(call("Volume", "101"), "isv.INVALID_PARAMETERS")]
#[case::too_slow(call("Speed", "-501"), "isv.INVALID_PARAMETERS")]
#[case::long_id(call("OutId", "0123456789abcdef"), "isv.INVALID_PARAMETERS")]
#[tokio::test]
async fn an_action_refuses_inside_of_200(#[case] call: Call, #[case] code: &str) {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway());
    let (status, reply) = call.send(&inbox).await;
    assert_eq!((status, reply["Code"].as_str()), (200, Some(code)), "{reply}");
    assert_eq!(inbox.messages().len(), usize::from(code == "OK"));
}

#[tokio::test]
async fn a_nonce_serves_once_and_a_temporary_key_only_with_its_token() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway());
    let call = Call::sms();
    assert_eq!(call.clone().send(&inbox).await.1["Code"], "OK");
    assert_eq!(call.send(&inbox).await.1["Code"], "SignatureNonceUsed");
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway().with_security_token("t"));
    assert_eq!(Call::sms().send(&inbox).await.1["Code"], "InvalidAccessKeyId.NotFound");
    assert_eq!(Call::sms().header("x-acs-security-token", "t").send(&inbox).await.1["Code"], "OK");
}

#[tokio::test]
async fn a_number_is_called_as_often_as_the_windows_allow() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway());
    let ahead = Cell::new(Duration::ZERO);
    // The sender's clock goes with the receiver's.
    let later = |by: Duration| {
        receiver.advance_clock(by);
        ahead.set(ahead.get() + by);
    };
    let ring = async |number: &str| {
        let call = call("CalledNumber", number).sent_at(SystemTime::now() + ahead.get());
        let (_, reply) = call.send(&inbox).await;
        format!("{}: {}", reply["Code"].as_str().unwrap(), reply["Message"].as_str().unwrap())
    };
    let mine = "13900000000";
    assert_eq!(ring(mine).await, "OK: OK");
    assert_eq!(ring("+8613900000000").await, "isv.BUSINESS_LIMIT_CONTROL: 触发分钟级流控Permits:1");
    assert_eq!(ring("13900000001").await, "OK: OK");
    for _ in 0..4 {
        later(Duration::from_mins(1));
        assert_eq!(ring(mine).await, "OK: OK");
    }
    later(Duration::from_mins(1));
    assert_eq!(ring(mine).await, "isv.BUSINESS_LIMIT_CONTROL: 触发小时级流控Permits:5");
    for _ in 0..3 {
        later(Duration::from_hours(1));
        for _ in 0..5 {
            later(Duration::from_mins(1));
            assert_eq!(ring(mine).await, "OK: OK");
        }
    }
    later(Duration::from_hours(1));
    assert_eq!(ring(mine).await, "isv.BUSINESS_LIMIT_CONTROL: 触发天级流控Permits:20");
    later(Duration::from_hours(24));
    assert_eq!(ring(mine).await, "OK: OK");
}

#[tokio::test]
async fn a_gateway_can_be_set_up_with_other_limits_and_made_to_fail() {
    let receiver = Receiver::start().await.unwrap();
    let inbox = receiver.gateway(gateway().with_sms_limits(&[Limit::per_minute(2)]).with_show_number("0571"));
    for code in ["OK", "OK", "isv.BUSINESS_LIMIT_CONTROL"] {
        assert_eq!(Call::sms().send(&inbox).await.1["Code"], code);
    }
    assert_eq!(call("CalledShowNumber", "0571").send(&inbox).await.1["Code"], "OK");
    inbox.behave_next([Behaviour::gateway_code(503, "ServiceUnavailable", "later")]);
    let (status, reply) = Call::sms().send(&inbox).await;
    assert_eq!((status, reply["Code"].as_str()), (503, Some("ServiceUnavailable")));
}
