//! Replies, good and bad: only the receiver's own verdict is "delivered", and what is not is told apart by what helps.

use std::time::Duration;

use crate::form::Kind::{self, DingTalk, Email, Http, Lark, TextMessage, VoiceCall, WeCom};
use crate::robot::Behaviour;
use crate::smtp::{Act, At};
use crate::table::{Cell, Row, check};

/// A pause between bytes that makes a reply slow, but not hopeless.
const PAUSE: Duration = Duration::from_millis(2);

#[tokio::test]
async fn a_verdict_in_the_reply_decides() {
    check(&[
        ("the message is refused", refused),
        ("the receiver is busy", busy),
        ("too many messages", throttled),
        ("too many in an hour", throttled_for_an_hour),
        ("too many in a day", throttled_for_a_day),
        ("a number that nobody knows", unknown_code),
        ("the receiver is gone for good", gone),
    ])
    .await;
}

#[tokio::test]
async fn without_a_verdict_the_status_says_how_it_was_not_delivered() {
    const TABLE: &[Row] = &[
        ("HTTP 400", |kind| by_status(kind, 400, "permanent")),
        ("HTTP 403", |kind| by_status(kind, 403, "permanent")),
        ("HTTP 404", |kind| by_status(kind, 404, "permanent")),
        ("HTTP 500", |kind| by_status(kind, 500, "transient")),
        ("HTTP 502", |kind| by_status(kind, 502, "transient")),
        ("HTTP 503", |kind| by_status(kind, 503, "transient")),
        ("HTTP 429 with Retry-After", too_many),
        ("HTTP 503 with Retry-After", unavailable),
        ("a success and an empty body", |kind| without_verdict(kind, "text/plain", "")),
        ("a success and a page", |kind| without_verdict(kind, "text/html", "<html><h1>Welcome</h1></html>")),
        ("a success and an empty object", |kind| without_verdict(kind, "application/json", "{}")),
        ("a success and a verdict of another kind", |kind| {
            without_verdict(kind, "application/json", r#"{"status": "success", "errmsg": "ok", "msg": "ok"}"#)
        }),
        ("a reply of 10 MB", huge),
    ];
    check(TABLE).await;
}

#[tokio::test]
async fn a_reply_that_does_not_come_in_time_leaves_it_open_whether_the_message_was_shown() {
    check(&[
        ("never a reply", hang),
        ("no answer before the text was taken", hang_early),
        ("the connection is reset", reset),
        ("the connection is reset before the text was taken", reset_early),
        ("shown, and the reply is lost", lost),
        ("a reply byte by byte for ever", endless),
        ("a reply byte by byte", trickle),
        ("a slow reply", slow),
    ])
    .await;
}

const NO_CODES: &str = "a robot's or a gateway's own number; this one answers by status";

fn refused(kind: Kind) -> Cell {
    match kind {
        DingTalk => Cell::inbox(Behaviour::code(40_035, "missing parameter text"), "permanent", "40035"),
        WeCom => Cell::inbox(Behaviour::code(40_058, "invalid request parameter"), "permanent", "40058"),
        Lark => Cell::inbox(Behaviour::lark_code(19_002, "params error"), "permanent", "19002"),
        Http => Cell::inbox(Behaviour::status(422), "permanent", "422"),
        TextMessage | VoiceCall => {
            let code = "isv.MOBILE_NUMBER_ILLEGAL";
            Cell::inbox(Behaviour::gateway_code(200, code, "非法手机号"), "permanent", code)
        }
        Email => Cell::mail(At::End, Act::Say("554 5.7.1 spam".to_owned()), "permanent", "554"),
    }
}

fn busy(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom => Cell::inbox(Behaviour::code(-1, "system busy"), "transient", "-1"),
        Lark => Cell::inbox(Behaviour::lark_code(2200, "internal error"), "transient", "2200"),
        Http => Cell::inbox(Behaviour::status(503), "transient", "503"),
        TextMessage | VoiceCall => Cell::inbox(
            Behaviour::gateway_code(200, "isp.SYSTEM_ERROR", "system error"),
            "transient",
            "isp.SYSTEM_ERROR",
        ),
        Email => Cell::mail(At::End, Act::Say("451 4.3.0 try later".to_owned()), "transient", "451"),
    }
}

