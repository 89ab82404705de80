//! `X-MLflow-Signature`: an HMAC-SHA256 over delivery id, timestamp and body.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::bus::refusal::Refusal;

/// How far a call's timestamp may be from now: who overheard a call cannot use it for longer.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Longest delivery id, in bytes.
const LONGEST_ID: usize = 200;

/// A call whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `X-MLflow-Delivery-Id`.
    pub delivery: &'a str,
}

/// Checks the signature of a call. Without a secret, there is none that holds; the answer is the same, so that nobody can
/// find out which workspaces exist.
///
/// # Errors
/// [`Refusal::Unauthenticated`].
pub fn check<'a>(
    headers: &'a HeaderMap,
    body: &[u8],
    secret: Option<&SecretString>,
    now: Timestamp,
) -> Result<Signed<'a>, Refusal> {
    let refused = Refusal::Unauthenticated(
        "the signature does not hold, or the workspace has no MLflow webhook; the webhook's secret has to be that of \
         spec.modelRegistry.mlflow.webhookSecretRef of the Workspace, whose EventBus says whether it can be read",
    );
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let (Some(delivery), Some(timestamp), Some(signatures), Some(secret)) =
        (header("x-mlflow-delivery-id"), header("x-mlflow-timestamp"), header("x-mlflow-signature"), secret)
    else {
        return Err(refused);
    };
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return Err(refused) };
    let mac = mac.chain_update(delivery).chain_update(".").chain_update(timestamp).chain_update(".").chain_update(body);
    let holds = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(|signature| {
        // Compared in constant time.
        STANDARD.decode(signature).is_ok_and(|signature| mac.clone().verify_slice(&signature).is_ok())
    });
    if !holds || delivery.is_empty() || delivery.len() > LONGEST_ID {
        return Err(refused);
    }
    let sent = timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    if sent.is_none_or(|sent| now.duration_since(sent).abs() > TOLERANCE) {
        let message =
            "X-MLflow-Timestamp is more than 5 minutes away from the time here; set the clocks of the two machines";
        return Err(Refusal::Unauthenticated(message));
    }
    Ok(Signed { delivery })
}
