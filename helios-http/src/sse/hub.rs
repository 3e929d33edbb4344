//! The hub of one app, with the one sequence of its events and the topics that hold them. The rules are in
//! `helios_core::hub`. This adds the locks and wakers. It knows nothing of streams.
//!
//! # Locks
//!
//! A stream's state is locked before a topic, or before the pair of epoch and head. A replication's order and the keys
//! are locked before all of them. No waker and no user code runs under any of these locks.

pub(crate) mod feed;
mod keys;
pub(crate) mod node;
pub(crate) mod topics;
pub(crate) mod waiters;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Frame, Ring, UnnumberedEvent};
use helios_core::sse::{ClientId, NodeId, SseError, is_end_mark};
use tokio::time::Instant;

use crate::sse::hub::keys::Keys;
use crate::sse::hub::topics::Topics;
use crate::sse::hub::waiters::Wakers;
use crate::sse::options::SseOptions;
use crate::sync::lock;

/// The audience of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All readers of its topic.
    All,
    /// All readers but one.
    Except(ClientId),
    /// One client, of the node whose topic it is published to.
    Only(ClientId),
    /// The servers themselves. The event names a user whose streams are to end.
    Servers,
}

/// The content of a publish: an event, the topic's end, or both at once.
pub(crate) struct Publication {
    pub(crate) event: Option<UnnumberedEvent>,
    pub(crate) audience: Audience,
    /// Whether it is the end of the topic.
    pub(crate) finishes: bool,
}

impl Publication {
    pub(crate) fn event(event: UnnumberedEvent, except: Option<ClientId>) -> Self {
        Self {
            event: Some(event),
            audience: except.map_or(Audience::All, Audience::Except),
            finishes: false,
        }
    }

    pub(crate) fn end(last: Option<UnnumberedEvent>) -> Self {
        Self {
            event: last,
            audience: Audience::All,
            finishes: true,
        }
    }
}

/// The greatest age of an event published before this process started, on a clock that begins with the process. Older
/// events count as this old.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) struct Hub {
    /// Distinguishes this server from others behind the same backplane.
    pub(crate) node: NodeId,
    options: OnceLock<SseOptions>,
    started: Instant,
    /// Distinguishes the ids of this run, or of this backplane, from others.
    epoch: AtomicU64,
    /// The highest sequence number that was assigned.
    head: AtomicU64,
    /// Held to change the epoch and the head together, and to read them together.
    sequence: Mutex<()>,
    pub(crate) topics: Topics,
    pub(crate) counters: Counters,
    keys: Mutex<Keys>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) slow_closes: AtomicU64,
    pub(crate) unconfirmed: AtomicU64,
}

impl Hub {
    pub(crate) fn new() -> Self {
        // 48 bits are short to write, and no two runs of a server will share them.
        let epoch = fastrand::u64(1..1 << 48);
        Self {
            node: node::of_new_hub(),
            options: OnceLock::new(),
            started: Instant::now(),
            epoch: AtomicU64::new(epoch),
            head: AtomicU64::new(0),
            sequence: Mutex::default(),
            topics: Topics::new(epoch),
            counters: Counters::default(),
            keys: Mutex::default(),
        }
    }

    /// Sets the options before the first stream. Until then the defaults apply.
    pub(crate) fn configure(&self, options: SseOptions) {
        self.topics.configure(&options);
        // There is no second app on the same hub, so the first value is the only one.
        let _ = self.options.set(options);
    }

    pub(crate) fn options(&self) -> &SseOptions {
        static DEFAULTS: LazyLock<SseOptions> = LazyLock::new(SseOptions::default);
        self.options.get().unwrap_or(&DEFAULTS)
    }

    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Returns the id of the event with this number.
    pub(crate) fn id(&self, seq: u64) -> EventId {
        EventId::new(self.epoch(), seq)
    }

    /// Returns the newest number assigned in this epoch, or `None` if another one has begun.
    pub(crate) fn head_of(&self, epoch: u64) -> Option<u64> {
        // The head is read first. A reader that sees a head of another epoch also sees that epoch.
        let head = self.head();
        (self.epoch() == epoch).then_some(head)
    }

    /// Returns the newest id that was assigned.
    pub(crate) fn newest_id(&self) -> EventId {
        let _sequence = lock(&self.sequence);
        EventId::new(self.epoch(), self.head())
    }

    /// Continues from this id, which another server has assigned.
    pub(crate) fn advance_to(&self, id: EventId) {
        self.head.fetch_max(id.seq(), Ordering::AcqRel);
    }

    /// Begins again at an id of another sequence. The caller makes sure that nothing is published meanwhile, and wakes
    /// the readers.
    ///
    /// Readers rely on the order of these steps (see `helios_core::hub::Ring`).
    ///
    /// 1. All rings restart. So a reader that sees the new epoch finds no ring of the old one.
    /// 2. The epoch changes. A reader that saw a ring of the new epoch before that waits for the topic, and checks the
    ///    epoch once more. It sees the new epoch then, or it is already waiting in step 3.
    /// 3. The rounds of all topics begin again, which wakes all readers that wait.
    pub(crate) fn begin_at(&self, id: EventId) -> Vec<Wakers> {
        let mut woken = self.topics.restart(id);
        {
            let _sequence = lock(&self.sequence);
            self.epoch.store(id.epoch(), Ordering::Release);
            self.head.store(id.seq(), Ordering::Release);
        }
        woken.extend(self.topics.wait_no_more());
        woken
    }

