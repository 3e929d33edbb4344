//! Decodes bytes into events. The parser follows [WHATWG HTML section
//! 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation) and accepts
//! chunks of any size.
//!
//! ```
//! use helios::sse::{Decoded, Decoder};
//!
//! let mut decoder = Decoder::new();
//! decoder.feed(b"data: 21.5\n\n")?;
//! while let Some(item) = decoder.next_item() {
//!     if let Decoded::Event(event) = item {
//!         assert_eq!(event.data, "21.5");
//!     }
//! }
//! # Ok::<(), helios::sse::DecodeError>(())
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use crate::bounded::cut;
use crate::event::SseEvent;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One item that a [`Decoder`] found in the stream.
///
/// ```
/// use helios::sse::{Decoded, Decoder};
///
/// let mut decoder = Decoder::new();
/// decoder.feed(b": hello\n")?;
/// assert_eq!(decoder.next_item(), Some(Decoded::Comment("hello".into())));
/// # Ok::<(), helios::sse::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded {
    /// An event, reported at the blank line that ends it.
    Event(DecodedEvent),
    /// A comment line, reported at once, without its colon and one space after it.
    Comment(String),
    /// A `retry` field, reported at once, in whole milliseconds.
    Retry(Duration),
}

/// An event as a client dispatches it.
///
/// ```
/// use helios::sse::{Decoded, DecodedEvent, Decoder};
///
/// let mut decoder = Decoder::new();
/// decoder.feed(b"id: 1\ndata: a\ndata: b\n\n")?;
/// let Some(Decoded::Event(event)) = decoder.next_item() else {
///     panic!("an event");
/// };
/// assert_eq!((&*event.event, &*event.data, &*event.id), ("message", "a\nb", "1"));
/// # Ok::<(), helios::sse::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodedEvent {
    /// The event's name, or `message` if it has none.
    pub event: String,
    /// The event's data, with its lines joined by LF.
    pub data: String,
    /// The last event id in force, which an earlier event may have set. Empty if there is none. An `id` field of more than
    /// 8 KiB is ignored, like one with a NUL.
    pub id: String,
    /// Whether an `id` field has come since the event before, so that the id is this event's own.
    pub has_own_id: bool,
}

/// The longest id that counts, in bytes. No server would accept a longer one in a header. Every later event has the id
/// too, so without a limit a stream of few bytes could become events of many.
const LONGEST_ID: usize = 8 << 10;

/// The most of the data that an error shows, in bytes of JSON.
const LONGEST_SHOWN: usize = 400;

impl DecodedEvent {
    /// Parses the data as JSON.
    ///
    /// # Errors
    ///
    /// Fails if the data is not JSON of this type. The error's text names the event and shows the beginning of its
    /// data, so use it only in a test or a log.
    ///
    /// ```
    /// use helios::sse::{Decoded, Decoder};
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.feed(b"event: price\ndata: 21.5\n\n")?;
    /// let Some(Decoded::Event(price)) = decoder.next_item() else {
    ///     panic!("an event");
    /// };
    /// assert_eq!(price.json::<f64>()?, 21.5);
    /// assert_eq!(
    ///     price.json::<u8>().unwrap_err().to_string(),
    ///     "the event `price`: invalid type: floating point `21.5`, expected u8 at line 1 column 4; its data is 21.5"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.data).map_err(|error| self.is_not(error))
    }

    fn is_not(&self, why: impl fmt::Display) -> serde_json::Error {
        let (event, data) = (&self.event, cut(&self.data, LONGEST_SHOWN));
        serde_json::Error::custom(format_args!(
            "the event `{event}`: {why}; its data is {data}"
        ))
    }
}

