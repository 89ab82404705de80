//! The handshake before the first message.

use jiff::SignedDuration;

use super::*;

const ORIGIN: &str = "notifier.example.com";
const CONSENT: &str = "HTTP/1.1 405 X\r\nWebHook-Allowed-Origin: notifier.example.com\r\nContent-Length: 0\r\n\r\n";
const DELIVERED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn asking(address: SocketAddr, path: &str) -> Outgoing {
    let Outgoing::Http(mut request) = request(&format!("http://{address}/{path}")) else { panic!() };
    let origin = HeaderValue::from_static(ORIGIN);
    let own = vec![(header::AUTHORIZATION, HeaderValue::from_static("Bearer t0ken"))];
    request.headers.extend(own.clone());
    request.headers.push((HeaderName::from_static("webhook-request-origin"), origin.clone()));
    request.handshake = Some(Box::new(Handshake { origin, headers: own }));
    Outgoing::Http(request)
}

async fn receiver(options: Option<&'static str>, post: Option<&'static str>) -> Receiver {
    Receiver::start(move |head| if head.starts_with("OPTIONS") { options } else { post }).await
}

#[tokio::test]
async fn an_endpoint_is_asked_once_a_day_and_url_and_every_message_says_who_sends() {
    let receiver = receiver(Some(CONSENT), Some(DELIVERED)).await;
    let client = client(true);
    let start = Timestamp::UNIX_EPOCH;
    let later = start + SignedDuration::from_hours(25);
    for (path, now) in [("a", start), ("a", start), ("b", start), ("a", later)] {
        let reply = client.send(asking(receiver.address, path), PLENTY, now).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    let lines = receiver.lines();
    let expected = ["OPTIONS /a", "POST /a", "POST /a", "OPTIONS /b", "POST /b", "OPTIONS /a", "POST /a"];
    assert_eq!(lines, expected.map(|line| format!("{line} HTTP/1.1")));
    for head in receiver.seen() {
        assert!(head.contains("\r\nwebhook-request-origin: notifier.example.com\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: Bearer t0ken\r\n"), "{head}");
    }
}

#[tokio::test]
async fn without_consent_nothing_is_sent_and_the_next_attempt_asks_again() {
    let refusing = "HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: other.example\r\nContent-Length: 0\r\n\r\n";
    for options in [DELIVERED, refusing] {
        let receiver = receiver(Some(options), Some(DELIVERED)).await;
        let client = client(true);
        for _ in 0..2 {
            let call = client.send(asking(receiver.address, "t0ken"), PLENTY, Timestamp::UNIX_EPOCH).await;
            let error = call.unwrap_err();
            assert_eq!((error.code, error.maybe_sent), ("ConsentWithheld", false));
            assert!(error.message.contains("WebHook-Allowed-Origin: notifier.example.com"), "{error}");
            assert!(!error.message.contains("t0ken"), "{error}");
            assert_eq!(error.outcome().label(), "transient");
        }
        assert_eq!(receiver.lines(), ["OPTIONS /t0ken HTTP/1.1"; 2]);
    }
}

#[tokio::test]
async fn the_deadline_is_one_for_question_and_message_and_only_the_message_counts_as_sent() {
    for (options, post, code, sent) in [
        (None, Some(DELIVERED), "Timeout", false),
        (Some(CONSENT), None, "Timeout", true),
        (Some(""), Some(DELIVERED), "ConnectionReset", false),
    ] {
        let receiver = receiver(options, post).await;
        let deadline = Duration::from_millis(300);
        let call = client(true).send(asking(receiver.address, "a"), deadline, Timestamp::UNIX_EPOCH).await;
        let error = call.unwrap_err();
        assert_eq!((error.code, error.maybe_sent), (code, sent), "{error}");
    }
}
