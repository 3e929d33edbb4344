//! The bounded log of one topic, and what is known of the events that it does not hold.
//!
//! Events are counted in two ways. The **number** of an event is its place in the hub's one sequence. It orders the
//! events of all topics and leaves gaps within one. The **index** of an event counts the events of this topic alone,
//! without gaps. Ids and limits are numbers, and a [`Cursor`] is an index. So a reader advances by as many events as it
//! has read, and a subtraction gives how many are left.
//!
//! # Why a cursor is never ahead of the ring
//!
//! 1. Every cursor comes from the ring. [`Ring::tail`] sets it behind the newest event. [`Ring::after`],
//!    [`Ring::newest`] and [`Ring::last_event`] set it behind an event that is held, or before the first one. None of
//!    them is beyond the tail.
//! 2. A reader moves its cursor only past events that [`Ring::peek`] or [`Ring::batch`] returned, and these return only
//!    events that are held.
//! 3. The tail, `first + entries.len()`, never goes back. A push raises it. Dropping the oldest event raises `first`
//!    and removes an entry. Prepending history lowers `first` and adds an entry. A loss raises the tail by [`GAP`].
//!
//! So a reader whose cursor is at the tail has read everything, and one whose cursor is before `first` has been
//! overtaken. There is no third case.
//!
//! # How history is trimmed under readers
//!
//! 1. The ring waits for no reader. It drops the oldest event when a limit requires it, even if a reader has yet to
//!    read it.
//! 2. Trimming notifies no reader. The reader finds its cursor before `first` on its next read and is [`Overtaken`]. So
//!    nothing is missed silently, and trimming costs the same for one reader as for thousands.
//! 3. There are two bounds. `limits` say how much history can be resumed. `for_readers` say how much is kept beyond
//!    that for connected readers, because a burst longer than history is not their fault. The first `expired` entries
//!    are kept for readers alone. `floor` is the newest number that cannot be resumed, and `first` is the index of the
//!    oldest event that can be read.
//!
//! # What can be resumed
//!
//! 1. Every event published above `floor` is held, so a client that has seen everything up to a number at or above it
//!    can resume. Below it an event may be missing, and [`Ring::after`] refuses.
//! 2. History fetched from elsewhere is prepended, newest first, and `floor` is lowered when it is complete. An event
//!    that does not join on would leave a hole that no reader could see.
//! 3. A late event makes ids uncertain. Events may cross between servers so that one arrives behind others with greater
//!    numbers. Clients then received ids up to the newest of these while the late event was missing here. A client that
//!    brings such an id may or may not have seen that event on another server, so it is reset
//!    ([`Ring::mark_uncertain`]).
//! 4. An event that never arrives is a loss ([`Ring::lost_up_to`]). All entries before it are dropped and the indices
//!    jump by [`GAP`]. So every reader from before is overtaken, and none reads on as if nothing were missing.
//!
//! # How a topic ends
//!
//! A mark finishes a topic. It has a number of its own, and may come with a last event of the same number. The steps
//! below answer one question: why does every reader get the last event and the end, and why does none hang?
//!
//! 1. The mark is set under the topic's lock, where numbers are given out, and wakes readers as an event does. So all
//!    events published before it have a lesser number, and none follows it, as [`Ring::push`] ignores later ones.
//! 2. Each time a reader looks at a topic, it notes the mark. It has finished a topic when the mark is there and its
//!    cursor is at the tail ([`Subscriber::has_finished`](super::Subscriber::has_finished)). That stays true, because
//!    only a loss moves the tail of a finished ring, and every reader notices a loss.
//! 3. Take a reader that joins at that very moment. Its cursor is set under the same lock. If that was before the mark,
//!    the reader is either not registered yet or is woken, so its next look finds the mark. If it was after the mark,
//!    its cursor is **before** the last event ([`Ring::last_event`]), and its first look finds the mark. There is no
//!    third case, and neither needs a wake-up that could be missed.
//! 4. The mark does not depend on the head. If the last event is above the head that a reader has loaded, the reader
//!    has not read it, but knows that it exists, as with any event.
//! 5. Trimming may drop the last event, but never the mark. A client that should have begun with that event then
//!    receives a reset ([`ResetReason::Expired`]). A loss keeps the mark too. Another epoch clears it.
//! 6. A client that brings a number at or above the mark's has everything, whatever has happened to the history.
//!
//! # Epochs
//!
//! Numbers can be compared only within one epoch. Before the hub uses the number of an id, it compares the id's epoch
//! with its own. A reader compares its epoch with the ring's ([`Ring::epoch`]) each time that it holds the topic's
//! lock. When the hub enters another epoch, numbers begin anew. The steps below answer one question: why does no reader
//! mistake a number of one epoch for one of another?
//!
//! 1. The hub restarts all rings ([`Ring::restart`]). Then it makes its new epoch and head visible, and only then does
//!    it publish. So a reader that sees the new epoch finds old rings only in topics that were removed.
//! 2. A reader takes nothing from a ring of another epoch. It holds everything back, as it does while a topic is
//!    catching up, and waits for the topic. The hub wakes all waiting readers once more when its new epoch is visible.
//! 3. The reader then enters the new epoch ([`Subscriber::go_over`](super::Subscriber::go_over)). It takes cursors of
//!    the new epoch and discards every number of the old one. It has to leave topics that were removed before, because
//!    they do not enter it.
//! 4. Indices continue behind a gap. So an old cursor, although nothing is read with it, is never ahead of the ring
//!    either.

