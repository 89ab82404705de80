//! The contract that every channel keeps, over real sockets: what a receiver does, and what has to come of it.
//!
//! A target stands here as its spec ([`form`]) and is resolved and sent through as the operator does it ([`line`]), to
//! receivers that check what the real ones check. A row of a table ([`table`]) answers for every channel by an
//! exhaustive match: where something makes no sense for a channel, the row says why. Start at [`replies`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test fails by panicking, reads the clock itself and does not use all of the receivers"
)]

#[path = "support/mail.rs"]
mod mail;
#[path = "support/robot.rs"]
mod robot;

#[path = "channels/accepted.rs"]
mod accepted;
#[path = "channels/credentials.rs"]
mod credentials;
#[path = "channels/form.rs"]
mod form;
#[path = "channels/line.rs"]
mod line;
#[path = "channels/network.rs"]
mod network;
#[path = "channels/news.rs"]
mod news;
#[path = "channels/replies.rs"]
mod replies;
#[path = "channels/smtp.rs"]
mod smtp;
#[path = "channels/table.rs"]
mod table;
#[path = "channels/texts.rs"]
mod texts;
#[path = "channels/view.rs"]
mod view;
#[path = "channels/words.rs"]
mod words;

use std::time::Duration;

/// Enough for whatever is not to take long.
const SOON: Duration = Duration::from_secs(10);
/// How long an attempt may take whose reply never comes. The request itself has to be out by then.
const SHORT: Duration = Duration::from_millis(1500);
