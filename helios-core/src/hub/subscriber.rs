//! One reader of several topics: what it has yet to see, and in which order.
//!
//! # Why the topics can be merged by number, up to the head
//!
//! 1. A publisher takes its event's number, raises the head to it and pushes the event under one hold of its topic's lock.
//! 2. A reader loads the head first, and takes the lock of each topic after that. Every number up to that head was taken under
//!    a lock that its publisher held before. So each ring, when the reader looks at it, has all its events up to that head.
//! 3. Among what the topics hold up to the head, the event with the least number is the next of all: none before it can turn
//!    up. Taking the least number again and again gives the order of the hub's one sequence.
//! 4. A ring may hold events above that head already. They stay: a topic that was looked at before may meanwhile have got one
//!    with a lesser number. The head is loaded anew for them.
//! 5. A private event is stamped with the head of when it was sent, and comes behind everything up to its stamp.
//! 6. Events of one topic are taken in batches, as far as no other topic and no private event comes between.
//!
//! With a backplane a topic may have to catch up. Nothing of any topic is read beyond the point up to which that one is
//! complete (`readable_to`). A ring of another epoch is complete up to nothing (see `ring`). An event that comes late all the same, below what has been read, is written without an id.
//!
//! # What is written as an id
//!
//! 1. The position is the number up to which everything has been written, for every topic that the client is in.
//! 2. It only grows. What comes from below it, a late event or a replay that was asked for late, is written without an id.
//! 3. An event that tells the client a position waits until everything up to it has been written, and is dropped if an end
//!    comes first.
//!
//! # How a client resumes
//!
//! 1. It brings the last id that it was told, and everything up to it has been written or has been told to be missing. The
//!    hub compares the id's epoch with its own: in another epoch the number means nothing here, and the client is reset.
//! 2. In each topic it goes on behind that number ([`Ring::after`](super::Ring::after)). A topic whose history does not reach
//!    back there begins at its join, and the client is told that it misses something of that topic alone.
//! 3. It may be ahead of this server, if it comes from another one. Then its cursor is at the tail, and what it has seen
//!    elsewhere is passed over when it arrives (`seen`).
//! 4. A client without an id begins where each topic was asked to begin, or at its first join. Its position is the earliest of
//!    these, so its next connection is given too much of some topic rather than too little.

use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::entry::Backlog;
use super::frame::Frame;
use super::limits::BacklogLimits;
use super::outbox::{Outbox, QueuedKind};
use super::ring::Overtaken;
use super::subscription::{Reader, Subscription, TopicRing};
use crate::sse::{ClientId, ResetReason};

/// Says where a client begins, and what it has to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The number after which it reads on.
    pub position: u64,
    /// The topics, by index, that do not begin where they should, and why.
    pub missed: Vec<(usize, ResetReason)>,
}

/// A subscriber: a cursor into each of its topics, and the queue of what is sent to it alone.
///
/// It reads in the order of the hub's one sequence. A private event was stamped with the hub's head when it
/// was sent, and comes after everything up to that.
#[derive(Debug)]
pub struct Subscriber<T> {
    id: ClientId,
    /// Most readers have one topic beside the one that everybody is in.
    subscriptions: SmallVec<[Subscription<T>; 2]>,
    /// The events that are sent to this client alone.
    pub outbox: Outbox,
    /// That of all its numbers.
    epoch: u64,
    /// The number up to which everything has been written.
    position: u64,
    /// That number when it began, or went over to its epoch.
    began_at: u64,
    /// Whether the client has been told a position since.
    has_told: bool,
    /// Whether events are written with the hub's ids.
    with_ids: bool,
    /// Nothing above this number is read for now: a reset has to be told first.
    paused_at: Option<u64>,
    /// Nothing above this number is read any more.
    end: Option<u64>,
    /// Everything up to the end is written before it, however long a pause or a topic that is catching up holds that back.
    is_complete: bool,
}

