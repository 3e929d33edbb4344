//! The bounded log of one topic, and what is known of the events that it does not hold.
//!
//! Events are counted in two ways. The **number** of an event is its place in the hub's one sequence: it orders the events of
//! all topics, and leaves gaps within one. The **index** of an event counts the events of this topic alone, without gaps. Ids
//! and limits are numbers, a [`Cursor`] is an index. A reader thus moves by as many events as it has read, and what it has
//! yet to read is a subtraction.
//!
//! # Why a cursor is never ahead of the ring
//!
//! 1. Every cursor comes from the ring: from [`Ring::tail`], behind the newest event, or from [`Ring::after`], [`Ring::newest`] or
//!    [`Ring::last_event`], behind an event that is held or before the first one. None of them is beyond the tail.
//! 2. A reader moves its cursor only past events that [`Ring::peek`] or [`Ring::batch`] has given it, and these give what is
//!    held.
//! 3. The tail, `first + entries.len()`, never goes back. A push raises it. Dropping the oldest event raises `first` and takes
//!    an entry; history put before the rest lowers `first` and adds one. A loss raises it by [`GAP`].
//!
//! So a cursor at the tail has read everything, and one before `first` has been overtaken. There is no third case.
//!
//! # How history is trimmed under readers
//!
//! 1. The ring waits for nobody. The oldest event goes when a limit says so, also if somebody has yet to read it.
//! 2. Trimming tells no reader. The reader finds its cursor before `first` when it reads next, and is [`Overtaken`]: nothing is
//!    missed silently, and trimming costs the same for one reader and for thousands.
//! 3. There are two bounds. `limits` say how much history can be resumed; `for_readers` say how much is kept beyond that for
//!    those that are connected, as a burst longer than history is no fault of theirs. The first `expired` entries are kept for
//!    readers alone. `floor` is the newest number of what cannot be resumed, `first` the index of what can be read.
//!
//! # What can be resumed
//!
//! 1. All that was published above `floor` is held, so a client that has seen everything up to a number at or above it can go
//!    on. Below it something may be gone, and [`Ring::after`] refuses.
//! 2. History that is fetched from elsewhere is put before the rest, newest first, and `floor` is lowered when it is complete.
//!    An event that does not join on would leave a hole that no reader could see.
//! 3. A late event makes ids uncertain. Events may cross between servers so that one arrives behind others with greater
//!    numbers. Clients were told ids up to the newest of these while it was missing here. A client that brings such an id may
//!    have seen the late event on another server, or not, so it is reset ([`Ring::mark_uncertain`]).
//! 4. What never arrives is a loss ([`Ring::lost_up_to`]). Everything held before it goes, and the indices jump by [`GAP`], so
//!    that every reader from before is overtaken and no one reads on as if nothing were missing.
//!
//! # How a topic ends
//!
//! A topic is finished by a mark, which has a number of its own, and may have a last event of the same number. Everything that
//! follows is about one question: why does every reader get the last event and the end, and why does nobody hang?
//!
//! 1. The mark is set under the topic's lock, where numbers are given out, and readers are woken for it as for an event. So what
//!    was published before has a lesser number, and nothing comes behind it: [`Ring::push`] ignores that.
//! 2. Every look at a topic notes the mark. A reader is through with a topic when the mark is there and its cursor is at the tail
//!    ([`Subscriber::has_finished`](super::Subscriber::has_finished)). That stays true, as the tail of a finished ring does not
//!    move but by a loss, which tells every reader.
//! 3. Take a reader that joins at that very moment. Its cursor is set under the same lock. If it came before the mark, it was not
//!    registered yet or is woken: its next look finds the mark. If it came after, its cursor is set **before** the last event
//!    ([`Ring::last_event`]), and the mark is there at its first look. There is no third case, and neither needs a wake-up that it
//!    could miss.
//! 4. The mark does not depend on the head. Where the last event is above the head that a reader has loaded, the reader has not
//!    read it, and knows that it is there, as of any event.
//! 5. Trimming may drop the last event, and never the mark. A client that should have begun with it is then told by a reset
//!    ([`ResetReason::Expired`]). A loss keeps the mark too; another epoch clears it.
//! 6. A client that brings a number at or above the mark's has everything, whatever has become of the history.
//!
//! # What an epoch is here
//!
//! Numbers can be compared only within one epoch. The hub compares that of an id with its own before it asks for the number, and
//! a reader compares its own with that of the ring ([`Ring::epoch`]) each time that it has the topic's lock. When the hub goes on
//! in another epoch, numbers begin anew. Everything that follows is about one question: why does no reader take a number of one
//! epoch for one of another?
//!
//! 1. The hub restarts all rings ([`Ring::restart`]), then it lets its epoch and its head be seen, and only then it publishes. So
//!    a reader that sees the new epoch finds no ring of the old one, but for those of topics that were removed.
//! 2. A reader takes nothing from a ring of an epoch that is not its own. It holds everything back, as where a topic is catching up,
//!    and waits for the topic. The hub wakes all who wait once more when its epoch can be seen.
//! 3. The reader then goes over ([`Subscriber::go_over`](super::Subscriber::go_over)): it takes cursors of the new epoch, and gives
//!    up every number of the old one. It has to leave what was removed before: that does not come there.
//! 4. Indices go on behind a gap. So a cursor of before, with which nothing is read, is never ahead of the ring either.

