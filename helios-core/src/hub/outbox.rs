//! What one client alone has been sent and has not yet read.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Frame;
use crate::sse::SseError;

/// How much may wait for one client.
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
    bytes: Bytes,
    /// The number in its id, if it has one.
    position: u64,
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

    /// Appends an event that comes after everything with a sequence number up to `after`.
    ///
    /// # Errors
    ///
    /// [`SseError::Full`] at the limit. A single event of any size fits into an empty queue.
    pub fn push(&mut self, after: u64, bytes: Bytes) -> Result<(), SseError> {
        if self.is_full(bytes.len()) && !self.queue.is_empty() {
            return Err(SseError::Full);
        }
        self.push_unbounded(after, bytes);
        Ok(())
    }

    /// Takes in a control event of the framework itself, past the limit. Events are kept in the order of their stamps,
    /// those of the same stamp in the order of their coming.
    pub fn push_unbounded(&mut self, after: u64, bytes: Bytes) {
        self.push_positioned(after, bytes, 0);
    }

    /// As [`Outbox::push_unbounded`], with the number in the event's id.
    pub fn push_positioned(&mut self, after: u64, bytes: Bytes, position: u64) {
        self.bytes += bytes.len();
        let place = self.queue.partition_point(|event| event.after <= after);
        let event = Stamped {
            after,
            bytes,
            position,
        };
        self.queue.insert(place, event);
    }

    /// Drops the oldest events until no more than these many events and bytes are left, and gives how many those were.
    pub fn make_room(&mut self, events: usize, bytes: usize) -> u64 {
        let mut dropped = 0;
        while (self.queue.len() > events || self.bytes > bytes)
            && let Some(event) = self.queue.pop_front()
        {
            self.bytes -= event.bytes.len();
            dropped += 1;
        }
        dropped
    }

    fn is_full(&self, bytes: usize) -> bool {
        self.queue.len() >= self.limits.events
            || self.bytes.saturating_add(bytes) > self.limits.bytes
    }

    /// The stamp of the first event.
    #[must_use]
    pub fn peek(&self) -> Option<u64> {
        self.queue.front().map(|event| event.after)
    }

    /// Moves the first event into `frame`, if there is room for it, and gives the number in its id, or 0.
    pub fn take_into(&mut self, frame: &mut Frame) -> Option<u64> {
        let event = self.queue.front()?;
        if !frame.push(&event.bytes) {
            return None;
        }
        let position = event.position;
        self.bytes -= event.bytes.len();
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.shrink();
        }
        Some(position)
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
        outbox.push(0, event.clone()).unwrap();
        outbox.push(0, event.clone()).unwrap();
        assert!(matches!(outbox.push(0, event.clone()), Err(SseError::Full)));
        assert_eq!(outbox.take_into(&mut Frame::default()), Some(0));
        outbox.push(0, event).unwrap();
        assert_eq!((outbox.len(), outbox.bytes()), (2, 20));
    }

    #[test]
    fn events_are_taken_in_the_order_of_their_stamps() {
        let mut outbox = Outbox::new(OutboxLimits::default());
        for (after, text) in [(3, "b"), (5, "d"), (3, "c"), (1, "a")] {
            outbox
                .push(after, Bytes::from_static(text.as_bytes()))
                .unwrap();
        }
        let mut frame = Frame::default();
        while outbox.take_into(&mut frame).is_some() {}
        assert_eq!(frame.into_bytes(), "abcd");
    }

    #[test]
    fn one_event_over_the_byte_limit_still_fits_an_empty_queue() {
        let mut outbox = Outbox::new(OutboxLimits {
            events: 2,
            bytes: 3,
        });
        outbox.push(0, Bytes::from_static(b"0123456789")).unwrap();
        assert!(outbox.push(0, Bytes::from_static(b"0")).is_err());
    }
}