impl<T: TopicRing> Subscriber<T> {
    /// A subscriber of nothing.
    #[must_use]
    pub fn new(id: ClientId, limits: BacklogLimits) -> Self {
        Self {
            id,
            subscriptions: SmallVec::new(),
            outbox: Outbox::new(limits),
            epoch: 0,
            position: 0,
            began_at: 0,
            has_told: false,
            with_ids: false,
            paused_at: None,
            end: None,
            is_complete: false,
        }
    }

    /// Returns the id of the client that reads.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Returns the epoch of its numbers.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Goes over to another epoch, in which it has read nothing.
    ///
    /// All numbers of before mean nothing now, and 0 takes their place, as every number that is published is above it. Private
    /// events are kept in their order, and come before everything that is published. A pause lasts until [`Subscriber::unpause`].
    /// An end is one before everything that is published: what is missing before it, the caller has to see to.
    pub fn go_over(&mut self, epoch: u64) {
        self.epoch = epoch;
        (self.position, self.began_at, self.has_told) = (0, 0, false);
        self.paused_at = self.paused_at.map(|_| 0);
        self.end = self.end.map(|_| 0);
        self.outbox.stamp_all(0);
        self.subscriptions
            .iter_mut()
            .for_each(Subscription::restart);
    }

    /// Whether the client has been written an id behind the beginning: that of a position, or of an event.
    #[must_use]
    pub fn has_told(&self) -> bool {
        self.has_told || self.position > self.began_at
    }

    /// Joins a topic. Its events that are older than what was written before come without their ids.
    pub fn join(&mut self, subscription: Subscription<T>) {
        self.subscriptions.push(subscription);
    }

    /// Leaves the first topic of which `is` is true.
    pub fn leave(&mut self, is: impl Fn(&T) -> bool) -> Option<T> {
        let mut subscriptions = self.subscriptions.iter();
        let index = subscriptions.position(|subscription| is(&subscription.topic))?;
        Some(self.subscriptions.remove(index).topic)
    }

    /// Leaves all topics.
    pub fn leave_all(&mut self) -> impl Iterator<Item = T> {
        let subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions
            .into_iter()
            .map(|subscription| subscription.topic)
    }

    /// Returns the subscriptions, to be changed.
    pub fn subscriptions(&mut self) -> &mut [Subscription<T>] {
        &mut self.subscriptions
    }

    /// Returns the topics, in the order in which they were joined.
    pub fn topics(&self) -> impl Iterator<Item = &T> {
        self.subscriptions
            .iter()
            .map(|subscription| &subscription.topic)
    }

    /// Writes events with the hub's ids from here on.
    pub fn use_ids_from(&mut self, position: u64) {
        self.with_ids = true;
        self.position = self.position.max(position);
    }

    /// Whether events are written with the hub's ids.
    #[must_use]
    pub fn uses_ids(&self) -> bool {
        self.with_ids
    }

    /// Returns the hub's head when the first of its topics was joined.
    #[must_use]
    pub fn first_join(&self) -> Option<u64> {
        let joins = self.subscriptions.iter().map(|topic| topic.joined_at);
        joins.min()
    }

    /// Starts to write events with the hub's ids. It is called once, before anything has been written.
    ///
    /// A client that has everything up to the number `last` goes on from there in all topics. For any other, each topic
    /// begins where it was asked to, or at the first join, and not behind the last event of a finished one. The live
    /// beginnings of one client are one, so that nothing between two joins is skipped. Its position is the earliest of these,
    /// since its next connection goes on from it in all topics alike: that may give it more of some topics, and never less.
    pub fn start(&mut self, last: Option<u64>) -> Start {
        let live = self.first_join().unwrap_or_default();
        let begins = self.subscriptions.iter();
        let begins = begins.map(|topic| topic.begins_after(live));
        let earliest = begins.fold(live, u64::min);
        let position = last.unwrap_or(earliest);
        self.use_ids_from(position);
        self.began_at = self.position;
        let mut missed = Vec::new();
        for (index, topic) in self.subscriptions.iter_mut().enumerate() {
            let reason = match last {
                Some(seq) if topic.resume_after(seq) => None,
                Some(_) => Some(ResetReason::Expired),
                None => topic.begin(live),
            };
            missed.extend(reason.map(|reason| (index, reason)));
        }
        Start { position, missed }
    }

