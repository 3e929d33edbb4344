//! The state of a topic's events from the backplane.

use std::collections::VecDeque;

use crate::sse::hub::Publication;

/// An event from the backplane.
pub(crate) struct Arrival {
    pub(crate) seq: u64,
    pub(crate) prev: Option<u64>,
    pub(crate) publication: Publication,
}

/// How a topic handles events that arrive.
pub(crate) enum Feed {
    /// They are ignored, because the topic is not watched.
    Off,
    /// They are put into the ring.
    Live,
    /// They wait, because the watch has no answer yet, or because earlier events are missing.
    Behind(Behind),
}

/// A topic that waits for missing events. Its readers read nothing above the newest event that it has.
pub(crate) struct Behind {
    /// The hub's head when the readers were held. Events that arrive now and are not above it are late.
    pub(crate) since: u64,
    pub(crate) arrivals: VecDeque<Arrival>,
    /// Whether more events may be missing than were last requested.
    pub(crate) torn: bool,
    /// Whether the watch has no answer yet.
    pub(crate) is_asked: bool,
}

impl Behind {
    pub(crate) fn new(since: u64, first: Option<Arrival>) -> Self {
        Self {
            since,
            arrivals: first.into_iter().collect(),
            torn: false,
            is_asked: false,
        }
    }

    /// Creates the state of a topic that the backplane is asked to watch.
    pub(crate) fn asked() -> Self {
        Self {
            is_asked: true,
            ..Self::new(0, None)
        }
    }
}

impl Feed {
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Behind(_))
    }

    /// Returns the number up to which events are missing before the first waiting arrival.
    pub(crate) fn first_missing(&self) -> Option<u64> {
        let Self::Behind(behind) = self else {
            return None;
        };
        let first = behind.arrivals.front()?;
        Some(first.prev.unwrap_or(first.seq.saturating_sub(1)))
    }

    /// Stops waiting, and returns what has waited, if the topic was waiting.
    pub(crate) fn go_on(&mut self) -> Option<Behind> {
        match std::mem::replace(self, Self::Live) {
            Self::Behind(behind) => Some(behind),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Begins another sequence. Events that have arrived of the old one are void. The task that fetches missing events
    /// requests them again.
    pub(crate) fn restart(&mut self) {
        if let Self::Behind(behind) = self {
            *behind = Behind {
                is_asked: behind.is_asked,
                torn: true,
                ..Behind::new(0, None)
            };
        }
    }
}
