//! A forward HTTP proxy: requests with the whole URL in their first line, and `CONNECT`. It writes down what goes
//! through, may demand a login, and can lead a name to another place than the name's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

const MAX_HEAD: usize = 64 * 1024;

/// One request as the proxy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// `CONNECT`, or the method of a request that was forwarded.
    pub method: String,
    /// `host:port` for `CONNECT`, else the whole URL.
    pub target: String,
    /// What the proxy answered by itself; `None` if it passed the request on.
    pub refused: Option<u16>,
}

/// A running proxy. Stops taking connections, and cuts those it has, when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    _open: DropGuard,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    login: Option<String>,
    routes: BTreeMap<String, SocketAddr>,
    seen: Vec<Proxied>,
}

impl Proxy {
    /// Opens a free port on the loopback interface.
    pub async fn start() -> anyhow::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared::default());
        let open = CancellationToken::new();
        let (closed, of_all) = (open.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let accepting = async {
                while let Ok((client, _)) = socket.accept().await {
                    let (closed, shared) = (closed.clone(), Arc::clone(&of_all));
                    tokio::spawn(async move {
                        // A connection that breaks is of interest to those at its ends, not here.
                        let _ = closed.run_until_cancelled(shared.serve(client)).await;
                    });
                }
            };
            closed.run_until_cancelled(accepting).await
        });
        Ok(Self { shared, address, _open: open.drop_guard() })
    }

    /// What to tell a sender.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on demands this login.
    pub fn demand_login(&self, user: &str, password: &str) {
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.shared.lock().login = Some(format!("Basic {both}"));
    }

    /// From now on leads this `host:port` to there, so that a test can send to a name that is not its own.
    pub fn lead(&self, host_and_port: &str, to: SocketAddr) {
        self.shared.lock().routes.insert(host_and_port.to_owned(), to);
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Proxied> {
        self.shared.lock().seen.clone()
    }
}

/// The head of a request.
struct Head {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    /// What came after the head already.
    rest: Vec<u8>,
}

impl Head {
    async fn read(client: &mut TcpStream) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            anyhow::ensure!(bytes.len() < MAX_HEAD, "the head is too long");
            anyhow::ensure!(client.read_buf(&mut bytes).await? > 0, "the head is incomplete");
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let rest = bytes.split_off(end + 4);
        let text = String::from_utf8(bytes)?;
        let mut lines = text.lines();
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, version] = first[..] else { anyhow::bail!("the first line has not three words") };
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Ok(Self { method: method.to_owned(), target: target.to_owned(), version: version.to_owned(), headers, rest })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Where the request is to go.
    fn host_and_port(&self) -> anyhow::Result<String> {
        if self.method == "CONNECT" {
            return Ok(self.target.clone());
        }
        let url = Url::parse(&self.target)?;
        let host = url.host_str().context("the URL has no host")?;
        Ok(format!("{host}:{}", url.port_or_known_default().context("the URL has no port")?))
    }

    /// The head as its receiver wants it. The connection ends with the reply, so that the next request comes back here.
    fn for_receiver(&self) -> anyhow::Result<String> {
        let url = Url::parse(&self.target)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let own = ["proxy-authorization", "proxy-connection", "connection"];
        let kept = self.headers.iter().filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()));
        let first = format!("{} {}{query} {}\r\n", self.method, url.path(), self.version);
        let head = kept.fold(first, |head, (name, value)| format!("{head}{name}: {value}\r\n"));
        Ok(format!("{head}Connection: close\r\n\r\n"))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut client: TcpStream) -> anyhow::Result<()> {
        let head = Head::read(&mut client).await?;
        let upstream = if self.refuses(&head) { Err(407) } else { self.reach(&head).await };
        let refused = upstream.as_ref().err().copied();
        self.lock().seen.push(Proxied { method: head.method.clone(), target: head.target.clone(), refused });
        let Ok(mut upstream) = upstream else {
            let status = refused.unwrap_or_default();
            let asks = if status == 407 { "Proxy-Authenticate: Basic realm=\"test\"\r\n" } else { "" };
            let reply = format!("HTTP/1.1 {status} Refused\r\n{asks}Content-Length: 0\r\nConnection: close\r\n\r\n");
            return Ok(client.write_all(reply.as_bytes()).await?);
        };
        if head.method == "CONNECT" {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        } else {
            upstream.write_all(head.for_receiver()?.as_bytes()).await?;
        }
        upstream.write_all(&head.rest).await?;
        copy_bidirectional(&mut client, &mut upstream).await?;
        Ok(())
    }

    fn refuses(&self, head: &Head) -> bool {
        let login = self.lock().login.clone();
        login.is_some() && head.header("proxy-authorization") != login.as_deref()
    }

    /// A connection to where the request is to go, or the status that says why there is none.
    async fn reach(&self, head: &Head) -> Result<TcpStream, u16> {
        let target = head.host_and_port().map_err(|_| 400_u16)?;
        let route = self.lock().routes.get(&target).copied();
        let connected = match route {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect(&target).await,
        };
        connected.map_err(|_| 502)
    }
}
