//! One connection as the HTTP server sees it. A handshake of TLS goes on while the server waits for the first bytes, so
//! that a slow client keeps nobody else waiting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

use super::{Connection, Failures};

pub(super) enum Stream {
    Plain(Connection),
    Greeting(Box<Accept<Connection>>, Failures),
    Secret(Box<TlsStream<Connection>>),
    /// The handshake came to nothing.
    Broken,
}

/// Both sides of whatever carries the bytes.
trait Wire: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

impl Stream {
    /// What carries the bytes, once there is something.
    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Wire>>> {
        if let Self::Greeting(handshake, failures) = self {
            match ready!(Pin::new(&mut **handshake).poll(context)) {
                Ok(stream) => *self = Self::Secret(Box::new(stream)),
                Err(error) => {
                    failures.add(&error);
                    *self = Self::Broken;
                }
            }
        }
        Poll::Ready(match self {
            Self::Plain(connection) => Ok(Pin::new(connection)),
            Self::Secret(stream) => Ok(Pin::new(&mut **stream)),
            Self::Greeting(..) | Self::Broken => Err(io::ErrorKind::ConnectionAborted.into()),
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_wire(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_wire(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_wire(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_wire(context))?.poll_shutdown(context)
    }
}
