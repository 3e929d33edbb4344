//! What joins the hubs of several servers.

pub(crate) mod replication;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use helios_core::hub::EventId;

pub use crate::future::BoxFuture;
use crate::sse::backplane::replication::Replication;

/// What a backplane gives when it fails: any error.
///
/// ```
/// use helios::backplane::BackplaneError;
///
/// let error: BackplaneError = "the link is down".into();
/// assert_eq!(error.to_string(), "the link is down");
/// ```
pub type BackplaneError = Box<dyn Error + Send + Sync>;

/// Stands before the hubs of several servers, so that what is published on one reaches the clients of all.
///
/// Each hub keeps rings of its own and serves its clients from them; the backplane numbers the events, carries them and
/// remembers them for a while. **Unstable**: its methods may change in any release.
///
/// # What an implementor guarantees
///
/// * **Ids.** There is one sequence for all topics and servers. A later event has a greater id, and no id is given out
///   twice: a backplane that may have lost its count goes on with another [epoch](EventId::epoch), and never comes back
///   to an old one. Then all clients are told in their place that they have missed something.
/// * **Order.** A sink is handed events in the order of their ids, over all topics. The answers to [`watch`](Self::watch)
///   have their place in that order.
/// * **Ends.** What finishes a topic is an event of it, in its place, and the last one. Whatever is published to the topic after
///   that is refused, with [`Finished`], where ids are given out: for at least as long as any hub keeps history of the topic,
///   and a minute more, however much of the history is trimmed. Hubs ignore what is numbered behind the end meanwhile.
/// * **Loss.** A link that may have lost something says so, by [`BackplaneEvent::Torn`] or [`BackplaneEvent::Gap`], before
///   it hands over anything later. The hub then holds the readers, asks for [`history`](Self::history), and only if that
///   fails are clients told. A loss that the link does not notice is found by the `prev` of the topic's next event; who
///   reads several topics, and before that event leaves and comes back elsewhere, misses what was lost without being told.
///
/// Nothing is asked before [`start`](Self::start) has been answered. All futures may be dropped half-way. The backplane is
/// dropped with its app: what it has spawned is to end then.
///
/// # Example
///
/// The smallest one has a single hub and remembers everything:
///
/// ```
/// use helios::backplane::{
///     Backplane, BackplaneError, BackplaneEvent, BackplaneSink, BoxFuture, Finished, History, PastEvent, Watched,
/// };
/// use helios::prelude::*;
/// use helios::sse::EventId;
/// use std::collections::{HashMap, HashSet};
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct InMemory(Mutex<State>);
///
/// #[derive(Default)]
/// struct State {
///     epoch: u64,
///     newest: u64,
///     log: HashMap<String, Vec<PastEvent>>,
///     watched: HashSet<String>,
///     finished: HashMap<String, PastEvent>,
///     sink: Option<BackplaneSink>,
/// }
///
/// impl InMemory {
///     /// Numbers and hands over under one lock, so that the order is the same.
///     fn append(&self, topic: &str, bytes: bytes::Bytes, finishes: bool) -> Result<EventId, Finished> {
///         let mut state = self.0.lock().unwrap();
///         if state.finished.contains_key(topic) {
///             return Err(Finished);
///         }
///         state.newest += 1;
///         let id = EventId::new(state.epoch, state.newest);
///         let event = PastEvent { id, bytes: bytes.clone() };
///         if finishes {
///             state.finished.insert(topic.to_owned(), event.clone());
///         }
///         let log = state.log.entry(topic.to_owned()).or_default();
///         let prev = log.last().map(|event| event.id);
///         log.push(event);
///         if state.watched.contains(topic) {
///             let event = BackplaneEvent::Event { topic: topic.to_owned(), id, prev, bytes };
///             state.sink.as_ref().map(|sink| sink.accept(event));
///         }
///         Ok(id)
///     }
/// }
///
/// impl Backplane for InMemory {
///     fn start(&self, sink: BackplaneSink) -> BoxFuture<'_, Result<EventId, BackplaneError>> {
///         let mut state = self.0.lock().unwrap();
///         state.epoch = rand_epoch();
///         state.sink = Some(sink);
///         let newest = EventId::new(state.epoch, state.newest);
///         Box::pin(async move { Ok(newest) })
///     }
///
///     fn publish<'a>(
///         &'a self,
///         topic: &'a str,
///         bytes: bytes::Bytes,
///         finishes: bool,
///     ) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
///         Box::pin(async move { Ok(self.append(topic, bytes, finishes)?) })
///     }
///
///     fn history<'a>(
///         &'a self,
///         topic: &'a str,
///         after: EventId,
///     ) -> BoxFuture<'a, Result<History, BackplaneError>> {
///         Box::pin(async move {
///             let state = self.0.lock().unwrap();
///             if after.epoch() != state.epoch {
///                 return Ok(History::Gone);
///             }
///             let all = state.log.get(topic).into_iter().flatten();
///             Ok(History::Events(all.filter(|event| event.id > after).cloned().collect()))
///         })
///     }
///
///     fn watch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
///         Box::pin(async move {
///             let mut state = self.0.lock().unwrap();
///             state.watched.insert(topic.to_owned());
///             let newest = EventId::new(state.epoch, state.newest);
///             Ok(Watched { newest, finish: state.finished.get(topic).cloned() })
///         })
///     }
///
///     fn unwatch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BackplaneError>> {
///         Box::pin(async move {
///             self.0.lock().unwrap().watched.remove(topic);
///             Ok(())
///         })
///     }
/// }
///
/// # fn rand_epoch() -> u64 { std::process::id().into() }
/// # #[derive(Injectable)] struct News;
/// # #[controller] impl News {
/// #     #[sse("news")]
/// #     async fn news(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> { sse.subscribe(["news"]).await }
/// # }
/// # #[server(controllers = [News], sse(enabled = true))] struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::Error> {
/// let app = Helios::new(App).backplane(InMemory::default());
/// # let app = helios::testing::TestServer::start(app).await?;
/// # app.stop().await
/// # }
/// ```
pub trait Backplane: Send + Sync + 'static {
    /// Connects. Called once, in a tokio runtime; `sink` takes what arrives from then on. Gives the newest id that was
    /// given out; of a new sequence that is its number 0.
    ///
    /// An error keeps the app from starting.
    fn start(&self, sink: BackplaneSink) -> BoxFuture<'_, Result<EventId, BackplaneError>>;

    /// Publishes to all hubs that watch the topic, this one included, and gives the event's id. It may reach the sink
    /// before or after that.
    ///
    /// With `finishes` it is the end of the topic. The error [`Finished`] says that this was published before. Any other goes to
    /// whoever publishes, and does not say that nothing was published.
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        bytes: Bytes,
        finishes: bool,
    ) -> BoxFuture<'a, Result<EventId, BackplaneError>>;

    /// Everything that was published to the topic after this id until now, whether it has been handed to the sink or not.
    /// It may be asked of any topic, watched or not, and with an id of another topic, or of another epoch
    /// ([`History::Gone`]).
    ///
    /// After an error, or 5 seconds, it counts as [`History::Gone`].
    fn history<'a>(
        &'a self,
        topic: &'a str,
        after: EventId,
    ) -> BoxFuture<'a, Result<History, BackplaneError>>;

    /// From now on the topic's events are to be handed to the sink. Gives an id such that every greater one of this topic
    /// will be handed over, and every event up to it, of a topic that was watched before, has been: the newest id given
    /// out at that place in what the link carries, of whatever topic. If the topic is finished, up to that id, it gives what has
    /// finished it, too.
    ///
    /// An error goes to the client that wanted to join, and the topic counts as not watched; events of it do no harm.
    /// It is asked for again when somebody else joins, or [`unwatch`](Self::unwatch)ed.
    fn watch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Watched, BackplaneError>>;

    /// Nobody reads the topic here any more. It is not watched again before this is answered, or has taken 5 seconds. It
    /// may be called for a topic whose watch has failed or was dropped half-way.
    ///
    /// An error is logged.
    fn unwatch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BackplaneError>>;
}

