//! Rules of message heads that several floors need.

use helios_core::text;
use http::header::{CONNECTION, HeaderMap};

/// Whether the sender of this head wants the connection to end with the response (RFC 9112, section 9.6).
pub(crate) fn asks_to_close(headers: &HeaderMap) -> bool {
    let mut options = text::elements(headers, CONNECTION, b',').flatten();
    options.any(|option| option.eq_ignore_ascii_case("close"))
}
