//! The query string, decoded strictly: what is not UTF-8 is refused, not replaced.

use percent_encoding::percent_decode_str;

use crate::error::HttpError;

/// Splits and decodes as `application/x-www-form-urlencoded` does.
pub(crate) fn parse(query: &str) -> Result<Vec<(String, String)>, HttpError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, HttpError> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| HttpError::bad_request("the query string is not percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn pairs_are_decoded_and_keep_their_order() {
        let pairs = parse("a=1&b=x+y%26&a=2&flag&&e=").unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b", "x y&"),
                ("a", "2"),
                ("flag", ""),
                ("e", "")
            ]
        );
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        assert_eq!(parse("a=%ff").unwrap_err().status(), 400);
    }
}
