//! The connections that a server has accepted, each in a task of its own.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_core::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use slab::Slab;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::BoxError;

use crate::failure::with_causes;
use crate::future::BoxFuture;
use crate::peer::Peer;
use crate::routing::service::{HeliosService, Stack};
use crate::server::host;
use crate::server::progress::{H2Stream, StreamExecutor, WatchedBody, WriteDeadline};
use crate::server::takeover::capture::CapturedIo;
use crate::server::takeover::handover::{Answered, Handover};
use crate::server::takeover::stream::StreamWriter;
use crate::server::timer::HeadTimer;

/// hyper's buffer for reading a head and for gathering writes. A larger one would hide what a slow client has not read.
const BUFFER_BYTES: usize = 16 * 1024;

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A request's head is read in one piece, as a rule.
const FIRST_READ_BYTES: usize = 1024;

/// The connections of a server.
pub(super) struct Connections {
    shared: Arc<ServerState>,
}

/// What all connections have in common.
struct ServerState {
    http1: http1::Builder,
    header_timeout: Duration,
    stuck_after: Duration,
    service: HeliosService,
    draining: CancellationToken,
    open: Mutex<Slab<Arc<Peer>>>,
    /// Those of connections and of HTTP/2 streams.
    tasks: TaskTracker,
}

impl Connections {
    pub(super) fn new(service: HeliosService, header_timeout: Duration) -> Self {
        Self {
            shared: Arc::new(ServerState {
                http1: http1(header_timeout),
                header_timeout,
                stuck_after: service.streams().hub.options().stuck_after,
                service,
                draining: CancellationToken::new(),
                open: Mutex::default(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.shared.open().len()
    }

    /// Lets running requests finish, and waits for them.
    pub(super) async fn drain(&self) {
        self.shared.draining.cancel();
        self.shared.over().await;
    }

    /// Drops what is left.
    pub(super) async fn cut(&self) {
        let open: Vec<_> = self
            .shared
            .open()
            .iter()
            .map(|(_, peer)| Arc::clone(peer))
            .collect();
        open.iter().for_each(|peer| peer.cut());
        self.shared.over().await;
    }

    /// Serves a connection in a task of its own. `reset` lets it be reset when it is closed.
    pub(super) fn serve<I>(&self, io: I, reset: fn(&I), peer: Arc<Peer>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = self.shared.open().insert(Arc::clone(&peer));
        let registered = Registered {
            shared: Arc::clone(&self.shared),
            place,
        };
        let io = WriteDeadline::new(io, reset, Arc::clone(&peer), self.shared.stuck_after);
        let served = Served::new(registered, io, Arc::clone(&peer));
        // Nothing is locked: a runtime that is shut down drops it on the spot.
        peer.served_by(self.shared.tasks.spawn(served).abort_handle());
    }
}

impl ServerState {
    fn open(&self) -> MutexGuard<'_, Slab<Arc<Peer>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all tasks have ended.
    async fn over(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A connection among the open ones.
struct Registered {
    shared: Arc<ServerState>,
    place: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.open().remove(self.place);
    }
}

fn http1(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .writev(false);
    builder
}

fn http2(executor: StreamExecutor) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(BUFFER_BYTES)
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}

/// Serves one connection: requests, until an event stream begins, and requests again behind it.
///
/// Written by hand to be small: with thousands of streams no cache holds any of it from one event to the next.
struct Served<I> {
    phase: Phase<I>,
    peer: Arc<Peer>,
    /// Dropped last: who is not among the open ones has closed its socket.
    registered: Registered,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box around the stream would be one more place to look at for each event"
)]
enum Phase<I> {
    /// Boxed, to be freed while a stream runs.
    Requests(BoxFuture<'static, Result<Option<StreamWriter<I>>, BoxError>>),
    Stream(StreamWriter<I>),
    Closing(I),
    Over,
}

impl<I> Served<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn new(registered: Registered, io: I, peer: Arc<Peer>) -> Self {
        let shared = Arc::clone(&registered.shared);
        let requests = shared.requests(io, None, Arc::clone(&peer));
        Self {
            phase: Phase::Requests(Box::pin(requests)),
            peer,
            registered,
        }
    }

    fn poll_phases(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            self.phase = match &mut self.phase {
                Phase::Requests(requests) => match ready!(requests.as_mut().poll(cx))? {
                    Some(stream) => Phase::Stream(stream),
                    None => Phase::Over,
                },
                Phase::Stream(stream) => {
                    let written = ready!(stream.poll(cx));
                    if written.is_err() && !stream.is_chunked() {
                        // Its end would be that of the answer.
                        self.peer.break_off();
                    }
                    written?;
                    self.behind_stream()
                }
                Phase::Closing(io) => {
                    ready!(Pin::new(io).poll_shutdown(cx))?;
                    Phase::Over
                }
                Phase::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// More requests, unless the stream was the last. It is dropped first, so that whoever sees the end finds the permit given back.
    fn behind_stream(&mut self) -> Phase<I> {
        let Phase::Stream(stream) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Phase::Over;
        };
        let shared = &self.registered.shared;
        let is_last = stream.is_last() || shared.draining.is_cancelled();
        let (io, unread) = stream.into_parts();
        if is_last {
            return Phase::Closing(io);
        }
        let requests = Arc::clone(shared).requests(io, Some(unread), Arc::clone(&self.peer));
        Phase::Requests(Box::pin(requests))
    }
}

impl<I> Future for Served<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_phases(cx)) {
            let error = with_causes(&*error);
            tracing::debug!(error, "a connection ended early");
        }
        Poll::Ready(())
    }
}

impl ServerState {
    /// Answers requests, until the connection ends or an event stream begins.
    async fn requests<I>(
        self: Arc<Self>,
        mut io: I,
        read: Option<Vec<u8>>,
        peer: Arc<Peer>,
    ) -> Result<Option<StreamWriter<I>>, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(unread) = read {
            return self.http1(CapturedIo::new(io, unread), &peer).await;
        }
        let read = tokio::select! {
            biased;
            read = timeout(self.header_timeout, first_bytes(&mut io)) => read??,
            () = self.draining.cancelled() => return Ok(None),
        };
        match read.starts_with(HTTP_2_PREFACE) {
            true => self
                .http2(CapturedIo::new(io, read), &peer)
                .await
                .map(|()| None),
            false => self.http1(CapturedIo::new(io, read), &peer).await,
        }
    }

