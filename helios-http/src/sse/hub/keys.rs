//! Keys of published events, so that each is published once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use helios_core::hub::EventId;

/// The most keys to remember. The oldest are dropped first.
const MOST: usize = 100_000;

/// The topic and the key.
type Name = Arc<(String, String)>;

/// The keys of all topics, as long as they count.
#[derive(Default)]
pub(crate) struct Keys {
    ids: HashMap<Name, EventId>,
    /// The keys with the time at which each was used, the oldest first.
    by_age: VecDeque<(Duration, Name)>,
}

impl Keys {
    /// Returns the id of the event published with this key at most `kept` before `now`, or calls `publish`.
    pub(crate) fn once<E>(
        &mut self,
        (topic, key): (&str, &str),
        (now, kept): (Duration, Duration),
        publish: impl FnOnce() -> Result<EventId, E>,
    ) -> Result<EventId, E> {
        self.forget(now.saturating_sub(kept), MOST);
        let name = Arc::new((topic.to_owned(), key.to_owned()));
        if let Some(id) = self.ids.get(&name) {
            return Ok(*id);
        }
        let id = publish()?;
        self.forget(Duration::ZERO, MOST - 1);
        self.by_age.push_back((now, Arc::clone(&name)));
        self.ids.insert(name, id);
        Ok(id)
    }

    /// Drops keys from before a time, and the oldest ones above `most`.
    fn forget(&mut self, before: Duration, most: usize) {
        while let Some((at, _)) = self.by_age.front() {
            if *at >= before && self.by_age.len() <= most {
                return;
            }
            if let Some((_, name)) = self.by_age.pop_front() {
                self.ids.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn publish(keys: &mut Keys, name: (&str, &str), seconds: u64, seq: u64) -> u64 {
        let times = (Duration::from_secs(seconds), Duration::from_secs(120));
        let publish = || Ok::<_, Infallible>(EventId::new(1, seq));
        let Ok(id) = keys.once(name, times, publish);
        id.seq()
    }

    #[test]
    fn a_key_counts_for_its_topic_and_for_a_while() {
        let mut keys = Keys::default();
        assert_eq!(publish(&mut keys, ("a", "k"), 1_000, 1), 1);
        assert_eq!(publish(&mut keys, ("b", "k"), 1_000, 2), 2);
        assert_eq!(publish(&mut keys, ("a", "k"), 1_120, 3), 1);
        assert_eq!(publish(&mut keys, ("a", "k"), 1_121, 4), 4);
        assert_eq!(keys.ids.len(), 1);
    }

    #[test]
    fn an_event_that_was_not_published_uses_no_key() {
        let mut keys = Keys::default();
        let times = (Duration::from_secs(1), Duration::from_secs(1));
        assert!(keys.once(("a", "k"), times, || Err(())).is_err());
        assert_eq!(publish(&mut keys, ("a", "k"), 1, 7), 7);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut keys = Keys::default();
        for n in 0..MOST as u64 + 10 {
            publish(&mut keys, ("a", &n.to_string()), 1, n);
        }
        assert_eq!((keys.ids.len(), keys.by_age.len()), (MOST, MOST));
    }
}
