//! Decodes `application/x-www-form-urlencoded` strictly. A text that is not UTF-8 is reported as such, not replaced.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// A key and its value. Each is `None` if it is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// Splits and decodes a query string or a form.
pub(crate) fn parse(text: &[u8]) -> Vec<Pair> {
    let pairs = text.split(|byte| *byte == b'&');
    let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = end.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        Pair {
            key: decode(key),
            value: decode(value),
        }
    });
    pairs.collect()
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let decoded = percent_decode(&spaced).decode_utf8().ok();
    decoded.map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::{Pair, parse};

    fn pair(key: &str, value: &str) -> Pair {
        Pair {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        }
    }

    #[test]
    fn pairs_are_decoded_and_keep_their_order() {
        assert_eq!(
            parse(b"a=1&b=x+y%26&a=2&flag&&e="),
            [
                pair("a", "1"),
                pair("b", "x y&"),
                pair("a", "2"),
                pair("flag", ""),
                pair("e", "")
            ]
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_affect_only_their_value() {
        let pairs = parse(b"a=%ff&b=1&%ff=2");
        assert_eq!(
            (pairs[0].key.as_deref(), pairs[0].value.as_deref()),
            (Some("a"), None)
        );
        assert_eq!(pairs[1], pair("b", "1"));
        assert_eq!(
            (pairs[2].key.as_deref(), pairs[2].value.as_deref()),
            (None, Some("2"))
        );
    }
}
