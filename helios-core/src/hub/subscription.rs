//! One topic of a reader: where it is in the topic's ring, and what it knows of what comes next.

use std::task::Waker;

use super::batch::BatchRequest;
use super::entry::Cursor;
use super::frame::Frame;
use super::id::EventId;
use super::replay::Replay;
use super::ring::{Overtaken, Ring};
use crate::sse::{ClientId, ResetReason};

/// A topic's [`Ring`], wherever it is kept and however it is locked.
///
/// # Why no wake-up is lost
///
/// A reader does this:
///
/// 1. It loads the hub's head.
/// 2. It takes the topic's lock and reads what is up to that head.
/// 3. If nothing is left that it may read, it registers its waker under the same lock ([`read_or_wait`](Self::read_or_wait)).
///    As long as it is registered, which it can see without the lock ([`is_waited_for`](Self::is_waited_for)), it skips 2 and 3.
///
/// A publisher does this, under the topic's lock until the last step:
///
/// 1. It begins a round of the topic, and so takes all registered wakers.
/// 2. It raises the head to the number of its event.
/// 3. It pushes the event.
/// 4. It releases the lock and wakes the wakers that it has taken.
///
/// Take any event that the reader does not see in its turn. There are three cases:
///
/// 1. The reader took the lock before the publisher. Then its waker is among those that the publisher takes.
/// 2. The reader took the lock after the publisher. Then it found the event above the head that it had loaded, and remembers
///    that ([`Subscriber::has_seen_beyond`](super::Subscriber::has_seen_beyond)). If there is nothing else to write it loads the
///    head anew, and reads again if that has moved.
/// 3. The reader took no lock because it was still registered. Then either the publisher has yet to come and will take the
///    waker, or it has the waker and is about to wake it. The event cannot be at or below the loaded head: its round began
///    before the head was raised, so a reader that has loaded that head sees that it is registered no more.
///
/// The end of a topic is published in the same way, with or without an event, and a reader that takes the lock after it sees it at
/// once, whatever head it has loaded (see `ring`).
///
/// Rounds and the head are atomics with acquire and release. No other state is shared on this path.
pub trait TopicRing {
    /// Calls `look` with the ring.
    fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R;

    /// Calls `read` with the ring. If that leaves nothing to be read, `reader` is woken by the next change: it is registered
    /// under the lock under which nothing was found.
    ///
    /// # Errors
    ///
    /// The error of `read`.
    fn read_or_wait(
        &mut self,
        reader: &Waker,
        read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
    ) -> Result<Unread, Overtaken>;

    /// Whether the reader is still registered: the ring is as it was left, but for what it has dropped. A publisher sees to
    /// it that this is false before it raises the hub's head.
    fn is_waited_for(&self) -> bool;
}

/// Says whether a reader has left something in a ring.
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
    pub(super) joined_at: u64,
    /// The number after which it begins if nothing else is asked for: that head, or right before the last event of a finished
    /// topic.
    begins_at: u64,
    /// The number after which it begins, where it was asked to begin elsewhere than now, or why it cannot.
    pub(super) replay: Option<Result<u64, ResetReason>>,
    pub(super) cursor: Cursor,
    /// A late event with a number up to this one is not for this subscriber: it was published before the subscription begins,
    /// or was seen before on another server.
    pub(super) seen: u64,
    /// Whether the client had seen something before.
    pub(super) resumed: bool,
    /// The number of the next event, as of the last look.
    pub(super) next: Option<u64>,
    /// The number up to which the topic may be read, as of the last look.
    pub(super) readable_to: u64,
    /// Whether the cursor has been set without a look at what is there.
    pub(super) moved: bool,
    /// Whether the topic was finished, as of the last look.
    pub(super) finished: bool,
}

/// An event came late that the client has seen, if it was on another server, or has not, if it was here.
const MAYBE_MISSED: Overtaken = Overtaken {
    missed: 1,
    lost: true,
};

