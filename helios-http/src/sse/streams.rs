//! The streams of one app: which are open, the hub that they read, and the backplane behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use helios_core::event::SseEvent;
use helios_core::hub::EventId;
use helios_core::sse::{ClientId, ResetReason, SseError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use crate::drain::MountedAnswers;
use crate::sse::backplane::Backplane;
use crate::sse::backplane::replication::Replication;
use crate::sse::hub::topics::Membership;
use crate::sse::hub::{Hub, Publication};
use crate::sse::limiter::Limiter;
use crate::sse::stream::state::StreamState;
use crate::sync::{lock, until};

/// Resets of another epoch that are answered at the same time. They come to all clients at once.
const EPOCH_ANSWERS: usize = 64;

pub(crate) struct Streams {
    pub(crate) hub: Arc<Hub>,
    replication: OnceLock<Arc<Replication>>,
    by_id: Mutex<HashMap<ClientId, Weak<StreamState>>>,
    live: AtomicUsize,
    /// Signalled when the last live stream has ended.
    quiet: Notify,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) hook_tasks: TaskTracker,
    /// Whoever answers the reset of another epoch has one of them.
    pub(crate) epoch_answers: Semaphore,
    pub(crate) heartbeat: HeartbeatState,
    /// The server is going down.
    pub(crate) closing: AtomicBool,
    /// Until when streams may finish then, in the hub's time.
    pub(crate) finish_until: OnceLock<Duration>,
    /// They may finish as streams may.
    pub(crate) mounted: Arc<MountedAnswers>,
}

#[derive(Default)]
pub(crate) struct HeartbeatState {
    pub(crate) is_running: AtomicBool,
    /// The shortest silence after which a route wants a comment.
    shortest: Mutex<Option<Duration>>,
    /// Where it runs.
    pub(crate) runtime: Mutex<Option<Handle>>,
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::new(Hub::new()),
            replication: OnceLock::new(),
            by_id: Mutex::default(),
            live: AtomicUsize::new(0),
            quiet: Notify::new(),
            limiter: Arc::default(),
            hook_tasks: TaskTracker::new(),
            epoch_answers: Semaphore::new(EPOCH_ANSWERS),
            heartbeat: HeartbeatState::default(),
            closing: AtomicBool::new(false),
            finish_until: OnceLock::new(),
            mounted: Arc::default(),
        })
    }

    /// Puts a backplane behind the hub. Only the first counts.
    pub(crate) fn set_backplane(&self, backplane: Arc<dyn Backplane>) {
        let replication = Replication::new(Arc::clone(&self.hub), backplane);
        let _ = self.replication.set(Arc::new(replication));
    }

    pub(crate) fn replication(&self) -> Option<&Arc<Replication>> {
        self.replication.get()
    }

    /// Makes a stream known by its id, before it is live.
    pub(crate) fn register(&self, stream: &Arc<StreamState>) {
        lock(&self.by_id).insert(stream.id, Arc::downgrade(stream));
    }

    pub(crate) fn unregister(&self, id: ClientId) {
        lock(&self.by_id).remove(&id);
    }

    pub(crate) fn find(&self, id: ClientId) -> Option<Arc<StreamState>> {
        lock(&self.by_id).get(&id)?.upgrade()
    }

    /// The streams that are live.
    pub(crate) fn live(&self) -> Vec<Arc<StreamState>> {
        let known = lock(&self.by_id);
        let mut streams: Vec<_> = known.values().filter_map(Weak::upgrade).collect();
        // The last reference to a stream may be one of these: its callbacks must not run under the lock.
        drop(known);
        streams.retain(|stream| stream.is_live());
        streams
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Counts a stream as live.
    pub(crate) fn went_live(self: &Arc<Self>) {
        self.live.fetch_add(1, Ordering::Relaxed);
        self.keep_beating();
    }

    pub(crate) fn ended(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
    }

    /// Waits until no stream is live.
    pub(crate) async fn wait_until_quiet(&self) {
        until(&self.quiet, || (self.live_count() == 0).then_some(())).await;
    }

    /// Waits until no hook runs.
    pub(crate) async fn hooks_done(&self) {
        self.hook_tasks.close();
        self.hook_tasks.wait().await;
    }

    /// The runtime for hooks: the current one, or the heartbeat's if a stream is dropped outside of any.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        let heartbeat = || lock(&self.heartbeat.runtime).clone();
        Handle::try_current().ok().or_else(heartbeat)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Lets the heartbeat be fine enough for a route's silence.
    pub(crate) fn beat_for(&self, silence: Option<Duration>) {
        let mut shortest = lock(&self.heartbeat.shortest);
        *shortest = [*shortest, silence].into_iter().flatten().min();
    }

    /// How often the heartbeat looks at the streams.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = *lock(&self.heartbeat.shortest);
        self.hub.options().tick(shortest)
    }

    /// The number in this epoch after which somebody wants to go on, or why that cannot be.
    pub(crate) fn position_of(&self, id: EventId, epoch: u64) -> Result<u64, ResetReason> {
        if id.epoch() != epoch {
            return Err(ResetReason::Epoch);
        }
        // Another server may have given out what has not arrived here yet.
        if id.seq() > self.hub.head() && self.replication().is_none() {
            return Err(ResetReason::Unknown);
        }
        Ok(id.seq())
    }

    /// Publishes to a topic, but not to `except`. It yields to the runtime now and then, so that a tight loop of
    /// publishes does not starve the readers.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        topic: &str,
        event: &SseEvent,
        except: Option<ClientId>,
    ) -> Result<EventId, SseError> {
        let event = self.hub.encode_unnumbered(event)?;
        self.put(topic, &Publication::event(event, except)).await
    }

    /// Finishes a topic, with a last event or without.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        topic: &str,
        last: Option<&SseEvent>,
    ) -> Result<EventId, SseError> {
        let last = last.map(|event| self.hub.encode_unnumbered(event));
        self.put(topic, &Publication::end(last.transpose()?)).await
    }

    async fn put(
        self: &Arc<Self>,
        topic: &str,
        publication: &Publication,
    ) -> Result<EventId, SseError> {
        tokio::task::consume_budget().await;
        let id = match self.replication() {
            Some(replication) => replication.publish(topic, publication).await?,
            None => self.append(topic, publication)?,
        };
        if publication.event.is_some() {
            self.hub.counters.published.fetch_add(1, Ordering::Relaxed);
        }
        Ok(id)
    }

    fn append(
        self: &Arc<Self>,
        topic: &str,
        publication: &Publication,
    ) -> Result<EventId, SseError> {
        let id = self.hub.append(topic, publication)?;
        // History has to expire even if nobody ever connects.
        if !self.is_beating() && Handle::try_current().is_ok() {
            self.keep_beating();
        }
        Ok(id)
    }

    /// A membership of a topic, which is made if there is none. The backplane's events reach it from then on.
    pub(crate) async fn enter(self: &Arc<Self>, name: &str) -> Result<Membership, SseError> {
        self.keep_beating();
        loop {
            let (topics, epoch) = (&self.hub.topics, self.hub.epoch());
            let topic = topics.open(name, epoch, self.hub.options())?;
            let gone = topic.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            match (Membership::new(Arc::clone(&topic)), self.replication()) {
                (Some(membership), None) => return Ok(membership),
                (Some(membership), Some(replication)) => {
                    replication.watch(&topic).await?;
                    return Ok(membership);
                }
                (None, None) => self.hub.topics.forget(&topic),
                // It may have been forgotten before this began to listen.
                (None, Some(_)) if self.hub.topics.holds(&topic) => gone.await,
                (None, Some(_)) => {}
            }
        }
    }
}
