//! The verdict: `errcode` in the body, never the HTTP status ("Custom robot access", error codes).

use serde_json::Value;

use crate::channel::{Outcome, Reply};

/// What a robot's reply means.
pub(super) fn verdict(reply: &Reply) -> Outcome {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let code = match body.get("errcode") {
        Some(Value::Number(code)) => code.as_i64(),
        Some(Value::String(code)) => code.trim().parse().ok(),
        _ => None,
    };
    let message = body.get("errmsg").and_then(Value::as_str).unwrap_or_default().to_owned();
    match code {
        Some(code) => by_code(code, message),
        None => without_code(reply),
    }
}

fn by_code(code: i64, message: String) -> Outcome {
    let text = code.to_string();
    match code {
        0 => Outcome::Delivered { code: text },
        // The robot is blocked for as long as the manual says, whatever a gateway's Retry-After may.
        130_101 | 410_100 | 90_030 => Outcome::Throttled { code: text, message, retry_after: None },
        -1 => Outcome::Transient { code: text, message },
        _ => Outcome::Permanent { code: text, message },
    }
}

/// No verdict in the body: the status can only say that it was not delivered.
fn without_code(reply: &Reply) -> Outcome {
    let status = reply.status.to_string();
    let message = format!("HTTP {status} with a body that holds no errcode");
    match reply.status {
        200..=299 => Outcome::Transient { code: "BodyNotUnderstood".to_owned(), message },
        429 => Outcome::Throttled { code: status, message, retry_after: reply.retry_after },
        500.. => Outcome::Transient { code: status, message },
        _ => Outcome::Permanent { code: status, message },
    }
}
