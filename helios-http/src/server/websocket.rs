//! The part of the WebSocket protocol (RFC 6455) that is needed to close a connection that the app writes to.

/// A close frame with the code 1001, "going away" (RFC 6455, sections 5.5.1 and 7.4.1). A server does not mask its
/// frames.
pub(super) static GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xE9];

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// Two bytes, a length of up to eight, and a mask of four (RFC 6455, section 5.2).
const LONGEST_HEAD: usize = 14;

/// The position of the app's writes among frames, and how much of the close frame has been sent.
#[derive(Clone, Copy, Default)]
pub(super) struct Outgoing {
    head: [u8; LONGEST_HEAD],
    /// How many bytes of a head have been written; 0 if no frame has begun, or its head is complete.
    head_bytes: usize,
    payload_left: u64,
    /// Whether the app has closed the WebSocket itself, after which nothing may be sent.
    is_closed: bool,
    /// How many bytes of the server's close frame have been written.
    said: usize,
}

impl Outgoing {
    /// Records written bytes.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.wrote_of_frame(bytes);
            bytes = &bytes[count..];
        }
    }

    /// Records the bytes that belong to one frame, and returns how many there are.
    fn wrote_of_frame(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        while self.payload_left == 0 {
            let Some(byte) = bytes.get(count) else {
                return count;
            };
            count += 1;
            self.head[self.head_bytes] = *byte;
            self.head_bytes += 1;
            if self.head_bytes == head_length(&self.head[..self.head_bytes]) {
                self.is_closed |= is_close(&self.head);
                self.payload_left = payload_length(&self.head[..self.head_bytes]);
                self.head_bytes = 0;
                if self.payload_left == 0 {
                    return count;
                }
            }
        }
        let left = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
        let payload = left.min(bytes.len() - count);
        self.payload_left -= payload as u64;
        count + payload
    }

    fn is_between_frames(&self) -> bool {
        self.head_bytes == 0 && self.payload_left == 0
    }

    /// Returns the beginning of `bytes` that belongs to the frame that the app has begun.
    pub(super) fn rest_of_frame<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match self.is_between_frames() {
            true => &[],
            false => {
                let mut ahead = *self;
                &bytes[..ahead.wrote_of_frame(bytes)]
            }
        }
    }

    /// Returns the rest of the close frame, if it may be written now.
    pub(super) fn goodbye(&self) -> Option<&'static [u8]> {
        let left = &GOING_AWAY[self.said..];
        let may_be_said = self.is_between_frames() && !self.is_closed && !left.is_empty();
        may_be_said.then_some(left)
    }

    /// Records how many bytes of the close frame were written.
    pub(super) fn said(&mut self, count: usize) {
        self.said += count;
    }
}

/// Whether a frame that begins like this closes the WebSocket.
pub(super) fn is_close(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 0xf == CLOSE)
}

/// Returns the length of a head that begins like this, as far as it is known.
fn head_length(begin: &[u8]) -> usize {
    let &[_, second, ..] = begin else {
        return 2;
    };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + extended + mask
}

fn payload_length(head: &[u8]) -> u64 {
    let digits = match head[1] & 0x7f {
        126 => &head[2..4],
        127 => &head[2..10],
        length => return u64::from(length),
    };
    digits
        .iter()
        .fold(0, |length, byte| length << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(if is_masked { &[7; 4][..] } else { &[] });
        frame.extend(vec![0x88; length]);
        frame
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let length = prop_oneof![0..3usize, 120..130usize, 65_530..65_540usize];
        let parts = (0..8u8, length, any::<bool>());
        let frame = parts.prop_map(|(opcode, length, masked)| frame(opcode, length, masked));
        prop::collection::vec(frame, 1..5)
    }

    proptest! {
        /// For writes of any size, a close frame fits at the end of each frame and nowhere else.
        #[test]
        fn a_goodbye_fits_between_frames(frames in frames(), cuts in prop::collection::vec(1..70_000usize, 1..20)) {
            let ends: Vec<_> = frames
                .iter()
                .scan(0, |end, frame| { *end += frame.len(); Some(*end) })
                .collect();
            let bytes = frames.concat();
            let (mut outgoing, mut written) = (Outgoing::default(), 0);
            for cut in cuts.iter().cycle() {
                let is_end = written == 0 || ends.contains(&written);
                prop_assert_eq!(outgoing.goodbye().is_some(), is_end, "{}", written);
                let rest = outgoing.rest_of_frame(&bytes[written..]).len();
                let next = ends.iter().find(|end| **end > written).unwrap_or(&written);
                prop_assert_eq!(rest, if is_end { 0 } else { next - written });
                let end = (written + cut).min(bytes.len());
                outgoing.wrote(&bytes[written..end]);
                written = end;
                if written == bytes.len() {
                    break;
                }
            }
            prop_assert!(outgoing.goodbye().is_some());
        }

        /// The bytes come from the app, so they may be anything.
        #[test]
        fn any_bytes_are_followed(writes: Vec<Vec<u8>>) {
            let mut outgoing = Outgoing::default();
            for bytes in &writes {
                prop_assert!(outgoing.rest_of_frame(bytes).len() <= bytes.len());
                outgoing.wrote(bytes);
            }
        }
    }

    #[test]
    fn a_websocket_closed_by_the_app_is_not_closed_again() {
        let mut outgoing = Outgoing::default();
        outgoing.wrote(&frame(CLOSE, 2, false));
        assert_eq!(outgoing.goodbye(), None);
    }

    #[test]
    fn a_goodbye_that_was_half_said_goes_on() {
        let mut outgoing = Outgoing::default();
        outgoing.said(1);
        assert_eq!(outgoing.goodbye(), Some(&GOING_AWAY[1..]));
        outgoing.said(3);
        assert_eq!(outgoing.goodbye(), None);
    }
}
