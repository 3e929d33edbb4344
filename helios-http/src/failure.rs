//! Failures that no client is told of: they go to the log, and to standard error where nobody reads the log.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::iter::successors;

use helios_core::bounded::bounded;
use tracing::dispatcher::{self, Dispatch};
use tracing::subscriber::NoSubscriber;

/// The longest value of a line on standard error, in bytes.
const LONGEST_VALUE: usize = 1_000;

/// The causes of an error that are told there.
const MOST_SOURCES: usize = 4;

/// Logs an error with its source, at the level, with what it happened to.
macro_rules! log_failure {
    ($level:ident, $what:literal, $error:expr $(, $name:ident = $value:expr)*) => {{
        let error = $error;
        let source = ::std::error::Error::source(error);
        ::tracing::$level!($($name = %$value,)* %error, source, $what);
        $crate::failure::print_if_unheard($what, &[$((stringify!($name), &$value),)* ("error", error)], source);
    }};
}
pub(crate) use log_failure;

/// Writes one line to standard error, unless the log has a reader.
pub(crate) fn print_if_unheard(
    what: &str,
    fields: &[(&str, &dyn Display)],
    source: Option<&(dyn Error + 'static)>,
) {
    if dispatcher::get_default(Dispatch::is::<NoSubscriber>) {
        // A closed standard error is no reason to fail once more.
        let _ = io::stderr().write_all(line(what, fields, source).as_bytes());
    }
}

/// The values are escaped as Rust writes texts, since others may have chosen them.
fn line(
    what: &str,
    fields: &[(&str, &dyn Display)],
    source: Option<&(dyn Error + 'static)>,
) -> String {
    let mut line = format!("helios: {what}:");
    let mut add = |name: &str, value: &dyn Display| {
        let _ = write!(line, " {name}={:?}", bounded(value, LONGEST_VALUE));
    };
    fields.iter().for_each(|(name, value)| add(name, value));
    let sources = successors(source, |&source| source.source());
    sources
        .take(MOST_SOURCES)
        .for_each(|source| add("source", &source));
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_bounded_line_with_its_causes_and_without_control_characters() {
        let cause = io::Error::other("forged\n\u{1b}[2Jline");
        let told = line("a hook failed", &[("hook", &"on_sse_close")], Some(&cause));
        assert_eq!(
            told,
            "helios: a hook failed: hook=\"on_sse_close\" source=\"forged\\n\\u{1b}[2Jline\"\n"
        );
        let long = "\u{7}".repeat(1 << 20);
        assert!(line("it failed", &[("error", &long)], None).len() < 4 * LONGEST_VALUE);
    }
}
