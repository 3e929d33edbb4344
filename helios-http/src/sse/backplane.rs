//! The backplane, which joins the hubs of several servers, or of one server before and after a restart.

mod arriving;
mod catching_up;
mod nodes;
mod payload;
mod questions;
pub(crate) mod replication;
mod sink;
mod tables;
mod watching;

use helios_core::hub::EventId;

pub use crate::future::BoxFuture;
pub use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
pub use helios_core::presence::table::{
    Lease, MemberChange, MemberChangeKind, MemberRow, PutAnswer,
};
pub use helios_core::sse::NodeId;
pub use questions::{
    Ask, History, PastEvent, Publish, Started, Startup, Status, Watched, WatchedTopic,
};
pub use sink::{BackplaneEvent, BackplaneSink};
pub use tables::{LocalTables, Tables};
pub(crate) use watching::SLICE;

/// Joins the hubs of several servers, so that an event published on one reaches the clients of all. Or it keeps the
/// events of one server beyond the life of its process.
///
/// Each hub keeps its own rings and serves its clients from them. The backplane numbers the events, carries them, and
/// remembers them for a while. [`helios::testing::backplane`](crate::testing::backplane) tests an implementation by
/// trying to make it break the guarantees below.
///
/// # What an implementor guarantees
///
/// * **Ids.** There is one sequence for all topics and servers. A later event has a greater number, and no id is
///   assigned twice. A backplane that may have lost its count continues with another [epoch](EventId::epoch), and never
///   returns to an old one. It hands over [`BackplaneEvent::Torn`] with the newest id of the new epoch at once. All
///   clients are then notified, without being disconnected, that they have missed events (`helios:reset`).
/// * **Order.** The sink receives events in the order of their ids, over all topics. The answers to
///   [`watch`](Self::watch) have their place in that order. One caller at a time hands events over, and it may hold a
///   lock.
/// * **Before and after.** An event for which [`publish`](Self::publish) has returned `Ok` is found by every later
///   [`history`](Self::history), as long as the topic's limits keep it. It is as durable as the backplane says. History
///   contains everything up to any id that the backplane has returned, in an answer, a `newest` or a `prev`. An event
///   whose publish returned an error is not there, unless the error is of the kind
///   [`Unknown`](BackplaneErrorKind::Unknown).
/// * **Keys.** Publishing an event with the same key ([`Publish::key`]) again within [`Startup::keep_keys`] publishes
///   nothing and returns the id of the first event.
/// * **Ends.** The publish that finishes a topic is an event of it, in its place, and the last one. Anything published
///   to the topic after that is refused as [`Finished`](BackplaneErrorKind::Finished) where ids are assigned. That
///   holds for at least a minute longer than any hub keeps history of the topic, however much of the history is
///   trimmed. Hubs ignore events numbered after the end.
/// * **Loss.** A link that may have lost events reports it with [`BackplaneEvent::Torn`] or [`BackplaneEvent::Gap`]
///   before it hands over anything later. The hub then holds the readers and requests [`history`](Self::history). Only
///   if that fails are clients notified. A loss that the link does not notice is found by the `prev` of the topic's
///   next event, or within half a minute, when the hub watches all of its topics again. A client of several topics that
///   moves to another server before then misses the lost events without notice. Watches outlive the link. When it is up
///   again, the backplane subscribes to them itself.
/// * **Down.** While the backplane cannot be reached, [`status`](Self::status) returns that, [`BackplaneEvent::Link`]
///   reports the change, and every call fails at once. `status` is up again before `Torn` is handed over, because the
///   hub requests history then, and before `start` returns.
///
/// Topics are any UTF-8 of 1 to 256 bytes, including `*` and `helios:..`. The topics of one call are distinct, and at
/// most 256. The hub calls nothing before [`start`](Self::start) has returned, and nothing after [`stop`](Self::stop).
/// All futures may be dropped half-way. The hub drops one that takes too long, `publish` after 10 seconds, and
/// everything else except `start` after 5. Futures may be polled on any thread.
///
/// # Example
///
/// A minimal backplane that has a single hub and remembers everything:
///
/// ```
/// use helios::backplane::{
///     Ask, Backplane, BackplaneError, BackplaneErrorKind, BackplaneEvent, BackplaneSink, BoxFuture, History, NodeId, PastEvent,
///     Publish, Started, Startup, Status, Watched, WatchedTopic,
/// };
/// use helios::prelude::*;
/// use helios::sse::EventId;
/// use std::collections::{HashMap, HashSet};
/// use std::sync::Mutex;
/// use std::time::SystemTime;
///
/// struct InMemory(Mutex<State>);
///
/// #[derive(Default)]
/// struct State {
///     epoch: u64,
///     newest: u64,
///     topics: HashMap<String, Past>,
///     watched: HashSet<String>,
///     sink: Option<BackplaneSink>,
/// }
///
/// #[derive(Default)]
/// struct Past {
///     events: Vec<PastEvent>,
///     finish: Option<PastEvent>,
///     keys: HashMap<String, EventId>,
/// }
///
/// impl InMemory {
///     fn new() -> Self {
///         // Random, so that each run has its own.
///         let epoch = uuid::Uuid::new_v4().as_u128() as u64;
///         Self(Mutex::new(State { epoch, ..State::default() }))
///     }
///
///     /// Numbers and hands over under one lock, so that both happen in the same order.
///     fn append(&self, publish: &Publish<'_>) -> Result<EventId, BackplaneError> {
///         let state = &mut *self.0.lock().unwrap();
///         let past = state.topics.entry(publish.topic.to_owned()).or_default();
///         if let Some(id) = publish.key.and_then(|key| past.keys.get(key)) {
///             return Ok(*id);
///         }
///         if past.finish.is_some() {
///             return Err(BackplaneErrorKind::Finished.into());
///         }
///         state.newest += 1;
///         let id = EventId::new(state.epoch, state.newest);
///         let event = PastEvent::new(id, SystemTime::now(), publish.bytes.clone());
///         past.finish = publish.finishes.then(|| event.clone());
///         past.keys.extend(publish.key.map(|key| (key.to_owned(), id)));
///         let prev = past.events.last().map(|event| event.id);
///         past.events.push(event.clone());
///         if let (Some(sink), true) = (&state.sink, state.watched.contains(publish.topic)) {
///             sink.accept(BackplaneEvent::event(publish.topic, event, prev));
///         }
///         Ok(id)
///     }
///
///     fn remembered(&self, ask: &Ask<'_>) -> History {
///         let state = self.0.lock().unwrap();
///         let all = state.topics.get(ask.topic).map_or(&[][..], |past| &past.events);
///         match ask.after {
///             Some(after) if after.epoch() != state.epoch => History::Gone,
///             after => ask.answer(all.iter().filter(|event| after.is_none_or(|after| event.id.is_after(after) == Some(true)))),
///         }
///     }
///
///     fn watch_all(&self, topics: &[&str]) -> Watched {
///         let state = &mut *self.0.lock().unwrap();
///         state.watched.extend(topics.iter().map(|topic| topic.to_string()));
///         let of_topic = |topic: &&str| match state.topics.get(*topic) {
///             Some(past) => WatchedTopic::new(past.events.last().map(|event| event.id), past.finish.clone()),
///             None => WatchedTopic::default(),
///         };
///         Watched::new(EventId::new(state.epoch, state.newest), topics.iter().map(of_topic).collect())
///     }
/// }
///
/// impl Backplane for InMemory {
///     fn name(&self) -> &'static str {
///         "in memory"
///     }
///
///     fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
///         let mut state = self.0.lock().unwrap();
///         state.sink = Some(startup.sink);
///         let newest = EventId::new(state.epoch, state.newest);
///         Box::pin(async move { Ok(Started::at(newest)) })
///     }
///
///     fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
///         Box::pin(async move { self.append(&event) })
///     }
///
///     fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
///         Box::pin(async move { Ok(self.remembered(&ask)) })
///     }
///
///     fn watch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
///         Box::pin(async move { Ok(self.watch_all(topics)) })
///     }
///
///     fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
///         Box::pin(async move {
///             let mut state = self.0.lock().unwrap();
///             topics.iter().for_each(|topic| drop(state.watched.remove(*topic)));
///             Ok(())
///         })
///     }
///
///     fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
///         Box::pin(async { Ok(()) })
///     }
///
///     fn is_alive(&self, _: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
///         // There is no other node.
///         Box::pin(async { Ok(false) })
///     }
///
///     fn status(&self) -> Status {
///         Status::Up
///     }
/// }
///
/// # #[derive(Injectable)] struct News;
/// # #[controller] impl News {
/// #     #[sse("news")]
/// #     async fn news(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> { sse.subscribe(["news"]).await }
/// # }
/// # #[server(controllers = [News], sse(enabled = true))] struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::Error> {
/// let app = Helios::new(App).backplane(InMemory::new());
/// # let sse = app.sse();
/// # let app = helios::testing::TestServer::start(app).await?;
/// # while sse.check_ready().is_err() { tokio::task::yield_now().await; }
/// # let options = helios::sse::PublishOptions::default().key("once");
/// # let first = sse.publish_with("news", "it rains", &options).await.unwrap();
/// # assert_eq!(sse.publish_with("news", "it rains", &options).await.unwrap(), first);
/// # sse.finish("news").await.unwrap();
/// # assert!(matches!(sse.publish("news", "more").await, Err(SseError::TopicFinished(_))));
/// # app.stop().await
/// # }
/// ```
pub trait Backplane: Send + Sync + 'static {
    /// Returns the name for logs, such as `redis`.
    fn name(&self) -> &'static str;

    /// Connects. Called once, in a tokio runtime. The [sink](Startup::sink) receives everything that arrives from then
    /// on. Returns the newest id that was assigned, which is number 0 of a new sequence. The node's lease begins.
    ///
    /// # Errors
    ///
    /// An error keeps the app from starting.
    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>>;

    /// Disconnects, gives up the node's lease, and ends spawned tasks. Called after everything else when the app has
    /// shut down, but not when the app is dropped. The default does nothing.
    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Publishes to all hubs that watch the topic, including this one, and returns the event's id. The event may reach
    /// the sink before or after that.
    ///
    /// # Errors
    ///
    /// The [kind](BackplaneErrorKind) says whether the event may have been published. The publisher receives the error.
    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>>;

    /// Publishes several events, at most 256, in this order, each as [`publish`](Self::publish) does, and returns a
    /// result for each. The default publishes one after the other.
    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(events.len());
            for event in events {
                answers.push(self.publish(event).await);
            }
            answers
        })
    }

    /// Returns the events published to a topic so far, whether the sink has received them or not. It may be called for
    /// any topic, watched or not, and with an id of another topic or of another epoch ([`History::Gone`]).
    ///
    /// # Errors
    ///
    /// An error counts as [`History::Gone`], and so does a call that takes longer than 5 seconds.
    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>>;

    /// Starts to hand the events of these topics to the sink. The answer has its place among the events. Every event of
    /// these topics up to its [id](Watched::newest) that is to be handed over has been, and every later one will be.
    ///
    /// The hub calls this again every half minute for topics that are watched already. In this way it finds out whether
    /// the [last](WatchedTopic::last) event of a quiet topic was lost.
    ///
    /// # Errors
    ///
    /// The clients that wanted to join receive the error, and the topics count as not watched. Events of them do no
    /// harm. The hub watches them again when another client joins, or calls [`unwatch`](Self::unwatch).
    fn watch<'a>(&'a self, topics: &'a [&'a str])
    -> BoxFuture<'a, Result<Watched, BackplaneError>>;

    /// Ends a watch, because no client here reads these topics any more. The hub calls this even while the backplane is
    /// down, which must then not subscribe to them when it is back. It does not watch them again before this has
    /// returned or has taken 5 seconds. It may be called for a topic whose watch has failed or was dropped half-way.
    ///
    /// # Errors
    ///
    /// An error is logged.
    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>>;

    /// Renews the lease of this [node](Startup::node) for another 15 seconds, or creates a new one if it has expired.
    /// Called every 5 seconds.
    ///
    /// # Errors
    ///
    /// An error is logged. A lease that is not renewed in time expires.
    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>>;

    /// Returns whether this node's lease is alive. If it is, the node will read events sent to its clients.
    ///
    /// # Errors
    ///
    /// The sender receives the error.
    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>>;

    /// Returns the tables of members, if the backplane has them. Presence needs them. The default returns none.
    fn tables(&self) -> Option<&dyn Tables> {
        None
    }

    /// Returns whether the backplane is reachable now. Called for each publish and each join, so it must be cheap.
    fn status(&self) -> Status;
}
