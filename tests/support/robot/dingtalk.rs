//! A `DingTalk` custom robot: token, budget, size, signature, keywords, body; verdicts inside HTTP 200.
//!
//! Stricter than the real one where that takes a message and does less than was meant, which a test should rather see
//! as an error: somebody who is to be mentioned must stand in the text as `@<value>`, nobody can be mentioned by a link
//! or a card, and a body has no fields that are not in the manual.

use std::time::{Duration, UNIX_EPOCH};

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};

use super::budget::{Budget, Limit, difference};
use super::inspect::{Checked, Incoming, Inspect, Memory, Refusal};
use super::record::Verdict;

const MAX_BYTES: usize = 20_000;
const MAX_SKEW: Duration = Duration::from_hours(1);

/// How a robot is set up.
#[derive(Clone, Debug)]
pub struct Robot {
    token: String,
    signing_key: Option<String>,
    keywords: Vec<String>,
    budget: Option<Budget>,
}

impl Robot {
    /// A robot with the security setting "sign".
    #[must_use]
    pub fn signed(token: &str, signing_key: &str) -> Self {
        Self { signing_key: Some(signing_key.to_owned()), ..Self::unsigned(token) }
    }

    /// A robot without it, which the real one has only with keywords or a list of addresses.
    #[must_use]
    pub fn unsigned(token: &str) -> Self {
        Self { token: token.to_owned(), signing_key: None, keywords: Vec::new(), budget: None }
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
        self.budget = Some(Budget { limits: vec![Limit::per_minute(per_minute)], penalty });
        self
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn check_signature(&self, request: &Incoming<'_>) -> Result<bool, Refusal> {
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

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, Refusal> {
        match request.query.get("access_token") {
            None => return Err((40_035, "missing parameter access_token".to_owned())),
            Some(token) if *token != self.token => return Err((300_001, "token is not exist".to_owned())),
            Some(_) => {}
        }
        if let Some(budget) = &self.budget {
            memory
                .spent
                .spend(request.now, budget)
                .map_err(|limit| (130_101, format!("send too fast, exceed {} times per minute", limit.most)))?;
        }
        if request.body.len() > MAX_BYTES {
            return Err((460_101, format!("message too long, exceed {MAX_BYTES} bytes")));
        }
        let signed = self.check_signature(request)?;
        if request.media_type() != "application/json" {
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

impl Inspect for Robot {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path == "/robot/send" && request.query.get("access_token").is_none_or(|token| *token == self.token)
    }

    fn shares_host(&self, request: &Incoming<'_>) -> bool {
        request.path == "/robot/send"
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(Checked::from)
    }

    fn answer(&self, _: &Incoming<'_>, verdict: &Verdict) -> Response {
        let (code, message) = match verdict {
            Verdict::Shown | Verdict::Repeat | Verdict::Misbehaved => (0, "ok"),
            Verdict::Refused { code, message } => (*code, message.as_str()),
        };
        axum::Json(json!({"errcode": code, "errmsg": message})).into_response()
    }
}

/// The fields of each type; those that end in `?` may be missing.
const FIELDS: [(&str, &[&str]); 4] = [
    ("text", &["content"]),
    ("markdown", &["title", "text"]),
    ("link", &["title", "text", "messageUrl", "picUrl?"]),
    ("actionCard", &["title", "text", "btnOrientation?", "singleTitle?", "singleURL?"]),
];

/// Title and text of a body of one of the known types.
fn read_message(body: &Value) -> Result<(String, String), Refusal> {
    let missing = |what: String| (40_035, format!("missing parameter {what}"));
    let kind = body.get("msgtype").and_then(Value::as_str).ok_or_else(|| missing("msgtype".to_owned()))?;
    let known = FIELDS.iter().find(|(name, _)| *name == kind);
    let (_, fields) = known.ok_or_else(|| (400_105, format!("unsupported msgtype {kind}")))?;
    let part = body.get(kind).and_then(Value::as_object).ok_or_else(|| missing(kind.to_owned()))?;
    let text_of = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
    for field in *fields {
        let name = field.trim_end_matches('?');
        let needed = !field.ends_with('?');
        if needed && text_of(name).trim().is_empty() || part.get(name).is_some_and(|value| !value.is_string()) {
            return Err(missing(format!("{kind}->{name}")));
        }
    }
    let in_manual = |name: &String| fields.iter().any(|field| field.trim_end_matches('?') == name);
    if let Some(name) = part.keys().find(|name| !(in_manual(name) || kind == "actionCard" && *name == "btns")) {
        return Err((40_035, format!("unknown parameter {kind}->{name}")));
    }
    let beside = |name: &&String| !["msgtype", "at", "msgUuid", kind].contains(&name.as_str());
    if let Some(name) = body.as_object().and_then(|body| body.keys().find(beside)) {
        return Err((40_035, format!("unknown parameter {name}")));
    }
    if kind == "actionCard" {
        check_buttons(body)?;
    }
    let text = text_of(if kind == "text" { "content" } else { "text" });
    let title = if kind == "text" { text.lines().next().unwrap_or_default() } else { text_of("title") };
    Ok((title.to_owned(), text.to_owned()))
}

/// A card leads to one place as a whole, or has buttons.
fn check_buttons(body: &Value) -> Result<(), Refusal> {
    let filled = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).is_some_and(|t| !t.is_empty());
    let card = body.get("actionCard").unwrap_or(&Value::Null);
    let Some(buttons) = card.get("btns") else {
        let whole = filled(card, "singleTitle") && filled(card, "singleURL");
        return if whole { Ok(()) } else { Err((40_035, "missing parameter actionCard->singleURL".to_owned())) };
    };
    let good = |button: &Value| {
        let fields = button.as_object().map_or(0, serde_json::Map::len);
        filled(button, "title") && filled(button, "actionURL") && fields == 2
    };
    if buttons.as_array().is_some_and(|buttons| !buttons.is_empty() && buttons.iter().all(good)) {
        return Ok(());
    }
    Err((40_035, "missing parameter actionCard->btns".to_owned()))
}

/// `at` is well-formed, and everybody in it stands in the text.
fn check_mentions(body: &Value, text: &str) -> Result<(), Refusal> {
    let Some(at) = body.get("at") else { return Ok(()) };
    let kind = body.get("msgtype").and_then(Value::as_str).unwrap_or_default();
    let malformed = |what: &str| (40_035, format!("malformed parameter at->{what}"));
    for (name, value) in at.as_object().ok_or_else(|| malformed(""))? {
        let mut mentioned = Vec::new();
        match name.as_str() {
            "isAtAll" if value.is_boolean() => mentioned.extend(value.as_bool().filter(|all| *all).map(|_| "all")),
            "atMobiles" | "atUserIds" => {
                for person in value.as_array().ok_or_else(|| malformed(name))? {
                    let person = person.as_str().filter(|p| !p.is_empty()).ok_or_else(|| malformed(name))?;
                    if !text.contains(&format!("@{person}")) {
                        return Err((40_035, format!("at->{name}: @{person} does not stand in the text")));
                    }
                    mentioned.push(person);
                }
            }
            _ => return Err(malformed(name)),
        }
        if !mentioned.is_empty() && !["text", "markdown"].contains(&kind) {
            return Err((40_035, format!("at->{name}: a message of type {kind} mentions nobody")));
        }
    }
    Ok(())
}
