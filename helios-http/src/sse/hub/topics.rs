//! The topics of a hub. Each has its own lock, and publishers find it by name without a shared lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Waker;
use std::time::Duration;

use helios_core::hub::{EventId, Overtaken, Ring, TopicRing, Unread};
use helios_core::sse::SseError;
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use crate::sse::hub::feed::Feed;
use crate::sse::hub::waiters::{Registration, Waiters, Wakers};
use crate::sse::options::SseOptions;
use crate::sync::lock;

/// The name of the topic that every stream is in.
pub(crate) const EVERYONE: &str = "*";

/// The prefix of topics for messages between servers.
pub(crate) const RESERVED: &str = "helios:";

const LONGEST_NAME: usize = 256;

/// Checks whether streams may join, and publishers use, a topic of this name.
pub(crate) fn check_name(name: &str) -> Result<(), SseError> {
    // A star means everyone, or looks like a pattern, which a name is not.
    let is_known = name.contains('*') || name.starts_with(RESERVED);
    if name.is_empty() || name.len() > LONGEST_NAME || is_known {
        return Err(SseError::InvalidTopic(name.to_owned()));
    }
    Ok(())
}

/// One topic, with its ring and its readers.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    state: Mutex<TopicState>,
    /// The round of `waiters`, for readers to check without the lock.
    round: AtomicU64,
    /// Set when the backplane was asked to send this topic's events here.
    pub(crate) watched: OnceCell<()>,
    /// Held while the backplane is asked for history, so that many clients that resume at once cause one request.
    pub(crate) reaching_back: tokio::sync::Mutex<()>,
    /// Signalled when a removed topic may be created again.
    pub(crate) gone: Notify,
}

pub(crate) struct TopicState {
    pub(crate) ring: Ring,
    waiters: Waiters,
    /// The number of streams in it.
    members: usize,
    /// The number of turns assigned so far.
    turns: u64,
    /// When it was created, or when its last member left.
    idle_since: Instant,
    /// Whether it is no longer the topic of its name.
    pub(crate) removed: bool,
    /// How it handles events from the backplane.
    pub(crate) feed: Feed,
    /// If the ring's floor is this number, the backplane remembers nothing from before it, or there is no room for it here.
    pub(crate) nothing_before: Option<u64>,
}

impl Topic {
    fn new(name: &str, ring: Ring) -> Self {
        Self {
            name: name.into(),
            state: Mutex::new(TopicState {
                ring,
                waiters: Waiters::default(),
                members: 0,
                turns: 0,
                idle_since: Instant::now(),
                removed: false,
                feed: Feed::Off,
                nothing_before: None,
            }),
            round: AtomicU64::new(0),
            watched: OnceCell::new(),
            reaching_back: tokio::sync::Mutex::default(),
            gone: Notify::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, TopicState> {
        lock(&self.state)
    }

    /// Announces a change to the topic's readers. This comes before the change and before the hub's head shows it. A
    /// reader that finds the round unchanged looks no further.
    pub(crate) fn begin_round(&self, state: &mut TopicState) -> Wakers {
        let woken = state.waiters.take();
        self.round.store(state.waiters.round(), Ordering::Release);
        woken
    }
}

/// A stream's membership of a topic. Dropping it leaves the topic.
pub(crate) struct Membership {
    pub(crate) topic: Arc<Topic>,
    /// Its place in the order in which the topic's readers are woken.
    turn: u64,
    registration: Option<Registration>,
}

impl Membership {
    /// Returns `None` if the topic has been removed meanwhile.
    pub(crate) fn new(topic: Arc<Topic>) -> Option<Self> {
        let turn = {
            let mut state = topic.lock();
            if state.removed {
                return None;
            }
            state.members += 1;
            state.turns += 1;
            state.turns
        };
        Some(Self {
            topic,
            turn,
            registration: None,
        })
    }

    /// Whether this is a membership of the current topic with this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        *self.topic.name == *name && !self.topic.lock().removed
    }
}

impl Membership {
    /// Whether the topic was joined by its name, and is not the one that every stream is in.
    pub(crate) fn is_named(&self) -> bool {
        *self.topic.name != *EVERYONE
    }

    /// Whether the topic is no longer the one of its name.
    pub(crate) fn is_removed(&self) -> bool {
        self.topic.lock().removed
    }
}

impl TopicRing for Membership {
    fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R {
        look(&mut self.topic.lock().ring)
    }

    fn read_or_wait(
        &mut self,
        reader: &Waker,
        read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
    ) -> Result<Unread, Overtaken> {
        let mut state = self.topic.lock();
        let left = read(&mut state.ring)?;
        if left == Unread::Nothing {
            state
                .waiters
                .register(self.turn, &mut self.registration, reader);
        }
        Ok(left)
    }

