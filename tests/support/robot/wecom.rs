//! A `WeCom` group robot: key, budget, type, size in bytes; verdicts inside HTTP 200.
//!
//! There is no signature: the key is the credential. The words of an error carry what the real ones carry, an id, the
//! sender's address and a link, none of which belongs into a log. Stricter than the real one where that takes a message
//! and does less than was meant: unknown fields, colours that do not exist, mentions in `markdown_v2`.

#[path = "wecom/card.rs"]
mod card;

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::budget::{Budget, Limit};
use super::inspect::{Checked, Incoming, Inspect, Memory, Refusal};
use super::record::Verdict;

const PATH: &str = "/cgi-bin/webhook/send";
const KINDS: [&str; 4] = ["text", "markdown", "markdown_v2", "template_card"];
const MAX_TEXT: usize = 2048;
const MAX_MARKDOWN: usize = 4096;
const COLOURS: [&str; 3] = ["info", "comment", "warning"];

/// The type is none of the known ones.
const WRONG_TYPE: i64 = 40_008;
/// Something in the body is not as it has to be, or is too long.
const WRONG_PARAMETER: i64 = 40_058;
const EMPTY: i64 = 44_004;
const TOO_FAST: i64 = 45_009;
const NO_JSON: i64 = 47_001;
const UNKNOWN_KEY: i64 = 93_000;

/// How a robot is set up.
#[derive(Clone, Debug)]
pub struct WeCom {
    key: String,
    budget: Option<Budget>,
}

impl WeCom {
    /// A robot with this key.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), budget: None }
    }

    /// Takes 20 messages in a minute, and after one more none for a minute.
    #[must_use]
    pub fn with_real_budget(self) -> Self {
        self.with_budget(20, Duration::from_mins(1))
    }

    /// Takes that many messages in a minute, and after one more none for `penalty`.
    #[must_use]
    pub fn with_budget(mut self, per_minute: usize, penalty: Duration) -> Self {
        self.budget = Some(Budget { limits: vec![Limit::per_minute(per_minute)], penalty });
        self
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, Refusal> {
        if request.query.get("key") != Some(&self.key) {
            return Err((UNKNOWN_KEY, "invalid webhook url".to_owned()));
        }
        if let Some(budget) = &self.budget {
            let spent = memory.spent.spend(request.now, budget);
            spent.map_err(|_| (TOO_FAST, "api freq out of limit".to_owned()))?;
        }
        let body: Value =
            serde_json::from_slice(request.body).map_err(|_| (NO_JSON, "data format error".to_owned()))?;
        let kind = body.get("msgtype").and_then(Value::as_str).unwrap_or_default();
        if !KINDS.contains(&kind) {
            return Err((WRONG_TYPE, "invalid message type".to_owned()));
        }
        let beside = |name: &&String| !["msgtype", kind].contains(&name.as_str());
        if let Some(name) = body.as_object().and_then(|body| body.keys().find(beside)) {
            return Err(wrong(&format!("unknown parameter {name}")));
        }
        let part = body.get(kind).and_then(Value::as_object);
        let part = part.ok_or_else(|| (EMPTY, "empty content".to_owned()))?;
        let (title, text) = match kind {
            "text" => text(part)?,
            "markdown" => markdown(part)?,
            "markdown_v2" => markdown_v2(part)?,
            _ => card::read(part)?,
        };
        Ok(Checked::Good { id: None, title, text, signed: false, body })
    }
}

fn wrong(what: &str) -> Refusal {
    (WRONG_PARAMETER, what.to_owned())
}

/// The content of a type, which is not empty and not too long; nothing else may stand beside it but `others`.
fn content<'a>(
    part: &'a Map<String, Value>,
    kind: &str,
    most: usize,
    others: &[&str],
) -> Result<(String, &'a str), Refusal> {
    if let Some(name) = part.keys().find(|name| *name != "content" && !others.contains(&name.as_str())) {
        return Err(wrong(&format!("unknown parameter {kind}.{name}")));
    }
    let content = part.get("content").and_then(Value::as_str).unwrap_or_default();
    if content.trim().is_empty() {
        return Err((EMPTY, "empty content".to_owned()));
    }
    if content.len() > most {
        return Err(wrong(&format!("{kind}.content exceed max length {most}")));
    }
    Ok((content.lines().next().unwrap_or_default().to_owned(), content))
}

fn text(part: &Map<String, Value>) -> Result<(String, String), Refusal> {
    let lists = ["mentioned_list", "mentioned_mobile_list"];
    let (title, text) = content(part, "text", MAX_TEXT, &lists)?;
    for list in lists {
        let Some(value) = part.get(list) else { continue };
        let people = value.as_array().ok_or_else(|| wrong(&format!("text.{list} is no list")))?;
        let digits = |person: &str| person.bytes().all(|byte| byte.is_ascii_digit());
        let known = |person: &str| person == "@all" || list == "mentioned_list" || digits(person);
        if !people.iter().all(|person| person.as_str().is_some_and(|person| !person.is_empty() && known(person))) {
            return Err(wrong(&format!("text.{list} has something that is no person")));
        }
    }
    Ok((title, text.to_owned()))
}

fn markdown(part: &Map<String, Value>) -> Result<(String, String), Refusal> {
    let (title, text) = content(part, "markdown", MAX_MARKDOWN, &[])?;
    for tag in text.split("<font").skip(1) {
        let colour = tag.strip_prefix(" color=\"").and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if !COLOURS.contains(&colour) || !tag.contains("</font>") {
            return Err(wrong(&format!("markdown.content has a font that does not exist: {colour}")));
        }
    }
    Ok((title, text.to_owned()))
}

fn markdown_v2(part: &Map<String, Value>) -> Result<(String, String), Refusal> {
    let (title, text) = content(part, "markdown_v2", MAX_MARKDOWN, &[])?;
    if let Some(tag) = ["<font", "<@"].into_iter().find(|tag| text.contains(tag)) {
        return Err(wrong(&format!("markdown_v2.content shows {tag} as it is")));
    }
    Ok((title, text.to_owned()))
}

impl Inspect for WeCom {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path == PATH && request.query.get("key") == Some(&self.key)
    }

    fn shares_host(&self, request: &Incoming<'_>) -> bool {
        request.path == PATH
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(Checked::from)
    }

    fn answer(&self, _: &Incoming<'_>, verdict: &Verdict) -> Response {
        let (code, message) = match verdict {
            Verdict::Shown | Verdict::Repeat | Verdict::Misbehaved => (0, "ok".to_owned()),
            Verdict::Refused { code, message } => (*code, explained(*code, message)),
        };
        axum::Json(json!({"errcode": code, "errmsg": message})).into_response()
    }
}

/// The words of the real one around the cause of an error.
fn explained(code: i64, cause: &str) -> String {
    format!(
        "{cause}, hint: [1700000000123456789abcdef], from ip: 203.0.113.7, \
         more info at https://open.work.weixin.qq.com/devtool/query?e={code}"
    )
}
