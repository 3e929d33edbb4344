//! One timer for all streams of an app: keep-alive, the end of clients that do not read or are old, and of history that is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

use crate::panics::caught;
use crate::sse::backplane::SLICE;
use crate::sse::hub::topics::Topic;
use crate::sse::streams::Streams;
use crate::sync::lock;

impl Streams {
    pub(crate) fn is_beating(&self) -> bool {
        self.heartbeat.is_running.load(Ordering::Acquire)
    }

    /// Sees to it that the heartbeat runs: on the first runtime that serves the streams, and on another when that one is
    /// gone.
    pub(crate) fn keep_beating(self: &Arc<Self>) {
        if self.is_beating() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("an SSE hub outside of a tokio runtime has no heartbeat");
            return;
        };
        let mut running = lock(&self.heartbeat.runtime);
        if !self.heartbeat.is_running.swap(true, Ordering::AcqRel) {
            let tick = self.tick();
            runtime.spawn(beat_until_dropped(Arc::downgrade(self), tick));
            *running = Some(runtime);
        }
    }
}

async fn beat_until_dropped(streams: Weak<Streams>, tick: Duration) {
    let _beating = Beating(Weak::clone(&streams));
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(streams) = streams.upgrade() else {
            return;
        };
        caught("the heartbeat of the SSE hub", || beat(&streams));
    }
}

/// Notes when the heartbeat has stopped, as it does with its runtime.
struct Beating(Weak<Streams>);

impl Drop for Beating {
    fn drop(&mut self) {
        if let Some(streams) = self.0.upgrade() {
            streams.heartbeat.is_running.store(false, Ordering::Release);
        }
    }
}

fn beat(streams: &Arc<Streams>) {
    let hub = &streams.hub;
    let unused = hub.topics.sweep(hub.now(), hub.options());
    if !unused.is_empty() {
        remove(streams, unused);
    }
    for stream in streams.live() {
        // One stream's bug must not take the keep-alive of all others with it.
        caught("the heartbeat of an SSE stream", || stream.beat());
    }
}

/// The topics' names may be used anew once the backplane has stopped to send their events here: else an old `unwatch` would
/// overtake a new `watch`.
fn remove(streams: &Arc<Streams>, topics: Vec<Arc<Topic>>) {
    let hub = Arc::clone(&streams.hub);
    let forget = move |topics: &[Arc<Topic>]| {
        topics.iter().for_each(|topic| hub.topics.forget(topic));
    };
    let Some(replication) = streams.replication().cloned() else {
        forget(&topics);
        return;
    };
    tokio::spawn(async move {
        for slice in topics.chunks(SLICE) {
            replication.unwatch(slice).await;
            forget(slice);
        }
    });
}
