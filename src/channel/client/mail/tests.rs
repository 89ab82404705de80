//! Against scripted mail servers that misbehave.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Client, Outgoing};
use super::*;

const PLENTY: Duration = Duration::from_secs(10);

fn mail(address: SocketAddr, security: SmtpSecurity) -> Mail {
    let server = Server {
        host: address.ip().to_string(),
        port: address.port(),
        security,
        credentials: None,
        trust: Trust::default(),
        patience: Duration::from_millis(500),
    };
    Mail {
        server,
        from: "PAI <pai@corp.example>".parse().unwrap(),
        to: "li@corp.example".parse().unwrap(),
        headers: vec![("Subject", "任务 nightly failed".to_owned()), ("Date", DATE.to_owned())],
        text: "a\n.\nb".to_owned(),
        html: "<p>a</p>".to_owned(),
    }
}

const DATE: &str = "Thu, 01 Jan 2026 00:00:00 +0000";

async fn send(mail: Mail) -> Result<Reply, CallError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let policy = AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], deny: Vec::new() };
    super::send(mail, &policy).await
}

/// What a scripted server does when a command arrives.
#[derive(Clone, Copy)]
enum Act {
    Say(&'static str),
    Hang,
    Close,
}

/// A server that greets, and acts by the first entry whose word begins the client's line; `.` is the end of the data.
/// What it has no entry for, it accepts.
async fn server(greeting: Act, script: &'static [(&'static str, Act)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        if act(&mut stream, greeting).await {
            serve(&mut stream, script).await;
        }
    });
    address
}

async fn serve(stream: &mut BufReader<TcpStream>, script: &'static [(&'static str, Act)]) {
    let mut in_data = false;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        let word = line.trim_end().to_owned();
        line.clear();
        if in_data && word != "." {
            continue;
        }
        in_data = word == "DATA";
        let known = script.iter().find(|(start, _)| word.starts_with(start)).map(|(_, act)| *act);
        let usual = if in_data { "354 go on" } else { "250 fine" };
        in_data = in_data && known.is_none();
        if !act(stream, known.unwrap_or(Act::Say(usual))).await {
            return;
        }
    }
}

async fn act(stream: &mut BufReader<TcpStream>, act: Act) -> bool {
    match act {
        Act::Say(line) => stream.write_all(format!("{line}\r\n").as_bytes()).await.is_ok(),
        Act::Hang => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            false
        }
        Act::Close => false,
    }
}

const READY: Act = Act::Say("220 mail.example ready");

#[tokio::test]
async fn a_server_that_takes_the_mail_says_so_with_its_code() {
    let address = server(READY, &[(".", Act::Say("250 2.0.0 queued as 4711"))]).await;
    let reply = send(mail(address, SmtpSecurity::None)).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (250, b"2.0.0 queued as 4711".as_slice()));
}

#[tokio::test]
async fn a_refusal_at_any_step_is_the_servers_reply() {
    for (greeting, script, code) in [
        (Act::Say("554 go away"), [("x", READY)], 554),
        (Act::Say("421 too busy"), [("x", READY)], 421),
        (READY, [("MAIL", Act::Say("451 later"))], 451),
        (READY, [("RCPT", Act::Say("550 no such user"))], 550),
        (READY, [("RCPT", Act::Say("450 greylisted"))], 450),
        (READY, [("DATA", Act::Say("452 full"))], 452),
        (READY, [(".", Act::Say("552 too big"))], 552),
        (READY, [(".", Act::Say("421 closing"))], 421),
    ] {
        let address = server(greeting, Box::leak(Box::new(script))).await;
        let reply = send(mail(address, SmtpSecurity::None)).await.unwrap();
        assert_eq!(reply.status, code);
    }
}

#[tokio::test]
async fn only_what_fails_after_the_server_agreed_may_have_been_shown() {
    for (greeting, script, code, maybe_sent) in [
        (Act::Hang, [("x", READY)], "Timeout", false),
        (Act::Close, [("x", READY)], "ConnectionReset", false),
        (Act::Say("HTTP/1.1 400 Bad Request"), [("x", READY)], "BodyNotUnderstood", false),
        (READY, [("EHLO", Act::Hang)], "Timeout", false),
        (READY, [("RCPT", Act::Close)], "ConnectionReset", false),
        (READY, [("DATA", Act::Hang)], "Timeout", false),
        (READY, [("DATA", Act::Say("250 what?"))], "BodyNotUnderstood", false),
        (READY, [(".", Act::Close)], "ConnectionReset", true),
        (READY, [(".", Act::Say("25"))], "BodyNotUnderstood", true),
    ] {
        let address = server(greeting, Box::leak(Box::new(script))).await;
        let error = send(mail(address, SmtpSecurity::None)).await.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), (code, maybe_sent), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_says_whether_it_took_the_mail_leaves_it_in_doubt() {
    let address = server(READY, &[(".", Act::Hang)]).await;
    let client = Client::new(AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], deny: Vec::new() });
    let outgoing = Outgoing::Mail(Box::new(mail(address, SmtpSecurity::None)));
    let error = client.unwrap().send(outgoing, Duration::from_secs(1), jiff::Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("Timeout", true));
}

#[tokio::test]
async fn a_closed_port_and_a_name_that_is_none_have_shown_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = send(mail(address, SmtpSecurity::Tls)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ConnectionRefused", false));
    let mut nowhere = mail(address, SmtpSecurity::Tls);
    nowhere.server.host = "mail.invalid".to_owned();
    nowhere.server.patience = PLENTY;
    let error = send(nowhere).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("NameNotResolved", false));
}

