//! The test receivers themselves: they accept what the real ones accept, and refuse the rest with the real codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test fails by panicking, sends by a client of its own and does not use all of the receiver"
)]

#[path = "support/mail.rs"]
mod mail;
#[path = "support/robot.rs"]
mod robot;

#[path = "robot/aliyun.rs"]
mod aliyun;
#[path = "robot/behaviour.rs"]
mod behaviour;
#[path = "robot/dingtalk.rs"]
mod dingtalk;
#[path = "robot/endpoint.rs"]
mod endpoint;
#[path = "robot/lark.rs"]
mod lark;
#[path = "robot/letters.rs"]
mod letters;
#[path = "robot/proxy.rs"]
mod proxy;
#[path = "robot/tls.rs"]
mod tls;
#[path = "robot/wecom.rs"]
mod wecom;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(5);

fn client_builder() -> reqwest::ClientBuilder {
    // A second call finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.timeout(Duration::from_secs(2))
}

fn client() -> reqwest::Client {
    client_builder().build().unwrap()
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

async fn post(url: &str, body: &Value) -> Value {
    let request = client().post(url).header("content-type", "application/json; charset=utf-8").body(body.to_string());
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap()
}
