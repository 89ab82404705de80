//! The verdict: the code of the server's reply (RFC 5321, "Reply Codes in Numeric Order"; RFC 4954 for the login).

use crate::channel::{Outcome, Reply};

/// What a reply means, to whichever command it is: 4xx is "try again later", 5xx is "never".
pub(super) fn verdict(reply: &Reply) -> Outcome {
    let code = reply.status.to_string();
    let words = String::from_utf8_lossy(&reply.body).into_owned();
    match reply.status {
        200..=299 => Outcome::Delivered { code },
        // Also the server's throttling (421, 450, 451, 452, 454), which names no time.
        400..=499 => Outcome::Transient { code, message: words },
        500..=599 => Outcome::Permanent { code, message: with_advice(reply.status, &words) },
        _ => Outcome::Transient {
            code: "BodyNotUnderstood".to_owned(),
            message: format!("the server answered {code}, which accepts nothing and refuses nothing"),
        },
    }
}

/// Advice first, since long words are cut.
fn with_advice(code: u16, words: &str) -> String {
    let advice = match code {
        530 => "the server wants a login; set email.smtp.credentialsRef in the Workspace's messageSettings",
        534 => "the server wants another kind of login, such as an app password or security: Tls",
        535 => "the server refuses the login; mend username and password in the Secret of email.smtp.credentialsRef",
        _ => return words.to_owned(),
    };
    format!("{advice}: {words}")
}
