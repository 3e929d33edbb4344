//! The one sequence: who gets which number, and what is known of each topic.
//!
//! Numbers are given out by the writer alone, group by group. What a group has changed takes effect when the store has
//! committed it, and is void otherwise: no `prev` ever names an event of a group that has failed.

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

/// How much longer than the history of its topic an end is remembered.
const FINISHED_LONGER: Duration = Duration::from_secs(60);

/// Until when an end is remembered that is published now, in milliseconds.
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

/// What is to be published, by itself.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) topic: Arc<str>,
    pub(crate) bytes: Bytes,
    pub(crate) limits: HistoryLimits,
    pub(crate) finishes: bool,
    pub(crate) key: Option<String>,
}

/// What is known of the sequence, for all threads.
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
        // Of a topic that is not known, something may have been forgotten.
        let unknown = || Past {
            floor: self.head.forgotten,
            first: self.head.newest + 1,
            ..Past::default()
        };
        self.topics.get(topic).copied().unwrap_or_else(unknown)
    }

    /// What is known of a topic is this from now on.
    pub(crate) fn set_past(&mut self, topic: &Arc<str>, past: Past) {
        let before = self.topics.insert(Arc::clone(topic), past);
        self.bytes += past.bytes;
        self.bytes -= before.map_or(0, |before| before.bytes);
    }

    /// Nothing is known of a topic any more.
    pub(crate) fn forget(&mut self, topic: &str) {
        if let Some(past) = self.topics.remove(topic) {
            self.bytes -= past.bytes;
            self.head.forgotten = self.head.forgotten.max(past.last);
            self.head.lasts = self.head.lasts.wrapping_sub(past.last);
        }
    }

    /// A group was committed: it takes effect, and is handed over.
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
    /// An empty group behind what was committed, at this time.
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

    /// The number of what this group publishes with this key.
    pub(crate) fn known(&self, event: &Event) -> Option<u64> {
        let key = event.key.clone()?;
        let name = (Arc::clone(&event.topic), key);
        self.keys.get(&name).copied()
    }

    /// Gives an event its number, if the topic is not finished.
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
            // Its time is over.
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

    /// Whether this group finishes a topic.
    pub(crate) fn finishes(&self, topic: &str) -> bool {
        let past = self.pasts.get(topic);
        past.is_some_and(|past| past.finished > 0)
    }

    /// The topics, with how much more they hold than is to be kept.
    pub(crate) fn pasts(&self) -> impl Iterator<Item = (&Arc<str>, &Past)> {
        self.pasts.iter()
    }

    /// The rows of its events.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The rows of what is known of its topics and of the sequence then.
    pub(crate) fn states(&self) -> Vec<Change> {
        let pasts = self.pasts.iter();
        let pasts = pasts.map(|(topic, past)| (topic_key(topic), Some(past.pack())));
        let head = (HEAD.to_vec(), Some(self.head.pack()));
        pasts.chain([head]).collect()
    }

    /// What takes all of it back.
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

/// A time in milliseconds since 1970.
pub(crate) fn time(millis: u64) -> SystemTime {
    let since = Duration::from_millis(millis);
    let at = SystemTime::UNIX_EPOCH.checked_add(since);
    at.unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
