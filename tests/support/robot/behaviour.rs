//! What an inbox does with a request on demand, from an honest answer to the many ways of being broken.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde_json::json;

/// How long the reply of [`Behaviour::Huge`] is.
pub const HUGE: usize = 10 * 1000 * 1000;

/// What an inbox does with the next POST.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// Checks it and answers like the real one.
    #[default]
    Ok,
    /// Answers this without looking; nothing is shown.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// Reads the request and never answers; nothing is shown.
    Hang,
    /// Reads the request and resets the connection; nothing is shown.
    Reset,
    /// Shows the message, then resets the connection: the sender cannot know.
    LoseReply,
    /// Waits, then does as `Ok`.
    Slow(Duration),
    /// Does as `Ok`, but lets so much time pass before each byte of the reply's body.
    Trickle(Duration),
    /// Answers 200, then a space after each such time, for ever; nothing is shown.
    Endless(Duration),
    /// Answers 200 with a body of 10 MB that claims success, in the terms of every robot, at its very end; nothing is
    /// shown.
    Huge,
}

impl Behaviour {
    /// A JSON body inside HTTP 200, as `DingTalk` and `WeCom` robots report their errors.
    #[must_use]
    pub fn code(errcode: i64, errmsg: &str) -> Self {
        Self::json(200, &json!({"errcode": errcode, "errmsg": errmsg}))
    }

    /// A JSON body inside HTTP 200, as `Lark` robots report their errors.
    #[must_use]
    pub fn lark_code(code: i64, message: &str) -> Self {
        Self::json(200, &json!({"code": code, "data": {}, "msg": message}))
    }

    /// A JSON body as the gateway of Alibaba Cloud reports errors: 200 for those of SMS and voice, 4xx and 5xx for its
    /// own.
    #[must_use]
    pub fn gateway_code(status: u16, code: &str, message: &str) -> Self {
        let id = "00000000-0000-4000-8000-000000000000";
        Self::json(status, &json!({"Code": code, "Message": message, "RequestId": id}))
    }

    /// An HTTP status with nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// A redirect. A sender that follows it is seen where it leads.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer { status, headers: vec![("location".to_owned(), location.to_owned())], body: String::new() }
    }

    fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self::Answer { status, headers, body: body.to_string() }
    }

    /// The reply of those that do not look at the request.
    pub(super) fn unread(&self) -> Option<Response> {
        match self {
            Self::Answer { status, headers, body } => {
                let mut response = Response::builder().status(*status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                let body = Body::from(body.clone());
                Some(response.body(body).expect("a test gives a valid status and valid headers"))
            }
            Self::Endless(pause) => Some(endless(*pause)),
            Self::Huge => Some(huge()),
            // Nobody will read this.
            Self::Hang | Self::Reset => Some(().into_response()),
            Self::Ok | Self::LoseReply | Self::Slow(_) | Self::Trickle(_) => None,
        }
    }
}

fn endless(pause: Duration) -> Response {
    let spaces = stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(spaces)).into_response()
}

fn huge() -> Response {
    let end = r#"","errcode":0,"errmsg":"ok","code":0,"msg":"success","Code":"OK","Message":"OK"}"#;
    let start = r#"{"padding":""#;
    let padding = "a".repeat(HUGE - start.len() - end.len());
    ([(CONTENT_TYPE, "application/json")], [start, &padding, end].concat()).into_response()
}

/// The same reply, byte by byte.
pub(super) async fn trickle(response: Response, pause: Duration) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let bytes = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    Response::from_parts(head, Body::from_stream(bytes))
}
