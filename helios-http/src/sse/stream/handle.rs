//! [`SseStream`], one stream as handlers, hooks and tasks see it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use helios_core::event::{IntoSseEvent, SseEvent};
use helios_core::hub::Replay;
use helios_core::presence::Member;
use helios_core::sse::{ClientId, CloseReason, SseError};
use serde::Serialize;
use tokio::time::Instant;

use crate::sse::stream::deferred::Origin;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::stream::state::StreamState;
use crate::sse::streams::Streams;
use crate::sync::until;

/// A handle to one stream. Clones are cheap and refer to the same stream.
///
/// A new handle is *detached*, and queues the events sent to it, up to 1,000 events or 1 MiB. Returning it from an
/// `#[sse]` method attaches it to that request, once. Dropping handles does not close an attached stream, unless all of
/// its topics are [finished](crate::sse::SseService::finish). Dropping the last handle of a detached stream discards it.
///
/// After the end every method still works. Sends return [`SseError::Closed`], `close` does nothing, and
/// [`SseStream::closed`] returns the reason at once.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Downloads;
///
/// #[controller(prefix = "downloads")]
/// impl Downloads {
///     /// A producer gets the handle of its own stream.
///     #[sse("produced")]
///     async fn produced(&self, stream: SseStream) -> Result<(), SseError> {
///         stream.send(SseEvent::json(50).event("percent")).await?;
///         stream.send(SseEvent::json(100).event("percent")).await
///     }
///
///     /// Or create a handle, keep it wherever it is driven, and return it.
///     #[sse("driven")]
///     fn driven(&self) -> SseStream {
///         let stream = SseStream::new();
///         let driver = stream.clone();
///         tokio::spawn(async move {
///             driver.send_data(100).await?;
///             driver.close_with(SseEvent::text("done").event("end"))
///         });
///         stream
///     }
/// }
/// # #[server(controllers = [Downloads], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let events = app.sse("/downloads/produced").await.rest().await;
/// assert_eq!(events[1].data, "100");
/// let events = app.sse("/downloads/driven").await.rest().await;
/// assert_eq!(events[1].data, "done");
/// # }
/// ```
pub struct SseStream {
    pub(crate) state: Arc<StreamState>,
    /// Set for the handle of a reset or snapshot hook. Events sent through it come exactly where the reader is held for
    /// this answer, not after everything published so far.
    answer: Option<u64>,
}

impl Clone for SseStream {
    fn clone(&self) -> Self {
        let mut handle = Self::of(Arc::clone(&self.state));
        handle.answer = self.answer;
        handle
    }
}

