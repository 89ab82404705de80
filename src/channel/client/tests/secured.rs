//! TLS of a target's own.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rstest::rstest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrecy::SecretString;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A CA of a test.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key in PEM form.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a CA of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(super) fn pem(&self) -> SecretString {
        SecretString::from(self.pem.as_str())
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// Accepts connections with a certificate for `name`.
    pub(super) fn server(&self, name: &str) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.server_config(name, false, &[&rustls::version::TLS13])))
    }

    fn server_config(
        &self,
        name: &str,
        demanding: bool,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = if demanding {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let Pair { certificate, key } = self.sign(name, |_| {});
        builder
            .with_single_cert(vec![der(&certificate)], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap()
    }
}

fn der(certificate: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
}

pub(super) fn tls_of(parts: &TlsParts) -> Tls {
    Tls::new(parts).unwrap()
}

/// Answers 200 to one request, and 0 where there is no TLS connection.
async fn secured(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    #[expect(clippy::disallowed_methods, reason = "a test")]
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        match acceptor.accept(stream).into_fallible().await {
            Ok(mut stream) => {
                let head = head(&mut stream).await;
                assert!(head.starts_with("POST /"), "{head}");
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
            // As long as something is unread, closing would be a reset that can overtake the alert.
            Err((_, mut stream)) => {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        }
    });
    address
}

async fn call_tls(url: &str, parts: Option<&TlsParts>) -> Result<Reply, CallError> {
    let Outgoing::Http(mut request) = request(url) else { panic!() };
    request.tls = parts.map(tls_of);
    client(true).send(Outgoing::Http(request), PLENTY, Timestamp::UNIX_EPOCH).await
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn the_ca_the_name_and_the_spec_decide_which_certificate_is_accepted() {
    let (ours, other) = (Authority::new(), Authority::new());
    let ca = |authority: &Authority| TlsParts { cas: Some(authority.pem()), ..TlsParts::default() };
    let both = SecretString::from(format!("a comment\n{}\n{}", other.pem, ours.pem));
    let any = || TlsParts { accept_any: true, ..TlsParts::default() };
    let unknown = Some("spec.http.tls.caRef");
    for (name, parts, refusal) in [
        ("localhost", Some(ca(&ours)), None),
        ("localhost", Some(TlsParts { cas: Some(both), ..TlsParts::default() }), None),
        ("localhost", None, unknown),
        ("localhost", Some(ca(&other)), unknown),
        ("localhost", Some(any()), None),
        ("other.example", Some(ca(&ours)), Some("for another name (")),
        ("other.example", Some(any()), None),
        ("other.example", Some(TlsParts { cas: Some(ours.pem()), ..any() }), None),
    ] {
        let address = secured(ours.server_config(name, false, BOTH)).await;
        let result = call_tls(&format!("https://localhost:{}/t0ken", address.port()), parts.as_ref()).await;
        match (result, refusal) {
            (Ok(reply), None) => assert_eq!(reply.status, 200),
            (Err(error), Some(words)) => {
                assert_eq!((error.code, error.maybe_sent), ("TlsError", false), "{name}");
                assert!(error.message.contains(words), "{name}: {error}");
                assert!(!error.message.contains("t0ken"), "{error}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_certificate_that_signs_itself_can_stand_in_place_of_a_ca() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let parts = TlsParts { cas: Some(SecretString::from(own.pem())), ..TlsParts::default() };
    let mut config = authority.server_config("localhost", false, BOTH);
    config.cert_resolver = shown(&Pair { certificate: own.pem(), key: key.serialize_pem() });
    let address = secured(config).await;
    let reply = call_tls(&format!("https://localhost:{}/", address.port()), Some(&parts)).await.unwrap();
    assert_eq!(reply.status, 200);
}

fn shown(pair: &Pair) -> Arc<rustls::sign::SingleCertAndKey> {
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![der(&pair.certificate)], key);
    Arc::new(rustls::sign::SingleCertAndKey::from(certified))
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_accepted_and_the_message_says_so() {
    let authority = Authority::new();
    let pair = authority.sign("localhost", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let mut config = authority.server_config("localhost", false, BOTH);
    config.cert_resolver = shown(&pair);
    let address = secured(config).await;
    let parts = TlsParts { cas: Some(authority.pem()), ..TlsParts::default() };
    let error = call_tls(&format!("https://localhost:{}/", address.port()), Some(&parts)).await.unwrap_err();
    assert_eq!((error.code, error.maybe_sent), ("TlsError", false));
    assert!(error.message.contains("expired"), "{error}");
}

#[rstest]
#[case::tls12(&rustls::version::TLS12)]
#[case::tls13(&rustls::version::TLS13)]
#[tokio::test]
async fn an_endpoint_that_demands_a_client_certificate_gets_it(
    #[case] version: &'static rustls::SupportedProtocolVersion,
) {
    let (ours, other) = (Authority::new(), Authority::new());
    let identity = |authority: &Authority| {
        let pair =
            authority.sign("client", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
        Some((SecretString::from(pair.certificate), SecretString::from(pair.key)))
    };
    for (identity, accepted) in [(identity(&ours), true), (None, false), (identity(&other), false)] {
        let address = secured(ours.server_config("localhost", true, &[version])).await;
        let parts = TlsParts { cas: Some(ours.pem()), identity, accept_any: false };
        let result = call_tls(&format!("https://localhost:{}/", address.port()), Some(&parts)).await;
        match result {
            Ok(reply) => assert!(accepted && reply.status == 200),
            Err(error) => {
                assert!(!accepted, "{error}");
                assert_eq!((error.code, error.maybe_sent), ("TlsError", false), "{error}");
                assert!(error.message.contains("spec.http.tls.clientCertificateRef"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_endpoint_with_an_own_ca_is_offered_http_2() {
    let authority = Authority::new();
    let mut config = authority.server_config("localhost", false, BOTH);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut preface = [0; 14];
        stream.read_exact(&mut preface).await.unwrap();
        preface
    });
    let parts = TlsParts { cas: Some(authority.pem()), ..TlsParts::default() };
    let _ = call_tls(&format!("https://localhost:{port}/"), Some(&parts)).await;
    assert_eq!(&served.await.unwrap(), b"PRI * HTTP/2.0");
}

#[test]
fn parts_that_cannot_be_used_are_refused_and_not_shown() {
    let authority = Authority::new();
    let (one, two) = (authority.sign("a", |_| {}), authority.sign("b", |_| {}));
    let broken = one.certificate.replace("MII", "%II");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let unfinished = one.certificate.replace("-----END CERTIFICATE-----", "");
    let cas = |text: &str| TlsParts { cas: Some(SecretString::from(text)), ..TlsParts::default() };
    let identity = |chain: &str, key: &str| TlsParts {
        identity: Some((SecretString::from(chain), SecretString::from(key))),
        ..TlsParts::default()
    };
    for (parts, words, of_identity) in [
        (cas("hello"), "has no certificate in it", false),
        (cas(&one.key), "has no certificate in it", false),
        (cas(&broken), "is not PEM", false),
        (cas(&unfinished), "is not PEM", false),
        (cas(no_certificate), "the certificate number 1 in it is none", false),
        (cas(&format!("{}{no_certificate}", authority.pem)), "the certificate number 2", false),
        (identity("", &one.key), "tls.crt has no certificate", true),
        (identity(&broken, &one.key), "tls.crt is not PEM", true),
        (identity(&one.certificate, ""), "tls.key has no private key", true),
        (identity(&one.certificate, &one.certificate), "tls.key has no private key", true),
        (identity(&one.certificate, &encrypted), "tls.key has no private key", true),
        (identity(&one.certificate, &two.key), "tls.key does not belong", true),
        (identity(no_certificate, &one.key), "tls.crt", true),
    ] {
        let problem = Tls::new(&parts).err().unwrap();
        assert!(problem.to_string().contains(words), "{words}: {problem}");
        assert_eq!(problem.is_of_identity(), of_identity, "{problem}");
    }
    let usable = Tls::new(&identity(&one.certificate, &one.key)).unwrap();
    assert_eq!(format!("{usable:?}"), "Tls(…)");
}

#[test]
fn targets_with_the_same_parts_share_a_client_and_what_is_not_used_is_dropped() {
    let client = client(true);
    let pool = &client.shared.pool;
    let minutes = |n: i64| Timestamp::from_second(n * 60).unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let of = |authority: &Authority| tls_of(&TlsParts { cas: Some(authority.pem()), ..TlsParts::default() });
    assert_eq!(of(&ours), of(&ours));
    assert_ne!(of(&ours), of(&other));
    for (tls, now, clients) in [
        (None, 0, 0),
        (Some(of(&ours)), 0, 1),
        (Some(of(&ours)), 5, 1),
        (Some(of(&other)), 9, 2),
        (Some(of(&other)), 14, 2),
        (Some(of(&other)), 15, 1),
        (Some(of(&other)), 99, 1),
    ] {
        pool.client(Route::Direct, tls.as_ref(), minutes(now)).unwrap();
        assert_eq!(pool.own_clients(), clients, "{now}");
    }
}
