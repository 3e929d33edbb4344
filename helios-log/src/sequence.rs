//! The one sequence: how numbers are given out, and what is known of each topic.
//!
//! Only the writer gives out numbers, group by group. The changes of a group take effect when the store has committed
//! the group, and are void otherwise. So no `prev` ever names an event of a failed group.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use helios_core::hub::{EventId, HistoryLimits};
use helios_http::sse::backplane::{
    BackplaneErrorKind, BackplaneEvent, BackplaneSink, PastEvent, Startup,
};

use crate::store::{
    Change, HEAD, Head, Past, event_key, finish_key, key_by_time, key_key, pack, size_of, topic_key,
};

/// The most events of a group.
pub(crate) const GROUP_EVENTS: usize = 1024;

/// How much longer an end is remembered than the history of its topic.
const FINISHED_LONGER: Duration = Duration::from_secs(60);

/// Returns how long an end that is published now is remembered, as a time in milliseconds.
pub(crate) fn end_is_remembered_until(
    topic: &str,
    keep_age: u64,
    now: u64,
    startup: &Startup,
) -> u64 {
    let age = millis(startup.history_of(topic).age).max(keep_age);
    now.saturating_add(age)
        .saturating_add(millis(FINISHED_LONGER))
}

/// An event to be published.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) topic: Arc<str>,
    pub(crate) bytes: Bytes,
    pub(crate) limits: HistoryLimits,
    pub(crate) finishes: bool,
    pub(crate) key: Option<String>,
}

/// The state of the sequence, shared by all threads.
pub(crate) struct Sequence {
    pub(crate) head: Head,
    pub(crate) topics: HashMap<Arc<str>, Past>,
    pub(crate) watched: HashSet<String>,
    /// The size of all events.
    pub(crate) bytes: u64,
    pub(crate) sink: BackplaneSink,
}

impl Sequence {
    pub(crate) fn id(&self, seq: u64) -> EventId {
        EventId::new(self.head.epoch, seq)
    }

    pub(crate) fn past(&self, topic: &str) -> Past {
        // Events of an unknown topic may have been forgotten.
        let unknown = || Past {
            floor: self.head.forgotten,
            first: self.head.newest + 1,
            ..Past::default()
        };
        self.topics.get(topic).copied().unwrap_or_else(unknown)
    }

    /// Sets what is known of a topic.
    pub(crate) fn set_past(&mut self, topic: &Arc<str>, past: Past) {
        let before = self.topics.insert(Arc::clone(topic), past);
        self.bytes += past.bytes;
        self.bytes -= before.map_or(0, |before| before.bytes);
    }

    /// Forgets a topic.
    pub(crate) fn forget(&mut self, topic: &str) {
        if let Some(past) = self.topics.remove(topic) {
            self.bytes -= past.bytes;
            self.head.forgotten = self.head.forgotten.max(past.last);
            self.head.lasts = self.head.lasts.wrapping_sub(past.last);
        }
    }

    /// Applies a group that was committed, and hands it over.
    pub(crate) fn commit(&mut self, group: &Group) {
        self.head = group.head;
        for (topic, past) in &group.pasts {
            self.set_past(topic, *past);
        }
        for event in &group.events {
            if self.watched.contains(&*event.topic) {
                let id = self.id(event.seq);
                let prev = Some(event.prev).filter(|prev| *prev > 0);
                let prev = prev.map(|prev| self.id(prev));
                let past = PastEvent::new(id, time(group.now), event.bytes.clone());
                let event = BackplaneEvent::event(&event.topic, past, prev);
                self.sink.accept(event);
            }
        }
    }
}

/// Events that are committed together.
pub(crate) struct Group {
    now: u64,
    head: Head,
    pasts: HashMap<Arc<str>, Past>,
    keys: HashMap<(Arc<str>, String), u64>,
    events: Vec<Numbered>,
    changes: Vec<Change>,
}

struct Numbered {
    topic: Arc<str>,
    seq: u64,
    prev: u64,
    bytes: Bytes,
}

