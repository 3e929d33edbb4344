//! A hub with a [`Backplane`] behind it.
//!
//! # Why no event is lost or comes out of order
//!
//! 1. The backplane numbers events for all servers, and hands them to each hub in the order of their ids.
//! 2. So the hub's head means this: every event up to it that is for a topic watched here is in the topic's ring, or the topic
//!    is [`Behind`](crate::sse::hub::feed::Behind) and holds its readers.
//! 3. An event names the one before it in its topic (`prev`). If that is not known here, or the backplane says that it was
//!    interrupted (`Torn`) or has lost something (`Gap`), the topic's readers are held and its history is fetched
//!    (`catching_up.rs`).
//! 4. Only what cannot be had is told, by a `helios:reset` of reason `gap`. It has the id that the client has already, so it does
//!    not take the client past a gap in another topic that is found next. A client that comes back at once is given what
//!    was lost, if history has it by then.
//! 5. The answer to `watch`, `Torn` and `Gap` have their place in the order, and carry the newest id of that place. Else the
//!    head could neither pass events that are for others only, nor could what is lost be told from what is on its way.
//! 6. `Torn` is one event and not a gap for each topic: all topics must be held before the first of them has caught up.
//! 7. What history gives beyond the head is left to the backplane, which hands it over at its place: else it would overtake
//!    the events of other topics.
//! 8. An event that turns up at or below the head at which its topic was held is late: readers may have been given ids after it
//!    without it. The ring marks that as uncertain. What turns up above that head is not late, since nobody could read past it.
//! 9. The end of a topic travels as an event does, with its place in the order. What is numbered behind it, all hubs ignore. A hub
//!    that watches a topic for the first time is told of its end with the answer.
//! 10. A client may be ahead of the server to which it comes back. What it has seen elsewhere is passed over when it arrives.
//! 11. Another epoch begins under `order`, so that nothing is put into a ring meanwhile. Streams learn of it by themselves
//!     (`hub.rs`, `stream/state/reset.rs`).
//! 12. The last event of a quiet topic has none behind it that would name it. So all topics are watched anew now and then, and the
//!     answer names their last events (`watching.rs`).
//!
//! # Why nobody hangs
//!
//! Every wait for the backplane is bounded, and nothing is asked of one that is down. What was asked too late fails; readers that are
//! held go on, and are told what they miss.
//!
//! # Locks
//!
//! `order`, then a topic. Whatever raises the head, or begins a hold, has `order`. Nobody is woken, and nothing is sent to a client,
//! under it.

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

/// How long a publish may take. What comes of it later is unknown.
const PUBLISH: Duration = Duration::from_secs(10);

/// How long the backplane may take for everything else: readers wait for it, or clients that want to join.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Events of one journey.
const BATCH: usize = 256;

/// How long whoever publishes waits to be able to read it here.
const READ_YOUR_WRITES: Duration = Duration::from_secs(1);

/// Topics whose history is fetched at the same time.
const FETCHES: usize = 64;

/// What they may hold together, in KiB.
const FETCHED_KIB: usize = 128 << 10;

/// What arrives and is in no ring.
pub(crate) enum Private {
    /// An event for one client.
    Event(ClientId, Bytes),
    /// An event that names a user whose streams are to end.
    Disconnect(Bytes),
}

/// Puts an event into the outbox of one client, if it is here, or does what other servers say.
pub(crate) type Deliver = Box<dyn Fn(Private) + Send + Sync>;

/// Tells streams how the backplane is reached now.
pub(crate) type TellLink = Box<dyn Fn(Status) + Send + Sync>;

pub(crate) struct Replication {
    pub(super) hub: Arc<Hub>,
    pub(super) backplane: Arc<dyn Backplane>,
    /// Where it was started.
    pub(super) runtime: OnceLock<Handle>,
    /// Arrivals are taken one after the other: the head must not pass an event that is not in its ring yet.
    pub(super) order: Mutex<()>,
    /// Signalled when the head has been raised.
    pub(super) arrived: Notify,
    pub(super) fetches: Semaphore,
    /// Room for what is fetched, in KiB.
    pub(super) room: Semaphore,
    pub(super) watches: WatchQueue,
    /// Topics are watched anew, or not watched any more: one after the other.
    pub(super) auditing: tokio::sync::Mutex<()>,
    pub(super) deliver: Deliver,
    /// What is for one client alone, in the order of its numbers.
    pub(super) private: Mutex<VecDeque<Private>>,
    /// Held by who hands it over: one after the other.
    pub(super) delivering: Mutex<()>,
    pub(super) tell_link: TellLink,
    /// Ends what runs beside.
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

    /// Connects the backplane. Only the first call counts.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), BackplaneError> {
        let hub = &self.hub;
        let started = self.backplane.start(self.startup()).await?;
        // What has arrived since may be of this sequence.
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
        // A second start does not exist.
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

    /// Disconnects it, after everything else.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        let stop = timeout(TIMEOUT, self.backplane.stop());
        if let Some(Err(_)) = caught_in("a backplane's `stop`", stop).await {
            let backplane = self.backplane.name();
            tracing::warn!(backplane, "the backplane took too long to stop");
        }
    }

    /// How the backplane is reached; down until it is started.
    pub(crate) fn status(&self) -> Status {
        match self.runtime.get() {
            Some(_) if !self.stopped.is_cancelled() => self.backplane.status(),
            _ => Status::Down,
        }
    }

    /// The backplane, if it is started and can be reached: it is promised that nothing is asked of it before, and everybody else that
    /// they need not wait in vain.
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

    /// Publishes all in this order, each as if it were alone.
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
        // Arrivals are in order: with the last that is read here all are here.
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

    /// What is not answered in time is unknown.
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

    /// Waits until what was published can be read here, if somebody reads its topic here.
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

/// What the backplane answers in time; else an error of this kind.
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
