//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// What readiness waits for, each true once it is so.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Name and state of each part.
    pub parts: Vec<(&'static str, watch::Receiver<bool>)>,
}

impl Readiness {
    /// The parts that are not ready yet.
    fn missing(&self) -> Vec<&'static str> {
        self.parts.iter().filter(|(_, ready)| !*ready.borrow()).map(|(name, _)| *name).collect()
    }
}

/// Opens the port.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn listen(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await
}

/// Serves until `stop` is cancelled.
pub async fn serve(listener: tokio::net::TcpListener, readiness: Readiness, metrics: Metrics, stop: CancellationToken) {
    let ready = move || {
        let missing = readiness.missing();
        async move {
            if missing.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
            }
        }
    };
    let text = move || {
        let text = metrics.text();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
    };
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text));
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the health endpoint has ended");
    }
}