use std::collections::VecDeque;
use std::time::Duration;

use super::batch::{Batch, BatchCache, BatchRequest};
use super::entry::{Backlog, Cursor, RingEntry};
use super::limits::HistoryLimits;
use super::numbered::NumberedEvent;
use crate::sse::{ClientId, ResetReason};

/// The ring has dropped events that the cursor had not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber was overtaken: {missed} events are gone")]
pub struct Overtaken {
    /// How many events this cursor will never see, at least.
    pub missed: u64,
    /// Whether they never arrived. If not, the subscriber was too slow for them.
    pub lost: bool,
}

/// The numbers, from `from` on and below `to`, that were given out as ids while an event among them had not arrived yet. A
/// client with such an id may or may not have seen that event.
#[derive(Clone, Copy, Debug)]
struct Uncertain {
    from: u64,
    to: u64,
}

/// The end of a topic.
#[derive(Clone, Copy, Debug)]
struct Finish {
    /// The number of the last event. Whoever has everything up to it has all that there will ever be.
    last_event: u64,
    /// Whether the topic was finished with that event. If not, nobody is owed it for the end's sake.
    has_event: bool,
    at: Duration,
}

/// The jump of indices over what never arrived. It is further than history can be put before the rest, so an index from
/// before the gap is never one behind it.
const GAP: u64 = 1 << 32;

/// A bounded log of encoded events. It grows on demand.
#[derive(Debug)]
pub struct Ring {
    entries: VecDeque<RingEntry>,
    /// That of all its numbers.
    epoch: u64,
    /// The index of the first entry held. It begins in the middle of the range, so that history can be put before it.
    first: u64,
    /// Everything above this number is held. What is up to it may be gone.
    floor: u64,
    /// The newest number, whether held or not.
    last: u64,
    /// The bytes ever published. The difference of two offsets is the bytes between them, without a sum over entries.
    end_offset: u64,
    /// The bytes that keeping the entries costs.
    size: u64,
    /// Whether events may be missing after `last`. Nothing above it is read until they have arrived.
    catching_up: bool,
    uncertain: Option<Uncertain>,
    /// Nothing is published any more.
    finish: Option<Finish>,
    /// Cursors before this one have missed something that never arrived, and were not too slow.
    lost: Cursor,
    limits: HistoryLimits,
    /// The bounds of what is kept beyond the limits for connected readers, and cannot be resumed.
    for_readers: HistoryLimits,
    /// How many of the oldest entries are beyond the limits.
    expired: usize,
    /// The batches that readers have joined since the ring changed last.
    batches: BatchCache,
}

impl Ring {
    /// An empty ring of a topic of which nothing up to the number `floor` is known.
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

    /// Counts in this epoch.
    #[must_use]
    pub fn in_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Takes the place of a ring from which nothing was read: cursors at that one's tail are at this one's.
    #[must_use]
    pub fn in_place_of(mut self, empty: &Self) -> Self {
        self.first = empty.tail().next;
        self
    }

    /// Returns the epoch of its numbers.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Appends an event at time `now`, which is counted from any fixed start, and drops what is over the limits. An event
    /// whose number is not above the newest one is known already, and ignored; so is what is behind the end of the topic.
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

    /// Notes that what has this number is in the topic, and for none of its readers.
    pub fn pass(&mut self, seq: u64) {
        if seq > self.last && !self.is_finished() {
            self.last = seq;
        }
    }

