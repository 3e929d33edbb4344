//! One timer for all streams of an app: keep-alive, the end of clients that do not read or are old, and of history that is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

use crate::panics::{caught, caught_in};
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
    for topic in hub.topics.sweep(hub.now(), hub.options()) {
        remove(streams, topic);
    }
    for stream in streams.live() {
        // One stream's bug must not take the keep-alive of all others with it.
        caught("the heartbeat of an SSE stream", || stream.beat());
    }
}

/// The topic's name may be used anew once the backplane has stopped to send its events here: else an old `unwatch` would
/// overtake a new `watch`.
fn remove(streams: &Arc<Streams>, topic: Arc<Topic>) {
    let hub = Arc::clone(&streams.hub);
    let Some(replication) = streams.replication().cloned() else {
        hub.topics.forget(&topic);
        return;
    };
    tokio::spawn(async move {
        caught_in("a backplane's `unwatch`", replication.unwatch(&topic)).await;
        hub.topics.forget(&topic);
    });
}
