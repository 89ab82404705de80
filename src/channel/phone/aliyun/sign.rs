//! The signature: ACS3-HMAC-SHA256 ("Request syntax and signature method V3" of Alibaba Cloud).

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::channel::Request;
use crate::lifecycle::identity::hex;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// An access key, with a token if it is a temporary one. Visible ASCII characters only.
#[derive(Debug)]
pub(in crate::channel) struct Keys {
    id: SecretString,
    secret: SecretString,
    token: Option<SecretString>,
}

impl Keys {
    /// Keys that can stand in a header; the name of the first part that cannot otherwise.
    pub(in crate::channel) fn new(
        id: SecretString,
        secret: SecretString,
        token: Option<SecretString>,
    ) -> Result<Self, &'static str> {
        let parts = [("accessKeyId", Some(&id)), ("accessKeySecret", Some(&secret)), ("securityToken", token.as_ref())];
        for (name, part) in parts {
            let visible = |part: &SecretString| part.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
            if !part.is_none_or(visible) {
                return Err(name);
            }
        }
        Ok(Self { id, secret, token })
    }

    pub(super) fn secrets(&self) -> Vec<SecretString> {
        [Some(&self.id), Some(&self.secret), self.token.as_ref()].into_iter().flatten().cloned().collect()
    }
}

/// One call in the RPC style, with an empty body.
pub(super) struct Call<'a> {
    pub(super) action: &'static str,
    pub(super) version: &'static str,
    pub(super) query: &'a [(&'static str, String)],
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// What is signed.
pub(super) struct Canonical {
    /// Names of the signed headers.
    signed_headers: String,
    /// Hash of the canonical request.
    pub(super) hash: String,
}

impl Canonical {
    pub(super) fn signature(&self, keys: &Keys) -> String {
        let secret = keys.secret.expose_secret().as_bytes();
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length");
        mac.update(format!("{ALGORITHM}\n{}", self.hash).as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

/// Unique for every attempt, and the same for the same one.
pub(super) fn nonce(delivery_id: &str, action: &str, now: Timestamp) -> String {
    let text = format!("{delivery_id}\n{action}\n{}", now.as_nanosecond());
    hex(&Sha256::digest(text)).chars().take(32).collect()
}

impl Call<'_> {
    /// The request with its signature, which holds for 15 minutes.
    pub(super) fn signed(&self, endpoint: &Url, keys: &Keys) -> Request {
        let canonical = self.canonical(endpoint, keys);
        let authorization = format!(
            "{ALGORITHM} Credential={},SignedHeaders={},Signature={}",
            keys.id.expose_secret(),
            canonical.signed_headers,
            canonical.signature(keys)
        );
        let mut headers: Vec<(HeaderName, HeaderValue)> = self
            .headers(endpoint, keys)
            .into_iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| (HeaderName::from_static(name), header_value(&value, name == "x-acs-security-token")))
            .collect();
        headers.push((header::AUTHORIZATION, header_value(&authorization, true)));
        let mut url = endpoint.clone();
        url.set_query(Some(&self.canonical_query()));
        Request { method: Method::POST, url, headers, body: Vec::new(), tls: None, handshake: None }
    }

    pub(super) fn canonical(&self, endpoint: &Url, keys: &Keys) -> Canonical {
        let headers = self.headers(endpoint, keys);
        let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut request = format!("POST\n{}\n{}\n", endpoint.path(), self.canonical_query());
        for (name, value) in &headers {
            let _ = writeln!(request, "{name}:{value}");
        }
        let _ = write!(request, "\n{signed_headers}\n{}", hex(&Sha256::digest([])));
        Canonical { signed_headers, hash: hex(&Sha256::digest(&request)) }
    }

    /// The signed headers, sorted by name.
    fn headers(&self, endpoint: &Url, keys: &Keys) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("host", host(endpoint)),
            ("x-acs-action", self.action.to_owned()),
            ("x-acs-content-sha256", hex(&Sha256::digest([]))),
            ("x-acs-date", self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ];
        if let Some(token) = &keys.token {
            headers.push(("x-acs-security-token", token.expose_secret().to_owned()));
        }
        headers.push(("x-acs-signature-nonce", self.nonce.to_owned()));
        headers.push(("x-acs-version", self.version.to_owned()));
        headers
    }

    /// Sorted by name, each part encoded once.
    fn canonical_query(&self) -> String {
        let mut pairs: Vec<(String, String)> =
            self.query.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
        pairs.sort();
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

/// The `Host` header as the HTTP client writes it: with the port unless it is the scheme's own.
fn host(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn header_value(text: &str, sensitive: bool) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "hosts, digits and what Keys let through are visible ASCII")]
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(sensitive);
    value
}

/// RFC 3986: everything but letters, digits, `-`, `_`, `.` and `~` is encoded.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
