//! Checks at each heartbeat whether a client still reads.

use std::time::Duration;

use super::entry::Backlog;
use super::limits::BacklogLimits;

/// The silence and the backlog that a client is allowed.
#[derive(Clone, Copy, Debug)]
pub struct LivenessLimits {
    /// The silence after which a comment is due.
    pub keep_alive: Option<Duration>,
    /// How long a client may leave waiting data unread before it is stuck. `None` if the server notices that itself.
    pub stuck_after: Option<Duration>,
    /// A client that is further behind than this at two checks, and has come no nearer between them, is too slow.
    pub backlog: BacklogLimits,
}

/// The result of one check of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done.
    Fine,
    /// A comment is to be written.
    KeepAlive,
    /// The client is too far behind.
    Slow,
    /// The client does not read at all.
    Stuck,
    /// The client has been connected for long enough.
    Aged,
}

/// How a client has been reading.
#[derive(Debug, Default)]
pub struct Liveness {
    /// The time at which the client is to reconnect.
    ages_at: Option<Duration>,
    /// The time of the first check after the last write.
    last_write: Duration,
    /// Whether the client has requested something to write since the last check.
    polled: bool,
    /// Whether something has been written since then.
    written: bool,
    keep_alive_due: bool,
    /// The time since which the client has had something to read but has not requested it.
    waits_since: Option<Duration>,
    /// The client's backlog at the last check, if it was too large and the client has not caught up since.
    behind: Option<Backlog>,
}

impl Liveness {
    /// Creates the state of a stream that begins at `now` and is aged after `max_age`.
    #[must_use]
    pub fn new(now: Duration, max_age: Option<Duration>) -> Self {
        Self {
            ages_at: max_age.map(|age| now.saturating_add(age)),
            last_write: now,
            ..Self::default()
        }
    }

    /// Notes that the client requests something to write.
    pub fn polled(&mut self) {
        self.polled = true;
    }

    /// Notes that the client has read everything.
    pub fn caught_up(&mut self) {
        self.behind = None;
    }

    /// Notes that something is written. The next check reads the time, so that no event needs a look at the clock.
    pub fn wrote(&mut self) {
        self.written = true;
        self.keep_alive_due = false;
    }

    /// Returns whether a comment is due, and clears that.
    pub fn take_keep_alive(&mut self) -> bool {
        std::mem::take(&mut self.keep_alive_due)
    }

    /// Judges a client whose backlog is `backlog`.
    ///
    /// A client that reads is not blamed for a burst, nor for resuming a long history. It is too slow only if it was
    /// already too far behind at the last check, has not caught up since, and has come no nearer.
    pub fn check(&mut self, now: Duration, backlog: Backlog, limits: &LivenessLimits) -> Verdict {
        if std::mem::take(&mut self.written) {
            self.last_write = now;
        }
        let silent = now.saturating_sub(self.last_write);
        if limits.keep_alive.is_some_and(|after| silent >= after) {
            self.keep_alive_due = true;
        }
        let over = backlog.events > limits.backlog.events as u64
            || backlog.bytes > limits.backlog.bytes as u64;
        let before = std::mem::replace(&mut self.behind, over.then_some(backlog));
        let nearer =
            |before: Backlog| backlog.events < before.events || backlog.bytes < before.bytes;
        let waits = backlog.events > 0 || self.keep_alive_due;
        if std::mem::take(&mut self.polled) || !waits {
            self.waits_since = None;
        } else {
            self.waits_since.get_or_insert(now);
        }
        let waited = self.waits_since.map(|since| now.saturating_sub(since));
        let stuck = |(waited, after)| waited >= after;
        if waited.zip(limits.stuck_after).is_some_and(stuck) {
            Verdict::Stuck
        } else if over && before.is_some_and(|before| !nearer(before)) {
            Verdict::Slow
        } else if self.ages_at.is_some_and(|at| now >= at) {
            Verdict::Aged
        } else if self.keep_alive_due {
            Verdict::KeepAlive
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Backlog = Backlog {
        events: 0,
        bytes: 0,
    };
    const MUCH: Backlog = Backlog {
        events: 11,
        bytes: 0,
    };

    fn limits() -> LivenessLimits {
        LivenessLimits {
            keep_alive: Some(Duration::from_secs(15)),
            stuck_after: Some(Duration::from_secs(30)),
            backlog: BacklogLimits {
                events: 10,
                bytes: 100,
            },
        }
    }

    fn look(client: &mut Liveness, second: u64, backlog: Backlog) -> Verdict {
        client.check(Duration::from_secs(second), backlog, &limits())
    }

    #[test]
    fn a_comment_is_due_after_silence_until_something_is_written() {
        let mut client = Liveness::default();
        assert_eq!(look(&mut client, 14, NOTHING), Verdict::Fine);
        assert_eq!(look(&mut client, 15, NOTHING), Verdict::KeepAlive);
        client.wrote();
        assert_eq!(look(&mut client, 16, NOTHING), Verdict::Fine);
        assert_eq!(look(&mut client, 30, NOTHING), Verdict::Fine);
        assert_eq!(look(&mut client, 31, NOTHING), Verdict::KeepAlive);
    }

    #[test]
    fn who_has_something_to_read_and_never_asks_is_stuck() {
        let one = Backlog {
            events: 1,
            bytes: 9,
        };
        let mut client = Liveness::default();
        assert_eq!(look(&mut client, 1, one), Verdict::Fine);
        client.polled();
        assert_eq!(look(&mut client, 2, one), Verdict::Fine);
        assert_eq!(look(&mut client, 3, one), Verdict::Fine);
        assert_eq!(look(&mut client, 33, one), Verdict::Stuck);
    }

    #[test]
    fn a_burst_is_no_fault_but_to_stay_behind_is() {
        let mut client = Liveness::default();
        assert_eq!(look(&mut client, 1, MUCH), Verdict::Fine);
        client.polled();
        assert_eq!(look(&mut client, 2, NOTHING), Verdict::Fine);
        assert_eq!(look(&mut client, 3, MUCH), Verdict::Fine);
        client.polled();
        assert_eq!(look(&mut client, 4, MUCH), Verdict::Slow);
    }

    #[test]
    fn who_comes_nearer_is_given_time() {
        let mut client = Liveness::default();
        let backlog = |events| Backlog { events, bytes: 0 };
        let mut look = |second, events| {
            client.polled();
            look(&mut client, second, backlog(events))
        };
        for (second, events) in [(1, 50), (2, 49), (3, 20)] {
            assert_eq!(look(second, events), Verdict::Fine);
        }
        assert_eq!(look(4, 20), Verdict::Slow);
    }

    #[test]
    fn who_catches_up_between_bursts_is_not_behind() {
        let mut client = Liveness::default();
        for second in 1..5 {
            assert_eq!(look(&mut client, second, MUCH), Verdict::Fine);
            client.polled();
            client.caught_up();
        }
    }

    #[test]
    fn an_old_connection_is_aged_even_if_silent() {
        let mut client = Liveness::new(Duration::from_secs(100), Some(Duration::from_secs(600)));
        assert_eq!(look(&mut client, 110, NOTHING), Verdict::Fine);
        assert_eq!(look(&mut client, 700, NOTHING), Verdict::Aged);
    }
}
