//! A reader of several topics: which events it has yet to see, and in which order.
//!
//! # Why the topics can be merged by number, up to the head
//!
//! 1. A publisher takes its event's number, raises the head to it and pushes the event under one hold of its topic's
//!    lock.
//! 2. A reader loads the head first, and takes the lock of each topic after that. Every number up to that head was
//!    taken under a lock that its publisher held before. So when the reader looks at a ring, the ring has all its
//!    events up to that head.
//! 3. Among the topics' events up to the head, the one with the least number is next, because no earlier event can
//!    appear. Taking the least number repeatedly gives the order of the hub's one sequence.
//! 4. A ring may already hold events above that head. They stay, because a topic that was looked at before may since
//!    have received an event with a lesser number. The head is loaded anew for them.
//! 5. A private event is stamped with the head at the time when it was sent, and comes behind everything up to its
//!    stamp.
//! 6. Events of one topic are taken in batches, as far as no other topic and no private event comes between.
//!
//! With a backplane a topic may have to catch up. No topic is read beyond the point up to which that one is complete
//! (`readable_to`). In a ring of another epoch, nothing counts as complete (see `ring`). An event that is late all the
//! same, below what has been read, is written without an id.
//!
//! # Which ids are written
//!
//! 1. The position is the number up to which everything has been written, for every topic that the client is in.
//! 2. It only grows. A late event, or a replay requested late, can have events below it. These are written without an
//!    id.
//! 3. An event that gives the client a position waits until everything up to that position has been written. It is
//!    dropped if the stream ends first.
//!
//! # How a client resumes
//!
//! 1. The client brings the last id that it received. Everything up to that id was written, or was reported to the
//!    client as missing. The hub compares the id's epoch with its own. In another epoch the number means nothing, and
//!    the client is reset.
//! 2. In each topic the client continues behind that number ([`Ring::after`](super::Ring::after)). A topic whose
//!    history does not reach back that far begins where it was joined, and the client learns that it misses events of
//!    that topic alone.
//! 3. The client may be ahead of this server if it comes from another one. Then its cursor is at the tail, and events
//!    that it has seen elsewhere are skipped when they arrive (`seen`).
//! 4. A client without an id begins at the replay requested for each topic, or at its first join. Its position is the
//!    earliest of these, so its next connection receives too much of some topic rather than too little.

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

/// The beginning of a client's reading, and what it has missed.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The number after which it continues to read.
    pub position: u64,
    /// The topics, by index, that do not begin where they should, with the reasons.
    pub missed: Vec<(usize, ResetReason)>,
}

/// A subscriber, with a cursor into each of its topics and a queue of the events sent to it alone.
///
/// It reads in the order of the hub's one sequence. A private event is stamped with the hub's head at the time when it
/// was sent, and comes after everything up to that head.
#[derive(Debug)]
pub struct Subscriber<T> {
    id: ClientId,
    /// Most readers have one topic besides the topic that every client is in.
    subscriptions: SmallVec<[Subscription<T>; 2]>,
    /// The events that are sent to this client alone.
    pub outbox: Outbox,
    /// The epoch of all its numbers.
    epoch: u64,
    /// The number up to which everything has been written.
    position: u64,
    /// The position when the subscriber began, or when it entered its epoch.
    began_at: u64,
    /// Whether the client has received a position since.
    has_told: bool,
    /// Whether events are written with the hub's ids.
    with_ids: bool,
    /// Nothing above this number is read for now, because a reset has to be written first.
    paused_at: Option<u64>,
    /// Nothing above this number will be read.
    end: Option<u64>,
    /// Whether everything up to the end is written before the end, however long a pause or a topic that is catching up
    /// delays it.
    is_complete: bool,
}

impl<T: TopicRing> Subscriber<T> {
    /// Creates a subscriber without topics.
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

    /// Enters another epoch, in which the subscriber has read nothing.
    ///
    /// All earlier numbers have lost their meaning. They become 0, because every published number is above it. Private
    /// events keep their order, and come before everything that is published. A pause lasts until
    /// [`Subscriber::unpause`]. An end now comes before everything that is published. The caller has to handle the
    /// events that are missing before it.
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

    /// Returns whether the client has received an id, of a position or an event, since the beginning.
    #[must_use]
    pub fn has_told(&self) -> bool {
        self.has_told || self.position > self.began_at
    }

    /// Joins a topic. Events of this topic below the subscriber's position are written without their ids.
    pub fn join(&mut self, subscription: Subscription<T>) {
        self.subscriptions.push(subscription);
    }

    /// Leaves the first topic for which `is` returns true.
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

    /// Returns the subscriptions, for changing them.
    pub fn subscriptions(&mut self) -> &mut [Subscription<T>] {
        &mut self.subscriptions
    }

    /// Returns the topics, in the order in which they were joined.
    pub fn topics(&self) -> impl Iterator<Item = &T> {
        self.subscriptions
            .iter()
            .map(|subscription| &subscription.topic)
    }

