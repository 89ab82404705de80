//! Against real sockets that misbehave.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod consent;
mod proxy;
mod secured;

fn client(allow: bool) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allow = if allow { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
    Client::with(AddressPolicy { allow, deny: Vec::new() }, Proxies::none()).unwrap()
}

fn request(url: &str) -> Outgoing {
    Outgoing::Http(Request {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
        tls: None,
        handshake: None,
    })
}

/// Answers one connection with `behave`.
async fn server<F, R>(behave: F) -> SocketAddr
where
    F: FnOnce(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        behave(stream).await;
    });
    address
}

/// Answers each connection's first request (or never, for `None`), closes it, and remembers what it was asked.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seeing = seen.clone();
        #[expect(clippy::disallowed_methods, reason = "a test")]
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let head = head(&mut stream).await;
                seeing.lock().unwrap().push(head.clone());
                match answer(&head) {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => drop(stream.read_u8().await),
                }
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The first line of each request.
    fn lines(&self) -> Vec<String> {
        self.seen().iter().filter_map(|head| head.lines().next().map(ToOwned::to_owned)).collect()
    }
}

/// A request's line and headers; its body is read, too, if it is `{}`.
async fn head<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
        read.extend(byte);
    }
    let head = String::from_utf8_lossy(&read).into_owned();
    if head.starts_with("POST") {
        let mut body = [0; 2];
        let _ = stream.read_exact(&mut body).await;
    }
    head
}

async fn call(address: SocketAddr, timeout: Duration) -> Result<Reply, CallError> {
    client(true).send(request(&format!("http://{address}/t0ken")), timeout, Timestamp::UNIX_EPOCH).await
}

const PLENTY: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_reply_comes_with_status_body_and_retry_after() {
    let address = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno").await;
    })
    .await;
    let reply = call(address, PLENTY).await.unwrap();
    assert_eq!(reply, Reply { status: 429, retry_after: Some(Duration::from_secs(7)), body: b"no".to_vec() });
}

#[tokio::test]
async fn of_a_reply_of_ten_megabytes_only_the_beginning_is_read() {
    let address = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n").await;
        let chunk = vec![b'x'; 100_000];
        for _ in 0..100 {
            if stream.write_all(&chunk).await.is_err() {
                return;
            }
        }
    })
    .await;
    assert_eq!(call(address, PLENTY).await.unwrap().body.len(), MOST_REPLY);
}

#[tokio::test]
async fn a_reply_byte_by_byte_ends_at_the_deadline_and_may_have_been_shown() {
    let address = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(b"x").await.is_err() {
                return;
            }
        }
    })
    .await;
    let error = call(address, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("Timeout", true));
}

#[tokio::test]
async fn a_receiver_that_never_answers_or_resets_may_have_shown_the_message() {
    let silent = server(async |stream| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(stream);
    })
    .await;
    let error = call(silent, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("Timeout", true));
    let reset = server(async |stream| drop(stream)).await;
    let error = call(reset, PLENTY).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ConnectionReset", true));
}

#[tokio::test]
async fn a_request_that_got_no_connection_was_not_sent_however_the_time_ran_out() {
    // Nobody answers the TLS handshake: the connection is there, but not for the request.
    let silent = async || {
        server(async |stream| {
            tokio::time::sleep(Duration::from_mins(1)).await;
            drop(stream);
        })
        .await
    };
    let url = format!("https://{}/t0ken", silent().await);
    let call = client(true).send(request(&url), Duration::from_millis(200), Timestamp::UNIX_EPOCH).await;
    let error = call.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("Timeout", false), "{error}");
    assert!(error.message.contains("200ms") || error.message.contains("0.2"), "{error}");

    // The time for a connection is less than that of the attempt.
    tokio::time::pause();
    let url = format!("https://{}/t0ken", silent().await);
    let call = client(true).send(request(&url), Duration::from_secs(30), Timestamp::UNIX_EPOCH).await;
    let error = call.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("Timeout", false), "{error}");
    assert!(error.message.contains("no connection"), "{error}");
}

#[tokio::test]
async fn an_empty_body_counts_as_sent_when_in_doubt() {
    let address = server(async |stream| drop(stream)).await;
    let Outgoing::Http(mut request) = request(&format!("http://{address}/")) else { panic!() };
    request.body.clear();
    let error = client(true).send(Outgoing::Http(request), PLENTY, Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ConnectionReset", true));
}

#[tokio::test]
async fn an_empty_body_was_not_sent_where_there_was_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let plain = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    for (url, allow, code) in [
        ("http://nobody.invalid/".to_owned(), true, "NameNotResolved"),
        (format!("http://{closed}/"), true, "ConnectionRefused"),
        (format!("https://{plain}/"), true, "TlsError"),
        ("http://localhost:9/".to_owned(), false, "AddressRefused"),
    ] {
        let Outgoing::Http(mut request) = request(&url) else { panic!() };
        request.body.clear();
        let call = client(allow).send(Outgoing::Http(request), PLENTY, Timestamp::UNIX_EPOCH).await;
        let error = call.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), (code, false), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_resolved() {
    let call = client(true).send(request("http://nobody.invalid/t0ken"), PLENTY, Timestamp::UNIX_EPOCH).await;
    let error = call.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("NameNotResolved", false), "{error}");
    assert!(!error.message.contains("t0ken"));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_made_anew() {
    let receiver = Receiver::start(|_| Some("HTTP/1.1 204 X\r\n\r\n")).await;
    let client = client(true);
    for _ in 0..3 {
        let url = format!("http://{}/", receiver.address);
        let reply = client.send(request(&url), PLENTY, Timestamp::UNIX_EPOCH).await.unwrap();
        assert_eq!(reply.status, 204);
    }
    assert_eq!(receiver.lines(), ["POST / HTTP/1.1"; 3]);
    let head = receiver.seen().remove(0).to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-length: 2\r\n") && !head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn a_closed_port_has_shown_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = call(address, PLENTY).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ConnectionRefused", false));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let address = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    assert_eq!(call(address, PLENTY).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_refused_address_is_never_connected_to_by_number_or_by_name() {
    for url in ["http://127.0.0.1:9/t0ken", "http://localhost:9/t0ken", "http://[::1]:9/t0ken"] {
        let error = client(false).send(request(url), PLENTY, Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), ("AddressRefused", false), "{url}: {error}");
        assert!(error.message.contains("--allow-target-cidr") && !error.message.contains("t0ken"));
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_is_a_tls_error() {
    let address = server(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let call = client(true).send(request(&format!("https://{address}/")), PLENTY, Timestamp::UNIX_EPOCH).await;
    let error = call.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("TlsError", false), "{error}");
}

#[test]
fn retry_after_may_be_seconds_or_a_date() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for (value, expected) in [
        ("120", Some(120)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
        ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
        ("soon", None),
        ("-5", None),
    ] {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
    }
}
