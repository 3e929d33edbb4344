//! The hub of one app: its topics, its connections, and its clock. The rules are `helios_core::hub`'s; here are the
//! locks and wakers.
//!
//! Lock order: a client's state, then a topic. Nothing is woken and no user code runs under either.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Frame, Ring, UnnumberedEvent};
use helios_core::sse::{ClientId, SseError, is_end_mark};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::heartbeat;
use super::options::SseOptions;
use super::relay::Relay;
use super::seats::Seats;
use super::topics::{Membership, Topics};
use super::waiting::Woken;

/// Locks, and goes on after a panic elsewhere: no state of the hub is left half changed by one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks until there is an answer, each time after a signal. A signal between asking and waiting is not missed.
pub(super) async fn until<T>(signal: &Notify, mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        let signalled = signal.notified();
        tokio::pin!(signalled);
        signalled.as_mut().enable();
        match ask() {
            Some(answer) => return answer,
            None => signalled.await,
        }
    }
}

pub(crate) struct Hub {
    options: OnceLock<SseOptions>,
    started: Instant,
    /// Tells the ids of this run, or of this backplane, from others.
    epoch: AtomicU64,
    /// The highest sequence number given out.
    head: AtomicU64,
    pub(super) topics: Topics,
    clients: Mutex<HashMap<ClientId, Weak<Client>>>,
    pub(super) seats: Arc<Seats>,
    pub(super) counters: Counters,
    pub(super) closing: AtomicBool,
    /// Signalled when the last live connection has ended.
    quiet: Notify,
    pub(super) beating: AtomicBool,
    /// Where it beats.
    heartbeat: Mutex<Option<Handle>>,
    pub(super) hook_tasks: TaskTracker,
    relay: OnceLock<Relay>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) live: AtomicUsize,
    pub(super) published: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) slow_closes: AtomicU64,
}

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            options: OnceLock::new(),
            started: Instant::now(),
            // 48 bits: short to write, and no two runs of a server will share them.
            epoch: AtomicU64::new(fastrand::u64(1..1 << 48)),
            head: AtomicU64::new(0),
            topics: Topics::new(),
            clients: Mutex::default(),
            seats: Arc::default(),
            counters: Counters::default(),
            closing: AtomicBool::new(false),
            quiet: Notify::new(),
            beating: AtomicBool::new(false),
            heartbeat: Mutex::default(),
            hook_tasks: TaskTracker::new(),
            relay: OnceLock::new(),
        })
    }

    /// Takes the options over, before the first connection; until then the defaults are in force.
    pub(crate) fn configure(&self, options: SseOptions) {
        self.topics.configure(&options);
        // A second app on the same hub does not exist, so the first value is the only one.
        let _ = self.options.set(options);
    }

    pub(crate) fn options(&self) -> &SseOptions {
        static DEFAULTS: LazyLock<SseOptions> = LazyLock::new(SseOptions::default);
        self.options.get().unwrap_or(&DEFAULTS)
    }

    /// Puts a backplane before this hub. Only the first counts.
    pub(crate) fn set_relay(&self, relay: Relay) {
        let _ = self.relay.set(relay);
    }

    pub(crate) fn relay(&self) -> Option<&Relay> {
        self.relay.get()
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The id of the event with this number.
    pub(super) fn id(&self, seq: u64) -> EventId {
        EventId::new(self.epoch(), seq)
    }

    /// Goes on from this id, which somebody else has given out.
    pub(super) fn advance_to(&self, id: EventId) {
        self.head.fetch_max(id.seq(), Ordering::AcqRel);
    }

    /// Begins anew at an id of another sequence.
    pub(super) fn restart_at(&self, id: EventId) {
        // Who sees the new epoch sees a head of it, too.
        self.head.store(id.seq(), Ordering::Release);
        self.epoch.store(id.epoch(), Ordering::Release);
        let woken = self.topics.restart(id.seq());
        woken.into_iter().for_each(Woken::wake);
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes the client known by its id, before it is live.
    pub(super) fn register(&self, client: &Arc<Client>) {
        lock(&self.clients).insert(client.id, Arc::downgrade(client));
    }

    pub(super) fn unregister(&self, id: ClientId) {
        lock(&self.clients).remove(&id);
    }

    pub(super) fn find(&self, id: ClientId) -> Option<Arc<Client>> {
        lock(&self.clients).get(&id)?.upgrade()
    }

    pub(super) fn live_clients(&self) -> Vec<Arc<Client>> {
        let clients: Vec<_> = lock(&self.clients)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        clients
            .into_iter()
            .filter(|client| client.is_live())
            .collect()
    }

    /// Counts a connection as live, and sees to it that the heartbeat runs: on the first runtime that serves the hub, and
    /// on another when that one is gone.
    pub(super) fn connected(self: &Arc<Self>) {
        self.counters.live.fetch_add(1, Ordering::Relaxed);
        self.keep_beating();
    }

    fn is_beating(&self) -> bool {
        self.beating.load(Ordering::Acquire)
    }

    pub(super) fn keep_beating(self: &Arc<Self>) {
        if self.is_beating() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("an SSE hub outside of a tokio runtime has no heartbeat");
            return;
        };
        let mut running = lock(&self.heartbeat);
        if !self.beating.swap(true, Ordering::AcqRel) {
            runtime.spawn(heartbeat::run(Arc::downgrade(self), self.options().tick()));
            *running = Some(runtime);
        }
    }

    pub(super) fn disconnected(&self) {
        if self.counters.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
    }

    /// Where hooks run: the runtime in hand, or the heartbeat's for what is dropped outside of one.
    pub(super) fn runtime(&self) -> Option<Handle> {
        let heartbeat = || lock(&self.heartbeat).clone();
        Handle::try_current().ok().or_else(heartbeat)
    }

    /// The bytes of an event that may be sent to one connection.
    pub(super) fn encode(&self, event: &SseEvent) -> Result<Bytes, SseError> {
        self.check_reserved(event)?;
        let bytes = encode(event)?;
        self.check_size(&bytes)?;
        Ok(bytes)
    }

    /// The bytes of an event that may be published.
    fn encode_unnumbered(&self, event: &SseEvent) -> Result<UnnumberedEvent, SseError> {
        self.check_reserved(event)?;
        let unnumbered = UnnumberedEvent::new(event)?;
        if let Some(id) = event.event_id() {
            return Err(SseError::OwnId(id.to_owned()));
        }
        self.check_size(unnumbered.parts().0)?;
        Ok(unnumbered)
    }

    pub(super) fn check_reserved(&self, event: &SseEvent) -> Result<(), SseError> {
        let prefix = &self.options().control_prefix;
        let name = event.name().filter(|name| name.starts_with(prefix));
        let id = event.event_id().filter(|id| is_end_mark(id));
        match name.or(id) {
            Some(reserved) => Err(SseError::Reserved(reserved.to_owned())),
            None => Ok(()),
        }
    }

    fn check_size(&self, bytes: &Bytes) -> Result<(), SseError> {
        let (size, limit) = (bytes.len(), self.options().max_event_bytes);
        if size > limit {
            return Err(SseError::TooLarge { size, limit });
        }
        Ok(())
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Publishes to a topic, but not to `except`. It yields to the runtime now and then, so that a tight loop of
    /// publishes does not starve the readers.
    pub(super) async fn publish(
        self: &Arc<Self>,
        topic: &str,
        event: &SseEvent,
        except: Option<ClientId>,
    ) -> Result<EventId, SseError> {
        let event = self.encode_unnumbered(event)?;
        tokio::task::consume_budget().await;
        let id = match self.relay() {
            Some(relay) => relay.publish(topic, &event, except).await?,
            None => self.append(topic, &event, except)?,
        };
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    fn append(
        self: &Arc<Self>,
        name: &str,
        event: &UnnumberedEvent,
        except: Option<ClientId>,
    ) -> Result<EventId, SseError> {
        let (seq, woken) = loop {
            let topic = self.topics.open(name, self.options())?;
            let mut state = topic.lock();
            if state.removed {
                drop(state);
                self.topics.forget(&topic);
                continue;
            }
            let woken = topic.begin_round(&mut state);
            // The number is taken under the topic's lock: a reader that loads the head and then takes the lock finds
            // everything up to that head.
            let seq = self.head.fetch_add(1, Ordering::AcqRel) + 1;
            self.push(&mut state.ring, seq, event, except);
            break (seq, woken);
        };
        self.appended(woken);
        // History has to expire even if nobody ever connects.
        if !self.is_beating() && Handle::try_current().is_ok() {
            self.keep_beating();
        }
        Ok(self.id(seq))
    }

    /// A place in a topic, which is made if there is none. The backplane's events reach it from then on.
    pub(super) async fn enter(self: &Arc<Self>, name: &str) -> Result<Membership, SseError> {
        self.keep_beating();
        loop {
            let topic = self.topics.open(name, self.options())?;
            let gone = topic.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            match (Membership::new(Arc::clone(&topic)), self.relay()) {
                (Some(membership), None) => return Ok(membership),
                (Some(membership), Some(relay)) => {
                    relay.watch(self, &topic).await?;
                    return Ok(membership);
                }
                (None, None) => self.topics.forget(&topic),
                // It may have been forgotten before this began to listen.
                (None, Some(_)) if self.topics.holds(&topic) => gone.await,
                (None, Some(_)) => {}
            }
        }
    }

    /// Counts a frame that is about to be written.
    pub(super) fn count(&self, frame: Frame) -> Bytes {
        let (events, bytes) = (frame.events(), frame.len() as u64);
        self.counters.delivered.fetch_add(events, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        frame.into_bytes()
    }

    /// Waits until no connection is live.
    pub(super) async fn wait_until_quiet(&self) {
        let live = || self.counters.live.load(Ordering::Acquire);
        until(&self.quiet, || (live() == 0).then_some(())).await;
    }

    /// Waits until no hook runs.
    pub(crate) async fn hooks_done(&self) {
        self.hook_tasks.close();
        self.hook_tasks.wait().await;
    }

    /// Appends to a topic's ring. The caller wakes who waits once it has released the lock.
    pub(super) fn push(
        &self,
        ring: &mut Ring,
        seq: u64,
        event: &UnnumberedEvent,
        except: Option<ClientId>,
    ) {
        let event = event.with_id(&self.id(seq).to_string());
        let now = self.now();
        self.topics
            .change(ring, |ring| ring.push(seq, event, except, now));
    }

    /// What is to be done when a topic is unlocked again.
    pub(super) fn appended(&self, woken: Woken) {
        woken.wake();
        self.topics.trim(self.options().history_bytes);
    }
}
