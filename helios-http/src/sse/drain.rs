//! The end of all connections when the server goes down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_core::sse::CloseReason;
use tokio::time::{Instant, sleep_until, timeout};

use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::stream::state::{Client, Ending, Farewell};

impl Hub {
    /// Ends every connection with a word to reconnect, at least 1,000 a second and all within half of `window`, then
    /// waits until their close hooks have run. Who watches `SseStream::closing` has a moment for a last word.
    pub(crate) async fn drain(&self, window: Duration) {
        self.closing.store(true, Ordering::Release);
        let clients = self.live_clients();
        self.announce(&clients, window / 2).await;
        let grace = self.options().closing_grace.min(window / 4);
        if timeout(grace, self.wait_until_quiet()).await.is_err() {
            for client in &clients {
                client.end(self.shutdown_ending());
            }
        }
        drop(clients);
        self.wait_until_quiet().await;
        self.hooks_done().await;
    }

    async fn announce(&self, clients: &[Arc<Client>], window: Duration) {
        let per_second = (clients.len() as f64 / window.as_secs_f64()).max(1_000.0);
        let started = Instant::now();
        for (n, client) in clients.iter().enumerate() {
            let due = started + Duration::from_secs_f64(n as f64 / per_second);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            client.announce_end(self, self.shutdown_ending());
        }
    }

    pub(crate) fn shutdown_ending(&self) -> Ending {
        self.reconnect_ending(CloseReason::Shutdown)
    }

    /// An end after which the client comes back, not all at once.
    pub(crate) fn reconnect_ending(&self, reason: CloseReason) -> Ending {
        let retry = control::jittered(self.options().retry);
        Ending {
            reason,
            farewell: Farewell::Reconnect(retry),
        }
    }
}
