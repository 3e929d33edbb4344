//! One reader of several topics: what it has yet to see, and in which order.

use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::batch::BatchRequest;
use super::entry::{Backlog, Cursor};
use super::frame::Frame;
use super::limits::BacklogLimits;
use super::outbox::{Outbox, QueuedKind};
use super::ring::{Overtaken, Ring};
use crate::sse::{ClientId, ResetReason};

/// A topic's [`Ring`], wherever it is kept and however it is locked.
pub trait TopicRing {
    /// Calls `look` with the ring.
    fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R;

    /// Calls `read` with the ring. If that leaves nothing to be read, `reader` is woken by the next change, and there is no
    /// moment between the two.
    ///
    /// # Errors
    ///
    /// That of `read`.
    fn read_or_wait(
        &mut self,
        reader: &Waker,
        read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
    ) -> Result<Unread, Overtaken>;

    /// Whether the reader still waits: the ring is as it was left, but for what it has dropped. Who publishes sees to it
    /// that this is false before the hub's head says so.
    fn is_waited_for(&self) -> bool;
}

/// What a reader has left in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing that may be read now.
    Nothing,
    /// Something.
    Something,
}

/// One topic of a subscriber.
#[derive(Debug)]
pub struct Subscription<T> {
    /// The topic.
    pub topic: T,
    /// The hub's head when it was joined.
    joined_at: u64,
    /// The number after which it was asked to begin instead, or why it cannot.
    replay: Option<Result<u64, ResetReason>>,
    cursor: Cursor,
    /// An event that arrives late, with a number up to this one, is not for this subscriber: it was published before the
    /// subscription begins, or was seen before on another server.
    seen: u64,
    /// Whether the client had seen something before.
    resumed: bool,
    /// The number of the next event, and up to where may be read, when the cursor was here last.
    next: Option<u64>,
    readable_to: u64,
    /// The cursor has been set without a look at what is there.
    moved: bool,
}

impl<T: TopicRing> Subscription<T> {
    /// A subscription to what comes from now on. `head` gives the hub's head; it is called while the topic is locked, so
    /// that exactly the topic's events above it are still to be read.
    pub fn new(topic: T, head: impl FnOnce() -> u64) -> Self {
        let (joined_at, cursor) = topic.with(|ring| (head(), ring.tail()));
        Self {
            topic,
            joined_at,
            replay: None,
            cursor,
            seen: joined_at,
            resumed: false,
            next: None,
            readable_to: u64::MAX,
            moved: true,
        }
    }

    /// Begins after the number `from` instead. If that cannot be, for the reason given or because history does not reach
    /// back there, it begins as before, and gives the reason.
    ///
    /// # Errors
    ///
    /// The reason.
    pub fn replay(&mut self, from: Result<u64, ResetReason>) -> Result<(), ResetReason> {
        let reached = from.and_then(|seq| match self.resume_after(seq) {
            true => Ok(seq),
            false => Err(ResetReason::Expired),
        });
        self.replay = Some(reached);
        reached.map(drop)
    }

