//! A record of the events that one client has received, and the check that they are the right ones.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use helios::sse::EventId;

use crate::post::{EVERYONE, Mark, Post, Told};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// How many events it concerns.
    pub(crate) events: u64,
    pub(crate) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    Lost,
    Duplicated,
    OutOfOrder,
    /// History should have reached back far enough.
    Reset,
    /// A topic has ended, but its reader has not learned of it.
    Hangs,
    /// Anything else that must not happen.
    Other,
}

impl FaultKind {
    fn with(self, events: u64, detail: String) -> Fault {
        Fault {
            kind: self,
            events,
            detail,
        }
    }
}

pub(crate) fn other(detail: impl Into<String>) -> Fault {
    FaultKind::Other.with(1, detail.into())
}

/// How far a topic was read.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Nothing yet. It begins at any event.
    Nothing,
    /// Everything up to this id.
    UpTo(EventId),
    /// Everything that was published before this time.
    Before(u64),
    /// This many events.
    Count(u64),
    /// A snapshot that has this many events. Some of them may still come.
    Snapshot(u64),
}

/// The position at which the topics of a client without an id begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the position that the server reports.
    #[default]
    Position,
    /// When they are joined. A topic that has ended begins before its last event, and so does the position.
    Now,
    /// With the earliest event in the history.
    Earliest,
    /// With a snapshot.
    Snapshot,
}

/// The position of a client. At time `at` the id was of the newest event, or later ones were published only after that.
#[derive(Clone, Copy, Debug)]
struct Position {
    id: EventId,
    at: u64,
}

/// The reading of one client, across its connections.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// How long a client may be away and miss nothing.
    retention: Duration,
    begins: Start,
    topics: HashMap<String, Seen>,
    /// Topics whose last event was seen.
    ended: HashSet<String>,
    /// Topics that still wait for a snapshot, before which no event may come.
    awaited: HashSet<String>,
    /// When topics were left, on this connection.
    left: HashMap<String, u64>,
    position: Option<Position>,
    /// The position at which the current connection began.
    start: Option<Position>,
    /// When the current connection was requested.
    asked_at: u64,
    /// Private events on this connection.
    told: u64,
    /// Whether this connection had a reset.
    was_reset: bool,
}

