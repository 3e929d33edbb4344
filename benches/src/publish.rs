//! Publishing in process, to a topic without readers. This is the cost of the hub, and of an in-memory backplane.

use helios::SseHub;
use helios::prelude::*;
use helios::testing::backplane::InMemory;

use crate::Error;

/// The bytes of data in an event.
const SIZE: usize = 256;

/// Returns a hub without a backplane.
#[must_use]
pub fn alone() -> SseHub {
    SseHub::new()
}

/// Returns a hub with a backplane. Its topic is watched, so that each event comes back.
///
/// # Errors
///
/// Returns an error if the backplane does not start.
pub async fn behind_a_backplane() -> Result<(SseHub, SseStream), Error> {
    let hub = SseHub::behind(InMemory::new(), |_| {}).await?;
    let reader = hub.sse().subscribe(["news"]).await?;
    Ok((hub, reader))
}

/// Publishes `events` events, one after the other.
///
/// # Errors
///
/// Returns an error if one cannot be published.
pub async fn publish(hub: &SseHub, events: usize) -> Result<(), Error> {
    let text = "x".repeat(SIZE);
    for _ in 0..events {
        hub.sse()
            .publish("news", SseEvent::text(text.as_str()))
            .await?;
    }
    Ok(())
}
