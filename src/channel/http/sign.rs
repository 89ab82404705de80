//! Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` (its specification, "Signature scheme").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;

use crate::channel::Envelope;

const PREFIX: &str = "whsec_";

/// One signing key, decoded.
#[derive(Clone)]
pub(in crate::channel) struct SigningKey(SecretSlice<u8>);

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::channel) enum KeyError {
    /// There is none.
    #[error("holds no key; write one whsec_... a line")]
    Empty,
    /// Not base64.
    #[error("is not whsec_ followed by base64")]
    NotBase64,
}

impl SigningKey {
    /// Reads the keys of a Secret's value, one a line, with or without the prefix.
    ///
    /// # Errors
    /// [`KeyError`] if there is none, or one is no key.
    pub(in crate::channel) fn parse_all(text: &str) -> Result<Vec<Self>, KeyError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<Self> = lines.map(Self::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
    }

    fn parse(line: &str) -> Result<Self, KeyError> {
        let encoded = line.strip_prefix(PREFIX).unwrap_or(line);
        let key = STANDARD.decode(encoded).map_err(|_| KeyError::NotBase64)?;
        if key.is_empty() { Err(KeyError::Empty) } else { Ok(Self(key.into())) }
    }

    /// The key's base64 form.
    pub(super) fn encoded(&self) -> SecretString {
        SecretString::from(STANDARD.encode(self.0.expose_secret()))
    }

    pub(super) fn signature(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("a key of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The three headers; without keys, the id alone: it is the receiver's way to know a repeat.
pub(super) fn headers(keys: &[SigningKey], envelope: &Envelope<'_>, body: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.push((HeaderName::from_static(name), value));
        }
    };
    add("webhook-id", envelope.delivery_id);
    if !keys.is_empty() {
        let timestamp = envelope.now.as_second().to_string();
        let signatures: Vec<String> =
            keys.iter().map(|key| key.signature(envelope.delivery_id, &timestamp, body)).collect();
        add("webhook-timestamp", &timestamp);
        add("webhook-signature", &signatures.join(" "));
    }
    headers
}
