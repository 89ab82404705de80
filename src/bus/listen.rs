//! Accepts connections: so many at most, in plain text or TLS, each with deadlines for what a client may take its time with.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::cluster::tasks::Tasks;

/// Connections at the same time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest wait for the next request on a connection, and for the whole of its head.
const HEAD: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted, as when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(200);

/// How connections are protected: `None` is plain text. The configuration changes with the certificate.
pub type Protection = Option<watch::Receiver<Arc<ServerConfig>>>;

/// Serves until `stop` is cancelled; requests that are on their way are answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    protection: Protection,
    tasks: &Tasks,
    stop: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            () = stop.cancelled() => return,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the bus could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let config = protection.as_ref().map(|config| config.borrow().clone());
        let connection = connection(stream, router.clone(), config, stop.clone());
        tasks.spawn("bus-connection", async move {
            // What a client sends must never end the program.
            if AssertUnwindSafe(connection).catch_unwind().await.is_err() {
                tracing::error!("a request to the bus has made its connection panic");
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, router: Router, config: Option<Arc<ServerConfig>>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let Some(config) = config else { return requests(stream, router, stop).await };
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with the bus failed"),
        Err(_) => tracing::debug!("a TLS handshake with the bus took too long"),
    }
}

async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, stop: CancellationToken) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection to the bus has ended");
    }
}