/// The error of `TryFrom<DecodedEvent>`, for an event that no variant of the `#[derive(SseEvents)]` enum matches.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::{DecodedEvent, TryFromEventError};
///
/// #[derive(Debug, SseEvents)]
/// enum Price {
///     #[sse(rename = "price")]
///     Is(f64),
/// }
///
/// let received = |event: &str, data: &str| DecodedEvent {
///     event: event.to_owned(),
///     data: data.to_owned(),
///     ..DecodedEvent::default()
/// };
/// assert!(matches!(Price::try_from(received("price", "21.5")), Ok(Price::Is(21.5))));
///
/// let Err(TryFromEventError::OtherEvent(reset)) = Price::try_from(received("helios:reset", "{}")) else {
///     panic!("it is no price");
/// };
/// assert_eq!(reset.event, "helios:reset");
///
/// let wrong = Price::try_from(received("price", "high")).unwrap_err();
/// assert!(wrong.to_string().starts_with("the event `price`: expected value"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryFromEventError {
    /// The event has another name, as a control event or an event of a newer server has. It is returned here.
    #[error("the event `{}` is none of the enum's events", .0.event)]
    OtherEvent(DecodedEvent),
    /// The event's data does not fit the variant with its name.
    #[error(transparent)]
    Data(#[from] serde_json::Error),
}

/// The fields of an event whose data is an object.
#[doc(hidden)]
#[derive(Debug)]
pub struct DecodedFields<'a> {
    event: &'a DecodedEvent,
    values: BTreeMap<String, Box<RawValue>>,
}

impl<'a> DecodedFields<'a> {
    /// Parses the data of this event.
    ///
    /// # Errors
    ///
    /// Fails if the data is not an object.
    pub fn of(event: &'a DecodedEvent) -> Result<Self, serde_json::Error> {
        let values = event.json()?;
        Ok(Self { event, values })
    }

    /// Takes the value of a field. A missing field counts as `null`, if its type accepts that.
    ///
    /// # Errors
    ///
    /// Fails if the value is not of this type, or missing.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, serde_json::Error> {
        let found = self.values.remove(name);
        let is_missing = found.is_none();
        let json = found.as_ref().map_or("null", |json| json.get());
        serde_json::from_str(json).map_err(|error| {
            self.event.is_not(match is_missing {
                true => format!("its field `{name}` is missing"),
                false => format!("its field `{name}`: {error}"),
            })
        })
    }
}

/// Relays an event of another stream: its name unless it is `message`, its data as text, and its id if it brought one.
///
/// ```
/// use helios::SseEvent;
/// use helios::sse::{Decoded, Decoder};
///
/// let mut upstream = Decoder::new();
/// upstream.feed(b"id: 7\nevent: tick\ndata: 1\n\n")?;
/// let Some(Decoded::Event(event)) = upstream.next_item() else {
///     panic!("an event");
/// };
/// assert_eq!(SseEvent::from(event), SseEvent::text("1").event("tick").id(7));
/// # Ok::<(), helios::sse::DecodeError>(())
/// ```
impl From<DecodedEvent> for SseEvent {
    fn from(decoded: DecodedEvent) -> Self {
        let mut event = Self::text(decoded.data);
        if decoded.event != "message" {
            event = event.event(decoded.event);
        }
        match decoded.has_own_id {
            true => event.id(decoded.id),
            false => event,
        }
    }
}

/// The reason why decoding stopped.
///
/// ```
/// use helios::sse::{DecodeError, Decoder};
///
/// let mut decoder = Decoder::with_limit(8);
/// assert_eq!(decoder.feed(b"data: too long"), Err(DecodeError::TooLarge { limit: 8 }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An unfinished event is larger than the limit.
    #[error("event is larger than {limit} bytes: close the stream or raise the decoder's limit")]
    TooLarge {
        /// The limit in force, in bytes.
        limit: usize,
    },
}

