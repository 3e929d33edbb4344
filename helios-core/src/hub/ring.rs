//! The bounded log of one topic.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::sse::ClientId;

/// How much of a topic is kept. The oldest events go first.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// Events. Default: 4,096.
    pub events: usize,
    /// Age. Default: 5 minutes.
    pub age: Duration,
    /// Bytes, encoded. Default: 64 MiB.
    pub bytes: u64,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self {
            events: 4_096,
            age: Duration::from_secs(300),
            bytes: 64 << 20,
        }
    }
}

/// One published event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the hub's one sequence. Ascending within a ring, but not without gaps.
    pub seq: u64,
    /// The event as it is written.
    pub bytes: Bytes,
    /// A client that does not get it.
    pub except: Option<ClientId>,
    at: Duration,
    /// Bytes published to this topic before this event.
    offset: u64,
}

/// A subscriber's place in a [`Ring`]: the number, counted from the topic's first event, of the next event to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    next: u64,
}

impl Cursor {
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }
}

/// How far a cursor is behind the newest event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Events not read yet.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The ring has dropped events that the cursor had not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber was overtaken: {missed} events are gone")]
pub struct Overtaken {
    /// Events that this cursor will never see.
    pub missed: u64,
}

/// A bounded log of encoded events. It grows on demand.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the first entry still held.
    first: u64,
    /// Bytes ever published.
    end_offset: u64,
    limits: RingLimits,
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub fn new(limits: RingLimits) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            end_offset: 0,
            limits,
        }
    }

    /// Appends an event at time `now` (counted from any fixed start) and drops what is over the limits.
    pub fn push(&mut self, seq: u64, bytes: Bytes, except: Option<ClientId>, now: Duration) {
        let offset = self.end_offset;
        self.end_offset += bytes.len() as u64;
        self.entries.push_back(Entry {
            seq,
            bytes,
            except,
            at: now,
            offset,
        });
        self.expire(now);
    }

    /// Drops what is over the limits at time `now`. The newest event is kept whatever its size.
    pub fn expire(&mut self, now: Duration) {
        while let Some(oldest) = self.entries.front() {
            let over_count = self.entries.len() > self.limits.events.max(1);
            let over_age = now.saturating_sub(oldest.at) > self.limits.age;
            let over_bytes =
                self.entries.len() > 1 && self.end_offset - oldest.offset > self.limits.bytes;
            if !(over_count || over_age || over_bytes) {
                return;
            }
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.capacity() > 64 {
            self.entries = VecDeque::new();
        }
    }

    /// The cursor of a subscriber that sees what comes from now on.
    #[must_use]
    pub fn tail(&self) -> Cursor {
        Cursor {
            next: self.first + self.entries.len() as u64,
        }
    }

    /// The event at the cursor; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if it has been dropped already.
    pub fn peek(&self, cursor: Cursor) -> Result<Option<&Entry>, Overtaken> {
        let index = cursor
            .next
            .checked_sub(self.first)
            .ok_or_else(|| Overtaken {
                missed: self.first - cursor.next,
            })?;
        Ok(usize::try_from(index)
            .ok()
            .and_then(|index| self.entries.get(index)))
    }

    /// How far the cursor is behind, counting what is gone already by number only.
    #[must_use]
    pub fn lag(&self, cursor: Cursor) -> Lag {
        let next = match self.peek(cursor) {
            Ok(next) => next,
            Err(_) => self.entries.front(),
        };
        Lag {
            events: self.tail().next - cursor.next,
            bytes: next.map_or(0, |entry| self.end_offset - entry.offset),
        }
    }

    /// Events held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No event is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(n: usize) -> Bytes {
        Bytes::from(vec![b'x'; n])
    }

    #[test]
    fn a_cursor_sees_what_is_published_after_it_and_nothing_before() {
        let mut ring = Ring::new(RingLimits::default());
        ring.push(1, event(1), None, Duration::ZERO);
        let mut cursor = ring.tail();
        assert!(ring.peek(cursor).unwrap().is_none());
        ring.push(5, event(2), None, Duration::ZERO);
        assert_eq!(ring.peek(cursor).unwrap().unwrap().seq, 5);
        assert_eq!(
            ring.lag(cursor),
            Lag {
                events: 1,
                bytes: 2
            }
        );
        cursor.advance();
        assert_eq!(ring.lag(cursor), Lag::default());
    }

    #[test]
    fn age_and_bytes_drop_the_oldest() {
        let limits = RingLimits {
            events: 100,
            age: Duration::from_secs(10),
            bytes: 25,
        };
        let mut ring = Ring::new(limits);
        let start = ring.tail();
        for second in 0..3 {
            ring.push(second, event(10), None, Duration::from_secs(second));
        }
        assert_eq!(ring.len(), 2, "three times ten bytes are over 25");
        assert_eq!(ring.peek(start).unwrap_err(), Overtaken { missed: 1 });
        ring.expire(Duration::from_secs(12));
        assert_eq!(ring.len(), 1);
        ring.expire(Duration::from_secs(13));
        assert!(ring.is_empty());
    }

    proptest! {
        /// A reader either sees every event once and in order, or is told how many it missed.
        #[test]
        fn a_reader_misses_nothing_silently(
            steps in proptest::collection::vec((any::<bool>(), 1_usize..20), 1..200),
            events in 1_usize..8,
        ) {
            let mut ring = Ring::new(RingLimits { events, ..RingLimits::default() });
            let mut cursor = ring.tail();
            let (mut published, mut read) = (0_u64, 0_u64);
            for (publish, size) in steps {
                if publish {
                    published += 1;
                    ring.push(published, event(size), None, Duration::ZERO);
                    continue;
                }
                match ring.peek(cursor) {
                    Ok(Some(entry)) => {
                        prop_assert_eq!(entry.seq, read + 1);
                        read += 1;
                        cursor.advance();
                    }
                    Ok(None) => prop_assert_eq!(read, published),
                    Err(Overtaken { missed }) => {
                        prop_assert_eq!(published - read, missed + ring.len() as u64);
                        read = published;
                        cursor = ring.tail();
                    }
                }
            }
        }
    }
}
