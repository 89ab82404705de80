//! The listening socket, plain or TLS: it can be closed together with every connection and opened again on the same
//! port, and each connection can be reset from within a handler.

#[path = "door/stream.rs"]
mod stream;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use stream::Stream;

/// Why handshakes of TLS came to nothing.
#[derive(Clone, Default)]
pub(super) struct Failures(Arc<watch::Sender<Vec<String>>>);

impl Failures {
    pub(super) fn list(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(super) async fn wait_for(&self, n: usize) {
        // This holds a sender, so that there is something to wait for.
        let _ = self.0.subscribe().wait_for(|list| list.len() >= n).await;
    }

    fn add(&self, error: &io::Error) {
        self.0.send_modify(|list| list.push(error.to_string()));
    }
}

/// What a port speaks.
#[derive(Clone, Default)]
pub(super) struct Speech {
    /// TLS, if there is something to speak it with.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) failures: Failures,
}

/// An open port.
pub(super) struct Door {
    address: SocketAddr,
    closing: CancellationToken,
    serving: JoinHandle<()>,
}

impl Door {
    /// Binds, and serves until closed. A port that was closed a moment ago may need some tries.
    pub(super) async fn open(address: SocketAddr, speech: &Speech, router: axum::Router) -> io::Result<Self> {
        let mut tries = 0;
        let socket = loop {
            match TcpListener::bind(address).await {
                Ok(socket) => break socket,
                Err(error) if tries == 50 => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            tries += 1;
        };
        let address = socket.local_addr()?;
        let closing = CancellationToken::new();
        let listener = Closable { socket, speech: speech.clone(), closing: closing.clone() };
        let service = router.into_make_service_with_connect_info::<Peer>();
        let closed = closing.clone();
        let serving = tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                _ = axum::serve(listener, service).into_future() => {}
            }
        });
        Ok(Self { address, closing, serving })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection.
    pub(super) async fn close(mut self) {
        self.closing.cancel();
        // The task only ends; what it served is of no interest.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The other side of a connection, as a handler sees it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    reset: Arc<AtomicBool>,
}

impl Peer {
    /// Instead of the reply that is to be written next, the connection is reset.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Closable>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Closable>) -> Self {
        stream.remote_addr().clone()
    }
}

struct Closable {
    socket: TcpListener,
    speech: Speech,
    closing: CancellationToken,
}

impl Listener for Closable {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        let (stream, _) = Listener::accept(&mut self.socket).await;
        // Small replies are not to wait for the sender's acknowledgement; without it they are merely slower.
        let _ = stream.set_nodelay(true);
        let reset = Arc::new(AtomicBool::new(false));
        let closing = Box::pin(self.closing.clone().cancelled_owned());
        let connection = Connection { stream, closing, reset: Arc::clone(&reset) };
        let stream = match &self.speech.tls {
            None => Stream::Plain(connection),
            Some(config) => {
                let handshake = TlsAcceptor::from(Arc::clone(config)).accept(connection);
                Stream::Greeting(Box::new(handshake), self.speech.failures.clone())
            }
        };
        (stream, Peer { reset })
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { reset: Arc::default() })
    }
}

struct Connection {
    stream: TcpStream,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    reset: Arc<AtomicBool>,
}

impl Connection {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.reset.load(Ordering::SeqCst) || self.closing.as_mut().poll(context).is_ready() {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_gone(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_gone(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
