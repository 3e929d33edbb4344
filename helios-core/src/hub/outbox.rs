//! The queue of events that were sent to one client alone and that it has not read yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::frame::{FRAME_BYTES, Frame};
use super::limits::BacklogLimits;
use crate::encode::encode_into;
use crate::event::SseEvent;
use crate::sse::SseError;

/// A client's queue of private events.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Queued>,
    /// Events encoded directly into one buffer. They come behind the queue.
    batch: OpenBatch,
    events: usize,
    bytes: usize,
    limits: BacklogLimits,
}

#[derive(Debug)]
struct Queued {
    /// The hub's head when the events were sent. They come behind everything up to it.
    after: u64,
    kind: QueuedKind,
    events: usize,
    bytes: Bytes,
}

/// Events with the same stamp, encoded one after the other.
#[derive(Debug, Default)]
struct OpenBatch {
    after: u64,
    events: usize,
    bytes: BytesMut,
}

/// Says what happens to a private event when the queue is over its limits, or when the stream ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuedKind {
    /// An event of the app. It may be dropped if the client receives a notice of that.
    Event,
    /// A control event. It is never dropped.
    Control,
    /// A control event that gives the client a position. The position is true only when everything up to the stamp has
    /// been written.
    Position,
}

impl Outbox {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(limits: BacklogLimits) -> Self {
        Self {
            queue: VecDeque::new(),
            batch: OpenBatch::default(),
            events: 0,
            bytes: 0,
            limits,
        }
    }

    /// Sets other limits. Events that already wait stay.
    pub fn set_limits(&mut self, limits: BacklogLimits) {
        self.limits = limits;
    }

