//! Cuts responses that nobody reads. The timeouts apply at the edge of the app, so that layers and mounts are inside.
//!
//! * **The socket.** [`WriteDeadline`] wraps it when it is accepted. So it sees the writes of hyper, of streams that
//!   are taken over, and of HTTP/2 connections. It fails a write if no byte leaves for `stuck_after`. A timer exists
//!   only while a write waits.
//! * **The window of an HTTP/2 stream.** With a closed window, hyper polls neither the body nor anything else of ours.
//!   1. hyper spawns the future of each stream with [`StreamExecutor`], so the task is ours.
//!   2. hyper calls the service before it hands the stream to the executor. A task-local value tells the service which
//!      stream it answers.
//!   3. The body ([`WatchedBody`]) records when hyper takes a chunk. If hyper does not poll for another one afterwards,
//!      the chunk is waiting for the peer.
//!   4. When it has waited for `stuck_after`, the task ends. The stream's future is dropped with everything in it, and
//!      h2 resets the stream.
//!   5. While the connection's socket is full, no stream is cut. The socket's own timeout decides.
//!
//! Before a cut, the [`Peer`] in the request's extensions is marked. A running stream looks there when it is dropped,
//! and closes as `SlowClient`. The heartbeat does not cut streams that have a [`Peer`]. Only one of the two may decide,
//! and the server sees each byte. The heartbeat decides if another server writes the stream.
//!
//! The timeout of a request's body is in [`crate::progress`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::futures::TaskLocalFuture;
use tokio_util::task::TaskTracker;

use crate::peer::Peer;
use crate::progress::Deadline;

/// hyper gives h2 a chunk as soon as one byte of it fits into the window, and then polls for the next one. With larger
/// chunks nobody could tell whether they are read.
const CHUNK_BYTES: usize = 16 * 1024;

/// A socket that fails when it accepts no byte for `stuck_after` although some are waiting. It is then reset. It is
/// also reset if a response breaks off that ends with its connection.
pub(super) struct WriteDeadline<I> {
    io: I,
    /// Makes the socket end with a reset when it is closed.
    reset: fn(&I),
    peer: Arc<Peer>,
    deadline: Deadline,
}

/// The error of a [`WriteDeadline`].
#[derive(Debug, Error)]
#[error("the peer has read nothing for {0:?}")]
struct Stuck(Duration);

impl<I> WriteDeadline<I> {
    pub(super) fn new(io: I, reset: fn(&I), peer: Arc<Peer>, stuck_after: Duration) -> Self {
        Self {
            io,
            reset,
            peer,
            deadline: Deadline::new(stuck_after),
        }
    }

    /// Returns the result of writing, or an error if it has waited for too long.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            // Most writes need not touch the peer, which is elsewhere in memory.
            if self.deadline.clear() {
                self.peer.set_full(false);
            }
            return written;
        }
        self.peer.set_full(true);
        ready!(self.deadline.poll_passed(cx));
        let stuck_after = self.deadline.after();
        self.peer.stuck(stuck_after);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            Stuck(stuck_after),
        )))
    }
}

impl<I> Drop for WriteDeadline<I> {
    fn drop(&mut self) {
        // Otherwise the kernel would keep all the data that the peer has not read.
        if self.peer.is_broken_off() || self.peer.is_stuck() {
            (self.reset)(&self.io);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteDeadline<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, shut_down)
    }
}

tokio::task_local! {
    /// The stream of this task. It tells the service which stream it answers, since hyper creates the service's future
    /// before it hands the stream to the executor.
    static STREAM: Arc<H2Stream>;
}

/// State shared by the parts of one HTTP/2 stream.
pub(super) struct H2Stream {
    peer: Arc<Peer>,
    /// Whether the last chunk was taken and the next has not been polled for.
    waits: AtomicBool,
    /// Whether the body has been polled since the last check.
    asked: AtomicBool,
}

impl H2Stream {
    fn new(connection: &Arc<Peer>) -> Arc<Self> {
        Arc::new(Self {
            peer: Arc::new(Peer::of_stream(Arc::clone(connection))),
            waits: AtomicBool::new(false),
            asked: AtomicBool::new(false),
        })
    }

