//! What goes wrong on the way: nothing was sent, and that is known.

use pai_notification::channel::AddressPolicy;
use tokio::net::TcpSocket;

use crate::SOON;
use crate::form::{Form, Kind};
use crate::line::{Far, Line, client_with};
use crate::news::{JOB, News};
use crate::robot::{Authority, Behaviour, Identity, Receiver, Tls};
use crate::table::each_form;

/// One attempt that must come to this, with nothing at the other end.
async fn nothing_is_sent(line: &Line, what: &str, code: &str) {
    let form = line.form;
    let outcome = line.send(&News::of(JOB), "msg_1").await;
    assert_eq!((outcome.label(), outcome.code()), ("transient", code), "{form:?}, {what}: {outcome:?}");
    assert_eq!(line.arrived().await, 0, "{form:?}, {what}");
    for private in form.private() {
        assert!(!outcome.message().contains(private), "{form:?}, {what}: {outcome:?}");
    }
}

#[tokio::test]
async fn who_is_not_there_has_shown_nothing() {
    each_form(async |form, client| {
        let mut line = Line::open(form, &client).await;
        let there = line.address.clone();
        // No part of a name may be that long, so that it is known to be nobody's without asking anybody. TLS over HTTP
        // judges the name first; that the common way resolves it the same way has to be enough there.
        if !matches!(form, Form::HttpOwnCa | Form::HttpClientCertificate) {
            line.on_host(&format!("{}.invalid", "nobody".repeat(11)));
            nothing_is_sent(&line, "a name that nobody has", "NameNotResolved").await;
        }
        line.address = there;
        // Bound, so that nobody else gets the port, and not listened at.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed_port = closed.local_addr().unwrap().port();
        let open = match &line.far {
            Far::Inbox(receiver, _) => receiver.address().port(),
            Far::Mailpit(server) => server.port(),
            Far::Script(server) => server.address().port(),
        };
        line.address = line.address.replace(&open.to_string(), &closed_port.to_string());
        nothing_is_sent(&line, "a closed port", "ConnectionRefused").await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_targets_may_not_have_is_never_connected_to() {
    let strict = &client_with(AddressPolicy::default());
    each_form(async |form, _| {
        for host in ["127.0.0.1", "localhost"] {
            let mut line = Line::open(form, strict).await;
            line.on_host(host);
            nothing_is_sent(&line, host, "AddressRefused").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    each_form(async |form, client| {
        if form.kind() == Kind::Email {
            // A mail server that knows another one says 551, which is a refusal like any other.
            return;
        }
        let elsewhere = Receiver::start().await.unwrap();
        let other = form.inbox(&elsewhere).unwrap();
        for status in [301, 302, 303, 307, 308] {
            let line = Line::open(form, &client).await;
            line.inbox().behave(Behaviour::redirect(status, other.url()));
            let outcome = line.send(&News::of(JOB), "msg_1").await;
            let code = status.to_string();
            assert_eq!((outcome.label(), outcome.code()), ("permanent", code.as_str()), "{form:?}: {outcome:?}");
        }
        assert!(elsewhere.posts().is_empty() && other.handshakes().is_empty(), "{form:?}: {:?}", elsewhere.posts());
    })
    .await;
}

/// Whether a target of this form can say whose certificates it believes.
const fn names_its_ca(form: Form) -> bool {
    matches!(form, Form::HttpOwnCa | Form::HttpClientCertificate | Form::EmailTls | Form::EmailStartTls)
}

/// The certificate of a server whose target trusts this authority.
type Shows = fn(&Authority) -> Identity;

#[tokio::test]
async fn a_certificate_that_is_not_as_it_should_be_ends_it_before_anything_is_sent() {
    let shows: [(&str, Shows); 3] = [
        ("a wrong name", |authority| authority.server_named(&["elsewhere.example"])),
        ("an end that is past", Authority::expired_server),
        ("an unknown authority", |_| Authority::new().server()),
    ];
    each_form(async |form, client| {
        if !names_its_ca(form) {
            // On this machine every certificate is of an unknown authority for it; that is the next test's.
            return;
        }
        for (what, identity) in shows {
            let line = Line::shown(form, &client, identity).await;
            nothing_is_sent(&line, what, "TlsError").await;
            if let Far::Inbox(receiver, _) = &line.far {
                receiver.failed_handshakes(1, SOON).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_names_no_authority_believes_only_those_of_the_machine() {
    each_form(async |form, client| {
        if names_its_ca(form) || form == Form::EmailPlain {
            // Those that name one are the test's before; without TLS there is nothing to believe.
            return;
        }
        let authority = Authority::new();
        let receiver = Receiver::start_tls(&Tls::new(authority.server())).await.unwrap();
        let inbox = form.inbox(&receiver).unwrap();
        let mut line = Line::open(form, &client).await;
        line.address = inbox.url().to_owned();
        nothing_is_sent(&line, "an unknown authority", "TlsError").await;
        receiver.failed_handshakes(1, SOON).await.unwrap();
        assert!(receiver.posts().is_empty(), "{form:?}");
    })
    .await;
}
