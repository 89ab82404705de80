//! The bus's own certificate: read from files, and again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// How often the files are looked at: a mounted Secret changes within a minute or so.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where the certificate stands.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those that lead to the root.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {file}; --bus-tls-cert and --bus-tls-key have to name PEM files")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file} holds no {what} in PEM form")]
    Pem {
        /// The file.
        file: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// They do not fit together.
    #[error("the certificate in {file} cannot be used with the key")]
    Unfit {
        /// The certificate's file.
        file: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What was read.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] says which file is wrong.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.config(&self.read()?)
    }

    fn read(&self) -> Result<Read, TlsError> {
        let read = |file: &Path| std::fs::read(file).map_err(|source| TlsError::Read { file: file.to_owned(), source });
        Ok(Read { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn config(&self, read: &Read) -> Result<Arc<ServerConfig>, TlsError> {
        let pem = |file: &Path, what| TlsError::Pem { file: file.to_owned(), what };
        let unfit = |source| TlsError::Unfit { file: self.certificate.clone(), source };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| pem(&self.certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(pem(&self.certificate, "certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|_| pem(&self.key, "private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Publishes the configuration whenever the files change. Files that cannot be used change nothing.
    pub async fn keep_fresh(self, config: watch::Sender<Arc<ServerConfig>>) {
        let mut known = self.read().ok().map(|read| digest(&read));
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let read = match self.read() {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(%error, "the bus keeps the certificate that it has");
                    continue;
                }
            };
            let fresh = digest(&read);
            if known == Some(fresh) {
                continue;
            }
            known = Some(fresh);
            match self.config(&read) {
                Ok(fresh) => {
                    tracing::info!("the certificate of the bus has changed");
                    config.send_replace(fresh);
                }
                Err(error) => tracing::error!(%error, "the bus keeps the certificate that it has"),
            }
        }
    }
}

fn digest(read: &Read) -> [u8; 32] {
    Sha256::new().chain_update(&read.certificate).chain_update([0]).chain_update(&read.key).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
    }

    fn files(certificate: PathBuf, key: PathBuf) -> CertificateFiles {
        CertificateFiles { certificate, key }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_names_its_file() {
        assert!(files(fixture("first.crt"), fixture("first.key")).load().is_ok());
        for (certificate, key, named) in [
            ("nowhere.crt", "first.key", "nowhere.crt"),
            ("first.key", "first.key", "first.key holds no certificate"),
            ("first.crt", "first.crt", "first.crt holds no private key"),
            ("first.crt", "second.key", "cannot be used with the key"),
        ] {
            let error = files(fixture(certificate), fixture(key)).load().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let put = |name: &str| {
            std::fs::copy(fixture(&format!("{name}.crt")), &certificate).unwrap();
            std::fs::copy(fixture(&format!("{name}.key")), &key).unwrap();
        };
        put("first");
        let files = files(certificate.clone(), key.clone());
        let (sender, mut config) = watch::channel(files.load().unwrap());
        let fresh = files.keep_fresh(sender);
        let mut fresh = std::pin::pin!(fresh);
        let mut wait = async |time: Duration| tokio::time::timeout(time, fresh.as_mut()).await.unwrap_err();
        wait(LOOK_EVERY * 2).await;
        assert!(!config.has_changed().unwrap(), "nothing was changed");
        std::fs::write(&certificate, "broken").unwrap();
        wait(LOOK_EVERY * 2).await;
        assert!(!config.has_changed().unwrap(), "the old one is kept");
        put("second");
        wait(LOOK_EVERY * 2).await;
        assert!(config.has_changed().unwrap());
        config.borrow_and_update();
        wait(LOOK_EVERY * 2).await;
        assert!(!config.has_changed().unwrap(), "told once");
    }
}
