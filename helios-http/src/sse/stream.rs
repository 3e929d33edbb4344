//! [`SseStream`]: one SSE connection as handlers, hooks and tasks see it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum_core::extract::FromRequestParts;
use helios_core::bind::{Cx, OnConnection, Sse};
use helios_core::error::HttpError;
use helios_core::event::{IntoSseEvent, SseEvent};
use helios_core::sse::{ClientId, CloseReason, SseError};
use http::request::Parts;
use serde::Serialize;

use super::client::{Client, Ending, Farewell, Origin};

/// A handle of one SSE connection. Clones are cheap and mean the same connection.
///
/// A new handle is *detached*: what is sent is queued up to the limits. Returning it from an `#[sse]` method attaches
/// it, once, to that request. Dropping handles never closes an attached stream; dropping the last handle of a detached
/// one discards it.
///
/// After the end every method still works: sends give [`SseError::Closed`], `close` does nothing,
/// [`SseStream::closed`] gives the reason at once.
#[derive(Clone)]
pub struct SseStream {
    pub(super) client: Arc<Client>,
}

impl fmt::Debug for SseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseStream")
            .field("id", &self.id())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Default for SseStream {
    fn default() -> Self {
        Self::new()
    }
}

impl SseStream {
    pub(super) fn of(client: Arc<Client>) -> Self {
        Self { client }
    }

    /// A detached handle with a fresh id.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::new(Client::new()))
    }

    /// The connection's id: a random UUID. It stays the same after the end.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.client.id
    }

    /// Sends an event, and waits for room while the client has much to read: that is a producer's back-pressure.
    ///
    /// Cancel-safe: a dropped future has sent nothing.
    ///
    /// # Errors
    ///
    /// [`SseError::Closed`] after the end, [`SseError::Event`] or [`SseError::TooLarge`] for an event that cannot be
    /// written, [`SseError::Full`] on a detached handle at its limit (nobody reads it yet).
    pub async fn send(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let prepared = self.client.prepare(event.into_sse_event(), Origin::Own)?;
        loop {
            let room = self.client.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.client.push_if_room(&prepared) {
                Some(sent) => return sent,
                None => room.await,
            }
        }
    }

    /// Sends an event if there is room for it now.
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`]; [`SseError::Full`] at the limit also when attached.
    pub fn try_send(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let prepared = self.client.prepare(event.into_sse_event(), Origin::Own)?;
        self.client.push(&prepared)
    }

    /// Sends a value as the JSON data of an event without a name.
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`].
    pub async fn send_data(&self, data: impl Serialize) -> Result<(), SseError> {
        self.send(SseEvent::json(data)).await
    }

    /// Sends a comment, which clients ignore.
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`].
    pub async fn send_comment(&self, text: impl Into<String>) -> Result<(), SseError> {
        self.send(SseEvent::default().comment(text)).await
    }

    /// Lets the response head leave before the first event. An error after this is told as an event, not a status.
    pub fn open(&self) {
        self.client.request_head();
    }

    /// Finishes the stream: what was sent is written, then `helios:end`. A client that comes back for more gets 204. A
    /// generator or producer of the connection is dropped at its next await.
    pub fn close(&self) {
        self.client.end(Ending {
            reason: CloseReason::ServerClosed,
            farewell: Farewell::End,
        });
    }

    /// Sends a last event and finishes the stream.
    ///
    /// # Errors
    ///
    /// As [`SseStream::try_send`]; the stream is finished all the same.
    pub fn close_with(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let sent = self.try_send(event);
        self.close();
        sent
    }

    /// Ends this connection and asks the client to come back after `delay`. The stream itself is not finished.
    pub fn reconnect_after(&self, delay: Duration) {
        self.client.end(Ending {
            reason: CloseReason::ServerClosed,
            farewell: Farewell::Reconnect(delay),
        });
    }

    /// Calls `callback` once when the connection is over, whatever ended it; at once if it is over already. It must
    /// not block; a panic in it is logged. Do not keep a handle of the same connection in it: until the stream is attached,
    /// they would keep each other alive.
    pub fn on_close(&self, callback: impl FnOnce(CloseReason) + Send + 'static) {
        self.client.on_close(Box::new(callback));
    }

    /// Nothing can be sent any more. What was sent before may still be on its way.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until the connection is over, and gives the reason. Cancel-safe.
    pub async fn closed(&self) -> CloseReason {
        loop {
            let over = self.client.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            match self.client.finished() {
                Some(reason) => return reason,
                None => over.await,
            }
        }
    }

    /// The id that the client has seen last, if it is reconnecting. `None` on a detached handle.
    #[must_use]
    pub fn last_event_id(&self) -> Option<String> {
        self.client.attachment.get()?.last_event_id.clone()
    }
}

impl FromRequestParts<Cx<Sse>> for SseStream {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<Sse>) -> Result<Self, HttpError> {
        of_cx(cx)
    }
}

impl FromRequestParts<Cx<OnConnection>> for SseStream {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<OnConnection>) -> Result<Self, HttpError> {
        of_cx(cx)
    }
}

fn of_cx<P>(cx: &Cx<P>) -> Result<SseStream, HttpError> {
    let client = cx.client::<Client>();
    let missing = || HttpError::internal("there is no SSE connection here");
    client.map(SseStream::of).ok_or_else(missing)
}
