//! What is read of the past: scans of the store, on threads that may wait for a disk.

use bytes::Bytes;
use helios_core::hub::EventId;
use helios_http::sse::backplane::{
    Ask, BackplaneError, BackplaneErrorKind, History, PastEvent, Watched, WatchedTopic,
};

use crate::sequence::time;
use crate::shared::Shared;
use crate::store::{Store, StoreError, event_key, finish_key, numbers, seq_of};
use crate::trimming::is_finished;

/// A question that outlives whoever asks.
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
        let from = past.first.max(after.saturating_add(1));
        let scanned = match from <= head.newest {
            // Nothing above is told to anybody yet.
            true => shared.in_store(|store| self.scan(store, head.epoch, from, head.newest)),
            false => Ok((Vec::new(), false)),
        };
        let (events, more) = scanned.map_err(unreadable)?;
        // What was trimmed meanwhile may be missing.
        if is_gone(shared.sequence().past(&self.topic).floor) {
            return Ok(History::Gone);
        }
        Ok(History::events(events, more))
    }

    /// The events of the topic from one number to another, as many as are asked for, and whether there are more.
    fn scan(
        &self,
        store: &Store,
        epoch: u64,
        from: u64,
        to: u64,
    ) -> Result<(Vec<PastEvent>, bool), StoreError> {
        let mut rows = store.range(event_key(&self.topic, from)..=event_key(&self.topic, to));
        let is_newest = self.after.is_none();
        let (mut events, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        while let Some(row) = if is_newest {
            rows.next_back()
        } else {
            rows.next()
        } {
            let (key, value) = row?;
            let event = event(&value, EventId::new(epoch, seq_of(&key)?))?;
            bytes = bytes.saturating_add(event.bytes.len());
            more = events.len() >= self.events || (bytes > self.bytes && !events.is_empty());
            if more {
                break;
            }
            events.push(event);
        }
        if is_newest {
            events.reverse();
        }
        Ok((events, more))
    }
}

fn event(value: &Bytes, id: EventId) -> Result<PastEvent, StoreError> {
    let ([_, at], bytes) = numbers::<2>(value)?;
    Ok(PastEvent::new(id, time(at), value.slice_ref(bytes)))
}

/// The topics are watched from now on.
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

/// Fills in what has finished these of the topics.
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
