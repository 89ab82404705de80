//! The abuse protection of the `CloudEvents` webhook specification: before the first event the sender asks by OPTIONS
//! whether it may, and only a header in the reply is consent, whatever the status.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::super::budget::{Budget, Limit};
use super::super::inspect::{Incoming, Memory, Refusal};

/// What an endpoint answers to a handshake.
#[derive(Clone, Debug)]
pub enum Consent {
    /// Consent to this origin, or to everybody with `*`.
    Given {
        /// The name in `WebHook-Allowed-Origin`.
        origin: String,
        /// The number in `WebHook-Allowed-Rate`, per minute, which is then enforced; `*` if there is none.
        rate: Option<usize>,
    },
    /// Status 200 and no header.
    Withheld,
}

/// One OPTIONS request.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// Since the receiver was started.
    pub at: Duration,
    /// Name of the inbox.
    pub inbox: String,
    /// `WebHook-Request-Origin`.
    pub origin: Option<String>,
    /// `WebHook-Request-Rate`.
    pub rate: Option<String>,
    /// `WebHook-Request-Callback`.
    pub callback: Option<String>,
    /// Whether the reply was a consent to this origin.
    pub consented: bool,
}

/// What became of the handshakes of one endpoint.
#[derive(Default)]
pub(in super::super) struct Consented {
    /// In the place of what the endpoint was set up with.
    pub(in super::super) decision: Option<Consent>,
    /// Origin, and rate per minute.
    to: Option<(String, Option<usize>)>,
}

/// Answers OPTIONS.
pub(super) fn shake(request: &Incoming<'_>, memory: &mut Memory, standing: &Consent) -> (Handshake, Response) {
    let header = |name: &str| request.header(name).map(str::to_owned);
    let mut handshake = Handshake {
        origin: header("webhook-request-origin"),
        rate: header("webhook-request-rate"),
        callback: header("webhook-request-callback"),
        ..Handshake::default()
    };
    memory.consent.to = None;
    let Some(asking) = &handshake.origin else {
        return (handshake, (StatusCode::BAD_REQUEST, "WebHook-Request-Origin is missing").into_response());
    };
    let decision = memory.consent.decision.as_ref().unwrap_or(standing);
    let Consent::Given { origin, rate } = decision else { return (handshake, StatusCode::OK.into_response()) };
    let mut response = [("webhook-allowed-origin", origin.clone()), ("allow", "POST".to_owned())].into_response();
    if handshake.rate.is_some() {
        let rate = rate.map_or_else(|| "*".to_owned(), |rate| rate.to_string());
        response.headers_mut().insert("webhook-allowed-rate", rate.parse().expect("a number is a header"));
    }
    handshake.consented = origin == "*" || origin.eq_ignore_ascii_case(asking);
    if handshake.consented {
        memory.consent.to = Some((asking.clone(), *rate));
    }
    (handshake, response)
}

/// Whether the sender of an event has consent and keeps to it.
pub(super) fn check(request: &Incoming<'_>, memory: &mut Memory) -> Result<(), Refusal> {
    let origin = request.header("webhook-request-origin");
    let origin = origin.ok_or_else(|| (400, "WebHook-Request-Origin is missing".to_owned()))?;
    match &memory.consent.to {
        Some((allowed, _)) if !allowed.eq_ignore_ascii_case(origin) => {
            Err((403, format!("the consent was for {allowed}, not for {origin}")))
        }
        None => Err((403, "there was no consent".to_owned())),
        Some((_, None)) => Ok(()),
        Some((_, Some(rate))) => {
            let budget = Budget { limits: vec![Limit::per_minute(*rate)], penalty: Duration::ZERO };
            let spent = memory.spent.spend(request.now, &budget);
            spent.map_err(|limit| (429, format!("the consent was for {} a minute", limit.most)))
        }
    }
}

impl Consented {
    /// Changes the endpoint's mind. What was granted before holds until the next handshake, unless this withholds.
    pub(in super::super) fn decide(&mut self, consent: Consent) {
        if matches!(consent, Consent::Withheld) {
            self.to = None;
        }
        self.decision = Some(consent);
    }
}
