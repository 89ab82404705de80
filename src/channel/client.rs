//! The only code that opens a connection to a receiver: over HTTP, or by SMTP ([`mail`]). One total deadline over
//! everything, a capped reply, no redirects, an address policy, proxies of the environment.
//!
//! It knows nothing of channels. What it reports about a failure is whether the request may have reached the receiver:
//! a message that may have been shown is not to be repeated lightly.

mod address;
mod body;
mod consent;
mod failure;
pub mod mail;
mod pool;
mod proxy;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use url::{Host, Url};

pub use address::AddressPolicy;
use address::Refused;
use body::{Watched, Written};
use consent::Consents;
pub use consent::Handshake;
use failure::{Stage, classify};
pub use mail::Mail;
use pool::Pool;
use proxy::Route;
pub use proxy::{Proxies, ProxyError};
pub use tls::{Tls, TlsParts, TlsProblem};

use super::Outcome;

/// Most of a reply that is read. A verdict is a few hundred bytes.
const MOST_REPLY: usize = 64 * 1024;

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
    /// How the connection is secured, if not in the machine's way.
    pub tls: Option<Tls>,
    /// What is asked of the receiver before the first request.
    pub handshake: Option<Box<Handshake>>,
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
pub enum ClientError {
    /// The machine has no CA certificates.
    #[error("the HTTP client cannot start; are CA certificates installed on this machine?")]
    Start(#[source] reqwest::Error),
    /// The environment names a proxy that is none.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// See the module's text. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    policy: Arc<AddressPolicy>,
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    consents: Consents,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that reaches only what the policy allows, by the proxies of the environment. Needs rustls' provider to be
    /// installed.
    ///
    /// # Errors
    /// If the machine's CA certificates cannot be read, or a proxy of the environment is none.
    pub fn new(policy: AddressPolicy) -> Result<Self, ClientError> {
        Self::with(policy, Proxies::from_environment()?)
    }

    /// The same with proxies of one's own.
    ///
    /// # Errors
    /// If the machine's CA certificates cannot be read.
    pub fn with(policy: AddressPolicy, proxies: Proxies) -> Result<Self, ClientError> {
        let policy = Arc::new(policy);
        let pool = Pool::new(policy.clone(), proxies).map_err(ClientError::Start)?;
        Ok(Self { policy, shared: Arc::new(Shared { pool, consents: Consents::default() }) })
    }

    /// Sends what a channel made and reads the reply, all within `timeout`. `now` is for a `Retry-After` that is a date,
    /// and for the age of what is remembered.
    ///
    /// # Errors
    /// [`CallError`] if there is no reply.
    pub async fn send(&self, outgoing: Outgoing, timeout: Duration, now: Timestamp) -> Result<Reply, CallError> {
        match outgoing {
            Outgoing::Http(request) => {
                let written = Written::default();
                let exchange = self.exchange(request, &written, MOST_REPLY, now);
                within(timeout, || written.get(), exchange).await
            }
            Outgoing::Mail(mail) => within(timeout, || true, mail::send(*mail, &self.policy)).await,
        }
    }

    /// Asks a server that is no receiver, such as a model registry, and reads the whole answer, of at most `most` bytes.
    /// Everything else is as for [`Self::send`].
    ///
    /// # Errors
    /// [`CallError`] if there is no answer, or a longer one.
    pub async fn fetch(
        &self,
        request: Request,
        most: usize,
        timeout: Duration,
        now: Timestamp,
    ) -> Result<Reply, CallError> {
        let written = Written::default();
        let exchange = self.exchange(request, &written, most.saturating_add(1), now);
        let reply = within(timeout, || written.get(), exchange).await?;
        if reply.body.len() <= most {
            return Ok(reply);
        }
        let message = format!("the answer is longer than {} KiB", most / 1024);
        Err(CallError { code: "TooLarge", message, maybe_sent: true })
    }

    /// The way to a URL, if it may be gone at all.
    ///
    /// A host that is an address never reaches a resolver, so it is checked here. A name is checked when it is resolved;
    /// if a proxy applies to the URL, it is the proxy that resolves it, and nothing can be checked but that the name is
    /// not that of this machine.
    fn route(&self, url: &Url) -> Result<Route, CallError> {
        let route = self.shared.pool.proxies().route(url);
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(name)) if route != Route::Direct && is_local(name) => {
                std::net::Ipv4Addr::LOCALHOST.into()
            }
            Some(Host::Domain(_)) | None => return Ok(route),
        };
        if self.policy.permits(address) {
            return Ok(route);
        }
        Err(CallError { code: "AddressRefused", message: Refused.to_string(), maybe_sent: false })
    }

    /// The reply, with at most `most` bytes of its body.
    async fn exchange(
        &self,
        request: Request,
        written: &Written,
        most: usize,
        now: Timestamp,
    ) -> Result<Reply, CallError> {
        let headers = request.header_map();
        let Request { method, url, headers: _, body, tls, handshake } = request;
        let route = self.route(&url)?;
        let stage = || Stage { route, written: written.get() };
        let failed = |error: reqwest::Error| classify(&error, stage());
        let http = self.shared.pool.client(route, tls.as_ref(), now).map_err(failed)?;
        if let Some(handshake) = handshake.as_deref()
            && !self.shared.consents.holds(&url, handshake, now)
        {
            let asking = http.request(Handshake::METHOD, url.clone()).headers(handshake.header_map());
            let mut answer = asking.send().await.map_err(failed)?;
            handshake.verdict(answer.status().as_u16(), answer.headers())?;
            self.shared.consents.remember(&url, handshake, now);
            // Read, so that the connection can be used again; what comes of it does not matter any more.
            let _ = beginning(&mut answer, most).await;
        }
        let body = reqwest::Body::wrap(Watched::new(body, written));
        let sending = http.request(method, url).headers(headers).body(body).send();
        let mut response = sending.await.map_err(failed)?;
        let retry_after = retry_after(response.headers(), now);
        let body = beginning(&mut response, most).await.map_err(failed)?;
        Ok(Reply { status: response.status().as_u16(), retry_after, body })
    }
}

/// Names of this machine whatever the resolver (RFC 6761, section 6.3).
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// As much of the body as is read.
async fn beginning(response: &mut reqwest::Response, most: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < most {
        let Some(chunk) = response.chunk().await? else { break };
        body.extend(chunk.iter().take(most - body.len()));
    }
    Ok(body)
}

/// `call`, ended by the deadline; `written` says whether the receiver may have got something by then.
async fn within<T>(
    timeout: Duration,
    written: impl Fn() -> bool,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    if let Ok(result) = tokio::time::timeout(timeout, call).await {
        return result;
    }
    let maybe_sent = written();
    let what = if maybe_sent { "no complete reply" } else { "nothing could be sent" };
    let message = format!("{what} within {:?}", kube::core::Duration::from(timeout));
    Err(CallError { code: "Timeout", message, maybe_sent })
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(86_400)));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests;