use std::collections::VecDeque;
use std::time::Duration;

use super::batch::{Batch, BatchCache, BatchRequest};
use super::entry::{Backlog, Cursor, RingEntry};
use super::limits::HistoryLimits;
use super::numbered::NumberedEvent;
use crate::sse::{ClientId, ResetReason};

/// The ring has dropped events that the cursor had not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber was overtaken and missed {missed} events")]
pub struct Overtaken {
    /// How many events this cursor will never see, at least.
    pub missed: u64,
    /// Whether the events never arrived. If not, the subscriber was too slow for them.
    pub lost: bool,
}

/// The numbers from `from` to below `to`, which clients received as ids before an event among them had arrived. A
/// client with such an id may or may not have seen that event.
#[derive(Clone, Copy, Debug)]
struct Uncertain {
    from: u64,
    to: u64,
}

/// The end of a topic.
#[derive(Clone, Copy, Debug)]
struct Finish {
    /// The number of the last event. A client that has everything up to it has all events that the topic will ever
    /// have.
    last_event: u64,
    /// Whether the topic was finished with that event. If not, its end requires no event to be read.
    has_event: bool,
    at: Duration,
}

/// The jump of indices over events that never arrived. It is further than history can be prepended, so an index from
/// before the gap never equals one behind it.
const GAP: u64 = 1 << 32;

/// A bounded log of encoded events. It grows on demand.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<RingEntry>,
    /// The epoch of all numbers in the ring.
    epoch: u64,
    /// The index of the first entry held. It begins in the middle of the range, so that history can be prepended.
    first: u64,
    /// All events above this number are held. Events up to it may be missing.
    floor: u64,
    /// The newest number, whether or not its event is held.
    last: u64,
    /// The bytes ever published. The difference of two offsets gives the bytes between them without a sum over entries.
    end_offset: u64,
    /// The bytes that keeping the entries costs.
    size: u64,
    /// Whether events may be missing after `last`. Nothing above it is read until they have arrived.
    catching_up: bool,
    uncertain: Option<Uncertain>,
    /// Set when the topic has ended. Nothing is published to it any more.
    finish: Option<Finish>,
    /// Readers with a cursor before this one have missed events that never arrived. They were not too slow.
    lost: Cursor,
    limits: HistoryLimits,
    /// Limits on the entries that are kept beyond `limits` for connected readers. These entries cannot be resumed.
    for_readers: HistoryLimits,
    /// How many of the oldest entries are beyond `limits`.
    expired: usize,
    /// The batches that readers have joined since the last change of the ring.
    batches: BatchCache,
}

