//! A socket that its borrower never returns, and drops instead. hyper's HTTP/2 drops it together with the connection,
//! and the code that requested an upgrade drops it in a task of its own. [`Back`] gets it back.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sync::lock;

/// Receives the socket when its borrower drops it.
pub(super) struct Back<I>(Arc<Mutex<Option<I>>>);

impl<I> Back<I> {
    pub(super) fn take(&self) -> Option<I> {
        lock(&self.0).take()
    }
}

pub(super) struct Lent<I> {
    /// `None` only while it is dropped.
    io: Option<I>,
    back: Back<I>,
}

pub(super) fn lend<I>(io: I) -> (Lent<I>, Back<I>) {
    let back = Arc::default();
    let lent = Lent {
        io: Some(io),
        back: Back(Arc::clone(&back)),
    };
    (lent, Back(back))
}

impl<I> Drop for Lent<I> {
    fn drop(&mut self) {
        *lock(&self.back.0) = self.io.take();
    }
}

impl<I: Unpin> Lent<I> {
    fn with<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut I>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.io {
            Some(io) => poll(Pin::new(io)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lent<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|io| io.poll_read(cx, buf))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Lent<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|io| io.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|io| io.poll_shutdown(cx))
    }
}
