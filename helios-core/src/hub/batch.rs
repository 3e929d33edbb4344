//! Events of one topic, joined for one write.
//!
//! Readers that keep up are at the same place in a topic and request the same events. The first of them joins the
//! events and caches the batch. The others share its bytes. Each change of the ring empties the cache.

use std::collections::VecDeque;
use std::collections::vec_deque::IterMut;

use bytes::{Bytes, BytesMut};

use super::entry::{Cursor, RingEntry};
use crate::sse::ClientId;

/// The events at its cursor that a reader requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchRequest {
    /// An event that excludes this reader ends the batch.
    pub(super) reader: ClientId,
    /// No event above this number is included.
    pub(super) limit: u64,
    /// The most bytes, unless the first event alone is larger.
    pub(super) room: usize,
    pub(super) with_ids: bool,
}

/// Consecutive events, encoded one after the other.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) events: u64,
    /// The number of the last event.
    pub(super) last: u64,
    pub(super) bytes: Bytes,
}

/// The batches that were joined most recently.
#[derive(Debug, Default)]
pub(super) struct BatchCache(VecDeque<CachedBatch>);

#[derive(Debug)]
struct CachedBatch {
    from: Cursor,
    with_ids: bool,
    /// The clients that one of the events excludes.
    except: Vec<ClientId>,
    batch: Batch,
}

impl CachedBatch {
    fn serves(&self, cursor: Cursor, wanted: BatchRequest) -> bool {
        self.from == cursor
            && self.with_ids == wanted.with_ids
            && self.batch.last <= wanted.limit
            && self.batch.bytes.len() <= wanted.room
            && !self.except.contains(&wanted.reader)
    }
}

impl BatchCache {
    /// Enough for readers that follow each other through a history of several frames.
    const KEPT: usize = 4;

    pub(super) fn find(&self, cursor: Cursor, wanted: BatchRequest) -> Option<&Batch> {
        let mut batches = self.0.iter();
        let found = batches.find(|joined| joined.serves(cursor, wanted))?;
        Some(&found.batch)
    }

    /// Joins these events and keeps the batch for the next reader. A single event is returned without copying.
    pub(super) fn join(
        &mut self,
        from: Cursor,
        with_ids: bool,
        length: usize,
        mut entries: IterMut<'_, RingEntry>,
    ) -> Option<Batch> {
        let first = entries.next()?;
        let mut batch = Batch {
            events: 1,
            last: first.seq,
            bytes: first.bytes(with_ids).clone(),
        };
        if entries.len() == 0 {
            return Some(batch);
        }
        let mut except = Vec::from_iter(first.except);
        let mut joined = BytesMut::with_capacity(length);
        joined.extend_from_slice(&batch.bytes);
        for entry in entries {
            joined.extend_from_slice(entry.bytes(with_ids));
            except.extend(entry.except);
            batch.events += 1;
            batch.last = entry.seq;
        }
        batch.bytes = joined.freeze();
        self.keep(CachedBatch {
            from,
            with_ids,
            except,
            batch: batch.clone(),
        });
        Some(batch)
    }

    fn keep(&mut self, joined: CachedBatch) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(joined);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
