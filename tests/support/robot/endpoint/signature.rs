//! Standard Webhooks signatures.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};

use super::super::budget::difference;
use super::super::inspect::Incoming;

const MAX_SKEW: Duration = Duration::from_mins(5);

/// Any `v1` signature over `id.timestamp.body` by any of the keys is enough; other versions are skipped.
pub(super) fn check(request: &Incoming<'_>, secrets: &[String]) -> Result<(), String> {
    let header = |name: &str| {
        let value = request.header(name).unwrap_or_default();
        if value.is_empty() { Err(format!("the header {name} is missing")) } else { Ok(value) }
    };
    let (id, timestamp, signatures) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    if id.contains('.') {
        return Err("webhook-id must not contain a dot".to_owned());
    }
    let seconds: u64 = timestamp.parse().map_err(|_| "webhook-timestamp is no number".to_owned())?;
    if difference(request.now, UNIX_EPOCH + Duration::from_secs(seconds)) > MAX_SKEW {
        return Err("webhook-timestamp is too far from the time here".to_owned());
    }
    let given: Vec<Vec<u8>> =
        signatures.split(' ').filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok()).collect();
    for secret in secrets {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key(secret)?).expect("any length is a key");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body] {
            mac.update(part);
        }
        if given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok()) {
            return Ok(());
        }
    }
    Err("no signature matches".to_owned())
}

/// The key in a secret, which may stand with or without its prefix.
fn key(secret: &str) -> Result<Vec<u8>, String> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret));
    key.ok().filter(|key| !key.is_empty()).ok_or_else(|| "the endpoint's own secret is none".to_owned())
}
