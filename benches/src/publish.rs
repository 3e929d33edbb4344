//! Publishing in process, to a topic that nobody reads: what the hub costs, and what a backplane in memory adds.

use helios::SseHub;
use helios::prelude::*;
use helios::testing::backplane::InMemory;

use crate::Error;

/// What an event carries, in bytes.
const SIZE: usize = 256;

/// A hub by itself.
#[must_use]
pub fn alone() -> SseHub {
    SseHub::new()
}

/// A hub behind a backplane, whose topic is watched, so that each event comes back.
///
/// # Errors
///
/// If the backplane does not start.
pub async fn behind_a_backplane() -> Result<(SseHub, SseStream), Error> {
    let hub = SseHub::behind(InMemory::new(), |_| {}).await?;
    let reader = hub.sse().subscribe(["news"]).await?;
    Ok((hub, reader))
}

/// Publishes so many events, one after the other.
///
/// # Errors
///
/// If one cannot be published.
pub async fn publish(hub: &SseHub, events: usize) -> Result<(), Error> {
    let text = "x".repeat(SIZE);
    for _ in 0..events {
        hub.sse()
            .publish("news", SseEvent::text(text.as_str()))
            .await?;
    }
    Ok(())
}
