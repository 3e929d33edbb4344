//! Ends all streams, and the responses of mounted services, at shutdown.

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
    /// Ends every stream, and waits until the close hooks have run. Most clients are sent to another server, at least
    /// 1,000 a second. Other streams may finish, and so may the responses of mounted services. Apps that watch
    /// [`SseStream::closing`](crate::sse::SseStream::closing) have a moment for a last event.
    pub(crate) async fn drain(&self, times: DrainTimes) {
        // A second drain uses the time of the first.
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

    /// Drains within `deadline`, for servers that have no deadline of their own.
    pub(crate) async fn drain_within(&self, deadline: Duration) {
        let options = self.hub.options();
        // The deadline is only known now, too late to reject it.
        if let Err(error) = options.check_drain(deadline, deadline) {
            tracing::warn!(
                error = text(error),
                "the drain is shorter than the options require"
            );
        }
        let times = options.drain_times(deadline);
        if timeout(deadline, self.drain(times)).await.is_err() {
            tracing::warn!("the drain deadline has passed with streams open");
        }
    }

    /// Waits until all streams and responses that may finish have finished.
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

/// Ends the streams that have not ended within this time.
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
