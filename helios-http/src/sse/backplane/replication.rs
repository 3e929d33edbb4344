//! A hub with a [`Backplane`] behind it.
//!
//! # Why no event is lost or comes out of order
//!
//! 1. The backplane numbers events for all servers, and hands them to each hub in the order of their ids.
//! 2. So the hub's head means this. Every event up to it that is for a topic watched here is in the topic's ring, or
//!    the topic is [`Behind`](crate::sse::hub::feed::Behind) and holds its readers.
//! 3. An event names the previous one in its topic (`prev`). If that one is not known here, or if the backplane reports
//!    that it was interrupted (`Torn`) or has lost something (`Gap`), the topic's readers are held and its history is
//!    fetched (`catching_up.rs`).
//! 4. If events cannot be fetched, clients get a `helios:reset` of reason `gap`. It has the id that the client has
//!    already, so it does not take the client past a gap in another topic that is found next. A client that comes back
//!    at once gets the lost events, if history has them by then.
//! 5. The answer to `watch`, `Torn` and `Gap` have their place in the order, and carry the newest id of that place.
//!    Otherwise the head could not pass events that are only for others, and lost events could not be distinguished
//!    from those on their way.
//! 6. `Torn` is one event and not a gap for each topic, because all topics must be held before the first of them has
//!    caught up.
//! 7. Events from history beyond the head are ignored. The backplane hands them over at their place. Otherwise they
//!    would overtake the events of other topics.
//! 8. An event that arrives at or below the head at which its topic was held is late. Readers may have received later
//!    ids without it, so the ring marks that range as uncertain. An event above that head is not late, because no
//!    reader could read past it.
//! 9. The end of a topic travels like an event, with its place in the order. All hubs ignore events numbered after it.
//!    A hub that watches a topic for the first time receives its end with the answer.
//! 10. A client may be ahead of the server to which it comes back. Events that it has seen elsewhere are skipped when
//!     they arrive.
//! 11. Another epoch begins under `order`, so that nothing is put into a ring meanwhile. Streams notice it themselves
//!     (`hub.rs`, `stream/state/reset.rs`).
//! 12. No later event names the last event of a quiet topic. So all topics are watched again now and then, and the
//!     answer names their last events (`watching.rs`).
//!
//! # Why nothing hangs
//!
//! Every wait for the backplane is bounded, and nothing is requested while it is down. Calls that take too long fail.
//! A request for history that fails is repeated for a while. Readers that are held then continue, and their clients are
//! reset. Only while the backplane is down are they held longer, because no event arrives that they could read.
//!
//! # Locks
//!
//! `order` is locked before a topic. Everything that raises the head or begins a hold has `order`. No waker runs under
//! it, and nothing is sent to a client.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use helios_core::hub::EventId;
use helios_core::sse::{ClientId, SseError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::payload::{self, pack};
use super::watching::WatchQueue;
use super::{
    Backplane, BackplaneError, BackplaneErrorKind, BackplaneSink, Publish, Startup, Status, nodes,
};
use crate::panics::caught_in;
use crate::sse::hub::feed::Feed;
use crate::sse::hub::waiters::Wakers;
use crate::sse::hub::{Hub, Publication};
use crate::sync::{lock, until};

/// How long a publish may take. After that, its outcome is unknown.
const PUBLISH: Duration = Duration::from_secs(10);

/// How long all other calls may take. Readers wait for them, or clients that want to join.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The most events of one call.
const BATCH: usize = 256;

/// How long a publisher waits until its event can be read here.
const READ_YOUR_WRITES: Duration = Duration::from_secs(1);

/// The most topics whose history is fetched at the same time.
const FETCHES: usize = 64;

/// The most that the fetched events may hold together, in KiB.
pub(super) const FETCHED_KIB: usize = 128 << 10;

/// A message that is not kept in a ring.
pub(crate) enum Private {
    /// An event for one client.
    Event(ClientId, Bytes),
    /// An event that names a user whose streams are to end.
    Disconnect(Bytes),
}

/// Puts an event into the outbox of one client, if it is here, or ends the streams of a user.
pub(crate) type Deliver = Box<dyn Fn(Private) + Send + Sync>;

/// Notifies streams of the backplane's status.
pub(crate) type TellLink = Box<dyn Fn(Status) + Send + Sync>;

pub(crate) struct Replication {
    pub(super) hub: Arc<Hub>,
    pub(super) backplane: Arc<dyn Backplane>,
    /// The runtime on which the backplane was started.
    pub(super) runtime: OnceLock<Handle>,
    /// Arrivals are accepted one after the other, because the head must not pass an event that is not in its ring yet.
    pub(super) order: Mutex<()>,
    /// Signalled when the head has been raised.
    pub(super) arrived: Notify,
    pub(super) fetches: Semaphore,
    /// Room for fetched events, in KiB.
    pub(super) room: Semaphore,
    pub(super) watches: WatchQueue,
    /// Held to watch topics again or to unwatch them, one after the other.
    pub(super) auditing: tokio::sync::Mutex<()>,
    pub(super) deliver: Deliver,
    /// Messages for one client alone, or for this server, in the order of their numbers.
    pub(super) private: Mutex<VecDeque<Private>>,
    /// Held while these messages are delivered, so that they keep their order.
    pub(super) delivering: Mutex<()>,
    pub(super) tell_link: TellLink,
    /// Ends the background tasks.
    pub(super) stopped: CancellationToken,
}

impl Drop for Replication {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

impl Replication {
    pub(crate) fn new(
        hub: Arc<Hub>,
        backplane: Arc<dyn Backplane>,
        deliver: Deliver,
        tell_link: TellLink,
    ) -> Self {
        Self {
            hub,
            backplane,
            runtime: OnceLock::new(),
            order: Mutex::default(),
            arrived: Notify::new(),
            fetches: Semaphore::new(FETCHES),
            room: Semaphore::new(FETCHED_KIB),
            watches: WatchQueue::default(),
            auditing: tokio::sync::Mutex::default(),
            deliver,
            private: Mutex::default(),
            delivering: Mutex::default(),
            tell_link,
            stopped: CancellationToken::new(),
        }
    }

    /// Connects the backplane. Only the first call has an effect.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), BackplaneError> {
        let hub = &self.hub;
        let started = self.backplane.start(self.startup()).await?;
        // Events that have arrived since may already be of this sequence.
        let woken = {
            let _order = lock(&self.order);
            if hub.epoch() == started.newest.epoch() {
                hub.advance_to(started.newest);
                Vec::new()
            } else {
                hub.begin_at(started.newest)
            }
        };
        woken.into_iter().for_each(Wakers::wake);
        // `start` is called only once.
        let _ = self.runtime.set(Handle::current());
        let names = [nodes::topic_of(hub.node), nodes::USERS.to_owned()];
        let own = hub.topics.open_own(names, hub.epoch(), hub.options());
        for topic in [&hub.topics.everyone].into_iter().chain(own) {
            if let Err(error) = self.try_watch(topic).await {
                self.stop().await;
                return Err(error);
            }
        }
        self.keep_leased();
        self.keep_watched();
        Ok(())
    }

    fn startup(self: &Arc<Self>) -> Startup {
        let replication = Arc::downgrade(self);
        let sink = BackplaneSink::new(move |event| match Weak::upgrade(&replication) {
            Some(replication) => {
                replication.accept(event);
                true
            }
            None => false,
        });
        let hub = Arc::clone(&self.hub);
        let mut startup = Startup::new(self.hub.node, sink);
        let options = self.hub.options();
        startup.largest_payload = options.max_event_bytes + payload::LONGEST_HEAD;
        startup.keep_keys = options.keep_keys;
        startup.with_limits(move |topic| nodes::limits_of(topic, hub.options()))
    }

    /// Disconnects the backplane, after everything else.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        let stop = timeout(TIMEOUT, self.backplane.stop());
        if let Some(Err(_)) = caught_in("a backplane's `stop`", stop).await {
            let backplane = self.backplane.name();
            tracing::warn!(backplane, "the backplane took too long to stop");
        }
    }

    /// Returns whether the backplane can be reached. It is down until it is started.
    pub(crate) fn status(&self) -> Status {
        match self.runtime.get() {
            Some(_) if !self.stopped.is_cancelled() => self.backplane.status(),
            _ => Status::Down,
        }
    }

    /// Returns the backplane if it is started and can be reached. Implementors rely on not being called before, and
    /// callers on not having to wait in vain.
    pub(crate) fn reached(&self) -> Result<&dyn Backplane, BackplaneError> {
        let down = |text: &str| Err(BackplaneError::new(BackplaneErrorKind::Down, text));
        if self.runtime.get().is_none() {
            return down("it is not started yet: `listen` does it, or `HeliosService::start`");
        }
        match self.status() {
            Status::Down => down("the link is down"),
            Status::Up | Status::Suspect => Ok(&*self.backplane),
        }
    }

    pub(crate) async fn publish(
        &self,
        topic: &str,
        publication: &Publication,
        key: Option<&str>,
    ) -> Result<EventId, SseError> {
        let backplane = self.reached().map_err(SseError::Backplane)?;
        let publish = self.publish_of(topic, publication, key);
        let published = within(
            PUBLISH,
            BackplaneErrorKind::Unknown,
            backplane.publish(publish),
        );
        let id = published.await.map_err(|error| failed(topic, error))?;
        self.until_here(topic, id).await;
        Ok(id)
    }

    /// Publishes all events in this order, each as if it were alone.
    pub(crate) async fn publish_all(
        &self,
        publications: &[(String, Publication)],
    ) -> Vec<Result<EventId, SseError>> {
        let backplane = match self.reached() {
            Ok(backplane) => backplane,
            Err(down) => {
                let refused = |_| Err(SseError::Backplane(down.clone()));
                return publications.iter().map(refused).collect();
            }
        };
        let mut answers = Vec::with_capacity(publications.len());
        for chunk in publications.chunks(BATCH) {
            answers.extend(self.publish_chunk(backplane, chunk).await);
        }
        // Arrivals are in order, so when the last one that is read here has arrived, all have.
        let published = answers.iter().zip(publications).rev();
        let mut published = published.filter_map(|(answer, (topic, _))| {
            let id = *answer.as_ref().ok()?;
            self.is_read_here(topic).then_some(id)
        });
        if let Some(id) = published.next() {
            self.until_arrived(id).await;
        }
        answers
    }

    /// Publishes a batch. Events without an answer in time have an unknown outcome.
    async fn publish_chunk(
        &self,
        backplane: &dyn Backplane,
        chunk: &[(String, Publication)],
    ) -> Vec<Result<EventId, SseError>> {
        let publishes = chunk.iter();
        let publishes = publishes.map(|(topic, it)| self.publish_of(topic, it, None));
        let published = timeout(PUBLISH, backplane.publish_all(publishes.collect())).await;
        let mut answers = published.unwrap_or_default().into_iter();
        let late = || Err(late(BackplaneErrorKind::Unknown));
        let answers = chunk.iter().map(|(topic, _)| {
            let answer = answers.next().unwrap_or_else(late);
            answer.map_err(|error| failed(topic, error))
        });
        answers.collect()
    }

    fn publish_of<'a>(
        &self,
        topic: &'a str,
        publication: &Publication,
        key: Option<&'a str>,
    ) -> Publish<'a> {
        let limits = nodes::limits_of(topic, self.hub.options());
        Publish::new(topic, pack(publication), limits)
            .finishing(publication.finishes)
            .with_key(key)
    }

    /// Waits until a published event can be read here, if its topic is read here.
    async fn until_here(&self, topic: &str, id: EventId) {
        if !self.has_arrived(id) && self.is_read_here(topic) {
            self.until_arrived(id).await;
        }
    }

    fn has_arrived(&self, id: EventId) -> bool {
        self.hub.epoch() != id.epoch() || self.hub.head() >= id.seq()
    }

    fn is_read_here(&self, topic: &str) -> bool {
        let topic = self.hub.topics.find(topic);
        topic.is_some_and(|topic| !matches!(topic.lock().feed, Feed::Off))
    }

    async fn until_arrived(&self, id: EventId) {
        if self.status() != Status::Up {
            return;
        }
        let here = until(&self.arrived, || self.has_arrived(id).then_some(()));
        if timeout(READ_YOUR_WRITES, here).await.is_err() {
            let unconfirmed = &self.hub.counters.unconfirmed;
            unconfirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns the backplane's answer, or an error of this kind if it takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    kind: BackplaneErrorKind,
    answer: impl Future<Output = Result<T, BackplaneError>>,
) -> Result<T, BackplaneError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(late(kind)),
    }
}

fn late(kind: BackplaneErrorKind) -> BackplaneError {
    BackplaneError::new(kind, "it did not answer in time")
}

fn failed(topic: &str, error: BackplaneError) -> SseError {
    match error.kind() {
        BackplaneErrorKind::Finished => SseError::TopicFinished(topic.to_owned()),
        _ => SseError::Backplane(error),
    }
}
