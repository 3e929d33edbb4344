//! The hub's rules: what is kept of a topic, what a subscriber has yet to see, in which order it sees it.
//!
//! A topic is a bounded [`Ring`] of encoded events, a subscriber a [`Cursor`] into it. What is sent to one client
//! alone waits in its [`Outbox`]. There is no clock, task or socket here, and no lock: the runtime adds them.

mod outbox;
mod ring;

pub use outbox::{Outbox, OutboxLimits};
pub use ring::{Cursor, Entry, Lag, Overtaken, Ring, RingLimits};

use bytes::{Bytes, BytesMut};

use crate::sse::ClientId;

/// How many bytes of gathered events leave as one frame, unless a single event is larger.
pub const FRAME_BYTES: usize = 16 * 1024;

/// Events joined for one write. A single event is passed on without copying.
#[derive(Debug, Default)]
pub struct Frame {
    first: Bytes,
    joined: BytesMut,
    events: u64,
}

impl Frame {
    /// A frame that opens a connection with these bytes, which are not an event.
    #[must_use]
    pub fn opening(preamble: Bytes) -> Self {
        Self {
            first: preamble,
            ..Self::default()
        }
    }

    /// Bytes gathered so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    /// Nothing gathered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events gathered so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Takes `bytes` in, if the frame has room for them. An empty frame has room for anything.
    pub fn push(&mut self, bytes: &Bytes) -> bool {
        if self.is_empty() {
            self.first = bytes.clone();
        } else if self.len() + bytes.len() > FRAME_BYTES {
            return false;
        } else {
            if self.joined.is_empty() {
                self.joined
                    .reserve(FRAME_BYTES.min(8 * bytes.len()) + self.first.len());
                let first = std::mem::take(&mut self.first);
                self.joined.extend_from_slice(&first);
            }
            self.joined.extend_from_slice(bytes);
        }
        self.events += 1;
        true
    }

    /// The bytes to write.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

/// Moves into `frame` what `client` has yet to see of `ring` and `outbox`, in order: a private event was stamped with
/// the hub's head when it was sent and comes after everything up to that. `head` bounds what is read from the ring.
///
/// # Errors
///
/// [`Overtaken`] if the ring has dropped events that the cursor had not reached.
pub fn gather(
    frame: &mut Frame,
    ring: &Ring,
    cursor: &mut Cursor,
    outbox: &mut Outbox,
    head: u64,
    client: ClientId,
) -> Result<(), Overtaken> {
    loop {
        let public = ring.peek(*cursor)?.filter(|entry| entry.seq <= head);
        match (public, outbox.peek()) {
            (Some(entry), stamp) if stamp.is_none_or(|after| entry.seq <= after) => {
                let wanted = entry.except != Some(client);
                if wanted && !frame.push(&entry.bytes) {
                    return Ok(());
                }
                cursor.advance();
            }
            (_, Some(_)) => {
                if !outbox.take_into(frame) {
                    return Ok(());
                }
            }
            (_, None) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(n: u8) -> ClientId {
        ClientId::from_random_bytes([n; 16])
    }

    fn text(frame: Frame) -> String {
        String::from_utf8(frame.into_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_private_event_comes_after_everything_published_before_it() {
        let mut ring = Ring::new(RingLimits::default());
        let mut cursor = ring.tail();
        let mut outbox = Outbox::new(OutboxLimits::default());
        ring.push(1, Bytes::from_static(b"a"), None, Duration::ZERO);
        outbox.push(1, Bytes::from_static(b"p")).unwrap();
        ring.push(2, Bytes::from_static(b"b"), None, Duration::ZERO);

        let mut frame = Frame::default();
        gather(&mut frame, &ring, &mut cursor, &mut outbox, 2, id(1)).unwrap();
        assert_eq!(text(frame), "apb");
    }

    #[test]
    fn nothing_above_the_head_is_read() {
        let mut ring = Ring::new(RingLimits::default());
        let mut cursor = ring.tail();
        let mut outbox = Outbox::new(OutboxLimits::default());
        ring.push(1, Bytes::from_static(b"a"), None, Duration::ZERO);
        ring.push(2, Bytes::from_static(b"b"), None, Duration::ZERO);

        let mut frame = Frame::default();
        gather(&mut frame, &ring, &mut cursor, &mut outbox, 1, id(1)).unwrap();
        assert_eq!(text(frame), "a");
    }

    #[test]
    fn an_excepted_client_skips_the_event() {
        let mut ring = Ring::new(RingLimits::default());
        let mut cursor = ring.tail();
        let mut outbox = Outbox::new(OutboxLimits::default());
        ring.push(1, Bytes::from_static(b"a"), Some(id(1)), Duration::ZERO);
        ring.push(2, Bytes::from_static(b"b"), None, Duration::ZERO);

        let mut frame = Frame::default();
        gather(&mut frame, &ring, &mut cursor, &mut outbox, 2, id(1)).unwrap();
        assert_eq!(text(frame), "b");
    }

    #[test]
    fn a_frame_ends_before_it_grows_too_large_and_the_rest_follows() {
        let mut ring = Ring::new(RingLimits::default());
        let mut cursor = ring.tail();
        let mut outbox = Outbox::new(OutboxLimits::default());
        let event = Bytes::from(vec![b'x'; FRAME_BYTES / 2]);
        for seq in 1..=3 {
            ring.push(seq, event.clone(), None, Duration::ZERO);
        }
        for expected in [FRAME_BYTES, FRAME_BYTES / 2, 0] {
            let mut frame = Frame::default();
            gather(&mut frame, &ring, &mut cursor, &mut outbox, 3, id(1)).unwrap();
            assert_eq!(frame.len(), expected);
        }
    }
}
