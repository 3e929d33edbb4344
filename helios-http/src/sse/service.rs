//! [`SseService`], the access to an app's streams from handlers and from outside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum_core::response::Response;
use helios_core::event::IntoSseEvent;
use helios_core::hub::{EventId, Replay};
use helios_core::presence::Present;
use helios_core::sse::{ClientId, SseError};
use http::request::Parts;

use crate::sse::backplane::Status;
use crate::sse::hub::topics::{EVERYONE, check_name};
use crate::sse::open::respond;
use crate::sse::publish::PublishOptions;
use crate::sse::stream::handle::SseStream;
use crate::sse::streams::Streams;

/// A cheap handle that creates streams, finds them by id, and publishes events. `#[inject_sse]` passes it to a handler,
/// the container puts it into a controller's field, and `Helios::sse` returns it everywhere else.
///
/// It reaches the streams of one app. Two apps in one process do not share streams.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Rooms {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "rooms")]
/// impl Rooms {
///     #[sse("{room}")]
///     async fn enter(&self, #[param] room: &str) -> Result<SseStream, SseError> {
///         self.sse.subscribe([room]).await
///     }
///
///     #[post("{room}")]
///     async fn say(&self, #[param] room: &str, #[body] text: String) -> Result<(), SseError> {
///         self.sse.publish(room, text).await?;
///         Ok(())
///     }
/// }
/// # #[server(controllers = [Rooms], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let mut tea = app.sse("/rooms/tea").await;
/// assert_eq!(tea.next().await.unwrap().event, "helios:ready");
/// app.post("/rooms/tea").json(&"hello").await;
/// assert_eq!(tea.next().await.unwrap().data, "hello");
/// # }
/// ```
#[derive(Clone)]
pub struct SseService {
    pub(crate) streams: Arc<Streams>,
}

impl fmt::Debug for SseService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SseService").field(&self.stats()).finish()
    }
}

/// Counters of one app. They are read one after the other while the app runs, so they may not match exactly.
/// `connections` and `topics` are current values. The others count from the creation of the app.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Health {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "health")]
/// impl Health {
///     #[get]
///     fn health(&self) -> serde_json::Value {
///         let stats = self.sse.stats();
///         json!({ "open": stats.connections, "too_slow": stats.slow_closes, "lost": stats.dropped })
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseStats {
    /// Streams open now.
    pub connections: usize,
    /// Topics that a stream is in or that hold history.
    pub topics: usize,
    /// Events published to topics, and broadcasts. Events sent to a single stream do not count.
    pub published: u64,
    /// Events handed to streams for writing, counted once for each stream.
    pub delivered: u64,
    /// Events that could not be delivered to a stream.
    pub dropped: u64,
    /// Streams closed because their clients did not read.
    pub slow_closes: u64,
    /// Bytes handed to streams for writing.
    pub bytes: u64,
    /// Events reported as published before they could be read here, because the backplane took longer than a second to
    /// hand them over.
    pub unconfirmed: u64,
    /// The state of the backplane. `None` without one.
    pub backplane: Option<Status>,
}

/// The longest key of a publish, in bytes.
const LONGEST_KEY: usize = 256;

/// Names of topics, such as an array, a slice, a `Vec`, or another iterator of strings.
///
/// ```
/// use helios::prelude::*;
///
/// async fn follow(sse: &SseService, orders: Vec<u64>) -> Result<SseStream, SseError> {
///     sse.subscribe(orders.iter().map(|order| format!("order:{order}"))).await
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of topics",
    label = "not a list of strings",
    note = "a stream may join several topics: for one of them write `[topic]`, as in `sse.subscribe([\"news\"])`"
)]
pub trait Topics: IntoIterator<Item: AsRef<str>> {}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator<Item: AsRef<str>>> Topics for I {}

impl SseService {
    pub(crate) fn new(streams: Arc<Streams>) -> Self {
        Self { streams }
    }