    /// Returns the stream of the running task. Every stream has one.
    pub(super) fn current(connection: &Arc<Peer>) -> Arc<Self> {
        let current = STREAM.try_with(Arc::clone);
        current.unwrap_or_else(|_| Self::new(connection))
    }

    pub(super) fn peer(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

/// Runs the streams of one HTTP/2 connection, and other tasks that hyper spawns for it.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    connection: Arc<Peer>,
    stuck_after: Duration,
    tasks: TaskTracker,
    running: watch::Sender<usize>,
    refuses: Arc<AtomicBool>,
}

impl StreamExecutor {
    /// Creates an executor. `running` receives the number of running tasks.
    pub(super) fn new(
        connection: Arc<Peer>,
        stuck_after: Duration,
        tasks: TaskTracker,
        running: watch::Sender<usize>,
    ) -> Self {
        Self {
            connection,
            stuck_after,
            tasks,
            running,
            refuses: Arc::default(),
        }
    }

    /// Returns a flag. Once it is set, new streams are refused.
    pub(super) fn refuses(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.refuses)
    }
}

/// Counts a running task of its connection.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|count| *count += 1);
        Self(running.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.refuses.load(Ordering::Relaxed) {
            // h2 resets the stream.
            return;
        }
        let stream = H2Stream::new(&self.connection);
        self.tasks.spawn(StreamTask {
            future: STREAM.scope(Arc::clone(&stream), future),
            stream,
            deadline: Deadline::new(self.stuck_after),
            counted: Counted::new(&self.running),
        });
    }
}

pin_project! {
    /// The task of one stream. It ends with hyper's future, or when the peer reads nothing of the waiting data.
    struct StreamTask<F> {
        #[pin]
        future: TaskLocalFuture<Arc<H2Stream>, F>,
        stream: Arc<H2Stream>,
        deadline: Deadline,
        counted: Counted,
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let stream = this.stream;
        if stream.asked.swap(false, Ordering::Relaxed) {
            this.deadline.clear();
        }
        if !stream.waits.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        ready!(this.deadline.poll_passed(cx));
        // While the socket is full, nobody knows whether this stream would be read. The socket has its own timeout.
        if stream.peer.is_full() {
            this.deadline.clear();
            ready!(this.deadline.poll_passed(cx));
        }
        stream.peer.stuck(this.deadline.after());
        Poll::Ready(())
    }
}

/// The body of an HTTP/2 response, in chunks. It informs the stream's task about them.
pub(super) struct WatchedBody {
    body: Body,
    /// The part of the last frame beyond one chunk.
    rest: Bytes,
    stream: Arc<H2Stream>,
}

