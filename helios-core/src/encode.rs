//! Encodes events in the wire format of WHATWG HTML section 9.2.5.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

use crate::event::{EventError, SseEvent};

/// An empty comment, `:\n`, which keeps a silent connection alive and makes Firefox open a stream.
///
/// It has only one newline, because some clients dispatch an empty message on `:\n\n`.
///
/// ```
/// assert_eq!(helios_core::encode::KEEP_ALIVE, ":\n");
/// ```
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n");

/// Encodes an event.
///
/// The order is comment, `event`, `id`, `retry`, `data`, then a blank line. An event that is only a comment has no
/// blank line. Data and comments are split at LF, CRLF and a bare CR into one line each.
///
/// # Errors
///
/// [`EventError`] if the event fails [`SseEvent::validate`].
///
/// ```
/// use helios_core::{encode::encode, event::SseEvent};
///
/// let event = SseEvent::text("a\r\nb").event("note").comment("c");
/// assert_eq!(
///     encode(&event)?,
///     ": c\nevent: note\ndata: a\ndata: b\n\n"
/// );
/// # Ok::<(), helios_core::event::EventError>(())
/// ```
pub fn encode(event: &SseEvent) -> Result<Bytes, EventError> {
    let mut buffer = BytesMut::new();
    encode_into(event, &mut buffer)?;
    Ok(buffer.freeze())
}

/// Appends an event to `buffer`, encoded as by [`encode`].
///
/// # Errors
///
/// [`EventError`] if the event fails [`SseEvent::validate`]. Then `buffer` is unchanged.
///
/// ```
/// use bytes::BytesMut;
/// use helios_core::{encode::encode_into, event::SseEvent};
///
/// let mut buffer = BytesMut::new();
/// encode_into(&SseEvent::text("a"), &mut buffer)?;
/// encode_into(&SseEvent::text("b"), &mut buffer)?;
/// assert_eq!(buffer, "data: a\n\ndata: b\n\n");
/// # Ok::<(), helios_core::event::EventError>(())
/// ```
pub fn encode_into(event: &SseEvent, buffer: &mut BytesMut) -> Result<(), EventError> {
    event.validate()?;
    let has_fields = has_fields(event);
    // The exact length comes first, so that the buffer is allocated once and frozen without spare capacity.
    let mut length = usize::from(has_fields);
    each_field(event, |name, value| length += line_length(name, value));
    buffer.reserve(length);
    each_field(event, |name, value| put_field(buffer, name, value));
    if has_fields {
        buffer.put_u8(b'\n');
    }
    Ok(())
}

pub(crate) fn has_fields(event: &SseEvent) -> bool {
    event.data().is_some()
        || event.name().is_some()
        || event.event_id().is_some()
        || event.retry_after().is_some()
}

/// Calls `write` with the name and value of every line, in wire order. The name of a comment is empty.
pub(crate) fn each_field(event: &SseEvent, mut write: impl FnMut(&str, &str)) {
    if let Some(comment) = event.comment_text() {
        each_line(comment, |line| write("", line));
    }
    if let Some(name) = event.name() {
        write("event", name);
    }
    if let Some(id) = event.event_id() {
        write("id", id);
    }
    if let Some(retry) = event.retry_after() {
        write("retry", &retry.as_millis().to_string());
    }
    if let Some(data) = event.data() {
        each_line(data, |line| write("data", line));
    }
}

/// Calls `write` with every line of `text`. A line ends at LF, CRLF or a bare CR.
fn each_line(mut text: &str, mut write: impl FnMut(&str)) {
    while let Some(end) = memchr2(b'\r', b'\n', text.as_bytes()) {
        write(&text[..end]);
        let end_of_line = if text[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        text = &text[end + end_of_line..];
    }
    write(text);
}

/// Returns the length of `name: value` with its line end.
pub(crate) fn line_length(name: &str, value: &str) -> usize {
    name.len() + value.len() + 3
}

pub(crate) fn put_field(buffer: &mut BytesMut, name: &str, value: &str) {
    buffer.put_slice(name.as_bytes());
    buffer.put_slice(b": ");
    buffer.put_slice(value.as_bytes());
    buffer.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wire(event: &SseEvent) -> String {
        String::from_utf8(encode(event).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn fields_come_in_a_fixed_order() {
        let event = SseEvent::text("d")
            .retry(Duration::from_secs(2))
            .id("i")
            .event("n")
            .comment("c");
        assert_eq!(
            wire(&event),
            ": c\nevent: n\nid: i\nretry: 2000\ndata: d\n\n"
        );
    }

    #[test]
    fn every_kind_of_line_end_splits_data() {
        for (data, lines) in [
            ("a\nb", "data: a\ndata: b\n\n"),
            ("a\r\nb", "data: a\ndata: b\n\n"),
            ("a\rb", "data: a\ndata: b\n\n"),
            ("a\n", "data: a\ndata: \n\n"),
            ("\r\r\n\n", "data: \ndata: \ndata: \ndata: \n\n"),
            ("\n\r", "data: \ndata: \ndata: \n\n"),
        ] {
            assert_eq!(wire(&SseEvent::text(data)), lines, "{data:?}");
        }
    }

    #[test]
    fn comment_cannot_inject_a_field() {
        let event = SseEvent::text("d").comment("a\r\ndata: b\rc");
        assert_eq!(wire(&event), ": a\n: data: b\n: c\ndata: d\n\n");
    }

    #[test]
    fn comment_alone_has_no_blank_line() {
        assert_eq!(wire(&SseEvent::default().comment("x")), ": x\n");
        assert_eq!(wire(&SseEvent::default().comment("")), ": \n");
    }

    #[test]
    fn zero_and_empty_values_are_written() {
        let event = SseEvent::text("").event("").id("").retry(Duration::ZERO);
        assert_eq!(wire(&event), "event: \nid: \nretry: 0\ndata: \n\n");
        assert_eq!(wire(&SseEvent::default().id(0)), "id: 0\n\n");
    }

    #[test]
    fn leading_space_and_unicode_survive() {
        assert_eq!(wire(&SseEvent::text(" \u{feff}ä")), "data:  \u{feff}ä\n\n");
    }

    #[test]
    fn huge_retry_is_written_whole() {
        let event = SseEvent::default().retry(Duration::MAX);
        assert_eq!(wire(&event), "retry: 18446744073709551615\n\n");
    }

    #[test]
    fn refused_event_leaves_the_buffer_alone() {
        let mut buffer = BytesMut::from("before");
        let error = encode_into(&SseEvent::text("x").id("a\nb"), &mut buffer);
        assert_eq!(error, Err(EventError::InvalidId("a\nb".into())));
        assert_eq!(buffer, "before");
    }

    #[test]
    fn one_allocation_of_the_exact_size() {
        let event = SseEvent::text("line\r\n".repeat(100))
            .comment("a\nb")
            .event("n")
            .id(1)
            .retry(Duration::from_millis(10));
        let mut buffer = BytesMut::new();
        encode_into(&event, &mut buffer).unwrap();
        assert_eq!(buffer.capacity(), buffer.len());
    }
}
