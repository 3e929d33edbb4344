//! The topics of a hub: each behind a lock of its own, found by name without a lock that publishers would share.

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

/// The name of the topic that every connection is in.
pub(crate) const EVERYONE: &str = "*";

/// What servers tell each other is in topics whose names begin so.
pub(crate) const RESERVED: &str = "helios:";

const LONGEST_NAME: usize = 256;

/// Whether connections may join, and publishers name, a topic of this name.
pub(crate) fn check_name(name: &str) -> Result<(), SseError> {
    // A star stands for everybody, or looks like a pattern, which a name is not.
    let is_known = name.contains('*') || name.starts_with(RESERVED);
    if name.is_empty() || name.len() > LONGEST_NAME || is_known {
        return Err(SseError::InvalidTopic(name.to_owned()));
    }
    Ok(())
}

/// One topic: a ring, and who reads it.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    state: Mutex<TopicState>,
    /// That of `waiters`, for readers to look at without the lock.
    round: AtomicU64,
    /// The backplane was asked to send its events here.
    pub(crate) watched: OnceCell<()>,
    /// Held by who asks the backplane for history, so that many who resume at once ask once.
    pub(crate) reaching_back: tokio::sync::Mutex<()>,
    /// Signalled when a removed topic may be made anew.
    pub(crate) gone: Notify,
}

pub(crate) struct TopicState {
    pub(crate) ring: Ring,
    waiters: Waiters,
    /// Connections that are in it.
    members: usize,
    /// Turns given so far.
    turns: u64,
    /// When it was made, or the last of them has left.
    idle_since: Instant,
    /// It is no longer the topic of its name.
    pub(crate) removed: bool,
    /// What the backplane gives it.
    pub(crate) feed: Feed,
    /// If the ring's floor is this number, the backplane remembers nothing from before it.
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

    /// Something is about to change for the topic's readers. This comes first, and before the hub's head says so: a reader
    /// that finds the round unchanged looks no further.
    pub(crate) fn begin_round(&self, state: &mut TopicState) -> Wakers {
        let woken = state.waiters.take();
        self.round.store(state.waiters.round(), Ordering::Release);
        woken
    }
}

/// A stream's membership of a topic, given up when it is dropped.
pub(crate) struct Membership {
    pub(crate) topic: Arc<Topic>,
    /// Its turn to be woken among the topic's readers.
    turn: u64,
    registration: Option<Registration>,
}

impl Membership {
    /// `None` if the topic has been removed meanwhile.
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

    /// Whether it is a membership of the topic that has this name now.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        *self.topic.name == *name && !self.topic.lock().removed
    }
}

impl Membership {
    /// Whether it is of a topic that was asked for by its name, and not of the one that everybody is in.
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
    /// What other servers send to this one, and to all.
    own: OnceLock<[Arc<Topic>; 2]>,
    count: AtomicUsize,
    /// Of removed topics nothing up to this number can be resumed.
    forgotten: AtomicU64,
    /// What all rings hold, in bytes.
    held: AtomicU64,
    /// Whoever holds it drops what is oldest.
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

