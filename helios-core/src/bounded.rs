//! Texts made from input, cut to a number of bytes.
//!
//! The bytes are counted as within a JSON string, because that is how a text is sent. A control character of one byte
//! is sent as six.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Replaces the rest of a text that was cut.
const ELLIPSIS: char = '…';

/// Returns the text of `source`, cut to `most` bytes between characters. A text that was cut ends in `…`. No more of a
/// long text is formatted than is kept.
pub fn bounded(source: impl Display, most: usize) -> String {
    let mut cut = Cut::new(most);
    // The only error means that the text is long enough.
    let _ = write!(cut, "{source}");
    cut.text
}

/// Returns `text` as it is, or cut as by [`bounded`].
#[must_use]
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // No byte takes more than the six of an escape.
    match text.len() * 6 <= most || width(text) <= most {
        true => Cow::Borrowed(text),
        false => Cow::Owned(bounded(text, most)),
    }
}

/// Returns the bytes of `text` within a JSON string.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Counts as serde_json escapes ([RFC 8259, section 7](https://www.rfc-editor.org/rfc/rfc8259#section-7)).
fn width_of(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

struct Cut {
    text: String,
    most: usize,
    width: usize,
    /// The bytes to keep if the text must be cut, with room for the ellipsis behind them.
    keep: usize,
}

impl Cut {
    fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            most,
            width: 0,
            keep: 0,
        }
    }
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|next| self.write_char(next))
    }

    fn write_char(&mut self, next: char) -> fmt::Result {
        if self.width + ELLIPSIS.len_utf8() <= self.most {
            self.keep = self.text.len();
        }
        self.width += width_of(next);
        if self.width > self.most {
            self.text.truncate(self.keep);
            self.text.push(ELLIPSIS);
            return Err(fmt::Error);
        }
        self.text.push(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_over_its_limit_is_cut_between_characters() {
        assert_eq!(bounded("12345678", 8), "12345678");
        assert_eq!(bounded("123456789", 8), "12345…");
        assert_eq!(bounded("ëëëëë", 8), "ëë…");
        assert_eq!(bounded("\u{1}\u{1}", 11), "\u{1}…");
        assert_eq!(cut("short", 5), Cow::Borrowed("short"));
    }

    proptest! {
        #[test]
        fn a_text_in_json_stays_within_its_byte_limit(text in any::<String>(), most in 3_usize..80) {
            let json = |text: &str| serde_json::to_string(text).unwrap().len() - 2;
            let kept = bounded(&text, most);
            prop_assert_eq!(width(&text), json(&text));
            prop_assert!(json(&kept) <= most);
            prop_assert_eq!(kept == text, json(&text) <= most);
        }
    }
}
