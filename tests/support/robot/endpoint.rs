//! An HTTP endpoint: `CloudEvents` in either mode, Standard Webhooks signatures, credentials, and the handshake by which
//! it consents to be sent to. Verdicts are HTTP statuses.

#[path = "endpoint/event.rs"]
mod event;
#[path = "endpoint/handshake.rs"]
mod handshake;
#[path = "endpoint/signature.rs"]
mod signature;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;

use super::inspect::{Checked, Incoming, Inspect, Memory, Refusal};
use super::record::Verdict;
use event::Event;
pub(super) use handshake::Consented;
pub use handshake::{Consent, Handshake};

/// What an endpoint that is asked too often asks for, in seconds.
const RETRY_AFTER_SECONDS: u64 = 60;

/// How an endpoint is set up.
#[derive(Clone, Debug)]
pub struct Endpoint {
    path: String,
    signing_secrets: Vec<String>,
    authorization: Option<String>,
    consent: Option<Consent>,
    takes: Takes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Structured,
    Binary,
    Anything,
}

impl Endpoint {
    /// Takes `CloudEvents` in structured mode.
    #[must_use]
    pub fn cloud_events(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            signing_secrets: Vec::new(),
            authorization: None,
            consent: None,
            takes: Takes::Structured,
        }
    }

    /// Takes `CloudEvents` in binary mode. Each attribute has to be percent-encoded in its header.
    #[must_use]
    pub fn binary_cloud_events(path: &str) -> Self {
        Self { takes: Takes::Binary, ..Self::cloud_events(path) }
    }

    /// Takes any body.
    #[must_use]
    pub fn anything(path: &str) -> Self {
        Self { takes: Takes::Anything, ..Self::cloud_events(path) }
    }

    /// Demands a Standard Webhooks signature by this secret (`whsec_...`), or by one of them if told several times.
    #[must_use]
    pub fn with_signing_secret(mut self, secret: &str) -> Self {
        self.signing_secrets.push(secret.to_owned());
        self
    }

    /// Demands exactly this `Authorization` header.
    #[must_use]
    pub fn with_authorization(mut self, value: &str) -> Self {
        self.authorization = Some(value.to_owned());
        self
    }

    /// Demands this bearer token.
    #[must_use]
    pub fn with_bearer(self, token: &str) -> Self {
        self.with_authorization(&format!("Bearer {token}"))
    }

    /// Demands this user and password (Basic).
    #[must_use]
    pub fn with_basic(self, user: &str, password: &str) -> Self {
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.with_authorization(&format!("Basic {both}"))
    }

    /// Takes events only from an origin that it has consented to in a handshake. `Inbox::consent` changes its mind.
    #[must_use]
    pub fn with_handshake(mut self, consent: Consent) -> Self {
        self.consent = Some(consent);
        self
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn check(&self, request: &Incoming<'_>, memory: &mut Memory) -> Result<Checked, Refusal> {
        if self.consent.is_some() {
            handshake::check(request, memory)?;
        }
        if self.authorization.is_some() && request.header("authorization") != self.authorization.as_deref() {
            return Err((401, "the Authorization header is not the one that was agreed on".to_owned()));
        }
        let signed = !self.signing_secrets.is_empty();
        if signed {
            signature::check(request, &self.signing_secrets).map_err(|why| (401, why))?;
        }
        let webhook_id = request.header("webhook-id").map(str::to_owned);
        let Event { id, source, kind, subject, whole } = match self.takes {
            Takes::Anything => return Ok(anything(request, webhook_id, signed)),
            Takes::Structured => event::structured(request)?,
            Takes::Binary => event::binary(request)?,
        };
        let id = webhook_id.unwrap_or_else(|| format!("{source} {id}"));
        Ok(Checked::Good { id: Some(id), title: kind, text: subject, signed, body: whole })
    }
}

fn anything(request: &Incoming<'_>, id: Option<String>, signed: bool) -> Checked {
    let text = String::from_utf8_lossy(request.body).into_owned();
    let title = text.lines().next().unwrap_or_default().to_owned();
    let body = serde_json::from_slice(request.body).unwrap_or_default();
    Checked::Good { id, title, text, signed, body }
}

impl Inspect for Endpoint {
    fn owns(&self, request: &Incoming<'_>) -> bool {
        request.path.trim_start_matches('/') == self.path.trim_start_matches('/')
    }

    fn inspect(&self, request: &Incoming<'_>, memory: &mut Memory) -> Checked {
        self.check(request, memory).unwrap_or_else(Checked::from)
    }

    fn answer(&self, _: &Incoming<'_>, verdict: &Verdict) -> Response {
        let Verdict::Refused { code, message } = verdict else { return StatusCode::NO_CONTENT.into_response() };
        let status = u16::try_from(*code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::BAD_REQUEST);
        if status == StatusCode::TOO_MANY_REQUESTS {
            return (status, [(RETRY_AFTER, RETRY_AFTER_SECONDS)], message.clone()).into_response();
        }
        (status, message.clone()).into_response()
    }

    fn shake_hands(&self, request: &Incoming<'_>, memory: &mut Memory) -> Option<(Handshake, Response)> {
        self.consent.as_ref().map(|consent| handshake::shake(request, memory, consent))
    }
}
