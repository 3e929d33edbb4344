//! One timer for the whole hub: keep-alive, the end of clients that do not read or are old, and of history that is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::panics::{caught, caught_in};
use crate::sse::hub::Hub;
use crate::sse::hub::topics::Topic;

/// Beats until the app is dropped.
pub(crate) async fn run(hub: Weak<Hub>, tick: Duration) {
    let _beating = Beating(Weak::clone(&hub));
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        caught("the heartbeat of the SSE hub", || beat(&hub));
    }
}

/// Tells the hub when its heartbeat has stopped, as it does with its runtime.
struct Beating(Weak<Hub>);

impl Drop for Beating {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.beating.store(false, Ordering::Release);
        }
    }
}

fn beat(hub: &Arc<Hub>) {
    for topic in hub.topics.sweep(hub.now(), hub.options()) {
        remove(hub, topic);
    }
    for client in hub.live_clients() {
        // One connection's bug must not take the keep-alive of all others with it.
        caught("the heartbeat of an SSE connection", || client.beat(hub));
    }
}

/// The topic's name may be used anew once the backplane has stopped to send its events here: else an old `unwatch` would
/// overtake a new `watch`.
fn remove(hub: &Arc<Hub>, topic: Arc<Topic>) {
    match hub.relay() {
        None => hub.topics.forget(&topic),
        Some(_) => {
            let hub = Arc::clone(hub);
            tokio::spawn(async move {
                if let Some(relay) = hub.relay() {
                    caught_in("a backplane's `unwatch`", relay.unwatch(&topic)).await;
                }
                hub.topics.forget(&topic);
            });
        }
    }
}
