//! The time of events.

use std::time::{Duration, Instant, SystemTime};

use crate::sequence::millis;

/// The machine's time at the start, which then advances steadily. Setting the machine's clock does not change the age
/// of events.
#[derive(Debug)]
pub(crate) struct Clock {
    began: u64,
    since: Instant,
}

impl Clock {
    /// Creates a clock that shows `now`.
    pub(crate) fn at(now: SystemTime) -> Self {
        let age = now.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            // A clock that was never set may show a time before 1970.
            began: millis(age.unwrap_or(Duration::ZERO)),
            since: Instant::now(),
        }
    }

    /// Returns the time in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.began.saturating_add(millis(self.since.elapsed()))
    }
}
