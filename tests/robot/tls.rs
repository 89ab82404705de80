//! Receivers with TLS.

use std::time::Duration;

use reqwest::tls::{Certificate, Identity};

use crate::robot::{Authority, Behaviour, Endpoint, Inbox, Receiver, Tls};
use crate::{SOON, client_builder};

/// A sender that trusts this authority, and shows this certificate if there is one.
fn trusting(authority: &Authority, own: Option<&crate::robot::Identity>) -> reqwest::Client {
    let mut builder = client_builder();
    builder = builder.tls_certs_only([Certificate::from_pem(authority.pem().as_bytes()).unwrap()]);
    if let Some(own) = own {
        let both = format!("{}{}", own.certificate, own.key);
        builder = builder.identity(Identity::from_pem(both.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

async fn status(client: &reqwest::Client, inbox: &Inbox) -> Result<u16, reqwest::Error> {
    client.post(inbox.url()).body("a").send().await.map(|reply| reply.status().as_u16())
}

#[tokio::test]
async fn a_receiver_with_tls_is_reached_by_those_who_trust_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = Receiver::start_tls(&Tls::new(authority.server())).await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    assert!(inbox.url().starts_with("https://127.0.0.1:"));
    let sender = trusting(&authority, None);
    assert_eq!(status(&sender, &inbox).await.unwrap(), 204);
    let by_name = inbox.url().replace("127.0.0.1", "localhost");
    assert_eq!(sender.post(by_name).body("a").send().await.unwrap().status(), 204);
    assert!(status(&trusting(&other, None), &inbox).await.unwrap_err().is_connect());
    let failed = receiver.failed_handshakes(1, SOON).await.unwrap();
    assert!(failed[0].contains("UnknownCA"), "{failed:?}");
    assert_eq!(inbox.posts().len(), 2);

    inbox.behave_next([Behaviour::Reset, Behaviour::Slow(Duration::from_millis(5))]);
    assert!(!status(&sender, &inbox).await.unwrap_err().is_timeout());
    assert_eq!(status(&sender, &inbox).await.unwrap(), 204);
    receiver.down().await;
    assert!(status(&sender, &inbox).await.unwrap_err().is_connect());
    receiver.up().await.unwrap();
    assert_eq!(status(&sender, &inbox).await.unwrap(), 204);
}

#[tokio::test]
async fn a_certificate_with_a_wrong_name_or_past_its_end_is_refused() {
    let authority = Authority::new();
    for identity in [authority.server_named(&["elsewhere.example"]), authority.expired_server()] {
        let receiver = Receiver::start_tls(&Tls::new(identity)).await.unwrap();
        let inbox = receiver.endpoint(Endpoint::anything("/hook"));
        assert!(status(&trusting(&authority, None), &inbox).await.unwrap_err().is_connect());
        assert_eq!(receiver.failed_handshakes(1, SOON).await.unwrap().len(), 1);
        assert_eq!(inbox.posts().len(), 0);
    }
}

#[tokio::test]
async fn a_receiver_can_demand_a_certificate() {
    let (servers, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let tls = Tls::new(servers.server()).demanding_clients_of(&clients);
    let receiver = Receiver::start_tls(&tls).await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    status(&trusting(&servers, None), &inbox).await.unwrap_err();
    status(&trusting(&servers, Some(&other.client("stranger"))), &inbox).await.unwrap_err();
    assert_eq!(status(&trusting(&servers, Some(&clients.client("notifier"))), &inbox).await.unwrap(), 204);
    assert_eq!(receiver.failed_handshakes(2, SOON).await.unwrap().len(), 2);
    assert_eq!(inbox.posts().len(), 1);
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_nobody_waiting() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(&Tls::new(authority.server())).await.unwrap();
    let inbox = receiver.endpoint(Endpoint::anything("/hook"));
    let _silent = tokio::net::TcpStream::connect(receiver.address()).await.unwrap();
    assert_eq!(status(&trusting(&authority, None), &inbox).await.unwrap(), 204);
}