    /// Writes events with the hub's ids from now on.
    pub fn use_ids_from(&mut self, position: u64) {
        self.with_ids = true;
        self.position = self.position.max(position);
    }

    /// Returns whether events are written with the hub's ids.
    #[must_use]
    pub fn uses_ids(&self) -> bool {
        self.with_ids
    }

    /// Returns the hub's head at the time when the first topic was joined.
    #[must_use]
    pub fn first_join(&self) -> Option<u64> {
        let joins = self.subscriptions.iter().map(|topic| topic.joined_at);
        joins.min()
    }

    /// Starts to write events with the hub's ids. Call this once, before anything has been written.
    ///
    /// A client that has everything up to the number `last` continues from there in all topics. For other clients, each
    /// topic begins at its requested replay or at the first join, and not behind the last event of a finished topic.
    /// All live topics of one client begin at the same number, so that nothing between two joins is skipped. The
    /// client's position is the earliest of these beginnings, because its next connection resumes from it in all topics
    /// alike. That may repeat events of some topics, but never skips any.
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

    /// Returns the number up to which everything has been written. All events that are left to read are above it,
    /// except for late ones.
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

    /// Resumes reading after a pause.
    pub fn unpause(&mut self) {
        self.paused_at = None;
    }

    /// Returns whether a topic holds an event above `head`, the head of the last call of `gather`. That topic wakes the
    /// reader for later events, but not for this one.
    #[must_use]
    pub fn has_seen_beyond(&self, head: u64) -> bool {
        let mut next = self.subscriptions.iter().filter_map(|topic| topic.next);
        next.any(|seq| seq > head)
    }

    /// Returns whether nothing is left to read. The next event either wakes the reader or is private.
    #[must_use]
    pub fn has_read_all(&self) -> bool {
        self.outbox.is_empty() && self.subscriptions.iter().all(Subscription::is_read)
    }

    /// Returns whether `counts` is true of at least one topic, and all such topics are finished and read. The answer
    /// then stays true, unless another such topic is joined or a topic loses events that were read.
    #[must_use]
    pub fn has_finished(&self, counts: impl Fn(&T) -> bool) -> bool {
        // Few topics are finished, so this looks at few names.
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

    /// Returns whether `counts` is true of at least one topic, and all such topics are finished with no event behind
    /// the number `seq`. If so, a client that has everything up to `seq` has all events that there will ever be. This
    /// looks at the topics themselves, so it can be called before anything is read.
    #[must_use]
    pub fn finished_by(&self, seq: u64, counts: impl Fn(&T) -> bool) -> bool {
        let mut counted = self.topics().filter(|topic| counts(topic)).peekable();
        let is_finished = |topic: &T| topic.with(|ring| ring.is_finished_by(seq));
        counted.peek().is_some() && counted.all(is_finished)
    }

    /// Returns whether reading is held up by a pause or by a topic that is catching up.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let catching_up = |topic: &T| topic.with(|ring| ring.readable_to()) < u64::MAX;
        self.paused_at.is_some() || self.topics().any(catching_up)
    }

    /// Ends reading behind everything up to the hub's present `head`. The event that reports this end is a position.
    pub fn complete_at(&mut self, head: u64) {
        let end = *self.end.get_or_insert(head);
        self.is_complete = true;
        self.outbox.drop_positions(|after| after > end);
    }

