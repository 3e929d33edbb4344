//! The end of all streams, and of the answers of mounted services, when the server goes down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_core::sse::CloseReason;
use tokio::time::{Instant, sleep_until, timeout};

use crate::failure::text;
use crate::sse::options::{Drain, DrainTimes};
use crate::sse::stream::state::StreamState;
use crate::sse::streams::Streams;

impl Streams {
    /// Ends every stream, and waits until their close hooks have run. Most are sent to another server, at least 1,000 a second;
    /// others may finish, and so may the answers of mounted services. Whoever watches [`SseStream::closing`](crate::sse::SseStream::closing) has a moment for a last word.
    pub(crate) async fn drain(&self, times: DrainTimes) {
        // A second drain has no time of its own.
        let _ = self.finish_until.set(self.hub.now() + times.finish);
        self.closing.store(true, Ordering::Release);
        let may_finish = |stream: &Arc<StreamState>| stream.drains_as(Drain::Finish);
        let (finishing, leaving): (Vec<_>, Vec<_>) = self.live().into_iter().partition(may_finish);
        tokio::join!(
            finish(finishing, times.finish),
            leave(leaving, times),
            self.mounted.drain(times.finish)
        );
        self.wait_until_quiet().await;
        self.hooks_done().await;
    }

    /// The same within `deadline`, for whoever has none of its own.
    pub(crate) async fn drain_within(&self, deadline: Duration) {
        let options = self.hub.options();
        // How long it may take is said only now, too late to refuse it.
        if let Err(error) = options.check_drain(deadline, deadline) {
            tracing::warn!(
                error = text(error),
                "the drain is shorter than the options ask for"
            );
        }
        let times = options.drain_times(deadline);
        if timeout(deadline, self.drain(times)).await.is_err() {
            tracing::warn!("the drain deadline has passed with streams open");
        }
    }

    /// Waits until nothing runs that may finish.
    pub(crate) async fn wait_until_finished(&self) {
        let mut streams = self.live();
        streams.retain(|stream| stream.drains_as(Drain::Finish));
        tokio::join!(all_over(&streams), self.mounted.wait_until_finished());
    }
}

async fn finish(streams: Vec<Arc<StreamState>>, within: Duration) {
    for stream in &streams {
        stream.let_finish(within);
    }
    end_after(within, &streams).await;
}

async fn leave(streams: Vec<Arc<StreamState>>, times: DrainTimes) {
    let per_second = (streams.len() as f64 / times.announce.as_secs_f64()).max(1_000.0);
    let started = Instant::now();
    for (n, stream) in streams.iter().enumerate() {
        let due = started + Duration::from_secs_f64(n as f64 / per_second);
        if due > Instant::now() {
            sleep_until(due).await;
        }
        stream.announce_end(CloseReason::Shutdown, times.grace);
    }
    end_after(times.grace, &streams).await;
}

/// Ends the streams that have not come to their end within this time.
async fn end_after(time: Duration, streams: &[Arc<StreamState>]) {
    if timeout(time, all_over(streams)).await.is_err() {
        for stream in streams {
            stream.send_away(CloseReason::Shutdown);
        }
    }
}

async fn all_over(streams: &[Arc<StreamState>]) {
    for stream in streams {
        stream.wait_until_over().await;
    }
}
