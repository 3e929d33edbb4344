//! Trims the store, a little at a time. It forgets events beyond the limits of their topics, the oldest events of all
//! if there are too many bytes, and ends and keys whose time is over.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::error::with_causes;
use crate::sequence::Sequence;
use crate::shared::Shared;
use crate::store::{
    Change, HEAD, KEY_BY_TIME, Past, Store, StoreError, event_key, finish_key, key_by_time,
    numbers, seq_of, size_of, topic_key,
};

/// How many rows of each kind are handled before publishers have their turn. After a large group it is twice the size of
/// the group, so that trimming keeps pace with publishers that leave no pause.
const STEP: usize = 512;

/// How many topics without events are remembered by their last number, so that their clients have missed nothing when
/// they come back. Of further such topics, those with the oldest last event are forgotten, and their clients receive a
/// reset.
const EMPTY_TOPICS: usize = 50_000;

/// The topic of all clients, which is never forgotten.
const EVERYBODY: &str = "*";

pub(crate) struct Trimming {
    /// Topics that hold too much, or may.
    topics: BTreeSet<Arc<str>>,
    /// The topic that had the last turn.
    turn: Arc<str>,
    /// Topics to be forgotten, if they still have no events.
    empty: BTreeSet<Arc<str>>,
    /// Whether some keys may be too old.
    keys: bool,
    max_bytes: u64,
    /// In milliseconds.
    keep_keys: u64,
    /// Events up to this number are forgotten, because there are too many bytes.
    cutoff: u64,
    /// When trimming began. A later time comes from a clock that was ahead, and such an event ages from here on.
    began: u64,
    /// The row behind which there may be keys. A scan would still walk over removed rows.
    keys_from: Vec<u8>,
    /// Whether there may be keys from a clock that was ahead.
    keys_ahead: bool,
}

impl Trimming {
    pub(crate) fn new(max_bytes: u64, keep_keys: u64, began: u64) -> Self {
        Self {
            topics: BTreeSet::new(),
            turn: Arc::from(""),
            empty: BTreeSet::new(),
            keys: true,
            max_bytes,
            keep_keys,
            cutoff: 0,
            began,
            keys_from: vec![KEY_BY_TIME],
            keys_ahead: true,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.topics.is_empty() && self.empty.is_empty() && !self.keys
    }

    /// Notes that an event was published. A topic is not trimmed for every event.
    pub(crate) fn published(&mut self, topic: &Arc<str>, past: &Past) {
        let slack = 64 + past.keep_events / 8;
        let is_long = past.events > past.keep_events.saturating_add(slack);
        if is_long {
            self.topics.insert(Arc::clone(topic));
        }
    }

    /// Finds what to forget.
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
        let too_much: Vec<_> = too_much.map(|(topic, _)| Arc::clone(topic)).collect();
        self.topics.extend(too_much);
        self.empty.extend(oldest_empty(sequence, EMPTY_TOPICS));
    }

    fn holds_too_much(&self, past: &Past, now: u64) -> bool {
        match past.events {
            0 => past.finished > 0 && !is_finished(past, now),
            events => {
                events > past.keep_events
                    || past.first <= self.cutoff
                    || past.oldest_at == 0
                    || is_too_old(past, past.oldest_at, now)
            }
        }
    }

    /// Forgets a little, behind a group of this many events. Returns whether the store was changed, or an error with the
    /// changes to repeat.
    pub(crate) fn step(
        &mut self,
        shared: &Shared,
        now: u64,
        group: usize,
    ) -> Result<bool, (StoreError, Vec<Change>)> {
        let most = STEP.max(2 * group);
        let mut changes = Vec::new();
        // Empty topics come first. So none is trimmed and forgotten at once, which would change its row twice.
        self.forget_empty(shared, &mut changes);
        if self.keys {
            self.trim_keys(shared, now, most, &mut changes);
        }
        self.trim_topics(shared, now, most, &mut changes);
        if changes.is_empty() {
            return Ok(false);
        }
        let committed = shared.in_store(|store| store.commit(&changes));
        committed.map_err(|error| (error, changes))?;
        Ok(true)
    }

    fn trim_topics(&mut self, shared: &Shared, now: u64, most: usize, changes: &mut Vec<Change>) {
        if self.topics.is_empty() {
            return;
        }
        let mut left = most;
        while left > 0
            && let Some(topic) = self.next_topic()
        {
            let Some(removed) = self.trim_topic(shared, &topic, now, left, changes) else {
                // A look finds them again. At once it would fail again, so the next tick does it.
                self.topics.clear();
                return;
            };
            // A topic that keeps its events has cost a look at it.
            left = left.saturating_sub(removed + 1);
        }
        let is_over = shared.sequence().bytes > self.max_bytes;
        if self.topics.is_empty() && is_over {
            self.look(&shared.sequence(), now);
        }
    }

