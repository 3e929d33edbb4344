//! State shared by all connections of a server.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::server::conn::http1;
use slab::Slab;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peer::Peer;
use crate::routing::service::HeliosService;
use crate::sync::lock;

/// The size of hyper's buffer for reading a head and for collecting writes. A larger one would hide that a slow client
/// does not read.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

pub(super) struct ServerState {
    pub(super) http1: http1::Builder,
    pub(super) header_timeout: Duration,
    pub(super) stuck_after: Duration,
    pub(super) service: HeliosService,
    pub(super) draining: CancellationToken,
    /// The tasks of connections and of HTTP/2 streams.
    pub(super) tasks: TaskTracker,
    open: Mutex<Slab<Arc<Peer>>>,
}

impl ServerState {
    pub(super) fn new(
        service: HeliosService,
        http1: http1::Builder,
        header_timeout: Duration,
    ) -> Self {
        Self {
            http1,
            header_timeout,
            stuck_after: service.streams().hub.options().stuck_after,
            service,
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
            open: Mutex::default(),
        }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Slab<Arc<Peer>>> {
        lock(&self.open)
    }

    /// Waits until all tasks have ended.
    pub(super) async fn over(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A registered open connection.
pub(super) struct Registered {
    pub(super) server: Arc<ServerState>,
    place: usize,
}

impl Registered {
    pub(super) fn new(server: &Arc<ServerState>, peer: &Arc<Peer>) -> Self {
        Self {
            place: server.open().insert(Arc::clone(peer)),
            server: Arc::clone(server),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.server.open().remove(self.place);
    }
}
