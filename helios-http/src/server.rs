//! The server: the accept loop and the drain.

mod closing;
mod connection;
mod host;
mod http1;
mod http2;
mod lent;
mod listener;
mod progress;
mod signals;
mod state;
mod takeover;
mod timer;
#[cfg(unix)]
mod unix;
mod upgrade;
mod websocket;

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub use listener::Listener;
pub(crate) use listener::bind;

use crate::app::{Checked, Helios};
use crate::error::Error;
use crate::failure::log_failure;
use crate::future::BoxFuture;
use crate::peer::Peer;
use crate::routing::service::HeliosService;
use crate::sse::SseOptions;
use crate::sse::options::DrainTimes;
use connection::Connections;
use signals::Signals;

/// The pause after `accept` failed, as it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The default deadline of a drain.
const USUAL_DRAIN: Duration = Duration::from_secs(10);

/// How long close hooks may run for connections that were cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

impl Helios {
    /// Serves until SIGINT or SIGTERM, or until the future of [`Helios::shutdown_on`] completes. Then it drains: it
    /// accepts no new connections, running requests finish, streams end with a request to reconnect, close hooks run,
    /// and services stop. At the drain deadline, or on a second signal, it cuts the remaining connections.
    ///
    /// Not cancel-safe. If the future is dropped, the server accepts nothing more, but it neither drains nor stops
    /// services. End it with [`Helios::shutdown_on`].
    ///
    /// ```no_run
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), helios::Error> {
    ///     Helios::new(App).listen().await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Bind`] if the address or the path of
    /// [`Helios::unix_socket`] is taken, [`Error::Backplane`] if the backplane does not connect, [`Error::Start`] if a
    /// service does not start, [`Error::Setting`] for an unusable environment variable or SSE option, [`Error::Io`] if
    /// the signals cannot be listened to. A drain that is cut short is not an error.
    pub async fn listen(self) -> Result<(), Error> {
        let app = self.prepare().await.assemble()?;
        #[cfg(unix)]
        if let Some(path) = &app.settings.unix_socket {
            let listener = unix::listen(path, app.settings.unix_socket_mode).await?;
            return serve_unix(app, listener).await;
        }
        let (host, port) = app.settings.address(app.table)?;
        let bound = bind(&host, port).await;
        let listener = bound.map_err(|source| Error::Bind {
            address: format!("{host}:{port}"),
            advice: app.settings.advice(source.kind()),
            source,
        })?;
        serve_tcp(app, listener).await
    }

    /// Like [`Helios::listen`], on a listener of your own: TCP, a Unix socket, or your own [`Listener`]. If you have
    /// bound a Unix socket yourself, its file remains when the server ends. [`Helios::unix_socket`] removes it.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use tokio::net::TcpListener;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::Error> {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// println!("listening on {}", listener.local_addr()?);
    /// let app = Helios::new(App).banner(false);
    /// # let app = app.shutdown_on(async {});
    /// app.listen_on(listener).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Helios::listen`] except [`Error::Bind`]. [`Error::Io`] also if the listener has no address.
    pub async fn listen_on(self, listener: impl Listener) -> Result<(), Error> {
        serve(self.prepare().await.assemble()?, listener).await
    }
}

/// Boxed here so that the server is compiled with this crate, and not again in every build of an app.
fn serve_tcp(app: Checked, listener: TcpListener) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(serve(app, listener))
}

#[cfg(unix)]
fn serve_unix(
    app: Checked,
    listener: unix::OwnUnixListener,
) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(serve(app, listener))
}

async fn serve(app: Checked, listener: impl Listener) -> Result<(), Error> {
    let Checked {
        service,
        settings,
        #[cfg(feature = "openapi")]
        unknown,
        ..
    } = app;
    let address = listener.address()?;
    let limits = DrainLimits::new(settings.drain_deadline, service.streams().hub.options())?;
    service.start().await?;
    // With a shutdown of the user's own, signals keep their usual effect. Otherwise they count from before the banner
    // and the log announce the address.
    let mut signals = match settings.shutdown {
        Some(_) => None,
        None => Some(Signals::new()?),
    };
    if settings.banner {
        #[cfg(feature = "openapi")]
        print_unknown(&unknown);
        print_banner(&format!("{}\n\nlistening on {address}", service.routes()));
    }
    tracing::info!(address, "listening");
    let connections = Connections::new(service.clone(), settings.header_timeout);
    let connections = Arc::new(connections);
    let shutdown = async {
        match settings.shutdown {
            Some(shutdown) => shutdown.await,
            None => next_of(&mut signals).await,
        }
    };
    accept_until(shutdown, listener, &connections).await;
    tracing::info!(address, open = connections.len(), "draining");
    drain(&service, &connections, limits, &mut signals).await;
    Ok(())
}