    /// Takes the topic behind the one that had the last turn, so that no topic keeps another from its turn.
    fn next_topic(&mut self) -> Option<Arc<str>> {
        let behind = (Bound::Excluded(&*self.turn), Bound::Unbounded);
        let next = self.topics.range::<str, _>(behind).next();
        let next = next.or_else(|| self.topics.first()).cloned()?;
        self.topics.remove(&next);
        self.turn = Arc::clone(&next);
        Some(next)
    }

    /// Forgets the oldest events of a topic, up to this many, and returns how many. `None` if the machine cannot read them
    /// now.
    fn trim_topic(
        &mut self,
        shared: &Shared,
        topic: &Arc<str>,
        now: u64,
        most: usize,
        changes: &mut Vec<Change>,
    ) -> Option<usize> {
        let before = shared.sequence().topics.get(topic).copied();
        let Some(before) = before else {
            return Some(0);
        };
        let trimmed = shared.in_store(|store| self.walk(store, topic, before, now, most));
        let Trimmed {
            mut past,
            keys,
            is_done,
        } = match trimmed {
            Ok(trimmed) => trimmed,
            Err(error) => {
                let lost = error.is_lost();
                let error = with_causes(&error);
                tracing::error!(
                    ?topic,
                    error,
                    lost,
                    "the event log cannot read a topic to trim it"
                );
                if !lost {
                    return None;
                }
                Trimmed::all_of(before)
            }
        };
        if !is_done {
            self.topics.insert(Arc::clone(topic));
        }
        let removed = keys.len();
        changes.extend(keys.into_iter().map(|key| (key, None)));
        // Readers see the new floor before the events are removed.
        let mut sequence = shared.sequence();
        if past.events == 0 && past.finished > 0 && !is_finished(&past, now) {
            past.finished = 0;
            changes.push((finish_key(topic), None));
        }
        if past.pack() != before.pack() {
            changes.push((topic_key(topic), Some(past.pack())));
        }
        sequence.set_past(topic, past);
        Some(removed)
    }

    fn forget_empty(&mut self, shared: &Shared, changes: &mut Vec<Change>) {
        if self.empty.is_empty() {
            return;
        }
        let mut sequence = shared.sequence();
        for _ in 0..STEP {
            let Some(topic) = self.empty.pop_first() else {
                break;
            };
            // An event may have been published since.
            if sequence.topics.get(&topic).is_some_and(is_empty) {
                sequence.forget(&topic);
                changes.push((topic_key(&topic), None));
            }
        }
        changes.push((HEAD.to_vec(), Some(sequence.head.pack())));
    }

    /// Walks over the oldest events of a topic.
    fn walk(
        &self,
        store: &Store,
        topic: &str,
        mut past: Past,
        now: u64,
        most: usize,
    ) -> Result<Trimmed, StoreError> {
        let mut keys = Vec::new();
        if past.events == 0 {
            let is_done = true;
            return Ok(Trimmed {
                past,
                keys,
                is_done,
            });
        }
        let rows = store.range(event_key(topic, past.first)..=event_key(topic, past.last));
        for row in rows {
            let (key, value) = row?;
            let (seq, ([_, at], bytes)) = (seq_of(&key)?, numbers::<2>(&value)?);
            let at = if at > now { self.began } else { at };
            let goes =
                past.events > past.keep_events || seq <= self.cutoff || is_too_old(&past, at, now);
            if !goes || keys.len() >= most {
                (past.first, past.oldest_at) = (seq, at.min(now));
                return Ok(Trimmed {
                    past,
                    keys,
                    is_done: !goes,
                });
            }
            past.floor = seq;
            past.events = past.events.saturating_sub(1);
            past.bytes = past.bytes.saturating_sub(size_of(topic, bytes));
            keys.push(key.to_vec());
        }
        Ok(Trimmed {
            keys,
            ..Trimmed::all_of(past)
        })
    }

