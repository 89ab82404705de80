//! The signature `ACS3-HMAC-SHA256`, from the side that checks it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::HeaderMap;
use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::super::inspect::Incoming;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// Everything but the letters, digits and the four signs that RFC 3986 reserves for nothing.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const DEMANDED: [&str; 5] = ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"];

/// The parts of a request that are signed.
pub struct Signed<'a> {
    /// In capitals.
    pub method: &'a str,
    /// `/` for the actions of this gateway.
    pub path: &'a str,
    /// Decoded.
    pub query: &'a BTreeMap<String, String>,
    /// All of them, signed or not.
    pub headers: &'a HeaderMap,
    /// As sent.
    pub body: &'a [u8],
}

/// The header `Authorization`.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Whose key.
    pub key_id: String,
    /// In the order given.
    pub signed_headers: Vec<String>,
    /// Hexadecimal.
    pub signature: String,
}

impl Authorization {
    /// Reads the header, which has commas and no spaces after them.
    pub fn parse(header: &str) -> Result<Self, String> {
        let rest = header.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let rest = rest.ok_or_else(|| format!("Authorization does not begin with {ALGORITHM}"))?;
        let mut parts = rest.split(',');
        let mut part = |name: &str| {
            let value = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
            let value = value.filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| format!("Authorization has no {name} where it belongs"))
        };
        let (key_id, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
        if parts.next().is_some() {
            return Err("Authorization has more parts than it should".to_owned());
        }
        Ok(Self { key_id, signed_headers: signed.split(';').map(str::to_owned).collect(), signature })
    }
}

impl<'a> From<&Incoming<'a>> for Signed<'a> {
    fn from(request: &Incoming<'a>) -> Self {
        let Incoming { method, path, query, headers, body, now: _ } = *request;
        Self { method: method.as_str(), path, query, headers, body }
    }
}

impl Signed<'_> {
    /// Whether every header that has to be signed is, in lower case and in order, and the body's hash is the body's.
    pub fn check_headers(&self, signed: &[String]) -> Result<(), String> {
        if signed.iter().any(|name| name.chars().any(char::is_uppercase)) || !signed.is_sorted() {
            return Err("SignedHeaders are not in lower case or not sorted".to_owned());
        }
        for name in DEMANDED {
            if self.header(name).is_empty() {
                return Err(format!("the header {name} is missing"));
            }
        }
        if self.header("x-acs-content-sha256") != hex(&Sha256::digest(self.body)) {
            return Err("x-acs-content-sha256 is not the hash of the body".to_owned());
        }
        let has_to_be = |name: &str| name.starts_with("x-acs-") || name == "host" || name == "content-type";
        for name in self.headers.keys().map(axum::http::HeaderName::as_str).filter(|name| has_to_be(name)) {
            if !signed.iter().any(|one| one == name) {
                return Err(format!("the header {name} is not signed"));
            }
        }
        match signed.iter().find(|name| !self.headers.contains_key(name.as_str())) {
            Some(name) => Err(format!("the header {name} is signed and missing")),
            None => Ok(()),
        }
    }

    /// Checks the signature, or says over which text it should have been.
    pub fn check(&self, authorization: &Authorization, secret: &str) -> Result<(), String> {
        let ours = string_to_sign(&self.canonical_request(&authorization.signed_headers));
        if signature(secret, &ours) == authorization.signature { Ok(()) } else { Err(ours) }
    }

    /// The request in the one form over which both sides agree.
    #[must_use]
    pub fn canonical_request(&self, signed: &[String]) -> String {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let path: Vec<String> = self.path.split('/').map(encode).collect();
        let headers = signed.iter().fold(String::new(), |mut text, name| {
            let _ = writeln!(text, "{name}:{}", self.header(name));
            text
        });
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            path.join("/"),
            query.join("&"),
            signed.join(";"),
            hex(&Sha256::digest(self.body))
        )
    }

    /// The values of a header without the spaces around, sorted.
    fn header(&self, name: &str) -> String {
        let mut values: Vec<&str> =
            self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim).collect();
        values.sort_unstable();
        values.join(",")
    }
}

/// What the signature is over.
#[must_use]
pub fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", hex(&Sha256::digest(canonical_request)))
}

/// The signature of such a text.
#[must_use]
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
