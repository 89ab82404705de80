//! The gateway of Alibaba Cloud with the actions `SendSms` and `SingleCallByTts`.
//!
//! First it checks the request as a whole: who signed it, when, and whether it was seen before. What is wrong there is
//! an HTTP status of 4xx. Then the action checks its parameters, and refuses inside HTTP 200. The message of a verdict
//! is `<code>: <words>`. Stricter than the real one: a parameter that the action does not have is refused.

#[path = "aliyun/acs3.rs"]
pub mod acs3;
#[path = "aliyun/parameters.rs"]
mod parameters;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::budget::{Budget, Limit, difference};
use super::inspect::{Checked, Incoming, Inspect, Memory, Refusal};
use super::record::Verdict;
use parameters::{Parameters, isv};

const MAX_SKEW: Duration = Duration::from_mins(15);
const VERSION: &str = "2017-05-25";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How a gateway is set up: one account, and for each action what that account owns.
#[derive(Clone, Debug)]
pub struct Gateway {
    key_id: String,
    key_secret: String,
    security_token: Option<String>,
    sms: Option<Sms>,
    voice: Option<Voice>,
}

#[derive(Clone, Debug)]
struct Sms {
    sign_name: String,
    template: Template,
    budget: Budget,
}

#[derive(Clone, Debug)]
struct Voice {
    template: Template,
    show_number: Option<String>,
    budget: Budget,
}

#[derive(Clone, Debug)]
struct Template {
    code: String,
    variables: Vec<String>,
}

impl Template {
    fn new(code: &str, variables: &[&str]) -> Self {
        Self { code: code.to_owned(), variables: variables.iter().map(|&name| name.to_owned()).collect() }
    }
}

impl Gateway {
    /// A gateway that knows one access key, and no action yet.
    #[must_use]
    pub fn new(key_id: &str, key_secret: &str) -> Self {
        Self {
            key_id: key_id.to_owned(),
            key_secret: key_secret.to_owned(),
            security_token: None,
            sms: None,
            voice: None,
        }
    }

    /// The access key is a temporary one, which is known only together with this token.
    #[must_use]
    pub fn with_security_token(mut self, token: &str) -> Self {
        self.security_token = Some(token.to_owned());
        self
    }

    /// Knows `SendSms`, with this signature and this template with these variables. No limits per number.
    #[must_use]
    pub fn with_sms(mut self, sign_name: &str, template_code: &str, variables: &[&str]) -> Self {
        let template = Template::new(template_code, variables);
        self.sms = Some(Sms { sign_name: sign_name.to_owned(), template, budget: budget(&[]) });
        self
    }

    /// Knows `SingleCallByTts`, with this template with these variables. No limits per number.
    #[must_use]
    pub fn with_voice(mut self, tts_code: &str, variables: &[&str]) -> Self {
        let template = Template::new(tts_code, variables);
        self.voice = Some(Voice { template, show_number: None, budget: budget(&[]) });
        self
    }

    /// Calls have to show this number, as in the dedicated mode; otherwise they may show none.
    #[must_use]
    pub fn with_show_number(mut self, number: &str) -> Self {
        if let Some(voice) = &mut self.voice {
            voice.show_number = Some(number.to_owned());
        }
        self
    }

    /// Takes as many messages for one number as these limits allow.
    #[must_use]
    pub fn with_sms_limits(mut self, limits: &[Limit]) -> Self {
        if let Some(sms) = &mut self.sms {
            sms.budget = budget(limits);
        }
        self
    }

    /// Takes as many calls to one number as these limits allow.
    #[must_use]
    pub fn with_voice_limits(mut self, limits: &[Limit]) -> Self {
        if let Some(voice) = &mut self.voice {
            voice.budget = budget(limits);
        }
        self
    }

    /// For each number 50 notifications a day, and one call a minute, 5 an hour, 20 a day.
    #[must_use]
    pub fn with_real_budget(self) -> Self {
        let of = |most, window| Limit { most, window };
        let voice = [Limit::per_minute(1), of(5, HOUR), of(20, DAY)];
        self.with_sms_limits(&[of(50, DAY)]).with_voice_limits(&voice)
    }

    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, Refusal> {
        self.check_whole(request, memory)?;
        let header = |name: &str| request.header(name).unwrap_or_default();
        let action = header("x-acs-action");
        if header("x-acs-version") != VERSION {
            return Err((404, "InvalidVersion: Specified parameter Version is not valid.".to_owned()));
        }
        let parameters = Parameters::read(request)?;
        let (numbers, variables, budget) = match (action, &self.sms, &self.voice) {
            ("SendSms", Some(sms), _) => parameters.of_sms(&sms.sign_name, &sms.template, &sms.budget)?,
            ("SingleCallByTts", _, Some(voice)) => {
                parameters.of_call(voice.show_number.as_deref(), &voice.template, &voice.budget)?
            }
            _ => {
                let why = "Specified api is not found, please check your url and method.";
                return Err((404, format!("InvalidAction.NotFound: {why}")));
            }
        };
        for number in &numbers {
            let spent = memory.spent_on.entry(format!("{action} {number}")).or_default();
            spent.spend(request.now, budget).map_err(|limit| over(&limit))?;
        }
        let mut body = parameters.into_json();
        for name in ["TemplateParam", "TtsParam"] {
            if let Some(value) = body.get_mut(name) {
                *value = Value::Object(variables.clone());
            }
        }
        let text = variables.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
        let text = text.collect::<Vec<_>>().join("\n");
        Ok(Checked::Good { id: None, title: action.to_owned(), text, signed: true, body })
    }