    fn is_waited_for(&self) -> bool {
        let round = self.topic.round.load(Ordering::Acquire);
        self.registration.as_ref().is_some_and(|it| it.is_of(round))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = lock(&self.topic.state);
        state.members -= 1;
        state.idle_since = Instant::now();
        state.waiters.cancel(&mut self.registration);
    }
}

/// All topics by name.
pub(crate) struct Topics {
    by_name: papaya::HashMap<Arc<str>, Arc<Topic>>,
    pub(crate) everyone: Arc<Topic>,
    /// Topics for messages from other servers to this one, and to all.
    own: OnceLock<[Arc<Topic>; 2]>,
    count: AtomicUsize,
    /// Events of removed topics up to this number cannot be resumed.
    forgotten: AtomicU64,
    /// The size of all rings, in bytes.
    held: AtomicU64,
    /// Held by the publisher that drops the oldest events.
    trimming: Mutex<()>,
}

impl Topics {
    pub(crate) fn new(epoch: u64) -> Self {
        let ring = SseOptions::default().ring(EVERYONE, EventId::new(epoch, 0));
        Self {
            by_name: papaya::HashMap::new(),
            everyone: Arc::new(Topic::new(EVERYONE, ring)),
            own: OnceLock::new(),
            count: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
            held: AtomicU64::new(0),
            trimming: Mutex::default(),
        }
    }

    /// Applies the limits of `options` to topics that already exist.
    pub(crate) fn configure(&self, options: &SseOptions) {
        for topic in self.all() {
            let limits = options.history_of(&topic.name);
            let ring = &mut topic.lock().ring;
            ring.set_limits(limits, options.for_readers());
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        if name == EVERYONE {
            return Some(Arc::clone(&self.everyone));
        }
        match self.own().find(|own| *own.name == *name) {
            Some(own) => Some(Arc::clone(own)),
            None => self.by_name.pin().get(name).cloned(),
        }
    }

    /// Returns the topics that servers themselves read. They have no other readers. Only the names of the first call
    /// count.
    pub(crate) fn open_own(
        &self,
        names: [String; 2],
        epoch: u64,
        options: &SseOptions,
    ) -> &[Arc<Topic>] {
        let make = |name: String| {
            let ring = options.ring(&name, EventId::new(epoch, 0));
            Arc::new(Topic::new(&name, ring))
        };
        self.own.get_or_init(|| names.map(make))
    }

    /// Returns the topics that servers themselves read, once they are open.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.own.get().into_iter().flatten()
    }

    fn is_own(&self, topic: &Arc<Topic>) -> bool {
        self.own().any(|own| Arc::ptr_eq(topic, own))
    }

    /// Whether the topic lasts as long as the hub.
    fn is_permanent(&self, topic: &Arc<Topic>) -> bool {
        Arc::ptr_eq(topic, &self.everyone) || self.is_own(topic)
    }

