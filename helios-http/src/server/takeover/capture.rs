//! Step 3 of the [takeover](super): a socket that can capture the writes of hyper, and that replays bytes which were
//! read too early.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::takeover::handover::Handover;

pub(crate) struct CapturedIo<I> {
    io: I,
    unread: Vec<u8>,
    handover: Option<Arc<Handover>>,
}

impl<I> CapturedIo<I> {
    /// Creates a socket from which `unread` was read already.
    pub(crate) fn new(io: I, unread: Vec<u8>) -> Self {
        Self {
            io,
            unread,
            handover: None,
        }
    }

    /// Allows the handover to capture writes from now on.
    pub(crate) fn with(mut self, handover: Arc<Handover>) -> Self {
        self.handover = Some(handover);
        self
    }

    /// Returns the socket, and the bytes to be read before it.
    pub(crate) fn into_parts(self) -> (I, Vec<u8>) {
        (self.io, self.unread)
    }

    fn begun(&self) -> Option<&Handover> {
        self.handover
            .as_deref()
            .filter(|handover| handover.has_begun())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for CapturedIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begun().is_some() {
            // The stream is polled next, and will read.
            return Poll::Pending;
        }
        if self.unread.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for CapturedIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(handover) = self.begun() {
            handover.write(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if let Some(handover) = &self.handover {
            handover.wrote();
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(handover) = self.begun() {
            handover.flush();
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if let Some(handover) = &self.handover {
            handover.took_all();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
