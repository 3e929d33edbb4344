//! An event in a ring, a reader's place among the events, and how far that is behind the newest.

use std::mem::size_of;
use std::time::Duration;

use bytes::Bytes;

use super::numbered::NumberedEvent;
use crate::sse::ClientId;

/// One published event.
#[derive(Debug)]
pub struct RingEntry {
    /// Its place in the hub's one sequence. Numbers ascend within a ring, with gaps: other topics have the numbers between.
    pub seq: u64,
    /// A client that does not get it.
    pub except: Option<ClientId>,
    pub(super) event: NumberedEvent,
    /// The event without its id, made for the first reader that wants it so.
    pub(super) plain: Option<Bytes>,
    pub(super) at: Duration,
    /// Bytes published to this topic before this event.
    pub(super) offset: u64,
}

impl RingEntry {
    /// Returns the event as it is written: with its id, or without on streams that do not use the hub's ids.
    pub fn bytes(&mut self, with_id: bool) -> &Bytes {
        if with_id {
            return self.event.bytes();
        }
        self.plain.get_or_insert_with(|| self.event.without_id())
    }

    /// Returns how long it has been here at time `now`.
    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }

    /// Returns the bytes that keeping it costs.
    pub(super) fn size(&self) -> u64 {
        (self.event.bytes().len() + size_of::<Self>()) as u64
    }
}

/// A subscriber's place in a topic's ring: the number, counted from the topic's first event, of the next event to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(super) next: u64,
}

impl Cursor {
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    pub(super) fn plus(self, events: u64) -> Self {
        Self {
            next: self.next + events,
        }
    }
}

/// The distance of a reader from the newest event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events not read yet.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
}
