//! The SMTP server. What speaks to it here is as small as a sender can be.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::SOON;
use crate::mail::{Mailpit, PASSWORD, Security, Stage, USER};
use crate::robot::Authority;

const LETTER: &str = "From: =?utf-8?B?UEFJ6YCa55+l?= <sender@mail.example>\r\n\
    To: a@mail.example, B <b@mail.example>\r\n\
    Subject: =?utf-8?B?6K6t57uD5aSx6LSl?=\r\n\
    Message-ID: <2@mail.example>\r\n\
    In-Reply-To: <1@mail.example>\r\n\
    References: <0@mail.example>\r\n <1@mail.example>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>rich</p>\r\n\
    --b--\r\n.";

trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

/// A dialogue, with the codes of all replies so far.
struct Dialogue {
    wire: BufStream<Box<dyn Wire>>,
    codes: Vec<u16>,
}

impl Dialogue {
    fn over(wire: impl Wire + 'static) -> Self {
        Self { wire: BufStream::new(Box::new(wire)), codes: Vec::new() }
    }

    async fn hear(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            self.wire.read_line(&mut line).await.unwrap();
            // A hyphen after the code: there is another line.
            if line.get(3..4) == Some(" ") {
                let code = line[..3].parse().unwrap();
                self.codes.push(code);
                return code;
            }
            assert!(!line.is_empty(), "the server has hung up after {:?}", self.codes);
        }
    }

    async fn say(&mut self, line: &str) -> u16 {
        self.wire.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.wire.flush().await.unwrap();
        self.hear().await
    }

    /// Logs in and sends the letter, until the server refuses something.
    async fn send(mut self, password: &str) -> Vec<u16> {
        let (user, password) = (STANDARD.encode(USER), STANDARD.encode(password));
        let to = ["RCPT TO:<a@mail.example>", "RCPT TO:<b@mail.example>", "RCPT TO:<c@mail.example>"];
        let sender = format!("MAIL FROM:<{USER}>");
        let mut lines = vec!["EHLO localhost".to_owned(), "AUTH LOGIN".to_owned(), user, password, sender];
        lines.extend(to.map(str::to_owned));
        lines.extend(["DATA".to_owned(), LETTER.to_owned()]);
        for line in lines {
            if self.say(&line).await >= 400 {
                break;
            }
        }
        self.codes
    }
}

/// The codes of a letter that is taken, without the greeting.
const TAKEN: [u16; 10] = [250, 334, 334, 235, 250, 250, 250, 250, 354, 250];

async fn connect(server: &Mailpit) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port())).await.unwrap()
}

async fn encrypt(wire: TcpStream, authority: &Authority) -> impl Wire + 'static {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(trusted).with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), wire).await.unwrap()
}

#[tokio::test]
async fn a_letter_is_read_with_all_its_parts() {
    let server = Mailpit::start(&Security::Plain).await.unwrap();
    let mut dialogue = Dialogue::over(connect(&server).await);
    assert_eq!(dialogue.hear().await, 220);
    assert_eq!(dialogue.send(PASSWORD).await[1..], TAKEN);
    let letter = server.wait_for(1, SOON).await.unwrap().remove(0);
    assert_eq!((letter.from.as_str(), letter.from_name.as_str(), letter.user.as_str()), (USER, "PAI通知", USER));
    assert_eq!(letter.return_path, USER);
    assert_eq!(letter.to, ["a@mail.example", "b@mail.example"]);
    assert_eq!(letter.bcc, ["c@mail.example"]);
    assert_eq!((letter.subject.as_str(), letter.message_id.as_str()), ("训练失败", "2@mail.example"));
    assert_eq!((letter.text.trim(), letter.html.trim()), ("plain", "<p>rich</p>"));
    assert_eq!(letter.header("in-reply-to"), Some("<1@mail.example>"));
    assert_eq!(letter.header("References"), Some("<0@mail.example> <1@mail.example>"));
    let late = server.wait_for(2, std::time::Duration::from_millis(20)).await.unwrap_err();
    assert!(late.to_string().starts_with("1 of 2 letters"), "{late}");
}

#[tokio::test]
async fn a_server_refuses_without_the_right_login_and_on_demand() {
    let server = Mailpit::start(&Security::Plain).await.unwrap();
    let send = async |password: &str| {
        let mut dialogue = Dialogue::over(connect(&server).await);
        dialogue.hear().await;
        dialogue.send(password).await.pop().unwrap()
    };
    assert_eq!(send("wrong").await, 535);
    let mut stranger = Dialogue::over(connect(&server).await);
    stranger.hear().await;
    stranger.say("EHLO localhost").await;
    assert_eq!(stranger.say(&format!("MAIL FROM:<{USER}>")).await, 530);
    for (stage, code) in [(Stage::Login, 454), (Stage::Sender, 451), (Stage::Recipient, 550)] {
        server.refuse(stage, code).await.unwrap();
        assert_eq!(send(PASSWORD).await, code, "{stage:?}");
    }
    server.take_all().await.unwrap();
    assert_eq!(send(PASSWORD).await, 250);
    assert_eq!(server.letters().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_demands_tls_before_anything_else() {
    let authority = Authority::new();
    let server = Mailpit::start(&Security::start_tls(&authority)).await.unwrap();
    let mut dialogue = Dialogue::over(connect(&server).await);
    dialogue.hear().await;
    dialogue.say("EHLO localhost").await;
    assert_eq!(dialogue.say(&format!("MAIL FROM:<{USER}>")).await, 530);

    let mut plain = BufStream::new(connect(&server).await);
    let mut line = String::new();
    plain.read_line(&mut line).await.unwrap();
    plain.write_all(b"STARTTLS\r\n").await.unwrap();
    plain.flush().await.unwrap();
    plain.read_line(&mut line).await.unwrap();
    let dialogue = Dialogue::over(encrypt(plain.into_inner(), &authority).await);
    assert_eq!(dialogue.send(PASSWORD).await, TAKEN);
    assert_eq!(server.wait_for(1, SOON).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_can_speak_tls_from_the_first_byte() {
    let authority = Authority::new();
    let server = Mailpit::start(&Security::tls(&authority)).await.unwrap();
    let mut dialogue = Dialogue::over(encrypt(connect(&server).await, &authority).await);
    assert_eq!(dialogue.hear().await, 220);
    assert_eq!(dialogue.send(PASSWORD).await[1..], TAKEN);
    assert_eq!(server.letters().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_ends_with_its_test() {
    let server = Mailpit::start(&Security::Plain).await.unwrap();
    let port = server.port();
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
