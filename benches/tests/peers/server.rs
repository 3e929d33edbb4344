//! A running server.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::site::Site;

/// Ready when the server has to shut down.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves until the server has shut down.
pub(crate) type Serve = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) site: Site,
    /// Whether the server runs in this process, so that tokio's clock is its clock.
    pub(crate) is_here: bool,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// Starts a server in this process, on a free port.
    pub(crate) fn here(serve: fn(TcpListener, Site, Stop) -> Serve) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let site = Site::default();
        let shown = site.clone();
        Self {
            is_here: true,
            ..Self::new(addr, site, |stop| serve(listener, shown, stop))
        }
    }

    /// Starts a server with this address. `serve` runs it, in this process or another one.
    pub(crate) fn new(addr: SocketAddr, site: Site, serve: impl FnOnce(Stop) -> Serve) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped = Box::pin(async { stopped.await.unwrap_or_default() });
        Self {
            addr,
            site,
            is_here: false,
            stop,
            served: tokio::spawn(serve(stopped)),
        }
    }

    /// Requests a graceful shutdown, as the framework provides it. The task is ready when the shutdown is over.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.served
    }
}