    /// Returns the number up to which everything has been written. All that is still to be read is above it, but for what
    /// comes late.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads nothing above the number `seq` until [`Subscriber::unpause`].
    pub fn pause_at(&mut self, seq: u64) {
        self.paused_at = Some(seq);
    }

    /// Returns the number above which nothing is read for now.
    #[must_use]
    pub fn paused_at(&self) -> Option<u64> {
        self.paused_at
    }

    /// Goes on to read.
    pub fn unpause(&mut self) {
        self.paused_at = None;
    }

    /// Whether a topic holds an event above this `head`, with which it was gathered last: that topic wakes the reader for
    /// what comes behind the event, and not for the event.
    #[must_use]
    pub fn has_seen_beyond(&self, head: u64) -> bool {
        let mut next = self.subscriptions.iter().filter_map(|topic| topic.next);
        next.any(|seq| seq > head)
    }

    /// Whether there is nothing left to be read: whatever comes next wakes the reader, or is private.
    #[must_use]
    pub fn has_read_all(&self) -> bool {
        self.outbox.is_empty() && self.subscriptions.iter().all(Subscription::is_read)
    }

    /// Whether there are topics of which `counts` is true, and all of these are finished and read. That does not change any
    /// more, unless another one is joined or a topic loses what was read.
    #[must_use]
    pub fn has_finished(&self, counts: impl Fn(&T) -> bool) -> bool {
        // Most topics are not finished: the names of few are looked at.
        let is_over = |subscription: &Subscription<T>| subscription.is_over();
        if self.paused_at.is_some() || !self.subscriptions.iter().any(is_over) {
            return false;
        }
        let mut counted = self
            .subscriptions
            .iter()
            .filter(|joined| counts(&joined.topic));
        counted.all(is_over) && self.topics().any(counts)
    }

    /// Whether there are topics of which `counts` is true, and all of these are finished with no event behind the number
    /// `seq`: a client that has everything up to there has all that there will ever be. It looks at the topics themselves, so it may be
    /// asked before anything is read.
    #[must_use]
    pub fn finished_by(&self, seq: u64, counts: impl Fn(&T) -> bool) -> bool {
        let mut counted = self.topics().filter(|topic| counts(topic)).peekable();
        let is_finished = |topic: &T| topic.with(|ring| ring.is_finished_by(seq));
        counted.peek().is_some() && counted.all(is_finished)
    }