/// An incremental decoder of an event stream.
///
/// It follows WHATWG HTML section 9.2.6 byte for byte, however the bytes are chunked. A leading BOM is dropped. Lines
/// end with LF, CRLF or CR. Invalid UTF-8 becomes U+FFFD. An event that the end of the stream cuts off is never
/// reported.
///
/// ```
/// use helios::sse::{Decoded, Decoder};
///
/// let mut decoder = Decoder::new();
/// for chunk in ["event: gree", "ting\nda", "ta: hi\n\n"] {
///     decoder.feed(chunk.as_bytes())?;
/// }
/// let Some(Decoded::Event(event)) = decoder.next_item() else {
///     panic!("an event");
/// };
/// assert_eq!((&*event.event, &*event.data), ("greeting", "hi"));
/// # Ok::<(), helios::sse::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    limit: usize,
    failed: bool,
    at_start: bool,
    after_cr: bool,
    line: Vec<u8>,
    data: String,
    name: String,
    id: Arc<str>,
    /// Whether an `id` field has come since the last event.
    has_own_id: bool,
    last_event_id: Arc<str>,
    retry: Option<Duration>,
    /// Events wait here with a shared id, so that a long id is not copied for each of them.
    ready: VecDeque<(Decoded, Arc<str>)>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// The limit of [`Decoder::new`], 16 MiB, in bytes.
    ///
    /// ```
    /// assert_eq!(helios::sse::Decoder::DEFAULT_LIMIT, 16_777_216);
    /// ```
    pub const DEFAULT_LIMIT: usize = 16 * 1024 * 1024;

    /// Creates a decoder for the start of a stream, with the [default limit](Self::DEFAULT_LIMIT).
    ///
    /// ```
    /// use helios::sse::Decoder;
    ///
    /// assert_eq!(Decoder::new().next_item(), None);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// Creates a decoder with a limit. Its unfinished line and collected data may hold `max_event_bytes` together.
    ///
    /// ```
    /// use helios::sse::Decoder;
    ///
    /// assert!(Decoder::with_limit(7).feed(b"data: x\n\n").is_ok());
    /// assert!(Decoder::with_limit(6).feed(b"data: x\n\n").is_err());
    /// ```
    #[must_use]
    pub fn with_limit(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            failed: false,
            at_start: true,
            after_cr: false,
            line: Vec::new(),
            data: String::new(),
            name: String::new(),
            id: Arc::default(),
            has_own_id: false,
            last_event_id: Arc::default(),
            retry: None,
            ready: VecDeque::new(),
        }
    }

    /// Reads the next bytes of the stream. [`next_item`](Self::next_item) returns the items that they complete.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooLarge`] if the unfinished event exceeds the limit. Items completed before can still be taken,
    /// but the stream is lost and every later call fails too.
    ///
    /// ```
    /// use helios::sse::Decoder;
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.feed(b"data: x\n")?;
    /// assert!(decoder.next_item().is_none());
    /// decoder.feed(b"\n")?;
    /// assert!(decoder.next_item().is_some());
    /// # Ok::<(), helios::sse::DecodeError>(())
    /// ```
    pub fn feed(&mut self, mut chunk: &[u8]) -> Result<(), DecodeError> {
        if self.failed {
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        while let Some(first) = chunk.first() {
            if mem::take(&mut self.after_cr) && *first == b'\n' {
                chunk = &chunk[1..];
                continue;
            }
            let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                return self.extend_line(chunk);
            };
            self.extend_line(&chunk[..end])?;
            self.after_cr = chunk[end] == b'\r';
            self.end_line();
            chunk = &chunk[end + 1..];
        }
        Ok(())
    }

    /// Takes the oldest item that has not been taken yet.
    ///
    /// ```
    /// use helios::sse::{Decoded, Decoder};
    /// use std::time::Duration;
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.feed(b"retry: 5\n")?;
    /// assert_eq!(decoder.next_item(), Some(Decoded::Retry(Duration::from_millis(5))));
    /// assert_eq!(decoder.next_item(), None);
    /// # Ok::<(), helios::sse::DecodeError>(())
    /// ```
    #[must_use]
    pub fn next_item(&mut self) -> Option<Decoded> {
        let (mut item, id) = self.ready.pop_front()?;
        if let Decoded::Event(event) = &mut item {
            event.id = id.as_ref().to_owned();
        }
        Some(item)
    }

    /// Returns the id to send as `Last-Event-ID` when reconnecting. Empty if there is none.
    ///
    /// An id counts from the blank line after it, even without data (WHATWG HTML section 9.2.6), and whether or not its
    /// event has been taken.
    ///
    /// ```
    /// use helios::sse::Decoder;
    ///
    /// let mut decoder = Decoder::new();
    /// decoder.feed(b"id: 7\n\nid: 8\n")?;
    /// assert_eq!(decoder.last_event_id(), "7");
    /// # Ok::<(), helios::sse::DecodeError>(())
    /// ```
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Returns the last reconnection time that was read, in whole milliseconds.
    ///
    /// ```
    /// use helios::sse::Decoder;
    ///
    /// assert_eq!(Decoder::new().retry(), None);
    /// ```
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn extend_line(&mut self, part: &[u8]) -> Result<(), DecodeError> {
        if self.data.len() + self.line.len() + part.len() > self.limit {
            // A line with a gap must not be read as if it were whole.
            self.failed = true;
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) {
        let mut line = mem::take(&mut self.line);
        let bom = mem::take(&mut self.at_start) && line.starts_with(BOM);
        self.read_line(if bom { &line[BOM.len()..] } else { &line });
        line.clear();
        self.line = line;
    }

    fn read_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = split_field(line);
        // Lines and values are cut at ASCII bytes, so this equals decoding the whole stream.
        let value = String::from_utf8_lossy(value);
        match name {
            b"" => self.push(Decoded::Comment(value.into_owned())),
            b"data" => self.data.extend([&*value, "\n"]),
            b"event" => self.name = value.into_owned(),
            b"id" if value.len() <= LONGEST_ID && !value.contains('\0') => {
                self.id = value.into();
                self.has_own_id = true;
            }
            b"retry" => self.read_retry(&value),
            _ => {}
        }
    }

    fn read_retry(&mut self, value: &str) {
        if let Some(retry) = parse_millis(value) {
            self.retry = Some(retry);
            self.push(Decoded::Retry(retry));
        }
    }

    fn dispatch(&mut self) {
        self.last_event_id = self.id.clone();
        let mut data = mem::take(&mut self.data);
        let name = mem::take(&mut self.name);
        if data.pop().is_none() {
            return;
        }
        let event = if name.is_empty() {
            "message".to_owned()
        } else {
            name
        };
        let has_own_id = mem::take(&mut self.has_own_id);
        self.push(Decoded::Event(DecodedEvent {
            event,
            data,
            id: String::new(),
            has_own_id,
        }));
    }

    fn push(&mut self, item: Decoded) {
        self.ready.push_back((item, self.last_event_id.clone()));
    }
}

