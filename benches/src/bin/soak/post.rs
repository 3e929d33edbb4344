//! Events as they are published. Each holds enough about itself to show a reader whether one is missing.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use helios::sse::EventId;
use serde::{Deserialize, Serialize};

/// The topic of broadcasts, as resets name it.
pub(crate) const EVERYONE: &str = "*";

/// The name of private events.
pub(crate) const TOLD: &str = "told";

/// The name of the last event of a topic.
pub(crate) const LAST: &str = "last";

/// The name of events that tell how many events a topic has had.
pub(crate) const SNAPSHOT: &str = "snapshot";

/// Returns the time in microseconds, by the system's clock, which server and clients share.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// The newest event of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Events of the topic so far.
    pub(crate) n: u64,
    pub(crate) id: EventId,
    /// When the last one was about to be published.
    pub(crate) at: u64,
}

impl Default for Mark {
    fn default() -> Self {
        Self {
            n: 0,
            id: EventId::new(0, 0),
            at: 0,
        }
    }
}

/// A [`Mark`] as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct MarkText {
    n: u64,
    id: String,
    at: u64,
}

impl From<Mark> for MarkText {
    fn from(mark: Mark) -> Self {
        let Mark { n, id, at } = mark;
        let id = id.to_string();
        Self { n, id, at }
    }
}

impl MarkText {
    pub(crate) fn mark(&self) -> Option<Mark> {
        let id = self.id.parse().ok()?;
        let Self { n, at, .. } = *self;
        Some(Mark { n, id, at })
    }
}

/// An event of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post<'a> {
    pub(crate) topic: &'a str,
    pub(crate) n: u64,
    pub(crate) at: u64,
    pub(crate) before: Mark,
    pub(crate) padding: &'a str,
}

impl fmt::Display for Post<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            n,
            at,
            before,
            ..
        } = self;
        let length = self.padding.len();
        write!(f, "{topic} {n} {at} {} {} {length}", before.id, before.at)?;
        write!(f, "\n{}", self.padding)
    }
}

impl<'a> Post<'a> {
    /// Returns `None` if the text is not what was published.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (head, padding) = text.split_once('\n')?;
        let mut words = head.split(' ');
        let topic = words.next()?;
        let n: u64 = words.next()?.parse().ok()?;
        let at = words.next()?.parse().ok()?;
        let before = Mark {
            n: n.checked_sub(1)?,
            id: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
        };
        let length: usize = words.next()?.parse().ok()?;
        (length == padding.len()).then_some(Self {
            topic,
            n,
            at,
            before,
            padding,
        })
    }
}

/// An event for one client alone, sent when `n` events of `topic` had been published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    /// Counted on each connection.
    pub(crate) k: u64,
    pub(crate) topic: &'a str,
    pub(crate) n: u64,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.k, self.topic, self.n)
    }
}

impl<'a> Told<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let k = words.next()?.parse().ok()?;
        let topic = words.next()?;
        let n = words.next()?.parse().ok()?;
        Some(Self { k, topic, n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_text_parses_and_a_damaged_one_does_not() {
        let post = Post {
            topic: "warm-7",
            n: 3,
            at: 1_000,
            before: Mark {
                n: 2,
                id: EventId::new(10, 99),
                at: 900,
            },
            padding: "two\nlines",
        };
        let text = post.to_string();
        assert_eq!(Post::parse(&text), Some(post));
        assert_eq!(Post::parse(&text[..text.len() - 1]), None);
    }
}
