//! The proxy.

use reqwest::tls::Certificate;

use crate::client_builder;
use crate::robot::{Authority, Endpoint, Proxied, Proxy, Receiver, Tls};

fn through(proxy: &Proxy) -> reqwest::ClientBuilder {
    client_builder().proxy(reqwest::Proxy::all(proxy.url()).unwrap())
}

fn passed(method: &str, target: &str) -> Proxied {
    Proxied { method: method.to_owned(), target: target.to_owned(), refused: None }
}

#[tokio::test]
async fn every_request_that_is_forwarded_is_written_down() {
    let (proxy, receiver) = (Proxy::start().await.unwrap(), Receiver::start().await.unwrap());
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    proxy.lead("robot.example:80", receiver.address());
    let sender = through(&proxy).build().unwrap();
    let made_up = "http://robot.example/hook?a=1";
    for url in [inbox.url(), made_up, inbox.url()] {
        assert_eq!(sender.post(url).body("hello".repeat(10_000)).send().await.unwrap().status(), 204);
    }
    assert_eq!(proxy.seen(), [passed("POST", inbox.url()), passed("POST", made_up), passed("POST", inbox.url())]);
    let posts = inbox.posts();
    assert_eq!((posts[1].path.as_str(), posts[1].query["a"].as_str(), posts[1].body.len()), ("/hook", "1", 50_000));
    assert_eq!(posts[1].headers["host"], "robot.example");
}

#[tokio::test]
async fn a_connection_with_tls_goes_through_unread() {
    let authority = Authority::new();
    let tls = Tls::new(authority.server_named(&["robot.example"]));
    let (proxy, receiver) = (Proxy::start().await.unwrap(), Receiver::start_tls(&tls).await.unwrap());
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    proxy.lead("robot.example:443", receiver.address());
    let trusted = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let sender = through(&proxy).tls_certs_only([trusted]).build().unwrap();
    for _ in 0..2 {
        assert_eq!(sender.post("https://robot.example/hook").body("a").send().await.unwrap().status(), 204);
    }
    assert_eq!(proxy.seen(), [passed("CONNECT", "robot.example:443")]);
    assert_eq!(inbox.messages().len(), 2);
}

#[tokio::test]
async fn a_proxy_can_demand_a_login_and_says_when_it_reaches_nobody() {
    let (proxy, receiver) = (Proxy::start().await.unwrap(), Receiver::start().await.unwrap());
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    proxy.demand_login("user", "password");
    let stranger = through(&proxy).build().unwrap();
    assert_eq!(stranger.post(inbox.url()).body("a").send().await.unwrap().status(), 407);
    let known = reqwest::Proxy::all(proxy.url()).unwrap().basic_auth("user", "password");
    let known = client_builder().proxy(known).build().unwrap();
    assert_eq!(known.post(inbox.url()).body("a").send().await.unwrap().status(), 204);
    assert!(!inbox.posts()[0].headers.contains_key("proxy-authorization"));
    receiver.down().await;
    assert_eq!(known.post(inbox.url()).body("a").send().await.unwrap().status(), 502);
    assert_eq!(proxy.seen().iter().map(|seen| seen.refused).collect::<Vec<_>>(), [Some(407), None, Some(502)]);
}