/// The reader of a topic, and the bounds of its reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) id: ClientId,
    /// Nothing of another epoch is taken.
    pub(super) epoch: u64,
    pub(super) with_ids: bool,
    /// The hub's head, loaded before any topic was looked at.
    pub(super) head: u64,
    /// Nothing above this number is taken.
    pub(super) limit: u64,
    pub(super) waker: &'a Waker,
}

impl<T: TopicRing> Subscription<T> {
    /// A subscription to what comes from now on, and to the last event of a topic that is finished. `head` gives the hub's
    /// head; it is called while the topic is locked, so that exactly the topic's events above it are still to be read.
    pub fn new(topic: T, head: impl FnOnce() -> u64) -> Self {
        let (joined_at, tail, last) = topic.with(|ring| (head(), ring.tail(), ring.last_event()));
        let (begins_at, cursor) = last.ok().flatten().unwrap_or((joined_at, tail));
        Self {
            topic,
            joined_at,
            begins_at,
            replay: last.err().map(Err),
            cursor,
            seen: begins_at,
            resumed: false,
            next: None,
            readable_to: u64::MAX,
            moved: true,
            finished: false,
        }
    }

    /// Begins as the `replay` says instead. `position_of` gives the number of an id, or why it has none here. If history does
    /// not reach back to that number, or there is none, it begins as before, and gives the reason.
    ///
    /// # Errors
    ///
    /// The reason, of [`Replay::After`]. The others ask for what there is, and miss at most the last event of a finished topic.
    pub fn replay(
        &mut self,
        replay: Replay,
        position_of: impl FnOnce(EventId) -> Result<u64, ResetReason>,
    ) -> Result<(), ResetReason> {
        let begins_after = match replay {
            Replay::Live | Replay::Last(0) => return self.replay.map_or(Ok(()), |it| it.map(drop)),
            Replay::After(id) => position_of(id).and_then(|seq| match self.resume_after(seq) {
                true => Ok(seq),
                false => Err(ResetReason::Expired),
            }),
            Replay::Last(count) => self.begin_with_newest(count),
            Replay::Earliest => self.begin_with_newest(usize::MAX),
        };
        self.replay = Some(begins_after);
        begins_after.map(drop)
    }

    /// Whether it was asked to begin elsewhere than now.
    #[must_use]
    pub fn is_asked_to_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Begins with the newest `count` events that can be resumed, and returns the number behind which they begin. What they are
    /// is looked up under the same lock as where they are. If there are none, it begins as before.
    fn begin_with_newest(&mut self, count: usize) -> Result<u64, ResetReason> {
        let Some((seq, cursor)) = self.topic.with(|ring| ring.newest(count)) else {
            return self.replay.unwrap_or(Ok(self.begins_at));
        };
        self.cursor = cursor;
        self.seen = seq;
        self.moved = true;
        Ok(seq)
    }

    /// Returns the number after which it begins for a client without a position. Others begin live after the number `live`.
    pub(super) fn begins_after(&self, live: u64) -> u64 {
        match self.replay {
            Some(Ok(seq)) => seq,
            _ => live.min(self.begins_at),
        }
    }

