//! The signature: HMAC-SHA256 with the key over `<milliseconds>\n<key>`, in the query.

use jiff::Timestamp;
use url::Url;

use crate::channel::robot::hmac;

/// The webhook with `timestamp` and `sign`. Made anew for every attempt: the robot refuses one that is an hour old.
pub(super) fn signed(webhook: &Url, key: &str, now: Timestamp) -> Url {
    let milliseconds = now.as_millisecond().to_string();
    let mut url = webhook.clone();
    // Encodes `+`, `/` and `=`, each once.
    url.query_pairs_mut().append_pair("timestamp", &milliseconds).append_pair("sign", &signature(key, &milliseconds));
    url
}

/// Base64, before URL encoding.
pub(in crate::channel) fn signature(key: &str, milliseconds: &str) -> String {
    hmac(key.as_bytes(), format!("{milliseconds}\n{key}").as_bytes())
}
