//! Serving: the accept loop on hyper, and the drain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::app::{Assembled, Helios};
use crate::error::Error;
use crate::peer::Peer;
use crate::service::HeliosService;

/// hyper's buffer for reading a head and for gathering writes. A larger one would hide what a slow client has not read.
const BUFFER_BYTES: usize = 16 * 1024;

/// How long to wait after `accept` failed, as it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long close hooks may run for connections that were cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

impl Helios {
    /// Serves until SIGINT or SIGTERM (or [`Helios::shutdown_on`]), then drains: no new connections, running requests
    /// finish, streams end with a word to reconnect, close hooks run. What is left at the drain deadline is cut, as it
    /// is on a second signal.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Bind`] if the address is taken,
    /// [`Error::Setting`] for an unusable environment variable. A drain that is cut is not an error.
    pub async fn listen(self) -> Result<(), Error> {
        let app = self.assemble()?;
        let (host, port) = app.settings.address(app.table)?;
        let bound = TcpListener::bind((host.as_str(), port)).await;
        let listener = bound.map_err(|source| Error::Bind {
            address: format!("{host}:{port}"),
            source,
        })?;
        serve(app, listener).await
    }

    /// As [`Helios::listen`], on a listener of your own.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Io`] if the listener is unusable.
    pub async fn listen_on(self, listener: TcpListener) -> Result<(), Error> {
        serve(self.assemble()?, listener).await
    }
}

async fn serve(app: Assembled, listener: TcpListener) -> Result<(), Error> {
    let Assembled {
        service,
        routes,
        hub,
        settings,
        ..
    } = app;
    let address = listener.local_addr()?;
    let mut signals = Signals::new()?;
    let given = settings.shutdown.is_some();
    if settings.banner {
        print_banner(&format!("{routes}\n\nlistening on http://{address}"));
    }
    tracing::info!(%address, "listening");
    let connections = Connections {
        http: http(settings.header_timeout),
        header_timeout: settings.header_timeout,
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
        cut: CancellationToken::new(),
    };
    let shutdown = async {
        match settings.shutdown {
            Some(shutdown) => shutdown.await,
            None => signals.next().await,
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accept(&listener, &service, &connections) => {}
    }
    drop(listener);
    tracing::info!(open = connections.tasks.len(), "draining");
    let drained = async {
        connections.draining.cancel();
        connections.tasks.close();
        tokio::join!(hub.drain(settings.drain_deadline), connections.tasks.wait());
    };
    tokio::select! {
        cut = timeout(settings.drain_deadline, drained) => if cut.is_err() {
            tracing::warn!(open = connections.tasks.len(), "the drain deadline has passed; cutting what is left");
        },
        () = signals.next(), if !given => tracing::warn!("a second signal; cutting what is left"),
    }
    connections.cut.cancel();
    connections.tasks.wait().await;
    // Close hooks of what was cut.
    let _ = timeout(CUT_GRACE, hub.hooks_done()).await;
    Ok(())
}

#[allow(clippy::print_stdout)]
fn print_banner(text: &str) {
    println!("{text}");
}

/// SIGINT and SIGTERM.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
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
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}

/// The connections of a server.
struct Connections {
    http: auto::Builder<TokioExecutor>,
    header_timeout: Duration,
    tasks: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

async fn accept(listener: &TcpListener, service: &HeliosService, connections: &Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                let peer = Arc::new(Peer::new(Some(addr)));
                connections.serve(stream, service.clone(), &peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

impl Connections {
    fn serve(&self, stream: TcpStream, service: HeliosService, peer: &Arc<Peer>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let served = connection(
            self.http.clone(),
            stream,
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

async fn connection(
    http: auto::Builder<TokioExecutor>,
    stream: TcpStream,
    service: HeliosService,
    peer: Arc<Peer>,
    (draining, header_timeout): (CancellationToken, Duration),
) {
    let asked = Arc::new(AtomicBool::new(false));
    let answer = {
        let asked = Arc::clone(&asked);
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Arc::clone(&peer));
            service.clone().call(request)
        })
    };
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), answer));
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
