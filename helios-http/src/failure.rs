//! Failures that no client sees. They go to the log, or to standard error if nobody reads the log.
//!
//! A text that may quote input is limited in length and recorded in a field of its own, as a string. Subscribers quote
//! and escape strings, and so does standard error. If it were recorded by its `Display`, a line feed in it would start
//! another line. Inside the message it could pass for a field.

use std::error::Error;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::iter::successors;

use helios_core::bounded::bounded;
use tracing::dispatcher::{self, Dispatch};
use tracing::subscriber::NoSubscriber;

/// The longest value of a field, in bytes.
const LONGEST_VALUE: usize = 4 * 1024;

/// The most causes of an error that are logged.
const MOST_SOURCES: usize = 4;

/// Logs an error with its causes, at this level, and with what it happened to. The other values come from the app's
/// code, such as names, or from Helios. They never contain input.
macro_rules! log_failure {
    ($level:ident, $what:literal, $error:expr $(, $name:ident = $value:expr)*) => {{
        let error = $error;
        let source = ::std::error::Error::source(error);
        ::tracing::$level!(
            $($name = %$value,)*
            error = $crate::failure::text(error),
            source = source.map($crate::failure::with_causes),
            $what
        );
        $crate::failure::print_if_unheard($what, &[$((stringify!($name), &$value),)* ("error", error)], source);
    }};
}
pub(crate) use log_failure;

/// Returns the text of a value, as a field of the log records it.
pub(crate) fn text(value: impl Display) -> String {
    bounded(value, LONGEST_VALUE)
}

/// Returns the text of an error and its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    struct Causes<'a>(&'a (dyn Error + 'static));
    impl Display for Causes<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut errors = chain(Some(self.0));
            errors.next().map_or(Ok(()), |error| write!(f, "{error}"))?;
            errors.try_for_each(|cause| write!(f, ": {cause}"))
        }
    }
    text(Causes(error))
}

fn chain<'a>(
    error: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error, |&error| error.source()).take(MOST_SOURCES)
}

/// Writes one line to standard error, unless a subscriber reads the log.
pub(crate) fn print_if_unheard(
    what: &str,
    fields: &[(&str, &dyn Display)],
    source: Option<&(dyn Error + 'static)>,
) {
    if dispatcher::get_default(Dispatch::is::<NoSubscriber>) {
        // A closed standard error is not a reason to fail again.
        let _ = io::stderr().write_all(line(what, fields, source).as_bytes());
    }
}

/// Formats the line. Values are escaped like Rust strings, since clients may have chosen them.
fn line(
    what: &str,
    fields: &[(&str, &dyn Display)],
    source: Option<&(dyn Error + 'static)>,
) -> String {
    let mut line = format!("helios: {what}:");
    let mut add = |name: &str, value: &dyn Display| {
        let _ = write!(line, " {name}={:?}", text(value));
    };
    fields.iter().for_each(|(name, value)| add(name, value));
    chain(source).for_each(|source| add("source", &source));
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_escaped_bounded_line_with_its_causes() {
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
