//! The validation handshake: whether an endpoint wants messages ("HTTP 1.1 Web Hooks for Event Delivery", section 4).
//!
//! `OPTIONS` with `WebHook-Request-Origin` goes to the exact URL of the messages. Only `WebHook-Allowed-Origin` in the reply
//! is consent, whatever the status. Consent is remembered for a day, refusal not at all: the next attempt asks again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::CallError;

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
/// How long consent holds.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);
/// Most consents that are remembered; one that was forgotten is asked for again.
const MOST: usize = 4096;

/// What is asked of an endpoint before the first message.
#[derive(Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Who asks.
    pub origin: HeaderValue,
    /// The target's own headers, credentials among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Handshake {
    pub(super) const METHOD: Method = Method::OPTIONS;

    pub(super) fn header_map(&self) -> HeaderMap {
        let mut map: HeaderMap = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in &self.headers {
            map.insert(name, value.clone());
        }
        map.insert(REQUEST_ORIGIN, self.origin.clone());
        map
    }

    /// Whether a reply with these headers is consent. Origins are DNS names, so their case does not matter.
    fn is_consent(&self, headers: &HeaderMap) -> bool {
        headers.get_all(ALLOWED_ORIGIN).iter().any(|allowed| {
            let allowed = allowed.as_bytes().trim_ascii();
            allowed == b"*" || allowed.eq_ignore_ascii_case(self.origin.as_bytes())
        })
    }

    /// Judges the reply to `OPTIONS`.
    pub(super) fn verdict(&self, status: u16, headers: &HeaderMap) -> Result<(), CallError> {
        if self.is_consent(headers) {
            return Ok(());
        }
        let origin = String::from_utf8_lossy(self.origin.as_bytes());
        let answer = if headers.contains_key(ALLOWED_ORIGIN) {
            "a WebHook-Allowed-Origin that is another"
        } else {
            "no WebHook-Allowed-Origin"
        };
        Err(CallError {
            code: "ConsentWithheld",
            message: format!(
                "the endpoint does not consent to messages: it answered OPTIONS with HTTP {status} and {answer}; let it \
                 answer with WebHook-Allowed-Origin: {origin} or *, or leave out spec.http.handshake"
            ),
            maybe_sent: false,
        })
    }
}

/// The consents that hold, by URL and origin.
#[derive(Default)]
pub(super) struct Consents(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Consents {
    /// Whether the endpoint has consented within the last day.
    pub(super) fn holds(&self, url: &Url, handshake: &Handshake, now: Timestamp) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key(url, handshake)).is_some_and(|since| is_fresh(*since, now))
    }

    /// Remembers that it has.
    pub(super) fn remember(&self, url: &Url, handshake: &Handshake, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, since| is_fresh(*since, now));
        }
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, since)| **since).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(key(url, handshake), now);
    }
}

/// A clock that was set back makes nothing last longer.
fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(since);
    !age.is_negative() && age < HOLDS
}

/// The URL may hold a token, so it is not kept.
fn key(url: &Url, handshake: &Handshake) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(url.as_str());
    digest.update([0]);
    digest.update(handshake.origin.as_bytes());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(origin: &'static str) -> Handshake {
        Handshake { origin: HeaderValue::from_static(origin), headers: Vec::new() }
    }

    #[test]
    fn only_the_header_is_consent_whatever_the_status() {
        for (status, allowed, consent) in [
            (200, &["notifier.example.com"] as &[&'static str], true),
            (500, &["*"], true),
            (405, &[" Notifier.Example.COM "], true),
            (200, &["other.example", "notifier.example.com"], true),
            (200, &[], false),
            (200, &["other.example"], false),
            (200, &["notifier.example.com.evil"], false),
            (200, &["*.example.com"], false),
            (200, &[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in allowed {
                headers.append(ALLOWED_ORIGIN, HeaderValue::from_static(value));
            }
            let verdict = handshake("notifier.example.com").verdict(status, &headers);
            assert_eq!(verdict.is_ok(), consent, "{status} {allowed:?}");
            if let Err(error) = verdict {
                assert_eq!((error.code, error.maybe_sent), ("ConsentWithheld", false));
                assert!(error.message.contains("WebHook-Allowed-Origin: notifier.example.com or *"), "{error}");
                assert!(error.message.len() <= 256, "{}", error.message.len());
            }
        }
    }

    #[test]
    fn consent_is_of_one_url_for_one_origin_and_one_day() {
        let consents = Consents::default();
        let (url, other) = (Url::parse("https://a.example/1").unwrap(), Url::parse("https://a.example/2").unwrap());
        let start = Timestamp::UNIX_EPOCH;
        consents.remember(&url, &handshake("a"), start);
        assert!(consents.holds(&url, &handshake("a"), start));
        assert!(consents.holds(&url, &handshake("a"), start + SignedDuration::from_mins(24 * 60 - 1)));
        assert!(!consents.holds(&url, &handshake("a"), start + SignedDuration::from_hours(24)));
        assert!(!consents.holds(&url, &handshake("a"), start - SignedDuration::from_secs(1)));
        assert!(!consents.holds(&url, &handshake("b"), start));
        assert!(!consents.holds(&other, &handshake("a"), start));
    }

    #[test]
    fn of_too_many_consents_the_oldest_is_forgotten() {
        let consents = Consents::default();
        let url = |n: usize| Url::parse(&format!("https://a.example/{n}")).unwrap();
        let time = |n: usize| Timestamp::from_millisecond(i64::try_from(n).unwrap()).unwrap();
        for n in 0..=MOST {
            consents.remember(&url(n), &handshake("a"), time(n));
        }
        assert!(!consents.holds(&url(0), &handshake("a"), time(MOST)));
        assert!(consents.holds(&url(1), &handshake("a"), time(MOST)));
        assert!(consents.holds(&url(MOST), &handshake("a"), time(MOST)));
    }
}
