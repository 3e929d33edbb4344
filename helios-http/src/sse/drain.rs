//! The end of all streams when the server goes down.
//!
//! While streams may still finish by themselves nothing here holds them: a stream whose topics are finished ends only if nobody
//! else can send to it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use helios_core::sse::CloseReason;
use tokio::time::{Instant, sleep_until, timeout};

use crate::sse::options::{Drain, DrainTimes};
use crate::sse::stream::state::StreamState;
use crate::sse::streams::Streams;
use crate::sync::until;

impl Streams {
    /// Ends every stream, and waits until their close hooks have run. Most are sent to another server, at least 1,000 a second;
    /// others may finish. Whoever watches [`SseStream::closing`](crate::sse::SseStream::closing) has a moment for a last word.
    pub(crate) async fn drain(&self, times: DrainTimes) {
        let _ = self.finish_until.set(self.hub.now() + times.finish);
        self.closing.store(true, Ordering::Release);
        let (finishing, leaving) = self.by_drain();
        tokio::join!(
            self.let_finish(finishing, times.finish),
            self.leave(leaving, times)
        );
        self.wait_until_quiet().await;
        self.hooks_done().await;
    }

    /// The same within `deadline`, for whoever has none of its own.
    pub(crate) async fn drain_within(&self, deadline: Duration) {
        let options = self.hub.options();
        // How long it may take is said only now, too late to refuse it.
        if let Err(error) = options.check_drain(deadline, deadline) {
            tracing::warn!(%error, "the drain is shorter than the options ask for");
        }
        let times = options.drain_times(deadline);
        if timeout(deadline, self.drain(times)).await.is_err() {
            tracing::warn!("the drain deadline has passed with streams open");
        }
    }

    /// Waits until no stream is live that may finish.
    pub(crate) async fn wait_until_finished(&self) {
        let (finishing, _) = self.by_drain();
        self.all_over(&finishing).await;
    }

    /// The streams that may finish, and the others.
    fn by_drain(&self) -> (Vec<Weak<StreamState>>, Vec<Weak<StreamState>>) {
        let may_finish = |stream: &Arc<StreamState>| stream.drains_as(Drain::Finish);
        let (finishing, leaving): (Vec<_>, Vec<_>) = self.live().into_iter().partition(may_finish);
        let weak = |streams: Vec<Arc<StreamState>>| streams.iter().map(Arc::downgrade).collect();
        (weak(finishing), weak(leaving))
    }

    async fn let_finish(&self, streams: Vec<Weak<StreamState>>, within: Duration) {
        for stream in streams.iter().filter_map(Weak::upgrade) {
            stream.let_finish(within);
        }
        self.end_after(within, &streams).await;
    }

    async fn leave(&self, streams: Vec<Weak<StreamState>>, times: DrainTimes) {
        let per_second = (streams.len() as f64 / times.announce.as_secs_f64()).max(1_000.0);
        let started = Instant::now();
        for (n, stream) in streams.iter().enumerate() {
            let due = started + Duration::from_secs_f64(n as f64 / per_second);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            if let Some(stream) = stream.upgrade() {
                stream.announce_end(CloseReason::Shutdown, times.grace);
            }
        }
        self.end_after(times.grace, &streams).await;
    }

    /// Ends the streams that have not come to their end within this time.
    async fn end_after(&self, time: Duration, streams: &[Weak<StreamState>]) {
        if timeout(time, self.all_over(streams)).await.is_err() {
            for stream in streams.iter().filter_map(Weak::upgrade) {
                stream.send_away(CloseReason::Shutdown);
            }
        }
    }

    async fn all_over(&self, streams: &[Weak<StreamState>]) {
        let is_over = |stream: &Weak<StreamState>| {
            stream
                .upgrade()
                .is_none_or(|stream| stream.finished().is_some())
        };
        // What is over stays so: each is looked at once more than it has to be waited for.
        let mut left = streams.iter().peekable();
        let all_over = || {
            while left.next_if(|stream| is_over(stream)).is_some() {}
            left.peek().is_none().then_some(())
        };
        until(&self.one_ended, all_over).await;
    }
}