const FLOW: &str = "isv.BUSINESS_LIMIT_CONTROL";

fn throttled(kind: Kind) -> Cell {
    match kind {
        DingTalk => Cell::inbox(Behaviour::code(130_101, "send too fast"), "throttled", "130101"),
        WeCom => Cell::inbox(Behaviour::code(45_009, "api freq out of limit"), "throttled", "45009"),
        Lark => Cell::inbox(Behaviour::lark_code(11_232, "frequency limited"), "throttled", "11232"),
        Http => too_many(kind),
        TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::gateway_code(200, FLOW, "触发分钟级流控Permits:1"), "throttled", FLOW).silent_for(60)
        }
        // A mail server names no time and has no code of its own for it.
        Email => Cell::mail(At::Sender, Act::Say("421 4.7.0 too many".to_owned()), "transient", "421"),
    }
}

fn throttled_for_an_hour(kind: Kind) -> Cell {
    match kind {
        TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::gateway_code(200, FLOW, "触发小时级流控Permits:5"), "throttled", FLOW)
                .silent_for(3600)
        }
        DingTalk | WeCom | Lark | Http | Email => Cell::Not("only the gateway has limits of several lengths"),
    }
}

fn throttled_for_a_day(kind: Kind) -> Cell {
    match kind {
        TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::gateway_code(200, FLOW, "触发天级流控Permits:20"), "throttled", FLOW)
                .silent_for(86_400)
        }
        DingTalk | WeCom | Lark | Http | Email => Cell::Not("only the gateway has limits of several lengths"),
    }
}

fn unknown_code(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom => Cell::inbox(Behaviour::code(987_654, "something new"), "permanent", "987654"),
        Lark => Cell::inbox(Behaviour::lark_code(98_765, "something new"), "permanent", "98765"),
        TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::gateway_code(400, "isv.SOMETHING_NEW", "no"), "permanent", "isv.SOMETHING_NEW")
        }
        Http => Cell::Not(NO_CODES),
        Email => Cell::mail(At::End, Act::Say("777 what".to_owned()), "ambiguous", "BodyNotUnderstood"),
    }
}

fn gone(kind: Kind) -> Cell {
    match kind {
        Http => Cell::inbox(Behaviour::status(410), "gone", "410"),
        DingTalk => Cell::inbox(Behaviour::code(400_102, "robot is disabled"), "permanent", "400102"),
        WeCom => Cell::inbox(Behaviour::code(93_000, "invalid webhook url"), "permanent", "93000"),
        Lark => Cell::inbox(Behaviour::lark_code(19_001, "param invalid"), "permanent", "19001"),
        TextMessage | VoiceCall => Cell::Not("an account without money or template is refused like any other message"),
        Email => Cell::mail(At::Recipient, Act::Say("550 5.1.1 no such user".to_owned()), "permanent", "550"),
    }
}

const NO_STATUS: &str = "SMTP has no HTTP status";

fn by_status(kind: Kind, status: u16, label: &'static str) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::status(status), label, &status.to_string())
        }
        Email => Cell::Not(NO_STATUS),
    }
}

fn with_retry_after(status: u16) -> Behaviour {
    let headers = vec![("retry-after".to_owned(), "7".to_owned())];
    Behaviour::Answer { status, headers, body: String::new() }
}

fn too_many(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(with_retry_after(429), "throttled", "429").silent_for(7)
        }
        Email => Cell::Not(NO_STATUS),
    }
}