    /// Who sends, when, with which signature, and whether for the first time.
    fn check_whole(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<(), Refusal> {
        let refused = |status: i64, code: &str, words: &str| (status, format!("{code}: {words}"));
        let incomplete = |what: String| refused(400, "IncompleteSignature", &what);
        let authorization = request.header("authorization").unwrap_or_default();
        let authorization = acs3::Authorization::parse(authorization).map_err(incomplete)?;
        if authorization.key_id != self.key_id {
            return Err(refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."));
        }
        match (request.header("x-acs-security-token"), &self.security_token) {
            (None, None) => {}
            (Some(given), Some(token)) if given == token => {}
            (None, Some(_)) => {
                return Err(refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."));
            }
            (Some(_), _) => {
                return Err(refused(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."));
            }
        }
        let date = request.header("x-acs-date").unwrap_or_default();
        let claimed = parse_date(date).ok_or_else(|| {
            let why = "Specified time stamp or date value is not well formatted.";
            refused(400, "InvalidTimeStamp.Format", why)
        })?;
        if difference(claimed.into(), request.now) > MAX_SKEW {
            let why = "Specified time stamp or date value is expired.";
            return Err(refused(400, "InvalidTimeStamp.Expired", why));
        }
        let signed = acs3::Signed::from(request);
        signed.check_headers(&authorization.signed_headers).map_err(incomplete)?;
        signed.check(&authorization, &self.key_secret).map_err(|ours| {
            let why = "Specified signature does not match our calculation. server string to sign is:";
            refused(400, "SignatureDoesNotMatch", &format!("{why}{ours}"))
        })?;
        let nonce = request.header("x-acs-signature-nonce").unwrap_or_default();
        if !memory.nonces.insert(nonce.to_owned()) {
            return Err(refused(400, "SignatureNonceUsed", "Specified signature nonce was used already."));
        }
        Ok(())
    }
}

fn budget(limits: &[Limit]) -> Budget {
    Budget { limits: limits.to_vec(), penalty: Duration::ZERO }
}

/// `yyyy-MM-ddTHH:mm:ssZ` and nothing like it.
fn parse_date(text: &str) -> Option<jiff::Timestamp> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape == "0000-00-00T00:00:00Z" { text.parse().ok() } else { None }
}

/// The words of the flow control, which name the window.
fn over(limit: &Limit) -> Refusal {
    let level = match limit.window {
        window if window < HOUR => "分钟级",
        window if window < DAY => "小时级",
        _ => "天级",
    };
    isv("BUSINESS_LIMIT_CONTROL", &format!("触发{level}流控Permits:{}", limit.most))
}

impl Inspect for Gateway {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        let authorization = request.header("authorization").unwrap_or_default();
        request.path == "/" && authorization.contains(&format!("Credential={},", self.key_id))
    }

    fn shares_host(&self, request: &Incoming<'_>) -> bool {
        request.path == "/"
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(Checked::from)
    }

    fn answer(&self, request: &Incoming<'_>, verdict: &Verdict) -> Response {
        let id = request_id(request);
        let Verdict::Refused { code: status, message } = verdict else {
            let (name, receipt) = match request.header("x-acs-action") {
                Some("SendSms") => ("BizId", "900619746936498440^0"),
                _ => ("CallId", "116012354148^102813279148"),
            };
            return axum::Json(json!({"Code": "OK", "Message": "OK", name: receipt, "RequestId": id})).into_response();
        };
        let (code, words) = message.split_once(": ").unwrap_or((message, ""));
        let mut body = json!({"Code": code, "Message": words, "RequestId": id});
        let status = u16::try_from(*status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::BAD_REQUEST);
        if status != StatusCode::OK {
            body["HostId"] = json!(request.header("host"));
        }
        (status, axum::Json(body)).into_response()
    }
}

/// In the form of the real one; the same for the same request.
fn request_id(request: &Incoming<'_>) -> String {
    let nonce = request.header("x-acs-signature-nonce").unwrap_or_default();
    let digits = Sha256::digest(nonce).iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    });
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The variables of a template, and the numbers it is for.
type Understood<'a> = (Vec<String>, serde_json::Map<String, Value>, &'a Budget);

/// Parameters as they came, each once.
type Named = BTreeMap<String, String>;