/// Splits a line at its first colon and drops one space after it. A line without a colon is all name.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return (line, b"");
    };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn parse_millis(value: &str) -> Option<Duration> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_millis(value.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<Decoded> {
        let mut decoder = Decoder::new();
        for chunk in chunks {
            decoder.feed(chunk).unwrap();
        }
        drain(&mut decoder)
    }

    fn drain(decoder: &mut Decoder) -> Vec<Decoded> {
        std::iter::from_fn(|| decoder.next_item()).collect()
    }

    /// Returns an event that has an id of its own if `id` is not empty.
    fn event(name: &str, data: &str, id: &str) -> Decoded {
        Decoded::Event(DecodedEvent {
            event: name.into(),
            data: data.into(),
            id: id.into(),
            has_own_id: !id.is_empty(),
        })
    }

    fn message(data: &str) -> Decoded {
        event("message", data, "")
    }

    /// Returns an event whose id is an earlier event's, or is its own but empty.
    fn message_with(data: &str, id: &str, has_own_id: bool) -> Decoded {
        Decoded::Event(DecodedEvent {
            event: "message".into(),
            data: data.into(),
            id: id.into(),
            has_own_id,
        })
    }

    fn retry(millis: u64) -> Decoded {
        Decoded::Retry(Duration::from_millis(millis))
    }

    /// Returns the events that a relay makes from these bytes.
    fn relayed(bytes: &[u8]) -> Vec<SseEvent> {
        let events = decode(&[bytes]).into_iter().filter_map(|item| match item {
            Decoded::Event(event) => Some(event.into()),
            _ => None,
        });
        events.collect()
    }

    #[test]
    fn a_relay_keeps_an_id_only_on_its_own_event() {
        let text = SseEvent::text;
        assert_eq!(
            relayed(b"id: 1\ndata: a\n\ndata: b\n\nid: 1\ndata: c\n\n"),
            [text("a").id(1), text("b"), text("c").id(1)]
        );
        // An id without data belongs to the next event, and an empty id clears the client's.
        assert_eq!(
            relayed(b"id: 2\n\ndata: a\n\nid\ndata: b\n\nevent: x\ndata: c\n\n"),
            [text("a").id(2), text("b").id(""), text("c").event("x")]
        );
    }

    #[test]
    fn leading_bom_is_dropped_once() {
        let bom_twice = [BOM, BOM, b"data: b\n\n"].concat();
        assert_eq!(decode(&[b"\xEF\xBB\xBFdata: a\n\n"]), [message("a")]);
        assert_eq!(decode(&[&bom_twice]), []);
        assert_eq!(
            decode(&[b"data: a\n\n\xEF\xBB\xBFdata: b\n\n"]),
            [message("a")]
        );
    }

    #[test]
    fn leading_bom_is_dropped_across_chunks() {
        assert_eq!(
            decode(&[b"\xEF", b"\xBB", b"", b"\xBF", b"data: a\n\n"]),
            [message("a")]
        );
    }

    #[test]
    fn bytes_that_only_begin_like_a_bom_are_content() {
        assert_eq!(decode(&[b"\xEF\xBBdata: a\n\n"]), []);
        assert_eq!(
            decode(&[b"\xEF\xBB", b"\n", b"data: a\n\n"]),
            [message("a")]
        );
    }

    #[test]
    fn bom_alone_on_the_first_line_is_a_blank_line() {
        assert_eq!(decode(&[b"\xEF\xBB\xBF\ndata: a\n\n"]), [message("a")]);
    }

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        for stream in [
            "data: a\ndata: b\n\n",
            "data: a\r\ndata: b\r\n\r\n",
            "data: a\rdata: b\r\r",
            "data: a\rdata: b\n\r",
        ] {
            assert_eq!(decode(&[stream.as_bytes()]), [message("a\nb")]);
        }
    }

    #[test]
    fn cr_ends_the_line_before_the_next_chunk_is_known() {
        assert_eq!(decode(&[b"data: a\r\r"]), [message("a")]);
    }

    #[test]
    fn crlf_across_chunks_is_one_line_end() {
        assert_eq!(
            decode(&[b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n"]),
            [message("a\nb")]
        );
    }

    #[test]
    fn second_lf_after_crlf_across_chunks_is_a_blank_line() {
        assert_eq!(decode(&[b"data: a\r", b"\n\n"]), [message("a")]);
    }

    #[test]
    fn field_without_colon_has_an_empty_value() {
        assert_eq!(decode(&[b"data\n\n"]), [message("")]);
        assert_eq!(decode(&[b"data\ndata\n\n"]), [message("\n")]);
        assert_eq!(
            decode(&[b"id: 1\nid\ndata\n\n"]),
            [message_with("", "", true)]
        );
    }

    #[test]
    fn only_one_leading_space_is_stripped() {
        assert_eq!(
            decode(&[b"data:a\ndata: b\ndata:  c\ndata:\td\ndata: e: f\n\n"]),
            [message("a\nb\n c\n\td\ne: f")]
        );
    }

    #[test]
    fn id_with_nul_is_ignored() {
        assert_eq!(
            decode(&[b"id: 1\nid: a\0b\ndata: x\n\n"]),
            [event("message", "x", "1")]
        );
    }

    #[test]
    fn an_id_that_fits_in_no_header_is_ignored() {
        let longest = "x".repeat(LONGEST_ID);
        for (id, kept) in [(longest.clone(), &*longest), (longest.clone() + "x", "1")] {
            let text = format!("id: 1\nid: {id}\ndata\n\n");
            assert_eq!(decode(&[text.as_bytes()]), [message_with("", kept, true)]);
        }
    }

    #[test]
    fn last_event_id_persists_until_an_empty_id() {
        assert_eq!(
            decode(&[b"id: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n"]),
            [
                message_with("a", "1", true),
                message_with("b", "1", false),
                message_with("c", "", true)
            ]
        );
    }

    #[test]
    fn id_counts_only_from_its_blank_line() {
        let mut decoder = Decoder::new();
        decoder.feed(b"id: 1\n").unwrap();
        assert_eq!(decoder.last_event_id(), "");
        decoder.feed(b"\n").unwrap();
        assert_eq!(decoder.last_event_id(), "1");
        assert_eq!(decoder.next_item(), None);
    }

    #[test]
    fn retry_takes_ascii_digits_only() {
        for value in ["-1", "+1", "1 ", " 1", "", "1e3", "٣", "0x1"] {
            assert_eq!(decode(&[format!("retry: {value}\n").as_bytes()]), []);
        }
        assert_eq!(decode(&[b"retry: 10\nretry\n"]), [retry(10)]);
    }

    #[test]
    fn retry_saturates_and_allows_zeros() {
        assert_eq!(
            decode(&[b"retry:00000000000000000000007\nretry:99999999999999999999999\n"]),
            [retry(7), retry(u64::MAX)]
        );
    }

    #[test]
    fn the_last_retry_counts_even_without_a_blank_line() {
        let mut decoder = Decoder::new();
        decoder.feed(b"retry: 1\nretry: 2\nretry: x\n").unwrap();
        assert_eq!(decoder.retry(), Some(Duration::from_millis(2)));
    }

    #[test]
    fn comments_and_retries_are_reported_where_they_stand() {
        assert_eq!(
            decode(&[b":\ndata: a\n: one\nretry: 1\n\n:  two\n"]),
            [
                Decoded::Comment(String::new()),
                Decoded::Comment("one".into()),
                retry(1),
                message("a"),
                Decoded::Comment(" two".into()),
            ]
        );
    }

    #[test]
    fn unknown_fields_are_ignored_and_names_are_exact() {
        assert_eq!(
            decode(&[b"foo: 1\nData: a\ndata : b\n data: c\ndata\0: d\n\n"]),
            []
        );
    }

    #[test]
    fn event_without_data_is_dropped_with_its_name() {
        assert_eq!(decode(&[b"event: a\n\ndata: b\n\n"]), [message("b")]);
    }

    #[test]
    fn last_name_wins_and_an_empty_one_means_message() {
        assert_eq!(
            decode(&[b"event: a\nevent: b\ndata: 1\n\nevent: c\nevent:\ndata: 2\n\n"]),
            [event("b", "1", ""), message("2")]
        );
    }

    #[test]
    fn unfinished_event_is_not_reported() {
        assert_eq!(decode(&[b"data: a\n"]), []);
        assert_eq!(decode(&[b"data: a"]), []);
    }

    #[test]
    fn invalid_utf8_becomes_replacement_characters() {
        assert_eq!(
            decode(&[b"data: \xFFa\xE2\x82\ndata: \xE2", b"\x82\xAC\n\n"]),
            [message("\u{FFFD}a\u{FFFD}\n€")]
        );
    }

    #[test]
    fn limit_bounds_an_endless_line() {
        let mut decoder = Decoder::with_limit(10);
        for _ in 0..10 {
            decoder.feed(b"x").unwrap();
        }
        assert_eq!(decoder.feed(b"x"), Err(DecodeError::TooLarge { limit: 10 }));
    }

    #[test]
    fn limit_bounds_collected_data_even_when_decoding_expands_it() {
        let mut decoder = Decoder::with_limit(20);
        decoder.feed(b"data: 123456789\n").unwrap();
        assert!(decoder.feed(b"data: 123456789\n").is_err());

        let mut decoder = Decoder::with_limit(20);
        decoder
            .feed(b"data:\xFF\xFF\xFF\xFF\xFF\xFF\xFF\n")
            .unwrap();
        assert!(decoder.feed(b"\n").is_err());
    }

    #[test]
    fn limit_is_per_event_not_per_stream() {
        let mut decoder = Decoder::with_limit(8);
        decoder.feed(&b"data: 12\n\n".repeat(100)).unwrap();
        assert_eq!(drain(&mut decoder).len(), 100);
    }

    #[test]
    fn after_too_large_only_finished_items_are_returned() {
        let mut decoder = Decoder::with_limit(8);
        assert!(decoder.feed(b"data: a\n\ndata: 123\n\n").is_err());
        assert!(decoder.feed(b"\ndata: b\n\n").is_err());
        assert_eq!(drain(&mut decoder), [message("a")]);
    }
}