fn unavailable(kind: Kind) -> Cell {
    match kind {
        Http => Cell::inbox(with_retry_after(503), "throttled", "503").silent_for(7),
        // A gateway in front of them says it; their own answers have no such header.
        DingTalk | WeCom | Lark | TextMessage | VoiceCall => Cell::inbox(with_retry_after(503), "transient", "503"),
        Email => Cell::Not(NO_STATUS),
    }
}

/// Whose verdict is in the body cannot have said yes without it; for an endpoint the status is all of it.
fn without_verdict(kind: Kind, media_type: &str, body: &str) -> Cell {
    let headers = vec![("content-type".to_owned(), media_type.to_owned())];
    let behaviour = Behaviour::Answer { status: 200, headers, body: body.to_owned() };
    match kind {
        DingTalk | WeCom | Lark | TextMessage | VoiceCall => Cell::inbox(behaviour, "transient", "BodyNotUnderstood"),
        Http => Cell::inbox(behaviour, "delivered", "200"),
        Email => Cell::mail(At::End, Act::Say(body.to_owned()), "ambiguous", "BodyNotUnderstood"),
    }
}

/// The verdict of a robot would stand at its end, which is not read.
fn huge(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::Huge, "transient", "BodyNotUnderstood")
        }
        Http => Cell::inbox(Behaviour::Huge, "delivered", "200"),
        Email => Cell::mail(At::End, Act::Huge, "ambiguous", "BodyNotUnderstood"),
    }
}

fn hang(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::Hang, "ambiguous", "Timeout").hurried()
        }
        Email => Cell::mail(At::End, Act::Hang, "ambiguous", "Timeout").hurried(),
    }
}

const ONE_STEP: &str = "a request goes out as a whole, so that there is no earlier point";

fn hang_early(kind: Kind) -> Cell {
    match kind {
        Email => Cell::mail(At::Data, Act::Hang, "transient", "Timeout").hurried(),
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => Cell::Not(ONE_STEP),
    }
}

fn reset(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::Reset, "ambiguous", "ConnectionReset")
        }
        Email => Cell::mail(At::End, Act::Close, "ambiguous", "ConnectionReset"),
    }
}

fn reset_early(kind: Kind) -> Cell {
    match kind {
        Email => Cell::mail(At::Recipient, Act::Close, "transient", "ConnectionReset"),
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => Cell::Not(ONE_STEP),
    }
}

fn lost(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::LoseReply, "ambiguous", "ConnectionReset").shown()
        }
        Email => Cell::mail(At::End, Act::LoseReply, "ambiguous", "ConnectionReset").shown(),
    }
}

fn endless(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark | Http | TextMessage | VoiceCall => {
            Cell::inbox(Behaviour::Endless(PAUSE), "ambiguous", "Timeout").hurried()
        }
        Email => Cell::mail(At::End, Act::Endless(PAUSE), "ambiguous", "Timeout").hurried(),
    }
}

fn trickle(kind: Kind) -> Cell {
    match kind {
        DingTalk | WeCom | Lark => Cell::inbox(Behaviour::Trickle(PAUSE), "delivered", "0").shown(),
        Http => Cell::inbox(Behaviour::Trickle(PAUSE), "delivered", "204").shown(),
        TextMessage | VoiceCall => Cell::inbox(Behaviour::Trickle(PAUSE), "delivered", "OK").shown(),
        Email => Cell::Not("a reply has one line, and is read as such whatever its pace; `endless` shows the pace"),
    }
}

fn slow(kind: Kind) -> Cell {
    let slow = Behaviour::Slow(Duration::from_millis(100));
    match kind {
        DingTalk | WeCom | Lark => Cell::inbox(slow, "delivered", "0").shown(),
        Http => Cell::inbox(slow, "delivered", "204").shown(),
        TextMessage | VoiceCall => Cell::inbox(slow, "delivered", "OK").shown(),
        Email => Cell::mail(At::End, Act::Say("250 at last".to_owned()), "delivered", "250").shown(),
    }
}