    /// Begins where a client without a position does: where it was asked to, else after the number `live`, which is not
    /// above its join. Gives the reason if it cannot.
    pub(super) fn begin(&mut self, live: u64) -> Option<ResetReason> {
        let unasked = match self.replay {
            Some(Ok(_)) => return None,
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let expired = !self.go_back_to(live);
        unasked.or(expired.then_some(ResetReason::Expired))
    }

    /// Goes back to what comes after the number `seq`, unless it begins there or before. False if history does not reach there.
    fn go_back_to(&mut self, seq: u64) -> bool {
        if seq >= self.begins_at {
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

    /// Begins anew, with all that the topic has now. Where that is of a later epoch already, nothing is read before the reader is,
    /// too, and it begins anew once more.
    pub(super) fn restart(&mut self) {
        let (floor, cursor) = self.topic.with(|ring| ring.start());
        self.cursor = cursor;
        (self.joined_at, self.begins_at, self.seen) = (floor, floor, floor);
        // Where it was asked to begin is a number of before.
        self.replay = None;
        self.resumed = false;
        self.next = None;
        self.readable_to = u64::MAX;
        self.finished = false;
        self.moved = true;
    }

    /// Looks up what comes next, unless that is known.
    pub(super) fn look(&mut self, epoch: u64, head: u64, waker: &Waker) -> Result<(), Overtaken> {
        match self.is_known() {
            true => Ok(()),
            false => self.read(epoch, head, waker, |_, _| Ok(())),
        }
    }

    /// Whether the next event is known, as nothing has changed since the reader began to wait.
    fn is_known(&self) -> bool {
        !self.moved && self.topic.is_waited_for()
    }

    /// Whether everything in it has been read, and the reader waits for more.
    pub(super) fn is_read(&self) -> bool {
        self.next.is_none() && self.readable_to == u64::MAX && self.is_known()
    }

    /// Whether the topic is finished, and everything in it has been read.
    pub(super) fn is_over(&self) -> bool {
        self.finished && self.next.is_none() && self.readable_to == u64::MAX && !self.moved
    }

    /// Takes something, and looks up what comes next. If that is nothing up to the hub's `head`, the reader waits for it. From a
    /// ring of another epoch it takes nothing, and reads nothing of any topic until it has gone over.
    fn read(
        &mut self,
        epoch: u64,
        head: u64,
        waker: &Waker,
        take: impl FnOnce(&mut Ring, &mut Cursor) -> Result<(), Overtaken>,
    ) -> Result<(), Overtaken> {
        let Self { topic, cursor, .. } = self;
        topic.read_or_wait(waker, |ring| {
            if ring.epoch() != epoch {
                (self.next, self.readable_to, self.finished) = (None, 0, false);
                return Ok(Unread::Nothing);
            }
            take(ring, cursor)?;
            self.next = ring.peek(*cursor)?.map(|entry| entry.seq);
            self.readable_to = ring.readable_to();
            self.finished = ring.is_finished();
            match self.next {
                Some(seq) if seq <= head => Ok(Unread::Something),
                _ => Ok(Unread::Nothing),
            }
        })?;
        self.moved = false;
        Ok(())
    }

    /// Moves events into `frame`, and the client's `position` with them, as far as the `reader` and the topic allow. Returns
    /// false if the frame is full.
    pub(super) fn take(
        &mut self,
        reader: Reader<'_>,
        position: &mut u64,
        frame: &mut Frame,
    ) -> Result<bool, Overtaken> {
        let (seen, resumed) = (self.seen, self.resumed);
        let mut has_room = true;
        self.read(reader.epoch, reader.head, reader.waker, |ring, cursor| {
            let limit = reader.limit.min(ring.readable_to());
            let uncertain = resumed && ring.is_uncertain(seen);
            while let Some(seq) = next_up_to(ring, *cursor, limit)? {
                if seq <= seen {
                    if uncertain {
                        return Err(MAYBE_MISSED);
                    }
                    cursor.advance();
                    continue;
                }
                // A late event is written without its id: an id must not take the client's position back.
                let is_late = seq <= *position;
                let request = BatchRequest {
                    reader: reader.id,
                    limit: if is_late { limit.min(*position) } else { limit },
                    room: frame.room(),
                    with_ids: reader.with_ids && !is_late,
                };
                let Some(batch) = ring.batch(*cursor, request)? else {
                    // The event is for everybody but this client, which has thus seen all up to it.
                    *position = (*position).max(seq);
                    cursor.advance();
                    continue;
                };
                has_room = frame.push_batch(batch.bytes, batch.events);
                if !has_room {
                    break;
                }
                *position = (*position).max(batch.last);
                *cursor = cursor.plus(batch.events);
            }
            Ok(())
        })?;
        Ok(has_room)
    }
}

/// The number of the event at the cursor, if it is not above `limit`.
fn next_up_to(ring: &mut Ring, cursor: Cursor, limit: u64) -> Result<Option<u64>, Overtaken> {
    let entry = ring.peek(cursor)?;
    Ok(entry.map(|entry| entry.seq).filter(|seq| *seq <= limit))
}