    /// Puts the limits of `options` in force for topics that were published to before.
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
        let mut own = self.own.get().into_iter().flatten();
        match own.find(|own| *own.name == *name) {
            Some(own) => Some(Arc::clone(own)),
            None => self.by_name.pin().get(name).cloned(),
        }
    }

    /// The topics that servers themselves read: they have no readers. The first names count.
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

    /// Whether it is there for as long as the hub.
    fn is_permanent(&self, topic: &Arc<Topic>) -> bool {
        let mut own = self.own.get().into_iter().flatten();
        Arc::ptr_eq(topic, &self.everyone) || own.any(|own| Arc::ptr_eq(topic, own))
    }

    /// The topic of this name, made in this epoch if there is none.
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
            // Loaded after a topic of this name was taken out, so that its floor covers that one's events.
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

    /// Whether this is the topic of its name: removed or not, until it is forgotten.
    pub(crate) fn holds(&self, topic: &Arc<Topic>) -> bool {
        let known = self.find(&topic.name);
        known.is_some_and(|known| Arc::ptr_eq(&known, topic))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        let named = self.by_name.pin();
        let mut all: Vec<_> = named.values().cloned().collect();
        all.push(Arc::clone(&self.everyone));
        all.extend(self.own.get().into_iter().flatten().cloned());
        all
    }

    /// Changes a ring, and keeps count of what all rings hold.
    pub(crate) fn change<T>(&self, ring: &mut Ring, change: impl FnOnce(&mut Ring) -> T) -> T {
        let before = ring.size();
        let result = change(ring);
        let grown = ring.size().wrapping_sub(before);
        self.held.fetch_add(grown, Ordering::AcqRel);
        result
    }

    /// Drops what has expired, and gives the topics that hold nothing, and that nobody is in or that are finished. They are
    /// removed: the caller calls [`Topics::forget`] when their names may be used anew.
    pub(crate) fn sweep(&self, now: Duration, options: &SseOptions) -> Vec<Arc<Topic>> {
        let mut removed = Vec::new();
        for topic in self.all() {
            let mut state = topic.lock();
            self.change(&mut state.ring, |ring| ring.expire(now));
            // As long as its history would be kept: who comes back to a quiet topic has missed nothing, and who comes to a
            // finished one is told. Streams that are still in a finished one get nothing more of it.
            let finished_for = state.ring.finished_for(now);
            let idle_for = finished_for.unwrap_or_else(|| state.idle_since.elapsed());
            let kept = idle_for < options.history_of(&topic.name).age;
            let empty = state.ring.is_empty() && !state.feed.is_behind();
            let is_used = state.members > 0 && finished_for.is_none();
            let unused = !is_used && empty && !kept;
            if unused && !state.removed && !self.is_permanent(&topic) {
                state.removed = true;
                // What still arrives would be held by a ring that nobody drops anything from.
                state.feed = Feed::Off;
                let last = state.ring.last();
                self.forgotten.fetch_max(last, Ordering::AcqRel);
                drop(state);
                removed.push(topic);
            }
        }
        removed
    }

    /// Takes a removed topic out, so that its name may be used anew.
    pub(crate) fn forget(&self, topic: &Arc<Topic>) {
        let topics = self.by_name.pin();
        let removed = topics.remove_if(&topic.name, |_, known| Arc::ptr_eq(known, topic));
        if matches!(removed, Ok(Some(_))) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        topic.gone.notify_waiters();
    }

    /// Begins anew at an id of another epoch: nothing that was published up to it is known. Gives who is to be woken to learn it.
    pub(crate) fn restart(&self, id: EventId) -> Vec<Wakers> {
        let (epoch, floor) = (id.epoch(), id.seq());
        self.forgotten.store(floor, Ordering::Release);
        let mut woken = Vec::new();
        for topic in self.all() {
            let mut state = topic.lock();
            // It gets nothing more, and its readers cannot be led to what has its name next.
            if state.removed {
                continue;
            }
            woken.push(topic.begin_round(&mut state));
            self.change(&mut state.ring, |ring| ring.restart(epoch, floor));
            state.nothing_before = None;
            if state.feed.is_behind() {
                state.feed.restart();
                state.ring.catch_up();
            }
        }
        woken
    }

    /// Gives all readers that wait, whatever for.
    pub(crate) fn wait_no_more(&self) -> Vec<Wakers> {
        let begin_round = |topic: &Arc<Topic>| topic.begin_round(&mut topic.lock());
        self.all().iter().map(begin_round).collect()
    }

    /// Keeps what all rings hold together below `limit` bytes: the oldest events go first.
    pub(crate) fn trim(&self, limit: u64) {
        if self.held.load(Ordering::Acquire) <= limit {
            return;
        }
        // Another publisher that trims already does it for all.
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