    async fn http1<I>(
        &self,
        io: CapturedIo<I>,
        peer: &Arc<Peer>,
    ) -> Result<Option<StreamWriter<I>>, BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handover = Arc::new(Handover::default());
        let answer = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(peer));
            Answered::new(self.service.stack(), request, &handover)
        });
        let io = TokioIo::new(io.with(Arc::clone(&handover)));
        let mut http1 = self.http1.clone();
        http1.timer(HeadTimer::default());
        let mut served = http1.serve_connection(io, answer);
        let mut draining = pin!(self.draining.cancelled());
        let mut told = false;
        let taken = poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = Pin::new(&mut served).poll(cx) {
                    if ended.is_err() && handover.ends_with_connection() {
                        peer.break_off();
                    }
                    return Poll::Ready(ended.map(|()| None));
                }
                if let Some(taken) = handover.take() {
                    return Poll::Ready(Ok(Some(taken)));
                }
                if told || draining.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                told = true;
                Pin::new(&mut served).graceful_shutdown();
            }
        });
        let Some(taken) = taken.await? else {
            return Ok(None);
        };
        let parts = served.into_parts();
        let (io, mut unread) = parts.io.into_inner().into_parts();
        unread.splice(..0, parts.read_buf);
        Ok(Some(StreamWriter::new(io, unread, taken)))
    }

    async fn http2<I>(&self, io: CapturedIo<I>, peer: &Arc<Peer>) -> Result<(), BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let answer = {
            let (asked, peer) = (Arc::clone(&asked), Arc::clone(peer));
            let stack = self.service.stack();
            service_fn(move |request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                http2_answer(stack.clone(), request, Arc::clone(&peer))
            })
        };
        let tasks = self.tasks.clone();
        let executor = StreamExecutor::new(Arc::clone(peer), self.stuck_after, tasks);
        let http2 = http2(executor);
        let mut served = pin!(http2.serve_connection(TokioIo::new(io), answer));
        tokio::select! {
            result = served.as_mut() => result?,
            // hyper waits without a limit for the first request.
            () = silence(&asked, self.header_timeout) => {}
            () = self.draining.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await?;
            }
        }
        Ok(())
    }
}

/// The answer to a request on HTTP/2, whose future runs in the stream's task.
async fn http2_answer(
    stack: Stack,
    mut request: Request<Incoming>,
    connection: Arc<Peer>,
) -> Result<http::Response<WatchedBody>, Infallible> {
    let stream = H2Stream::current(&connection);
    request.extensions_mut().insert(stream.peer());
    let response = host::answer(stack, request.map(Body::new)).await.guarded();
    Ok(response.map(|body| WatchedBody::new(body, stream)))
}

/// What a client says first, as much as is needed to tell the version of HTTP.
async fn first_bytes(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(FIRST_READ_BYTES);
    while read.len() < HTTP_2_PREFACE.len() && HTTP_2_PREFACE.starts_with(&read) {
        if io.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok(read)
}

/// Completes if no request has come within the limit; otherwise never.
async fn silence(asked: &AtomicBool, limit: Duration) {
    sleep(limit).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use axum_core::response::Response;
    use tokio::io::duplex;
    use tokio::runtime;

    use super::*;
    use crate::routing::mount::boxed;
    use crate::routing::router::Routes;
    use crate::sse::Streams;

    fn nothing() -> HeliosService {
        let empty = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        HeliosService::new(
            Stack::of(boxed(empty)),
            Routes(Vec::new()),
            Vec::new(),
            Streams::new(),
        )
    }

    /// A runtime that is shut down drops what is spawned, on the spot.
    #[test]
    fn a_connection_that_a_runtime_no_longer_takes_does_not_hold_up_its_end() {
        let connections = Connections::new(nothing(), Duration::from_secs(1));
        let gone = runtime::Builder::new_current_thread().build().unwrap();
        let handle = gone.handle().clone();
        drop(gone);
        let (served, is_served) = mpsc::channel();
        thread::spawn(move || {
            let _runtime = handle.enter();
            connections.serve(duplex(64).0, |_| {}, Arc::new(Peer::new(None)));
            served.send(connections.shared.open().len())
        });
        let open = is_served.recv_timeout(Duration::from_secs(10));
        assert_eq!(open, Ok(0));
    }
}