    /// Returns whether fewer than `bytes` bytes wait and the number of events is below its limit.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes < bytes.min(self.limits.bytes) && self.events < self.limits.events
    }

    /// Appends an event that comes after everything with a sequence number up to `after`. A burst may use up to four
    /// times the limits.
    ///
    /// # Errors
    ///
    /// [`SseError::Full`] at the limit. A single event of any size fits into an empty queue.
    pub fn push(&mut self, after: u64, bytes: Bytes, burst: bool) -> Result<(), SseError> {
        let factor = if burst { 4 } else { 1 };
        if self.is_full(bytes.len(), factor) && !self.is_empty() {
            return Err(SseError::Full);
        }
        self.insert(after, QueuedKind::Event, bytes);
        Ok(())
    }

    /// Encodes an event, to come after everything with a sequence number up to `after`, directly into the buffer that
    /// will be written. Returns false if there is no room for it. A single event of any size fits into an empty queue.
    ///
    /// # Errors
    ///
    /// [`SseError::Event`], or [`SseError::TooLarge`] above `max_bytes`.
    pub fn write(
        &mut self,
        after: u64,
        event: &SseEvent,
        max_bytes: usize,
    ) -> Result<bool, SseError> {
        if self.batch.after != after {
            self.close_batch();
            self.batch.after = after;
        }
        let before = self.batch.bytes.len();
        encode_into(event, &mut self.batch.bytes)?;
        let size = self.batch.bytes.len() - before;
        let fits = !self.is_full(size, 1) || self.is_empty();
        if size > max_bytes || !fits {
            self.batch.bytes.truncate(before);
        }
        if size > max_bytes {
            let limit = max_bytes;
            return Err(SseError::TooLarge { size, limit });
        }
        if !fits {
            return Ok(false);
        }
        if before > 0 && before + size > FRAME_BYTES {
            self.begin_batch(before);
        }
        self.batch.events += 1;
        self.events += 1;
        self.bytes += size;
        Ok(true)
    }

    /// Moves the bytes from `at` on into a new batch, which will be as large.
    fn begin_batch(&mut self, at: usize) {
        let last = self.batch.bytes.split_off(at);
        self.close_batch();
        self.batch.bytes.reserve(FRAME_BYTES.max(last.len()));
        self.batch.bytes.extend_from_slice(&last);
    }

    /// Moves the batch into the queue, because something else comes behind it.
    pub(super) fn close_batch(&mut self) {
        if self.batch.events > 0 {
            let OpenBatch {
                after,
                events,
                bytes,
            } = std::mem::take(&mut self.batch);
            self.batch.after = after;
            self.enqueue(Queued {
                after,
                kind: QueuedKind::Event,
                events,
                bytes: bytes.freeze(),
            });
        }
    }

    /// Inserts an event regardless of the limits: a control event of the framework, or an event that everything else
    /// waits for. Events are kept in the order of their stamps. Those with the same stamp are kept in the order of
    /// arrival, with a position last.
    pub fn insert(&mut self, after: u64, kind: QueuedKind, bytes: Bytes) {
        self.close_batch();
        self.events += 1;
        self.bytes += bytes.len();
        self.enqueue(Queued {
            after,
            kind,
            events: 1,
            bytes,
        });
    }

    /// Inserts events before everything else, in this order.
    pub fn insert_first(&mut self, events: Vec<Bytes>) {
        for bytes in events.into_iter().rev() {
            self.events += 1;
            self.bytes += bytes.len();
            self.queue.push_front(Queued {
                after: 0,
                kind: QueuedKind::Control,
                events: 1,
                bytes,
            });
        }
    }

    fn enqueue(&mut self, next: Queued) {
        let key = |event: &Queued| (event.after, event.kind == QueuedKind::Position);
        let place = self.queue.partition_point(|event| key(event) <= key(&next));
        self.queue.insert(place, next);
    }

    /// Drops the oldest events of the app until at most this many events and bytes are left. Control events stay.
    /// Returns how many were dropped.
    pub fn make_room(&mut self, events: usize, bytes: usize) -> u64 {
        self.close_batch();
        let (mut over, mut over_bytes) = (
            self.events.saturating_sub(events),
            self.bytes.saturating_sub(bytes),
        );
        let before = self.events;
        self.queue.retain(|event| {
            let drop = (over > 0 || over_bytes > 0) && event.kind == QueuedKind::Event;
            if drop {
                over = over.saturating_sub(event.events);
                over_bytes = over_bytes.saturating_sub(event.bytes.len());
            }
            !drop
        });
        self.count();
        (before - self.events) as u64
    }

    /// Gives this stamp to all waiting events, which keep their order.
    pub fn stamp_all(&mut self, after: u64) {
        self.close_batch();
        self.batch.after = after;
        for event in &mut self.queue {
            event.after = after;
        }
        // Only the end itself comes behind a position that is kept.
        let queue = self.queue.make_contiguous();
        queue.sort_by_key(|event| event.kind == QueuedKind::Position);
    }

    /// Drops positions that the client will not reach, selected by their stamps.
    pub fn drop_positions(&mut self, is_void: impl Fn(u64) -> bool) {
        self.close_batch();
        self.queue
            .retain(|event| event.kind != QueuedKind::Position || !is_void(event.after));
        self.count();
    }

    fn count(&mut self) {
        self.events = self.queue.iter().map(|event| event.events).sum();
        self.bytes = self.queue.iter().map(|event| event.bytes.len()).sum();
    }

    fn is_full(&self, bytes: usize, factor: usize) -> bool {
        self.events >= self.limits.events.saturating_mul(factor)
            || self.bytes.saturating_add(bytes) > self.limits.bytes.saturating_mul(factor)
    }

    /// Returns the stamp and the kind of the first event in the queue.
    #[must_use]
    pub fn peek(&self) -> Option<(u64, QueuedKind)> {
        self.queue.front().map(|event| (event.after, event.kind))
    }

    /// Moves the first event, or the batch that it was encoded into, to `frame`. Returns false if there is no room.
    pub fn take_into(&mut self, frame: &mut Frame) -> bool {
        let Some(event) = self.queue.front() else {
            return false;
        };
        if !frame.push_batch(event.bytes.clone(), event.events as u64) {
            return false;
        }
        self.events -= event.events;
        self.bytes -= event.bytes.len();
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.shrink();
        }
        true
    }

    /// Frees the memory of an earlier burst, so that an idle stream keeps none.
    fn shrink(&mut self) {
        const KEPT: usize = 16;
        if self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
    }

    /// Returns how many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events
    }

    /// Returns whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Drops all waiting events.
    pub fn clear(&mut self) {
        *self = Self::new(self.limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_events_until_it_is_read() {
        let mut outbox = Outbox::new(BacklogLimits {
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
        let mut outbox = Outbox::new(BacklogLimits::default());
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
    fn written_events_are_joined_unless_another_comes_between() {
        let mut outbox = Outbox::new(BacklogLimits::default());
        for (after, text) in [(1, "a"), (1, "b"), (2, "d"), (2, "e")] {
            let event = SseEvent::text(text);
            assert!(outbox.write(after, &event, 9).unwrap());
            if text == "b" {
                outbox.push(1, Bytes::from_static(b"c"), false).unwrap();
            }
        }
        outbox.close_batch();
        assert_eq!((outbox.queue.len(), outbox.len()), (3, 5));
        let mut frame = Frame::default();
        while outbox.take_into(&mut frame) {}
        assert_eq!((outbox.len(), outbox.bytes(), frame.events()), (0, 0, 5));
        let data = |text| format!("data: {text}\n\n");
        let written = data("a") + &data("b") + "c" + &data("d") + &data("e");
        assert_eq!(frame.into_bytes(), written);
    }

    #[test]
    fn what_is_written_makes_frames_of_the_usual_size() {
        let mut outbox = Outbox::new(BacklogLimits::default());
        let event = SseEvent::text("x".repeat(1000));
        for _ in 0..40 {
            assert!(outbox.write(0, &event, 2000).unwrap());
        }
        outbox.close_batch();
        let lengths = outbox.queue.iter().map(|batch| batch.bytes.len());
        assert_eq!(
            lengths.collect::<Vec<_>>(),
            [16 * 1008, 16 * 1008, 8 * 1008]
        );
    }

    #[test]
    fn an_event_without_room_or_too_large_is_not_written() {
        let mut outbox = Outbox::new(BacklogLimits {
            events: 9,
            bytes: 20,
        });
        let event = SseEvent::text("0123");
        assert!(outbox.write(0, &event, 99).unwrap());
        assert!(!outbox.write(0, &event, 99).unwrap());
        assert!(outbox.write(0, &SseEvent::text("0"), 1).is_err());
        assert_eq!((outbox.len(), outbox.bytes()), (1, 12));
        outbox.close_batch();
        let mut frame = Frame::default();
        assert!(outbox.take_into(&mut frame));
        assert_eq!(frame.into_bytes(), "data: 0123\n\n");
    }

    #[test]
    fn an_event_over_the_limit_fits_an_empty_queue() {
        let mut outbox = Outbox::new(BacklogLimits {
            events: 2,
            bytes: 3,
        });
        outbox
            .push(0, Bytes::from_static(b"0123456789"), false)
            .unwrap();
        assert!(outbox.push(0, Bytes::from_static(b"0"), false).is_err());
    }
}
