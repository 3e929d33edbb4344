//! The log that all nodes share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use tokio::time::Instant;

use crate::sse::backplane::{
    Ask, BackplaneEvent, BackplaneSink, History, PastEvent, Publish, Startup, Watched, WatchedTopic,
};

/// How much longer an end is remembered than the history of its topic.
pub(super) const END_OUTLIVES: Duration = Duration::from_secs(60);

/// The number of publishes after which empty topics are forgotten.
pub(super) const SWEEP: u32 = 8_192;

/// The state of one node's link.
#[derive(Default)]
pub(super) struct Link {
    pub(super) startup: OnceLock<Startup>,
}

pub(super) struct Log {
    epoch: u64,
    newest: u64,
    topics: HashMap<String, Topic>,
    /// Events of topics that were forgotten completely go up to this number.
    forgotten: u64,
    pub(super) links: Vec<Arc<Link>>,
    pub(super) leases: HashMap<NodeId, Instant>,
    pub(super) keep_keys: Duration,
    until_sweep: u32,
}

#[derive(Default)]
struct Topic {
    events: VecDeque<(Instant, PastEvent)>,
    kept: Duration,
    last: Option<EventId>,
    /// Forgotten events go up to this number.
    floor: u64,
    /// The event that has finished the topic, and until when that counts.
    finish: Option<(Instant, PastEvent)>,
    keys: HashMap<String, (Instant, EventId)>,
    keys_by_age: VecDeque<String>,
    watchers: Vec<Arc<Link>>,
}

fn any_epoch() -> u64 {
    fastrand::u64(1..1 << 48)
}

