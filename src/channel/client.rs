//! The only code that opens a connection to a receiver: over HTTP, or by SMTP ([`mail`]). One total deadline over
//! everything, a capped reply, no redirects, an address policy.
//!
//! It knows nothing of channels. What it reports about a failure is whether the request may have reached the receiver:
//! a message that may have been shown is not to be repeated lightly.

mod address;
pub mod mail;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use reqwest::redirect;
use url::{Host, Url};

pub use address::AddressPolicy;
use address::{Guard, Refused};
pub use mail::Mail;

use super::Outcome;

/// Most of a reply that is read. A verdict is a few hundred bytes.
const MOST_REPLY: usize = 64 * 1024;
/// Longest wait for a connection, within an attempt's own deadline.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: shorter than what common receivers do, so that a request seldom meets a closed one.
const IDLE: Duration = Duration::from_secs(20);

/// A request, exactly as it will be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// POST or PUT.
    pub method: Method,
    /// Where to. Path and query may hold a token.
    pub url: Url,
    /// All headers but `Host`, `User-Agent`, `Accept` and `Content-Length`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The headers as they will be sent: of two with one name, the later one, which is the target's own.
    #[must_use]
    pub fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            map.insert(name, value.clone());
        }
        map
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{} {}://{host}/… ({} bytes)", self.method, self.url.scheme(), self.body.len())
    }
}

/// What a channel sends.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Over HTTP.
    Http(Request),
    /// By SMTP.
    Mail(Box<Mail>),
}

/// A reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, or the code of an SMTP reply.
    pub status: u16,
    /// `Retry-After`, counted from when the reply came.
    pub retry_after: Option<Duration>,
    /// The first 64 KiB of the body, or the text of an SMTP reply.
    pub body: Vec<u8>,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// One word, such as `Timeout`.
    pub code: &'static str,
    /// What happened. Holds no part of the URL.
    pub message: String,
    /// Whether the receiver may have got the request.
    pub maybe_sent: bool,
}

impl CallError {
    /// The outcome of an attempt that ended so.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        let Self { code, message, maybe_sent } = self;
        let code = code.to_owned();
        if maybe_sent { Outcome::Ambiguous { code, message } } else { Outcome::Transient { code, message } }
    }
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot start; are CA certificates installed on this machine?")]
pub struct ClientError(#[source] reqwest::Error);

/// See the module's text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    policy: Arc<AddressPolicy>,
}

impl Client {
    /// A client that reaches only what the policy allows. Needs rustls' provider to be installed.
    ///
    /// # Errors
    /// If the machine's CA certificates cannot be read.
    pub fn new(policy: AddressPolicy) -> Result<Self, ClientError> {
        let policy = Arc::new(policy);
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let builder = reqwest::Client::builder();
        let inner = builder
            .user_agent(concat!("pai-notification/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .dns_resolver(Guard::new(policy.clone()))
            .build()
            .map_err(ClientError)?;
        Ok(Self { inner, policy })
    }

    /// Sends what a channel made and reads the reply, all within `timeout`. `now` is for a `Retry-After` that is a date.
    ///
    /// # Errors
    /// [`CallError`] if there is no reply.
    pub async fn send(&self, outgoing: Outgoing, timeout: Duration, now: Timestamp) -> Result<Reply, CallError> {
        match outgoing {
            Outgoing::Http(request) => {
                self.check_literal_host(&request.url)?;
                within(timeout, self.exchange(request, now)).await
            }
            Outgoing::Mail(mail) => within(timeout, mail::send(*mail, &self.policy)).await,
        }
    }

    /// A host that is an address never reaches the resolver.
    fn check_literal_host(&self, url: &Url) -> Result<(), CallError> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.policy.permits(address) {
            return Ok(());
        }
        Err(CallError { code: "AddressRefused", message: Refused.to_string(), maybe_sent: false })
    }

    async fn exchange(&self, request: Request, now: Timestamp) -> Result<Reply, CallError> {
        let headers = request.header_map();
        let Request { method, url, headers: _, body } = request;
        let sending = self.inner.request(method, url).headers(headers).body(body).send();
        let mut response = sending.await.map_err(|error| classify(&error))?;
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), now),
            body: Vec::new(),
        };
        while reply.body.len() < MOST_REPLY {
            let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? else { break };
            let room = MOST_REPLY - reply.body.len();
            reply.body.extend(chunk.iter().take(room));
        }
        Ok(reply)
    }
}

async fn within<T>(timeout: Duration, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result,
        Err(_) => Err(CallError {
            code: "Timeout",
            message: format!("no complete reply within {:?}", kube::core::Duration::from(timeout)),
            maybe_sent: true,
        }),
    }
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(86_400)));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Finds the cause of a failure. The URL is never part of the text.
fn classify(error: &reqwest::Error) -> CallError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    let mut found: Option<(&'static str, String)> = None;
    while let Some(cause) = source {
        let io = cause.downcast_ref::<std::io::Error>();
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return CallError { code: "AddressRefused", message: refused.to_string(), maybe_sent: false };
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            found = Some(("TlsError", format!("the TLS connection failed: {tls}")));
        } else if let Some(io) = io.filter(|_| found.is_none()) {
            found = io_cause(io.kind());
        }
        // What an I/O error wraps, such as a TLS error or another I/O error, is not its source but stands in its place.
        source = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    let before = error.is_connect() || error.is_builder();
    let (code, message) = found.unwrap_or_else(|| {
        if error.is_timeout() {
            ("Timeout", "no connection in time".to_owned())
        } else if before && error.is_dns() {
            ("NameNotResolved", "the host's name cannot be resolved".to_owned())
        } else if before {
            ("ConnectionFailed", "no connection".to_owned())
        } else {
            ("ConnectionReset", "the connection ended before a complete reply".to_owned())
        }
    });
    CallError { code, message, maybe_sent: !before }
}

fn io_cause(kind: std::io::ErrorKind) -> Option<(&'static str, String)> {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::ConnectionRefused => Some(("ConnectionRefused", "nobody listens at the address".to_owned())),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            Some(("ConnectionReset", "the connection was reset".to_owned()))
        }
        ErrorKind::TimedOut => Some(("Timeout", "no connection in time".to_owned())),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some(("Unreachable", "there is no route to the address".to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
