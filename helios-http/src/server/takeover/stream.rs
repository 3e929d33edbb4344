//! Step 5 of the [takeover](super): an event stream on a socket. Each frame of its body is written at once, as a chunk
//! (RFC 9112, section 7.1). For an HTTP/1.0 client the body is written without chunks, and ends with the connection.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use crate::failure::with_causes;
use crate::panics::CaughtBody;
use crate::server::takeover::handover::{Framing, TakenOver};
use crate::sse::stream::running::RunningStream;
use crate::sse::stream::state::Chunk;

/// Frames are collected up to this size before they are written.
const GATHERED_BYTES: usize = 32 * 1024;

/// A buffer that a large event has made larger than this is not kept.
const KEPT_BYTES: usize = 64 * 1024;

/// How much a client may send while its stream runs, for its next requests. If it sends more, those are not answered.
const UNREAD_BYTES: usize = 4 * 1024;

thread_local! {
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(crate) struct StreamWriter<I> {
    io: I,
    unread: Vec<u8>,
    body: TakenBody,
    framing: Framing,
    unwritten: Bytes,
    /// The socket is full, or has not been flushed.
    blocked: bool,
    end: Option<End>,
}

/// The body of a stream that was taken over. The app's own is stored inline, any other behind a pointer.
pub(crate) enum TakenBody {
    Own(RunningStream),
    Other(CaughtBody),
}

impl TakenBody {
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, axum_core::Error>>> {
        let body = match self {
            Self::Own(stream) => {
                let chunk = ready!(stream.poll_chunk(cx));
                return Poll::Ready(chunk.map(|chunk| chunk.map_err(axum_core::Error::new)));
            }
            Self::Other(body) => body,
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            Ok(Chunk {
                // Trailers are dropped. They were not announced.
                bytes: frame?.into_data().unwrap_or_default(),
                waits: false,
            })
        }))
    }

    /// Records that bytes have been written to the socket.
    fn wrote(&mut self, bytes: usize) {
        if let Self::Own(stream) = self {
            stream.wrote(bytes);
        }
    }
}

/// How the body has ended.
#[derive(Clone, Copy)]
enum End {
    Complete,
    Failed,
}

