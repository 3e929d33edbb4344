//! Reads of the past, which scan the store on threads that may wait for a disk.

use std::sync::Arc;

use bytes::Bytes;
use helios_core::hub::EventId;
use helios_http::sse::backplane::{
    Ask, BackplaneError, BackplaneErrorKind, History, PastEvent, Watched, WatchedTopic,
};

use crate::error::with_causes;
use crate::sequence::time;
use crate::shared::Shared;
use crate::store::{Past, Store, StoreError, event_key, finish_key, numbers, seq_of};
use crate::trimming::is_finished;

/// A question that outlives its caller.
pub(crate) struct Question {
    topic: String,
    after: Option<EventId>,
    events: usize,
    bytes: usize,
}

impl From<Ask<'_>> for Question {
    fn from(ask: Ask<'_>) -> Self {
        Self {
            topic: ask.topic.to_owned(),
            after: ask.after,
            events: ask.events,
            bytes: ask.bytes,
        }
    }
}

impl Question {
    pub(crate) fn answer(&self, shared: &Shared) -> Result<History, BackplaneError> {
        let (head, past) = {
            let sequence = shared.sequence();
            (sequence.head, sequence.past(&self.topic))
        };
        let is_gone = |floor| match self.after {
            Some(after) => after.epoch() != head.epoch || after.seq() < floor,
            None => false,
        };
        if is_gone(past.floor) {
            return Ok(History::Gone);
        }
        let after = self.after.map_or(0, EventId::seq);
        let from = past.first.max(after.max(past.floor).saturating_add(1));
        let scanned = match from <= head.newest {
            // Numbers above are not visible to anyone yet.
            true => shared.in_store(|store| self.scan(store, head.epoch, from, head.newest)),
            false => Ok(Scanned::default()),
        };
        let Scanned {
            mut events,
            mut prevs,
            more,
        } = match scanned {
            // To ask again would not help.
            Err(error) if self.after.is_some() && error.is_lost() => {
                let (topic, error) = (&self.topic, with_causes(&error));
                tracing::error!(?topic, error, "the event log cannot read a topic's history");
                return Ok(History::Gone);
            }
            scanned => scanned.map_err(unreadable)?,
        };
        // Events that were trimmed meanwhile may be missing.
        let floor = shared.sequence().past(&self.topic).floor;
        if is_gone(floor) {
            return Ok(History::Gone);
        }
        // This applies to the newest events too, because there may be a hole.
        let forgotten = events.iter().take_while(|event| event.id.seq() <= floor);
        let forgotten = forgotten.count();
        events.drain(..forgotten);
        prevs.drain(..forgotten);
        let more = more && forgotten == 0;
        let bottom = after.max(floor);
        let hole = hole(&events, &prevs, past.last, bottom, self.after, more);
        if let Some(hole) = hole {
            tell_hole(shared, &self.topic, hole);
            // Of the newest events, those behind the hole are complete.
            match self.after {
                None => events.retain(|event| event.id.seq() > hole),
                Some(_) => return Ok(History::Gone),
            }
        }
        Ok(History::events(events, more && hole.is_none()))
    }

    /// Returns the topic's events from one number to another, as many as requested, and whether there are more.
    fn scan(&self, store: &Store, epoch: u64, from: u64, to: u64) -> Result<Scanned, StoreError> {
        let mut rows = store.range(event_key(&self.topic, from)..=event_key(&self.topic, to));
        let is_newest = self.after.is_none();
        let (mut events, mut prevs) = (Vec::new(), Vec::new());
        let (mut bytes, mut more) = (0_usize, false);
        while let Some(row) = if is_newest {
            rows.next_back()
        } else {
            rows.next()
        } {
            let (key, value) = row?;
            let (prev, event) = event(&value, EventId::new(epoch, seq_of(&key)?))?;
            bytes = bytes.saturating_add(event.bytes.len());
            more = events.len() >= self.events || (bytes > self.bytes && !events.is_empty());
            if more {
                break;
            }
            events.push(event);
            prevs.push(prev);
        }
        if is_newest {
            events.reverse();
            prevs.reverse();
        }
        Ok(Scanned {
            events,
            prevs,
            more,
        })
    }
}

/// The events that were found, oldest first.
#[derive(Default)]
struct Scanned {
    events: Vec<PastEvent>,
    /// The number of the topic's event before each of them.
    prevs: Vec<u64>,
    /// Whether there are more events than were requested.
    more: bool,
}

/// Returns the highest number of the topic whose event should be present but is missing, because a file of the store
/// was damaged and the store does not report that. Any event up to `bottom` may be missing.
fn hole(
    events: &[PastEvent],
    prevs: &[u64],
    last: u64,
    bottom: u64,
    after: Option<EventId>,
    more: bool,
) -> Option<u64> {
    let seqs = events.iter().map(|event| event.id.seq());
    // If more events are left, they are at the end that was not requested first.
    let ends = match (after, more) {
        (Some(_), true) => events.last().map(|event| event.id.seq()),
        _ => Some(last),
    };
    let starts = match (after, more) {
        (None, true) => prevs.first().copied(),
        _ => Some(bottom),
    };
    let before = starts.into_iter().chain(seqs);
    let named = prevs.iter().copied().chain(ends);
    let pairs: Vec<_> = before.zip(named).collect();
    let holes = pairs.into_iter().rev();
    let mut holes = holes.filter(|(before, named)| named > before && *named > bottom);
    holes.next().map(|(_, named)| named)
}

