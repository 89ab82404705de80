//! An HTTP endpoint: `CloudEvents` in structured mode, Standard Webhooks signatures, bearer tokens; verdicts by status.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use serde_json::Value;

use super::{Checked, Incoming, Inspect, Memory, Verdict};

const MAX_SKEW: Duration = Duration::from_mins(5);

/// How an endpoint is set up.
#[derive(Clone, Debug)]
pub struct Endpoint {
    path: String,
    signing_secret: Option<String>,
    authorization: Option<String>,
    takes: Takes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    CloudEvents,
    Anything,
}

impl Endpoint {
    /// Takes `CloudEvents` in structured mode.
    #[must_use]
    pub fn cloud_events(path: &str) -> Self {
        Self { path: path.to_owned(), signing_secret: None, authorization: None, takes: Takes::CloudEvents }
    }

    /// Takes any body.
    #[must_use]
    pub fn anything(path: &str) -> Self {
        Self { takes: Takes::Anything, ..Self::cloud_events(path) }
    }

    /// Demands a Standard Webhooks signature by this secret (`whsec_...`).
    #[must_use]
    pub fn with_signing_secret(mut self, secret: &str) -> Self {
        self.signing_secret = Some(secret.to_owned());
        self
    }

    /// Demands exactly this `Authorization` header.
    #[must_use]
    pub fn with_authorization(mut self, value: &str) -> Self {
        self.authorization = Some(value.to_owned());
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn check(&self, request: &Incoming<'_>) -> Result<Checked, (i64, String)> {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        if self.authorization.is_some() && header("authorization") != self.authorization.as_deref() {
            return Err((401, "the Authorization header is not the one that was agreed on".to_owned()));
        }
        let signed = match &self.signing_secret {
            None => false,
            Some(secret) => {
                check_signature(request, secret).map_err(|why| (401, why))?;
                true
            }
        };
        let webhook_id = header("webhook-id").map(str::to_owned);
        if self.takes == Takes::Anything {
            let text = String::from_utf8_lossy(request.body).into_owned();
            let title = text.lines().next().unwrap_or_default().to_owned();
            let body = serde_json::from_slice(request.body).unwrap_or_default();
            return Ok(Checked::Good { id: webhook_id, title, text, signed, body });
        }
        let content_type = header("content-type").unwrap_or_default().to_ascii_lowercase();
        if content_type.split(';').next().map(str::trim) != Some("application/cloudevents+json") {
            return Err((415, format!("the content type is `{content_type}`")));
        }
        let event = read_event(request.body).map_err(|why| (400, why))?;
        let id = webhook_id.unwrap_or_else(|| format!("{} {}", event.source, event.id));
        Ok(Checked::Good { id: Some(id), title: event.kind, text: event.subject, signed, body: event.whole })
    }
}

impl Inspect for Endpoint {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path.trim_start_matches('/') == self.path.trim_start_matches('/')
    }

    fn inspect(&self, request: &Incoming<'_>, _: &mut Memory) -> Checked {
        self.check(request).unwrap_or_else(|(code, message)| Checked::Bad { code, message })
    }

    fn answer(&self, verdict: &Verdict) -> Response {
        match verdict {
            Verdict::Shown | Verdict::Repeat | Verdict::Misbehaved => StatusCode::NO_CONTENT.into_response(),
            Verdict::Refused { code, message } => {
                let status = u16::try_from(*code).ok().and_then(|code| StatusCode::from_u16(code).ok());
                (status.unwrap_or(StatusCode::BAD_REQUEST), message.clone()).into_response()
            }
        }
    }
}

/// Any `v1` signature over `id.timestamp.body` is enough; other versions are skipped.
fn check_signature(request: &Incoming<'_>, secret: &str) -> Result<(), String> {
    let header = |name: &str| {
        let value = request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if value.is_empty() { Err(format!("the header {name} is missing")) } else { Ok(value) }
    };
    let (id, timestamp, signatures) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    if id.contains('.') {
        return Err("webhook-id must not contain a dot".to_owned());
    }
    let seconds: u64 = timestamp.parse().map_err(|_| "webhook-timestamp is no number".to_owned())?;
    let claimed = UNIX_EPOCH + Duration::from_secs(seconds);
    if request.now.duration_since(claimed).unwrap_or_else(|early| early.duration()) > MAX_SKEW {
        return Err("webhook-timestamp is too far from the time here".to_owned());
    }
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| "bad secret".to_owned())?;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length is a key");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body] {
        mac.update(part);
    }
    let good = signatures
        .split(' ')
        .filter_map(|signature| base64.decode(signature.strip_prefix("v1,")?).ok())
        .any(|signature| mac.clone().verify_slice(&signature).is_ok());
    if good { Ok(()) } else { Err("no signature matches".to_owned()) }
}

struct Event {
    id: String,
    source: String,
    kind: String,
    subject: String,
    whole: Value,
}

fn read_event(body: &[u8]) -> Result<Event, String> {
    let whole: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let attribute = |name: &str| {
        let value = whole.get(name).and_then(Value::as_str).unwrap_or_default();
        if value.is_empty() { Err(format!("the attribute {name} is missing")) } else { Ok(value.to_owned()) }
    };
    if attribute("specversion")? != "1.0" {
        return Err("specversion must be 1.0".to_owned());
    }
    if let Some(time) = whole.get("time") {
        let text = time.as_str().unwrap_or_default();
        text.parse::<jiff::Timestamp>().map_err(|error| format!("time is no RFC 3339 time: {error}"))?;
    }
    let odd_name = |name: &String| !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if let Some(name) = whole.as_object().and_then(|attributes| attributes.keys().find(|name| odd_name(name))) {
        return Err(format!("`{name}` is no name of an attribute"));
    }
    let subject = whole.get("subject").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Event { id: attribute("id")?, source: attribute("source")?, kind: attribute("type")?, subject, whole })
}
