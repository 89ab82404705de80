//! A mail server that misbehaves at a point of the dialogue. One that behaves is Mailpit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::form::Form;
use crate::robot::{HUGE, Identity};

/// A command, or the line that ends the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Login,
    Sender,
    Recipient,
    Data,
    End,
}

/// What is done there.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers so; at the end of the text, a 250 has taken the letter.
    Say(String),
    /// Never answers.
    Hang,
    /// Ends the connection.
    Close,
    /// Takes the letter, and ends the connection.
    LoseReply,
    /// Answers byte by byte, with such a pause before each, and never ends the line.
    Endless(Duration),
    /// Says something of 10 MB on one line.
    Huge,
}

/// The one point of the dialogue that is not as usual.
#[derive(Clone, Debug)]
pub struct Script {
    pub at: At,
    pub act: Act,
}

/// A server. Ends when dropped.
pub struct Server {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts one that is secured as the form is.
    pub async fn start(form: Form, identity: &Identity, script: &Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let session = Session { form, tls: acceptor(identity), script: script.clone(), taken: Arc::clone(&taken) };
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                session.clone().serve(stream).await;
            }
        });
        Self { address, taken, serving }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many letters it has taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn acceptor(identity: &Identity) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

type Dialogue = BufStream<Box<dyn Wire>>;

#[derive(Clone)]
struct Session {
    form: Form,
    tls: TlsAcceptor,
    script: Script,
    taken: Arc<AtomicUsize>,
}

impl Session {
    /// Whatever goes wrong here is what the client has done, and shows there.
    async fn serve(self, stream: TcpStream) {
        let wire: Box<dyn Wire> = if self.form == Form::EmailTls {
            let Ok(secret) = self.tls.accept(stream).await else { return };
            Box::new(secret)
        } else {
            Box::new(stream)
        };
        let mut dialogue = BufStream::new(wire);
        say(&mut dialogue, "220 smtp.example").await;
        while let Some(line) = hear(&mut dialogue).await {
            if line == "STARTTLS" {
                say(&mut dialogue, "220 go on").await;
                let Ok(secret) = self.tls.accept(dialogue.into_inner()).await else { return };
                dialogue = BufStream::new(Box::new(secret));
                continue;
            }
            let (at, usual) = answer(&line, self.form);
            if !self.act(&mut dialogue, at, usual).await {
                return;
            }
            if at == Some(At::Data) {
                while hear(&mut dialogue).await.is_some_and(|line| line != ".") {}
                if !self.act(&mut dialogue, Some(At::End), "250 taken").await {
                    return;
                }
            }
        }
    }

    /// Does what the script says, or says the usual thing; whether the dialogue goes on.
    async fn act(&self, dialogue: &mut Dialogue, at: Option<At>, usual: &str) -> bool {
        if at != Some(self.script.at) {
            say(dialogue, usual).await;
            return true;
        }
        let took = |took: bool| self.taken.fetch_add(usize::from(took && at == Some(At::End)), Ordering::SeqCst);
        match &self.script.act {
            Act::Say(words) => {
                took(words.starts_with("250"));
                say(dialogue, words).await;
                return true;
            }
            Act::Hang => std::future::pending().await,
            Act::Close => {}
            Act::LoseReply => {
                took(true);
            }
            Act::Endless(pause) => {
                while dialogue.write_all(b"2").await.is_ok() && dialogue.flush().await.is_ok() {
                    tokio::time::sleep(*pause).await;
                }
            }
            Act::Huge => say(dialogue, &format!("250 {}", "a".repeat(HUGE))).await,
        }
        false
    }
}

/// Where the dialogue is after this line, and what is usually said there.
fn answer(line: &str, form: Form) -> (Option<At>, &'static str) {
    let known = [
        ("AUTH", At::Login, "235 welcome"),
        ("MAIL", At::Sender, "250 fine"),
        ("RCPT", At::Recipient, "250 fine"),
        ("DATA", At::Data, "354 go on"),
    ];
    match known.into_iter().find(|(word, ..)| line.starts_with(word)) {
        Some((_, at, words)) => (Some(at), words),
        None if line.starts_with("EHLO") && form == Form::EmailStartTls => {
            (None, "250-smtp.example\r\n250-STARTTLS\r\n250 AUTH PLAIN")
        }
        None if line.starts_with("EHLO") => (None, "250-smtp.example\r\n250 AUTH PLAIN"),
        None => (None, "250 fine"),
    }
}

async fn hear(dialogue: &mut Dialogue) -> Option<String> {
    let mut line = String::new();
    let length = dialogue.read_line(&mut line).await.ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

async fn say(dialogue: &mut Dialogue, words: &str) {
    let _ = dialogue.write_all(format!("{words}\r\n").as_bytes()).await;
    let _ = dialogue.flush().await;
}
