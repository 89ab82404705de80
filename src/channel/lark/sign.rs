//! The signature: HMAC-SHA256 over nothing, with `<seconds>\n<key>` as the key, in the body. Not DingTalk's.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::channel::robot::hmac;

/// Puts `timestamp` and `sign` into the body. Made anew for every attempt: the robot refuses one that is an hour old.
pub(super) fn sign(body: &mut Value, key: &str, now: Timestamp) {
    let seconds = now.as_second().to_string();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("sign".to_owned(), json!(signature(key, &seconds)));
        fields.insert("timestamp".to_owned(), json!(seconds));
    }
}

/// Base64, as it stands in the body.
pub(in crate::channel) fn signature(key: &str, seconds: &str) -> String {
    hmac(format!("{seconds}\n{key}").as_bytes(), b"")
}
