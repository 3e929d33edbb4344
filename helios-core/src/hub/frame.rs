//! Events joined for one write.

use bytes::{Bytes, BytesMut};

/// The most bytes in a frame, unless a single event is larger.
pub const FRAME_BYTES: usize = 16 * 1024;

/// Events of this size are not copied behind others, because another frame costs less.
const LARGE: usize = FRAME_BYTES / 4;

/// Events joined for one write. A single event is kept without copying.
#[derive(Debug, Default)]
pub struct Frame {
    first: Bytes,
    joined: BytesMut,
    events: u64,
}

impl Frame {
    /// Creates a frame that opens a stream with these bytes, which are not an event.
    #[must_use]
    pub fn opening(preamble: Bytes) -> Self {
        Self {
            first: preamble,
            ..Self::default()
        }
    }

    /// Returns the bytes gathered so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Returns whether nothing has been gathered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many events are gathered so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns how many bytes there is room for. An empty frame accepts a larger event all the same.
    #[must_use]
    pub fn room(&self) -> usize {
        FRAME_BYTES.saturating_sub(self.len())
    }

    /// Adds an event if it is not large and the frame has room for it. Returns false otherwise. An empty frame accepts
    /// any event.
    pub fn push(&mut self, bytes: &Bytes) -> bool {
        self.push_batch(bytes.clone(), 1)
    }

    /// Adds events that are already joined, as [`Frame::push`] adds one.
    pub fn push_batch(&mut self, bytes: Bytes, events: u64) -> bool {
        if self.is_empty() {
            self.first = bytes;
        } else if bytes.len() >= LARGE || self.len() + bytes.len() > FRAME_BYTES {
            return false;
        } else {
            if self.joined.is_empty() {
                self.joined
                    .reserve(FRAME_BYTES.min(8 * bytes.len()) + self.first.len());
                let first = std::mem::take(&mut self.first);
                self.joined.extend_from_slice(&first);
            }
            self.joined.extend_from_slice(&bytes);
        }
        self.events += events;
        true
    }

    /// Returns the bytes to write.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_not_copied_and_more_are_joined() {
        let event = Bytes::from_static(b"data: a\n\n");
        let mut frame = Frame::default();
        assert!(frame.push(&event));
        assert!(frame.push(&event));
        assert_eq!(frame.events(), 2);
        assert_eq!(frame.into_bytes(), "data: a\n\ndata: a\n\n");

        let mut alone = Frame::default();
        alone.push(&event);
        assert_eq!(alone.into_bytes().as_ptr(), event.as_ptr());
    }

    #[test]
    fn what_is_large_is_not_copied_behind_something_else() {
        let large = Bytes::from(vec![b'x'; LARGE]);
        let mut frame = Frame::opening(Bytes::from_static(b":\n"));
        assert!(!frame.push(&large));
        assert!(frame.push(&large.slice(1..)));

        let mut alone = Frame::default();
        alone.push(&large);
        assert_eq!(alone.into_bytes().as_ptr(), large.as_ptr());
    }

    #[test]
    fn only_an_empty_frame_accepts_an_event_over_its_limit() {
        let mut frame = Frame::default();
        assert!(frame.push(&Bytes::from(vec![b'x'; 2 * FRAME_BYTES])));
        assert!(!frame.push(&Bytes::from_static(b"y")));
        assert_eq!((frame.len(), frame.events()), (2 * FRAME_BYTES, 1));
    }
}
