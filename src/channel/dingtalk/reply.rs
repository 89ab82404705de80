//! The verdict: `errcode` in the body, never the HTTP status ("Custom robot access", error codes).

use crate::channel::robot::Meaning::{Delivered, Permanent, Throttled, Transient};
use crate::channel::robot::Verdicts;

/// What `errcode` means. Newer gateways word one number in several ways, so that the words are never read.
pub(in crate::channel) const VERDICTS: Verdicts = Verdicts {
    fields: &[("errcode", "errmsg")],
    codes: &[
        (0, Delivered, ""),
        (-1, Transient, "the system is busy"),
        (40_035, Permanent, "a parameter is missing"),
        (90_030, Throttled, "too many calls of this webhook"),
        (130_101, Throttled, "more than 20 messages in a minute; the robot is blocked for 10 minutes"),
        (300_001, Permanent, "there is no such access_token"),
        (300_005, Permanent, "there is no such access_token"),
        (310_000, Permanent, "the security settings refuse it: keyword, signature, time or caller's address"),
        (400_013, Permanent, "the group was dissolved"),
        (400_101, Permanent, "there is no such access_token"),
        (400_102, Permanent, "the robot is disabled"),
        (400_105, Permanent, "the message type is not supported"),
        (400_106, Permanent, "the robot is not in the group"),
        (410_100, Throttled, "too many messages"),
        (430_101, Permanent, "a link is held to be unsafe"),
        (430_102, Permanent, "the text is held to be unsafe"),
        (430_103, Permanent, "an image is held to be unsafe"),
        (430_104, Permanent, "the content is held to be unsafe"),
        (460_101, Permanent, "the message is longer than 20000 bytes"),
    ],
};
