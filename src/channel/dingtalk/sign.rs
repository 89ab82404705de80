//! The signature: HMAC-SHA256 with the key over `<milliseconds>\n<key>`, in the query.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use url::Url;

/// The webhook with `timestamp` and `sign`. Made anew for every attempt: the robot refuses one that is an hour old.
pub(super) fn signed(webhook: &Url, key: &str, now: Timestamp) -> Url {
    let milliseconds = now.as_millisecond().to_string();
    let mut url = webhook.clone();
    // Encodes `+`, `/` and `=`, each once.
    url.query_pairs_mut().append_pair("timestamp", &milliseconds).append_pair("sign", &signature(key, &milliseconds));
    url
}

/// Base64, before URL encoding.
pub(super) fn signature(key: &str, milliseconds: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(milliseconds.as_bytes());
    mac.update(b"\n");
    mac.update(key.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
