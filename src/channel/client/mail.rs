//! Mail by SMTP, one connection for each.
//!
//! Until the server has agreed to take the text (its reply `354` to `DATA`), nothing can have been shown; whatever goes
//! wrong afterwards without a reply is in doubt, since the server may have taken the mail ("Reliability and Delayed
//! Processing", RFC 5321). So the exchange has two phases: [`begin`], with a limit of its own, and the handover.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials as Login, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{self, Data, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::address::{AddressPolicy, Refused};
use super::failure::{causes, io_words};
use super::pool::CONNECT;
use super::{CallError, Reply};
use crate::api::workspace::SmtpSecurity;
use crate::channel::text::one_line;

/// A mail server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// Who logs in.
    pub credentials: Option<Credentials>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Longest time until the server has agreed to take a mail. Shorter than an attempt's own limit, so that a server that
    /// hangs before is known to have shown nothing.
    pub patience: Duration,
}

impl std::fmt::Display for Server {
    /// As a URL: `smtps://smtp.example.com:465`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.security {
            SmtpSecurity::Tls => "smtps",
            SmtpSecurity::StartTls => "smtp+starttls",
            SmtpSecurity::None => "smtp",
        };
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// A login.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User name.
    pub username: SecretString,
    /// Password.
    pub password: SecretString,
}

/// Whose certificates are believed: the machine's authorities, or only those given. What TLS needs is made of them once.
#[derive(Clone, Default)]
pub struct Trust(Arc<Roots>);

#[derive(Default)]
struct Roots {
    only: Option<Vec<CertificateDer<'static>>>,
    made: OnceLock<TlsParameters>,
}

/// A text holds no usable CA certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds no CA certificate in PEM form (-----BEGIN CERTIFICATE-----), or one that does not parse")]
pub struct NoCertificate;

impl Trust {
    /// Only the authorities of a PEM text.
    ///
    /// # Errors
    /// If there is none in it, or one that does not parse.
    pub fn only(pem: &str) -> Result<Self, NoCertificate> {
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| NoCertificate)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|_| NoCertificate)?;
        }
        if certificates.is_empty() {
            return Err(NoCertificate);
        }
        Ok(Self(Arc::new(Roots { only: Some(certificates), made: OnceLock::new() })))
    }

    fn parameters(&self, host: &str) -> Result<TlsParameters, CallError> {
        let Roots { only, made } = &*self.0;
        if let Some(known) = made.get().filter(|known| known.domain() == host) {
            return Ok(known.clone());
        }
        let failed = |error: &lettre::transport::smtp::Error| CallError {
            code: "TlsError",
            message: format!("TLS cannot be set up: {error}"),
            maybe_sent: false,
        };
        let mut builder = TlsParametersBuilder::new(host.to_owned());
        if let Some(certificates) = only {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in certificates {
                let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| failed(&error))?;
                builder = builder.add_root_certificate(certificate);
            }
        }
        let parameters = builder.build().map_err(|error| failed(&error))?;
        Ok(made.get_or_init(|| parameters).clone())
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.only {
            Some(certificates) => write!(f, "Trust({} certificates)", certificates.len()),
            None => f.write_str("Trust(machine)"),
        }
    }
}

/// A mail, and the server that takes it.
#[derive(Clone)]
pub struct Mail {
    /// The server.
    pub server: Server,
    /// Sender.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Mailbox,
    /// All headers but `From`, `To` and those of MIME, each on one line and not encoded yet.
    pub headers: Vec<(&'static str, String)>,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

impl Mail {
    /// The mail as it goes over the wire.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        // lettre stops at a control character in a name.
        let on_one_line = |mailbox: &Mailbox| Mailbox {
            name: mailbox.name.as_deref().map(one_line).filter(|name| !name.is_empty()),
            email: mailbox.email.clone(),
        };
        let mut builder = lettre::Message::builder().from(on_one_line(&self.from)).to(on_one_line(&self.to));
        for (name, value) in &self.headers {
            let name = HeaderName::new_from_ascii_str(name);
            builder = builder.raw_header(HeaderValue::new(name, one_line(value)));
        }
        let parts = MultiPart::alternative()
            .boundary(self.boundary())
            .singlepart(SinglePart::plain(self.text.clone()))
            .singlepart(SinglePart::html(self.html.clone()));
        #[expect(
            clippy::expect_used,
            clippy::missing_panics_doc,
            reason = "a message lacks nothing but From and To, and both are there"
        )]
        let message = builder.multipart(parts).expect("From and To");
        message.formatted()
    }

    /// A line that no part can hold, since it is made of both.
    fn boundary(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.text, &self.html] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let first: [u8; 16] = hash.finalize().first_chunk().copied().unwrap_or_default();
        format!("pai_{:032x}", u128::from_be_bytes(first))
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mail by {} ({} bytes of text)", self.server, self.text.len())
    }
}

/// Hands a mail to its server; the reply is the server's to the end of the data, or the one that ended it before. Boxed,
/// since the exchange is much larger than an HTTP request's.
pub(super) fn send(mail: Mail, policy: &AddressPolicy) -> BoxFuture<'_, Result<Reply, CallError>> {
    Box::pin(exchange(mail, policy))
}