    /// Begins where a client without a position does: where it was asked to, else after the number `live`, which is not
    /// above its join. Gives the reason if it cannot.
    fn begin(&mut self, live: u64) -> Option<ResetReason> {
        let unasked = match self.replay {
            Some(Ok(_)) => return None,
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let expired = !self.go_back_to(live);
        unasked.or(expired.then_some(ResetReason::Expired))
    }

    /// Goes back to what comes after the number `seq`, which is not above its join. False if history does not reach there.
    fn go_back_to(&mut self, seq: u64) -> bool {
        if seq == self.joined_at {
            return true;
        }
        let Some(cursor) = self.topic.with(|ring| ring.after(seq)) else {
            return false;
        };
        self.cursor = cursor;
        self.seen = seq;
        self.moved = true;
        true
    }

    /// Goes back, or forward, to what comes after the number `seq`. False if history does not reach there.
    pub fn resume_after(&mut self, seq: u64) -> bool {
        let cursor = self.topic.with(|ring| ring.after(seq));
        self.seen = match cursor {
            Some(_) => seq,
            // It begins where it was to, as far as the client had not come further elsewhere.
            None => self.seen.max(seq),
        };
        self.resumed = cursor.is_some();
        self.cursor = cursor.unwrap_or(self.cursor);
        self.moved = true;
        self.resumed
    }

    /// Looks up what comes next, unless that is known.
    fn look(&mut self, head: u64, waker: &Waker) -> Result<(), Overtaken> {
        match self.is_known() {
            true => Ok(()),
            false => self.read(head, waker, |_, _| Ok(())),
        }
    }

    /// What comes next is known: nothing has changed since the reader began to wait.
    fn is_known(&self) -> bool {
        !self.moved && self.topic.is_waited_for()
    }

    /// Everything in it has been read, and the reader waits for more.
    fn is_read(&self) -> bool {
        self.next.is_none() && self.readable_to == u64::MAX && self.is_known()
    }

    /// Takes something, and looks up what comes next. If that is nothing up to the hub's `head`, the reader waits for it.
    fn read(
        &mut self,
        head: u64,
        waker: &Waker,
        take: impl FnOnce(&mut Ring, &mut Cursor) -> Result<(), Overtaken>,
    ) -> Result<(), Overtaken> {
        let Self { topic, cursor, .. } = self;
        topic.read_or_wait(waker, |ring| {
            take(ring, cursor)?;
            self.next = ring.peek(*cursor)?.map(|entry| entry.seq);
            self.readable_to = ring.readable_to();
            match self.next {
                Some(seq) if seq <= head => Ok(Unread::Something),
                _ => Ok(Unread::Nothing),
            }
        })?;
        self.moved = false;
        Ok(())
    }
}

/// A late event that this client has seen, if it comes from another server, or has not, if it was here before.
const MAYBE_MISSED: Overtaken = Overtaken {
    missed: 1,
    lost: true,
};

/// Where a client begins, and of what it has to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The number after which it reads on.
    pub position: u64,
    /// The topics, by their place, that do not begin where they should, and why.
    pub missed: Vec<(usize, ResetReason)>,
}

/// A subscriber: a cursor into each of its topics, and the queue of what is sent to it alone.
///
/// What it reads comes in the order of the hub's one sequence. A private event was stamped with the hub's head when it
/// was sent, and comes after everything up to that.
#[derive(Debug)]
pub struct Subscriber<T> {
    id: ClientId,
    /// Most readers have one topic beside the one that everybody is in.
    subscriptions: SmallVec<[Subscription<T>; 2]>,
    /// What is sent to this client alone.
    pub outbox: Outbox,
    /// Up to where everything has been written.
    position: u64,
    /// Whether events are written with the hub's ids.
    with_ids: bool,
    /// Nothing above this number is read for now.
    paused_at: Option<u64>,
    /// Nothing above this number is read any more.
    end: Option<u64>,
}

impl<T: TopicRing> Subscriber<T> {
    /// A subscriber of nothing.
    #[must_use]
    pub fn new(id: ClientId, limits: BacklogLimits) -> Self {
        Self {
            id,
            subscriptions: SmallVec::new(),
            outbox: Outbox::new(limits),
            position: 0,
            with_ids: false,
            paused_at: None,
            end: None,
        }
    }

    /// Returns the id of the client that reads.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Takes up a topic. What it holds that is older than what was written before comes without its id.
    pub fn join(&mut self, subscription: Subscription<T>) {
        self.subscriptions.push(subscription);
    }

    /// Gives up the first topic of which `is` is true.
    pub fn leave(&mut self, is: impl Fn(&T) -> bool) -> Option<T> {
        let mut subscriptions = self.subscriptions.iter();
        let place = subscriptions.position(|subscription| is(&subscription.topic))?;
        Some(self.subscriptions.remove(place).topic)
    }

