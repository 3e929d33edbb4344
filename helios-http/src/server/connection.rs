//! The connections that a server has accepted, each in a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::peer::Peer;
use crate::service::HeliosService;

/// hyper's buffer for reading a head and for gathering writes. A larger one would hide what a slow client has not read.
const BUFFER_BYTES: usize = 16 * 1024;

/// The connections of a server.
pub(super) struct Connections {
    http: auto::Builder<TokioExecutor>,
    header_timeout: Duration,
    tasks: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(header_timeout: Duration) -> Self {
        Self {
            http: http(header_timeout),
            header_timeout,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Lets running requests finish, and waits for them.
    pub(super) async fn drain(&self) {
        self.draining.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Drops what is left.
    pub(super) async fn cut(&self) {
        self.cut.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn serve<I>(&self, io: I, service: HeliosService, peer: &Arc<Peer>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let served = connection(
            self.http.clone(),
            io,
            service,
            Arc::clone(peer),
            (self.draining.clone(), self.header_timeout),
        );
        let cut = self.cut.clone();
        let task = self.tasks.spawn(async move {
            cut.run_until_cancelled(served).await;
        });
        peer.served_by(task.abort_handle());
    }
}

fn http(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .writev(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_send_buf_size(BUFFER_BYTES)
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}

async fn connection<I>(
    http: auto::Builder<TokioExecutor>,
    io: I,
    service: HeliosService,
    peer: Arc<Peer>,
    (draining, header_timeout): (CancellationToken, Duration),
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let answer = {
        let asked = Arc::clone(&asked);
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Arc::clone(&peer));
            service.clone().oneshot(request)
        })
    };
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(io), answer));
    let result = tokio::select! {
        result = served.as_mut() => result,
        // hyper-util waits without a limit for the bytes that tell HTTP/1 from HTTP/2.
        () = silence(&asked, header_timeout) => return,
        () = draining.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Completes if no request has come within the limit; otherwise never.
async fn silence(asked: &AtomicBool, limit: Duration) {
    sleep(limit).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
