//! [`SseService`]: the way to the streams of one app, from handlers and from outside.

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

/// Makes streams, finds them by id, and sends to all of them. A cheap handle: `#[inject_sse]` gives it to a
/// handler, a field of a controller gets it from the container, `Helios::sse` to everything else.
///
/// The streams are those of one app: two apps in one process do not share them.
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

/// Counts of one app, taken one after the other while it runs: they need not fit each other to the last event.
/// `connections` and `topics` are of now, the others since the app was made.
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
    /// Topics that somebody is in or that hold history.
    pub topics: usize,
    /// Events published to topics, and broadcast. What is sent to one stream is not counted.
    pub published: u64,
    /// Events handed to streams for writing: one for each that gets it.
    pub delivered: u64,
    /// Events that could not be delivered to a stream.
    pub dropped: u64,
    /// Streams closed because their clients did not read.
    pub slow_closes: u64,
    /// Bytes handed to streams for writing.
    pub bytes: u64,
    /// Events whose publishing was answered before they could be read here, as the backplane took longer than a second to hand
    /// them over.
    pub unconfirmed: u64,
    /// How the backplane is reached; `None` without one.
    pub backplane: Option<Status>,
}

/// The longest key with which something is published once, in bytes.
const LONGEST_KEY: usize = 256;

/// Names of topics: an array, a slice, a `Vec`, or another iterator over texts.
///
/// ```
/// use helios::prelude::*;
///
/// async fn follow(sse: &SseService, orders: Vec<u64>) -> Result<SseStream, SseError> {
///     sse.subscribe(orders.iter().map(|order| format!("order:{order}"))).await
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of topics",
    label = "no list of texts",
    note = "a stream may join several topics: for one of them write `[topic]`, as in `sse.subscribe([\"news\"])`"
)]
pub trait Topics: IntoIterator<Item: AsRef<str>> {}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator<Item: AsRef<str>>> Topics for I {}

impl SseService {
    pub(crate) fn new(streams: Arc<Streams>) -> Self {
        Self { streams }
    }

    /// A detached handle that [`SseService::send_to_client`] reaches by its id. Return it from an `#[sse]` method to
    /// attach it; until then it queues what it is sent, up to 1,000 events or 1 MiB, and is not among
    /// [`SseService::clients`].
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
    ///         // Whoever makes the report needs to know the id only.
    ///         tokio::spawn(async move { sse.send_to_client(id, "the report").await });
    ///         client
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn create_connection(&self) -> SseStream {
        SseStream::known_to(&self.streams)
    }

    /// The stream with this id, detached or attached, on this server. `None` once it is over.
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

    /// All attached streams on this server, in no order. It makes a list of them: for all to be told something, use
    /// [`SseService::broadcast`].
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

    /// Sends an event to one stream, as it is: interceptors of its route do not see it. It never waits for the
    /// client; one that is too far behind is closed, or with `SlowClients::DropOldest` loses what is oldest. `Ok` means that
    /// it is queued, behind everything that was published until now. It is not resumed: a client that is cut before it has
    /// read the event does not get it again.
    ///
    /// With a backplane the stream may be on another server: the id names it. Then `Ok` means that the event was handed to that server,
    /// which lives; what would be an error here, such as a stream that has ended meanwhile, is told to nobody. The event comes behind
    /// everything that was published before. The id of a handle that was made by [`SseStream::new`], in a process that has several
    /// hubs, is found on its own server alone.
    ///
    /// Cancel-safe: a dropped future has sent the event or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::NoSuchClient`] if no stream has this id, or its server is gone, [`SseError::Closed`] if it has ended or was just
    /// closed as too slow, [`SseError::Full`] if it is detached, or waits for a reset or snapshot hook, and is at its limit,
    /// [`SseError::OwnId`] for an event with an id if it has joined topics, [`SseError::Event`], [`SseError::Reserved`] or
    /// [`SseError::TooLarge`] for an event that cannot be written.
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

    /// Ends all streams of a user, as [`SseStream::close`] does, on this server and on all others behind the same backplane: of a user who has
    /// logged out, or has lost a right. Who a stream is of, [`ConnectionLimits::user`](crate::sse::ConnectionLimits::user) says; without it,
    /// streams here are of nobody. A stream that is opened later is left alone, so that the app has to refuse it first.
    ///
    /// Those of this server end at once. Another server that is cut off ends them when it is back, within an hour.
    ///
    /// Cancel-safe in so far as those of this server have ended; others may or may not.
    ///
    /// # Errors
    ///
    /// [`SseError::TooLarge`] for a name that is larger than an event may be, and [`SseError::Backplane`] if there is one and it fails: streams on
    /// other servers may go on, and it should be called again.
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

