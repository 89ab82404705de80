//! A `Lark` (Feishu) custom robot: token, budget, size, signature in the body, schema, keywords; verdicts inside HTTP
//! 200. "20 KB" is read as 20,000 bytes: who keeps that is right by either reading.

#[path = "lark/card.rs"]
mod card;
#[path = "lark/post.rs"]
mod post;

use std::time::{Duration, UNIX_EPOCH};

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};

use super::budget::{Budget, Limit, difference};
use super::inspect::{Checked, Incoming, Inspect, Memory, Refusal};
use super::record::Verdict;

const HOOKS: &str = "/open-apis/bot/v2/hook/";
const MAX_BYTES: usize = 20_000;
const MAX_SKEW: Duration = Duration::from_hours(1);

const BAD_REQUEST: i64 = 9499;
const TOO_FAST: i64 = 11_232;
const UNKNOWN_TOKEN: i64 = 19_001;
const WRONG_PARAMETER: i64 = 19_002;
const NOT_SIGNED: i64 = 19_021;
const NO_KEYWORD: i64 = 19_024;

/// How a robot is set up.
#[derive(Clone, Debug)]
pub struct Lark {
    token: String,
    signing_key: Option<String>,
    keywords: Vec<String>,
    budget: Option<Budget>,
}

impl Lark {
    /// A robot with this token and no security setting.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned(), signing_key: None, keywords: Vec::new(), budget: None }
    }

    /// Demands a signature by this key in every body.
    #[must_use]
    pub fn with_signing_key(mut self, key: &str) -> Self {
        self.signing_key = Some(key.to_owned());
        self
    }

    /// Demands one of these words in every message.
    #[must_use]
    pub fn with_keywords(mut self, keywords: &[&str]) -> Self {
        self.keywords = keywords.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Takes 100 messages in a minute and 5 in a second.
    #[must_use]
    pub fn with_real_budget(self) -> Self {
        self.with_budget(&[Limit { most: 5, window: Duration::from_secs(1) }, Limit::per_minute(100)])
    }

    /// Takes as many messages as the limits allow, and again as soon as they do.
    #[must_use]
    pub fn with_budget(mut self, limits: &[Limit]) -> Self {
        self.budget = Some(Budget { limits: limits.to_vec(), penalty: Duration::ZERO });
        self
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn path(&self) -> String {
        format!("{HOOKS}{}", self.token)
    }

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, Refusal> {
        if request.path != self.path() {
            return Err((UNKNOWN_TOKEN, "param invalid: incoming webhook access token invalid".to_owned()));
        }
        if let Some(budget) = &self.budget {
            let spent = memory.spent.spend(request.now, budget);
            spent.map_err(|_| (TOO_FAST, "frequency limited psm[lark.oapi.app]appID[1500]".to_owned()))?;
        }
        let bad_request = || (BAD_REQUEST, "Bad Request".to_owned());
        if request.body.len() > MAX_BYTES || request.media_type() != "application/json" {
            return Err(bad_request());
        }
        let body: Value = serde_json::from_slice(request.body).map_err(|_| bad_request())?;
        let signed = self.check_signature(request, &body)?;
        let (title, text) = read_message(&body).map_err(|what| (WRONG_PARAMETER, format!("param invalid: {what}")))?;
        if !self.keywords.is_empty() && !self.keywords.iter().any(|word| text.contains(word) || title.contains(word)) {
            return Err((NO_KEYWORD, "Key Words Not Found".to_owned()));
        }
        Ok(Checked::Good { id: None, title, text, signed, body })
    }

    /// Timestamp and key are the key of this signature, and its message is empty.
    fn check_signature(&self, request: &Incoming<'_>, body: &Value) -> Result<bool, Refusal> {
        let Some(key) = &self.signing_key else { return Ok(false) };
        let why = "sign match fail or timestamp is not within one hour from current time";
        let refused = || (NOT_SIGNED, why.to_owned());
        let field = |name: &str| body.get(name).and_then(Value::as_str).ok_or_else(refused);
        let (timestamp, sign) = (field("timestamp")?, field("sign")?);
        let seconds: u64 = timestamp.parse().map_err(|_| refused())?;
        if difference(UNIX_EPOCH + Duration::from_secs(seconds), request.now) > MAX_SKEW {
            return Err(refused());
        }
        let sign = base64::engine::general_purpose::STANDARD.decode(sign).map_err(|_| refused())?;
        let mac = Hmac::<sha2::Sha256>::new_from_slice(format!("{timestamp}\n{key}").as_bytes());
        mac.expect("any length is a key").verify_slice(&sign).map_err(|_| refused())?;
        Ok(true)
    }
}

/// Title and text of a body of one of the known types.
fn read_message(body: &Value) -> Result<(String, String), String> {
    let kind = body.get("msg_type").and_then(Value::as_str).ok_or("msg_type is missing")?;
    let holder = if kind == "interactive" { "card" } else { "content" };
    let known = ["timestamp", "sign", "msg_type", holder];
    if let Some(name) = body.as_object().and_then(|body| body.keys().find(|name| !known.contains(&name.as_str()))) {
        return Err(format!("unknown field {name}"));
    }
    let part = body.get(holder).filter(|part| part.is_object()).ok_or_else(|| format!("{holder} is missing"))?;
    match kind {
        "text" => {
            let text = part.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            let text = text.ok_or("content.text is missing")?;
            Ok((text.lines().next().unwrap_or_default().to_owned(), text.to_owned()))
        }
        "post" => post::read(part),
        "interactive" => card::read(part),
        _ => Err(format!("msg_type {kind} is not supported")),
    }
}

impl Inspect for Lark {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path == self.path()
    }

    fn shares_host(&self, request: &Incoming<'_>) -> bool {
        request.path.starts_with(HOOKS)
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(Checked::from)
    }

    fn answer(&self, _: &Incoming<'_>, verdict: &Verdict) -> Response {
        let body = match verdict {
            Verdict::Shown | Verdict::Repeat | Verdict::Misbehaved => {
                json!({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})
            }
            Verdict::Refused { code, message } => json!({"code": code, "data": {}, "msg": message}),
        };
        axum::Json(body).into_response()
    }
}