    /// Creates a detached handle that [`SseService::send_to_client`] reaches by its id. Return it from an `#[sse]`
    /// method to attach it. Until then it queues the events sent to it, up to 1,000 events or 1 MiB, and
    /// [`SseService::clients`] does not list it.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Reports;
    ///
    /// #[controller(prefix = "reports")]
    /// impl Reports {
    ///     #[sse]
    ///     fn run(&self, #[inject_sse] sse: SseService) -> SseStream {
    ///         let client = sse.create_connection();
    ///         let id = client.id();
    ///         // The task that makes the report needs only the id.
    ///         tokio::spawn(async move { sse.send_to_client(id, "the report").await });
    ///         client
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn create_connection(&self) -> SseStream {
        SseStream::known_to(&self.streams)
    }

    /// Returns the stream with this id on this server, detached or attached. `None` after it has ended.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn kick(sse: &SseService, id: ClientId) -> Result<(), HttpError> {
    ///     let client = sse.client(id).ok_or_else(|| HttpError::not_found("no such connection"))?;
    ///     client.close();
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn client(&self, id: ClientId) -> Option<SseStream> {
        self.streams.find(id).map(SseStream::of)
    }

    /// Returns all attached streams on this server, in no particular order. This builds a list. To send an event to all
    /// of them, use [`SseService::broadcast`].
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn ask_back(sse: &SseService) {
    ///     for client in sse.clients() {
    ///         client.reconnect_after(Duration::from_secs(5));
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn clients(&self) -> Vec<SseStream> {
        let clients = self.streams.live().into_iter();
        clients.map(SseStream::of).collect()
    }

    /// Sends an event to one stream, unchanged. The interceptors of its route do not see it. This never waits for the
    /// client. A client that is too far behind is closed, or with `SlowClients::DropOldest` loses its oldest events.
    /// `Ok` means that the event is queued after everything published so far. It is not resumed, so a client that is
    /// cut before it has read the event does not get it again.
    ///
    /// With a backplane, the stream may be on another server, which its id names. `Ok` then means that the event was
    /// handed to that server, and that the server is alive. Errors that happen there, such as a stream that has just
    /// ended, are not reported. The event comes after everything published before. In a process with several hubs, a
    /// handle made by [`SseStream::new`] is found only on its own server.
    ///
    /// Cancel-safe: a dropped future has sent the event or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::NoSuchClient`] if no stream has this id or its server is down. [`SseError::Closed`] if the stream
    /// has ended or was just closed as too slow. [`SseError::Full`] if it is at its limit while detached or while it
    /// waits for a reset or snapshot hook. [`SseError::OwnId`] for an event with an id if the stream has joined topics.
    /// [`SseError::Event`], [`SseError::Reserved`] or [`SseError::TooLarge`] for an event that cannot be written.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn answer(sse: &SseService, to: ClientId) -> Result<(), SseError> {
    ///     sse.send_to_client(to, SseEvent::json(json!({ "answer": 42 })).event("answer")).await
    /// }
    /// ```
    pub async fn send_to_client(
        &self,
        id: ClientId,
        event: impl IntoSseEvent,
    ) -> Result<(), SseError> {
        self.streams.send_to(id, event.into_sse_event()).await
    }

    /// Closes all streams of a user on all servers behind the backplane, as [`SseStream::close`] does. Use it when a
    /// user logs out or loses a right. [`ConnectionLimits::user`](crate::sse::ConnectionLimits::user) identifies the
    /// user of a stream. Without it, the streams here belong to no user. Streams opened later are left alone, so refuse
    /// the user in your app first. Another request that is opening a stream meanwhile may have passed the guards before that. It
    /// is answered as if there were no room, so the client comes back, and the guards decide again.
    ///
    /// Streams on this server end at once. A server that is cut off ends its streams when it is back, if that is within
    /// an hour. It does not, if the backplane begins a new epoch in the meantime.
    ///
    /// If the future is dropped, the streams on this server have ended. Those on other servers may or may not have.
    ///
    /// # Errors
    ///
    /// [`SseError::TooLarge`] for a name that is larger than an event may be. [`SseError::Backplane`] if the backplane
    /// fails. Streams on other servers may then still be open, so call this again.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn log_out(sse: &SseService, user: u64) -> Result<(), SseError> {
    ///     sse.disconnect_user(user.to_string()).await
    /// }
    /// ```
    pub async fn disconnect_user(&self, user: impl AsRef<str>) -> Result<(), SseError> {
        self.streams.disconnect(user.as_ref()).await
    }

    /// Publishes an event to all streams in the topic and returns its id. Clients that come back later get it too, as
    /// long as the topic's history holds it. The event is encoded once and shared.
    ///
    /// This never waits for a client, but yields to the runtime now and then, so that a tight loop of publishes does
    /// not starve the readers. Without a backplane it is cancel-safe: a dropped future has published or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::Event`], [`SseError::Reserved`], [`SseError::OwnId`] or [`SseError::TooLarge`] for an event that
    /// cannot be published. [`SseError::InvalidTopic`], [`SseError::TooManyTopics`] or [`SseError::TopicFinished`] for
    /// the topic. [`SseError::Backplane`] if the backplane fails.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn ship(sse: SseService, order: u64, user: u64) -> Result<(), SseError> {
    ///     let shipped = SseEvent::json(json!({ "order": order })).event("shipped");
    ///     // All tabs of this user, whatever servers they are on.
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
        self.streams.publish(topic, &event, None).await
    }