    #[cfg(test)]
    pub(crate) fn restart_at(&self, id: EventId) {
        self.begin_at(id).into_iter().for_each(Wakers::wake);
    }

    /// Returns the time of the hub's clock.
    pub(crate) fn now(&self) -> Duration {
        OLDEST + self.started.elapsed()
    }

    /// Converts the time of an event published elsewhere to the hub's clock. The result is never in the future, even if
    /// the other clock is ahead.
    pub(crate) fn time_of(&self, at: SystemTime) -> Duration {
        let age = SystemTime::now().duration_since(at).unwrap_or_default();
        self.now().saturating_sub(age)
    }

    /// Encodes an event that is sent to one stream.
    pub(crate) fn encode(&self, event: &SseEvent) -> Result<Bytes, SseError> {
        self.check_reserved(event)?;
        let bytes = encode(event)?;
        self.check_size(&bytes)?;
        Ok(bytes)
    }

    /// Encodes an event that is published.
    pub(crate) fn encode_unnumbered(&self, event: &SseEvent) -> Result<UnnumberedEvent, SseError> {
        self.check_reserved(event)?;
        let unnumbered = UnnumberedEvent::new(event)?;
        if let Some(id) = event.event_id() {
            return Err(SseError::OwnId(id.to_owned()));
        }
        self.check_size(unnumbered.parts().0)?;
        Ok(unnumbered)
    }

    pub(crate) fn check_reserved(&self, event: &SseEvent) -> Result<(), SseError> {
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

    /// Numbers an event or the end of a topic, and puts it into the topic.
    pub(crate) fn append(
        &self,
        name: &str,
        publication: &Publication,
    ) -> Result<EventId, SseError> {
        let (id, woken) = self.append_quietly(name, publication)?;
        self.appended(woken);
        Ok(id)
    }

    /// Does the same without waking the readers, which the caller does.
    fn append_quietly(
        &self,
        name: &str,
        publication: &Publication,
    ) -> Result<(EventId, Wakers), SseError> {
        let (seq, woken) = loop {
            let topic = self.topics.open(name, self.epoch(), self.options())?;
            let mut state = topic.lock();
            if state.removed {
                drop(state);
                self.topics.forget(&topic);
                continue;
            }
            if state.ring.is_finished() {
                return Err(SseError::TopicFinished(name.to_owned()));
            }
            let woken = topic.begin_round(&mut state);
            // The number is taken under the topic's lock. A reader that loads the head and then takes the lock finds
            // everything up to that head.
            let seq = self.head.fetch_add(1, Ordering::AcqRel) + 1;
            self.push(&mut state.ring, seq, publication);
            break (seq, woken);
        };
        Ok((self.id(seq), woken))
    }

    /// Appends unless something was appended to the topic with this key.
    pub(crate) fn append_once(
        &self,
        name: &str,
        key: &str,
        publication: &Publication,
    ) -> Result<EventId, SseError> {
        let times = (self.now(), self.options().keep_keys);
        let mut woken = Wakers::default();
        let append = || {
            let (id, readers) = self.append_quietly(name, publication)?;
            woken = readers;
            Ok(id)
        };
        let id = lock(&self.keys).once((name, key), times, append);
        self.appended(woken);
        id
    }

    /// Appends to a topic's ring. The caller wakes the readers after it has released the lock.
    pub(crate) fn push(&self, ring: &mut Ring, seq: u64, publication: &Publication) {
        self.push_at(ring, seq, publication, self.now());
    }

    /// Appends an event that was published at this time.
    pub(crate) fn push_at(
        &self,
        ring: &mut Ring,
        seq: u64,
        publication: &Publication,
        at: Duration,
    ) {
        let except = match publication.audience {
            Audience::All => None,
            Audience::Except(client) => Some(client),
            // Such events are not kept in a ring.
            Audience::Only(_) | Audience::Servers => return ring.pass(seq),
        };
        let event = publication.event.as_ref();
        let event = event.map(|event| event.with_id(&self.id(seq).to_string()));
        self.topics.change(ring, |ring| match event {
            event if publication.finishes => ring.finish(seq, event, at),
            Some(event) => ring.push(seq, event, except, at),
            None => {}
        });
    }

    /// Wakes the readers and trims the history after a topic is unlocked.
    pub(crate) fn appended(&self, woken: Wakers) {
        woken.wake();
        self.topics.trim(self.options().history_bytes);
    }

    /// Counts a frame that is about to be written.
    pub(crate) fn count(&self, frame: Frame) -> Bytes {
        let (events, bytes) = (frame.events(), frame.len() as u64);
        self.counters.delivered.fetch_add(events, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        frame.into_bytes()
    }
}