/// The answer to [`Backplane::watch`].
///
/// ```
/// use helios::sse::EventId;
/// use helios::backplane::{PastEvent, Watched};
///
/// let end = PastEvent { id: EventId::new(1, 7), bytes: "as it was published".into() };
/// let watched = Watched { newest: EventId::new(1, 9), finish: Some(end) };
/// # assert!(watched.finish.is_some_and(|end| end.id.seq() <= watched.newest.seq()));
/// ```
#[derive(Clone, Debug)]
pub struct Watched {
    /// The newest id given out.
    pub newest: EventId,
    /// What has finished the topic, as it was published.
    pub finish: Option<PastEvent>,
}

/// The error of [`Backplane::publish`] to a topic that is finished.
///
/// ```
/// use helios::backplane::{BackplaneError, Finished};
///
/// let refused: BackplaneError = Finished.into();
/// assert!(refused.is::<Finished>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topic is finished")]
pub struct Finished;

/// What a backplane remembers of a topic.
///
/// ```
/// use helios::sse::EventId;
/// use helios::backplane::{History, PastEvent};
///
/// fn after(log: &[PastEvent], forgotten: EventId, after: EventId) -> History {
///     if after < forgotten {
///         return History::Gone;
///     }
///     History::Events(log.iter().filter(|event| event.id > after).cloned().collect())
/// }
/// assert!(matches!(after(&[], EventId::new(1, 7), EventId::new(1, 3)), History::Gone));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum History {
    /// Everything that was asked for, the oldest first. Empty if the topic has nothing newer.
    Events(Vec<PastEvent>),
    /// Something of it may be forgotten.
    Gone,
}

