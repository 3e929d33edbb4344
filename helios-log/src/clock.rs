//! The time of events.

use std::time::{Duration, Instant, SystemTime};

use crate::sequence::millis;

/// The machine's time at the start, which then advances steadily. Neither setting the machine's clock nor suspending the
/// machine changes the age of events.
///
/// So after that it differs from the machine's clock. The store remembers by how much, and the clock of the next process begins
/// with the same [`Clock::lag`]. Otherwise events would be older for that process than for this one, and forgotten early.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    machine: fn() -> SystemTime,
    began: u64,
    since: Instant,
}

impl Clock {
    /// Creates a clock that is behind the machine's by `lag` milliseconds, or ahead of it if `lag` is negative.
    pub(crate) fn behind(machine: fn() -> SystemTime, lag: i64) -> Self {
        Self {
            machine,
            began: millis_of(machine()).saturating_add_signed(lag.saturating_neg()),
            since: Instant::now(),
        }
    }

    /// Returns the time in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.began.saturating_add(millis(self.since.elapsed()))
    }

    /// Returns by how many milliseconds this clock is behind the machine's.
    pub(crate) fn lag(&self) -> i64 {
        let (machine, own) = (millis_of((self.machine)()), self.now());
        let lag = i128::from(machine) - i128::from(own);
        lag.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// A clock that was never set may show a time before 1970, which counts as 1970.
fn millis_of(time: SystemTime) -> u64 {
    let age = time.duration_since(SystemTime::UNIX_EPOCH);
    millis(age.unwrap_or(Duration::ZERO))
}
