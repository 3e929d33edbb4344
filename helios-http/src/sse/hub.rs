//! The hub of one app: its connections, its built-in topic, its clock and its heartbeat. The rules are
//! `helios_core::hub`'s; here are the locks, wakers and tasks.
//!
//! Lock order: a client's state, then a topic. Nothing is woken and no user code runs under either.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::{Cursor, Ring};
use helios_core::sse::{ClientId, CloseReason, END_MARK, SseError, is_end_mark};
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::client::{Client, Ending, Farewell};
use super::control;
use super::options::SseOptions;
use crate::panics::caught;

/// Locks, and goes on after a panic elsewhere: no state of the hub is left half changed by one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Hub {
    options: OnceLock<SseOptions>,
    started: Instant,
    /// The highest sequence number given out.
    head: AtomicU64,
    pub(super) everyone: Topic,
    clients: Mutex<HashMap<ClientId, Weak<Client>>>,
    pub(super) counters: Counters,
    closing: AtomicBool,
    /// Signalled when the last live connection has ended.
    quiet: Notify,
    heartbeat: Mutex<Option<(Handle, JoinHandle<()>)>>,
    pub(super) hook_tasks: TaskTracker,
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
            head: AtomicU64::new(0),
            everyone: Topic::new(),
            clients: Mutex::default(),
            counters: Counters::default(),
            closing: AtomicBool::new(false),
            quiet: Notify::new(),
            heartbeat: Mutex::default(),
            hook_tasks: TaskTracker::new(),
        })
    }

    /// Takes the options over, before the first connection; until then the defaults are in force.
    pub(crate) fn configure(&self, options: SseOptions) {
        lock(&self.everyone.state).ring = Ring::new(options.history);
        // A second app on the same hub does not exist, so the first value is the only one.
        let _ = self.options.set(options);
    }

    pub(super) fn options(&self) -> &SseOptions {
        static DEFAULTS: LazyLock<SseOptions> = LazyLock::new(SseOptions::default);
        self.options.get().unwrap_or(&DEFAULTS)
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Makes the client known by its id, before it is live.
    pub(super) fn register(&self, client: &Arc<Client>) {
        lock(&self.clients).insert(client.id, Arc::downgrade(client));
    }

    pub(super) fn forget(&self, id: ClientId) {
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
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("an SSE connection outside of a tokio runtime has no keep-alive");
            return;
        };
        let mut running = lock(&self.heartbeat);
        if running.as_ref().is_none_or(|(_, task)| task.is_finished()) {
            let task = runtime.spawn(heartbeat(Arc::downgrade(self), self.tick()));
            *running = Some((runtime, task));
        }
    }

    pub(super) fn disconnected(&self) {
        if self.counters.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
    }

    /// Where hooks run: the runtime in hand, or the heartbeat's for what is dropped outside of one.
    pub(super) fn runtime(&self) -> Option<Handle> {
        let heartbeat = || {
            lock(&self.heartbeat)
                .as_ref()
                .map(|(runtime, _)| runtime.clone())
        };
        Handle::try_current().ok().or_else(heartbeat)
    }

    /// The bytes of an event that may be sent here.
    pub(super) fn encode(&self, event: &SseEvent) -> Result<Bytes, SseError> {
        let options = self.options();
        if let Some(name) = event
            .name()
            .filter(|name| name.starts_with(&options.control_prefix))
        {
            return Err(SseError::Reserved(name.to_owned()));
        }
        if event.event_id().is_some_and(is_end_mark) {
            return Err(SseError::Reserved(END_MARK.to_owned()));
        }
        let bytes = encode(event)?;
        if bytes.len() > options.max_event_bytes {
            return Err(SseError::TooLarge {
                size: bytes.len(),
                limit: options.max_event_bytes,
            });
        }
        Ok(bytes)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Publishes to every live connection but `except`.
    pub(super) fn broadcast(&self, bytes: Bytes, except: Option<ClientId>) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        let woken = self.publish(&mut self.everyone.lock(), bytes, except);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Appends to a topic, and gives who is to be woken once its lock is released. The number is taken under that lock:
    /// a reader that takes the lock and then loads the head finds everything up to that head.
    pub(super) fn publish(
        &self,
        topic: &mut TopicState,
        bytes: Bytes,
        except: Option<ClientId>,
    ) -> Vec<Waker> {
        let seq = self.head.fetch_add(1, Ordering::AcqRel) + 1;
        topic.ring.push(seq, bytes, except, self.now());
        topic.waiting.take()
    }

    /// How often silences are looked at: fine enough for the shortest of them.
    fn tick(&self) -> Duration {
        let options = self.options();
        let shortest = options.keep_alive.unwrap_or(options.stuck_after);
        let shortest = shortest.min(options.stuck_after) / 8;
        shortest.clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    fn beat(&self) {
        lock(&self.everyone.state).ring.expire(self.now());
        for client in self.live_clients() {
            client.beat(self);
        }
    }

    /// Ends every connection with a word to reconnect, at least 1,000 a second and all within half of `window`, then
    /// waits until their close hooks have run.
    pub(crate) async fn drain(&self, window: Duration) {
        self.closing.store(true, Ordering::Release);
        let clients = self.live_clients();
        let per_second = (clients.len() as f64 / (window.as_secs_f64() / 2.0)).max(1_000.0);
        let started = Instant::now();
        for (n, client) in clients.iter().enumerate() {
            let due = started + Duration::from_secs_f64(n as f64 / per_second);
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            client.end(self.shutdown_ending());
        }
        drop(clients);
        self.wait_until_quiet().await;
        self.hooks_done().await;
    }

    /// Waits until no close or error hook runs.
    pub(crate) async fn hooks_done(&self) {
        self.hook_tasks.close();
        self.hook_tasks.wait().await;
    }

    pub(super) fn shutdown_ending(&self) -> Ending {
        let retry = control::jittered(self.options().retry);
        Ending {
            reason: CloseReason::Shutdown,
            farewell: Farewell::Reconnect(retry),
        }
    }

    async fn wait_until_quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            if self.counters.live.load(Ordering::Acquire) == 0 {
                return;
            }
            quiet.await;
        }
    }
}