/// An event of a [`History`].
///
/// ```
/// use helios::sse::EventId;
/// use helios::backplane::PastEvent;
///
/// let event = PastEvent { id: EventId::new(1, 7), bytes: "as it was published".into() };
/// assert_eq!(event.id.seq(), 7);
/// ```
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Its id.
    pub id: EventId,
    /// What was published.
    pub bytes: Bytes,
}

/// What a backplane hands to a hub.
///
/// ```
/// use helios::sse::EventId;
/// use helios::backplane::BackplaneEvent;
///
/// // The link was torn, and is up again.
/// let torn = BackplaneEvent::Torn { newest: EventId::new(1, 7) };
/// # assert!(matches!(torn, BackplaneEvent::Torn { newest } if newest.seq() == 7));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackplaneEvent {
    /// Something was published.
    Event {
        /// Where.
        topic: String,
        /// Its id.
        id: EventId,
        /// The id of the topic's event before it. `None` if there was none, or if it is not known: then nothing shows
        /// that an event before this one was lost.
        prev: Option<EventId>,
        /// What was published.
        bytes: Bytes,
    },
    /// Events of this topic may be missing here.
    Gap {
        /// Which.
        topic: String,
        /// As in [`Self::Torn`].
        newest: EventId,
    },
    /// Events of any watched topic may be missing here: the link was torn. This is not the same as a [`Self::Gap`] for each
    /// topic in turn: a reader of two topics must not go on in the one while the loss in the other is not known yet.
    Torn {
        /// The newest id given out at this place in what the link carries: every greater one of a watched topic will be
        /// handed over, and what is up to it will not any more.
        newest: EventId,
    },
}

/// Where a backplane hands events to a hub. It is cheap to clone; what is handed to it is taken in order.
///
/// ```
/// use helios::backplane::{BackplaneEvent, BackplaneSink};
///
/// async fn deliver(mut link: tokio::sync::mpsc::Receiver<BackplaneEvent>, sink: BackplaneSink) {
///     while let Some(event) = link.recv().await {
///         if !sink.accept(event) {
///             return; // the hub is gone
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct BackplaneSink {
    replication: Weak<Replication>,
}

impl BackplaneSink {
    pub(crate) fn new(replication: &Arc<Replication>) -> Self {
        Self {
            replication: Arc::downgrade(replication),
        }
    }

    /// Takes an event in. It never waits, and calls nothing of the backplane before it returns. False when the hub is gone, and the link may end.
    pub fn accept(&self, event: BackplaneEvent) -> bool {
        let Some(replication) = self.replication.upgrade() else {
            return false;
        };
        replication.accept(event);
        true
    }
}

impl fmt::Debug for BackplaneSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackplaneSink")
    }
}