impl Group {
    /// Creates an empty group behind the committed events, at this time.
    pub(crate) fn behind(head: Head, now: u64) -> Self {
        Self {
            now,
            head,
            pasts: HashMap::new(),
            keys: HashMap::new(),
            events: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Returns the number of the event that this group publishes with the same key.
    pub(crate) fn known(&self, event: &Event) -> Option<u64> {
        let key = event.key.clone()?;
        let name = (Arc::clone(&event.topic), key);
        self.keys.get(&name).copied()
    }

    /// Numbers an event, if the topic is not finished.
    pub(crate) fn number(
        &mut self,
        event: &Event,
        before: impl FnOnce() -> Past,
        startup: &Startup,
    ) -> Result<u64, BackplaneErrorKind> {
        let topic = &event.topic;
        let mut past = self.pasts.get(topic).copied().unwrap_or_else(before);
        if past.finished > 0 && self.now <= past.finished_until {
            return Err(BackplaneErrorKind::Finished);
        }
        self.head.newest += 1;
        let (seq, prev) = (self.head.newest, past.last);
        self.head.lasts = self.head.lasts.wrapping_add(seq).wrapping_sub(prev);
        let value = pack(&[prev, self.now], &event.bytes);
        if past.events == 0 {
            (past.first, past.oldest_at) = (seq, self.now);
        }
        past.last = seq;
        past.events += 1;
        past.bytes += size_of(topic, &event.bytes);
        past.keep_events = event.limits.events.max(1) as u64;
        past.keep_age = millis(event.limits.age);
        if past.finished > 0 {
            // The end is no longer remembered.
            past.finished = 0;
            self.changes.push((finish_key(topic), None));
        }
        if event.finishes {
            past.finished = seq;
            past.finished_until = end_is_remembered_until(topic, past.keep_age, self.now, startup);
            self.change(finish_key(topic), pack(&[seq, self.now], &event.bytes));
        }
        if let Some(key) = &event.key {
            let row = key_key(topic, key);
            self.change(key_by_time(self.now, seq), row.clone());
            self.change(row, pack(&[seq, self.now], &[]));
            self.keys.insert((Arc::clone(topic), key.clone()), seq);
        }
        self.change(event_key(topic, seq), value);
        self.pasts.insert(Arc::clone(topic), past);
        self.events.push(Numbered {
            topic: Arc::clone(topic),
            seq,
            prev,
            bytes: event.bytes.clone(),
        });
        Ok(seq)
    }

    fn change(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push((key, Some(value)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn newest(&self) -> u64 {
        self.head.newest
    }

    /// Returns whether this group finishes a topic.
    pub(crate) fn finishes(&self, topic: &str) -> bool {
        let past = self.pasts.get(topic);
        past.is_some_and(|past| past.finished > 0)
    }

    /// Returns the group's topics, with their states after the group.
    pub(crate) fn pasts(&self) -> impl Iterator<Item = (&Arc<str>, &Past)> {
        self.pasts.iter()
    }

    /// Returns the rows of its events.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the rows for the states of its topics and of the sequence after the group.
    pub(crate) fn states(&self) -> Vec<Change> {
        let pasts = self.pasts.iter();
        let pasts = pasts.map(|(topic, past)| (topic_key(topic), Some(past.pack())));
        let head = (HEAD.to_vec(), Some(self.head.pack()));
        pasts.chain([head]).collect()
    }

    /// Returns the changes that undo the group.
    pub(crate) fn undo(&self, sequence: &Sequence) -> Vec<Change> {
        let added = self.changes.iter().map(|(key, _)| (key.clone(), None));
        let pasts = self.pasts.keys().map(|topic| {
            let before = sequence.topics.get(topic);
            (topic_key(topic), before.map(Past::pack))
        });
        let head = (HEAD.to_vec(), Some(sequence.head.pack()));
        added.chain(pasts).chain([head]).collect()
    }
}

/// Converts milliseconds since 1970 to a time.
pub(crate) fn time(millis: u64) -> SystemTime {
    let since = Duration::from_millis(millis);
    let at = SystemTime::UNIX_EPOCH.checked_add(since);
    at.unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