impl<I: AsyncRead + AsyncWrite + Unpin + 'static> StreamWriter<I> {
    /// Creates a stream on a socket from which `unread` was read already.
    pub(crate) fn new(io: I, unread: Vec<u8>, taken: TakenOver) -> Self {
        Self {
            io,
            unread,
            body: taken.body,
            framing: taken.framing,
            unwritten: taken.written.into(),
            blocked: false,
            end: None,
        }
    }

    /// Whether each frame is a chunk. Otherwise the body ends with the connection.
    pub(crate) fn is_chunked(&self) -> bool {
        self.framing.chunked
    }

    /// Whether the connection ends with this stream.
    pub(crate) fn is_last(&self) -> bool {
        self.framing.last
    }

    /// Returns the socket, with the bytes that were read from it meanwhile.
    pub(crate) fn into_parts(self) -> (I, Vec<u8>) {
        (self.io, self.unread)
    }

    /// Writes the body to its end.
    ///
    /// # Errors
    ///
    /// Those of the socket, of a client that has disconnected, and of a body that broke off.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Writing comes first, because a client that has closed its sending side may still read.
        let written = self.poll_body(cx);
        if written.is_pending() {
            self.read(cx)?;
        }
        written
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
            // Neither a body that is always ready nor a socket that accepts everything may block the thread.
            ready!(coop::poll_proceed(cx)).made_progress();
        }
    }

    /// Notices that the client has disconnected. Its end of file comes after all data that it has sent, so all of that
    /// has to be read.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut space = [MaybeUninit::uninit(); 512];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut read)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if read.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(()) => self.keep(read.filled()),
            }
            // A client that sends without end must not block the thread.
            match coop::poll_proceed(cx) {
                Poll::Ready(proceeds) => proceeds.made_progress(),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Keeps received bytes for the requests after this stream. If there are too many, the connection ends with the
    /// stream.
    fn keep(&mut self, read: &[u8]) {
        if self.unread.len() + read.len() > UNREAD_BYTES {
            self.framing.last = true;
        } else {
            self.unread.extend_from_slice(read);
        }
    }

    /// Writes the data that is ready. Pending if the body or the socket is not ready.
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

    /// Pending if the body is not ready.
    fn gather(&mut self, cx: &mut Context<'_>, gathered: &mut Vec<u8>) -> Poll<()> {
        while gathered.len() < GATHERED_BYTES {
            match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => {
                    self.push(gathered, &chunk.bytes);
                    if chunk.waits {
                        return Poll::Pending;
                    }
                    continue;
                }
                Some(Err(error)) => {
                    tracing::debug!(error = with_causes(&error), "an event stream broke off");
                    self.end = Some(End::Failed);
                }
                None => {
                    if self.framing.chunked {
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
        let chunked = self.framing.chunked && !data.is_empty();
        if chunked {
            push_size(gathered, data.len());
        }
        gathered.extend_from_slice(data);
        if chunked {
            gathered.extend_from_slice(b"\r\n");
        }
    }

    /// Writes all bytes, and keeps those that the socket does not accept.
    fn poll_write(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> Poll<io::Result<()>> {
        self.blocked = true;
        while !bytes.is_empty() {
            match write(&mut self.io, cx, bytes)? {
                Poll::Ready(count) => {
                    self.body.wrote(count);
                    bytes = &bytes[count..];
                }
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
            self.body.wrote(count);
            self.unwritten.advance(count);
        }
        // Frees the memory, which `advance` does not.
        self.unwritten = Bytes::new();
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.blocked = false;
        Poll::Ready(Ok(()))
    }
}

/// Writes a chunk's size as hexadecimal digits. `write!` would take as long as the rest of a small chunk.
fn push_size(gathered: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    let digit = |place| b"0123456789abcdef"[size >> (4 * place) & 0xf];
    gathered.extend((0..digits).rev().map(digit));
    gathered.extend_from_slice(b"\r\n");
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum_core::body::Body;
    use http_body::Frame;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    async fn run(stream: &mut StreamWriter<DuplexStream>) -> io::Result<()> {
        poll_fn(|cx| stream.poll(cx)).await
    }

    /// Frames that are all ready, and a count of the polls.
    struct Frames(
        VecDeque<Result<&'static str, &'static str>>,
        Arc<AtomicUsize>,
    );

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let frame = self.0.pop_front();
            Poll::Ready(frame.map(|frame| frame.map(|data| Frame::data(data.into()))))
        }
    }

    fn stream(
        frames: impl IntoIterator<Item = Result<&'static str, &'static str>>,
        chunked: bool,
        socket_bytes: usize,
    ) -> (StreamWriter<DuplexStream>, DuplexStream, Arc<AtomicUsize>) {
        let (io, client) = duplex(socket_bytes);
        let polls = Arc::new(AtomicUsize::new(0));
        let frames = Frames(frames.into_iter().collect(), Arc::clone(&polls));
        let last = !chunked;
        let taken = TakenOver {
            written: b"head ".to_vec(),
            body: TakenBody::Other(CaughtBody::new(Body::new(frames))),
            framing: Framing { chunked, last },
        };
        (StreamWriter::new(io, Vec::new(), taken), client, polls)
    }

    async fn written(
        frames: impl IntoIterator<Item = Result<&'static str, &'static str>>,
        chunked: bool,
        socket_bytes: usize,
    ) -> (String, bool) {
        let (mut stream, mut client, _) = stream(frames, chunked, socket_bytes);
        let mut text = String::new();
        let run = async move { run(&mut stream).await.is_ok() };
        let (ended_well, read) = tokio::join!(run, client.read_to_string(&mut text));
        read.unwrap();
        (text, ended_well)
    }

    #[tokio::test]
    async fn each_frame_is_a_chunk_however_little_the_socket_takes() {
        for socket_bytes in [1, 2, 7, 4096] {
            let frames = [Ok("one"), Ok(""), Ok("sixteen letters.")];
            let (text, ended_well) = written(frames, true, socket_bytes).await;
            assert_eq!(text, "head 3\r\none\r\n10\r\nsixteen letters.\r\n0\r\n\r\n");
            assert!(ended_well);
        }
    }

    #[test]
    fn a_chunk_size_is_formatted_like_the_standard_library() {
        for size in [1, 9, 0xa, 0xf, 0x10, 0xfff, 0x1000, 0x8000, usize::MAX] {
            let mut written = Vec::new();
            push_size(&mut written, size);
            assert_eq!(written, format!("{size:x}\r\n").into_bytes());
        }
    }

    #[tokio::test]
    async fn without_chunks_frames_are_written_as_they_are() {
        let (text, _) = written([Ok("one"), Ok("two")], false, 4).await;
        assert_eq!(text, "head onetwo");
    }

    #[tokio::test]
    async fn data_before_a_failure_is_written_without_ending_the_body() {
        let (text, ended_well) = written([Ok("one"), Err("broken")], true, 4).await;
        assert_eq!(text, "head 3\r\none\r\n");
        assert!(!ended_well);
    }

    #[tokio::test]
    async fn a_body_is_not_polled_while_its_socket_is_full() {
        let frame = "x".repeat(GATHERED_BYTES).leak();
        let (mut stream, mut client, polls) = stream([Ok(&*frame), Ok("last")], true, 16);
        // The socket is closed with the stream, not when its task is joined.
        let running = tokio::spawn(async move { run(&mut stream).await });
        let mut some = vec![0; GATHERED_BYTES];
        client.read_exact(&mut some).await.unwrap();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("x\r\n4\r\nlast\r\n0\r\n\r\n"), "{rest}");
        running.await.unwrap().unwrap();
    }

    /// Runs a stream whose client sends `sent` bytes meanwhile. Returns how many of them were kept, and whether the
    /// stream was the last.
    async fn kept_of(sent: usize) -> (usize, bool) {
        let frame = "x".repeat(GATHERED_BYTES).leak();
        let (mut stream, mut client, _) = stream([Ok(&*frame)], true, 512);
        let running = tokio::spawn(async move {
            run(&mut stream).await.unwrap();
            let last = stream.is_last();
            (stream.into_parts(), last)
        });
        client.write_all(&vec![b'r'; sent]).await.unwrap();
        let mut end = Vec::new();
        while !end.ends_with(b"0\r\n\r\n") {
            end.push(client.read_u8().await.unwrap());
        }
        let ((mut io, mut unread), last) = running.await.unwrap();
        drop(client);
        io.read_to_end(&mut unread).await.unwrap();
        assert!(unread.iter().all(|byte| *byte == b'r'));
        (unread.len(), last)
    }

    #[tokio::test]
    async fn what_the_client_sends_meanwhile_is_given_back() {
        assert_eq!(kept_of(UNREAD_BYTES).await, (UNREAD_BYTES, false));
    }

    #[tokio::test]
    async fn a_client_that_sends_too_much_loses_its_connection() {
        let (kept, last) = kept_of(100 * UNREAD_BYTES).await;
        assert!(kept <= UNREAD_BYTES + 512 && last, "{kept}");
    }

    #[tokio::test]
    async fn a_disconnect_is_noticed_behind_everything_the_client_sent() {
        let (io, mut client) = duplex(2 * UNREAD_BYTES);
        let taken = TakenOver {
            written: Vec::new(),
            body: TakenBody::Other(CaughtBody::new(Body::new(Silence))),
            framing: Framing {
                chunked: true,
                last: false,
            },
        };
        let mut stream = StreamWriter::new(io, Vec::new(), taken);
        client.write_all(&[b'r'; 2 * UNREAD_BYTES]).await.unwrap();
        drop(client);
        let gone = run(&mut stream).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// A body without data.
    struct Silence;

    impl http_body::Body for Silence {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_client_that_stopped_sending_still_receives() {
        let (mut stream, mut client, _) = stream([Ok("one"), Ok("two")], true, 4096);
        client.shutdown().await.unwrap();
        assert!(run(&mut stream).await.is_ok());
        drop(stream);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "head 3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    }
}
