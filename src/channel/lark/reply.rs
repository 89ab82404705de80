//! The verdict: `code` in the body or, in older replies, `StatusCode`; never the HTTP status ("Custom bot usage guide").

use crate::channel::robot::Meaning::{Delivered, Permanent, Throttled, Transient};
use crate::channel::robot::Verdicts;
use crate::channel::{Outcome, Reply};

/// A request that could not be read; now and then also one too many.
const BAD_REQUEST: &str = "9499";

/// What the number means.
pub(in crate::channel) const VERDICTS: Verdicts = Verdicts {
    fields: &[("code", "msg"), ("StatusCode", "StatusMessage")],
    codes: &[
        (0, Delivered, ""),
        (2200, Transient, "an error inside of the platform"),
        (9499, Permanent, "the message is malformed or larger than 20 KB"),
        (11_232, Throttled, "too many messages, or the platform is busy"),
        (19_001, Permanent, "there is no such robot"),
        (19_002, Permanent, "a parameter is wrong"),
        (19_021, Permanent, "the signature does not match, or a clock is wrong"),
        (19_022, Permanent, "the caller's address is not on the robot's list"),
        (19_024, Permanent, "none of the robot's keywords is in the message"),
    ],
};

/// What a robot's reply means.
pub(super) fn verdict(reply: &Reply) -> Outcome {
    match VERDICTS.of(reply) {
        // The one number that has two meanings, so that its words must tell them apart.
        Outcome::Permanent { code, message }
            if code == BAD_REQUEST && (reply.status == 429 || is_too_many(&message)) =>
        {
            Outcome::Throttled { code, message, retry_after: reply.retry_after }
        }
        outcome => outcome,
    }
}

fn is_too_many(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["too many", "frequen", "rate limit"].iter().any(|known| words.contains(known))
}