/// One timer for the whole hub. It ends when the app is dropped.
async fn heartbeat(hub: Weak<Hub>, tick: Duration) {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        // One connection's bug must not take the keep-alive of all others with it.
        caught("the heartbeat of the SSE hub", || hub.beat());
    }
}

/// A ring, and who waits for its next event.
pub(super) struct Topic {
    state: Mutex<TopicState>,
}

pub(super) struct TopicState {
    pub(super) ring: Ring,
    pub(super) waiting: Waiting,
}

impl Topic {
    fn new() -> Self {
        Self {
            state: Mutex::new(TopicState {
                ring: Ring::new(helios_core::hub::RingLimits::default()),
                waiting: Waiting::default(),
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, TopicState> {
        lock(&self.state)
    }

    pub(super) fn tail(&self) -> Cursor {
        self.lock().ring.tail()
    }
}

/// The wakers of the readers that have seen everything. A publish takes them all; a reader registers again when it
/// has caught up.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: Slab<Waker>,
    /// Counts the takes: a [`Slot`] of an earlier round is void.
    round: u64,
}

/// A reader's registration.
#[derive(Debug)]
pub(super) struct Slot {
    round: u64,
    key: usize,
}

impl Waiting {
    pub(super) fn register(&mut self, slot: &mut Option<Slot>, waker: &Waker) {
        let current = slot.as_ref().filter(|slot| slot.round == self.round);
        if let Some(known) = current.and_then(|slot| self.wakers.get_mut(slot.key)) {
            known.clone_from(waker);
            return;
        }
        *slot = Some(Slot {
            round: self.round,
            key: self.wakers.insert(waker.clone()),
        });
    }

    pub(super) fn cancel(&mut self, slot: &mut Option<Slot>) {
        if let Some(slot) = slot.take().filter(|slot| slot.round == self.round) {
            self.wakers.try_remove(slot.key);
        }
    }

    fn take(&mut self) -> Vec<Waker> {
        self.round += 1;
        self.wakers.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_leaves_takes_its_waker_along() {
        let mut waiting = Waiting::default();
        let mut slots = [None, None];
        for slot in &mut slots {
            waiting.register(slot, Waker::noop());
            waiting.register(slot, Waker::noop());
        }
        assert_eq!(waiting.wakers.len(), 2);
        waiting.cancel(&mut slots[0]);
        assert_eq!(waiting.take().len(), 1);
    }

    #[test]
    fn a_slot_of_an_earlier_round_removes_nobody_else() {
        let mut waiting = Waiting::default();
        let (mut early, mut late) = (None, None);
        waiting.register(&mut early, Waker::noop());
        waiting.take();
        waiting.register(&mut late, Waker::noop());
        waiting.cancel(&mut early);
        assert_eq!(waiting.take().len(), 1);
    }
}