impl Drop for SseStream {
    fn drop(&mut self) {
        self.state.handles.fetch_sub(1, Ordering::AcqRel);
    }
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
    pub(crate) fn of(state: Arc<StreamState>) -> Self {
        state.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            state,
            answer: None,
        }
    }

    /// Returns the handle of a reset or snapshot hook. Its events come exactly where the reader is held for the answer.
    pub(crate) fn answering(state: Arc<StreamState>, answer: u64) -> Self {
        let mut handle = Self::of(state);
        handle.answer = Some(answer);
        handle
    }

    /// Creates a detached handle that the hub can find by its id.
    pub(crate) fn known_to(streams: &Arc<Streams>) -> Self {
        let stream = Self::of(Arc::new(StreamState::of_hub(&streams.hub)));
        stream.state.register_with(streams);
        stream
    }

    /// Creates a detached handle with a new id.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::new(StreamState::new()))
    }

    /// Returns the stream's id, a random UUID. It stays the same after the end.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.state.id
    }

    /// Sends an event. Waits for room while 32 KiB of events sent to this client alone are unread, which slows down a
    /// fast producer. `Ok` means that the event is queued after everything published so far. If it is sent through the
    /// handle of a reset or snapshot hook, it comes before everything newer.
    ///
    /// Cancel-safe: a dropped future has sent nothing.
    ///
    /// # Errors
    ///
    /// [`SseError::Closed`] after the end. [`SseError::Event`], [`SseError::Reserved`] or [`SseError::TooLarge`] for an
    /// event that cannot be written. [`SseError::OwnId`] for one with an id if the stream has joined topics.
    /// [`SseError::Full`] on a detached handle at its limit, because it has no reader yet.
    pub async fn send(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let prepared = self.state.prepare(event.into_sse_event(), Origin::Own)?;
        let push = || self.state.push_if_room(&prepared, self.answer);
        until(&self.state.room, push).await
    }

    /// Sends an event if there is room for it now, up to the `backlog`.
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`], and [`SseError::Full`] at the limit even when attached.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// /// A reading every millisecond. A client that does not keep up misses some.
    /// fn measured(stream: &SseStream, volts: f64) -> Result<(), SseError> {
    ///     match stream.try_send(SseEvent::json(volts)) {
    ///         Err(SseError::Full) => Ok(()),
    ///         sent => sent,
    ///     }
    /// }
    /// ```
    pub fn try_send(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let prepared = self.state.prepare(event.into_sse_event(), Origin::Own)?;
        self.state.push(&prepared, self.answer)
    }

    /// Sends a value as the JSON data of an event without a name. Waits and is cancel-safe as [`SseStream::send`].
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`].
    pub async fn send_data(&self, data: impl Serialize) -> Result<(), SseError> {
        self.send(SseEvent::json(data)).await
    }

    /// Sends a comment, which clients ignore. Waits and is cancel-safe as [`SseStream::send`].
    ///
    /// # Errors
    ///
    /// As [`SseStream::send`].
    pub async fn send_comment(&self, text: impl Into<String>) -> Result<(), SseError> {
        self.send(SseEvent::default().comment(text)).await
    }

    /// Lets the response head leave before the first event. An error after that is reported as an event, not as a
    /// status. Without this call, the head of a producer, or of a generator whose items are `Result`s, leaves with the
    /// first event or after 250 ms.
    pub fn open(&self) {
        self.state.request_head();
    }

    /// Finishes the stream. Events already sent are written, then `helios:end`. A client that comes back for more gets
    /// 204. The stream's generator or producer is dropped at its next await.
    pub fn close(&self) {
        self.state.end(&Ending {
            reason: CloseReason::ServerClosed,
            event: EndEvent::End,
        });
    }

    /// Sends a last event and finishes the stream.
    ///
    /// # Errors
    ///
    /// As [`SseStream::try_send`]. The stream is finished even then.
    pub fn close_with(&self, event: impl IntoSseEvent) -> Result<(), SseError> {
        let sent = self.try_send(event);
        self.close();
        sent
    }

    /// Ends this connection and asks the client to come back after `delay`. The stream itself is not finished.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// /// The other servers are idle.
    /// fn spread(sse: &SseService) {
    ///     for client in sse.clients().iter().take(1_000) {
    ///         client.reconnect_after(Duration::from_secs(1));
    ///     }
    /// }
    /// ```
    pub fn reconnect_after(&self, delay: Duration) {
        self.state.end(&Ending {
            reason: CloseReason::ServerClosed,
            event: EndEvent::Reconnect(delay),
        });
    }

    /// Ends the stream when the client's credential expires, for instance at a token's `exp`. The client is asked to
    /// come back, and the guard decides again whether to let it in. Until then, a later call may set another time,
    /// earlier or later.
    ///
    /// The heartbeat checks the time at least once a second. The time counts from the moment of the call, so later
    /// changes of the system's clock do not matter. A time in the past ends the stream at the next heartbeat.
    ///
    /// The close reason is [`CloseReason::CredentialExpired`]. A guard that then returns 401 stops an `EventSource` for
    /// good, so a page that can get a new token should do so before.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use helios::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Claims { exp: u64 } // put there by a guard
    ///
    /// #[derive(Injectable)]
    /// struct Inbox;
    ///
    /// #[controller(prefix = "inbox")]
    /// impl Inbox {
    ///     #[sse]
    ///     fn inbox(&self) -> SseStream {
    ///         SseStream::new()
    ///     }
    ///
    ///     #[on_sse_connection]
    ///     fn opened(&self, client: SseStream, #[req] request: &RequestContext) {
    ///         let claims = request.extensions().get();
    ///         let exp = claims.and_then(|Claims { exp }| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*exp)));
    ///         if let Some(exp) = exp {
    ///             client.expire_at(exp);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn expire_at(&self, at: SystemTime) {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        // A time beyond the range of the clock means never.
        self.state.expire_at(Instant::now().checked_add(left));
    }

    /// Waits until the stream is about to end, and returns the reason. The stream's producer or generator may then send
    /// last events and return, within `closing_grace`. After that the client is asked to reconnect. It does not receive
    /// the end of a finished stream.
    ///
    /// At shutdown, a stream that may finish has `finish_within` for that, and is finished when its producer or
    /// generator returns. If it has not sent everything, let it return an error, so that the response breaks off.
    /// Cancel-safe.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn work(stream: SseStream) -> Result<(), SseError> {
    ///     loop {
    ///         tokio::select! {
    ///             _ = stream.closing() => return stream.send("until soon").await,
    ///             () = sleep(Duration::from_secs(1)) => stream.send("working").await?,
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn closing(&self) -> CloseReason {
        let reason = || self.state.closing_reason();
        until(&self.state.closing, reason).await
    }

    /// Joins a topic, so that events published to it from now on reach this stream, with ids of the hub. Topics joined
    /// before the response head leaves are resumed when the client comes back with a `Last-Event-ID`. Topics joined
    /// later begin now, see [`SseStream::join_from`]. Joining a topic again does nothing.
    ///
    /// If the topic is [finished](crate::sse::SseService::finish), the stream receives its last event, if there was one.
    ///
    /// A handle created without the [`SseService`](crate::sse::SseService) joins when it is attached.
    ///
    /// Cancel-safe: a dropped future has joined or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::InvalidTopic`], [`SseError::TooManyTopics`] or [`SseError::TooManyJoined`]. [`SseError::Closed`]
    /// after the end. [`SseError::Backplane`] if the backplane fails.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User(u64); // put there by a guard
    ///
    /// #[derive(Injectable)]
    /// struct Account;
    ///
    /// #[controller(prefix = "account", controllers = [Orders])]
    /// impl Account {
    ///     /// Every stream below `/account` is reached by `sse.publish("user:7", ..)`.
    ///     #[on_sse_connection]
    ///     async fn opened(&self, client: SseStream, #[req] request: &RequestContext) -> Result<(), HttpError> {
    ///         let user = request.extensions().get::<User>().ok_or_else(|| HttpError::unauthorized("who are you?"))?;
    ///         Ok(client.join(format!("user:{}", user.0)).await?)
    ///     }
    /// }
    ///
    /// #[derive(Injectable)]
    /// struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[sse]
    ///     fn orders(&self) -> SseStream {
    ///         SseStream::new()
    ///     }
    /// }
    /// ```
    pub async fn join(&self, topic: impl AsRef<str>) -> Result<(), SseError> {
        self.state.join(topic.as_ref(), Replay::Live).await
    }

    /// Joins a topic, beginning where the [`Replay`] says: after an id, with the last few events, or with the earliest.
    /// If the history does not reach back to an id, the client gets a `helios:reset`. Does nothing if the stream is
    /// already in the topic. Cancel-safe as `join` is.
    ///
    /// Before the response head leaves, the stream begins at the earliest of all such beginnings, and an id that the
    /// client sends overrides them all. On a running stream, events older than the client's position come without an
    /// id.
    ///
    /// # Errors
    ///
    /// As [`SseStream::join`].
    ///
    /// ```
    /// use helios::sse::EventId;
    /// use helios::prelude::*;
    ///
    /// /// The document was loaded with all changes up to `since`.
    /// async fn follow(client: &SseStream, document: u64, since: EventId) -> Result<(), SseError> {
    ///     client.join_from(format!("document:{document}"), since).await
    /// }
    /// ```
    pub async fn join_from(
        &self,
        topic: impl AsRef<str>,
        from: impl Into<Replay>,
    ) -> Result<(), SseError> {
        self.state.join(topic.as_ref(), from.into()).await
    }

    /// Leaves a topic. Events published to it that are not yet written are dropped. Leaving a topic that was not joined
    /// does nothing.
    ///
    /// # Errors
    ///
    /// None today. Later versions may return errors of a backplane.
    pub async fn leave(&self, topic: impl AsRef<str>) -> Result<(), SseError> {
        self.state.leave(topic.as_ref());
        Ok(())
    }

    /// Appears as a member in a topic for as long as this stream lasts.
    /// [`SseService::present`](crate::sse::SseService::present) lists the member, and streams that have joined the
    /// topic get `helios:joined`. The topic must be one of [`SseOptions::presence`](crate::sse::SseOptions::presence).
    /// This stream itself need not have joined it.
    ///
    /// A member is identified by a key, not a connection. It may appear on several streams and servers. It joins with
    /// the first of them, and leaves when the last one has ended and the
    /// [grace period](crate::sse::SseOptions::presence_grace) has passed. Call this again to change the data
    /// (`helios:updated`), or with another key to become another member. If a member has several streams, the latest
    /// data counts.
    ///
    /// Cancel-safe: after the future is dropped, the stream has appeared or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::Presence`] if the topic, the member or the handle does not allow it. [`SseError::TooManyJoined`] in
    /// more topics than `max_topics_per_connection`. [`SseError::Closed`] after the end. [`SseError::Event`] for data
    /// that cannot be written as JSON. [`SseError::Backplane`] if the backplane fails. After an error the stream keeps
    /// its previous member and data. If it was to become another member, it is then no member at all.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::sse::Member;
    /// use helios::testing::TestApp;
    ///
    /// #[derive(Injectable)]
    /// struct Rooms {
    ///     sse: SseService,
    /// }
    ///
    /// #[controller(prefix = "rooms")]
    /// impl Rooms {
    ///     #[sse("tea")]
    ///     async fn tea(&self, #[query] name: String) -> Result<SseStream, SseError> {
    ///         let stream = self.sse.subscribe(["room:tea"]).await?;
    ///         stream.appear("room:tea", Member::new(&name).with(json!({ "name": name }))).await?;
    ///         Ok(stream)
    ///     }
    /// }
    ///
    /// #[server(controllers = [Rooms], sse(enabled = true))]
    /// struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = Helios::new(App).sse_options(|sse| sse.presence = vec!["room:*".into()]);
    /// let app = TestApp::start(app).unwrap();
    /// let mut ann = app.sse("/rooms/tea?name=ann").await;
    /// assert_eq!(ann.next().await.unwrap().event, "helios:ready");
    /// let joined = ann.next().await.unwrap();
    /// assert_eq!(joined.event, "helios:joined");
    /// assert_eq!(joined.json::<serde_json::Value>().unwrap()["data"]["name"], "ann");
    /// # }
    /// ```
    pub async fn appear(&self, topic: impl AsRef<str>, member: Member) -> Result<(), SseError> {
        self.state.appear(topic.as_ref(), member).await
    }

    /// Removes this stream's member from a topic at once, without a grace period, unless the member also appears there
    /// on another stream. Does nothing if this stream has not appeared there. The stream stays in the topic.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn hide(client: &SseStream) {
    ///     client.disappear("room:tea");
    /// }
    /// ```
    pub fn disappear(&self, topic: impl AsRef<str>) {
        self.state.disappear(topic.as_ref());
    }

    /// Returns the topics that were joined, without `*`. Empty after the end, so keep what a close hook needs with
    /// [`SseStream::insert`].
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.state.topics()
    }

    /// Keeps a value with the stream by its type, and returns the previous one.
    ///
    /// ```
    /// use helios::SseStream;
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct UserId(u64);
    ///
    /// let client = SseStream::new();
    /// client.insert(UserId(7));
    /// assert_eq!(client.get::<UserId>(), Some(UserId(7)));
    /// ```
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.state.data.insert(value)
    }

    /// Returns a copy of the value of this type that is kept with the stream. Wrap large values in an `Arc`.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.state.data.get()
    }

    /// Removes the value of this type from the stream and returns it.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.state.data.remove()
    }

    /// Calls `callback` once when the stream has ended for any reason, or at once if it has ended already. The callback
    /// must not block. A panic in it is logged. Do not keep a handle to the same stream in it, because a detached stream
    /// and the callback would then keep each other alive.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// let stream = SseStream::new();
    /// let timer = tokio::runtime::Runtime::new().unwrap().spawn(std::future::pending::<()>());
    /// stream.on_close(move |_reason| timer.abort());
    /// ```
    pub fn on_close(&self, callback: impl FnOnce(CloseReason) + Send + 'static) {
        self.state.on_close(Box::new(callback));
    }

    /// Returns whether the stream accepts no more events. Events sent before may still be on their way.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// Waits until the stream has ended, and returns the reason. Cancel-safe.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn watch(stream: SseStream) {
    ///     tokio::select! {
    ///         reason = stream.closed() => println!("over: {reason}"),
    ///         () = sleep(Duration::from_secs(60)) => stream.close(),
    ///     }
    /// }
    /// ```
    pub async fn closed(&self) -> CloseReason {
        self.state.wait_until_over().await
    }

    /// Returns the last id that the client has seen, if it is reconnecting. The header `Last-Event-ID` takes precedence
    /// over the query parameter `lastEventId`. `None` on a detached handle, and for a client that requests the
    /// `earliest` events, as it has seen none.
    #[must_use]
    pub fn last_event_id(&self) -> Option<String> {
        self.state.request()?.last_seen().map(str::to_owned)
    }
}
