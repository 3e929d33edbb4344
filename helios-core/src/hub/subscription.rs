//! One topic of a reader: its place in the topic's ring, and what it knows of the next event.

use std::task::Waker;

use super::batch::BatchRequest;
use super::entry::{Backlog, Cursor};
use super::frame::Frame;
use super::id::EventId;
use super::replay::Replay;
use super::ring::{Overtaken, Ring};
use crate::sse::{ClientId, ResetReason};

/// A topic's [`Ring`], however it is stored and locked.
///
/// # Why no wake-up is lost
///
/// A reader takes these steps:
///
/// 1. It loads the hub's head.
/// 2. It takes the topic's lock and reads events up to that head.
/// 3. If none are left that it may read, it registers its waker under the same lock
///    ([`read_or_wait`](Self::read_or_wait)). While it is registered, which it can see without the lock
///    ([`is_waited_for`](Self::is_waited_for)), it skips steps 2 and 3.
///
/// A publisher takes these steps, and holds the topic's lock until the last one:
///
/// 1. It begins a round of the topic, and so takes all registered wakers.
/// 2. It raises the head to the number of its event.
/// 3. It pushes the event.
/// 4. It releases the lock and wakes the wakers that it has taken.
///
/// Take any event that the reader does not see in its turn. There are three cases:
///
/// 1. The reader took the lock before the publisher. Then its waker is among those that the publisher takes.
/// 2. The reader took the lock after the publisher. Then it found the event above the head that it had loaded, and
///    remembers that ([`Subscriber::has_seen_beyond`](super::Subscriber::has_seen_beyond)). If there is nothing else to
///    write, it loads the head anew, and reads again if the head has moved.
/// 3. The reader took no lock because it was still registered. Then the publisher either has yet to begin its round and
///    will take the waker, or has the waker and is about to wake it. The event cannot be at or below the loaded head,
///    because its round began before the head was raised. A reader that has loaded that head sees that it is no longer
///    registered.
///
/// The end of a topic is published in the same way, with or without an event. A reader that takes the lock after it
/// sees the end at once, whichever head it has loaded (see `ring`).
///
/// Rounds and the head are atomics with acquire and release. No other state is shared on this path.
pub trait TopicRing {
    /// Calls `look` with the ring.
    fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R;

    /// Calls `read` with the ring. If that leaves nothing to read, the next change wakes `reader`. The waker is
    /// registered under the same lock, so no change can come between.
    ///
    /// # Errors
    ///
    /// The error of `read`.
    fn read_or_wait(
        &mut self,
        reader: &Waker,
        read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
    ) -> Result<Unread, Overtaken>;

    /// Returns whether the reader is still registered. If so, the ring has not changed except for events that it has
    /// dropped. A publisher makes this false before it raises the hub's head.
    fn is_waited_for(&self) -> bool;
}

/// Says whether a reader has left something to read in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing is left that may be read now.
    Nothing,
    /// Something is left.
    Something,
}

/// One topic of a subscriber.
#[derive(Debug)]
pub struct Subscription<T> {
    /// The topic.
    pub topic: T,
    /// The hub's head when the topic was joined.
    pub(super) joined_at: u64,
    /// The number after which the subscription begins if no replay is requested. It is that head or, for a finished
    /// topic, the number right before its last event.
    begins_at: u64,
    /// The number after which a requested replay begins, or why it cannot begin there.
    pub(super) replay: Option<Result<u64, ResetReason>>,
    pub(super) cursor: Cursor,
    /// Late events with numbers up to this one are not for this subscriber. They were published before the subscription
    /// began, or the client saw them on another server.
    pub(super) seen: u64,
    /// The number of the last event that was taken or skipped. After a loss the cursor begins with everything that the
    /// ring holds, and that may be history from before this event, fetched for another client.
    taken: u64,
    /// Whether the client resumed from a position in this topic.
    pub(super) resumed: bool,
    /// The number of the next event, as of the last look.
    pub(super) next: Option<u64>,
    /// The number up to which the topic may be read, as of the last look.
    pub(super) readable_to: u64,
    /// Whether the topic has to be looked at again, for example because the cursor was set.
    pub(super) moved: bool,
    /// Whether the topic was finished, as of the last look.
    pub(super) finished: bool,
}

