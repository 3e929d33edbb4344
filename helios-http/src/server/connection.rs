//! The connections that a server has accepted, each in a task of its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;
use tower::BoxError;

use crate::failure::with_causes;
use crate::future::BoxFuture;
use crate::peer::Peer;
use crate::routing::service::HeliosService;
use crate::server::closing::{close, linger};
use crate::server::http1::{self, Ended};
use crate::server::http2;
use crate::server::progress::WriteDeadline;
use crate::server::state::{Registered, ServerState};
use crate::server::takeover::capture::CapturedIo;
use crate::server::takeover::stream::StreamWriter;
use crate::server::upgrade;

/// The first bytes of an HTTP/2 client (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Usually enough to read a request's head at once.
const FIRST_READ_BYTES: usize = 1024;

/// The connections of a server.
pub(super) struct Connections {
    server: Arc<ServerState>,
}

impl Connections {
    pub(super) fn new(service: HeliosService, header_timeout: Duration) -> Self {
        let http1 = http1::builder(header_timeout);
        Self {
            server: Arc::new(ServerState::new(service, http1, header_timeout)),
        }
    }

    /// Returns the number of open connections.
    pub(super) fn len(&self) -> usize {
        self.server.open().len()
    }

    /// Lets running requests finish, and waits for them.
    pub(super) async fn drain(&self) {
        self.server.draining.cancel();
        self.server.over().await;
    }

    /// Drops the remaining connections.
    pub(super) async fn cut(&self) {
        let open: Vec<_> = self
            .server
            .open()
            .iter()
            .map(|(_, peer)| Arc::clone(peer))
            .collect();
        open.iter().for_each(|peer| peer.cut());
        self.server.over().await;
    }

    /// Serves a connection in a task of its own. `reset` makes it end with a reset when it is closed.
    pub(super) fn serve<I>(&self, io: I, reset: fn(&I), peer: Arc<Peer>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let registered = Registered::new(&self.server, &peer);
        let io = WriteDeadline::new(io, reset, Arc::clone(&peer), self.server.stuck_after);
        let served = Served::new(registered, io, Arc::clone(&peer));
        // No lock is held here, since a runtime that was shut down drops the task at once.
        peer.served_by(self.server.tasks.spawn(served).abort_handle());
    }
}

/// Serves one connection: requests, until an event stream begins, and requests again after it.
///
/// Written by hand to be small. With thousands of streams, nothing of it stays in a cache between two events.
struct Served<I> {
    phase: Phase<I>,
    peer: Arc<Peer>,
    /// Dropped last, so that a connection that is no longer registered has closed its socket.
    registered: Registered,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a box around the stream would be one more memory access for each event"
)]
enum Phase<I> {
    /// Boxed, to be freed while a stream runs.
    Requests(BoxFuture<'static, Result<Ended<I>, BoxError>>),
    Stream(StreamWriter<I>),
    /// After HTTP, either the end or another protocol.
    Last(BoxFuture<'static, io::Result<()>>),
    Over,
}

impl<I> Served<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn new(registered: Registered, io: I, peer: Arc<Peer>) -> Self {
        let server = Arc::clone(&registered.server);
        let requests = requests(server, io, None, Arc::clone(&peer));
        Self {
            phase: Phase::Requests(Box::pin(requests)),
            peer,
            registered,
        }
    }

    fn poll_phases(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            self.phase = match &mut self.phase {
                Phase::Requests(requests) => {
                    let ended = ready!(requests.as_mut().poll(cx))?;
                    self.behind_requests(ended)
                }
                Phase::Stream(stream) => {
                    let written = ready!(stream.poll(cx));
                    if written.is_err() && !stream.is_chunked() {
                        // Without chunks, the end of the connection would be the end of the response.
                        self.peer.break_off();
                    }
                    written?;
                    self.behind_stream()
                }
                Phase::Last(last) => {
                    ready!(last.as_mut().poll(cx))?;
                    Phase::Over
                }
                Phase::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    fn behind_requests(&self, ended: Ended<I>) -> Phase<I> {
        let draining = self.registered.server.draining.clone();
        match ended {
            Ended::Stream(stream) => Phase::Stream(stream),
            Ended::Upgraded(upgrade, socket) => {
                Phase::Last(Box::pin(upgrade::run(upgrade, socket, draining)))
            }
            Ended::Unread(io) => Phase::Last(Box::pin(linger(io, draining))),
            Ended::Closed => Phase::Over,
        }
    }

    /// Returns to requests, unless the stream was the last. The stream is dropped first, so that its permit is free
    /// when the client sees the end.
    fn behind_stream(&mut self) -> Phase<I> {
        let Phase::Stream(stream) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Phase::Over;
        };
        let server = Arc::clone(&self.registered.server);
        let is_last = stream.is_last() || server.draining.is_cancelled();
        let (io, unread) = stream.into_parts();
        if !is_last {
            let requests = requests(server, io, Some(unread), Arc::clone(&self.peer));
            return Phase::Requests(Box::pin(requests));
        }
        Phase::Last(match unread.is_empty() {
            true => Box::pin(close(io)),
            false => Box::pin(linger(io, server.draining.clone())),
        })
    }
}

impl<I> Future for Served<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.poll_phases(cx)) {
            tracing::debug!(error = with_causes(&*error), "a connection ended early");
        }
        Poll::Ready(())
    }
}

/// Serves requests in the version of HTTP that the client speaks.
async fn requests<I>(
    server: Arc<ServerState>,
    mut io: I,
    read: Option<Vec<u8>>,
    peer: Arc<Peer>,
) -> Result<Ended<I>, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some(unread) = read {
        return http1::serve(&server, CapturedIo::new(io, unread), &peer).await;
    }
    let read = tokio::select! {
        biased;
        read = timeout(server.header_timeout, first_bytes(&mut io)) => read??,
        () = server.draining.cancelled() => return Ok(Ended::Closed),
    };
    let is_http2 = read.starts_with(HTTP_2_PREFACE);
    let io = CapturedIo::new(io, read);
    if is_http2 {
        let socket = http2::serve(&server, io, &peer).await?;
        return Ok(socket.map_or(Ended::Closed, Ended::Unread));
    }
    http1::serve(&server, io, &peer).await
}

/// Reads the first bytes of a client, as many as are needed to tell the version of HTTP.
async fn first_bytes(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(FIRST_READ_BYTES);
    while read.len() < HTTP_2_PREFACE.len() && HTTP_2_PREFACE.starts_with(&read) {
        if io.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc;
    use std::thread;

    use axum_core::body::Body;
    use axum_core::response::Response;
    use http::Request;
    use tokio::io::duplex;
    use tokio::runtime;

    use super::*;
    use crate::routing::mount::boxed;
    use crate::routing::router::Routes;
    use crate::routing::service::Stack;
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

    /// A runtime that was shut down drops spawned tasks at once.
    #[test]
    fn a_runtime_that_was_shut_down_drops_the_connection() {
        let connections = Connections::new(nothing(), Duration::from_secs(1));
        let gone = runtime::Builder::new_current_thread().build().unwrap();
        let handle = gone.handle().clone();
        drop(gone);
        let (served, is_served) = mpsc::channel();
        thread::spawn(move || {
            let _runtime = handle.enter();
            connections.serve(duplex(64).0, |_| {}, Arc::new(Peer::new(None)));
            served.send(connections.server.open().len())
        });
        let open = is_served.recv_timeout(Duration::from_secs(10));
        assert_eq!(open, Ok(0));
    }
}
