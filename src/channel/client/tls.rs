//! How a target's connections are secured, where that is not the machine's way: an own CA, a client certificate, or no
//! check at all.
//!
//! A [`Tls`] exists only if its certificates parsed and the key fits, so a mistake shows on the target and not at three in
//! the morning. Whoever makes one needs no provider to be installed.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

/// What a target's TLS is made of, all in PEM form.
#[derive(Default)]
pub struct TlsParts {
    /// The CAs that the endpoint's certificate must come from; without, those of the machine.
    pub cas: Option<SecretString>,
    /// The certificate to show, with its chain, and its key.
    pub identity: Option<(SecretString, SecretString)>,
    /// Whether any certificate is accepted.
    pub accept_any: bool,
}

/// A target's TLS. Two that are made of the same parts are equal, and share connections.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: ClientConfig,
    fingerprint: Fingerprint,
}

/// A digest of the parts: it tells nothing about them.
pub(super) type Fingerprint = [u8; 32];

/// The parts cannot be used. Holds nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// The CAs are no PEM, or have something in them that is no certificate.
    #[error("is not PEM: {0}")]
    CasNotPem(String),
    /// There is no CA.
    #[error("has no certificate in it (-----BEGIN CERTIFICATE-----)")]
    NoCa,
    /// One of the CAs is no certificate.
    #[error("the certificate number {0} in it is none")]
    CaUnusable(usize),
    /// The client certificate is no PEM.
    #[error("tls.crt is not PEM: {0}")]
    CertificateNotPem(String),
    /// There is no client certificate.
    #[error("tls.crt has no certificate in it (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// There is no key.
    #[error("tls.key has no private key in it that can be read; it must be PEM and not be encrypted")]
    NoKey,
    /// The key belongs to something else.
    #[error("tls.key does not belong to the first certificate of tls.crt")]
    KeyMismatch,
    /// The pair is there but cannot be used.
    #[error("tls.crt and tls.key cannot be used: {0}")]
    IdentityUnusable(String),
    /// The machine's CAs cannot be read.
    #[error("the operator's own CA certificates cannot be read; name the endpoint's in caRef")]
    MachineCas,
}

impl TlsProblem {
    /// Whether the problem is the client certificate's; else it is the CAs'.
    #[must_use]
    pub const fn is_of_identity(&self) -> bool {
        match self {
            Self::CasNotPem(_) | Self::NoCa | Self::CaUnusable(_) | Self::MachineCas => false,
            Self::CertificateNotPem(_)
            | Self::NoCertificate
            | Self::NoKey
            | Self::KeyMismatch
            | Self::IdentityUnusable(_) => true,
        }
    }
}

impl Tls {
    /// Checks the parts and puts them together.
    ///
    /// # Errors
    /// [`TlsProblem`] says which part cannot be used, and why.
    pub fn new(parts: &TlsParts) -> Result<Self, TlsProblem> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let cas = parts.cas.as_ref().map(|text| roots(text.expose_secret())).transpose()?;
        let verifier = verifier(cas, parts.accept_any, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsProblem::IdentityUnusable(error.to_string()))?;
        let builder = match verifier {
            Verifier::Roots(roots) => builder.with_root_certificates(roots),
            Verifier::Custom(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
        };
        let mut config = match &parts.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let (chain, key) = identity(chain.expose_secret(), key.expose_secret())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => TlsProblem::KeyMismatch,
                    error => TlsProblem::IdentityUnusable(error.to_string()),
                })?
            }
        };
        // As reqwest offers them where it makes the configuration itself: HTTP/2 if the endpoint has it.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(Inner { config, fingerprint: fingerprint(parts) })))
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.0.config.clone()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for Tls {}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn roots(text: &str) -> Result<RootCertStore, TlsProblem> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let certificate = certificate.map_err(|error| TlsProblem::CasNotPem(error.to_string()))?;
        roots.add(certificate).map_err(|_| TlsProblem::CaUnusable(index + 1))?;
    }
    if roots.is_empty() { Err(TlsProblem::NoCa) } else { Ok(roots) }
}

fn identity(chain: &str, key: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsProblem> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsProblem::CertificateNotPem(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsProblem::NoCertificate);
    }
    // The error's text could hold a part of the key.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsProblem::NoKey)?;
    Ok((chain, key))
}

fn fingerprint(parts: &TlsParts) -> Fingerprint {
    let TlsParts { cas, identity, accept_any } = parts;
    let mut digest = Sha256::new();
    let mut add = |part: Option<&SecretString>| {
        let text = part.map(ExposeSecret::expose_secret);
        // The length keeps apart what stands side by side.
        digest.update(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        digest.update(text.unwrap_or_default());
    };
    add(cas.as_ref());
    add(identity.as_ref().map(|(chain, _)| chain));
    add(identity.as_ref().map(|(_, key)| key));
    digest.update([u8::from(*accept_any)]);
    digest.finalize().into()
}

enum Verifier {
    Roots(RootCertStore),
    Custom(Arc<dyn ServerCertVerifier>),
}

fn verifier(
    cas: Option<RootCertStore>,
    accept_any: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier, TlsProblem> {
    if accept_any {
        return Ok(Verifier::Custom(Arc::new(AcceptAny(provider.clone()))));
    }
    match cas {
        Some(roots) => Ok(Verifier::Roots(roots)),
        None => match rustls_platform_verifier::Verifier::new(provider.clone()) {
            Ok(verifier) => Ok(Verifier::Custom(Arc::new(verifier))),
            Err(_) => Err(TlsProblem::MachineCas),
        },
    }
}

/// Takes every certificate. The signature still has to be the certificate's, or nothing would be encrypted to anybody.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