    /// Returns whether events that must be written before the end are still held back.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.is_complete && self.is_blocked()
    }

    /// Ends reading at the hub's present `head`, or at a pause. The first end counts.
    pub fn end_at(&mut self, head: u64) {
        let paused_at = self.paused_at.take();
        let end = *self
            .end
            .get_or_insert(head.min(paused_at.unwrap_or(u64::MAX)));
        match paused_at {
            // The event for which reading was paused has not come.
            Some(_) => self.outbox.drop_positions(|_| true),
            None => self.outbox.drop_positions(|after| after > end),
        }
    }

    /// Leaves all topics before everything has been read. The client's next connection resumes from the last id that
    /// was written.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> {
        let (position, paused) = (self.position, self.paused_at.is_some());
        self.outbox
            .drop_positions(|after| paused || after > position);
        self.leave_all()
    }

    /// Lets another task read from now on. Its waker is not registered with any topic yet.
    pub fn wait_anew(&mut self) {
        for subscription in &mut self.subscriptions {
            subscription.moved = true;
        }
    }

    /// Moves the next events into `frame`, in order, as far as there is room. `head` is the hub's head, which the
    /// caller has loaded before. If a topic has nothing left up to that `head`, its next change wakes `waker`. It may
    /// already hold events above that head.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if a ring has dropped events that its cursor had not reached. Call [`Subscriber::skip_ahead`]
    /// then.
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
                    // The event may have given the client this position.
                    self.position = self.position.max(after.min(upto));
                    self.has_told |= private.is_some_and(|(_, kind)| kind == QueuedKind::Position);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Returns whether the next private event is due, because everything before it has been read or never will be. A
    /// position is not due during a pause, because some events before it may not be written yet. Nor is it due while
    /// events before it are missing.
    fn may_take(&self, private: Option<(u64, QueuedKind)>, upto: u64) -> bool {
        private.is_some_and(|(after, kind)| match kind {
            QueuedKind::Position => after <= upto && self.paused_at.is_none(),
            _ => after <= upto || self.end.is_some() && !self.is_complete,
        })
    }

    /// Returns the topic that has changed, if it is the only one and the outbox is empty. Its events need no ordering
    /// then, so one lock is enough to look at them and read them.
    fn only_changed(&self) -> Option<usize> {
        if !self.outbox.is_empty() {
            return None;
        }
        let topics = self.subscriptions.iter().enumerate();
        let mut changed = topics.filter(|(_, topic)| !topic.is_read());
        let (index, _) = changed.next()?;
        changed.next().is_none().then_some(index)
    }

    /// Returns the number up to which may be read, as limited by the head, a pause and the end.
    fn bound(&self, head: u64) -> u64 {
        head.min(self.paused_at.unwrap_or(u64::MAX))
            .min(self.end.unwrap_or(u64::MAX))
    }

    /// Looks up the next event of each topic, and returns the number up to which may be read.
    fn look_ahead(&mut self, head: u64, waker: &Waker) -> Result<u64, Overtaken> {
        let mut upto = self.bound(head);
        for subscription in &mut self.subscriptions {
            subscription.look(self.epoch, head, waker)?;
            upto = upto.min(subscription.readable_to);
        }
        Ok(upto)
    }

    /// Returns the topic with the earliest next event, and the number of that event.
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

    /// Skips the oldest events, so that at most `keep` are left in all topics together. Topics that are behind share
    /// that equally. Skips dropped events too. Returns the indices of the topics that lose events.
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
            if subscription.skip_ahead(keep) {
                moved.push(index);
            }
        }
        moved
    }

    /// Returns how far the subscriber is behind, in its topics and its outbox together.
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

    /// Queues a control event, regardless of the limits of the outbox.
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
    use crate::hub::{HistoryLimits, NumberedEvent, Ring, UnnumberedEvent, Unread};

    /// A topic with one reader, which waits or does not.
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
            self.1.set(false);
            self.with(|ring| ring.push(seq, numbered(seq), None, Duration::ZERO));
        }
    }

    fn numbered(seq: u64) -> NumberedEvent {
        let event = UnnumberedEvent::new(&SseEvent::default().retry(Duration::from_millis(seq)));
        event.unwrap().with_id(&seq.to_string())
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
    fn a_client_ahead_of_its_server_receives_no_event_twice() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, Some(5));
        for seq in [3, 5, 6] {
            topic.arrive(seq);
        }
        assert_eq!(events(&mut reader, 6), Ok(1));
    }

    #[test]
    fn a_reader_is_finished_when_its_topics_are() {
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
    fn an_event_above_the_head_is_remembered_until_read() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, None);
        topic.arrive(3);
        assert_eq!(events(&mut reader, 2), Ok(0));
        assert!(reader.has_seen_beyond(2) && !reader.has_read_all());
        assert_eq!(events(&mut reader, 3), Ok(1));
        assert!(!reader.has_seen_beyond(3) && reader.has_read_all());
    }

    #[test]
    fn nothing_is_missing_behind_a_new_client_s_position() {
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
    fn a_new_client_receives_no_late_event_from_before() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 5, None);
        topic.with(|ring| ring.mark_uncertain(3, 6));
        for seq in [3, 6] {
            topic.arrive(seq);
        }
        assert_eq!(events(&mut reader, 6), Ok(1));
    }

    #[test]
    fn a_client_continues_after_a_late_event_it_may_miss() {
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
    fn a_reader_behind_a_loss_receives_no_event_twice() {
        let topic = Topic::new();
        let mut reader = reader(&topic, 0, None);
        for seq in 1..=2 {
            topic.arrive(seq);
        }
        assert_eq!(events(&mut reader, 2), Ok(2));
        topic.with(|ring| ring.lost_up_to(3));
        topic.arrive(4);
        // Another client resumes here, and brings the history back.
        for seq in [3, 2, 1] {
            let prepend = |ring: &mut Ring| ring.prepend(seq, numbered(seq), None, Duration::ZERO);
            assert!(topic.with(prepend));
        }
        topic.with(|ring| ring.reaches_back_to(0));
        assert!(events(&mut reader, 4).unwrap_err().lost);
        let everything = Backlog {
            events: u64::MAX,
            bytes: u64::MAX,
        };
        assert_eq!(reader.skip_ahead(everything), [0]);
        assert_eq!(events(&mut reader, 4), Ok(2), "3 and 4");
    }

    #[test]
    fn an_id_never_goes_back_behind_a_written_position() {
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
