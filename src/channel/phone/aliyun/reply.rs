//! The verdict: `Code` in the body ("`SendSms`", "`SingleCallByTts`" and "Error codes" of Alibaba Cloud). Failures of the
//! gateway itself have the same form with an HTTP status of 400 and more.

use std::time::Duration;

use serde_json::Value;

use crate::channel::{Outcome, Reply};

/// How long to wait where calls are not allowed at this hour: some accounts may not call at noon and at night.
const QUIET_HOURS: Duration = Duration::from_hours(1);

/// What a reply means.
pub(super) fn verdict(reply: &Reply) -> Outcome {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    match text("Code") {
        Some(code) if !code.is_empty() => by_code(code, text("Message").unwrap_or_default(), reply),
        _ => without_code(reply),
    }
}

fn by_code(code: &str, message: &str, reply: &Reply) -> Outcome {
    let (code, message) = (code.to_owned(), message.to_owned());
    match code.as_str() {
        "OK" => Outcome::Delivered { code },
        "isv.BUSINESS_LIMIT_CONTROL" => Outcome::Throttled { code, retry_after: Some(window(&message)), message },
        "isv.VOICE_ROBOT_NOT_PERIOD" | "isv.VOICE_CALL_PERIOD_ERROR" => {
            Outcome::Throttled { code, message, retry_after: Some(QUIET_HOURS) }
        }
        "isp.SYSTEM_ERROR" | "isv.VOICE_CALL_FAIL" => Outcome::Transient { code, message },
        throttling if throttling == "Throttling" || throttling.starts_with("Throttling.") => {
            Outcome::Transient { code, message }
        }
        _ if reply.status == 429 => Outcome::Throttled { code, message, retry_after: reply.retry_after },
        _ if reply.status >= 500 => Outcome::Transient { code, message },
        // Whatever else: a wrong signature or template, no money, a number that cannot be reached, an account's own cap.
        _ => Outcome::Permanent { code, message },
    }
}

/// The window that a per-number limit names, as in `触发分钟级流控Permits:1`; the longest one if there are several.
fn window(message: &str) -> Duration {
    let message = message.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if names(&["天", "日", "day"]) {
        Duration::from_hours(24)
    } else if names(&["小时", "hour"]) {
        Duration::from_hours(1)
    } else {
        Duration::from_mins(1)
    }
}

/// No verdict in the body: the status can only say that it was not delivered.
fn without_code(reply: &Reply) -> Outcome {
    let status = reply.status.to_string();
    let message = format!("HTTP {status} with a body that holds no Code");
    match reply.status {
        200..=299 => Outcome::Transient { code: "BodyNotUnderstood".to_owned(), message },
        429 => Outcome::Throttled { code: status, message, retry_after: reply.retry_after },
        500.. => Outcome::Transient { code: status, message },
        _ => Outcome::Permanent { code: status, message },
    }
}
