//! A `DingTalk` custom robot: token, budget, size, signature, keywords, body; verdicts inside HTTP 200.
//!
//! Stricter than the real one in one point: somebody who is to be mentioned must stand in the text as `@<value>`. The
//! real one takes such a message and mentions nobody, which a test should rather see as an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};

use super::{Checked, Incoming, Inspect, Memory, Verdict};

const MAX_BYTES: usize = 20_000;
const MAX_SKEW: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// How a robot is set up.
#[derive(Clone, Debug)]
pub struct Robot {
    token: String,
    signing_key: Option<String>,
    keywords: Vec<String>,
    budget: Option<Budget>,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    per_minute: usize,
    penalty: Duration,
}

impl Robot {
    /// A robot with the security setting "sign".
    #[must_use]
    pub fn signed(token: &str, signing_key: &str) -> Self {
        Self { token: token.to_owned(), signing_key: Some(signing_key.to_owned()), keywords: Vec::new(), budget: None }
    }

    /// Demands one of these words in every message as well.
    #[must_use]
    pub fn with_keywords(mut self, keywords: &[&str]) -> Self {
        self.keywords = keywords.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Takes 20 messages in a minute, and after one more none for ten minutes.
    #[must_use]
    pub fn with_real_budget(self) -> Self {
        self.with_budget(20, Duration::from_mins(10))
    }

    /// Takes that many messages in a minute, and after one more none for `penalty`.
    #[must_use]
    pub fn with_budget(mut self, per_minute: usize, penalty: Duration) -> Self {
        self.budget = Some(Budget { per_minute, penalty });
        self
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn check_signature(&self, request: &Incoming<'_>) -> Result<bool, (i64, String)> {
        let Some(key) = &self.signing_key else { return Ok(false) };
        let timestamp = request.query.get("timestamp").map(String::as_str).unwrap_or_default();
        let millis: u64 = timestamp.parse().map_err(|_| (310_000, "invalid timestamp".to_owned()))?;
        let claimed = UNIX_EPOCH + Duration::from_millis(millis);
        if difference(claimed, request.now) > MAX_SKEW {
            return Err((310_000, "invalid timestamp".to_owned()));
        }
        let signature = request.query.get("sign").map(String::as_str).unwrap_or_default();
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap_or_default();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("any length is a key");
        mac.update(format!("{timestamp}\n{key}").as_bytes());
        mac.verify_slice(&signature).map_err(|_| (310_000, "sign not match".to_owned()))?;
        Ok(true)
    }

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, (i64, String)> {
        match request.query.get("access_token") {
            None => return Err((40_035, "missing parameter access_token".to_owned())),
            Some(token) if *token != self.token => return Err((300_001, "token is not exist".to_owned())),
            Some(_) => {}
        }
        if let Some(budget) = self.budget {
            budget.spend(request.now, memory)?;
        }
        if request.body.len() > MAX_BYTES {
            return Err((460_101, format!("message too long, exceed {MAX_BYTES} bytes")));
        }
        let signed = self.check_signature(request)?;
        let content_type = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !content_type.to_ascii_lowercase().starts_with("application/json") {
            return Err((43_004, "the content type must be application/json".to_owned()));
        }
        let body: Value =
            serde_json::from_slice(request.body).map_err(|_| (40_035, "missing parameter json".to_owned()))?;
        let (title, text) = read_message(&body)?;
        if !self.keywords.is_empty() && !self.keywords.iter().any(|word| text.contains(word) || title.contains(word)) {
            return Err((310_000, "keywords not in content".to_owned()));
        }
        check_mentions(&body, &text)?;
        let id = match body.get("msgUuid") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
            Some(_) => return Err((40_035, "msgUuid must be a text".to_owned())),
        };
        Ok(Checked::Good { id, title, text, signed, body })
    }
}

impl Budget {
    fn spend(self, now: SystemTime, memory: &mut Memory) -> Result<(), (i64, String)> {
        let too_fast = Err((130_101, format!("send too fast, exceed {} times per minute", self.per_minute)));
        if memory.blocked_until.is_some_and(|until| now < until) {
            return too_fast;
        }
        while memory.accepted_at.front().is_some_and(|at| difference(now, *at) >= MINUTE) {
            memory.accepted_at.pop_front();
        }
        if memory.accepted_at.len() >= self.per_minute {
            memory.blocked_until = Some(now + self.penalty);
            return too_fast;
        }
        memory.accepted_at.push_back(now);
        Ok(())
    }
}

impl Inspect for Robot {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path == "/robot/send" && request.query.get("access_token").is_none_or(|token| *token == self.token)
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(|(code, message)| Checked::Bad { code, message })
    }

    fn answer(&self, verdict: &Verdict) -> Response {
        let (code, message) = match verdict {
            Verdict::Shown | Verdict::Repeat | Verdict::Misbehaved => (0, "ok"),
            Verdict::Refused { code, message } => (*code, message.as_str()),
        };
        axum::Json(json!({"errcode": code, "errmsg": message})).into_response()
    }
}

/// Title and text of a body of one of the known types.
fn read_message(body: &Value) -> Result<(String, String), (i64, String)> {
    let kind = body.get("msgtype").and_then(Value::as_str).ok_or((40_035, "missing parameter msgtype".to_owned()))?;
    let field = |name: &str| {
        let text = body.get(kind).and_then(|part| part.get(name)).and_then(Value::as_str).unwrap_or_default();
        if text.trim().is_empty() {
            return Err((40_035, format!("missing parameter {kind}->{name}")));
        }
        Ok(text.to_owned())
    };
    match kind {
        "text" => {
            let content = field("content")?;
            Ok((content.lines().next().unwrap_or_default().to_owned(), content))
        }
        "markdown" => Ok((field("title")?, field("text")?)),
        "link" => {
            field("messageUrl")?;
            Ok((field("title")?, field("text")?))
        }
        "actionCard" => {
            let buttons = body.pointer("/actionCard/btns").and_then(Value::as_array);
            let has_button = |button: &Value| button.get("title").is_some() && button.get("actionURL").is_some();
            if !buttons.is_some_and(|buttons| !buttons.is_empty() && buttons.iter().all(has_button)) {
                field("singleTitle")?;
                field("singleURL")?;
            }
            Ok((field("title")?, field("text")?))
        }
        _ => Err((400_105, format!("unsupported msgtype {kind}"))),
    }
}

/// `at` is well-formed, and everybody in it stands in the text.
fn check_mentions(body: &Value, text: &str) -> Result<(), (i64, String)> {
    let Some(at) = body.get("at") else { return Ok(()) };
    let malformed = |what: &str| (40_035, format!("malformed parameter at->{what}"));
    for (name, value) in at.as_object().ok_or_else(|| malformed(""))? {
        match name.as_str() {
            "isAtAll" if value.is_boolean() => {}
            "atMobiles" | "atUserIds" => {
                for person in value.as_array().ok_or_else(|| malformed(name))? {
                    let person = person.as_str().filter(|p| !p.is_empty()).ok_or_else(|| malformed(name))?;
                    if !text.contains(&format!("@{person}")) {
                        return Err((40_035, format!("at->{name}: @{person} does not stand in the text")));
                    }
                }
            }
            _ => return Err(malformed(name)),
        }
    }
    Ok(())
}

fn difference(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}