    fn trim_keys(&mut self, shared: &Shared, now: u64, most: usize, changes: &mut Vec<Change>) {
        // A clock that was never set begins in 1970.
        let (from, to) = match (self.keys_ahead, now.checked_sub(self.keep_keys)) {
            // Keys from the future have no effect.
            (true, _) => {
                let from = now.saturating_add(self.keep_keys);
                (key_by_time(from, 0), vec![KEY_BY_TIME + 1])
            }
            (false, Some(before)) => (self.keys_from.clone(), key_by_time(before, u64::MAX)),
            (false, None) => return self.keys = false,
        };
        match shared.in_store(|store| walk_keys(store, from, to, most)) {
            Ok((keys, more)) => {
                if self.keys_ahead {
                    self.keys_ahead = more;
                } else {
                    self.keys = more;
                    let walked = keys
                        .iter()
                        .rev()
                        .find(|key| key.first() == Some(&KEY_BY_TIME));
                    self.keys_from = walked
                        .cloned()
                        .unwrap_or_default()
                        .max(self.keys_from.clone());
                }
                changes.extend(keys.into_iter().map(|key| (key, None)));
            }
            Err(error) => {
                self.keys = false;
                let error = with_causes(&error);
                tracing::error!(error, "the event log cannot read its keys to trim them");
            }
        }
    }
}

/// The part of a topic that is left.
struct Trimmed {
    past: Past,
    /// The rows to remove.
    keys: Vec<Vec<u8>>,
    is_done: bool,
}

impl Trimmed {
    /// Forgets all events of a topic. The rows of events that cannot be read stay, and nobody reads them again.
    fn all_of(past: Past) -> Self {
        let past = Past {
            events: 0,
            bytes: 0,
            oldest_at: 0,
            first: past.last + 1,
            floor: past.floor.max(past.last),
            ..past
        };
        Self {
            past,
            keys: Vec::new(),
            is_done: true,
        }
    }
}

fn is_too_old(past: &Past, at: u64, now: u64) -> bool {
    now.saturating_sub(at) > past.keep_age
}

pub(crate) fn is_finished(past: &Past, now: u64) -> bool {
    past.finished > 0 && now <= past.finished_until
}

/// Returns whether only the last number of a topic is worth remembering.
fn is_empty(past: &Past) -> bool {
    past.events == 0 && past.finished == 0
}

/// Returns the topics without events beyond the limit, oldest first.
fn oldest_empty(sequence: &Sequence, most: usize) -> Vec<Arc<str>> {
    let empty = || {
        let topics = sequence.topics.iter();
        topics.filter(|(topic, past)| is_empty(past) && &***topic != EVERYBODY)
    };
    let too_many = empty().count().saturating_sub(most);
    if too_many == 0 {
        return Vec::new();
    }
    // Some more are forgotten at once, so that this is not done each time.
    let count = too_many + most / 8;
    let mut oldest: Vec<_> = empty().collect();
    oldest.sort_unstable_by_key(|(_, past)| past.last);
    let oldest = oldest.into_iter().take(count);
    oldest.map(|(topic, _)| Arc::clone(topic)).collect()
}

