//! The other end of a connection that Helios' own server accepted.

use std::net::SocketAddr;
use std::sync::OnceLock;

use tokio::task::AbortHandle;

/// Travels in the extensions of each request of the connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: Option<SocketAddr>,
    task: OnceLock<AbortHandle>,
}

impl Peer {
    pub(crate) fn new(addr: Option<SocketAddr>) -> Self {
        Self {
            addr,
            task: OnceLock::new(),
        }
    }

    /// Names the task that serves the connection.
    pub(crate) fn served_by(&self, task: AbortHandle) {
        // One task serves one connection, so there is no earlier value.
        let _ = self.task.set(task);
    }

    /// Drops the connection: a body whose socket is full is not polled, so it cannot end itself.
    pub(crate) fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
