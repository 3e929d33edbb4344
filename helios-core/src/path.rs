//! The normal form of a path. Spellings that mean the same have the same form ([RFC 3986, section
//! 6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2)).
//!
//! 1. The hex digits of escapes are upper case (6.2.2.1): `%c3` becomes `%C3`.
//! 2. An escaped letter, digit, `-`, `.`, `_` or `~` becomes the character itself (6.2.2.2): `%7E` becomes `~`. No
//!    other escape is decoded, so `%2F` separates no segments.
//! 3. Characters that a path cannot contain are escaped, as browsers do with most of them: `ï` becomes `%C3%AF`, `{`
//!    becomes `%7B`. A `%` that begins no escape becomes `%25`. Otherwise a second pass could find an escape that was
//!    not there, as in `%%32e`.
//!
//! So the form decodes to the same text as the path, and is its own normal form. Dot segments (6.2.2.3) are not
//! removed.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns the normal form of the path. A path that is already in it, as most are, needs no allocation.
///
/// ```
/// use helios_core::path::normal_form;
///
/// assert_eq!(normal_form("/caf%c3%a9/%7Eme"), "/caf%C3%A9/~me");
/// assert_eq!(normal_form("/café/a%2fb"), "/caf%C3%A9/a%2Fb");
/// ```
#[must_use]
pub fn normal_form(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let Some(mut at) = bytes.iter().position(|byte| !stands_in_a_path(*byte)) else {
        return Cow::Borrowed(path);
    };
    let (mut form, mut copied) = (String::new(), 0);
    while at < bytes.len() {
        if stands_in_a_path(bytes[at]) {
            at += 1;
            continue;
        }
        let code = escaped(&bytes[at..]);
        let length = match code {
            Some(_) => 3,
            None => path[at..].chars().next().map_or(1, char::len_utf8),
        };
        let piece = &path[at..at + length];
        if !code.is_some_and(|code| is_normal(piece, code)) {
            form.push_str(&path[copied..at]);
            match code {
                Some(code) if is_unreserved(code) => form.push(char::from(code)),
                Some(code) => escape(&mut form, code),
                None => piece.bytes().for_each(|byte| escape(&mut form, byte)),
            }
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(path);
    }
    form.push_str(&path[copied..]);
    Cow::Owned(form)
}

/// Returns whether a path in normal form has a segment `.` or `..`.
///
/// ```
/// use helios_core::path::{has_dot_segment, normal_form};
///
/// assert!(has_dot_segment("/a/../b"));
/// assert!(has_dot_segment(&normal_form("/a/%2e")));
/// assert!(!has_dot_segment("/.well-known/a..b"));
/// ```
#[must_use]
pub fn has_dot_segment(path: &str) -> bool {
    let is_dots = |segment| matches!(segment, "." | "..");
    path.as_bytes().contains(&b'.') && path.split('/').any(is_dots)
}

/// Returns whether every `%` begins an escape.
#[must_use]
pub(crate) fn escapes_are_whole(path: &str) -> bool {
    let mut rests = path.match_indices('%');
    rests.all(|(at, _)| escaped(&path.as_bytes()[at..]).is_some())
}

/// Returns the byte that the escape at the beginning decodes to.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn escape(form: &mut String, byte: u8) {
    // Writing to a `String` never fails.
    let _ = write!(form, "%{byte:02X}");
}

fn is_normal(escape: &str, code: u8) -> bool {
    !is_unreserved(code) && !escape.bytes().any(|digit| digit.is_ascii_lowercase())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns whether a byte is the slash or one that [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-3.3)
/// allows in `pchar` without an escape.
fn stands_in_a_path(byte: u8) -> bool {
    const STANDS: [bool; 256] = {
        let mut stands = [false; 256];
        let bytes =
            b"/:@!$&'()*+,;=-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut n = 0;
        while n < bytes.len() {
            stands[bytes[n] as usize] = true;
            n += 1;
        }
        stands
    };
    STANDS[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_path_have_one_form() {
        let forms = [
            ("/na%C3%AFve", "/na%C3%AFve"),
            ("/na%c3%aFve", "/na%C3%AFve"),
            ("/naïve", "/na%C3%AFve"),
            ("/%7Eme/%41%5f%2D", "/~me/A_-"),
            ("/a%2fb", "/a%2Fb"),
            ("/a+b%2B", "/a+b%2B"),
            (
                "/a b\"<>`^|\\[]{}",
                "/a%20b%22%3C%3E%60%5E%7C%5C%5B%5D%7B%7D",
            ),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("", ""),
        ];
        for (path, form) in forms {
            assert_eq!(normal_form(path), form, "{path}");
        }
    }

    #[test]
    fn a_path_in_its_form_costs_no_memory() {
        for path in ["/", "/hello/7", "/na%C3%AFve/a%2Fb/%25", "*", ""] {
            assert!(matches!(normal_form(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn dots_are_a_segment_of_their_own_only() {
        for path in [
            "/.",
            "/..",
            "/./a",
            "/a/..",
            "/%2e",
            "/a/.%2E/b",
            "/%2e%2e/",
        ] {
            assert!(has_dot_segment(&normal_form(path)), "{path}");
        }
        for path in [
            "/", "/...", "/a.", "/.a", "/%%32e", "/%252e", "/..%2F", "/.%2e.",
        ] {
            assert!(!has_dot_segment(&normal_form(path)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_form_means_the_same_and_is_its_own_form(path in "(/|[%a-gA-G0-9.~ï{+]|%2[EefF]|%[cC]3){0,12}") {
            let form = normal_form(&path);
            let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
            prop_assert_eq!(decoded(&form), decoded(&path));
            prop_assert_eq!(normal_form(&form), &*form);
            prop_assert_eq!(form.matches('/').count(), path.matches('/').count());
        }
    }
}