/// A late event, which the client has seen if it was on another server and has missed if it was on this one.
const MAYBE_MISSED: Overtaken = Overtaken {
    missed: 1,
    lost: true,
};

/// The reader of a topic, and the limits on its reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) id: ClientId,
    /// No event of another epoch is taken.
    pub(super) epoch: u64,
    pub(super) with_ids: bool,
    /// The hub's head, loaded before any topic was looked at.
    pub(super) head: u64,
    /// No event above this number is taken.
    pub(super) limit: u64,
    pub(super) waker: &'a Waker,
}

impl<T: TopicRing> Subscription<T> {
    /// Creates a subscription to events published from now on, and to the last event of a finished topic. `head`
    /// returns the hub's head. It is called while the topic is locked, so exactly the topic's events above the head are
    /// left to read.
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
            taken: 0,
            resumed: false,
            next: None,
            readable_to: u64::MAX,
            moved: true,
            finished: false,
        }
    }

    /// Begins where `replay` says instead. `position_of` returns the number of an id, or why the id has no number here.
    /// If there is no number, or history does not reach back to it, the subscription begins as before and the reason is
    /// returned.
    ///
    /// # Errors
    ///
    /// The reason why [`Replay::After`] failed. The other kinds request only events that exist, and miss at most the
    /// last event of a finished topic.
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

    /// Returns whether a replay was requested.
    #[must_use]
    pub fn is_asked_to_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Begins with the newest `count` events that can be resumed, and returns the number behind which they begin. The
    /// events and their place are looked up under one lock. If there are none, the subscription begins as before.
    fn begin_with_newest(&mut self, count: usize) -> Result<u64, ResetReason> {
        let Some((seq, cursor)) = self.topic.with(|ring| ring.newest(count)) else {
            return self.replay.unwrap_or(Ok(self.begins_at));
        };
        self.cursor = cursor;
        self.seen = seq;
        self.moved = true;
        Ok(seq)
    }

    /// Returns the number after which the subscription begins for a client without a position, if live reading begins
    /// after the number `live`.
    pub(super) fn begins_after(&self, live: u64) -> u64 {
        match self.replay {
            Some(Ok(seq)) => seq,
            _ => live.min(self.begins_at),
        }
    }

    /// Begins for a client without a position: where a replay was requested, or else after the number `live`, which is
    /// not above the topic's join. Returns the reason if it cannot begin there.
    pub(super) fn begin(&mut self, live: u64) -> Option<ResetReason> {
        let unasked = match self.replay {
            Some(Ok(_)) => return None,
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let expired = !self.go_back_to(live);
        unasked.or(expired.then_some(ResetReason::Expired))
    }

    /// Moves back to the events after the number `seq`, unless the subscription already begins there or earlier.
    /// Returns false if history does not reach back that far.
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

    /// Moves to the events after the number `seq`, back or forward. Returns false if history does not reach back that
    /// far.
    pub fn resume_after(&mut self, seq: u64) -> bool {
        let cursor = self.topic.with(|ring| ring.after(seq));
        self.seen = match cursor {
            Some(_) => seq,
            // The subscription begins as before, but skips what the client has seen elsewhere.
            None => self.seen.max(seq),
        };
        self.resumed = cursor.is_some();
        self.cursor = cursor.unwrap_or(self.cursor);
        self.moved = true;
        self.resumed
    }

    /// Begins anew with all that the topic holds now. If the topic is already in a later epoch, nothing is read until
    /// the reader enters that epoch too, and begins anew once more.
    pub(super) fn restart(&mut self) {
        let (floor, cursor) = self.topic.with(|ring| ring.start());
        self.cursor = cursor;
        (self.joined_at, self.begins_at, self.seen) = (floor, floor, floor);
        self.taken = 0;
        // The start of a replay is a number of the old epoch.
        self.replay = None;
        self.resumed = false;
        self.next = None;
        self.readable_to = u64::MAX;
        self.finished = false;
        self.moved = true;
    }

    /// Skips the oldest events, so that at most `keep` are left, and those that have been dropped. Returns whether any
    /// were skipped.
    pub(super) fn skip_ahead(&mut self, keep: Backlog) -> bool {
        let seen = self.resumed.then_some(self.seen);
        let Self {
            topic,
            cursor,
            taken,
            ..
        } = self;
        let skips = topic.with(|ring| {
            let skips = ring.skip_to_newest(cursor, keep);
            let skips = seen.is_some_and(|seen| ring.skip_uncertain(cursor, seen)) || skips;
            if skips {
                let next = ring.peek(*cursor).ok().flatten();
                let before = next.map(|entry| entry.seq.saturating_sub(1));
                *taken = (*taken).max(before.unwrap_or_else(|| ring.last()));
            }
            skips
        });
        self.moved |= skips;
        skips
    }

    /// Looks up the next event, unless it is known.
    pub(super) fn look(&mut self, epoch: u64, head: u64, waker: &Waker) -> Result<(), Overtaken> {
        match self.is_known() {
            true => Ok(()),
            false => self.read(epoch, head, waker, |_, _| Ok(())),
        }
    }

    /// Returns whether the next event is known because nothing has changed since the reader began to wait.
    fn is_known(&self) -> bool {
        !self.moved && self.topic.is_waited_for()
    }

    /// Returns whether everything in the topic has been read and the reader waits for more.
    pub(super) fn is_read(&self) -> bool {
        self.next.is_none() && self.readable_to == u64::MAX && self.is_known()
    }

    /// Returns whether the topic is finished and everything in it has been read.
    pub(super) fn is_over(&self) -> bool {
        self.finished && self.next.is_none() && self.readable_to == u64::MAX && !self.moved
    }

    /// Calls `take`, then looks up the next event. If there is none up to the hub's `head`, the reader waits for the
    /// topic. From a ring of another epoch it takes nothing, and no topic is read until the reader has entered that
    /// epoch.
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

    /// Moves events into `frame`, and advances the client's `position`, as far as the `reader` and the topic allow.
    /// Returns false if the frame is full.
    pub(super) fn take(
        &mut self,
        reader: Reader<'_>,
        position: &mut u64,
        frame: &mut Frame,
    ) -> Result<bool, Overtaken> {
        let (seen, resumed) = (self.seen, self.resumed);
        let (mut taken, mut has_room) = (self.taken, true);
        let read = self.read(reader.epoch, reader.head, reader.waker, |ring, cursor| {
            let limit = reader.limit.min(ring.readable_to());
            let uncertain = resumed && ring.is_uncertain(seen);
            while let Some(seq) = next_up_to(ring, *cursor, limit)? {
                if seq <= seen && uncertain {
                    return Err(MAYBE_MISSED);
                }
                if seq <= seen.max(taken) {
                    cursor.advance();
                    continue;
                }
                // A late event is written without its id, because an id must not take the client's position back.
                let is_late = seq <= *position;
                let request = BatchRequest {
                    reader: reader.id,
                    limit: if is_late { limit.min(*position) } else { limit },
                    room: frame.room(),
                    with_ids: reader.with_ids && !is_late,
                };
                let Some(batch) = ring.batch(*cursor, request)? else {
                    // The event excludes this client, which has thus seen everything up to it.
                    *position = (*position).max(seq);
                    taken = seq;
                    cursor.advance();
                    continue;
                };
                has_room = frame.push_batch(batch.bytes, batch.events);
                if !has_room {
                    break;
                }
                *position = (*position).max(batch.last);
                taken = batch.last;
                *cursor = cursor.plus(batch.events);
            }
            Ok(())
        });
        self.taken = taken;
        read.map(|()| has_room)
    }
}

/// Returns the number of the event at the cursor, if it is not above `limit`.
fn next_up_to(ring: &mut Ring, cursor: Cursor, limit: u64) -> Result<Option<u64>, Overtaken> {
    let entry = ring.peek(cursor)?;
    Ok(entry.map(|entry| entry.seq).filter(|seq| *seq <= limit))
}
