//! [`SseService`]: the way to the connections of one app, from handlers and from outside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_core::event::IntoSseEvent;
use helios_core::hub::EventId;
use helios_core::sse::{ClientId, SseError};

use super::hub::Hub;
use super::stream::SseStream;
use super::topics::{EVERYONE, check_name};

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
    /// Topics that somebody is in or that hold history.
    pub topics: usize,
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

    /// Publishes an event to everyone who is in the topic, now or, within the topic's history, when they come back. The
    /// event is encoded once and shared. It gives the event's id.
    ///
    /// It never waits for a client, but yields to the runtime now and then, so that a tight loop of publishes does not
    /// starve the readers. Cancel-safe without a backplane: a dropped future has published or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::Event`], [`SseError::Reserved`], [`SseError::OwnId`] or [`SseError::TooLarge`] for an event that
    /// cannot be published; [`SseError::InvalidTopic`] or [`SseError::TooManyTopics`]; [`SseError::Backplane`] if
    /// there is one and it fails.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn ship(sse: SseService, order: u64, user: u64) -> Result<(), SseError> {
    ///     let shipped = SseEvent::json(json!({ "order": order })).event("shipped");
    ///     // All tabs of this user, on whatever they are.
    ///     sse.publish(format!("user:{user}"), shipped).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn publish(
        &self,
        topic: impl AsRef<str>,
        event: impl IntoSseEvent,
    ) -> Result<EventId, SseError> {
        let topic = topic.as_ref();
        check_name(topic)?;
        let event = event.into_sse_event();
        self.hub.publish(topic, &event, None).await
    }

    /// A handle that has joined these topics. An `#[sse]` method may just return it.
    ///
    /// # Errors
    ///
    /// As [`SseStream::join`].
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct News;
    ///
    /// #[controller(prefix = "news")]
    /// impl News {
    ///     #[sse("{region}")]
    ///     async fn news(&self, #[param] region: String, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
    ///         sse.subscribe(["news".to_owned(), format!("news:{region}")]).await
    ///     }
    /// }
    /// ```
    pub async fn subscribe<T: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<SseStream, SseError> {
        let client = self.create_connection();
        for topic in topics {
            client.join(topic).await?;
        }
        Ok(client)
    }

    /// The attached connections that are in the topic, on this server.
    #[must_use]
    pub fn clients_in(&self, topic: impl AsRef<str>) -> Vec<SseStream> {
        let topic = topic.as_ref();
        let clients = self.hub.live_clients().into_iter();
        let members = clients.filter(|client| client.is_in(topic));
        members.map(SseStream::of).collect()
    }

    /// Sends an event to every attached connection, as [`SseService::publish`] does to those of a topic. On a connection
    /// that has joined no topic it is written without an id.
    ///
    /// # Errors
    ///
    /// As [`SseService::publish`], but for those of the topic.
    pub async fn broadcast(&self, event: impl IntoSseEvent) -> Result<EventId, SseError> {
        let event = event.into_sse_event();
        self.hub.publish(EVERYONE, &event, None).await
    }

    /// Sends an event to every attached connection but one, such as the one that caused it. A client that comes back is
    /// another connection.
    ///
    /// # Errors
    ///
    /// As [`SseService::broadcast`].
    pub async fn broadcast_except(
        &self,
        except: ClientId,
        event: impl IntoSseEvent,
    ) -> Result<EventId, SseError> {
        let event = event.into_sse_event();
        self.hub.publish(EVERYONE, &event, Some(except)).await
    }

    /// Counts of this app.
    #[must_use]
    pub fn stats(&self) -> SseStats {
        let counters = &self.hub.counters;
        SseStats {
            connections: counters.live.load(Ordering::Acquire),
            topics: self.hub.topics.count(),
            published: counters.published.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            slow_closes: counters.slow_closes.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
        }
    }
}