impl Link {
    /// Returns false if the hub was dropped.
    fn hand(&self, event: BackplaneEvent<'_>) -> bool {
        let sink: Option<&BackplaneSink> = self.startup.get().map(|startup| &startup.sink);
        sink.is_some_and(|sink| sink.accept(event))
    }
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            epoch: any_epoch(),
            newest: 0,
            topics: HashMap::new(),
            forgotten: 0,
            links: Vec::new(),
            leases: HashMap::new(),
            keep_keys: Duration::from_secs(120),
            until_sweep: SWEEP,
        }
    }

    /// Begins another, empty sequence, and notifies all nodes.
    pub(super) fn forget_all(&mut self) {
        let before = self.epoch;
        while self.epoch == before {
            self.epoch = any_epoch();
        }
        (self.newest, self.forgotten) = (0, 0);
        for topic in self.topics.values_mut() {
            let watchers = std::mem::take(&mut topic.watchers);
            *topic = Topic {
                watchers,
                ..Topic::default()
            };
        }
        let newest = self.newest_id();
        self.tell_all(|| BackplaneEvent::torn(newest));
    }

    pub(super) fn unwatch(&mut self, link: &Arc<Link>, names: &[&str]) {
        for name in names {
            if let Some(topic) = self.topics.get_mut(*name) {
                topic.unwatch(link);
            }
        }
    }

    /// Forgets a link.
    pub(super) fn leave(&mut self, link: &Arc<Link>) {
        self.links.retain(|known| !Arc::ptr_eq(known, link));
        self.topics
            .values_mut()
            .for_each(|topic| topic.unwatch(link));
        if let Some(startup) = link.startup.get() {
            self.leases.remove(&startup.node);
        }
    }

    pub(super) fn newest_id(&self) -> EventId {
        EventId::new(self.epoch, self.newest)
    }

    pub(super) fn tell_all<'a>(&mut self, event: impl Fn() -> BackplaneEvent<'a>) {
        self.links.retain(|link| link.hand(event()));
    }

    /// Numbers an event and hands it over under the log's lock, so that the order is the same everywhere.
    pub(super) fn publish(&mut self, publish: &Publish<'_>) -> Result<EventId, BackplaneError> {
        let now = Instant::now();
        self.sweep(now);
        if !self.topics.contains_key(publish.topic) {
            self.open(publish.topic);
        }
        let Some(topic) = self.topics.get_mut(publish.topic) else {
            return Err(BackplaneErrorKind::NotPublished.into());
        };
        if let Some(id) = topic.known(publish.key, now, self.keep_keys) {
            return Ok(id);
        }
        if topic.is_finished(now) {
            return Err(BackplaneErrorKind::Finished.into());
        }
        self.newest += 1;
        let id = EventId::new(self.epoch, self.newest);
        let event = PastEvent::new(id, SystemTime::now(), publish.bytes.clone());
        if publish.finishes {
            let until = now + publish.limits.age.saturating_add(END_OUTLIVES);
            topic.finish = Some((until, event.clone()));
        }
        if let Some(key) = publish.key {
            topic.keys.insert(key.to_owned(), (now, id));
            topic.keys_by_age.push_back(key.to_owned());
        }
        let prev = topic.last.replace(id);
        let hand =
            |link: &Arc<Link>| link.hand(BackplaneEvent::event(publish.topic, event.clone(), prev));
        topic.watchers.retain(hand);
        topic.events.push_back((now, event));
        topic.kept = publish.limits.age;
        topic.trim(now, publish.limits.events);
        Ok(id)
    }

    fn open(&mut self, name: &str) -> &mut Topic {
        let floor = self.forgotten;
        self.topics.entry(name.to_owned()).or_insert_with(|| Topic {
            floor,
            ..Topic::default()
        })
    }

    pub(super) fn history(&mut self, ask: &Ask<'_>) -> History {
        let (epoch, forgotten) = (self.epoch, self.forgotten);
        let topic = self.topics.get_mut(ask.topic);
        if let Some(after) = ask.after {
            let floor = topic.as_ref().map_or(forgotten, |topic| topic.floor);
            if after.epoch() != epoch || after.seq() < floor {
                return History::Gone;
            }
        }
        let Some(topic) = topic else {
            return ask.answer(&[]);
        };
        topic.trim(Instant::now(), usize::MAX);
        let after = ask.after.map_or(0, EventId::seq);
        if ask.after.is_some() && after < topic.floor {
            return History::Gone;
        }
        let events = &topic.events;
        let from = events.partition_point(|(_, event)| event.id.seq() <= after);
        ask.answer(events.range(from..).map(|(_, event)| event))
    }

    pub(super) fn watch(&mut self, link: &Arc<Link>, names: &[&str]) -> Watched {
        let now = Instant::now();
        let topics = names.iter().map(|name| {
            let topic = self.open(name);
            topic.unwatch(link);
            topic.watchers.push(Arc::clone(link));
            let finish = topic.finish.as_ref().filter(|(until, _)| now < *until);
            let finish = finish.map(|(_, event)| event.clone());
            WatchedTopic::new(topic.last, finish)
        });
        let topics = topics.collect();
        // Everything up to it has been handed over, under this lock.
        Watched::new(self.newest_id(), topics)
    }

    #[cfg(test)]
    pub(super) fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Forgets empty topics at intervals.
    fn sweep(&mut self, now: Instant) {
        self.until_sweep = self.until_sweep.saturating_sub(1);
        if self.until_sweep > 0 {
            return;
        }
        self.until_sweep = SWEEP;
        let (forgotten, keep_keys) = (&mut self.forgotten, self.keep_keys);
        self.topics.retain(|_, topic| {
            topic.trim(now, usize::MAX);
            topic.forget_keys(now, keep_keys);
            let is_left = topic.is_finished(now) || !topic.watchers.is_empty();
            let is_left = is_left || !topic.events.is_empty() || !topic.keys.is_empty();
            if !is_left {
                *forgotten = topic.floor.max(*forgotten);
            }
            is_left
        });
    }
}

impl Topic {
    /// Returns the id of the event published with this key before.
    fn known(&mut self, key: Option<&str>, now: Instant, kept: Duration) -> Option<EventId> {
        let key = key?;
        self.forget_keys(now, kept);
        self.keys.get(key).map(|(_, id)| *id)
    }

    fn forget_keys(&mut self, now: Instant, kept: Duration) {
        while let Some(oldest) = self.keys_by_age.front() {
            let used = self.keys.get(oldest);
            if used.is_some_and(|(at, _)| now.duration_since(*at) <= kept) {
                return;
            }
            if let Some(oldest) = self.keys_by_age.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }

    fn is_finished(&mut self, now: Instant) -> bool {
        self.finish.take_if(|(until, _)| now >= *until);
        self.finish.is_some()
    }

    /// Drops events that are too old, and the oldest ones above `most`. The newest event stays while it is young
    /// enough.
    fn trim(&mut self, now: Instant, most: usize) {
        let kept = self.kept;
        let too_old = |(at, _): &(Instant, PastEvent)| now.duration_since(*at) > kept;
        while self.events.len() > most.max(1) || self.events.front().is_some_and(too_old) {
            if let Some((_, event)) = self.events.pop_front() {
                self.floor = event.id.seq();
            }
        }
    }

    fn unwatch(&mut self, link: &Arc<Link>) {
        self.watchers.retain(|known| !Arc::ptr_eq(known, link));
    }
}