/// Logs the hole once. From now on, it counts as forgotten.
fn tell_hole(shared: &Shared, topic: &str, hole: u64) {
    let mut sequence = shared.sequence();
    let (floor, id) = (sequence.past(topic).floor, sequence.id(hole));
    if let Some((topic, past)) = sequence.topics.get_key_value(topic)
        && floor < hole
    {
        tracing::error!(?topic, %id, "the event log's store was damaged: events of a topic are missing, up to this id");
        let (topic, floor) = (Arc::clone(topic), hole);
        let past = Past { floor, ..*past };
        sequence.set_past(&topic, past);
    }
}

fn event(value: &Bytes, id: EventId) -> Result<(u64, PastEvent), StoreError> {
    let ([prev, at], bytes) = numbers::<2>(value)?;
    Ok((prev, PastEvent::new(id, time(at), value.slice_ref(bytes))))
}

/// Watches the topics from now on.
pub(crate) fn watch(shared: &Shared, topics: &[String], now: u64) -> (Watched, Vec<usize>) {
    let mut sequence = shared.sequence();
    sequence.watched.extend(topics.iter().cloned());
    let pasts: Vec<_> = topics.iter().map(|topic| sequence.past(topic)).collect();
    let last = |seq: u64| Some(sequence.id(seq)).filter(|_| seq > 0);
    let answers = pasts.iter();
    let answers = answers.map(|past| WatchedTopic::new(last(past.last), None));
    let newest = sequence.id(sequence.head.newest);
    let finished = (0..).zip(&pasts);
    let finished = finished.filter(|(_, past)| is_finished(past, now));
    let finished = finished.map(|(n, _)| n).collect();
    (Watched::new(newest, answers.collect()), finished)
}

/// Adds the last events of those topics that are finished.
pub(crate) fn read_ends(
    shared: &Shared,
    topics: &[String],
    finished: &[usize],
    watched: &mut Watched,
) -> Result<(), BackplaneError> {
    let epoch = watched.newest.epoch();
    for n in finished {
        let (Some(topic), Some(answer)) = (topics.get(*n), watched.topics.get_mut(*n)) else {
            continue;
        };
        let row = shared.in_store(|store| store.get(&finish_key(topic)));
        if let Some(row) = row.map_err(unreadable)? {
            answer.finish = Some(end(&row, epoch).map_err(unreadable)?);
        }
    }
    Ok(())
}

fn end(row: &Bytes, epoch: u64) -> Result<PastEvent, StoreError> {
    let ([seq, at], bytes) = numbers::<2>(row)?;
    let id = EventId::new(epoch, seq);
    Ok(PastEvent::new(id, time(at), row.slice_ref(bytes)))
}

fn unreadable(error: StoreError) -> BackplaneError {
    BackplaneError::new(BackplaneErrorKind::Down, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_event_is_found_wherever_it_is() {
        let id = |seq| EventId::new(1, seq);
        // Each event names the one before: 0 <- 2 <- 3 <- 7 <- 9.
        let all = [(2, 0), (3, 2), (7, 3), (9, 7)];
        let find = |missing: &[u64], bottom, after: Option<u64>, more| {
            let rows = all
                .iter()
                .filter(|(seq, _)| !missing.contains(seq) && *seq > after.unwrap_or(0));
            let event = |(seq, _): &(u64, u64)| PastEvent::new(id(*seq), time(0), Bytes::new());
            let events: Vec<_> = rows.clone().map(event).collect();
            let prevs: Vec<_> = rows.map(|(_, prev)| *prev).collect();
            hole(&events, &prevs, 9, bottom, after.map(id), more)
        };
        for (missing, bottom, after, more, found) in [
            (&[][..], 0, None, false, None),
            (&[], 0, Some(0), false, None),
            (&[], 5, Some(5), false, None),
            (&[], 20, Some(20), false, None),
            (&[2], 0, Some(0), false, Some(2)),
            (&[2], 2, Some(2), false, None),
            (&[2], 0, None, false, Some(2)),
            // Events were trimmed, or there are more than were requested.
            (&[2, 3], 3, None, false, None),
            (&[2, 3], 0, None, true, None),
            (&[3], 0, None, false, Some(3)),
            (&[2, 7], 0, None, false, Some(7)),
            (&[9], 0, None, false, Some(9)),
            (&[9], 3, Some(3), false, Some(9)),
            (&[9], 3, Some(3), true, None),
            (&[2, 3, 7, 9], 0, Some(0), false, Some(9)),
            (&[2, 3, 7, 9], 0, None, false, Some(9)),
            (&[2, 3, 7, 9], 9, Some(9), false, None),
        ] {
            let asked = format!("{missing:?} {bottom} {after:?} {more}");
            assert_eq!(find(missing, bottom, after, more), found, "{asked}");
        }
    }
}
