//! An event stream on a socket: each frame of its body is a chunk (RFC 9112, section 7.1), written as it comes. To an
//! HTTP/1.0 client the body is written as it is, and ends with the connection.
//!
//! Between two events a connection owns no buffer. Frames are put together in one that all connections of a thread share;
//! only what a full socket leaves over is kept, and until it is written the body is not polled.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use bytes::{Buf, Bytes};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::handover::Taken;

/// Frames are gathered up to this before they are written.
const GATHERED_BYTES: usize = 16 * 1024;

/// A buffer that has grown larger, by a large event, is not kept.
const KEPT_BYTES: usize = 64 * 1024;

/// What a client may send while its stream runs: its next requests. More is left in the socket.
const UNREAD_BYTES: usize = 4 * 1024;

thread_local! {
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(super) struct EventStream<I> {
    io: I,
    unread: Vec<u8>,
    body: Body,
    chunked: bool,
    unwritten: Bytes,
    /// The socket is full, or has not been flushed.
    blocked: bool,
    end: Option<End>,
}

/// How the body has ended.
#[derive(Clone, Copy)]
enum End {
    Complete,
    Failed,
}

impl<I: AsyncRead + AsyncWrite + Unpin> EventStream<I> {
    /// A stream on a socket of which `unread` was read already.
    pub(super) fn new(io: I, unread: Vec<u8>, taken: Taken) -> Self {
        Self {
            io,
            unread,
            body: taken.body,
            chunked: taken.framing.chunked,
            unwritten: taken.written.into(),
            blocked: false,
            end: None,
        }
    }

    /// Writes the body to its end, and gives back the socket, with what was read of it.
    ///
    /// # Errors
    ///
    /// Of the socket, of a client that has gone away, and of a body that broke off.
    pub(super) async fn run(mut self) -> io::Result<(I, Vec<u8>)> {
        std::future::poll_fn(|cx| self.poll(cx)).await?;
        Ok((self.io, self.unread))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.read(cx)?;
        loop {
            if self.blocked {
                ready!(self.poll_unwritten(cx))?;
            }
            match self.end {
                None => {}
                Some(End::Complete) => return Poll::Ready(Ok(())),
                Some(End::Failed) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
            ready!(self.poll_frames(cx))?;
            // Neither a body that is always ready nor a socket that takes everything may keep the thread.
            ready!(coop::poll_proceed(cx)).made_progress();
        }
    }

    /// Notices that the client has gone away.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.unread.len() < UNREAD_BYTES {
            let mut space = [MaybeUninit::uninit(); 512];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut read)? {
                Poll::Pending => break,
                Poll::Ready(()) if read.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(()) => self.unread.extend_from_slice(read.filled()),
            }
        }
        Ok(())
    }

    /// Writes what is ready; pending if the body, or the socket, has to be waited for.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = GATHERED.take();
        gathered.extend_from_slice(&std::mem::take(&mut self.unwritten));
        let more = self.gather(cx, &mut gathered);
        let written = match gathered.is_empty() {
            true => Poll::Ready(Ok(())),
            false => self.poll_write(cx, &gathered),
        };
        if gathered.capacity() <= KEPT_BYTES {
            gathered.clear();
            GATHERED.set(gathered);
        }
        ready!(written)?;
        more.map(Ok)
    }

    /// Pending if the body is to be waited for.
    fn gather(&mut self, cx: &mut Context<'_>, gathered: &mut Vec<u8>) -> Poll<()> {
        while gathered.len() < GATHERED_BYTES {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers, which nobody has announced, are passed over.
                    if let Ok(data) = frame.into_data() {
                        self.push(gathered, &data);
                    }
                    continue;
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "an event stream broke off");
                    self.end = Some(End::Failed);
                }
                None => {
                    if self.chunked {
                        gathered.extend_from_slice(b"0\r\n\r\n");
                    }
                    self.end = Some(End::Complete);
                }
            }
            break;
        }
        Poll::Ready(())
    }

    fn push(&self, gathered: &mut Vec<u8>, data: &[u8]) {
        // An empty chunk would end the body.
        let chunked = self.chunked && !data.is_empty();
        if chunked {
            // Writing to memory does not fail.
            let _ = write!(gathered, "{:x}\r\n", data.len());
        }
        gathered.extend_from_slice(data);
        if chunked {
            gathered.extend_from_slice(b"\r\n");
        }
    }

    /// Writes all of it, and keeps what the socket does not take.
    fn poll_write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<()>> {
        self.blocked = true;
        while !bytes.is_empty() {
            match write(&mut self.io, cx, bytes)? {
                Poll::Ready(count) => bytes = &bytes[count..],
                Poll::Pending => {
                    self.unwritten = Bytes::copy_from_slice(bytes);
                    return Poll::Pending;
                }
            }
        }
        self.poll_flush(cx)
    }

    fn poll_unwritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let count = ready!(write(&mut self.io, cx, &self.unwritten))?;
            self.unwritten.advance(count);
        }
        // Its memory, which it keeps to the last.
        self.unwritten = Bytes::new();
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.blocked = false;
        Poll::Ready(Ok(()))
    }
}

fn write(
    io: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(io).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => Poll::Ready(Ok(count)),
    }
}