impl Ring {
    /// Creates an empty ring for a topic of which nothing up to the number `floor` is known.
    #[must_use]
    pub fn new(limits: HistoryLimits, floor: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            epoch: 0,
            first: u64::MAX / 2,
            floor,
            last: floor,
            end_offset: u64::MAX / 2,
            size: 0,
            catching_up: false,
            uncertain: None,
            finish: None,
            lost: Cursor::default(),
            limits,
            for_readers: HistoryLimits {
                events: 0,
                age: Duration::ZERO,
            },
            expired: 0,
            batches: BatchCache::default(),
        }
    }

    /// Keeps events for connected readers up to these limits, although history is shorter.
    #[must_use]
    pub fn keeping_for_readers(mut self, limits: HistoryLimits) -> Self {
        self.for_readers = limits;
        self
    }

    /// Sets the epoch of the ring's numbers.
    #[must_use]
    pub fn in_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Continues the indices of a ring from which nothing was read. A cursor at the old ring's tail is at the tail of
    /// this one.
    #[must_use]
    pub fn in_place_of(mut self, empty: &Self) -> Self {
        self.first = empty.tail().next;
        self
    }

    /// Returns the epoch of the ring's numbers.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Appends an event at time `now`, which is counted from any fixed start, and drops entries over the limits.
    /// Ignores an event whose number is not above the newest one, as it is known already, and any event behind the end
    /// of the topic.
    pub fn push(
        &mut self,
        seq: u64,
        event: NumberedEvent,
        except: Option<ClientId>,
        now: Duration,
    ) {
        if seq <= self.last || self.is_finished() {
            return;
        }
        self.last = seq;
        let offset = self.end_offset;
        self.end_offset += event.bytes().len() as u64;
        let entry = RingEntry {
            seq,
            except,
            event,
            plain: None,
            at: now,
            offset,
        };
        self.size += entry.size();
        self.entries.push_back(entry);
        self.expire(now);
    }

    /// Notes that the topic has an entry with this number that none of its readers receives.
    pub fn pass(&mut self, seq: u64) {
        if seq > self.last && !self.is_finished() {
            self.last = seq;
        }
    }

    /// Finishes the topic at time `now`, with or without a last event. Nothing is published to it afterwards.
    pub fn finish(&mut self, seq: u64, event: Option<NumberedEvent>, now: Duration) {
        if seq <= self.last || self.is_finished() {
            return;
        }
        let has_event = event.is_some();
        let last_event = match event {
            Some(event) => {
                self.push(seq, event, None, now);
                seq
            }
            None => std::mem::replace(&mut self.last, seq),
        };
        self.finish = Some(Finish {
            last_event,
            has_event,
            at: now,
        });
    }

    /// Finishes the topic at time `now` behind all known events. Its end, and the events before that, were lost.
    pub fn finish_behind(&mut self, now: Duration) {
        self.finish.get_or_insert(Finish {
            last_event: self.last,
            has_event: false,
            at: now,
        });
    }

    /// Returns whether the topic is finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Returns whether the topic is finished and the number of its last event is at most `seq`. If so, a client that
    /// has everything up to `seq` has the whole topic.
    #[must_use]
    pub fn is_finished_by(&self, seq: u64) -> bool {
        self.finish.is_some_and(|finish| finish.last_event <= seq)
    }

    /// Returns how long the topic has been finished at time `now`, or `None` if it is not finished.
    #[must_use]
    pub fn finished_for(&self, now: Duration) -> Option<Duration> {
        self.finish.map(|finish| now.saturating_sub(finish.at))
    }

    /// Returns the number right before the last event of a finished topic, and the cursor there. A client that joins
    /// now may not begin behind it. Returns `None` if there is no such event.
    ///
    /// # Errors
    ///
    /// [`ResetReason::Expired`] if the last event has been dropped.
    pub fn last_event(&self) -> Result<Option<(u64, Cursor)>, ResetReason> {
        match self.finish {
            Some(finish) if finish.has_event && finish.last_event <= self.floor => {
                Err(ResetReason::Expired)
            }
            Some(finish) if finish.has_event => {
                let before = finish.last_event.saturating_sub(1);
                Ok(Some((before, self.behind(before))))
            }
            _ => Ok(None),
        }
    }

    /// Sets other limits, which apply from the next event on.
    pub fn set_limits(&mut self, limits: HistoryLimits, for_readers: HistoryLimits) {
        self.limits = limits;
        self.for_readers = for_readers;
    }

    /// Prepends an older event, which was published at time `at`. Returns false if the limits leave no room for it. The
    /// caller ensures that no event is missing between it and the first one.
    pub fn prepend(
        &mut self,
        seq: u64,
        event: NumberedEvent,
        except: Option<ClientId>,
        at: Duration,
    ) -> bool {
        let front = self.entries.front();
        let known = front.map_or(self.floor, |entry| entry.seq.saturating_sub(1));
        if seq > known || self.entries.len() >= self.limits.events {
            return false;
        }
        let offset = front.map_or(self.end_offset, |entry| entry.offset);
        let entry = RingEntry {
            seq,
            except,
            plain: None,
            // Times ascend in a ring, even if the clocks of other servers disagree.
            at: front.map_or(at, |entry| entry.at.min(at)),
            offset: offset - event.bytes().len() as u64,
            event,
        };
        self.size += entry.size();
        self.first -= 1;
        self.entries.push_front(entry);
        true
    }

    /// Notes that history is now complete from behind the number `floor` on.
    pub fn reaches_back_to(&mut self, floor: u64) {
        self.floor = self.floor.min(floor);
    }

    /// Drops entries that are over the limits at time `now`.
    pub fn expire(&mut self, now: Duration) {
        self.batches.clear();
        self.expire_history(now);
        let longest = self.limits.events.max(self.for_readers.events).max(1);
        while self.expired > 0
            && let Some(oldest) = self.entries.front()
            && (oldest.age(now) > self.for_readers.age || self.entries.len() > longest)
        {
            self.drop_oldest();
        }
    }

    /// Raises the floor above events that can no longer be resumed. Their entries stay for connected readers.
    fn expire_history(&mut self, now: Duration) {
        let over = self.entries.len().saturating_sub(self.limits.events.max(1));
        self.expired = self.expired.max(over);
        while let Some(entry) = self.entries.get(self.expired)
            && entry.age(now) > self.limits.age
        {
            self.expired += 1;
        }
        let last = self.expired.checked_sub(1);
        if let Some(entry) = last.and_then(|last| self.entries.get(last)) {
            self.floor = self.floor.max(entry.seq);
        }
    }

    /// Drops the oldest event and returns the bytes that keeping it cost.
    pub fn drop_oldest(&mut self) -> u64 {
        self.batches.clear();
        let Some(entry) = self.entries.pop_front() else {
            return 0;
        };
        self.first += 1;
        self.expired = self.expired.saturating_sub(1);
        self.floor = self.floor.max(entry.seq);
        let size = entry.size();
        self.size -= size;
        self.shrink();
        size
    }

    /// Frees the memory of an earlier burst, so that a quiet topic keeps none.
    fn shrink(&mut self) {
        let (length, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > 64 && length < capacity / 4 {
            self.entries.shrink_to(2 * length);
        }
    }

    /// Stops readers at the newest event until [`Ring::caught_up`], because events after it are missing.
    pub fn catch_up(&mut self) {
        self.catching_up = true;
    }

    /// Lets readers continue. The missing events have arrived or are known to be lost.
    pub fn caught_up(&mut self) {
        self.catching_up = false;
    }

    /// Notes that events published after the newest one held, up to the number `floor`, never arrive. Drops all entries
    /// too, because no reader may read on as if nothing were missing.
    pub fn lost_up_to(&mut self, floor: u64) {
        let tail = self.tail().next;
        self.lost = Cursor { next: tail + 1 };
        self.first = tail + GAP;
        self.entries.clear();
        self.batches.clear();
        self.expired = 0;
        self.size = 0;
        self.last = self.last.max(floor);
        self.floor = self.last;
    }

    /// Begins another epoch, of which nothing up to the number `floor` is known. Readers continue once they are in it,
    /// too.
    pub fn restart(&mut self, epoch: u64, floor: u64) {
        self.lost_up_to(floor);
        self.epoch = epoch;
        self.last = floor;
        self.floor = floor;
        self.catching_up = false;
        self.uncertain = None;
        self.finish = None;
    }

    /// Notes that the event `from` arrives late. Clients with an id from there to below `to` may have missed it.
    pub fn mark_uncertain(&mut self, from: u64, to: u64) {
        let uncertain = self.uncertain.get_or_insert(Uncertain { from, to });
        uncertain.from = uncertain.from.min(from);
        uncertain.to = uncertain.to.max(to);
    }

    /// Returns the number above which nothing may be read.
    #[must_use]
    pub fn readable_to(&self) -> u64 {
        if self.catching_up {
            self.last
        } else {
            u64::MAX
        }
    }

    /// Returns the cursor of a subscriber that reads only events published from now on.
    #[must_use]
    pub fn tail(&self) -> Cursor {
        Cursor {
            next: self.first + self.entries.len() as u64,
        }
    }

    /// Returns the cursor of a subscriber that has seen everything up to the number `seq`, or `None` if a later event
    /// has been dropped. No events follow the end of a topic, so none of those can be missing.
    #[must_use]
    pub fn after(&self, seq: u64) -> Option<Cursor> {
        let is_gone = seq < self.floor && !self.is_finished_by(seq);
        if is_gone || self.is_uncertain(seq) {
            return None;
        }
        Some(self.behind(seq))
    }

    /// Returns the number behind which the newest `count` resumable events begin, and the cursor of a subscriber that
    /// begins there. If there are fewer events, begins with all of them. Returns `None` if there are none.
    ///
    /// A client may receive that number even if ids are uncertain. It begins behind the number, so it has nothing to
    /// miss before it. If it brings the number back, it is reset like any other client.
    #[must_use]
    pub fn newest(&self, count: usize) -> Option<(u64, Cursor)> {
        let index = self
            .read_up_to(self.floor)
            .max(self.entries.len().saturating_sub(count));
        let first = self.entries.get(index)?;
        let next = self.first + index as u64;
        Some((first.seq.saturating_sub(1), Cursor { next }))
    }

    /// Returns how many events can be resumed.
    #[must_use]
    pub fn resumable(&self) -> usize {
        self.entries.len() - self.read_up_to(self.floor)
    }

    /// Returns the number up to which events may be missing, and the cursor behind it. A reader that comes from another
    /// epoch continues there.
    pub(super) fn start(&self) -> (u64, Cursor) {
        (self.floor, self.behind(self.floor))
    }

    fn behind(&self, seq: u64) -> Cursor {
        Cursor {
            next: self.first + self.read_up_to(seq) as u64,
        }
    }

    /// Returns how many of the events held have a number up to `seq`.
    fn read_up_to(&self, seq: u64) -> usize {
        self.entries.partition_point(|entry| entry.seq <= seq)
    }

    /// Returns whether a client that has everything up to the number `seq`, from this server or another, may have
    /// missed an event that was late here.
    #[must_use]
    pub fn is_uncertain(&self, seq: u64) -> bool {
        let holds = |uncertain: &Uncertain| uncertain.from <= seq && seq < uncertain.to;
        self.uncertain.as_ref().is_some_and(holds)
    }

    /// Moves a cursor that resumed after the number `seq` past events that the client may or may not have seen. Returns
    /// false if there are none.
    pub fn skip_uncertain(&self, cursor: &mut Cursor, seq: u64) -> bool {
        let behind = self.behind(seq);
        let skips = self.is_uncertain(seq) && behind > *cursor;
        if skips {
            *cursor = behind;
        }
        skips
    }

    /// Moves a cursor forward so that at most the newest `keep` are left to read. Returns false if it need not move.
    pub fn skip_to_newest(&self, cursor: &mut Cursor, keep: Backlog) -> bool {
        let start = cursor.next.max(self.first);
        let mut index = usize::try_from(start - self.first).unwrap_or(usize::MAX);
        while let Some(entry) = self.entries.get(index) {
            let left = (self.entries.len() - index) as u64;
            if left <= keep.events && self.end_offset - entry.offset <= keep.bytes {
                break;
            }
            index += 1;
        }
        let next = self.first + index as u64;
        let moves = next > cursor.next;
        cursor.next = next.max(cursor.next);
        moves
    }

    /// Returns the event at the cursor, or `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if the event has been dropped already.
    pub fn peek(&mut self, cursor: Cursor) -> Result<Option<&mut RingEntry>, Overtaken> {
        let index = self.index(cursor)?;
        Ok(self.entries.get_mut(index))
    }

    /// Returns the events at the cursor, joined as far as `wanted` allows. Readers with the same request share the
    /// bytes. Returns `None` if the first event is not wanted.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if the first event has been dropped already.
    pub(super) fn batch(
        &mut self,
        cursor: Cursor,
        wanted: BatchRequest,
    ) -> Result<Option<Batch>, Overtaken> {
        if let Some(batch) = self.batches.find(cursor, wanted) {
            return Ok(Some(batch.clone()));
        }
        let index = self.index(cursor)?.min(self.entries.len());
        let (mut count, mut length) = (0, 0);
        for entry in self.entries.range_mut(index..) {
            let longer = length + entry.bytes(wanted.with_ids).len();
            let fits = longer <= wanted.room || count == 0;
            if !fits || entry.seq > wanted.limit || entry.except == Some(wanted.reader) {
                break;
            }
            (count, length) = (count + 1, longer);
        }
        let entries = self.entries.range_mut(index..index + count);
        Ok(self.batches.join(cursor, wanted.with_ids, length, entries))
    }

    fn index(&self, cursor: Cursor) -> Result<usize, Overtaken> {
        let index = cursor.next.checked_sub(self.first);
        let index = index.ok_or_else(|| self.overtaken(cursor))?;
        Ok(usize::try_from(index).unwrap_or(usize::MAX))
    }

    fn overtaken(&self, cursor: Cursor) -> Overtaken {
        let lost = cursor < self.lost;
        let missed = self.first - cursor.next;
        Overtaken {
            missed: if lost { 1 } else { missed },
            lost,
        }
    }

    /// Returns how far the cursor is behind. It counts events that have been dropped, but not their bytes.
    #[must_use]
    pub fn backlog(&self, cursor: Cursor) -> Backlog {
        let (next, events) = match self.index(cursor) {
            Ok(index) => {
                let events = self.tail().next.saturating_sub(cursor.next);
                (self.entries.get(index), events)
            }
            Err(overtaken) => {
                let events = overtaken.missed + self.entries.len() as u64;
                (self.entries.front(), events)
            }
        };
        Backlog {
            events,
            bytes: next.map_or(0, |entry| self.end_offset - entry.offset),
        }
    }

    /// Returns the newest number, whether or not its event is still held.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the number up to which events may be missing.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Returns the number of the oldest event that is held.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.seq)
    }

    /// Returns the bytes that keeping the events costs.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many events are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no event is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::event::SseEvent;
    use crate::hub::UnnumberedEvent;

    /// Returns an event with `n` bytes of data.
    fn event(n: usize) -> NumberedEvent {
        let event = SseEvent::text("x".repeat(n));
        UnnumberedEvent::new(&event).unwrap().with_id("1-1")
    }

    fn ring(events: usize) -> Ring {
        let limits = HistoryLimits {
            events,
            age: Duration::from_secs(10),
        };
        Ring::new(limits, 0)
    }

    fn filled(events: usize, seqs: impl IntoIterator<Item = u64>) -> Ring {
        let mut ring = ring(events);
        for seq in seqs {
            ring.push(seq, event(1), None, Duration::ZERO);
        }
        ring
    }

    fn rest(ring: &mut Ring, mut cursor: Cursor) -> Vec<u64> {
        let mut read = Vec::new();
        while let Some(entry) = ring.peek(cursor).unwrap() {
            read.push(entry.seq);
            cursor.advance();
        }
        read
    }

    #[test]
    fn a_cursor_sees_only_events_published_after_it() {
        let mut ring = filled(9, [1]);
        let mut cursor = ring.tail();
        assert!(ring.peek(cursor).unwrap().is_none());
        ring.push(5, event(2), None, Duration::ZERO);
        assert_eq!(ring.peek(cursor).unwrap().unwrap().seq, 5);
        let bytes = event(2).bytes().len() as u64;
        assert_eq!(ring.backlog(cursor), Backlog { events: 1, bytes });
        cursor.advance();
        assert_eq!(ring.backlog(cursor), Backlog::default());
    }

    #[test]
    fn age_drops_the_oldest_and_raises_the_floor() {
        let mut ring = ring(100);
        let start = ring.tail();
        for second in 1..=3 {
            ring.push(second, event(1), None, Duration::from_secs(second));
        }
        ring.expire(Duration::from_secs(12));
        assert_eq!((ring.len(), ring.floor()), (2, 1));
        let overtaken = ring.peek(start).unwrap_err();
        assert_eq!((overtaken.missed, overtaken.lost), (1, false));
        ring.expire(Duration::from_secs(14));
        assert!(ring.is_empty());
        assert_eq!((ring.size(), ring.floor(), ring.last()), (0, 3, 3));
    }

    #[test]
    fn a_reader_resumes_after_any_number_from_the_floor_on() {
        let mut ring = filled(3, [2, 4, 6, 8]);
        assert_eq!(ring.after(1), None, "2 is gone");
        for (seq, expected) in [
            (2, vec![4, 6, 8]),
            (3, vec![4, 6, 8]),
            (4, vec![6, 8]),
            (7, vec![8]),
            (8, vec![]),
            (99, vec![]),
        ] {
            let cursor = ring.after(seq).unwrap();
            assert_eq!(rest(&mut ring, cursor), expected, "after {seq}");
        }
    }

    #[test]
    fn a_reader_resumes_in_history_that_was_prepended() {
        let mut ring = Ring::new(HistoryLimits::default(), 10);
        ring.push(12, event(1), None, Duration::ZERO);
        let live = ring.after(10).unwrap();
        assert_eq!(ring.after(5), None);
        assert!(ring.prepend(9, event(1), None, Duration::ZERO));
        assert!(ring.prepend(7, event(1), None, Duration::ZERO));
        assert!(
            !ring.prepend(8, event(1), None, Duration::ZERO),
            "7 is now the oldest"
        );
        ring.reaches_back_to(5);
        let cursor = ring.after(5).unwrap();
        assert_eq!(rest(&mut ring, cursor), [7, 9, 12]);
        assert_eq!(rest(&mut ring, live), [12]);
    }

    #[test]
    fn a_number_that_is_known_already_is_ignored() {
        let mut ring = filled(9, [1, 2, 2, 1, 3]);
        let cursor = ring.after(0).unwrap();
        assert_eq!(rest(&mut ring, cursor), [1, 2, 3]);
    }

    #[test]
    fn every_reader_before_a_loss_learns_of_it() {
        let mut ring = filled(9, [1, 2]);
        let (behind, up_to_date) = (ring.after(1).unwrap(), ring.tail());
        ring.lost_up_to(5);
        ring.push(6, event(1), None, Duration::ZERO);
        for cursor in [behind, up_to_date] {
            assert!(ring.peek(cursor).unwrap_err().lost);
        }
        assert_eq!(ring.after(4), None);
        let cursor = ring.after(5).unwrap();
        assert_eq!(rest(&mut ring, cursor), [6]);
    }

    #[test]
    fn events_fetched_after_a_loss_do_not_hide_it() {
        let mut ring = filled(9, [1, 2]);
        let up_to_date = ring.tail();
        ring.lost_up_to(5);
        assert_eq!(ring.backlog(up_to_date).events, 1);
        for seq in [5, 4, 3] {
            assert!(ring.prepend(seq, event(1), None, Duration::ZERO));
        }
        ring.reaches_back_to(2);
        assert!(ring.peek(up_to_date).unwrap_err().lost);
        let cursor = ring.after(2).unwrap();
        assert_eq!(rest(&mut ring, cursor), [3, 4, 5]);
    }

    #[test]
    fn an_event_prepended_to_an_empty_ring_keeps_its_time() {
        let mut ring = ring(9);
        ring.lost_up_to(5);
        assert!(ring.prepend(5, event(1), None, Duration::from_secs(60)));
        ring.expire(Duration::from_secs(65));
        assert_eq!(ring.len(), 1);
        ring.expire(Duration::from_secs(71));
        assert!(ring.is_empty());
    }

    #[test]
    fn readers_of_a_replaced_empty_ring_stay_at_the_tail() {
        let mut empty = ring(9);
        empty.restart(1, 5);
        let cursor = empty.tail();
        let mut next = ring(9).in_epoch(1).in_place_of(&empty);
        next.push(7, event(1), None, Duration::ZERO);
        assert_eq!((next.epoch(), rest(&mut next, cursor)), (1, vec![7]));
    }

    #[test]
    fn a_cursor_of_another_epoch_is_never_ahead() {
        let mut ring = filled(9, [5, 6, 7]);
        let cursors = [ring.after(5).unwrap(), ring.tail()];
        ring.restart(1, 0);
        for seq in 1..=4 {
            ring.push(seq, event(1), None, Duration::ZERO);
        }
        for cursor in cursors {
            assert!(ring.peek(cursor).unwrap_err().lost);
        }
        let cursor = ring.after(0).unwrap();
        assert_eq!(rest(&mut ring, cursor), [1, 2, 3, 4]);
    }

    #[test]
    fn who_resumes_where_an_event_came_late_is_uncertain() {
        let mut ring = filled(9, [1, 10, 12]);
        ring.mark_uncertain(10, 50);
        assert!(ring.after(9).is_some());
        assert_eq!(ring.after(10), None);
        assert_eq!(ring.after(49), None);
        assert!(ring.after(50).is_some());
    }

    #[test]
    fn the_newest_events_begin_behind_a_resumable_number() {
        let mut ring = filled(3, [2, 4, 6, 8]);
        for (count, expected) in [
            (1, vec![8]),
            (2, vec![6, 8]),
            (3, vec![4, 6, 8]),
            (9, vec![4, 6, 8]),
            (usize::MAX, vec![4, 6, 8]),
        ] {
            let (seq, cursor) = ring.newest(count).unwrap();
            assert_eq!(rest(&mut ring, cursor), expected, "of {count}");
            assert_eq!(ring.after(seq), Some(cursor));
        }
        assert_eq!((ring.newest(0), ring.resumable()), (None, 3));
        ring.lost_up_to(9);
        assert_eq!((ring.newest(9), ring.resumable()), (None, 0));
    }

    #[test]
    fn events_kept_for_readers_alone_are_not_the_newest() {
        let readers = HistoryLimits {
            events: 9,
            age: Duration::from_secs(60),
        };
        let mut ring = ring(2).keeping_for_readers(readers);
        for seq in 1..=5 {
            ring.push(seq, event(1), None, Duration::ZERO);
        }
        let (_, cursor) = ring.newest(usize::MAX).unwrap();
        assert_eq!(rest(&mut ring, cursor), [4, 5]);
        assert_eq!((ring.len(), ring.resumable()), (5, 2));
    }

    #[test]
    fn nothing_is_published_to_a_topic_behind_its_end() {
        let mut ring = filled(9, [2]);
        let reader = ring.tail();
        ring.finish(4, Some(event(1)), Duration::ZERO);
        ring.push(6, event(1), None, Duration::ZERO);
        ring.finish(7, None, Duration::ZERO);
        assert_eq!(rest(&mut ring, reader), [4]);
        assert!(ring.is_finished_by(4) && !ring.is_finished_by(3));
        let (before, cursor) = ring.last_event().unwrap().unwrap();
        assert_eq!((before, rest(&mut ring, cursor)), (3, vec![4]));
    }

    #[test]
    fn the_end_of_a_topic_outlives_its_last_event() {
        for lose in [
            |ring: &mut Ring| assert!(ring.drop_oldest() > 0),
            |ring: &mut Ring| ring.lost_up_to(9),
        ] {
            let mut ring = filled(9, []);
            ring.finish(4, Some(event(1)), Duration::from_secs(1));
            lose(&mut ring);
            assert_eq!(ring.last_event(), Err(ResetReason::Expired));
            assert_eq!((ring.after(3), ring.after(4)), (None, Some(ring.tail())));
            assert_eq!(
                ring.finished_for(Duration::from_secs(3)),
                Some(Duration::from_secs(2))
            );
            ring.restart(1, 0);
            assert!(!ring.is_finished() && ring.last_event() == Ok(None));
        }
    }

    #[test]
    fn a_topic_that_ends_without_an_event_owes_none() {
        let mut ring = filled(9, [2]);
        ring.finish(4, None, Duration::ZERO);
        assert_eq!(ring.last_event(), Ok(None));
        assert_eq!((ring.last(), ring.len()), (4, 1));
        assert!(ring.is_finished_by(2) && !ring.is_finished_by(1));
    }

    #[test]
    fn a_reader_skips_to_the_newest() {
        let ring = filled(9, 1..=9);
        let mut cursor = ring.after(0).unwrap();
        let keep = |events| Backlog {
            events,
            bytes: u64::MAX,
        };
        assert!(ring.skip_to_newest(&mut cursor, keep(4)));
        assert_eq!(ring.backlog(cursor).events, 4);
        assert!(!ring.skip_to_newest(&mut cursor, keep(4)));
        assert!(ring.skip_to_newest(&mut cursor, keep(0)));
        assert_eq!(ring.backlog(cursor).events, 0);
    }

    #[test]
    fn an_overtaken_reader_skips_what_is_gone() {
        let ring = filled(2, 1..=9);
        let mut cursor = Cursor { next: u64::MAX / 2 };
        let all = Backlog {
            events: 100,
            bytes: u64::MAX,
        };
        assert!(ring.skip_to_newest(&mut cursor, all));
        assert_eq!(ring.backlog(cursor).events, 2);
    }

    fn anybody() -> BatchRequest {
        BatchRequest {
            reader: ClientId::from_random_bytes([0; 16]),
            limit: u64::MAX,
            room: usize::MAX,
            with_ids: true,
        }
    }

    fn batch(ring: &mut Ring, wanted: BatchRequest) -> (u64, Bytes) {
        let batch = ring.batch(ring.after(0).unwrap(), wanted).unwrap().unwrap();
        (batch.events, batch.bytes)
    }

    #[test]
    fn readers_at_the_same_place_share_a_joined_batch() {
        let mut ring = filled(9, 1..=3);
        let (events, bytes) = batch(&mut ring, anybody());
        assert_eq!((events, &bytes[..]), (3, &event(1).bytes().repeat(3)[..]));
        assert_eq!(batch(&mut ring, anybody()).1.as_ptr(), bytes.as_ptr());
        ring.push(4, event(1), None, Duration::ZERO);
        assert_eq!(batch(&mut ring, anybody()).0, 4);
    }

    #[test]
    fn a_reader_that_wants_less_gets_no_larger_batch() {
        let someone = ClientId::from_random_bytes([1; 16]);
        let mut ring = filled(9, 1..=2);
        ring.push(3, event(1), Some(someone), Duration::ZERO);
        let all = batch(&mut ring, anybody());
        let length = event(1).bytes().len();
        for (wanted, events) in [
            (
                BatchRequest {
                    reader: someone,
                    ..anybody()
                },
                2,
            ),
            (
                BatchRequest {
                    limit: 2,
                    ..anybody()
                },
                2,
            ),
            (
                BatchRequest {
                    room: 3 * length - 1,
                    ..anybody()
                },
                2,
            ),
            (
                BatchRequest {
                    room: 1,
                    ..anybody()
                },
                1,
            ),
        ] {
            assert_eq!(batch(&mut ring, wanted).0, events, "{wanted:?}");
        }
        let plain = BatchRequest {
            with_ids: false,
            ..anybody()
        };
        assert_eq!(batch(&mut ring, plain).1, event(1).without_id().repeat(3));
        assert_eq!(batch(&mut ring, anybody()), all);
    }

    proptest! {
        /// A reader either sees every event once and in order, or learns how many it missed.
        #[test]
        fn a_reader_misses_nothing_silently(
            steps in proptest::collection::vec((any::<bool>(), 1_usize..20), 1..200),
            events in 1_usize..8,
        ) {
            let mut ring = ring(events);
            let mut cursor = ring.tail();
            let (mut published, mut read) = (0_u64, 0_u64);
            for (publish, size) in steps {
                if publish {
                    published += 1;
                    ring.push(published, event(size), None, Duration::ZERO);
                    continue;
                }
                match ring.peek(cursor) {
                    Ok(Some(entry)) => {
                        prop_assert_eq!(entry.seq, read + 1);
                        read += 1;
                        cursor.advance();
                    }
                    Ok(None) => prop_assert_eq!(read, published),
                    Err(Overtaken { missed, .. }) => {
                        prop_assert_eq!(published - read, missed + ring.len() as u64);
                        read = published;
                        cursor = ring.tail();
                    }
                }
            }
        }
    }
}