async fn exchange(mail: Mail, policy: &AddressPolicy) -> Result<Reply, CallError> {
    let encoded = mail.encoded();
    let patience = mail.server.patience;
    let begun = tokio::time::timeout(patience, begin(&mail, policy)).await;
    let mut connection = match begun {
        Ok(Ok(connection)) => connection,
        Ok(Err(Early(end))) => return end,
        Err(_) => {
            let message = format!("the server did not agree to take the mail within {}", seconds(patience));
            return Err(CallError { code: "Timeout", message, maybe_sent: false });
        }
    };
    match connection.message(&encoded).await {
        Ok(response) => {
            // Says goodbye without waiting for the answer: the verdict is there.
            let _ = connection.quit().now_or_never();
            Ok(reply(&response))
        }
        Err(error) => Early::of(&error).0.map_err(|error| CallError { maybe_sent: true, ..error }),
    }
}

fn seconds(duration: Duration) -> String {
    kube::core::Duration::from(duration).to_string()
}

/// How an exchange ended before the server had taken the mail.
struct Early(Result<Reply, CallError>);

impl From<CallError> for Early {
    fn from(error: CallError) -> Self {
        Self(Err(error))
    }
}

/// Everything up to the server's `354`.
async fn begin(mail: &Mail, policy: &AddressPolicy) -> Result<AsyncSmtpConnection, Early> {
    let mut connection = connect(mail, policy).await?;
    let early = |error| Early::of(&error);
    if let Some(Credentials { username, password }) = &mail.server.credentials {
        if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            let message = "the server offers neither of the logins PLAIN and LOGIN on this connection".to_owned();
            return Err(CallError { code: "LoginNotOffered", message, maybe_sent: false }.into());
        }
        let login = Login::new(username.expose_secret().to_owned(), password.expose_secret().to_owned());
        connection.auth(DEFAULT_MECHANISMS, &login).await.map_err(early)?;
    }
    let sender = commands::Mail::new(Some(mail.from.email.clone()), Vec::new());
    connection.command(sender).await.map_err(early)?;
    connection.command(Rcpt::new(mail.to.email.clone(), Vec::new())).await.map_err(early)?;
    let response = connection.command(Data).await.map_err(early)?;
    if response.has_code(354) { Ok(connection) } else { Err(Early(Err(not_understood(&response)))) }
}

/// A connection as the server's settings want it, or none.
async fn connect(mail: &Mail, policy: &AddressPolicy) -> Result<AsyncSmtpConnection, Early> {
    let server = &mail.server;
    let host = server.host.as_str();
    let resolved = tokio::net::lookup_host((host, server.port)).await.map_err(|_| CallError {
        code: "NameNotResolved",
        message: "the mail server's name cannot be resolved".to_owned(),
        maybe_sent: false,
    })?;
    let permitted: Vec<_> = resolved.filter(|address| policy.permits(address.ip())).collect();
    if permitted.is_empty() {
        return Err(CallError { code: "AddressRefused", message: Refused.to_string(), maybe_sent: false }.into());
    }
    // The name of a Pod says nothing to a mail server, and it may refuse one without a dot.
    let hello = ClientId::Domain(mail.from.email.domain().to_owned());
    let early = |error| Early::of(&error);
    let open = |tls| AsyncSmtpConnection::connect_tokio1(permitted.as_slice(), Some(CONNECT), &hello, tls, None);
    match server.security {
        SmtpSecurity::Tls => open(Some(server.trust.parameters(host)?)).await.map_err(early),
        SmtpSecurity::None => open(None).await.map_err(early),
        SmtpSecurity::StartTls => {
            let parameters = server.trust.parameters(host)?;
            let mut connection = open(None).await.map_err(early)?;
            if !connection.can_starttls() {
                let message = "the server does not offer STARTTLS, and nothing is sent without it".to_owned();
                return Err(CallError { code: "TlsError", message, maybe_sent: false }.into());
            }
            connection.starttls(parameters, &hello).await.map_err(early)?;
            Ok(connection)
        }
    }
}

fn reply(response: &Response) -> Reply {
    let body = response.message().collect::<Vec<_>>().join(" ").into_bytes();
    Reply { status: response.code().into(), retry_after: None, body }
}

fn not_understood(response: &Response) -> CallError {
    let message = format!("the server answered {} where it had to answer 354", response.code());
    CallError { code: "BodyNotUnderstood", message, maybe_sent: false }
}

impl Early {
    /// A negative reply, or why there is none.
    fn of(error: &lettre::transport::smtp::Error) -> Self {
        let source = std::error::Error::source(error);
        if let Some(code) = error.status() {
            let body = source.map(ToString::to_string).unwrap_or_default().into_bytes();
            return Self(Ok(Reply { status: code.into(), retry_after: None, body }));
        }
        let (code, message) = source.and_then(cause).unwrap_or_else(|| {
            if error.is_response() && source.is_none_or(|source| source.to_string() != INCOMPLETE) {
                ("BodyNotUnderstood", "the server's reply is not SMTP".to_owned())
            } else if error.is_timeout() {
                ("Timeout", "no connection in time".to_owned())
            } else {
                ("ConnectionReset", "the connection ended before a complete reply".to_owned())
            }
        });
        Self(Err(CallError { code, message, maybe_sent: false }))
    }
}

/// What lettre says of a connection that ends within a reply; it has no kind of its own for it.
const INCOMPLETE: &str = "incomplete response";

/// The innermost cause that says something.
fn cause(error: &(dyn std::error::Error + 'static)) -> Option<(&'static str, String)> {
    let mut found = None;
    for cause in causes(error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            found = Some(("TlsError", format!("the TLS connection failed: {tls}")));
        } else if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            found = found.or_else(|| io_words(io.kind()).map(|(code, words)| (code, words.to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests;
