//! What one client alone has been sent and has not yet read.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Frame;
use crate::sse::SseError;

/// How much may wait for one client: whichever limit is reached first. Of the option `backlog` it counts what is published
/// to the client's topics and what is sent to it alone together.
///
/// ```
/// use helios::OutboxLimits;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     // Small events, and clients on bad lines: let them be further behind.
///     sse.backlog = OutboxLimits { events: 5_000, ..OutboxLimits::default() };
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Events. Default: 1,000.
    pub events: usize,
    /// Bytes, encoded. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            events: 1_000,
            bytes: 1 << 20,
        }
    }
}

/// The queue of private events of one client.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Stamped>,
    bytes: usize,
    limits: OutboxLimits,
}

#[derive(Debug)]
struct Stamped {
    /// The hub's head when the event was sent.
    after: u64,
    kind: Kind,
    bytes: Bytes,
}

/// What becomes of a private event when there is too much, or an end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may be dropped, if the client is told.
    Event,
    /// It has to be told.
    Told,
    /// It gives the client a position, which is true only when everything up to its stamp has been written.
    Position,
}

impl Outbox {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    /// Puts other limits in force; what waits already stays.
    pub fn set_limits(&mut self, limits: OutboxLimits) {
        self.limits = limits;
    }

    /// Whether less than `bytes` wait, and the number of events is below its limit.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes < bytes.min(self.limits.bytes) && self.queue.len() < self.limits.events
    }

    /// Appends an event that comes after everything with a sequence number up to `after`. A burst may go over the limits,
    /// up to four times as far.
    ///
    /// # Errors
    ///
    /// [`SseError::Full`] at the limit. A single event of any size fits into an empty queue.
    pub fn push(&mut self, after: u64, bytes: Bytes, burst: bool) -> Result<(), SseError> {
        let factor = if burst { 4 } else { 1 };
        if self.is_full(bytes.len(), factor) && !self.queue.is_empty() {
            return Err(SseError::Full);
        }
        self.insert(after, Kind::Event, bytes);
        Ok(())
    }

    /// Takes in an event past the limits: one of the framework itself, or one that everything else waits for. Events are
    /// kept in the order of their stamps, those of the same stamp in the order of their coming, and a position last.
    pub fn insert(&mut self, after: u64, kind: Kind, bytes: Bytes) {
        self.bytes += bytes.len();
        let key = |after, kind| (after, kind == Kind::Position);
        let place = self
            .queue
            .partition_point(|event| key(event.after, event.kind) <= key(after, kind));
        self.queue.insert(place, Stamped { after, kind, bytes });
    }

    /// Drops the oldest events until no more than these many events and bytes are left, but nothing that has to be told.
    /// Gives how many those were.
    pub fn make_room(&mut self, events: usize, bytes: usize) -> u64 {
        let (mut over, mut over_bytes) = (
            self.queue.len().saturating_sub(events),
            self.bytes.saturating_sub(bytes),
        );
        let before = self.queue.len();
        self.queue.retain(|event| {
            let drop = (over > 0 || over_bytes > 0) && event.kind == Kind::Event;
            if drop {
                over = over.saturating_sub(1);
                over_bytes = over_bytes.saturating_sub(event.bytes.len());
            }
            !drop
        });
        self.bytes = self.queue.iter().map(|event| event.bytes.len()).sum();
        (before - self.queue.len()) as u64
    }

    /// Takes back positions that the client will not come to, chosen by their stamps.
    pub fn drop_positions(&mut self, is_void: impl Fn(u64) -> bool) {
        self.queue
            .retain(|event| event.kind != Kind::Position || !is_void(event.after));
        self.bytes = self.queue.iter().map(|event| event.bytes.len()).sum();
    }

    fn is_full(&self, bytes: usize, factor: usize) -> bool {
        self.queue.len() >= self.limits.events.saturating_mul(factor)
            || self.bytes.saturating_add(bytes) > self.limits.bytes.saturating_mul(factor)
    }

    /// The stamp and the kind of the first event.
    #[must_use]
    pub fn peek(&self) -> Option<(u64, Kind)> {
        self.queue.front().map(|event| (event.after, event.kind))
    }

    /// Moves the first event into `frame`, if there is room for it.
    pub fn take_into(&mut self, frame: &mut Frame) -> bool {
        let Some(event) = self.queue.front() else {
            return false;
        };
        if !frame.push(&event.bytes) {
            return false;
        }
        self.bytes -= event.bytes.len();
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.shrink();
        }
        true
    }

    /// An idle connection keeps no buffer of a burst long gone.
    fn shrink(&mut self) {
        const KEPT: usize = 16;
        if self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_at_its_limit_refuses_and_takes_again_once_read() {
        let mut outbox = Outbox::new(OutboxLimits {
            events: 2,
            bytes: 100,
        });
        let event = Bytes::from_static(b"0123456789");
        outbox.push(0, event.clone(), false).unwrap();
        outbox.push(0, event.clone(), false).unwrap();
        assert!(matches!(
            outbox.push(0, event.clone(), false),
            Err(SseError::Full)
        ));
        assert!(outbox.take_into(&mut Frame::default()));
        outbox.push(0, event, false).unwrap();
        assert_eq!((outbox.len(), outbox.bytes()), (2, 20));
    }

    #[test]
    fn events_are_taken_in_the_order_of_their_stamps() {
        let mut outbox = Outbox::new(OutboxLimits::default());
        for (after, text) in [(3, "b"), (5, "d"), (3, "c"), (1, "a")] {
            outbox
                .push(after, Bytes::from_static(text.as_bytes()), false)
                .unwrap();
        }
        let mut frame = Frame::default();
        while outbox.take_into(&mut frame) {}
        assert_eq!(frame.into_bytes(), "abcd");
    }

    #[test]
    fn one_event_over_the_byte_limit_still_fits_an_empty_queue() {
        let mut outbox = Outbox::new(OutboxLimits {
            events: 2,
            bytes: 3,
        });
        outbox
            .push(0, Bytes::from_static(b"0123456789"), false)
            .unwrap();
        assert!(outbox.push(0, Bytes::from_static(b"0"), false).is_err());
    }
}
