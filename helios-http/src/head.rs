//! Rules of message heads that several modules need.

use helios_core::text;
use http::header::{CONNECTION, HeaderMap};

/// Whether the sender of this head requests that the connection ends after the response (RFC 9112, section 9.6).
pub(crate) fn asks_to_close(headers: &HeaderMap) -> bool {
    let mut options = text::elements(headers, CONNECTION, b',').flatten();
    options.any(|option| option.eq_ignore_ascii_case("close"))
}

/// Whether the body after this head is an event stream.
pub(crate) fn says_event_stream(headers: &HeaderMap) -> bool {
    let kind = text::media_type(headers);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_found_among_options_that_are_not_text() {
        let asks = |value: &[u8]| {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            asks_to_close(&HeaderMap::from_iter([(CONNECTION, value)]))
        };
        assert!(asks(b"\xff, x , CLOSE"));
        assert!(asks("ü,close".as_bytes()));
        assert!(!asks(b"closed"));
        assert!(!asks(b"\xff close"));
        assert!(!asks("close\u{a0}".as_bytes()));
    }
}
