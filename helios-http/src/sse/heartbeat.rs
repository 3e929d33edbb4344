//! One timer for all streams of an app. It sends keep-alive comments, ends clients that do not read or are too old, and
//! drops expired history.

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

    /// Makes sure that the heartbeat runs. It runs on the first runtime that serves the streams, and moves to another
    /// when that one has ended.
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

/// Records that the heartbeat has stopped, which happens when its runtime ends.
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
        // A bug in one stream must not stop the keep-alive of all others.
        caught("the heartbeat of an SSE stream", || stream.beat());
    }
}

/// Removes topics. Their names may be used again once the backplane has stopped to send their events here. Otherwise an
/// old `unwatch` would overtake a new `watch`.
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