    /// Gives up all topics.
    pub fn leave_all(&mut self) -> impl Iterator<Item = T> {
        let subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions
            .into_iter()
            .map(|subscription| subscription.topic)
    }

    /// The topics.
    pub fn subscriptions(&mut self) -> &mut [Subscription<T>] {
        &mut self.subscriptions
    }

    /// The topics, to be looked at.
    pub fn topics(&self) -> impl Iterator<Item = &T> {
        self.subscriptions
            .iter()
            .map(|subscription| &subscription.topic)
    }

    /// From here on events are written with the hub's ids.
    pub fn use_ids_from(&mut self, position: u64) {
        self.with_ids = true;
        self.position = self.position.max(position);
    }

    /// Whether events are written with the hub's ids.
    #[must_use]
    pub fn uses_ids(&self) -> bool {
        self.with_ids
    }

    /// The hub's head when the first of its topics was joined.
    #[must_use]
    pub fn first_join(&self) -> Option<u64> {
        let joins = self.subscriptions.iter().map(|topic| topic.joined_at);
        joins.min()
    }

    /// Starts to write events with the hub's ids. It is called once, before anything has been written.
    ///
    /// A client that has everything up to the number `last` goes on from there in all topics. For any other, each topic
    /// begins where it was asked to, or at the first join: the live beginnings of one client are one, so that nothing
    /// between two joins is skipped. Its position is the earliest of these, since its next connection goes on from it in all
    /// topics alike: that may give it more of some topics, and never less.
    pub fn start(&mut self, last: Option<u64>) -> Start {
        let live = self.first_join().unwrap_or_default();
        let replays = self.subscriptions.iter().filter_map(|topic| topic.replay);
        let earliest = replays.filter_map(Result::ok).fold(live, u64::min);
        let position = last.unwrap_or(earliest);
        self.use_ids_from(position);
        let mut missed = Vec::new();
        for (place, topic) in self.subscriptions.iter_mut().enumerate() {
            let reason = match last {
                Some(seq) if topic.resume_after(seq) => None,
                Some(_) => Some(ResetReason::Expired),
                None => topic.begin(live),
            };
            missed.extend(reason.map(|reason| (place, reason)));
        }
        Start { position, missed }
    }

    /// Up to where everything has been written: all that is still to be read is above it, but for what comes late.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads nothing above the number `seq` until [`Subscriber::unpause`].
    pub fn pause_at(&mut self, seq: u64) {
        self.paused_at = Some(seq);
    }

    /// The number above which nothing is read for now.
    #[must_use]
    pub fn paused_at(&self) -> Option<u64> {
        self.paused_at
    }

    /// Ends a hold.
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