#[tokio::test]
async fn a_refused_address_is_never_connected_to_by_number_or_by_name() {
    for host in ["127.0.0.1", "localhost", "::1", "169.254.169.254"] {
        let mut mail = mail("127.0.0.1:9".parse().unwrap(), SmtpSecurity::None);
        mail.server.host = host.to_owned();
        let error = super::send(mail, &AddressPolicy::default()).await.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), ("AddressRefused", false), "{host}");
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_where_it_is_wanted() {
    let address =
        server(READY, &[("EHLO", Act::Say("250-mail.example\r\n250 AUTH PLAIN")), ("MAIL", Act::Close)]).await;
    let mut mail = mail(address, SmtpSecurity::StartTls);
    mail.server.credentials = Some(Credentials { username: "u".into(), password: "p4ss".into() });
    let error = send(mail).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("TlsError", false));
    assert!(error.message.contains("STARTTLS"), "{error}");
}

#[tokio::test]
async fn what_does_not_speak_tls_is_a_tls_error() {
    let plain = server(READY, &[]).await;
    let error = send(mail(plain, SmtpSecurity::Tls)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("TlsError", false), "{error}");
}

#[tokio::test]
async fn a_starttls_that_leads_nowhere_has_shown_nothing() {
    const NO: &[(&str, Act)] =
        &[("EHLO", Act::Say("250-mail.example\r\n250 STARTTLS")), ("STARTTLS", Act::Say("454 no certificate today"))];
    const END: &[(&str, Act)] = &[("EHLO", Act::Say("250-mail.example\r\n250 STARTTLS")), ("STARTTLS", Act::Close)];
    let of = async |script| send(mail(server(READY, script).await, SmtpSecurity::StartTls)).await;
    assert_eq!(of(NO).await.unwrap().status, 454);
    let error = of(END).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ConnectionReset", false), "{error}");
}

#[tokio::test]
async fn a_login_is_plain_or_login_whichever_the_server_offers() {
    const PLAIN: &[(&str, Act)] = &[
        ("EHLO", Act::Say("250-mail.example\r\n250 AUTH LOGIN PLAIN")),
        // base64 of NUL, user, NUL, password
        ("AUTH PLAIN AHUAcDRzcw==", Act::Say("235 welcome")),
        ("AUTH", Act::Say("504 what?")),
    ];
    const LOGIN: &[(&str, Act)] = &[
        ("EHLO", Act::Say("250-mail.example\r\n250 AUTH LOGIN")),
        ("AUTH LOGIN", Act::Say("334 VXNlcm5hbWU6")),
        ("dQ==", Act::Say("334 UGFzc3dvcmQ6")),
        ("cDRzcw==", Act::Say("235 welcome")),
        ("AUTH", Act::Say("504 what?")),
    ];
    const REFUSED: &[(&str, Act)] =
        &[("EHLO", Act::Say("250-mail.example\r\n250 AUTH PLAIN")), ("AUTH", Act::Say("535 5.7.8 wrong password"))];
    const NONE: &[(&str, Act)] = &[("AUTH", Act::Say("235 welcome"))];
    for (script, outcome) in [(PLAIN, Ok(250)), (LOGIN, Ok(250)), (REFUSED, Ok(535)), (NONE, Err("LoginNotOffered"))] {
        let mut mail = mail(server(READY, script).await, SmtpSecurity::None);
        mail.server.credentials = Some(Credentials { username: "u".into(), password: "p4ss".into() });
        let got = send(mail).await;
        assert_eq!(got.map(|reply| reply.status).map_err(|error| error.code), outcome);
    }
}

#[test]
fn a_mail_is_ascii_with_both_parts_and_always_the_same() {
    let mail = mail("127.0.0.1:25".parse().unwrap(), SmtpSecurity::None);
    let encoded = String::from_utf8(mail.encoded()).unwrap();
    assert!(encoded.is_ascii());
    assert_eq!(encoded.into_bytes(), mail.encoded());
    let encoded = String::from_utf8(mail.encoded()).unwrap();
    for line in
        ["From: PAI <pai@corp.example>\r\n", "To: li@corp.example\r\n", "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"]
    {
        assert!(encoded.contains(line), "{encoded}");
    }
    let [text, html] = ["Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8"];
    assert!(encoded.contains("multipart/alternative") && encoded.find(text) < encoded.find(html), "{encoded}");
}

#[test]
fn a_line_break_in_a_header_starts_no_other_header() {
    let mut mail = mail("127.0.0.1:25".parse().unwrap(), SmtpSecurity::None);
    mail.headers = vec![("Subject", "a\r\nBcc: evil@evil.example\r\n\r\n<b>".to_owned())];
    mail.to = Mailbox::new(Some("a\r\nBcc: evil@evil.example".to_owned()), "li@corp.example".parse().unwrap());
    let encoded = String::from_utf8(mail.encoded()).unwrap();
    assert!(!encoded.contains("\nBcc:"), "{encoded}");
}

#[test]
fn a_ca_that_is_none_is_refused() {
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(Trust::only(text).unwrap_err(), NoCertificate, "{text}");
    }
}

#[test]
fn a_mail_shows_neither_password_nor_address() {
    let mut mail = mail("127.0.0.1:25".parse().unwrap(), SmtpSecurity::StartTls);
    mail.server.credentials = Some(Credentials { username: "u53r".into(), password: "p4ss".into() });
    let shown = format!("{mail:?} {:?}", mail.server);
    assert!(shown.contains("smtp+starttls://127.0.0.1:25"), "{shown}");
    assert!(!shown.contains("p4ss") && !shown.contains("u53r") && !shown.contains("li@"), "{shown}");
}
