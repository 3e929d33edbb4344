//! What is forgotten, a little at a time: events beyond the limits of their topics, the oldest of all where there are too many
//! bytes, ends and keys whose time is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::with_causes;
use crate::sequence::Sequence;
use crate::shared::Shared;
use crate::store::{
    Change, HEAD, KEY_BY_TIME, Past, Store, StoreError, event_key, finish_key, key_by_time,
    numbers, seq_of, topic_key,
};

/// Rows that are looked at before whoever publishes has a turn.
const STEP: usize = 512;

pub(crate) struct Trimming {
    /// Topics that hold too much, or may.
    topics: BTreeSet<Arc<str>>,
    /// Topics that cannot be read. They are left alone.
    damaged: BTreeSet<Arc<str>>,
    /// Keys may be too old.
    keys: bool,
    max_bytes: u64,
    /// In milliseconds.
    keep_keys: u64,
    /// Events up to this number are forgotten: there are too many bytes.
    cutoff: u64,
}

impl Trimming {
    pub(crate) const fn new(max_bytes: u64, keep_keys: u64) -> Self {
        Self {
            topics: BTreeSet::new(),
            damaged: BTreeSet::new(),
            keys: true,
            max_bytes,
            keep_keys,
            cutoff: 0,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.topics.is_empty() && !self.keys
    }

    /// Something was published. A topic is not trimmed for each event.
    pub(crate) fn published(&mut self, topic: &Arc<str>, past: &Past) {
        let slack = 64 + past.keep_events / 8;
        let is_long = past.events > past.keep_events.saturating_add(slack);
        if is_long && !self.damaged.contains(topic) {
            self.topics.insert(Arc::clone(topic));
        }
    }

    /// Finds what is to be forgotten.
    pub(crate) fn look(&mut self, sequence: &Sequence, now: u64) {
        self.keys = true;
        if sequence.bytes > self.max_bytes {
            let holding = sequence.topics.values().filter(|past| past.events > 0);
            let oldest = holding.map(|past| past.first).min().unwrap_or(0);
            let span = sequence.head.newest.saturating_sub(oldest);
            self.cutoff = oldest + span / 16;
        }
        let topics = sequence.topics.iter();
        let too_much = topics.filter(|(_, past)| self.holds_too_much(past, now));
        let too_much = too_much.map(|(topic, _)| Arc::clone(topic));
        let too_much: Vec<_> = too_much.filter(|it| !self.damaged.contains(it)).collect();
        self.topics.extend(too_much);
    }

    fn holds_too_much(&self, past: &Past, now: u64) -> bool {
        match past.events {
            0 => !is_finished(past, now),
            events => {
                events > past.keep_events
                    || past.first <= self.cutoff
                    || past.oldest_at == 0
                    || is_too_old(past, past.oldest_at, now)
            }
        }
    }

    /// Forgets a little. Says whether the store was changed; an error comes with what is to be done again.
    pub(crate) fn step(
        &mut self,
        shared: &Shared,
        now: u64,
    ) -> Result<bool, (StoreError, Vec<Change>)> {
        let mut changes = Vec::new();
        if let Some(topic) = self.topics.pop_first() {
            self.trim_topic(shared, &topic, now, &mut changes);
            let is_over = shared.sequence().bytes > self.max_bytes;
            if self.topics.is_empty() && is_over {
                self.look(&shared.sequence(), now);
            }
        } else if self.keys {
            self.trim_keys(shared, now, &mut changes);
        }
        if changes.is_empty() {
            return Ok(false);
        }
        let committed = shared.in_store(|store| store.commit(&changes));
        committed.map_err(|error| (error, changes))?;
        Ok(true)
    }

    fn trim_topic(
        &mut self,
        shared: &Shared,
        topic: &Arc<str>,
        now: u64,
        changes: &mut Vec<Change>,
    ) {
        let before = shared.sequence().topics.get(topic).copied();
        let Some(before) = before else { return };
        let trimmed = shared.in_store(|store| self.walk(store, topic, before, now));
        let Trimmed {
            past,
            keys,
            is_done,
        } = match trimmed {
            Ok(trimmed) => trimmed,
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(%topic, error, "the log cannot read a topic to trim it");
                self.damaged.insert(Arc::clone(topic));
                return;
            }
        };
        if !is_done {
            self.topics.insert(Arc::clone(topic));
        }
        changes.extend(keys.into_iter().map(|key| (key, None)));
        // Readers see the floor before the events are gone.
        let mut sequence = shared.sequence();
        if past.events > 0 || is_finished(&past, now) {
            if past.floor != before.floor {
                changes.push((topic_key(topic), Some(past.pack())));
            }
            sequence.set_past(topic, past);
        } else {
            let forgotten = sequence.head.forgotten.max(past.last);
            sequence.forget(topic, forgotten);
            let head = sequence.head.pack();
            changes.extend([
                (topic_key(topic), None),
                (finish_key(topic), None),
                (HEAD.to_vec(), Some(head)),
            ]);
        }
    }