    /// Returns the topic of this name, and creates it in this epoch if there is none.
    pub(crate) fn open(
        &self,
        name: &str,
        epoch: u64,
        options: &SseOptions,
    ) -> Result<Arc<Topic>, SseError> {
        if let Some(topic) = self.find(name) {
            return Ok(topic);
        }
        check_name(name)?;
        let limit = options.max_topics;
        if self.count.fetch_add(1, Ordering::AcqRel) >= limit {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Err(SseError::TooManyTopics { limit });
        }
        let make = || {
            // Loaded after a topic of this name was taken out, so that the floor covers that topic's events.
            let floor = self.forgotten.load(Ordering::Acquire);
            let ring = options.ring(name, EventId::new(epoch, floor));
            Arc::new(Topic::new(name, ring))
        };
        match self.by_name.pin().try_insert_with(name.into(), make) {
            Ok(made) => Ok(Arc::clone(made)),
            Err(known) => {
                self.count.fetch_sub(1, Ordering::AcqRel);
                Ok(Arc::clone(known))
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether this is the topic of its name. A removed topic is, until it is forgotten.
    pub(crate) fn holds(&self, topic: &Arc<Topic>) -> bool {
        let known = self.find(&topic.name);
        known.is_some_and(|known| Arc::ptr_eq(&known, topic))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        let named = self.by_name.pin();
        let mut all: Vec<_> = named.values().cloned().collect();
        all.push(Arc::clone(&self.everyone));
        all.extend(self.own().cloned());
        all
    }

    /// Changes a ring, and updates the size of all rings.
    pub(crate) fn change<T>(&self, ring: &mut Ring, change: impl FnOnce(&mut Ring) -> T) -> T {
        let before = ring.size();
        let result = change(ring);
        let grown = ring.size().wrapping_sub(before);
        self.held.fetch_add(grown, Ordering::AcqRel);
        result
    }

    /// Drops expired events, and returns empty topics that have no members or are finished. They are marked as removed.
    /// The caller calls [`Topics::forget`] when their names may be used again.
    pub(crate) fn sweep(&self, now: Duration, options: &SseOptions) -> Vec<Arc<Topic>> {
        let mut removed = Vec::new();
        for topic in self.all() {
            let mut state = topic.lock();
            self.change(&mut state.ring, |ring| ring.expire(now));
            // A topic stays as long as its history would be kept. A client that comes back to a quiet topic has then
            // missed nothing, and a client that joins a finished one gets its end. Streams that are still in a finished
            // topic get nothing more of it.
            let finished_for = state.ring.finished_for(now);
            let idle_for = finished_for.unwrap_or_else(|| state.idle_since.elapsed());
            let kept = idle_for < options.history_of(&topic.name).age;
            let empty = state.ring.is_empty() && !state.feed.is_behind();
            let is_used = state.members > 0 && finished_for.is_none();
            let unused = !is_used && empty && !kept;
            if unused && !state.removed && !self.is_permanent(&topic) {
                state.removed = true;
                // Otherwise later events would go into a ring from which nothing is dropped.
                state.feed = Feed::Off;
                let last = state.ring.last();
                self.forgotten.fetch_max(last, Ordering::AcqRel);
                drop(state);
                removed.push(topic);
            }
        }
        removed
    }

    /// Takes a removed topic out, so that its name may be used again.
    pub(crate) fn forget(&self, topic: &Arc<Topic>) {
        let topics = self.by_name.pin();
        let removed = topics.remove_if(&topic.name, |_, known| Arc::ptr_eq(known, topic));
        if matches!(removed, Ok(Some(_))) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        topic.gone.notify_waiters();
    }

    /// Begins again at an id of another epoch, of which nothing up to that id is known. Returns the readers to wake. The
    /// topics that servers themselves read begin at the epoch's beginning, because nobody is reset who would fetch what is
    /// missing in them.
    pub(crate) fn restart(&self, id: EventId) -> Vec<Wakers> {
        let (epoch, floor) = (id.epoch(), id.seq());
        self.forgotten.store(floor, Ordering::Release);
        let mut woken = Vec::new();
        for topic in self.all() {
            let mut state = topic.lock();
            // A removed topic gets no more events, and its readers cannot move to the next topic of its name.
            if state.removed {
                continue;
            }
            woken.push(topic.begin_round(&mut state));
            let floor = if self.is_own(&topic) { 0 } else { floor };
            self.change(&mut state.ring, |ring| ring.restart(epoch, floor));
            state.nothing_before = None;
            if state.feed.is_behind() {
                state.feed.restart();
                state.ring.catch_up();
            }
        }
        woken
    }

    /// Returns all readers that wait.
    pub(crate) fn wait_no_more(&self) -> Vec<Wakers> {
        let begin_round = |topic: &Arc<Topic>| topic.begin_round(&mut topic.lock());
        self.all().iter().map(begin_round).collect()
    }

    /// Keeps the size of all rings below `limit` bytes by dropping the oldest events.
    pub(crate) fn trim(&self, limit: u64) {
        if self.held.load(Ordering::Acquire) <= limit {
            return;
        }
        // Another publisher is trimming already.
        let Ok(_trimming) = self.trimming.try_lock() else {
            return;
        };
        let target = limit - limit / 8;
        let all = self.all();
        let oldest = |topic: &Arc<Topic>| topic.lock().ring.oldest();
        let mut by_age: BinaryHeap<_> = all
            .iter()
            .enumerate()
            .filter_map(|(place, topic)| Some(Reverse((oldest(topic)?, place))))
            .collect();
        while self.held.load(Ordering::Acquire) > target {
            let Some(Reverse((_, place))) = by_age.pop() else {
                return;
            };
            let until = by_age.peek().map_or(u64::MAX, |Reverse((seq, _))| *seq);
            let mut state = all[place].lock();
            while state.ring.oldest().is_some_and(|seq| seq <= until)
                && self.held.load(Ordering::Acquire) > target
            {
                self.change(&mut state.ring, Ring::drop_oldest);
            }
            if let Some(seq) = state.ring.oldest() {
                by_age.push(Reverse((seq, place)));
            }
        }
    }
}