    /// Publishes as [`SseService::publish`] does, with options.
    ///
    /// # Errors
    ///
    /// As [`SseService::publish`], and [`SseError::InvalidKey`] for a key that is empty or longer than 256 bytes.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::sse::PublishOptions;
    ///
    /// async fn paid(sse: &SseService, order: u64) -> Result<(), SseError> {
    ///     let once = PublishOptions::default().key(format!("{order}-paid"));
    ///     sse.publish_with("orders", SseEvent::json(order).event("paid"), &once).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn publish_with(
        &self,
        topic: impl AsRef<str>,
        event: impl IntoSseEvent,
        options: &PublishOptions,
    ) -> Result<EventId, SseError> {
        let topic = topic.as_ref();
        check_name(topic)?;
        let key = options.key_text();
        if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
            return Err(SseError::InvalidKey);
        }
        let event = event.into_sse_event();
        self.streams.publish_once(topic, &event, key).await
    }

    /// Publishes several events in this order, each to its own topic, and returns a result for each. With a backplane
    /// this takes one round trip instead of one for each event. An event that cannot be published does not keep the
    /// others back.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn tick(sse: &SseService, prices: Vec<(String, f64)>) {
    ///     let events = prices.into_iter().map(|(share, price)| (format!("price:{share}"), SseEvent::json(price)));
    ///     for failed in sse.publish_all(events).await.into_iter().filter_map(Result::err) {
    ///         eprintln!("a price was not published: {failed}");
    ///     }
    /// }
    /// ```
    pub async fn publish_all<T, E>(
        &self,
        events: impl IntoIterator<Item = (T, E)>,
    ) -> Vec<Result<EventId, SseError>>
    where
        T: Into<String>,
        E: IntoSseEvent,
    {
        let events = events.into_iter().map(|(topic, event)| {
            let topic = topic.into();
            let encoded = check_name(&topic);
            let hub = &self.streams.hub;
            let encoded = encoded.and_then(|()| hub.encode_unnumbered(&event.into_sse_event()));
            (topic, encoded)
        });
        self.streams.publish_all(events.collect()).await
    }

    /// Checks whether events can be published now. Use it for the health check of a load balancer.
    ///
    /// # Errors
    ///
    /// [`SseError::Backplane`] while the backplane cannot be reached or has not started.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Health {
    ///     sse: SseService,
    /// }
    ///
    /// #[controller(prefix = "health")]
    /// impl Health {
    ///     #[get("ready")]
    ///     fn ready(&self) -> Result<&str, SseError> {
    ///         self.sse.check_ready()?;
    ///         Ok("ready")
    ///     }
    /// }
    /// ```
    pub fn check_ready(&self) -> Result<(), SseError> {
        match self.streams.replication() {
            Some(replication) => replication.reached().map(drop).map_err(SseError::Backplane),
            None => Ok(()),
        }
    }

    /// Returns a response that streams the events of this handle, for handlers that are not `#[sse]` methods, such as
    /// `#[get]` methods, layers and mounted services. A handler gets `head` as an argument of type `Parts`. The stream
    /// belongs to this app. It is resumed, counted, limited and drained like the streams of `#[sse]` methods, but has
    /// no hooks.
    ///
    /// The response to a POST is a plain stream, as with an `#[sse]` method. Some requests get no stream, and the
    /// handle is closed as [`CloseReason::Rejected`](helios_core::sse::CloseReason::Rejected):
    ///
    /// - A client that has seen the end of its stream gets 204.
    /// - A client over a limit gets `helios:overloaded`, or 503 if the stream is plain.
    /// - A HEAD request gets the head alone.
    ///
    /// For a handle that cannot be attached, the response is a 500 with problem JSON. Prefer an `#[sse]` route, which
    /// does all of this itself, with an [`SseReply`](crate::sse::SseReply) if it may return something else.
    ///
    /// Cancel-safe: dropping the future is treated as a client that has disconnected.
    ///
    /// ```
    /// use helios::axum_core::response::Response;
    /// use helios::prelude::*;
    /// use helios::testing::TestApp;
    ///
    /// #[derive(Injectable)]
    /// struct News {
    ///     sse: SseService,
    /// }
    ///
    /// #[controller(prefix = "news")]
    /// impl News {
    ///     #[get]
    ///     async fn news(&self, head: http::request::Parts) -> Result<Response, SseError> {
    ///         let client = self.sse.subscribe(["news"]).await?;
    ///         Ok(self.sse.respond(head, client).await)
    ///     }
    /// }
    ///
    /// #[server(controllers = [News])]
    /// struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = TestApp::start(App).unwrap();
    /// let mut news = app.sse("/news").await;
    /// assert_eq!(news.next().await.unwrap().event, "helios:ready");
    /// # }
    /// ```
    pub async fn respond(&self, head: Parts, stream: SseStream) -> Response {
        respond(&self.streams, head, stream).await
    }

    /// Finishes a topic, so that nothing can be published to it any more. Returns the id of the end, which has its
    /// place among the topic's events. [`SseService::finish_with`] also publishes a last event.
    ///
    /// Clients in the topic read everything that was published to it. A stream ends with `helios:end`, as
    /// [`CloseReason::Completed`](helios_core::sse::CloseReason::Completed), once all of these hold:
    ///
    /// - It has joined at least one topic, and all of its topics are finished and read.
    /// - Its generator or producer no longer runs.
    /// - The app keeps no handle of it.
    ///
    /// If the app keeps its [`SseStream`], for instance in a task that waits for [`SseStream::closed`], the stream
    /// stays open until the handle is dropped or the stream is closed. A dropped handle is noticed at the next
    /// heartbeat. A stream that is also in other topics continues with them.
    ///
    /// A client that joins later gets the events it requests, and at least the last event if there was one, and then
    /// the end. If memory was short and that event was dropped, the client gets a `helios:reset`. A client whose id
    /// lies after the end, or that begins there, gets the end alone. The topic stays finished, and counts as a topic,
    /// for as long as its history is kept (`age`, counted from the end). Then its name is free again.
    ///
    /// With a backplane, the topic is finished on all servers, as long as the backplane remembers it too.
    ///
    /// # Errors
    ///
    /// [`SseError::TopicFinished`] if it is finished already. Otherwise as [`SseService::publish`].
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::testing::TestApp;
    ///
    /// #[derive(Injectable)]
    /// struct Jobs;
    ///
    /// #[controller(prefix = "jobs")]
    /// impl Jobs {
    ///     #[sse("{job}")]
    ///     async fn follow(&self, #[param] job: u64, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
    ///         sse.subscribe([format!("job:{job}")]).await
    ///     }
    /// }
    /// # #[server(controllers = [Jobs], sse(enabled = true))]
    /// # struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = TestApp::start(App).unwrap();
    /// let early = app.sse("/jobs/7").await;
    /// app.sse_service().finish_with("job:7", "done").await.unwrap();
    /// let late = app.sse("/jobs/7").await;
    /// for mut stream in [early, late] {
    ///     let events = stream.rest().await;
    ///     let names: Vec<_> = events.iter().map(|event| &*event.event).collect();
    ///     assert_eq!(names, ["helios:ready", "message", "helios:end"]);
    ///     assert_eq!(events[1].data, "done");
    /// }
    /// let refused = app.sse_service().publish("job:7", "more").await;
    /// assert!(matches!(refused, Err(SseError::TopicFinished(_))));
    /// # }
    /// ```
    pub async fn finish(&self, topic: impl AsRef<str>) -> Result<EventId, SseError> {
        let topic = topic.as_ref();
        check_name(topic)?;
        self.streams.finish(topic, None).await
    }

    /// Publishes a last event to a topic and finishes it in one step, so that no other event comes between. See
    /// [`SseService::finish`].
    ///
    /// # Errors
    ///
    /// As [`SseService::finish`]. If the event cannot be published, the topic is not finished.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn build(sse: SseService, job: u64) -> Result<(), SseError> {
    ///     let topic = format!("job:{job}");
    ///     for step in ["compile", "test"] {
    ///         sse.publish(&topic, SseEvent::text(step).event("step")).await?;
    ///     }
    ///     sse.finish_with(&topic, SseEvent::text("success").event("result")).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn finish_with(
        &self,
        topic: impl AsRef<str>,
        last: impl IntoSseEvent,
    ) -> Result<EventId, SseError> {
        let topic = topic.as_ref();
        check_name(topic)?;
        let last = last.into_sse_event();
        self.streams.finish(topic, Some(&last)).await
    }

    /// Creates a handle that has joined these topics. An `#[sse]` method may simply return it.
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
    pub async fn subscribe(&self, topics: impl Topics) -> Result<SseStream, SseError> {
        self.subscribe_from(topics, Replay::Live).await
    }

    /// Creates a handle that has joined these topics. For a client that sends no id, each topic begins where the
    /// [`Replay`] says. See [`SseStream::join_from`].
    ///
    /// # Errors
    ///
    /// As [`SseStream::join`].
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Jobs;
    ///
    /// #[controller(prefix = "jobs")]
    /// impl Jobs {
    ///     #[sse("{job}")]
    ///     async fn log(&self, #[param] job: u64, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
    ///         sse.subscribe_from([format!("job:{job}")], Replay::Earliest).await
    ///     }
    /// }
    /// ```
    pub async fn subscribe_from(
        &self,
        topics: impl Topics,
        from: impl Into<Replay>,
    ) -> Result<SseStream, SseError> {
        let client = self.create_connection();
        let from = from.into();
        let topics = topics.into_iter();
        let topics = topics.map(|topic| topic.as_ref().to_owned()).collect();
        client.state.join_all(topics, from).await?;
        Ok(client)
    }

    /// Returns the newest id that this hub has assigned. Call it first, then load the data that a page shows, and let
    /// the page's stream join from this id. Then no event published in between is missing, provided that you store each
    /// change before you publish it. The loaded data may already contain changes of later events.
    ///
    /// With a backplane, it is the newest id that has arrived at this server.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Scores {
    ///     sse: SseService,
    /// }
    ///
    /// #[controller(prefix = "scores")]
    /// impl Scores {
    ///     #[get]
    ///     async fn load(&self) -> serde_json::Value {
    ///         let since = self.sse.newest_id(); // first the id,
    ///         let scores = read_scores().await; // then the data
    ///         json!({ "scores": scores, "since": since.to_string() })
    ///     }
    ///
    ///     #[sse("live")]
    ///     async fn live(&self, #[query] since: String) -> Result<SseStream, HttpError> {
    ///         let since: EventId = since.parse().map_err(|_| HttpError::bad_request("`since` is no event id"))?;
    ///         Ok(self.sse.subscribe_from(["scores"], since).await?)
    ///     }
    /// }
    /// # use helios::EventId;
    /// # async fn read_scores() -> Vec<u64> { Vec::new() }
    /// ```
    #[must_use]
    pub fn newest_id(&self) -> EventId {
        self.streams.hub.newest_id()
    }

    /// Returns the attached streams in the topic on this server. It checks every stream of the app, so use it for an
    /// occasional list, not for each event.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Name(String);
    ///
    /// fn who_is_in(sse: &SseService, room: &str) -> Vec<String> {
    ///     let clients = sse.clients_in(room);
    ///     clients.iter().filter_map(|client| Some(client.get::<Name>()?.0)).collect()
    /// }
    /// ```
    #[must_use]
    pub fn clients_in(&self, topic: impl AsRef<str>) -> Vec<SseStream> {
        let topic = topic.as_ref();
        let clients = self.streams.live().into_iter();
        let members = clients.filter(|client| client.is_in(topic));
        members.map(SseStream::of).collect()
    }

    /// Returns the members that [appear](SseStream::appear) in a topic, on all servers. The
    /// [status](helios_core::presence::MemberStatus) of each shows how certain that is.
    ///
    /// If the backplane cannot be reached, this returns the members last found here, with their [age](Present::age).
    /// The list is never empty just because the backplane did not answer. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`SseError::Presence`] if presence is off in the topic or the backplane does not support members.
    /// [`SseError::Backplane`] if the backplane fails and no members were found before.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Rooms {
    ///     sse: SseService,
    /// }
    ///
    /// #[controller(prefix = "rooms")]
    /// impl Rooms {
    ///     #[get("{room}/people")]
    ///     async fn people(&self, #[param] room: &str) -> Result<serde_json::Value, SseError> {
    ///         let here = self.sse.present(format!("room:{room}")).await?;
    ///         Ok(json!({ "at": here.at().to_string(), "people": here.members() }))
    ///     }
    /// }
    /// ```
    pub async fn present(&self, topic: impl AsRef<str>) -> Result<Present, SseError> {
        self.streams.presence().present(topic.as_ref()).await
    }

    /// Sends an event to every attached stream, as [`SseService::publish`] does to those in a topic. A stream that has
    /// joined no topic gets it without an id and does not resume it. A plain stream gets it only if it has joined a
    /// topic. Cancel-safe as `publish` is.
    ///
    /// # Errors
    ///
    /// As [`SseService::publish`], except those for the topic.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn announce(sse: &SseService) -> Result<(), SseError> {
    ///     sse.broadcast(SseEvent::text("down for an hour at noon").event("announcement")).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn broadcast(&self, event: impl IntoSseEvent) -> Result<EventId, SseError> {
        let event = event.into_sse_event();
        self.streams.publish(EVERYONE, &event, None).await
    }

    /// Sends an event to every attached stream except one, such as the stream that caused it. A client that reconnects
    /// is another stream, and may get the event if it resumes.
    ///
    /// # Errors
    ///
    /// As [`SseService::broadcast`].
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// async fn moved(sse: &SseService, by: ClientId, x: u32, y: u32) -> Result<(), SseError> {
    ///     sse.broadcast_except(by, SseEvent::json(json!([x, y])).event("moved")).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn broadcast_except(
        &self,
        except: ClientId,
        event: impl IntoSseEvent,
    ) -> Result<EventId, SseError> {
        let event = event.into_sse_event();
        self.streams.publish(EVERYONE, &event, Some(except)).await
    }

    /// Returns the counters of this app on this server.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [], sse(enabled = true))]
    /// struct App;
    ///
    /// let app = Helios::new(App);
    /// let sse = app.sse();
    /// assert_eq!(sse.stats().connections, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> SseStats {
        let hub = &self.streams.hub;
        let counters = &hub.counters;
        SseStats {
            connections: self.streams.live_count(),
            topics: self.streams.hub.topics.count(),
            published: counters.published.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            slow_closes: counters.slow_closes.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            unconfirmed: counters.unconfirmed.load(Ordering::Relaxed),
            backplane: self.streams.replication().map(|it| it.status()),
        }
    }
}
