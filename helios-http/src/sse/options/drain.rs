//! How the time of a drain is divided.

use std::time::Duration;

use super::SseOptions;

/// The shortest time left of a drain after streams have had their time to finish. Their clients are notified in it.
const LAST_PART: Duration = Duration::from_secs(1);

/// How long a stream may take to finish if no option says otherwise.
const FINISH_WITHIN: Duration = Duration::from_secs(25);

/// How long the parts of a drain may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrainTimes {
    /// For sending clients to reconnect, spread over this time.
    pub(crate) announce: Duration,
    /// For the last events of the streams closed last.
    pub(crate) grace: Duration,
    /// For the streams that may finish.
    pub(crate) finish: Duration,
}

impl DrainTimes {
    /// Returns the longest times that fit into a drain of this length.
    pub(super) fn most(window: Duration) -> Self {
        Self {
            announce: window / 2,
            grace: window / 2,
            finish: window - LAST_PART.min(window / 4),
        }
    }
}

impl SseOptions {
    /// Returns the times of a drain that may take no longer than `window`.
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

    /// Returns the length of a drain that leaves streams all the time to finish.
    pub(crate) fn longest_drain(&self) -> Duration {
        self.finish_within.unwrap_or(FINISH_WITHIN) + LAST_PART
    }
}
