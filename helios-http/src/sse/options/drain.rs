//! How the time of a drain is shared out.

use std::time::Duration;

use super::SseOptions;

/// What is left of a drain, at the least, when the streams that may finish have had their time: they have to be told so.
const LAST_PART: Duration = Duration::from_secs(1);

/// How long a stream may take to finish, if nothing says otherwise.
const FINISH_WITHIN: Duration = Duration::from_secs(25);

/// How long the parts of a drain may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrainTimes {
    /// Streams are told to reconnect, not all at once.
    pub(crate) announce: Duration,
    /// The last of them may say a last word.
    pub(crate) grace: Duration,
    /// Those that may finish do so.
    pub(crate) finish: Duration,
}

impl DrainTimes {
    /// The most that fits into a drain of this length.
    pub(super) fn most(window: Duration) -> Self {
        Self {
            announce: window / 2,
            grace: window / 2,
            finish: window - LAST_PART.min(window / 4),
        }
    }
}

impl SseOptions {
    /// The time of a drain that may take no longer than this.
    pub(crate) fn drain_times(&self, window: Duration) -> DrainTimes {
        let most = DrainTimes::most(window);
        let grace = self.closing_grace();
        let finish = self.finish_within.unwrap_or(FINISH_WITHIN);
        DrainTimes {
            announce: most.announce,
            grace: grace.min(most.grace),
            finish: finish.min(most.finish),
        }
    }

    /// The length of a drain that leaves streams all the time to finish.
    pub(crate) fn longest_drain(&self) -> Duration {
        self.finish_within.unwrap_or(FINISH_WITHIN) + LAST_PART
    }
}