impl WatchedBody {
    pub(super) fn new(body: Body, stream: Arc<H2Stream>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            stream,
        }
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK_BYTES));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        let polled = self.poll_piece(cx);
        self.stream.asked.store(true, Ordering::Relaxed);
        self.stream
            .waits
            .store(polled.is_ready(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::task::Waker;

    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, advance, sleep, timeout};

    use super::*;

    const STUCK_AFTER: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn socket(bytes: usize) -> (WriteDeadline<DuplexStream>, DuplexStream, Arc<Peer>) {
        let (io, client) = duplex(bytes);
        let peer = Arc::new(Peer::new(None));
        let socket = WriteDeadline::new(io, |_| {}, Arc::clone(&peer), STUCK_AFTER);
        (socket, client, peer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_of_which_nothing_leaves_fails_at_the_deadline() {
        let (mut socket, _client, peer) = socket(4);
        let begin = Instant::now();
        let error = socket.write_all(b"12345").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), STUCK_AFTER.as_secs());
        assert!(peer.is_stuck());
    }

    #[tokio::test(start_paused = true)]
    async fn each_byte_that_leaves_begins_the_deadline_anew() {
        let (mut socket, mut client, peer) = socket(4);
        let reader = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(STUCK_AFTER - SECOND).await;
                client.read_u8().await.unwrap();
            }
            client
        });
        socket.write_all(b"12345678901234").await.unwrap();
        reader.await.unwrap();
        assert!(!peer.is_stuck());
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_without_pending_writes_has_no_timer() {
        let (mut socket, mut client, _) = socket(4);
        let blocked = timeout(SECOND, socket.write_all(b"12345")).await;
        assert!(blocked.is_err());
        client.read_exact(&mut [0; 4]).await.unwrap();
        socket.write_all(b"5").await.unwrap();
        assert!(!socket.deadline.clear());
        advance(2 * STUCK_AFTER).await;
        client.read_u8().await.unwrap();
        socket.write_all(b"6").await.unwrap();
    }

    fn stream_task<F: Future<Output = ()>>(
        connection: &Arc<Peer>,
        serve: impl FnOnce(Arc<H2Stream>) -> F,
    ) -> (StreamTask<F>, Arc<H2Stream>) {
        let stream = H2Stream::new(connection);
        let task = StreamTask {
            future: STREAM.scope(Arc::clone(&stream), serve(Arc::clone(&stream))),
            stream: Arc::clone(&stream),
            deadline: Deadline::new(STUCK_AFTER),
            counted: Counted::new(&watch::Sender::default()),
        };
        (task, stream)
    }

    /// Takes two chunks, the second after a pause, as hyper does when the window opens once.
    async fn take_two(mut body: WatchedBody) {
        body.frame().await.unwrap().unwrap();
        sleep(STUCK_AFTER - SECOND).await;
        body.frame().await.unwrap().unwrap();
        pending::<()>().await;
    }

    fn large() -> Body {
        Body::from(vec![b'x'; 10 * CHUNK_BYTES])
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_last_chunk_times_out() {
        let connection = Arc::new(Peer::new(None));
        let (task, stream) = stream_task(&connection, |it| take_two(WatchedBody::new(large(), it)));
        let begin = Instant::now();
        task.await;
        let waited = begin.elapsed().as_secs();
        assert_eq!(waited, (2 * STUCK_AFTER - SECOND).as_secs());
        assert!(stream.peer.is_stuck());
        assert!(!connection.is_stuck(), "other streams go on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_a_silent_body_is_not_cut() {
        let connection = Arc::new(Peer::new(None));
        let (task, _) = stream_task(&connection, |stream| async {
            let silent = http_body_util::StreamBody::new(Silence);
            let mut body = WatchedBody::new(Body::new(silent), stream);
            body.frame().await;
        });
        assert!(timeout(10 * STUCK_AFTER, task).await.is_err());
    }

    struct Silence;

    impl futures_core::Stream for Silence {
        type Item = Result<Frame<Bytes>, io::Error>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_not_cut_while_its_socket_is_full() {
        let connection = Arc::new(Peer::new(None));
        connection.set_full(true);
        let (task, _) = stream_task(&connection, |it| take_two(WatchedBody::new(large(), it)));
        let mut task = Box::pin(task);
        assert!(timeout(10 * STUCK_AFTER, &mut task).await.is_err());
        connection.set_full(false);
        assert!(timeout(2 * STUCK_AFTER, &mut task).await.is_ok());
    }

    #[tokio::test]
    async fn pieces_are_small_and_together_they_are_the_body() {
        for length in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 10 * CHUNK_BYTES + 7] {
            let text: Vec<_> = (0..length).map(|n| n as u8).collect();
            let stream = H2Stream::new(&Arc::new(Peer::new(None)));
            let mut body = WatchedBody::new(Body::new(Full::from(text.clone())), stream);
            let mut read = Vec::new();
            while !body.is_end_stream() {
                let left = (length - read.len()) as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
                let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert!(chunk.len() <= CHUNK_BYTES);
                read.extend_from_slice(&chunk);
            }
            assert_eq!(read, text);
        }
    }

    #[tokio::test]
    async fn other_tasks_of_hyper_run_to_their_end() {
        let tasks = TaskTracker::new();
        let connection = Arc::new(Peer::new(None));
        let running = watch::Sender::default();
        let executor = StreamExecutor::new(connection, STUCK_AFTER, tasks.clone(), running.clone());
        let mut polls = 0;
        executor.execute(poll_fn(move |cx| {
            polls += 1;
            Waker::wake_by_ref(cx.waker());
            match polls {
                3 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        tasks.close();
        tasks.wait().await;
    }
}
