//! Through a proxy.

use super::secured::{Authority, tls_of};
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A client that may reach no loopback address, but has a proxy there.
fn client_by(proxy: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxies = Proxies::read(|name| match name {
        "ALL_PROXY" => Some(proxy.to_owned()),
        "NO_PROXY" => Some("direct.invalid,127.0.0.2".to_owned()),
        _ => None,
    });
    Client::with(AddressPolicy::default(), proxies.unwrap()).unwrap()
}

async fn send(client: &Client, url: &str) -> Result<Reply, CallError> {
    client.send(request(url), PLENTY, Timestamp::UNIX_EPOCH).await
}

#[tokio::test]
async fn a_name_that_only_the_proxy_knows_is_reached_by_it() {
    let proxy = Receiver::start(|_| Some(OK)).await;
    let client = client_by(&format!("http://user:p4ss@{}", proxy.address));
    assert_eq!(send(&client, "http://only.invalid/hook?a=1").await.unwrap().status, 200);
    assert_eq!(proxy.lines(), ["POST http://only.invalid/hook?a=1 HTTP/1.1"]);
    assert!(proxy.seen()[0].contains("\r\nproxy-authorization: Basic dXNlcjpwNHNz\r\n"), "{:?}", proxy.seen());
    assert!(!format!("{client:?}").contains("p4ss"));
}

#[tokio::test]
async fn a_proxy_by_name_may_be_where_targets_may_not() {
    let proxy = Receiver::start(|_| Some(OK)).await;
    let client = client_by(&format!("localhost:{}", proxy.address.port()));
    assert_eq!(send(&client, "http://only.invalid/").await.unwrap().status, 200);
}

#[tokio::test]
async fn refused_addresses_and_names_of_this_machine_are_refused_before_the_proxy_hears_of_them() {
    let proxy = Receiver::start(|_| Some(OK)).await;
    let client = client_by(&format!("http://{}", proxy.address));
    for url in [
        "http://127.0.0.1:9/",
        "https://127.1:9/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "https://LocalHost./",
        "http://a.localhost/",
        "http://127.0.0.2/",
    ] {
        let error = send(&client, url).await.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), ("AddressRefused", false), "{url}");
    }
    // What goes around the proxy is resolved here.
    assert_eq!(send(&client, "http://direct.invalid/").await.unwrap_err().code, "NameNotResolved");
    assert_eq!(proxy.lines(), [""; 0]);
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_the_endpoints_own_tls() {
    let authority = Authority::new();
    let acceptor = authority.server("a.invalid");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    let tunnel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let connect = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 X\r\n\r\n").await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let post = head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        let _ = stream.shutdown().await;
        (connect, post)
    });
    let Outgoing::Http(mut request) = request("https://a.invalid/hook") else { panic!() };
    request.tls = Some(tls_of(&TlsParts { cas: Some(authority.pem()), ..TlsParts::default() }));
    let client = client_by(&format!("http://{address}"));
    let reply = client.send(Outgoing::Http(request), PLENTY, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(reply.status, 200);
    let (connect, post) = tunnel.await.unwrap();
    assert!(connect.starts_with("CONNECT a.invalid:443 HTTP/1.1\r\n"), "{connect}");
    assert!(post.starts_with("POST /hook HTTP/1.1\r\n"), "{post}");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_away_has_sent_nothing() {
    let refusing = Receiver::start(|_| Some("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")).await;
    let client = client_by(&format!("http://{}", refusing.address));
    let error = send(&client, "https://a.invalid/t0ken").await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("ProxyRefused", false), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for url in ["http://a.invalid/t0ken", "https://a.invalid/t0ken"] {
        let error = send(&client_by(&format!("http://{address}")), url).await.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), ("ConnectionRefused", false), "{error}");
        assert!(error.message.contains("proxy"), "{error}");
    }
}