impl Ledger {
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.retention);
    }

    /// Forgets everything, and begins with these topics.
    pub(crate) fn begin_with(&mut self, topics: impl IntoIterator<Item = String>, begins: Start) {
        let topics = topics.into_iter().chain([EVERYONE.to_owned()]);
        *self = Self {
            begins,
            topics: topics.map(|topic| (topic, Seen::Nothing)).collect(),
            ..Self::new(self.retention)
        };
    }

    /// Records that a connection is about to be requested.
    pub(crate) fn asks(&mut self, now: u64) {
        self.asked_at = now;
        self.start = self.position;
        self.told = 0;
        self.was_reset = false;
        self.left.clear();
        if self.begins == Start::Snapshot && self.position.is_none() {
            self.awaited = self.topics.keys().cloned().collect();
        }
    }

    pub(crate) fn begins(&self) -> Start {
        self.begins
    }

    /// Returns the topics to subscribe to.
    pub(crate) fn topics(&self) -> Vec<&str> {
        let topics = self.topics.keys().map(String::as_str);
        topics.filter(|topic| *topic != EVERYONE).collect()
    }

    /// Returns whether the topic was joined or left on this connection.
    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic) || self.left.contains_key(topic)
    }

    /// Returns the id to resume from.
    pub(crate) fn last_id(&self) -> Option<EventId> {
        self.position.map(|position| position.id)
    }

    /// Records the first event of a connection, or the position in the head of a plain one.
    pub(crate) fn ready(&mut self, id: EventId, now: u64) -> Result<(), Fault> {
        match self.position {
            Some(position) if position.id != id => Err(other(format!(
                "was to go on from {}, but is ready at {id}",
                position.id
            ))),
            Some(_) => Ok(()),
            None => {
                let at = match self.begins {
                    Start::Position | Start::Snapshot => self.asked_at,
                    // The id may be old.
                    Start::Now | Start::Earliest => 0,
                };
                self.position = Some(Position { id, at });
                self.begin_at(id, now);
                self.has_snapshots()
            }
        }
    }

    /// Begins the topics that were joined before `now`. The earliest of them begins after this id.
    fn begin_at(&mut self, id: EventId, now: u64) {
        let is_alone = self.topics().len() == 1;
        let kept_since = now.saturating_sub(self.retention.as_micros() as u64);
        for (topic, seen) in &mut self.topics {
            *seen = match (self.begins, topic.as_str()) {
                (Start::Snapshot, _) => *seen,
                (Start::Position, _) => Seen::UpTo(id),
                (_, EVERYONE) => Seen::Before(now),
                (Start::Earliest, _) => Seen::Before(kept_since),
                (Start::Now, _) if is_alone => Seen::UpTo(id),
                (Start::Now, _) => Seen::Before(now),
            };
        }
    }

    /// Records a first event without a position, which means that a snapshot follows.
    pub(crate) fn ready_for_snapshot(&self) -> Result<(), Fault> {
        match (self.begins, self.position) {
            (Start::Snapshot, None) => Ok(()),
            _ => Err(other("is ready without a position")),
        }
    }

    /// Records a snapshot, which gives how many events the topic has had.
    pub(crate) fn take_snapshot(&mut self, topic: &str, count: u64) -> Result<(), Fault> {
        let was_awaited = self.awaited.remove(topic);
        match self.topics.get_mut(topic) {
            Some(seen) if was_awaited => {
                *seen = Seen::Snapshot(count);
                Ok(())
            }
            _ => Err(other(format!("a snapshot of {topic} for no reason"))),
        }
    }

    fn has_snapshots(&self) -> Result<(), Fault> {
        match self.awaited.is_empty() {
            true => Ok(()),
            false => Err(other(format!("was sent no snapshot of {:?}", self.awaited))),
        }
    }

    /// Records the position after a reset.
    pub(crate) fn ready_again(&mut self, id: EventId, now: u64) -> Result<(), Fault> {
        match self.position.replace(Position { id, at: now }) {
            Some(before) if !self.was_reset || is_after(before.id, id) => {
                Err(FaultKind::OutOfOrder
                    .with(1, format!("is ready again at {id}, after {}", before.id)))
            }
            _ => self.has_snapshots(),
        }
    }

    /// Records that events of these topics are missing. This is a fault if the client is back within the retention.
    pub(crate) fn reset(&mut self, topics: &[String], id: EventId, now: u64) -> Result<(), Fault> {
        for topic in topics {
            if let Some(seen) = self.topics.get_mut(topic) {
                *seen = Seen::Nothing;
            }
        }
        if self.begins == Start::Snapshot {
            self.awaited.extend(topics.iter().cloned());
        }
        self.was_reset = true;
        // The time of the id is not known, only that it is no earlier than this.
        let at = self.start.map_or(0, |start| start.at);
        self.position = Some(Position { id, at });
        self.may_be_reset(topics, now)
    }

    /// Records that the client of a plain stream has to begin anew.
    pub(crate) fn gone(&mut self, now: u64) -> Result<(), Fault> {
        let judged = self.may_be_reset(&self.topics(), now);
        self.forget();
        judged
    }

    fn may_be_reset(&self, topics: &(impl Debug + ?Sized), now: u64) -> Result<(), Fault> {
        let Some(start) = self.start else {
            return Err(FaultKind::Reset.with(1, "there was nothing to go on from".to_owned()));
        };
        let age = Duration::from_micros(now.saturating_sub(start.at));
        match age < self.retention {
            true => Err(FaultKind::Reset.with(
                1,
                format!("{topics:?} do not reach back {age:?}, to {}", start.id),
            )),
            false => Ok(()),
        }
    }

    /// Records that the server has joined the client to a topic before `now`.
    pub(crate) fn joined(&mut self, topic: String, now: u64) {
        self.topics.insert(topic, Seen::Before(now));
    }

    /// Records that the server has removed the client from a topic before `now`.
    pub(crate) fn left(&mut self, topic: &str, now: u64) {
        if let Some((topic, _)) = self.topics.remove_entry(topic) {
            self.left.insert(topic, now);
        }
    }

    /// Records an event of a topic, and the id with which it came.
    pub(crate) fn take(&mut self, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
        let Post { topic, n, .. } = post;
        if self.awaited.contains(*topic) {
            return Err(other(format!("{topic} {n} came before its snapshot")));
        }
        if self.ended.contains(*topic) {
            return Err(FaultKind::OutOfOrder.with(1, format!("{topic} {n} came after its end")));
        }
        let Some(seen) = self.topics.get_mut(*topic) else {
            return match self.left.get(*topic) {
                Some(left_at) if post.at <= *left_at => self.advance(post, id),
                Some(_) => Err(other(format!("{topic} {n} came after it was left"))),
                None => Err(other(format!("{topic} was not asked for"))),
            };
        };
        let before = std::mem::replace(seen, Seen::Count(*n));
        if matches!(before, Seen::Snapshot(count) if *n <= count) {
            *seen = before;
        }
        let checked = check(before, post, id);
        if checked
            .as_ref()
            .is_err_and(|fault| fault.kind == FaultKind::Duplicated)
        {
            *seen = before;
        }
        checked.and(self.advance(post, id))
    }

    /// Records the last event of a topic.
    pub(crate) fn take_last(&mut self, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
        let taken = self.take(post, id);
        self.ended.insert(post.topic.to_owned());
        taken
    }

    /// Returns whether the client has the last event of each topic.
    pub(crate) fn has_all(&self) -> bool {
        let topics = self.topics();
        !topics.is_empty() && topics.iter().all(|topic| self.ended.contains(*topic))
    }

    /// Checks the ledger when the server reports that no more events will come.
    pub(crate) fn over(&self) -> Vec<Fault> {
        let was_reset = |seen: &Seen| self.position.is_some() && matches!(seen, Seen::Nothing);
        let cut_short = self.topics.iter().filter(|(topic, seen)| {
            *topic != EVERYONE && !self.ended.contains(*topic) && !was_reset(seen)
        });
        let fault = |(topic, seen): (&String, &Seen)| {
            let detail = format!("{topic} is over without its last event, was seen up to {seen:?}");
            FaultKind::Lost.with(1, detail)
        };
        cut_short.map(fault).collect()
    }

    /// Returns the fault of a client that waits for an end that it should have received.
    pub(crate) fn hangs(&self) -> Fault {
        FaultKind::Hangs.with(1, format!("did not learn of the end of {:?}", self.topics))
    }

    /// Checks that ids ascend.
    fn advance(&mut self, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
        let before = self.position.replace(Position { id, at: post.at });
        match before {
            Some(before) if is_after(id, before.id) => Ok(()),
            before => Err(FaultKind::OutOfOrder.with(
                1,
                format!(
                    "{} {} has the id {id}, after {before:?}",
                    post.topic, post.n
                ),
            )),
        }
    }

    /// Records an event for this client alone.
    pub(crate) fn take_private(
        &mut self,
        told: Told<'_>,
        id: Option<EventId>,
    ) -> Result<(), Fault> {
        let expected = std::mem::replace(&mut self.told, told.k) + 1;
        if told.k > expected {
            let detail = format!("private event {} instead of {expected}", told.k);
            return Err(FaultKind::Lost.with(told.k - expected, detail));
        }
        if told.k < expected {
            let detail = format!("private event {} after {}", told.k, expected - 1);
            return Err(FaultKind::Duplicated.with(1, detail));
        }
        if let Some(Seen::Count(n)) = self.topics.get(told.topic)
            && *n < told.n
        {
            let detail = format!("a private event came before {} {}", told.topic, told.n);
            return Err(FaultKind::OutOfOrder.with(told.n - n, detail));
        }
        match id == self.last_id() {
            true => Ok(()),
            false => Err(other(format!("a private event with the id {id:?}"))),
        }
    }

    /// Checks, after the last publish, that the client has seen the last event of each of its topics.
    pub(crate) fn complete(&self, marks: &HashMap<String, Mark>) -> Vec<Fault> {
        let behind = self.topics.iter().filter_map(|(topic, seen)| {
            let last = marks.get(topic)?;
            let missing = match seen {
                Seen::Nothing => 0,
                Seen::UpTo(id) => u64::from(is_after(last.id, *id)),
                Seen::Before(at) => u64::from(last.at > *at),
                Seen::Count(n) | Seen::Snapshot(n) => last.n.saturating_sub(*n),
            };
            let detail = || format!("{topic} ends at {}, was seen up to {seen:?}", last.n);
            (missing > 0).then(|| FaultKind::Lost.with(missing, detail()))
        });
        behind.collect()
    }
}

