//! The verdict: `errcode` in the body, never the HTTP status ("Global error codes" in the WeCom manual).

use crate::channel::robot::Meaning::{Delivered, Permanent, Throttled, Transient};
use crate::channel::robot::Verdicts;

/// What `errcode` means.
pub(in crate::channel) const VERDICTS: Verdicts = Verdicts {
    fields: &[("errcode", "errmsg")],
    codes: &[
        (0, Delivered, ""),
        (-1, Transient, "the system is busy"),
        (40_008, Permanent, "the message type is not supported"),
        (40_058, Permanent, "a parameter is wrong, or the message is too long"),
        (44_004, Permanent, "the message is empty"),
        (45_009, Throttled, "more than 20 messages in a minute"),
        (93_000, Permanent, "the webhook URL is wrong, or the robot was deleted"),
    ],
};
