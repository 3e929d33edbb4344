//! The end of all streams when the server goes down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_core::sse::CloseReason;
use tokio::time::{Instant, sleep_until, timeout};

use crate::sse::stream::state::StreamState;
use crate::sse::streams::Streams;

impl Streams {
    /// Ends every stream with a word to reconnect, at least 1,000 a second and all within half of `window`, then
    /// waits until their close hooks have run. A producer that watches `SseStream::closing` has a moment for a last word.
    pub(crate) async fn drain(&self, window: Duration) {
        self.closing.store(true, Ordering::Release);
        let streams = self.live();
        self.announce(&streams, window / 2).await;
        let grace = self.hub.options().closing_grace.min(window / 4);
        if timeout(grace, self.wait_until_quiet()).await.is_err() {
            for stream in &streams {
                stream.end(&self.reconnect_ending(CloseReason::Shutdown));
            }
        }
        drop(streams);
        self.wait_until_quiet().await;
        self.hooks_done().await;
    }

    async fn announce(&self, streams: &[Arc<StreamState>], window: Duration) {
        let per_second = (streams.len() as f64 / window.as_secs_f64()).max(1_000.0);
        let started = Instant::now();
        for (n, stream) in streams.iter().enumerate() {
            let due = started + Duration::from_secs_f64(n as f64 / per_second);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            stream.announce_end(&self.hub, self.reconnect_ending(CloseReason::Shutdown));
        }
    }
}