async fn next_of(signals: &mut Option<Signals>) {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// Time limits of a drain.
#[derive(Clone, Copy)]
struct DrainLimits {
    /// The limit if no stream may finish.
    usual: Duration,
    longest: Duration,
    /// The last part of either limit, in which the remaining connections are cut and services stop.
    cut: Duration,
    streams: DrainTimes,
}

impl DrainLimits {
    /// Returns the limits of a deadline. Without one, the limit is the usual one, and longer while streams may finish.
    fn new(deadline: Option<Duration>, options: &SseOptions) -> Result<Self, Error> {
        let usual = deadline.unwrap_or(USUAL_DRAIN);
        let cut = CUT_GRACE.min(usual / 4);
        let longest = match deadline {
            Some(deadline) => deadline,
            None => usual.max(options.longest_drain() + cut),
        };
        options.check_drain(usual - cut, longest - cut)?;
        let of_usual = options.drain_times(usual - cut);
        let DrainTimes { finish, .. } = options.drain_times(longest - cut);
        Ok(Self {
            usual,
            longest,
            cut,
            streams: DrainTimes { finish, ..of_usual },
        })
    }
}

async fn drain(
    service: &HeliosService,
    connections: &Connections,
    limits: DrainLimits,
    signals: &mut Option<Signals>,
) {
    let started = Instant::now();
    let streams = service.streams();
    let drained = async {
        tokio::join!(streams.drain(limits.streams), connections.drain());
    };
    let is_over = async {
        sleep_until(started + limits.usual - limits.cut).await;
        let longest = started + limits.longest - limits.cut;
        // The drain of the streams itself notifies clients at the end of the time to finish.
        let _ = timeout_at(longest, streams.wait_until_finished()).await;
    };
    tokio::select! {
        () = drained => {}
        () = is_over => {
            tracing::warn!(open = connections.len(), "cutting the remaining connections before the drain deadline");
        }
        () = next_of(signals) => tracing::warn!("received a second signal; cutting the remaining connections"),
    }
    let end = (started + limits.usual).max(Instant::now() + limits.cut);
    let cut = timeout_at(end - limits.cut / 2, async {
        connections.cut().await;
        // Close hooks of the connections that were cut.
        streams.hooks_done().await;
    });
    if cut.await.is_err() {
        tracing::error!("a handler blocks, or a close hook hangs; giving up on it");
    }
    // The rest is for the backplane, so that members leave now and not with their lease.
    let stopped = timeout_at(end - limits.cut / 4, service.stop_services());
    if stopped.await.is_err() {
        tracing::error!("a service does not stop; giving up on it and those after it");
    }
    if timeout_at(end, service.stop_backplane()).await.is_err() {
        tracing::error!("the backplane does not stop; giving up on it");
    }
}

/// Prints what the OpenAPI document leaves open.
#[cfg(feature = "openapi")]
fn print_unknown(unknown: &[crate::openapi::Unknown]) {
    if !unknown.is_empty() {
        let list = crate::openapi::listed(unknown);
        print_banner(&format!("the OpenAPI document does not say\n{list}"));
    }
}

/// A closed standard output is not a reason to stop serving.
fn print_banner(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Accepts in a task, which drops the listener at its end. The thread that runs `listen` is often not one of the
/// runtime's workers, and would have to wake one for each connection.
async fn accept_until(
    shutdown: impl Future<Output = ()>,
    listener: impl Listener,
    connections: &Arc<Connections>,
) {
    let accepting = tokio::spawn(accept(listener, Arc::clone(connections)));
    let mut accepting = AbortOnDropHandle::new(accepting);
    tokio::select! {
        () = shutdown => accepting.abort(),
        ended = &mut accepting => return ended.unwrap_or_else(give_on),
    }
    accepting.await.unwrap_or_else(give_on);
}

fn give_on(ended: JoinError) {
    if let Ok(panic) = ended.try_into_panic() {
        resume_unwind(panic);
    }
}

async fn accept<L: Listener>(listener: L, connections: Arc<Connections>) {
    loop {
        match listener.accept().await {
            Ok((io, addr)) => {
                connections.serve(io, L::reset, Arc::new(Peer::new(addr)));
            }
            // A listener that fails without waiting would never leave its thread.
            Err(error) if is_of_one_connection(&error) => yield_now().await,
            Err(error) => {
                log_failure!(error, "cannot accept a connection", &error);
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
