//! Rejects options with which nothing could be sent or every client would be cut.

use std::fmt::Debug;
use std::time::Duration;

use http::StatusCode;

use super::{DAY, DrainTimes, Overload, SseOptions, TICK};
use crate::error::Error;

/// An option's name, whether it is wrong, its value, and what would be right.
type Row<'a> = (&'static str, bool, &'a dyn Debug, &'static str);

impl SseOptions {
    pub(crate) fn check(&self) -> Result<(), Error> {
        refuse(&self.times())?;
        refuse(&self.bounds())?;
        refuse(&self.of_presence())
    }

    /// Rejects times that do not fit into a drain. `usual` is its usual length, `longest` that of one in which streams
    /// finish.
    pub(crate) fn check_drain(&self, usual: Duration, longest: Duration) -> Result<(), Error> {
        let over = |time: Option<Duration>, most| time.is_some_and(|time| time > most);
        refuse(&[
            (
                "closing_grace",
                over(self.closing_grace, DrainTimes::most(usual).grace),
                &self.closing_grace,
                "a second less than half of `drain_deadline`: raise that, or shorten this",
            ),
            (
                "finish_within",
                over(self.finish_within, DrainTimes::most(longest).finish),
                &self.finish_within,
                "two seconds less than `drain_deadline`: raise that, or shorten this",
            ),
        ])
    }

    fn times(&self) -> [Row<'_>; 10] {
        let at_least = |time: Option<Duration>| time.is_none_or(|time| time >= TICK);
        let (age, retry) = (self.max_age, self.connections.retry);
        let too_old = age.is_some_and(|age| age > 3_650 * DAY);
        let too_long = |time: Option<Duration>| time.is_some_and(|time| time > DAY);
        let alive = &self.keep_alive;
        let short = self.stuck_after < TICK;
        let hook = self.hook_timeout.is_zero();
        [
            ("retry", self.retry > DAY, &self.retry, "a day at the most"),
            (
                "keep_alive",
                !at_least(*alive),
                alive,
                "10 ms at least, or `None`",
            ),
            ("stuck_after", short, &self.stuck_after, "10 ms at least"),
            ("hook_timeout", hook, &self.hook_timeout, "more than zero"),
            (
                "max_age",
                !at_least(age) || too_old,
                &self.max_age,
                "10 ms to ten years, or `None`",
            ),
            (
                "closing_grace",
                too_long(self.closing_grace),
                &self.closing_grace,
                "a day at the most",
            ),
            (
                "finish_within",
                too_long(self.finish_within),
                &self.finish_within,
                "a day at the most",
            ),
            (
                "head_after",
                too_long(self.head_after),
                &self.head_after,
                "a day at the most",
            ),
            (
                "presence_grace",
                self.presence_grace > DAY,
                &self.presence_grace,
                "a day at the most",
            ),
            (
                "connections.retry",
                retry > DAY,
                &self.connections.retry,
                "a day at the most",
            ),
        ]
    }

    /// Rejects settings with which presence would lose or repeat changes.
    fn of_presence(&self) -> [Row<'_>; 2] {
        // The key and data of a member, escaped, and the names of fields.
        const LARGEST_CHANGE: usize = 8 << 10;
        // A server that fails is replaced after its lease, and another one may publish its changes once more.
        const TAKEN_OVER: Duration = Duration::from_secs(60);
        let is_on = !self.presence.is_empty();
        [
            (
                "max_event_bytes",
                is_on && self.max_event_bytes < LARGEST_CHANGE,
                &self.max_event_bytes,
                "8 KiB at least with `presence`: events hold the data of members",
            ),
            (
                "keep_keys",
                is_on && self.keep_keys < TAKEN_OVER,
                &self.keep_keys,
                "a minute at least with `presence`: changes of members have keys",
            ),
        ]
    }

    fn bounds(&self) -> [Row<'_>; 9] {
        let prefix = &self.control_prefix;
        let wrong_prefix = prefix.is_empty() || prefix.contains(['\r', '\n', '\0']);
        let (backlog, rate) = (&self.backlog, &self.connections.per_second);
        let no_backlog = backlog.events == 0 || backlog.bytes == 0;
        let short = self.history_bytes < 2 * self.max_event_bytes as u64;
        let wrong_rate = rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0));
        let is_refusal = |status: StatusCode| status.is_client_error() || status.is_server_error();
        let answer = &self.connections.answer;
        let (all, each) = (&self.max_topics, &self.max_topics_per_connection);
        [
            (
                "control_prefix",
                wrong_prefix,
                prefix,
                "a text that is not empty and has no line break",
            ),
            (
                "backlog",
                no_backlog,
                backlog,
                "at least one event and one byte",
            ),
            (
                "max_event_bytes",
                self.max_event_bytes == 0,
                &self.max_event_bytes,
                "at least one byte",
            ),
            (
                "history_bytes",
                short,
                &self.history_bytes,
                "twice `max_event_bytes` at least: readers read from the history",
            ),
            (
                "max_members",
                self.max_members == 0,
                &self.max_members,
                "at least one member",
            ),
            ("max_topics", *all == 0, all, "at least one topic"),
            (
                "max_topics_per_connection",
                *each == 0,
                each,
                "at least one topic",
            ),
            (
                "connections.answer",
                matches!(answer, Overload::Status(status) if !is_refusal(*status)),
                answer,
                "a status from 400 to 599, or the event",
            ),
            (
                "connections.per_second",
                wrong_rate,
                rate,
                "a number above zero, or `None`",
            ),
        ]
    }
}

fn refuse(rows: &[Row<'_>]) -> Result<(), Error> {
    match rows.iter().find(|(_, wrong, ..)| *wrong) {
        Some((name, _, value, expected)) => Err(Error::Setting {
            name,
            value: format!("{value:?}"),
            expected,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_needs_room_for_its_events_and_time_for_their_keys() {
        let refused = |set: fn(&mut SseOptions)| {
            let mut options = SseOptions::default();
            set(&mut options);
            assert!(options.check().is_ok());
            options.presence = vec!["room".to_owned()];
            matches!(options.check(), Err(Error::Setting { .. }))
        };
        assert!(!refused(|_| {}));
        assert!(refused(|options| options.max_event_bytes = 4_096));
        assert!(refused(
            |options| options.keep_keys = Duration::from_secs(30)
        ));
    }
}
