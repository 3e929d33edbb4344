//! What a backplane gives a topic, as far as the topic remembers it.

use std::collections::VecDeque;

use crate::sse::hub::Publication;

/// An event from the backplane.
pub(crate) struct Arrival {
    pub(crate) seq: u64,
    pub(crate) prev: Option<u64>,
    pub(crate) publication: Publication,
}

/// What becomes of a topic's events that arrive.
pub(crate) enum Feed {
    /// They are for nobody: the topic is not watched, or not any more.
    Off,
    /// They are put into the ring.
    Live,
    /// They wait: the watch is not answered yet, or earlier ones are missing.
    Behind(Behind),
}

/// A topic that waits for what is missing. Its readers read nothing above the newest event that it has.
pub(crate) struct Behind {
    /// The hub's head when the readers were held: what turns up now and is not above it is late.
    pub(crate) since: u64,
    pub(crate) arrivals: VecDeque<Arrival>,
    /// More may be missing than what was asked for last.
    pub(crate) torn: bool,
    /// The watch is not answered yet.
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

    /// A topic of which the backplane is asked to hand over the events.
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

    /// The number up to which events are missing before the first arrival that waits.
    pub(crate) fn first_missing(&self) -> Option<u64> {
        let Self::Behind(behind) = self else {
            return None;
        };
        let first = behind.arrivals.front()?;
        Some(first.prev.unwrap_or(first.seq.saturating_sub(1)))
    }

    /// Takes what waits, if there is something to wait for, and waits no more.
    pub(crate) fn go_on(&mut self) -> Option<Behind> {
        match std::mem::replace(self, Self::Live) {
            Self::Behind(behind) => Some(behind),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Another sequence begins: what has arrived of the old one is void. Whoever fetches what is missing asks again.
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
