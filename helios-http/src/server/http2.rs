//! One HTTP/2 connection. hyper serves it from beginning to end, except for the tasks of its streams (`progress.rs`).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum_core::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::BoxError;

use crate::app::LONGEST_WAIT;
use crate::peer::Peer;
use crate::routing::service::Stack;
use crate::server::host;
use crate::server::lent::{Lent, lend};
use crate::server::progress::{H2Stream, StreamExecutor, WatchedBody};
use crate::server::state::{BUFFER_BYTES, ServerState};
use crate::server::takeover::capture::CapturedIo;

/// How long a client may take to close an idle connection after GOAWAY.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long the answer to a PING may take. A PING waits behind everything that the socket has accepted, which may be
/// 4 MiB. A client that reads 20 KiB of them a second must not be cut, while one that has vanished keeps its seat for this long.
const PATIENCE: Duration = Duration::from_secs(200);

/// Returns how long the answer to a PING may take. It is never shorter than a full socket may stand still.
fn ping_timeout(stuck_after: Duration) -> Duration {
    stuck_after.clamp(PATIENCE, LONGEST_WAIT)
}

fn builder(executor: StreamExecutor, stuck_after: Duration) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(BUFFER_BYTES)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(ping_timeout(stuck_after));
    builder
}

/// Serves the connection. Returns its socket unless it failed, since the client may still be reading and sending.
pub(super) async fn serve<I>(
    server: &ServerState,
    io: CapturedIo<I>,
    peer: &Arc<Peer>,
) -> Result<Option<I>, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (lent, back) = lend(io);
    requests(server, lent, peer).await?;
    Ok(back.take().map(|io| io.into_parts().0))
}

/// Serves requests until the connection ends. The server says GOAWAY to a connection without streams after the time
/// that a head may take, and to every connection at shutdown. After that it drops the connection if the client does not
/// close it. Further streams are soon refused.
async fn requests<I>(
    server: &ServerState,
    io: Lent<CapturedIo<I>>,
    peer: &Arc<Peer>,
) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stack = server.service.stack();
    let connection = Arc::clone(peer);
    let answer = service_fn(move |request| answer(stack.clone(), request, Arc::clone(&connection)));
    let (count, mut running) = watch::channel(0);
    let tasks = server.tasks.clone();
    let executor = StreamExecutor::new(Arc::clone(peer), server.stuck_after, tasks, count);
    let refuses = executor.refuses();
    let builder = builder(executor, server.stuck_after);
    let mut served = pin!(builder.serve_connection(TokioIo::new(io), answer));
    tokio::select! {
        ended = served.as_mut() => return Ok(ended?),
        () = idle(&mut running, peer, server.header_timeout) => {}
        () = server.draining.cancelled() => {}
    }
    served.as_mut().graceful_shutdown();
    let left = async {
        // h2 accepts new streams until the client has acknowledged, which may never happen.
        if timeout(2 * GOODBYE, idle(&mut running, peer, GOODBYE))
            .await
            .is_err()
        {
            refuses.store(true, Ordering::Relaxed);
            idle(&mut running, peer, GOODBYE).await;
        }
    };
    tokio::select! {
        ended = served => Ok(ended?),
        () = left => Ok(()),
    }
}

/// Completes when no stream has run for that long. While the socket is full, the end of a response may still wait in h2
/// after its stream has ended. Then the socket's own timeout decides.
async fn idle(running: &mut watch::Receiver<usize>, peer: &Peer, time: Duration) {
    loop {
        none_runs(running, time).await;
        if !peer.is_full() {
            return;
        }
    }
}

/// Completes when no stream has run for that long.
async fn none_runs(running: &mut watch::Receiver<usize>, time: Duration) {
    loop {
        let none = running.wait_for(|count| *count == 0).await.is_ok();
        // An error means that nothing is left to count.
        if !none || !matches!(timeout(time, running.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Answers a request. The future runs in the stream's task.
async fn answer(
    stack: Stack,
    mut request: Request<Incoming>,
    connection: Arc<Peer>,
) -> Result<http::Response<WatchedBody>, Infallible> {
    let stream = H2Stream::current(&connection);
    request.extensions_mut().insert(stream.peer());
    let response = host::answer(stack, request.map(Body::new)).await.guarded();
    Ok(response.map(|body| WatchedBody::new(body, stream)))
}

#[cfg(test)]
mod tests {
    use axum_core::response::Response;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::routing::mount::boxed;
    use crate::routing::router::Routes;
    use crate::routing::service::HeliosService;
    use crate::server::connection::Connections;
    use crate::sse::Streams;

    /// The preface, settings, and a GET whose stream stays open.
    const REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
        \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";

    #[tokio::test(start_paused = true)]
    async fn a_ping_may_wait_behind_what_a_slow_client_reads() {
        let waits = boxed(tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response, Infallible>>()
        }));
        let streams = Streams::new();
        let service = HeliosService::new(Stack::of(waits), Routes(Vec::new()), Vec::new(), streams);
        let connections = Connections::new(service, Duration::from_secs(1));
        let (mut client, socket) = duplex(1024);
        connections.serve(socket, |_| {}, Arc::new(Peer::new(None)));
        let begin = Instant::now();
        client.write_all(REQUEST).await.unwrap();
        // It answers no PING, so the connection ends at some time.
        let read = client.read_to_end(&mut Vec::new()).await;
        assert!(read.is_ok() && begin.elapsed() > PATIENCE);
    }

    #[test]
    fn no_time_without_progress_is_too_long_for_a_ping() {
        for stuck_after in [Duration::ZERO, Duration::from_secs(1000), Duration::MAX] {
            let timeout = ping_timeout(stuck_after);
            assert!(timeout >= stuck_after.min(LONGEST_WAIT) && timeout <= LONGEST_WAIT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_came_and_went_begins_the_time_anew() {
        const SECOND: Duration = Duration::from_secs(1);
        let (count, mut running) = watch::channel(0);
        let begin = Instant::now();
        let streams = async {
            sleep(2 * SECOND).await;
            count.send_replace(1);
            count.send_replace(0);
            sleep(2 * SECOND).await;
            count.send_replace(1);
            sleep(10 * SECOND).await;
            count.send_replace(0);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = none_runs(&mut running, 3 * SECOND) => {}
            () = streams => {}
        }
        assert_eq!(begin.elapsed().as_secs(), 2 + 2 + 10 + 3);
    }
}
