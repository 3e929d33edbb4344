//! Text that a client sent in the bytes of a header.
//!
//! Headers are read as UTF-8, because browsers send an event's id in it and people write their names in it. A value, or
//! an element of a list, that is not UTF-8 is dropped alone, so that the others remain. No other code reads the bytes
//! of a header, as `clippy.toml` forbids it.

use http::header::{AsHeaderName, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// Returns the text of a header's value, unchanged, or `None` if it is not UTF-8.
///
/// ```
/// use helios_core::text;
/// use http::HeaderValue;
///
/// let value = HeaderValue::from_str("björn").unwrap();
/// assert_eq!(text::of(&value), Some("björn"));
/// ```
#[must_use]
pub fn of(value: &HeaderValue) -> Option<&str> {
    of_bytes(bytes_of(value))
}

/// Returns the texts of all values of a header, except those that are not UTF-8.
///
/// ```
/// use helios_core::text;
/// use http::{HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// for value in [&b"J\xfcrg"[..], b"Ann"] {
///     headers.append("x-name", HeaderValue::from_bytes(value).unwrap());
/// }
/// assert!(text::values(&headers, "x-name").eq(["Ann"]));
/// ```
pub fn values(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(of)
}

/// Returns the elements of the lists in all values of a header, without surrounding blanks. An element that is not
/// UTF-8 keeps its place as `None`.
///
/// ```
/// use helios_core::text;
/// use http::{HeaderMap, HeaderValue};
///
/// let value = HeaderValue::from_bytes(b"keep-alive, \xff , close").unwrap();
/// let headers = HeaderMap::from_iter([(http::header::CONNECTION, value)]);
/// let elements = text::elements(&headers, "connection", b',');
/// assert!(elements.eq([Some("keep-alive"), None, Some("close")]));
/// ```
pub fn elements(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    separator: u8,
) -> impl Iterator<Item = Option<&str>> {
    let values = headers.get_all(name).iter();
    values.flat_map(move |value| elements_of(value, move |letter| letter == char::from(separator)))
}

/// Returns the elements as [`elements`] does, of a header whose elements may have quoted strings.
///
/// ```
/// use helios_core::text;
/// use http::{HeaderMap, HeaderValue};
///
/// let value = HeaderValue::from_static(r#"by="a, b", by=c"#);
/// let headers = HeaderMap::from_iter([(http::header::FORWARDED, value)]);
/// let elements = text::quotable_elements(&headers, "forwarded", ',');
/// assert!(elements.eq([Some(r#"by="a, b""#), Some("by=c")]));
/// ```
pub fn quotable_elements(
    headers: &HeaderMap,
    name: impl AsHeaderName,
    separator: char,
) -> impl Iterator<Item = Option<&str>> {
    let values = headers.get_all(name).iter();
    values.flat_map(move |value| elements_of(value, unquoted(separator)))
}

/// Returns a function that is called with each letter of a text, and finds the separators outside of quoted strings
/// ([RFC 9110, section 5.6.4](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4)).
pub fn unquoted(separator: char) -> impl FnMut(char) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    move |letter| {
        let escapes = is_quoted && !is_escaped && letter == '\\';
        if letter == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = escapes;
        letter == separator && !is_quoted
    }
}

/// Returns the media type of the content type, without its parameters. Its case is unchanged.
///
/// ```
/// use helios_core::text;
/// use http::{HeaderMap, HeaderValue};
///
/// let value = HeaderValue::from_static("application/json; charset=utf-8");
/// let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, value)]);
/// assert_eq!(text::media_type(&headers), Some("application/json"));
/// ```
#[must_use]
pub fn media_type(headers: &HeaderMap) -> Option<&str> {
    elements_of(headers.get(CONTENT_TYPE)?, |letter| letter == ';').next()?
}

/// An ASCII byte is never part of another character, so splitting the bytes splits the text.
fn elements_of(
    value: &HeaderValue,
    mut separates: impl FnMut(char) -> bool,
) -> impl Iterator<Item = Option<&str>> {
    let elements = bytes_of(value).split(move |byte| separates(char::from(*byte)));
    elements.map(|element| of_bytes(element.trim_ascii()))
}

#[expect(clippy::disallowed_methods, reason = "only this function reads them")]
fn bytes_of(value: &HeaderValue) -> &[u8] {
    value.as_bytes()
}

fn of_bytes(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Generates every byte that a header can hold.
    fn byte() -> impl Strategy<Value = u8> {
        any::<u8>().prop_filter("not in a header", |byte| {
            *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
        })
    }

    fn headers(values: &[impl AsRef<[u8]>]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
            headers.append(CONTENT_TYPE, value);
        }
        headers
    }

    fn elements_in(values: &[impl AsRef<[u8]>]) -> Vec<Option<String>> {
        let headers = headers(values);
        let elements = elements(&headers, CONTENT_TYPE, b',');
        elements.map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn a_media_type_is_the_first_element_or_none() {
        let media_type = |value: &[u8]| media_type(&headers(&[value])).map(str::to_owned);
        assert_eq!(
            media_type(b" text/plain ; a=\xff"),
            Some("text/plain".into())
        );
        assert_eq!(media_type(b"\xff; text/plain"), None);
        assert_eq!(media_type(b""), Some(String::new()));
        assert_eq!(
            media_type("text/plain\u{a0}".as_bytes()),
            Some("text/plain\u{a0}".into())
        );
    }

    proptest! {
        #[test]
        fn ascii_is_read_as_http_reads_it(text in "[\t -~]{0,40}") {
            let value = HeaderValue::from_str(&text).unwrap();
            #[expect(clippy::disallowed_methods, reason = "the test compares with it")]
            let as_http_does = value.to_str().ok();
            prop_assert_eq!(of(&value), as_http_does);
        }

        #[test]
        fn text_comes_back_whole(text in "[\t -~\u{80}-\u{10ffff}]{0,40}") {
            let value = HeaderValue::from_str(&text).unwrap();
            prop_assert_eq!(of(&value), Some(text.as_str()));
        }

        #[test]
        fn a_value_that_is_no_text_is_dropped_alone(values in vec(vec(byte(), 0..10), 0..6)) {
            let headers = headers(&values);
            let kept: Vec<_> = super::values(&headers, CONTENT_TYPE).collect();
            let texts = values.iter().filter_map(|bytes| std::str::from_utf8(bytes).ok());
            prop_assert_eq!(kept, texts.collect::<Vec<_>>());
        }

        #[test]
        fn an_element_that_is_no_text_is_dropped_alone(
            before in vec("[a-zä-ü]{0,4}", 0..4), bad in vec(byte(), 1..6), after in vec("[a-zä-ü]{0,4}", 0..4),
        ) {
            prop_assume!(!bad.contains(&b',') && std::str::from_utf8(bad.trim_ascii()).is_err());
            let list = |texts: &[String]| texts.iter().map(|text| text.clone().into_bytes()).collect::<Vec<_>>();
            let all = [list(&before), vec![bad], list(&after)].concat();
            let seen = elements_in(&[all.join(&b", "[..])]);
            let texts = |texts: Vec<String>| texts.into_iter().map(Some).collect::<Vec<_>>();
            prop_assert_eq!(seen, [texts(before), vec![None], texts(after)].concat());
        }
    }
}
