//! The time of events.

use std::time::{Duration, Instant, SystemTime};

use crate::sequence::millis;

/// The machine's time at the start, and steady from then on: a clock that is set anew ages nothing.
#[derive(Debug)]
pub(crate) struct Clock {
    began: u64,
    since: Instant,
}

impl Clock {
    /// It is this late now.
    pub(crate) fn at(now: SystemTime) -> Self {
        let age = now.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            // A clock that was never set says 1970.
            began: millis(age.unwrap_or(Duration::ZERO)),
            since: Instant::now(),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.began.saturating_add(millis(self.since.elapsed()))
    }
}