    /// Finishes the topic at time `now`, with a last event or without. Nothing is published to it any more.
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

    /// Finishes the topic at time `now` behind all that is known of it: its end has been lost, and what came before.
    pub fn finish_behind(&mut self, now: Duration) {
        self.finish.get_or_insert(Finish {
            last_event: self.last,
            has_event: false,
            at: now,
        });
    }

    /// Whether the topic is finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether the topic is finished, and its last event has the number `seq` or one before: whoever has everything up to there
    /// has all of it.
    #[must_use]
    pub fn is_finished_by(&self, seq: u64) -> bool {
        self.finish.is_some_and(|finish| finish.last_event <= seq)
    }

    /// Returns how long the topic has been finished at time `now`, if it is.
    #[must_use]
    pub fn finished_for(&self, now: Duration) -> Option<Duration> {
        self.finish.map(|finish| now.saturating_sub(finish.at))
    }

    /// Returns the number right before the last event of a finished topic, and the cursor there: nobody who comes now may begin
    /// behind it. `None` if there is no such event.
    ///
    /// # Errors
    ///
    /// [`ResetReason::Expired`] if there was one, and it is gone.
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

    /// Puts other limits in force, from the next event on.
    pub fn set_limits(&mut self, limits: HistoryLimits, for_readers: HistoryLimits) {
        self.limits = limits;
        self.for_readers = for_readers;
    }