/// Compares ids of one sequence. This server has only one in its life.
fn is_after(id: EventId, other: EventId) -> bool {
    id.is_after(other) == Some(true)
}

/// Checks that this event follows the last one seen of its topic.
fn check(seen: Seen, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
    let Post {
        topic, n, before, ..
    } = post;
    let lost = |events| {
        let detail = format!("{topic} {n} ({id}) after {seen:?}; the one before is {before:?}");
        FaultKind::Lost.with(events, detail)
    };
    let again = || FaultKind::Duplicated.with(1, format!("{topic} {n} ({id}) after {seen:?}"));
    match seen {
        Seen::Count(count) if *n <= count => Err(again()),
        Seen::Count(count) | Seen::Snapshot(count) if before.n > count => {
            Err(lost(before.n - count))
        }
        Seen::UpTo(known) if !is_after(id, known) => Err(again()),
        Seen::UpTo(known) if is_after(before.id, known) => Err(lost(1)),
        Seen::Before(at) if before.at > at => Err(lost(1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_micros(100);

    fn id(seq: u64) -> EventId {
        EventId::new(1, seq)
    }

    fn post(n: u64, at: u64, before: (u64, u64)) -> Post<'static> {
        let before = Mark {
            n: n - 1,
            id: id(before.0),
            at: before.1,
        };
        Post {
            topic: "a",
            n,
            at,
            before,
            padding: "",
        }
    }

    fn started() -> Ledger {
        let mut ledger = beginning(Start::Position);
        ledger.ready(id(10), 6).unwrap();
        ledger
    }

    fn beginning(start: Start) -> Ledger {
        let mut ledger = Ledger::new(RETENTION);
        ledger.begin_with(["a".to_owned()], start);
        ledger.asks(5);
        ledger
    }

    fn kind(result: Result<(), Fault>) -> Option<(FaultKind, u64)> {
        result.err().map(|fault| (fault.kind, fault.events))
    }

    #[test]
    fn each_event_follows_the_one_before_it() {
        let mut ledger = started();
        assert_eq!(ledger.take(&post(7, 20, (9, 4)), id(11)), Ok(()));
        assert_eq!(ledger.take(&post(8, 21, (11, 20)), id(14)), Ok(()));
        let skipped = ledger.take(&post(11, 24, (17, 23)), id(18));
        assert_eq!(kind(skipped), Some((FaultKind::Lost, 2)));
        let again = ledger.take(&post(11, 24, (17, 23)), id(18));
        assert_eq!(kind(again), Some((FaultKind::Duplicated, 1)));
        let back = ledger.take(&post(12, 25, (18, 24)), id(3));
        assert_eq!(kind(back), Some((FaultKind::OutOfOrder, 1)));
    }

    #[test]
    fn the_first_event_is_the_first_after_the_start() {
        let missed = started().take(&post(7, 20, (11, 19)), id(12));
        assert_eq!(kind(missed), Some((FaultKind::Lost, 1)));
        let old = started().take(&post(7, 2, (8, 1)), id(9));
        assert_eq!(kind(old), Some((FaultKind::Duplicated, 1)));
        let mut ledger = started();
        ledger.joined("b".to_owned(), 30);
        let late = Post {
            topic: "b",
            ..post(7, 40, (11, 31))
        };
        assert_eq!(kind(ledger.take(&late, id(12))), Some((FaultKind::Lost, 1)));
    }

    #[test]
    fn a_reset_is_for_who_was_away_too_long() {
        let topics = ["a".to_owned()];
        let back = || {
            let mut ledger = started();
            ledger.asks(103);
            ledger
        };
        let soon = back().reset(&topics, id(10), 104);
        assert_eq!(kind(soon), Some((FaultKind::Reset, 1)));
        let mut ledger = back();
        assert_eq!(ledger.reset(&topics, id(10), 106), Ok(()));
        assert_eq!(ledger.take(&post(30, 120, (44, 90)), id(51)), Ok(()));
    }

    #[test]
    fn a_private_event_follows_all_that_was_published_before_it() {
        let told = |k, n| Told { k, topic: "a", n };
        let mut ledger = started();
        ledger.take(&post(7, 20, (9, 4)), id(11)).unwrap();
        assert_eq!(ledger.take_private(told(1, 7), Some(id(11))), Ok(()));
        let early = ledger.take_private(told(2, 8), Some(id(11)));
        assert_eq!(kind(early), Some((FaultKind::OutOfOrder, 1)));
        let skipped = ledger.take_private(told(4, 7), Some(id(11)));
        assert_eq!(kind(skipped), Some((FaultKind::Lost, 1)));
    }

    #[test]
    fn events_of_a_left_topic_come_only_if_under_way() {
        let mut ledger = started();
        ledger.left("a", 30);
        assert_eq!(ledger.take(&post(7, 30, (9, 4)), id(11)), Ok(()));
        let later = ledger.take(&post(8, 31, (11, 30)), id(12));
        assert_eq!(kind(later), Some((FaultKind::Other, 1)));
    }

    #[test]
    fn the_end_of_each_topic_must_have_been_seen() {
        let mark = |n, seq| Mark {
            n,
            id: id(seq),
            at: 20,
        };
        let missing = |ledger: &Ledger, mark| {
            let faults = ledger.complete(&HashMap::from([("a".to_owned(), mark)]));
            faults.iter().map(|fault| fault.events).sum::<u64>()
        };
        let mut ledger = started();
        assert_eq!(missing(&ledger, mark(6, 9)), 0);
        assert_eq!(missing(&ledger, mark(7, 11)), 1);
        ledger.take(&post(7, 20, (9, 4)), id(11)).unwrap();
        assert_eq!(missing(&ledger, mark(9, 13)), 2);
    }

    #[test]
    fn a_plain_client_begins_anew_only_after_a_long_absence() {
        let back = || {
            let mut ledger = started();
            ledger.asks(103);
            ledger
        };
        assert_eq!(kind(back().gone(104)), Some((FaultKind::Reset, 1)));
        let mut ledger = back();
        assert_eq!(ledger.gone(106), Ok(()));
        assert_eq!((ledger.last_id(), ledger.topics().len()), (None, 0));
        let new = kind(beginning(Start::Position).gone(500));
        assert_eq!(new, Some((FaultKind::Reset, 1)));
    }

    #[test]
    fn the_end_of_a_topic_comes_behind_its_last_event() {
        let mut ledger = started();
        assert_eq!(ledger.over().len(), 1);
        assert!(!ledger.has_all());
        assert_eq!(ledger.take_last(&post(7, 20, (9, 4)), id(11)), Ok(()));
        assert!(ledger.over().is_empty() && ledger.has_all());
        let more = ledger.take(&post(8, 21, (11, 20)), id(12));
        assert_eq!(kind(more), Some((FaultKind::OutOfOrder, 1)));
        let skipped = started().take_last(&post(8, 21, (11, 20)), id(12));
        assert_eq!(kind(skipped), Some((FaultKind::Lost, 1)));
    }

    #[test]
    fn a_topic_may_lack_its_last_event_after_a_reset() {
        let mut ledger = started();
        ledger.asks(103);
        ledger.reset(&["a".to_owned()], id(10), 106).unwrap();
        assert!(ledger.over().is_empty());
        assert_eq!(beginning(Start::Now).over().len(), 1);
    }

    #[test]
    fn a_client_that_asks_for_the_earliest_gets_everything() {
        let begun = || {
            let mut ledger = beginning(Start::Earliest);
            ledger.ready(id(3), 150).unwrap();
            ledger
        };
        let whole = begun().take(&post(7, 60, (4, 50)), id(5));
        assert_eq!(whole, Ok(()));
        let late = begun().take(&post(8, 70, (5, 60)), id(6));
        assert_eq!(kind(late), Some((FaultKind::Lost, 1)));
        let broadcast = Post {
            topic: EVERYONE,
            ..post(8, 160, (20, 149))
        };
        assert_eq!(begun().take(&broadcast, id(21)), Ok(()));
    }

    #[test]
    fn a_job_has_no_holes_after_the_position() {
        let begun = || {
            let mut ledger = beginning(Start::Now);
            ledger.ready(id(10), 150).unwrap();
            ledger
        };
        assert_eq!(begun().take(&post(8, 151, (10, 60)), id(11)), Ok(()));
        let missed = begun().take(&post(8, 151, (11, 149)), id(12));
        assert_eq!(kind(missed), Some((FaultKind::Lost, 1)));
    }

    #[test]
    fn a_snapshot_comes_first_and_events_follow_without_holes() {
        let mut ledger = beginning(Start::Snapshot);
        assert_eq!(ledger.ready_for_snapshot(), Ok(()));
        let early = ledger.take(&post(6, 20, (9, 4)), id(11));
        assert_eq!(kind(early), Some((FaultKind::Other, 1)));
        assert_eq!(ledger.take_snapshot("a", 7), Ok(()));
        assert!(ledger.take_snapshot("a", 7).is_err());
        assert!(ledger.ready(id(10), 6).is_err(), "broadcasts are missing");

        let mut ledger = snapshot_of(7);
        assert_eq!(ledger.take(&post(7, 20, (9, 4)), id(11)), Ok(()));
        assert_eq!(ledger.take(&post(8, 21, (11, 20)), id(14)), Ok(()));
        let again = ledger.take(&post(8, 21, (11, 20)), id(14));
        assert_eq!(kind(again), Some((FaultKind::Duplicated, 1)));
        let hole = snapshot_of(7).take(&post(9, 22, (14, 21)), id(15));
        assert_eq!(kind(hole), Some((FaultKind::Lost, 1)));
    }

    fn snapshot_of(count: u64) -> Ledger {
        let mut ledger = beginning(Start::Snapshot);
        ledger.take_snapshot("a", count).unwrap();
        ledger.take_snapshot(EVERYONE, 0).unwrap();
        ledger.ready(id(10), 6).unwrap();
        ledger
    }

    #[test]
    fn a_cut_before_the_position_requires_a_new_snapshot() {
        let mut ledger = beginning(Start::Snapshot);
        ledger.take_snapshot("a", 7).unwrap();
        ledger.take_snapshot(EVERYONE, 0).unwrap();
        ledger.asks(7);
        let without = ledger.ready(id(10), 8);
        assert_eq!(kind(without), Some((FaultKind::Other, 1)));
        assert!(snapshot_of(7).ready_for_snapshot().is_err());
    }

    #[test]
    fn a_reset_brings_a_snapshot_of_what_is_missing() {
        let reset = || {
            let mut ledger = snapshot_of(7);
            ledger.asks(200);
            ledger.ready(id(10), 201).unwrap();
            ledger.reset(&["a".to_owned()], id(10), 202).unwrap();
            ledger
        };
        let without = reset().ready_again(id(50), 203);
        assert_eq!(kind(without), Some((FaultKind::Other, 1)));
        let mut cut = reset();
        cut.asks(204);
        cut.ready(id(10), 205).unwrap();
        let resumed = cut.take(&post(30, 200, (44, 190)), id(51));
        assert_eq!(kind(resumed), Some((FaultKind::Other, 1)));
        let mut ledger = reset();
        ledger.take_snapshot("a", 29).unwrap();
        assert_eq!(ledger.take(&post(30, 200, (44, 190)), id(51)), Ok(()));
        assert_eq!(ledger.ready_again(id(51), 203), Ok(()));
    }
}
