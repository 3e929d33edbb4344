//! Encoded events, before and after the hub has numbered them.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::encode::{each_field, encode, has_fields, line_length, put_field};
use crate::event::{EventError, SseEvent};

/// An event encoded without an id, for the hub to number. It is encoded once, before any lock is taken.
#[derive(Clone, Debug)]
pub struct UnnumberedEvent {
    bytes: Bytes,
    /// The place of the id. A comment alone is no event and has `None`.
    id_at: Option<usize>,
}

impl UnnumberedEvent {
    /// Encodes an event that has no id of its own.
    ///
    /// # Errors
    ///
    /// [`EventError`] if the event fails [`SseEvent::validate`].
    pub fn new(event: &SseEvent) -> Result<Self, EventError> {
        let bytes = encode(event)?;
        let mut before = 0;
        each_field(event, |name, value| {
            if matches!(name, "" | "event") {
                before += line_length(name, value);
            }
        });
        let id_at = has_fields(event).then_some(before);
        Ok(Self { bytes, id_at })
    }

    /// Joins the parts that [`UnnumberedEvent::parts`] returned. Returns `None` if they do not fit together.
    #[must_use]
    pub fn from_parts(bytes: Bytes, id_at: Option<usize>) -> Option<Self> {
        let fits = id_at.is_none_or(|at| at <= bytes.len());
        fits.then_some(Self { bytes, id_at })
    }

    /// Returns the event without an id, and where its id is inserted.
    #[must_use]
    pub fn parts(&self) -> (&Bytes, Option<usize>) {
        (&self.bytes, self.id_at)
    }

    /// Returns the event with this id, which must not hold a line break.
    #[must_use]
    pub fn with_id(&self, id: &str) -> NumberedEvent {
        let Some(at) = self.id_at else {
            return NumberedEvent {
                bytes: self.bytes.clone(),
                id: 0..0,
            };
        };
        let length = line_length("id", id);
        let mut buffer = BytesMut::with_capacity(self.bytes.len() + length);
        buffer.put_slice(&self.bytes[..at]);
        put_field(&mut buffer, "id", id);
        buffer.put_slice(&self.bytes[at..]);
        NumberedEvent {
            bytes: buffer.freeze(),
            id: at..at + length,
        }
    }
}

/// An encoded event with its id.
#[derive(Clone, Debug)]
pub struct NumberedEvent {
    bytes: Bytes,
    id: Range<usize>,
}

impl NumberedEvent {
    /// Returns the event with its id.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns a copy of the event without its id.
    #[must_use]
    pub fn without_id(&self) -> Bytes {
        let parts = [&self.bytes[..self.id.start], &self.bytes[self.id.end..]];
        parts.concat().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_inserted_in_its_place_and_removed() {
        let event = SseEvent::text("d")
            .event("n")
            .comment("a\nb")
            .retry(Duration::from_secs(1));
        let plain = encode(&event).unwrap();
        let numbered = UnnumberedEvent::new(&event).unwrap().with_id("e-7");
        assert_eq!(numbered.bytes(), &encode(&event.id("e-7")).unwrap());
        assert_eq!(numbered.without_id(), plain);
    }

    #[test]
    fn a_comment_alone_is_not_numbered() {
        let comment = UnnumberedEvent::new(&SseEvent::default().comment("c")).unwrap();
        let numbered = comment.with_id("e-7");
        assert_eq!(numbered.bytes(), ": c\n");
        assert_eq!(numbered.without_id(), ": c\n");
    }
}
