//! What joins the hubs of several servers, or of one server before and after a restart.

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

/// Joins the hubs of several servers, so that what is published on one reaches the clients of all. Or it keeps the events of one server
/// beyond its process.
///
/// Each hub keeps rings of its own and serves its clients from them; the backplane numbers the events, carries them and
/// remembers them for a while. [`helios::testing::backplane`](crate::testing::backplane) tests an implementation, by trying to make
/// it break what is promised here.
///
/// # What an implementor guarantees
///
/// * **Ids.** There is one sequence for all topics and servers. A later event has a greater number, and no id is given out
///   twice: a backplane that may have lost its count goes on with another [epoch](EventId::epoch), and never comes back
///   to an old one. It hands over [`BackplaneEvent::Torn`] with the newest id of the new one at once. Then all clients are told, without
///   being disconnected, that they have missed something (`helios:reset`).
/// * **Order.** A sink is handed events in the order of their ids, over all topics. The answers to [`watch`](Self::watch)
///   have their place in that order. One caller at a time hands over; it may hold a lock.
/// * **Before and after.** What [`publish`](Self::publish) has answered `Ok` is found by every [`history`](Self::history) that is asked
///   later, as long as the topic's limits keep it, and is as durable as the backplane says. History has everything up to any id that was
///   told: as an answer, a `newest`, a `prev`. What was answered with an error is not there, unless the error is of the kind
///   [`Unknown`](BackplaneErrorKind::Unknown).
/// * **Keys.** An event that is published with a key ([`Publish::key`]) a second time within [`Startup::keep_keys`] is the first one: nothing
///   is published, and the answer is the first id.
/// * **Ends.** What finishes a topic is an event of it, in its place, and the last one. Whatever is published to the topic after
///   that is refused, as [`Finished`](BackplaneErrorKind::Finished), where ids are given out. That holds for at least as long as any hub
///   keeps history of the topic, and a minute more, however much of the history is trimmed. Hubs ignore what is numbered behind the end.
/// * **Loss.** A link that may have lost something says so, by [`BackplaneEvent::Torn`] or [`BackplaneEvent::Gap`], before
///   it hands over anything later. The hub then holds the readers, asks for [`history`](Self::history), and only if that
///   fails are clients told. A loss that the link does not notice is found by the `prev` of the topic's next event, or within half a
///   minute, when the hub watches all of its topics anew. A client of several topics that moves to another server before then misses the
///   lost events without being told. Watches outlive the link: when it is up again, the backplane subscribes to them itself.
/// * **Down.** While it cannot be reached, [`status`](Self::status) says so, [`BackplaneEvent::Link`] tells the change, and everything that
///   is asked of it fails at once. `status` is up again before `Torn` is handed over, as the hub asks for history then; and before `start`
///   is answered.
///
/// Topics are any UTF-8 of 1 to 256 bytes, `*` and `helios:..` among them; those of one question are distinct, and 256 at most. Nothing is
/// asked before [`start`](Self::start) has been answered, nor behind [`stop`](Self::stop). All futures may be dropped half-way; the hub
/// drops one that takes too long: `publish` after 10 seconds, and everything else but `start` after 5. They may be polled on any thread.
///
/// # Example
///
/// The smallest one has a single hub and remembers everything:
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
///         // Random, so that no other run has the same.
///         let epoch = uuid::Uuid::new_v4().as_u128() as u64;
///         Self(Mutex::new(State { epoch, ..State::default() }))
///     }
///
///     /// Numbers and hands over under one lock, so that the order is the same.
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
    /// Names it, for logs: `redis`.
    fn name(&self) -> &'static str;

    /// Connects. Called once, in a tokio runtime; the [sink](Startup::sink) takes what arrives from then on. Gives the newest id that
    /// was given out; of a new sequence that is its number 0. The node's lease begins.
    ///
    /// # Errors
    ///
    /// An error keeps the app from starting.
    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>>;

    /// Disconnects, gives the node's lease up, and ends what was spawned. Called when the app has shut down, after everything else;
    /// an app that is dropped does not call it. By default it does nothing.
    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Publishes to all hubs that watch the topic, this one included, and gives the event's id. It may reach the sink
    /// before or after that.
    ///
    /// # Errors
    ///
    /// The [kind](BackplaneErrorKind) says whether it may have been published. It goes to whoever publishes.
    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>>;

    /// Publishes several events, 256 at most, in this order, each as [`publish`](Self::publish) does, and gives an answer for each. By default one
    /// after the other.
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

    /// What was published to a topic, up to now, whether it has been handed to the sink or not. It may be asked of any topic, watched
    /// or not, and with an id of another topic, or of another epoch ([`History::Gone`]).
    ///
    /// # Errors
    ///
    /// An error counts as [`History::Gone`], and so does no answer for 5 seconds.
    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>>;

    /// Asks for the events of these topics, which are to be handed to the sink from now on. The answer has its place in what the link carries: every
    /// event of these topics up to its [id](Watched::newest) that is to be handed over has been, and every greater one will be.
    ///
    /// It is asked again of topics that are watched already, every half minute: so the hub finds out whether the
    /// [last](WatchedTopic::last) event of a quiet topic was lost on its way.
    ///
    /// # Errors
    ///
    /// An error goes to the clients that wanted to join, and the topics count as not watched; events of them do no harm. It is asked
    /// for again when somebody else joins, or [`unwatch`](Self::unwatch)ed.
    fn watch<'a>(&'a self, topics: &'a [&'a str])
    -> BoxFuture<'a, Result<Watched, BackplaneError>>;

    /// Ends a watch: nobody here reads these topics any more. It is asked also while the backplane is down, and they are not to be
    /// subscribed to when it is back. They are not watched again before this is answered, or has taken 5 seconds. It
    /// may be called for a topic whose watch has failed or was dropped half-way.
    ///
    /// # Errors
    ///
    /// An error is logged.
    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>>;

    /// Renews the lease of this [node](Startup::node) for another 15 seconds, or makes it anew if it has run out. Called every 5 seconds.
    ///
    /// # Errors
    ///
    /// An error is logged; a lease that is not renewed in time runs out.
    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>>;

    /// Whether this node's lease is alive, so that it will read what is sent to its clients.
    ///
    /// # Errors
    ///
    /// An error goes to whoever sends.
    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>>;

    /// Where members of topics are kept, if the backplane can do that: presence needs it. By default there is nothing.
    fn tables(&self) -> Option<&dyn Tables> {
        None
    }

    /// How the backplane is reached now. It costs nothing: it is asked for each publish and each join.
    fn status(&self) -> Status;
}
