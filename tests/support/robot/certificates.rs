//! Certificates that are made at run time by an authority of the test's own, and TLS servers with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// An authority that nobody trusts unless told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both in PEM form.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Certificate.
    pub certificate: String,
    /// Private key (PKCS #8).
    pub key: String,
}

/// How a TLS server shows itself, and what it demands.
#[derive(Clone, Debug)]
pub struct Tls {
    identity: Identity,
    client_authority: Option<String>,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// Never: everything that could be wrong is in this function.
    #[must_use]
    pub fn new() -> Self {
        // Two of the same name are taken for each other, and then the signature is wrong, not the issuer unknown.
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let mut params = named(&format!("Test authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("keys can be made"));
        Self { issuer: issuer.expect("an authority can sign itself") }
    }

    /// The certificate to trust, in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server on this machine: `localhost`, `127.0.0.1`, `::1`.
    #[must_use]
    pub fn server(&self) -> Identity {
        self.server_named(&["localhost", "127.0.0.1", "::1"])
    }

    /// A server with these names or addresses. One with other names than it is called by must not be trusted.
    #[must_use]
    pub fn server_named(&self, names: &[&str]) -> Identity {
        self.sign(&server_params(names))
    }

    /// A server on this machine whose certificate ended years ago.
    #[must_use]
    pub fn expired_server(&self) -> Identity {
        let mut params = server_params(&["localhost", "127.0.0.1", "::1"]);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&params)
    }

    /// A client of this name.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority can sign");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("a test gives names that can be names");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

impl Tls {
    /// Shows this certificate, and demands none.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, client_authority: None }
    }

    /// Demands a certificate of a client that this authority has signed.
    #[must_use]
    pub fn demanding_clients_of(mut self, authority: &Authority) -> Self {
        self.client_authority = Some(authority.pem());
        self
    }

    pub(super) fn config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = match &self.client_authority {
            None => Arc::new(NoClientAuth) as Arc<_>,
            Some(pem) => {
                let mut trusted = RootCertStore::empty();
                trusted.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
                WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider)).build()?
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(self.identity.certificate.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_client_cert_verifier(clients).with_single_cert(chain, key);
        Ok(Arc::new(config.context("the certificate of a test server")?))
    }
}