    /// Walks over the oldest events of a topic.
    fn walk(
        &self,
        store: &Store,
        topic: &str,
        mut past: Past,
        now: u64,
    ) -> Result<Trimmed, StoreError> {
        let rows = store.range(event_key(topic, past.first)..=event_key(topic, past.last));
        let mut keys = Vec::new();
        for row in rows {
            let (key, value) = row?;
            let (seq, ([_, at], bytes)) = (seq_of(&key)?, numbers::<2>(&value)?);
            let goes =
                past.events > past.keep_events || seq <= self.cutoff || is_too_old(&past, at, now);
            if !goes || keys.len() >= STEP {
                (past.first, past.oldest_at) = (seq, at.min(now));
                return Ok(Trimmed {
                    past,
                    keys,
                    is_done: !goes,
                });
            }
            past.floor = seq;
            past.events = past.events.saturating_sub(1);
            past.bytes = past.bytes.saturating_sub(bytes.len() as u64);
            keys.push(key.to_vec());
        }
        (past.events, past.bytes, past.oldest_at) = (0, 0, 0);
        past.first = past.last + 1;
        past.floor = past.floor.max(past.last);
        Ok(Trimmed {
            past,
            keys,
            is_done: true,
        })
    }

    fn trim_keys(&mut self, shared: &Shared, now: u64, changes: &mut Vec<Change>) {
        // A clock that was never set begins in 1970.
        let walked = match now.checked_sub(self.keep_keys) {
            Some(before) => shared.in_store(|store| walk_keys(store, before)),
            None => Ok((Vec::new(), false)),
        };
        match walked {
            Ok((keys, more)) => {
                self.keys = more;
                changes.extend(keys.into_iter().map(|key| (key, None)));
            }
            Err(error) => {
                self.keys = false;
                let error = with_causes(&error);
                tracing::error!(error, "the log cannot read its keys to trim them");
            }
        }
    }
}

/// What is left of a topic.
struct Trimmed {
    past: Past,
    /// Rows that are to go.
    keys: Vec<Vec<u8>>,
    is_done: bool,
}

fn is_too_old(past: &Past, at: u64, now: u64) -> bool {
    now.saturating_sub(at) > past.keep_age
}

pub(crate) fn is_finished(past: &Past, now: u64) -> bool {
    past.finished > 0 && now <= past.finished_until
}

/// The rows of keys from before this time, and whether there are more.
fn walk_keys(store: &Store, before: u64) -> Result<(Vec<Vec<u8>>, bool), StoreError> {
    let mut keys = Vec::new();
    for row in store.range(vec![KEY_BY_TIME]..=key_by_time(before, u64::MAX)) {
        if keys.len() >= STEP {
            return Ok((keys, true));
        }
        let (by_time, key) = row?;
        let current = store.get(&key)?;
        let current = current.map(|row| numbers::<1>(&row).map(|([seq], _)| seq));
        // It may have been used again since.
        if current.transpose()? == Some(seq_of(&by_time)?) {
            keys.push(key.to_vec());
        }
        keys.push(by_time.to_vec());
    }
    Ok((keys, false))
}