    /// Publishes an event to everyone who is in the topic, now or, within the topic's history, when they come back. The
    /// event is encoded once and shared. It gives the event's id.
    ///
    /// It never waits for a client, but yields to the runtime now and then, so that a tight loop of publishes does not
    /// starve the readers. Cancel-safe without a backplane: a dropped future has published or has not.
    ///
    /// # Errors
    ///
    /// [`SseError::Event`], [`SseError::Reserved`], [`SseError::OwnId`] or [`SseError::TooLarge`] for an event that
    /// cannot be published; [`SseError::InvalidTopic`], [`SseError::TooManyTopics`], or [`SseError::TopicFinished`];
    /// [`SseError::Backplane`] if there is one and it fails.
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
        self.streams.publish(topic, &event, None).await
    }

    /// Publishes as [`SseService::publish`] does, in another way.
    ///
    /// # Errors
    ///
    /// As [`SseService::publish`]; [`SseError::InvalidKey`] for a key of more than 256 bytes, or an empty one.
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

    /// Publishes several events, each to its topic, in this order, and gives an answer for each. With a backplane that is one journey
    /// and not one for each. What cannot be published keeps none of the others back.
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

    /// Says whether publishing can work: the check that a load balancer makes before it sends anybody here.
    ///
    /// # Errors
    ///
    /// [`SseError::Backplane`] while there is a backplane that cannot be reached, or is not started.
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

    /// The response that is the stream of this handle, for handlers that are no `#[sse]` methods: `#[get]` and the like, layers,
    /// mounted services. The request's head is an extractor there. The stream is one of this app's: it resumes, is counted,
    /// limited and drained as those of `#[sse]` methods are, and has no hooks.
    ///
    /// What answers a POST is a plain stream, as of an `#[sse]` method. A client that has seen the end of its stream is answered
    /// 204, one too many `helios:overloaded`, or 503 if the stream is plain, a HEAD request the head alone; the handle is closed then, as [`CloseReason::Rejected`](helios_core::sse::CloseReason::Rejected). A handle that cannot
    /// be attached is a 500, as problem JSON. A route that is annotated `#[sse]` says all of that itself: prefer it, with an
    /// [`SseReply`](crate::sse::SseReply) where it may answer otherwise.
    ///
    /// Cancel-safe: a dropped future is a client that has gone away.
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

    /// Finishes a topic: nothing is published to it any more. [`SseService::finish_with`] does so with a last event. It gives the
    /// id of the end, which has its place among the topic's events.
    ///
    /// Clients that are in the topic read everything that was published to it. A stream ends with `helios:end`, as
    /// [`CloseReason::Completed`](helios_core::sse::CloseReason::Completed), as soon as it has joined at least one topic, all of
    /// its topics are finished and read, and it lives by nothing else: its generator or producer runs no more, and no handle of
    /// it is kept. A stream whose [`SseStream`] the app keeps, be it in a task that waits for [`SseStream::closed`], stays open until
    /// that is dropped, which is noticed at the next heartbeat, or closed. A stream that is in other topics goes on with them.
    ///
    /// A client that joins later is given what it asks for of the topic, and at least the last event if there was one, and then
    /// the end. If that event is gone, as memory was short, the client is told by a `helios:reset`. One that brings an id from
    /// behind the end, or begins there, is given the end alone. For as long as the topic's history is kept (`age`, from the end
    /// on) the topic stays finished, and is counted as one. Then its name is free again.
    ///
    /// With a backplane the topic is finished on all servers, for as long as the backplane remembers that, too.
    ///
    /// # Errors
    ///
    /// [`SseError::TopicFinished`] if it is finished already; as [`SseService::publish`].
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

    /// Publishes a last event to a topic and finishes it, in one: nothing comes between. See [`SseService::finish`].
    ///
    /// # Errors
    ///
    /// As [`SseService::finish`]. An event that cannot be published finishes nothing.
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
    pub async fn subscribe(&self, topics: impl Topics) -> Result<SseStream, SseError> {
        self.subscribe_from(topics, Replay::Live).await
    }

    /// A handle that has joined these topics, each of which begins as the [`Replay`] says, for a client that brings no id. See
    /// [`SseStream::join_from`].
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

    /// Returns the newest id that this hub has given out. Take it, then load what a page shows, and let the page's stream join
    /// from it: nothing that was published meanwhile is missing. A snapshot may hold events behind that id already.
    ///
    /// This requires that you store a change before you publish it. With a backplane it is the newest id that has arrived here.
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
    ///         let scores = read_scores().await; // then the truth
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

    /// The attached streams that are in the topic, on this server. It looks at each stream of the app, so it is for
    /// lists that people ask for, not for each event.
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

    /// Returns who is in a topic, on all servers: those who [appear](SseStream::appear) there. Each has a
    /// [status](helios_core::presence::MemberStatus), which says how certain that is.
    ///
    /// If the backplane cannot be reached, it is what was found here last, with its [age](Present::age). It is never empty for lack of an
    /// answer. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`SseError::Presence`] if presence is off in the topic, or the backplane keeps no members; [`SseError::Backplane`] if it fails and
    /// nothing was found before.
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

    /// Sends an event to every attached stream, as [`SseService::publish`] does to those of a topic. On a stream
    /// that has joined no topic it is written without an id, and is not resumed; a plain one gets it only if it has joined one.
    /// Cancel-safe as `publish` is.
    ///
    /// # Errors
    ///
    /// As [`SseService::publish`], but for those of the topic.
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

    /// Sends an event to every attached stream but one, such as the one that caused it. A client that comes back is
    /// another stream, and if it resumes may get the event then.
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

    /// Counts of this app, on this server.
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
