//! [`SseService`]: the way to the connections of one app, from handlers and from outside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_core::event::IntoSseEvent;
use helios_core::sse::{ClientId, SseError};

use super::hub::Hub;
use super::stream::SseStream;

/// Makes connections, finds them by id, and sends to all of them. A cheap handle: `#[inject_sse]` gives it to a
/// handler, a field of a controller gets it from the container, `Helios::sse` to everything else.
///
/// The connections are those of one app: two apps in one process do not share them.
#[derive(Clone)]
pub struct SseService {
    hub: Arc<Hub>,
}

impl fmt::Debug for SseService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SseService").field(&self.stats()).finish()
    }
}

/// Counts of one app since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseStats {
    /// Connections open now.
    pub connections: usize,
    /// Events published to many.
    pub published: u64,
    /// Events handed to connections for writing.
    pub delivered: u64,
    /// Events that could not be delivered to a connection.
    pub dropped: u64,
    /// Connections closed because their clients did not read.
    pub slow_closes: u64,
    /// Bytes handed to connections for writing.
    pub bytes: u64,
}

impl SseService {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// A detached handle that [`SseService::send_to_client`] reaches by its id. Return it from an `#[sse]` method to
    /// attach it.
    #[must_use]
    pub fn create_connection(&self) -> SseStream {
        let stream = SseStream::new();
        stream.client.register_at(&self.hub);
        stream
    }

    /// The connection with this id, detached or attached.
    #[must_use]
    pub fn client(&self, id: ClientId) -> Option<SseStream> {
        self.hub.find(id).map(SseStream::of)
    }

    /// All attached connections.
    #[must_use]
    pub fn clients(&self) -> Vec<SseStream> {
        let clients = self.hub.live_clients().into_iter();
        clients.map(SseStream::of).collect()
    }

    /// Sends an event to one connection, as it is: interceptors of its route do not see it. It never waits for the
    /// client; one that is too far behind is closed.
    ///
    /// # Errors
    ///
    /// [`SseError::NoSuchClient`] if no connection has this id, [`SseError::Closed`] if it has ended or was just
    /// closed as too slow, [`SseError::Event`], [`SseError::Reserved`] or [`SseError::TooLarge`] for an event that
    /// cannot be written.
    pub async fn send_to_client(
        &self,
        id: ClientId,
        event: impl IntoSseEvent,
    ) -> Result<(), SseError> {
        let client = self.hub.find(id).ok_or(SseError::NoSuchClient(id))?;
        tokio::task::consume_budget().await;
        client.send_by_id(event.into_sse_event())
    }

    /// Sends an event to every attached connection. It is encoded once and shared. It never waits for a client, but
    /// yields to the runtime now and then, so that a tight loop of broadcasts does not starve the readers.
    ///
    /// # Errors
    ///
    /// [`SseError::Event`], [`SseError::Reserved`] or [`SseError::TooLarge`] for an event that cannot be written.
    pub async fn broadcast(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        self.publish(event, None).await
    }

    /// Sends an event to every attached connection but one, such as the one that caused it.
    ///
    /// # Errors
    ///
    /// As [`SseService::broadcast`].
    pub async fn broadcast_except(
        &self,
        except: ClientId,
        event: impl IntoSseEvent,
    ) -> Result<(), SseError> {
        self.publish(event, Some(except)).await
    }

    async fn publish(
        &self,
        event: impl IntoSseEvent,
        except: Option<ClientId>,
    ) -> Result<(), SseError> {
        let bytes = self.hub.encode(&event.into_sse_event())?;
        tokio::task::consume_budget().await;
        self.hub.broadcast(bytes, except);
        Ok(())
    }

    /// Counts of this app.
    #[must_use]
    pub fn stats(&self) -> SseStats {
        let counters = &self.hub.counters;
        SseStats {
            connections: counters.live.load(Ordering::Acquire),
            published: counters.published.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            slow_closes: counters.slow_closes.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
        }
    }
}
