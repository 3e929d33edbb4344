//! What one client has seen, and whether that is what it should have.

use std::collections::HashMap;
use std::time::Duration;

use helios::sse::EventId;

use crate::post::{EVERYONE, Mark, Post, Told};

/// What was promised and not kept.
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
    /// History should have reached back.
    Reset,
    /// Anything else that must not be.
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
    /// Nothing: it begins at any event.
    Nothing,
    /// Everything up to this id.
    UpTo(EventId),
    /// Everything that was published before this time.
    Before(u64),
    /// This many events.
    Count(u64),
}

/// Where a client goes on, and a time at which that was the newest event, or later ones were published only then.
#[derive(Clone, Copy, Debug)]
struct Position {
    id: EventId,
    at: u64,
}

/// One client's reading, across its connections.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    topics: HashMap<String, Seen>,
    /// When topics were left, on this connection.
    left: HashMap<String, u64>,
    position: Option<Position>,
    /// Where the running connection began.
    start: Option<Position>,
    /// When the running connection was asked for.
    asked_at: u64,
    /// Private events of this connection.
    told: u64,
    /// This connection was told of missing events.
    was_reset: bool,
}

impl Ledger {
    /// Forgets everything, and begins with these topics.
    pub(crate) fn begin_with(&mut self, topics: impl IntoIterator<Item = String>) {
        let topics = topics.into_iter().chain([EVERYONE.to_owned()]);
        *self = Self {
            topics: topics.map(|topic| (topic, Seen::Nothing)).collect(),
            ..Self::default()
        };
    }

    /// A connection is about to be asked for.
    pub(crate) fn asks(&mut self, now: u64) {
        self.asked_at = now;
        self.start = self.position;
        self.told = 0;
        self.was_reset = false;
        self.left.clear();
    }

    /// The topics to ask for.
    pub(crate) fn topics(&self) -> Vec<&str> {
        let topics = self.topics.keys().map(String::as_str);
        topics.filter(|topic| *topic != EVERYONE).collect()
    }

    /// Whether the topic was asked for, or left, on this connection.
    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic) || self.left.contains_key(topic)
    }

    /// The id to go on from.
    pub(crate) fn last_id(&self) -> Option<EventId> {
        self.position.map(|position| position.id)
    }

    /// The first event of a connection.
    pub(crate) fn ready(&mut self, id: EventId) -> Result<(), Fault> {
        match self.position {
            Some(position) if position.id != id => Err(other(format!(
                "was to go on from {}, but is ready at {id}",
                position.id
            ))),
            Some(_) => Ok(()),
            None => {
                let at = self.asked_at;
                self.position = Some(Position { id, at });
                self.topics
                    .values_mut()
                    .for_each(|seen| *seen = Seen::UpTo(id));
                Ok(())
            }
        }
    }

    /// The position behind a reset.
    pub(crate) fn ready_again(&mut self, id: EventId, now: u64) -> Result<(), Fault> {
        match self.position.replace(Position { id, at: now }) {
            Some(before) if !self.was_reset || before.id > id => Err(FaultKind::OutOfOrder
                .with(1, format!("is ready again at {id}, after {}", before.id))),
            _ => Ok(()),
        }
    }

    /// Events of these topics are missing. That must not be if the client is back within `retention`.
    pub(crate) fn reset(
        &mut self,
        topics: &[String],
        id: EventId,
        now: u64,
        retention: Duration,
    ) -> Result<(), Fault> {
        for topic in topics {
            if let Some(seen) = self.topics.get_mut(topic) {
                *seen = Seen::Nothing;
            }
        }
        self.was_reset = true;
        let Some(start) = self.start else {
            return Err(FaultKind::Reset.with(1, "there was nothing to go on from".to_owned()));
        };
        // Its time is not known, but that it is no earlier than this.
        let at = start.at;
        self.position = Some(Position { id, at });
        let age = Duration::from_micros(now.saturating_sub(start.at));
        match age < retention {
            true => Err(FaultKind::Reset.with(
                1,
                format!("{topics:?} do not reach back {age:?}, to {}", start.id),
            )),
            false => Ok(()),
        }
    }

    /// The server has taken the client into a topic before now.
    pub(crate) fn joined(&mut self, topic: String, now: u64) {
        self.topics.insert(topic, Seen::Before(now));
    }

    /// The server has taken the client out of a topic before now.
    pub(crate) fn left(&mut self, topic: &str, now: u64) {
        if let Some((topic, _)) = self.topics.remove_entry(topic) {
            self.left.insert(topic, now);
        }
    }

    /// An event of a topic, and the id with which it came.
    pub(crate) fn take(&mut self, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
        let Post { topic, n, .. } = post;
        let Some(seen) = self.topics.get_mut(*topic) else {
            return match self.left.get(*topic) {
                Some(left_at) if post.at <= *left_at => self.advance(post, id),
                Some(_) => Err(other(format!("{topic} {n} came after it was left"))),
                None => Err(other(format!("{topic} was not asked for"))),
            };
        };
        let before = std::mem::replace(seen, Seen::Count(*n));
        let checked = check(before, post, id);
        if checked
            .as_ref()
            .is_err_and(|fault| fault.kind == FaultKind::Duplicated)
        {
            *seen = before;
        }
        checked.and(self.advance(post, id))
    }

    /// Ids ascend.
    fn advance(&mut self, post: &Post<'_>, id: EventId) -> Result<(), Fault> {
        let before = self.position.replace(Position { id, at: post.at });
        match before {
            Some(before) if before.id < id => Ok(()),
            before => Err(FaultKind::OutOfOrder.with(
                1,
                format!(
                    "{} {} has the id {id}, after {before:?}",
                    post.topic, post.n
                ),
            )),
        }
    }

    /// An event for this client alone.
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

    /// Nothing is published any more: the client must have seen the last event of each of its topics.
    pub(crate) fn complete(&self, marks: &HashMap<String, Mark>) -> Vec<Fault> {
        let behind = self.topics.iter().filter_map(|(topic, seen)| {
            let last = marks.get(topic)?;
            let missing = match seen {
                Seen::Nothing => 0,
                Seen::UpTo(id) => u64::from(last.id > *id),
                Seen::Before(at) => u64::from(last.at > *at),
                Seen::Count(n) => last.n.saturating_sub(*n),
            };
            let detail = || format!("{topic} ends at {}, was seen up to {seen:?}", last.n);
            (missing > 0).then(|| FaultKind::Lost.with(missing, detail()))
        });
        behind.collect()
    }
}

/// Whether this is the event that follows what was seen of its topic.
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
        Seen::Count(count) if before.n > count => Err(lost(before.n - count)),
        Seen::UpTo(known) if id <= known => Err(again()),
        Seen::UpTo(known) if before.id > known => Err(lost(1)),
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
        let mut ledger = Ledger::default();
        ledger.begin_with(["a".to_owned()]);
        ledger.asks(5);
        ledger.ready(id(10)).unwrap();
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
        let soon = back().reset(&topics, id(10), 104, RETENTION);
        assert_eq!(kind(soon), Some((FaultKind::Reset, 1)));
        let mut ledger = back();
        assert_eq!(ledger.reset(&topics, id(10), 106, RETENTION), Ok(()));
        assert_eq!(ledger.take(&post(30, 120, (44, 90)), id(51)), Ok(()));
    }

    #[test]
    fn a_private_event_comes_in_its_turn_and_after_what_was_published_before_it() {
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
    fn what_was_left_may_come_only_if_it_was_under_way() {
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
}