    /// Whether something keeps it from reading on: a pause, or a topic that is catching up.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let catching_up = |topic: &T| topic.with(|ring| ring.readable_to()) < u64::MAX;
        self.paused_at.is_some() || self.topics().any(catching_up)
    }

    /// Ends reading behind everything up to the hub's `head` of now. What tells of this end is a position.
    pub fn complete_at(&mut self, head: u64) {
        let end = *self.end.get_or_insert(head);
        self.is_complete = true;
        self.outbox.drop_positions(|after| after > end);
    }

    /// Whether something that is to be written before the end is still held back.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.is_complete && self.is_blocked()
    }

    /// Ends reading at the hub's `head` of now, or at a pause. The first end counts.
    pub fn end_at(&mut self, head: u64) {
        let paused_at = self.paused_at.take();
        let end = *self
            .end
            .get_or_insert(head.min(paused_at.unwrap_or(u64::MAX)));
        match paused_at {
            // The event for which it was paused has not come.
            Some(_) => self.outbox.drop_positions(|_| true),
            None => self.outbox.drop_positions(|after| after > end),
        }
    }

    /// Leaves all topics before everything has been read. The client's next connection goes on from the last id that was
    /// written.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> {
        let (position, paused) = (self.position, self.paused_at.is_some());
        self.outbox
            .drop_positions(|after| paused || after > position);
        self.leave_all()
    }

    /// Lets another task read from now on. No topic knows its waker yet.
    pub fn wait_anew(&mut self) {
        for subscription in &mut self.subscriptions {
            subscription.moved = true;
        }
    }

    /// Moves what is to be read into `frame`, in order, as far as there is room. `head` is the hub's, loaded before this is
    /// called. The `waker` is woken by the next change of a topic in which nothing is left up to that `head`; events above
    /// it may be there already.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if a ring has dropped events that its cursor had not reached; then [`Subscriber::skip_ahead`].
    pub fn gather(&mut self, head: u64, waker: &Waker, frame: &mut Frame) -> Result<(), Overtaken> {
        if let Some(index) = self.only_changed()
            && !self.take(index, (self.bound(head), head), waker, frame)?
        {
            return Ok(());
        }
        let upto = self.look_ahead(head, waker)?;
        self.outbox.close_batch();
        loop {
            let (index, public) = self.earliest(upto);
            let private = self.outbox.peek();
            match (public, private.map(|(after, _)| after)) {
                (Some(seq), after) if after.is_none_or(|after| seq <= after) => {
                    let others = self.earliest_but(index, upto);
                    let limit = upto.min(others).min(after.unwrap_or(u64::MAX));
                    if !self.take(index, (limit, head), waker, frame)? {
                        return Ok(());
                    }
                }
                (_, Some(after)) if self.may_take(private, upto) => {
                    if !self.outbox.take_into(frame) {
                        return Ok(());
                    }
                    // It may have told the client so.
                    self.position = self.position.max(after.min(upto));
                    self.has_told |= private.is_some_and(|(_, kind)| kind == QueuedKind::Position);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Whether the next private event is due: everything before it has been read, or never will be. A position is not due
    /// during a pause, as what comes behind the pause is not written yet, nor before what is missing.
    fn may_take(&self, private: Option<(u64, QueuedKind)>, upto: u64) -> bool {
        private.is_some_and(|(after, kind)| match kind {
            QueuedKind::Position => after <= upto && self.paused_at.is_none(),
            _ => after <= upto || self.end.is_some() && !self.is_complete,
        })
    }

    /// Returns the topic that has changed, if it is the only one and the outbox is empty. Nothing has to be put in order with
    /// it then, so it is read at the first look, and locked once instead of twice.
    fn only_changed(&self) -> Option<usize> {
        if !self.outbox.is_empty() {
            return None;
        }
        let topics = self.subscriptions.iter().enumerate();
        let mut changed = topics.filter(|(_, topic)| !topic.is_read());
        let (index, _) = changed.next()?;
        changed.next().is_none().then_some(index)
    }

    /// Returns the number up to which may be read, whatever the topics say.
    fn bound(&self, head: u64) -> u64 {
        head.min(self.paused_at.unwrap_or(u64::MAX))
            .min(self.end.unwrap_or(u64::MAX))
    }

    /// Looks up what comes next in each topic, and returns the number up to which may be read.
    fn look_ahead(&mut self, head: u64, waker: &Waker) -> Result<u64, Overtaken> {
        let mut upto = self.bound(head);
        for subscription in &mut self.subscriptions {
            subscription.look(self.epoch, head, waker)?;
            upto = upto.min(subscription.readable_to);
        }
        Ok(upto)
    }

    /// Returns the topic whose next event is the earliest, and the number of that event.
    fn earliest(&self, upto: u64) -> (usize, Option<u64>) {
        let next = |(index, topic): (usize, &Subscription<T>)| Some((topic.next?, index));
        let all = self.subscriptions.iter().enumerate().filter_map(next);
        match all.min().filter(|(seq, _)| *seq <= upto) {
            Some((seq, index)) => (index, Some(seq)),
            None => (0, None),
        }
    }

    /// Returns the number of the earliest event in the other topics.
    fn earliest_but(&self, index: usize, upto: u64) -> u64 {
        let others = self.subscriptions.iter().enumerate();
        let others = others.filter(|(other, _)| *other != index);
        let next = others.filter_map(|(_, topic)| topic.next).min();
        next.unwrap_or(upto)
    }

    /// Takes events of one topic up to the number `limit`. Returns false if the frame is full.
    fn take(
        &mut self,
        index: usize,
        (limit, head): (u64, u64),
        waker: &Waker,
        frame: &mut Frame,
    ) -> Result<bool, Overtaken> {
        let reader = Reader {
            id: self.id,
            epoch: self.epoch,
            with_ids: self.with_ids,
            head,
            limit,
            waker,
        };
        match self.subscriptions.get_mut(index) {
            Some(subscription) => subscription.take(reader, &mut self.position, frame),
            None => Ok(false),
        }
    }

    /// Skips what is oldest, so that at most `keep` is left of all topics together, and what is gone already. Topics that are
    /// behind have equal shares. Returns the indices of the topics that lose something.
    pub fn skip_ahead(&mut self, keep: Backlog) -> Vec<usize> {
        let behind = |subscription: &&Subscription<T>| {
            subscription
                .topic
                .with(|ring| ring.backlog(subscription.cursor).events > 0)
        };
        let topics = self.subscriptions.iter().filter(behind).count().max(1) as u64;
        let keep = Backlog {
            events: keep.events / topics,
            bytes: keep.bytes / topics,
        };
        let mut moved = Vec::new();
        for (index, subscription) in self.subscriptions.iter_mut().enumerate() {
            let seen = subscription.resumed.then_some(subscription.seen);
            let cursor = &mut subscription.cursor;
            let skips = subscription.topic.with(|ring| {
                let skips = ring.skip_to_newest(cursor, keep);
                seen.is_some_and(|seen| ring.skip_uncertain(cursor, seen)) || skips
            });
            if skips {
                subscription.moved = true;
                moved.push(index);
            }
        }
        moved
    }

    /// Returns how far it is behind, in its topics and its outbox together.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let mut backlog = Backlog {
            events: self.outbox.len() as u64,
            bytes: self.outbox.bytes() as u64,
        };
        for subscription in &self.subscriptions {
            let behind = subscription
                .topic
                .with(|ring| ring.backlog(subscription.cursor));
            backlog.events += behind.events;
            backlog.bytes += behind.bytes;
        }
        backlog
    }

    /// Queues a control event, past the limits of the outbox.
    pub fn push_control(&mut self, after: u64, bytes: Bytes) {
        self.outbox.insert(after, QueuedKind::Control, bytes);
    }

    /// Queues control events before everything else, in this order.
    pub fn push_control_first(&mut self, events: Vec<Bytes>) {
        self.outbox.insert_first(events);
    }

    /// Queues a control event that gives the client a position. It is written behind everything up to `after`.
    pub fn push_position(&mut self, after: u64, bytes: Bytes) {
        self.outbox.insert(after, QueuedKind::Position, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::event::SseEvent;
    use crate::hub::{HistoryLimits, Ring, UnnumberedEvent, Unread};

    /// Of one reader, which waits or does not.
    #[derive(Clone)]
    struct Topic(Rc<RefCell<Ring>>, Rc<Cell<bool>>);

    impl TopicRing for Topic {
        fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R {
            look(&mut self.0.borrow_mut())
        }

        fn read_or_wait(
            &mut self,
            _: &Waker,
            read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
        ) -> Result<Unread, Overtaken> {
            let left = self.with(read)?;
            self.1.set(left == Unread::Nothing);
            Ok(left)
        }

        fn is_waited_for(&self) -> bool {
            self.1.get()
        }
    }

    impl Topic {
        fn new() -> Self {
            let ring = Ring::new(HistoryLimits::default(), 0);
            Self(Rc::new(RefCell::new(ring)), Rc::default())
        }

        fn arrive(&self, seq: u64) {
            let event =
                UnnumberedEvent::new(&SseEvent::default().retry(Duration::from_millis(seq)));
            let event = event.unwrap().with_id(&seq.to_string());
            self.1.set(false);
            self.with(|ring| ring.push(seq, event, None, Duration::ZERO));
        }
    }

    fn reader(topic: &Topic, head: u64, last: Option<u64>) -> Subscriber<Topic> {
        let id = ClientId::from_random_bytes([1; 16]);
        let mut reader = Subscriber::new(id, BacklogLimits::default());
        reader.join(Subscription::new(topic.clone(), || head));
        reader.start(last);
        reader
    }

    fn events(reader: &mut Subscriber<Topic>, head: u64) -> Result<u64, Overtaken> {
        let mut frame = Frame::default();
        reader.gather(head, Waker::noop(), &mut frame)?;
        Ok(frame.events())
    }

    #[test]
    fn a_client_that_is_ahead_of_its_server_is_not_given_again_what_it_has_seen() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, Some(5));
        for seq in [3, 5, 6] {
            topic.arrive(seq);
        }
        assert_eq!(events(&mut reader, 6), Ok(1));
    }

    #[test]
    fn a_reader_is_through_when_all_topics_that_count_are_finished_and_read() {
        let (first, second) = (Topic::new(), Topic::new());
        let mut reader = reader(&first, 0, None);
        reader.join(Subscription::new(second.clone(), || 0));
        let is_first = |topic: &Topic| Rc::ptr_eq(&topic.0, &first.0);
        first.arrive(1);
        first.1.set(false);
        first.with(|ring| ring.finish(2, None, Duration::ZERO));
        assert!(!reader.has_finished(is_first), "it has not looked yet");
        assert_eq!(events(&mut reader, 0), Ok(0));
        assert!(!reader.has_finished(is_first), "it is owed an event");
        assert_eq!(events(&mut reader, 2), Ok(1));
        assert!(reader.has_finished(is_first));
        assert!(!reader.has_finished(|_| true) && !reader.has_finished(|_| false));
        let by = |seq| reader.finished_by(seq, is_first);
        assert_eq!((by(0), by(1)), (false, true), "the mark is no event");
        assert!(!reader.finished_by(2, |_| true) && !reader.finished_by(2, |_| false));
    }

    #[test]
    fn an_event_above_the_head_is_known_to_be_there_until_it_has_been_read() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, None);
        topic.arrive(3);
        assert_eq!(events(&mut reader, 2), Ok(0));
        assert!(reader.has_seen_beyond(2) && !reader.has_read_all());
        assert_eq!(events(&mut reader, 3), Ok(1));
        assert!(!reader.has_seen_beyond(3) && reader.has_read_all());
    }

    #[test]
    fn nothing_is_missing_behind_the_position_at_which_a_fresh_client_begins() {
        let (first, second) = (Topic::new(), Topic::new());
        let mut reader = Subscriber::new(
            ClientId::from_random_bytes([1; 16]),
            BacklogLimits::default(),
        );
        second.arrive(1);
        reader.join(Subscription::new(first, || 1));
        second.arrive(2);
        reader.join(Subscription::new(second, || 2));
        let start = reader.start(None);
        assert_eq!((start.position, start.missed.len()), (1, 0));
        assert_eq!(events(&mut reader, 2), Ok(1));
    }

    #[test]
    fn what_is_late_for_a_fresh_client_was_published_before_it_came() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 5, None);
        topic.with(|ring| ring.mark_uncertain(3, 6));
        for seq in [3, 6] {
            topic.arrive(seq);
        }
        assert_eq!(events(&mut reader, 6), Ok(1));
    }

    #[test]
    fn who_may_have_missed_a_late_event_is_told_and_goes_on() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 5, Some(5));
        topic.with(|ring| ring.mark_uncertain(3, 6));
        for seq in [3, 6] {
            topic.arrive(seq);
        }
        assert_eq!(
            events(&mut reader, 6),
            Err(Overtaken {
                missed: 1,
                lost: true
            })
        );
        let everything = Backlog {
            events: u64::MAX,
            bytes: u64::MAX,
        };
        assert_eq!(reader.skip_ahead(everything), [0]);

        assert_eq!(events(&mut reader, 6), Ok(1));
    }

    #[test]
    fn an_id_never_goes_back_behind_a_position_that_was_told() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, None);
        reader.push_position(9, Bytes::from_static(b"event: ready\nid: 9\n\n"));
        assert_eq!(events(&mut reader, 9), Ok(1));
        topic.arrive(7);
        let mut frame = Frame::default();
        reader.gather(9, Waker::noop(), &mut frame).unwrap();
        assert_eq!(frame.into_bytes(), "retry: 7\n\n");
    }
}
