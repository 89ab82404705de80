//! A request's body that knows whether a connection has taken it.
//!
//! The HTTP library asks for the body when it writes the request to a connection, and not before there is one. So this is
//! what tells a request that waited for a connection from one that the receiver may have read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Whether a request may have left.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicBool>);

impl Written {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// See the module's text.
pub(super) struct Watched {
    rest: Option<Bytes>,
    written: Written,
}

impl Watched {
    pub(super) fn new(body: Vec<u8>, written: &Written) -> Self {
        if body.is_empty() {
            // Nobody asks for a body that is empty: take the worse case.
            written.set();
        }
        Self { rest: Some(Bytes::from(body)).filter(|body| !body.is_empty()), written: written.clone() }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.written.set();
        Poll::Ready(self.rest.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
