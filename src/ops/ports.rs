//! What is opened before anything runs, so that a wrong flag is told at once.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::args::RunArgs;
use super::health;
use crate::bus::tls::{CertificateFiles, TlsError};

/// The ports of the program.
#[derive(Debug)]
pub struct Ports {
    /// For `/livez`, `/readyz` and `/metrics`.
    pub ops: TcpListener,
    /// For what is published.
    pub bus: TcpListener,
    /// The bus's certificate, if it has one.
    pub certificate: Option<Certificate>,
}

/// A certificate, and where it comes from.
pub type Certificate = (CertificateFiles, Arc<rustls::ServerConfig>);

/// A port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The bus's certificate cannot be used.
    #[error("the certificate of the bus cannot be used")]
    Certificate(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {flag} {address}")]
    Listen {
        /// The flag that names it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Ports {
    /// Opens them.
    ///
    /// # Errors
    /// [`PortError`] names the flag that cannot be followed.
    pub async fn open(args: &RunArgs) -> Result<Self, PortError> {
        Ok(Self {
            certificate: certificate(args)?,
            ops: listen("--ops-address", args.ops_address).await?,
            bus: listen("--bus-address", args.bus_address).await?,
        })
    }
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, PortError> {
    health::listen(address).await.map_err(|source| PortError::Listen { flag, address, source })
}

fn certificate(args: &RunArgs) -> Result<Option<Certificate>, TlsError> {
    let Some((certificate, key)) = args.bus_certificate() else { return Ok(None) };
    let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
    let config = files.load()?;
    Ok(Some((files, config)))
}
