//! Serving: the accept loop, and the drain.

mod connection;
mod listener;
mod signals;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

pub use listener::Listener;

use crate::app::{Checked, Helios};
use crate::error::Error;
use crate::peer::Peer;
use crate::service::HeliosService;
use connection::Connections;
use signals::Signals;

/// How long to wait after `accept` failed, as it does when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long close hooks may run for connections that were cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

impl Helios {
    /// Serves until SIGINT or SIGTERM (or [`Helios::shutdown_on`]), then drains: no new connections, running requests
    /// finish, streams end with a word to reconnect, close hooks run, services stop. What is left at the drain deadline is cut, as it
    /// is on a second signal.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Bind`] if the address is taken,
    /// [`Error::Start`] if a service does not start, [`Error::Setting`] for an unusable environment variable. A drain that is cut is not an error.
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

    /// As [`Helios::listen`], on a listener of your own: TCP, or a Unix socket.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Io`] if the listener is unusable.
    pub async fn listen_on(self, listener: impl Listener) -> Result<(), Error> {
        serve(self.assemble()?, listener).await
    }
}

async fn serve(app: Checked, listener: impl Listener) -> Result<(), Error> {
    let Checked {
        service,
        routes,
        settings,
        ..
    } = app;
    let address = listener.address()?;
    let mut signals = Signals::new()?;
    service.start().await?;
    let hub = service.hub();
    let given = settings.shutdown.is_some();
    if settings.banner {
        print_banner(&format!("{routes}\n\nlistening on {address}"));
    }
    tracing::info!(address, "listening");
    let connections = Connections::new(settings.header_timeout);
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
    tracing::info!(open = connections.len(), "draining");
    let drained = async {
        tokio::join!(hub.drain(settings.drain_deadline), connections.drain());
    };
    tokio::select! {
        drained = timeout(settings.drain_deadline, drained) => if drained.is_err() {
            tracing::warn!(open = connections.len(), "the drain deadline has passed; cutting what is left");
        },
        () = signals.next(), if !given => tracing::warn!("a second signal; cutting what is left"),
    }
    connections.cut().await;
    // The close hooks of what was cut; a hook that hangs is given up.
    let _ = timeout(CUT_GRACE, hub.hooks_done()).await;
    service.stop().await;
    Ok(())
}

#[allow(clippy::print_stdout)]
fn print_banner(text: &str) {
    println!("{text}");
}

async fn accept(listener: &impl Listener, service: &HeliosService, connections: &Connections) {
    loop {
        match listener.accept().await {
            Ok((io, addr)) => {
                let peer = Arc::new(Peer::new(addr));
                connections.serve(io, service.clone(), &peer);
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
            | io::ErrorKind::InvalidInput
    )
}