    /// Puts an older event before all others, which was published at the time `at`. Returns false if the limits leave no room for
    /// it. The caller sees to it that nothing between it and the first one is missing.
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
            // Times ascend in a ring, whatever the clocks of other servers say.
            at: front.map_or(at, |entry| entry.at.min(at)),
            offset: offset - event.bytes().len() as u64,
            event,
        };
        self.size += entry.size();
        self.first -= 1;
        self.entries.push_front(entry);
        true
    }

    /// Notes that history is complete now from behind the number `floor` on.
    pub fn reaches_back_to(&mut self, floor: u64) {
        self.floor = self.floor.min(floor);
    }

    /// Drops what is over the limits at time `now`.
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

    /// Raises the floor over what can be resumed no more. The entries stay for connected readers.
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

    /// Drops the oldest event, and returns the bytes that keeping it cost.
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

    /// Frees the memory of a burst long gone: a quiet topic keeps none.
    fn shrink(&mut self) {
        let (length, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > 64 && length < capacity / 4 {
            self.entries.shrink_to(2 * length);
        }
    }

    /// Lets nothing more be read until [`Ring::caught_up`]: events are missing after the newest one.
    pub fn catch_up(&mut self) {
        self.catching_up = true;
    }

    /// Lets readers go on: the missing events have arrived, or are known to be lost.
    pub fn caught_up(&mut self) {
        self.catching_up = false;
    }

    /// Notes that what was published after the newest event held, up to the number `floor`, never arrives. Everything held
    /// before goes too, since nobody may read on as if nothing were missing.
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

    /// Begins another epoch, of which nothing up to the number `floor` is known. Readers read on when they are of it, too.
    pub fn restart(&mut self, epoch: u64, floor: u64) {
        self.lost_up_to(floor);
        self.epoch = epoch;
        self.last = floor;
        self.floor = floor;
        self.catching_up = false;
        self.uncertain = None;
        self.finish = None;
    }

    /// Notes that the event `from` arrives late: clients with an id from there on and below `to` may have missed it.
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

    /// Returns the cursor of a subscriber that sees what comes from now on.
    #[must_use]
    pub fn tail(&self) -> Cursor {
        Cursor {
            next: self.first + self.entries.len() as u64,
        }
    }

    /// Returns the cursor of a subscriber that has seen everything up to the number `seq`, or `None` if something after it is
    /// gone. Nothing is behind the end of the topic, so nothing of that is gone.
    #[must_use]
    pub fn after(&self, seq: u64) -> Option<Cursor> {
        let is_gone = seq < self.floor && !self.is_finished_by(seq);
        if is_gone || self.is_uncertain(seq) {
            return None;
        }
        Some(self.behind(seq))
    }

    /// Returns the number behind which the newest `count` of the events begin that can be resumed, or all if they are fewer,
    /// and the cursor of a subscriber that begins there. `None` if there are none.
    ///
    /// A client may be told that number even where ids are uncertain: it begins behind it and has nothing to miss before. If it
    /// brings the number back, it is reset as everybody is.
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

    /// Returns the cursor behind everything that may be gone, and the number there: where a reader goes on that comes from another
    /// epoch.
    pub(super) fn start(&self) -> (u64, Cursor) {
        (self.floor, self.behind(self.floor))
    }

    fn behind(&self, seq: u64) -> Cursor {
        Cursor {
            next: self.first + self.read_up_to(seq) as u64,
        }
    }

    /// Returns how many of the events held are not above the number `seq`.
    fn read_up_to(&self, seq: u64) -> usize {
        self.entries.partition_point(|entry| entry.seq <= seq)
    }

    /// Whether a client with everything up to the number `seq`, from here or from another server, may have missed what came
    /// late here.
    #[must_use]
    pub fn is_uncertain(&self, seq: u64) -> bool {
        let holds = |uncertain: &Uncertain| uncertain.from <= seq && seq < uncertain.to;
        self.uncertain.as_ref().is_some_and(holds)
    }

    /// Moves a cursor that resumed after the number `seq` past what may or may not have been seen. Returns false if there is
    /// nothing to skip.
    pub fn skip_uncertain(&self, cursor: &mut Cursor, seq: u64) -> bool {
        let behind = self.behind(seq);
        let skips = self.is_uncertain(seq) && behind > *cursor;
        if skips {
            *cursor = behind;
        }
        skips
    }

    /// Moves a cursor forward so that at most the newest `keep` are left to it. Returns false if it need not move.
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
    /// [`Overtaken`] if it has been dropped already.
    pub fn peek(&mut self, cursor: Cursor) -> Result<Option<&mut RingEntry>, Overtaken> {
        let index = self.index(cursor)?;
        Ok(self.entries.get_mut(index))
    }

    /// Returns the events at the cursor, joined as far as they are `wanted`. Readers that want the same share the bytes. It is
    /// `None` if the first event is not wanted.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if it has been dropped already.
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

    /// Returns how far the cursor is behind. Of what is gone already it counts the events, and not their bytes.
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

    /// Returns the newest number, whether the event is still held or not.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the number up to which events may be gone.
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

    /// Whether no event is held.
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

    /// An event whose data make `n` bytes.
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
    fn a_cursor_sees_what_is_published_after_it_and_nothing_before() {
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
    fn history_put_before_the_first_event_is_read_by_who_resumes_there() {
        let mut ring = Ring::new(HistoryLimits::default(), 10);
        ring.push(12, event(1), None, Duration::ZERO);
        let live = ring.after(10).unwrap();
        assert_eq!(ring.after(5), None);
        assert!(ring.prepend(9, event(1), None, Duration::ZERO));
        assert!(ring.prepend(7, event(1), None, Duration::ZERO));
        assert!(
            !ring.prepend(8, event(1), None, Duration::ZERO),
            "7 is the oldest now"
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
    fn a_loss_is_told_to_every_reader_and_to_who_resumes_before_it() {
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
    fn what_is_fetched_after_a_loss_hides_it_from_no_reader() {
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
    fn what_is_put_before_an_empty_ring_is_as_new_as_a_published_event() {
        let mut ring = ring(9);
        ring.lost_up_to(5);
        assert!(ring.prepend(5, event(1), None, Duration::from_secs(60)));
        ring.expire(Duration::from_secs(65));
        assert_eq!(ring.len(), 1);
        ring.expire(Duration::from_secs(71));
        assert!(ring.is_empty());
    }

    #[test]
    fn a_ring_that_takes_the_place_of_an_empty_one_leaves_its_readers_at_the_tail() {
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
    fn the_newest_events_begin_behind_a_number_that_can_be_resumed() {
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
    fn what_is_kept_for_readers_alone_is_not_among_the_newest() {
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
    fn readers_at_the_same_place_share_what_one_of_them_has_joined() {
        let mut ring = filled(9, 1..=3);
        let (events, bytes) = batch(&mut ring, anybody());
        assert_eq!((events, &bytes[..]), (3, &event(1).bytes().repeat(3)[..]));
        assert_eq!(batch(&mut ring, anybody()).1.as_ptr(), bytes.as_ptr());
        ring.push(4, event(1), None, Duration::ZERO);
        assert_eq!(batch(&mut ring, anybody()).0, 4);
    }

    #[test]
    fn what_is_joined_for_others_is_given_to_no_reader_that_wants_less() {
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
        /// A reader either sees every event once and in order, or is told how many it missed.
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
