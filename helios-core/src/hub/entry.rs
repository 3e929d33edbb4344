//! An event in a ring, the place of a reader in it, and the reader's distance from the newest event.

use std::mem::size_of;
use std::time::Duration;

use bytes::Bytes;

use super::numbered::NumberedEvent;
use crate::sse::ClientId;

/// A published event.
#[derive(Debug)]
pub struct RingEntry {
    /// The event's place in the hub's one sequence. Numbers ascend within a ring, with gaps, because the numbers
    /// between belong to other topics.
    pub seq: u64,
    /// A client that does not receive the event.
    pub except: Option<ClientId>,
    pub(super) event: NumberedEvent,
    /// The event without its id. It is made for the first reader that needs it.
    pub(super) plain: Option<Bytes>,
    pub(super) at: Duration,
    /// The bytes published to this topic before this event.
    pub(super) offset: u64,
}

impl RingEntry {
    /// Returns the encoded event, with its id or, for streams that do not use the hub's ids, without.
    pub fn bytes(&mut self, with_id: bool) -> &Bytes {
        if with_id {
            return self.event.bytes();
        }
        self.plain.get_or_insert_with(|| self.event.without_id())
    }

    /// Returns how long the event has been held at time `now`.
    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }

    /// Returns the bytes that keeping the event costs.
    pub(super) fn size(&self) -> u64 {
        (self.event.bytes().len() + size_of::<Self>()) as u64
    }
}

/// A subscriber's place in a topic's ring, given as the index of the next event to read.
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
    /// The events not read yet.
    pub events: u64,
    /// The bytes of these events.
    pub bytes: u64,
}
