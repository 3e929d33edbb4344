//! The ids of published events.

use std::fmt;
use std::str::FromStr;

/// The id of a published event: its place in the one sequence of a hub, or of a backplane that several hubs share.
///
/// An id is opaque text. A client sends the last one that it received as `Last-Event-ID`. Each sequence has an `epoch`
/// as its name. A hub begins a new sequence whenever the process starts, and a backplane when it may have lost its
/// count. Two ids can be ordered only if they belong to the same sequence (see [`is_after`](Self::is_after)), so `<`
/// does not compare them.
///
/// An id never contains a `.`. The character is reserved, because a position may one day be a list of several ids.
///
/// ```
/// use helios::sse::EventId;
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// # #[server(controllers = [], sse(enabled = true))]
/// # struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let first = app.sse_service().publish("news", "one").await.unwrap();
/// let second = app.sse_service().publish("news", "two").await.unwrap();
/// assert_eq!(second.is_after(first), Some(true));
/// assert_eq!(second.to_string().parse(), Ok(second));
/// assert!("helios:end".parse::<EventId>().is_err());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    epoch: u64,
    seq: u64,
}

impl EventId {
    /// Creates the id of event number `seq` in the sequence with this `epoch`, a random number. Only a hub or a
    /// backplane numbers events.
    #[must_use]
    pub const fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// Returns the epoch, which names the id's sequence.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// Returns the event's number in its sequence.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// Returns whether the id was given out after `other`, or `None` if they belong to different sequences.
    ///
    /// ```
    /// use helios::sse::EventId;
    ///
    /// let first = EventId::new(0xe, 1);
    /// assert_eq!(EventId::new(0xe, 2).is_after(first), Some(true));
    /// assert_eq!(first.is_after(first), Some(false));
    /// assert_eq!(EventId::new(0xf, 2).is_after(first), None);
    /// ```
    #[must_use]
    pub const fn is_after(self, other: Self) -> Option<bool> {
        match self.epoch == other.epoch {
            true => Some(self.seq > other.seq),
            false => None,
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.seq)
    }
}

/// The error for a text that is not an [`EventId`].
///
/// ```
/// use helios::sse::{EventId, EventIdError};
///
/// let error: EventIdError = "7".parse::<EventId>().unwrap_err();
/// assert_eq!(error.to_string(), "not the id of a published event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a published event")]
#[non_exhaustive]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, seq) = text.split_once('-').ok_or(EventIdError)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits(epoch) || !digits(seq) {
            return Err(EventIdError);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| EventIdError)?;
        let seq = seq.parse().map_err(|_| EventIdError)?;
        Ok(Self { epoch, seq })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_an_id_of_a_hub_is_refused() {
        for text in [
            "",
            "-",
            "7",
            "a-",
            "-1",
            "x-1",
            "a-b",
            "a-1-2",
            "+a-1",
            "a-+1",
            "a-1.2",
            "a.b-1",
            "helios:end",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_survives_being_written_and_read(epoch: u64, seq: u64) {
            let id = EventId::new(epoch, seq);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            let _ = text.parse::<EventId>();
        }
    }
}
