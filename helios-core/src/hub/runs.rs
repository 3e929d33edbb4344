//! Events of one topic joined for the readers that are at the same place, so that they are joined once.

use std::collections::VecDeque;
use std::collections::vec_deque::IterMut;

use bytes::{Bytes, BytesMut};

use super::entry::{Cursor, Entry};
use crate::sse::ClientId;

/// What a reader wants of the events at its cursor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// What is not for it ends a run.
    pub(super) reader: ClientId,
    /// Nothing above this number.
    pub(super) limit: u64,
    /// No more bytes, unless the first event alone is larger.
    pub(super) room: usize,
    pub(super) with_ids: bool,
}

/// Consecutive events as they are written, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) events: u64,
    /// The number of the last event.
    pub(super) last: u64,
    pub(super) bytes: Bytes,
}

/// The runs that were joined last.
#[derive(Debug, Default)]
pub(super) struct Runs(VecDeque<Joined>);

#[derive(Debug)]
struct Joined {
    from: Cursor,
    with_ids: bool,
    /// Who does not get all of it.
    except: Vec<ClientId>,
    run: Run,
}

impl Joined {
    fn serves(&self, cursor: Cursor, wanted: Wanted) -> bool {
        self.from == cursor
            && self.with_ids == wanted.with_ids
            && self.run.last <= wanted.limit
            && self.run.bytes.len() <= wanted.room
            && !self.except.contains(&wanted.reader)
    }
}

impl Runs {
    /// Enough for readers that go through a history of several frames, one behind the other.
    const KEPT: usize = 4;

    pub(super) fn find(&self, cursor: Cursor, wanted: Wanted) -> Option<&Run> {
        let mut runs = self.0.iter();
        let found = runs.find(|joined| joined.serves(cursor, wanted))?;
        Some(&found.run)
    }

    /// Joins these events, and keeps them for who comes next. A single one is passed on without copying.
    pub(super) fn join(
        &mut self,
        from: Cursor,
        with_ids: bool,
        length: usize,
        mut entries: IterMut<'_, Entry>,
    ) -> Option<Run> {
        let first = entries.next()?;
        let mut run = Run {
            events: 1,
            last: first.seq,
            bytes: first.bytes(with_ids).clone(),
        };
        if entries.len() == 0 {
            return Some(run);
        }
        let mut except = Vec::from_iter(first.except);
        let mut joined = BytesMut::with_capacity(length);
        joined.extend_from_slice(&run.bytes);
        for entry in entries {
            joined.extend_from_slice(entry.bytes(with_ids));
            except.extend(entry.except);
            run.events += 1;
            run.last = entry.seq;
        }
        run.bytes = joined.freeze();
        self.keep(Joined {
            from,
            with_ids,
            except,
            run: run.clone(),
        });
        Some(run)
    }

    fn keep(&mut self, joined: Joined) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(joined);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