/// Returns the rows of the first keys in this range, up to this many keys, and whether there are more.
fn walk_keys(
    store: &Store,
    from: Vec<u8>,
    to: Vec<u8>,
    most: usize,
) -> Result<(Vec<Vec<u8>>, bool), StoreError> {
    let mut keys = Vec::new();
    for (walked, row) in store.range(from..=to).enumerate() {
        if walked >= most {
            return Ok((keys, true));
        }
        let (by_time, key) = row?;
        if by_time.first() != Some(&KEY_BY_TIME) {
            break;
        }
        let current = store.get(&key)?;
        let current = current.map(|row| numbers::<1>(&row).map(|([seq], _)| seq));
        // The key may have been used again since.
        if current.transpose()? == Some(seq_of(&by_time)?) {
            keys.push(key.to_vec());
        }
        keys.push(by_time.to_vec());
    }
    Ok((keys, false))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::SystemTime;

    use helios_http::sse::backplane::BackplaneSink;

    use super::*;
    use crate::clock::Clock;
    use crate::store::{Head, key_key, pack};

    fn sequence(topics: impl IntoIterator<Item = (&'static str, Past)>) -> Sequence {
        let topics = topics.into_iter();
        let topics: HashMap<Arc<str>, _> = topics.map(|(t, past)| (t.into(), past)).collect();
        Sequence {
            head: Head {
                newest: 1_000,
                ..Head::default()
            },
            bytes: topics.values().map(|past| past.bytes).sum(),
            topics,
            watched: HashSet::new(),
            sink: BackplaneSink::new(|_| true),
        }
    }

    #[test]
    fn the_oldest_empty_topics_are_forgotten_except_that_of_everybody() {
        let empty = |last| Past {
            last,
            ..Past::default()
        };
        let holding = Past {
            events: 1,
            ..empty(2)
        };
        let finished = Past {
            finished: 3,
            ..empty(3)
        };
        let topics = [("*", 1), ("a", 9), ("b", 5), ("c", 7)];
        let topics = topics.map(|(topic, last)| (topic, empty(last)));
        let mut sequence = sequence(topics.into_iter().chain([("h", holding), ("f", finished)]));
        assert!(oldest_empty(&sequence, 3).is_empty());
        let oldest = oldest_empty(&sequence, 1);
        assert_eq!(oldest, ["b".into(), "c".into()] as [Arc<str>; 2]);
        for topic in oldest {
            sequence.forget(&topic);
        }
        assert_eq!(sequence.past("b").floor, 7);
        assert_eq!(sequence.past("a"), empty(9));
    }

    #[test]
    fn busy_topics_do_not_keep_others_from_their_turn() {
        let mut trimming = Trimming::new(u64::MAX, 0, 1);
        trimming.topics = ["a", "b", "c"].map(Arc::from).into();
        let long = Past {
            events: 1_000,
            keep_events: 10,
            ..Past::default()
        };
        let mut turns = Vec::new();
        for _ in 0..6 {
            turns.extend(trimming.next_topic());
            for busy in ["a", "b"] {
                trimming.published(&busy.into(), &long);
            }
        }
        let turns: Vec<_> = turns.iter().map(|topic| &**topic).collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b", "a"]);
    }

    #[test]
    fn one_step_trims_several_topics_and_forgets_empty_ones_and_keys() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let long = |first| Past {
            first,
            last: first + 2,
            events: 3,
            bytes: 3 * size_of("a", b""),
            keep_events: 1,
            keep_age: u64::MAX,
            oldest_at: 1,
            ..Past::default()
        };
        let event = |topic, seq| (event_key(topic, seq), Some(pack(&[0, 1], &[])));
        let events = (1..=3).flat_map(|n| [event("a", n), event("b", n + 3)]);
        let key = (key_key("a", "key"), Some(pack(&[3, 1], &[])));
        let by_time = (key_by_time(1, 3), Some(key.0.clone()));
        let rows: Vec<_> = events.chain([key.clone(), by_time.clone()]).collect();
        store.commit(&rows).unwrap();
        let topics = [("a", long(1)), ("b", long(4)), ("empty", Past::default())];
        let clock = Clock::behind(SystemTime::now, 0);
        let shared = Shared::new(store, sequence(topics), clock);
        let mut trimming = Trimming::new(u64::MAX, 10, 1);
        trimming.keys_ahead = false;
        trimming.topics = ["a", "b"].map(Arc::from).into();
        trimming.empty = ["empty".into()].into();
        assert!(trimming.step(&shared, 100, 1).unwrap());
        assert!(trimming.is_idle());
        for gone in [event("a", 2).0, event("b", 5).0, key.0, by_time.0] {
            let row = shared.in_store(|store| store.get(&gone));
            assert_eq!(row.unwrap(), None, "{gone:?}");
        }
        let sequence = shared.sequence();
        assert_eq!([sequence.past("a").first, sequence.past("b").first], [3, 6]);
        assert!(!sequence.topics.contains_key("empty"));
    }

    #[test]
    fn a_topic_that_cannot_be_read_is_forgotten_and_the_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let row = |topic, value: &[u8]| (event_key(topic, 10), Some(value.to_vec()));
        let rows = [row("damaged", b"short"), row("whole", &pack(&[0, 1], &[]))];
        store.commit(&rows).unwrap();
        let holding = Past {
            first: 10,
            last: 10,
            events: 1,
            bytes: 1_000,
            keep_events: 100,
            keep_age: u64::MAX,
            ..Past::default()
        };
        let sequence = sequence([("damaged", holding), ("whole", holding)]);
        let shared = Shared::new(store, sequence, Clock::behind(SystemTime::now, 0));
        let mut trimming = Trimming::new(u64::MAX, 0, 1);
        trimming.look(&shared.sequence(), 1);
        trimming.step(&shared, 1, 1).unwrap();
        let damaged = shared.sequence().past("damaged");
        assert_eq!((damaged.events, damaged.bytes, damaged.floor), (0, 0, 10));
        assert_eq!(shared.sequence().past("whole").events, 1);
        assert_eq!(shared.sequence().bytes, 1_000);

        // The store is closed, which says nothing about the events.
        shared.take_store();
        trimming.topics.insert("whole".into());
        assert!(!trimming.step(&shared, 1, 1).unwrap());
        assert_eq!(shared.sequence().past("whole").events, 1);
        // It does not try again before the next tick, even if there are too many bytes.
        trimming.max_bytes = 1;
        trimming.look(&shared.sequence(), 1);
        assert!(!trimming.step(&shared, 1, 1).unwrap());
        assert!(trimming.topics.is_empty());
    }
}
