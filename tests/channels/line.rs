//! A target and its receiver, and what goes from the one to the other: resolved and sent as by the operator.

use std::time::Duration;

use jiff::Timestamp;
use pai_notification::api::event_target::EventTargetSpec;
use pai_notification::api::workspace::MessageSettings;
use pai_notification::channel::client::Proxies;
use pai_notification::channel::resolve::{legs, resolve};
use pai_notification::channel::{
    AddressPolicy, Client, Envelope, Limits, Outcome, ResolvedTarget, Surroundings, probe, send,
};
use serde_json::{Value, json};

use crate::SOON;
use crate::form::{Form, Kind, Secrets, TOKEN};
use crate::mail::{Mailpit, Security};
use crate::news::{News, WORKSPACE};
use crate::robot::{Authority, Identity, Inbox, Message, Receiver, Tls};
use crate::smtp::{Script, Server};
use crate::view::Shown;

/// A client that may reach this machine, by no proxy. Its connections belong to the test that makes it.
pub fn client() -> Client {
    client_with(AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], deny: Vec::new() })
}

pub fn client_with(policy: AddressPolicy) -> Client {
    // A second call finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::with(policy, Proxies::none()).unwrap()
}

/// What is at the other end.
pub enum Far {
    Inbox(Receiver, Inbox),
    Mailpit(Mailpit),
    Script(Server),
}

/// See the module's text.
pub struct Line {
    pub form: Form,
    pub client: Client,
    pub far: Far,
    /// The Secrets as the target finds them.
    pub secrets: Secrets,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Where the receiver is: a URL, for mail host and port.
    pub address: String,
    pub authority: Authority,
}

impl Line {
    /// A line to a receiver that does everything right.
    pub async fn open(form: Form, client: &Client) -> Self {
        Self::shown(form, client, Authority::server).await
    }

    /// The same, but if TLS is spoken, by this certificate of the authority that the target trusts.
    pub async fn shown(form: Form, client: &Client, identity: impl FnOnce(&Authority) -> Identity) -> Self {
        let authority = Authority::new();
        let far = if form.kind() == Kind::Email {
            let security = match form {
                Form::EmailTls => Security::Tls(identity(&authority)),
                Form::EmailStartTls => Security::StartTls(identity(&authority)),
                _ => Security::Plain,
            };
            Far::Mailpit(Mailpit::start(&security).await.unwrap())
        } else {
            let receiver = match form {
                Form::HttpClientCertificate => {
                    let tls = Tls::new(identity(&authority)).demanding_clients_of(&authority);
                    Receiver::start_tls(&tls).await
                }
                _ if form.is_secured() => Receiver::start_tls(&Tls::new(identity(&authority))).await,
                _ => Receiver::start().await,
            };
            let receiver = receiver.unwrap();
            let inbox = form.inbox(&receiver).unwrap();
            Far::Inbox(receiver, inbox)
        };
        Self::new(form, client, far, authority)
    }

    /// A line to a mail server that follows a script.
    pub async fn scripted(form: Form, client: &Client, script: &Script) -> Self {
        let authority = Authority::new();
        let server = Server::start(form, &authority.server(), script).await;
        Self::new(form, client, Far::Script(server), authority)
    }

    fn new(form: Form, client: &Client, far: Far, authority: Authority) -> Self {
        let address = match &far {
            Far::Inbox(_, inbox) => inbox.url().to_owned(),
            Far::Mailpit(server) => format!("127.0.0.1:{}", server.port()),
            Far::Script(server) => server.address().to_string(),
        };
        let mut secrets = Secrets::usual();
        secrets.set("ca", "ca.crt", &authority.pem());
        let own = authority.client("pai-notification");
        secrets.set("client", "tls.crt", &own.certificate);
        secrets.set("client", "tls.key", &own.key);
        Self { form, client: client.clone(), far, secrets, timeout: SOON, address, authority }
    }

    /// The inbox, of a form that has one.
    pub fn inbox(&self) -> &Inbox {
        match &self.far {
            Far::Inbox(_, inbox) => inbox,
            Far::Mailpit(_) | Far::Script(_) => panic!("{:?} has no inbox", self.form),
        }
    }

    /// The target, resolved with what is there now.
    pub fn target(&self) -> (ResolvedTarget, EventTargetSpec) {
        let mut secrets = self.secrets.clone();
        secrets.set("target", "webhook", &self.address);
        let mut spec: Value = self.form.spec();
        spec["delivery"] = json!({"timeout": format!("{}ms", self.timeout.as_millis())});
        let spec: EventTargetSpec = serde_json::from_value(spec).unwrap();
        let settings: MessageSettings = serde_json::from_value(self.form.settings(&self.address)).unwrap();
        let around = Surroundings { secrets: &secrets, workspace: WORKSPACE, settings: Some(&settings) };
        let target = resolve(&spec, &around).unwrap_or_else(|error| panic!("{:?}: {error}", self.form));
        (target, spec)
    }

    /// What the target's channel allows.
    pub fn limits(&self) -> Limits {
        let (target, spec) = self.target();
        target.channel(legs(&spec).first()).unwrap().limits()
    }

    /// One attempt, now.
    pub async fn send(&self, news: &News, delivery_id: &str) -> Outcome {
        let (target, spec) = self.target();
        let channel = target.channel(legs(&spec).first()).unwrap();
        send(channel, &self.client, &envelope(news, delivery_id), self.timeout).await
    }

    /// One connectivity test.
    pub async fn probe(&self, news: &News) -> Option<Outcome> {
        let (target, spec) = self.target();
        let channel = target.channel(legs(&spec).first()).unwrap();
        probe(channel, &self.client, &envelope(news, "msg_test"), self.timeout).await
    }

    /// What the receiver's people have seen.
    pub async fn seen(&self) -> Vec<Shown> {
        match &self.far {
            Far::Inbox(_, inbox) => inbox.messages().iter().map(Message::clone).map(Shown::Message).collect(),
            Far::Mailpit(server) => server.letters().await.unwrap().into_iter().map(Shown::Letter).collect(),
            Far::Script(server) => (0..server.taken()).map(|_| Shown::Unread).collect(),
        }
    }

    /// How many requests or letters have come, whatever became of them.
    pub async fn arrived(&self) -> usize {
        match &self.far {
            Far::Inbox(receiver, _) => receiver.posts().len(),
            Far::Mailpit(_) | Far::Script(_) => self.seen().await.len(),
        }
    }

    /// Takes the receiver's token out of the address, and puts another one in.
    pub fn with_token(&mut self, token: &str) {
        self.address = self.address.replace(TOKEN, token);
    }

    /// The same address on another host, of the same port.
    pub fn on_host(&mut self, host: &str) {
        self.address = self.address.replace("127.0.0.1", host);
    }
}

fn envelope<'a>(news: &'a News, delivery_id: &'a str) -> Envelope<'a> {
    let News { event, message } = news;
    Envelope { workspace: WORKSPACE, event, message, delivery_id, now: Timestamp::now() }
}
