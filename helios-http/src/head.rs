//! Rules of message heads that several floors need.

use http::header::{CONNECTION, HeaderMap};

/// Whether the sender of this head wants the connection to end with the response (RFC 9112, section 9.6).
pub(crate) fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|option| option.trim().eq_ignore_ascii_case("close"))
    })
}