    /// Whether something else keeps it from reading on: a hold, or a topic that is catching up.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let catching_up = |topic: &T| topic.with(|ring| ring.readable_to()) < u64::MAX;
        self.paused_at.is_some() || self.topics().any(catching_up)
    }

    /// Reads nothing that is published after the hub's `head` of now, nor anything above a hold, and waits for nothing any
    /// more. The first end counts.
    pub fn end_at(&mut self, head: u64) {
        let hold = self.paused_at.take();
        let end = *self.end.get_or_insert(head.min(hold.unwrap_or(u64::MAX)));
        match hold {
            // What it was held for has not come.
            Some(_) => self.outbox.drop_positions(|_| true),
            None => self.outbox.drop_positions(|after| after > end),
        }
    }

    /// Gives up all topics, of which it has not read everything: their next reader goes on from the last id that was
    /// written.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> {
        let (position, held) = (self.position, self.paused_at.is_some());
        self.outbox.drop_positions(|after| held || after > position);
        self.leave_all()
    }

    /// Another task reads from now on: none of the topics knows its waker.
    pub fn wait_anew(&mut self) {
        for subscription in &mut self.subscriptions {
            subscription.moved = true;
        }
    }

    /// Moves into `frame` what is to be read, in order, as far as there is room. `head` is the hub's, loaded before this
    /// is called. The `waker` is woken by what changes in a topic that holds no more to be read; what is above the `head`
    /// may be there already.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if a ring has dropped events that its cursor had not reached; then [`Subscriber::skip_ahead`].
    pub fn gather(&mut self, head: u64, waker: &Waker, frame: &mut Frame) -> Result<(), Overtaken> {
        if let Some(place) = self.only_changed()
            && !self.take_batches(place, (self.bound(head), head), waker, frame)?
        {
            return Ok(());
        }
        let upto = self.look_ahead(head, waker)?;
        self.outbox.close_batch();
        loop {
            let (place, public) = self.earliest(upto);
            let private = self.outbox.peek();
            match (public, private.map(|(after, _)| after)) {
                (Some(seq), after) if after.is_none_or(|after| seq <= after) => {
                    let others = self.earliest_but(place, upto);
                    let limit = upto.min(others).min(after.unwrap_or(u64::MAX));
                    if !self.take_batches(place, (limit, head), waker, frame)? {
                        return Ok(());
                    }
                }
                (_, Some(after)) if self.may_take(private, upto) => {
                    if !self.outbox.take_into(frame) {
                        return Ok(());
                    }
                    // It may have told the client so.
                    self.position = self.position.max(after.min(upto));
                }
                _ => return Ok(()),
            }
        }
    }

    /// Whether the next private event is due: all before it has been read, or will not be. A position is not, as long as
    /// something is awaited.
    fn may_take(&self, private: Option<(u64, QueuedKind)>, upto: u64) -> bool {
        private.is_some_and(|(after, kind)| {
            let awaited = kind == QueuedKind::Position && self.paused_at.is_some();
            !awaited && (after <= upto || self.end.is_some())
        })
    }

    /// The one topic of which something may have to be read, if nothing else has to be put in order with it: it need not be
    /// looked at before it is read.
    fn only_changed(&self) -> Option<usize> {
        if !self.outbox.is_empty() {
            return None;
        }
        let topics = self.subscriptions.iter().enumerate();
        let mut changed = topics.filter(|(_, topic)| !topic.is_read());
        let (place, _) = changed.next()?;
        changed.next().is_none().then_some(place)
    }

    /// Nothing above this number may be read, whatever the topics say.
    fn bound(&self, head: u64) -> u64 {
        head.min(self.paused_at.unwrap_or(u64::MAX))
            .min(self.end.unwrap_or(u64::MAX))
    }

    /// Looks up what comes next in each topic, and gives the number up to which may be read.
    fn look_ahead(&mut self, head: u64, waker: &Waker) -> Result<u64, Overtaken> {
        let mut upto = self.bound(head);
        for subscription in &mut self.subscriptions {
            subscription.look(head, waker)?;
            upto = upto.min(subscription.readable_to);
        }
        Ok(upto)
    }

    /// The topic whose next event is the earliest, and that event's number.
    fn earliest(&self, upto: u64) -> (usize, Option<u64>) {
        let next = |(place, topic): (usize, &Subscription<T>)| Some((topic.next?, place));
        let all = self.subscriptions.iter().enumerate().filter_map(next);
        match all.min().filter(|(seq, _)| *seq <= upto) {
            Some((seq, place)) => (place, Some(seq)),
            None => (0, None),
        }
    }

    fn earliest_but(&self, place: usize, upto: u64) -> u64 {
        let others = self.subscriptions.iter().enumerate();
        let others = others.filter(|(other, _)| *other != place);
        let next = others.filter_map(|(_, topic)| topic.next).min();
        next.unwrap_or(upto)
    }

    /// Takes events of one topic up to the number `limit`, and as far as the topic may be read. False if the frame is full.
    fn take_batches(
        &mut self,
        place: usize,
        (limit, head): (u64, u64),
        waker: &Waker,
        frame: &mut Frame,
    ) -> Result<bool, Overtaken> {
        let (id, with_ids, position) = (self.id, self.with_ids, &mut self.position);
        let Some(topic) = self.subscriptions.get_mut(place) else {
            return Ok(false);
        };
        let (seen, resumed) = (topic.seen, topic.resumed);
        let mut full = false;
        topic.read(head, waker, |ring, cursor| {
            let limit = limit.min(ring.readable_to());
            let uncertain = resumed && ring.is_uncertain(seen);
            let next = |ring: &mut Ring, cursor| {
                let entry = ring.peek(cursor)?;
                Ok(entry.map(|entry| entry.seq).filter(|seq| *seq <= limit))
            };
            while let Some(seq) = next(ring, *cursor)? {
                if seq <= seen {
                    if uncertain {
                        return Err(MAYBE_MISSED);
                    }
                    cursor.advance();
                    continue;
                }
                // What comes late must not take the client's position back.
                let is_late = seq <= *position;
                let batch = ring.batch(
                    *cursor,
                    BatchRequest {
                        reader: id,
                        limit: if is_late { limit.min(*position) } else { limit },
                        room: frame.room(),
                        with_ids: with_ids && !is_late,
                    },
                )?;
                let Some(batch) = batch else {
                    // For everybody but this client.
                    *position = (*position).max(seq);
                    cursor.advance();
                    continue;
                };
                if !frame.push_batch(batch.bytes, batch.events) {
                    full = true;
                    break;
                }
                *position = (*position).max(batch.last);
                *cursor = cursor.plus(batch.events);
            }
            Ok(())
        })?;
        Ok(!full)
    }

    /// Gives up what is oldest, so that at most `keep` of all topics is left, the same of each that is behind, and what is
    /// gone already. Gives the places of the topics in question.
    pub fn skip_ahead(&mut self, keep: Backlog) -> Vec<usize> {
        let behind = |topic: &&Subscription<T>| {
            topic
                .topic
                .with(|ring| ring.backlog(topic.cursor).events > 0)
        };
        let topics = self.subscriptions.iter().filter(behind).count().max(1) as u64;
        let keep = Backlog {
            events: keep.events / topics,
            bytes: keep.bytes / topics,
        };
        let mut moved = Vec::new();
        for (place, topic) in self.subscriptions.iter_mut().enumerate() {
            let (cursor, seen) = (&mut topic.cursor, topic.resumed.then_some(topic.seen));
            let skips = topic.topic.with(|ring| {
                let skips = ring.skip_to_newest(cursor, keep);
                seen.is_some_and(|seen| ring.skip_uncertain(cursor, seen)) || skips
            });
            if skips {
                topic.moved = true;
                moved.push(place);
            }
        }
        moved
    }

    /// How far it is behind, topics and private queue together.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let mut backlog = Backlog {
            events: self.outbox.len() as u64,
            bytes: self.outbox.bytes() as u64,
        };
        for topic in &self.subscriptions {
            let behind = topic.topic.with(|ring| ring.backlog(topic.cursor));
            backlog.events += behind.events;
            backlog.bytes += behind.bytes;
        }
        backlog
    }

    /// Takes in what the client has to be told, past the limits of the queue.
    pub fn push_control(&mut self, after: u64, bytes: Bytes) {
        self.outbox.insert(after, QueuedKind::Control, bytes);
    }

    /// Takes in what the client has to be told before everything else, in this order.
    pub fn push_control_first(&mut self, told: Vec<Bytes>) {
        self.outbox.insert_first(told);
    }

    /// Takes in what gives the client a position when everything up to `after` has been written.
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
    use crate::hub::{HistoryLimits, UnnumberedEvent};

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
        assert_eq!(events(&mut reader, 6), Err(MAYBE_MISSED));
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
