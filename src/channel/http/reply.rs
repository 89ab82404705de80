//! The verdict: any 2xx ("HTTP 1.1 Web Hooks for Event Delivery", section 2.2).

use crate::channel::{Outcome, Reply};

pub(super) fn verdict(reply: &Reply) -> Outcome {
    let code = reply.status.to_string();
    let body = String::from_utf8_lossy(&reply.body);
    let message = if body.trim().is_empty() { format!("HTTP {code}") } else { format!("HTTP {code}: {}", body.trim()) };
    match reply.status {
        200..=299 => Outcome::Delivered { code },
        300..=399 => Outcome::Permanent {
            message: format!("HTTP {code}: redirects are not followed; put the final URL into the target"),
            code,
        },
        410 => Outcome::Gone { code, message },
        429 => Outcome::Throttled { code, message, retry_after: reply.retry_after },
        503 if reply.retry_after.is_some() => Outcome::Throttled { code, message, retry_after: reply.retry_after },
        408 | 425 | 500.. => Outcome::Transient { code, message },
        _ => Outcome::Permanent { code, message },
    }
}
