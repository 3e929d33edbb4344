//! A running server.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::site::Site;

/// Ready when the server is to shut down.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves until it has shut down.
pub(crate) type Serve = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) site: Site,
    /// Whether tokio's clock is the server's.
    pub(crate) is_here: bool,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// In this process, on a free port.
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

    /// In a process of its own.
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

    /// Asks for a graceful shutdown, as the framework has it. Ready when it is over.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.served
    }
}
