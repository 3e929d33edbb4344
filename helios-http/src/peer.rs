//! The other end of a connection that Helios' own server accepted, or of one stream of an HTTP/2 connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::AbortHandle;

/// Travels in the extensions of each request. A request without one came through another server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: Option<SocketAddr>,
    /// The connection of an HTTP/2 stream.
    connection: Option<Arc<Peer>>,
    task: OnceLock<AbortHandle>,
    /// Whether its socket is full at the moment.
    is_full: AtomicBool,
    is_stuck: AtomicBool,
    /// Whether its connection must be reset, so that the peer cannot take its end for the end of a response.
    is_broken_off: AtomicBool,
}

impl Peer {
    pub(crate) fn new(addr: Option<SocketAddr>) -> Self {
        Self {
            addr,
            connection: None,
            task: OnceLock::new(),
            is_full: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            is_broken_off: AtomicBool::new(false),
        }
    }

    /// Returns the peer of one HTTP/2 stream.
    pub(crate) fn of_stream(connection: Arc<Self>) -> Self {
        Self {
            connection: Some(Arc::clone(&connection)),
            ..Self::new(connection.addr)
        }
    }

    /// Sets the task that serves the connection.
    pub(crate) fn served_by(&self, task: AbortHandle) {
        // One task serves one connection, so there is no earlier value.
        let _ = self.task.set(task);
    }

    /// Drops the connection, whatever it is doing.
    pub(crate) fn cut(&self) {
        self.break_off();
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Makes the connection end with a reset.
    pub(crate) fn break_off(&self) {
        self.is_broken_off.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Relaxed)
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Whether the connection's socket is full.
    pub(crate) fn is_full(&self) -> bool {
        let connection = self.connection.as_deref().unwrap_or(self);
        connection.is_full.load(Ordering::Relaxed)
    }

    /// Records that the peer has read nothing for that long. The caller must then end the connection, or the stream.
    pub(crate) fn stuck(&self, stuck_after: Duration) {
        let (addr, is_stream) = (self.addr, self.connection.is_some());
        tracing::debug!(
            ?addr,
            is_stream,
            ?stuck_after,
            "a peer that does not read is cut"
        );
        self.is_stuck.store(true, Ordering::Relaxed);
    }

    /// Whether its connection or stream ends because it does not read.
    pub(crate) fn is_stuck(&self) -> bool {
        let is_stuck = |peer: &Self| peer.is_stuck.load(Ordering::Relaxed);
        is_stuck(self) || self.connection.as_deref().is_some_and(is_stuck)
    }
}
