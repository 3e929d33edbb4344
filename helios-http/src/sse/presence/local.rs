//! Members on this node. Streams appear and end, and this determines the rows that the tables should hold. It uses no
//! lock and no store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use helios_core::presence::PresenceError;
use helios_core::presence::table::Lease;
use helios_core::sse::{ClientId, SseError};
use tokio::sync::oneshot;

/// The topic and the key of a member.
pub(super) type Name = (Arc<str>, Arc<str>);

/// Receives whether the row is in the tables, or why it is not.
pub(super) type Waiter = oneshot::Sender<Result<(), SseError>>;

/// The next request for a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Put {
        data: Arc<str>,
        version: u64,
        /// Whether a stream has appeared. Otherwise the row is put again, or has the data of an older stream.
        is_new: bool,
    },
    Remove {
        lease: Lease,
        leaving: Leaving,
    },
}

/// How a stream leaves a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The member may come back until this time of the hub.
    Away(Duration),
    /// The app has removed the member.
    Final,
    /// The stream was never live. So the member is as it was before the stream appeared.
    #[default]
    Undone,
}

/// The result of putting a row.
pub(super) enum Outcome {
    Kept,
    /// No row was put.
    Refused(SseError),
    /// The row may be there.
    Unknown(SseError),
    /// No row was put. It will be, under another lease.
    LeaseLost,
}

#[derive(Default)]
pub(super) struct Local {
    slots: HashMap<Name, Slot>,
    by_stream: HashMap<ClientId, HashMap<Arc<str>, Arc<str>>>,
    version: u64,
    /// The number of members that a task is bringing up to date.
    busy: usize,
}

/// One member on this node.
#[derive(Default)]
struct Slot {
    /// The member's streams, the newest last. The data of the last one counts.
    streams: Vec<(ClientId, Arc<str>)>,
    /// The version of the last change of the data that counts. A stream that appears is such a change, too.
    version: u64,
    /// How the last stream that was live has left.
    leaving: Leaving,
    /// The row that the tables may hold, by its lease and version.
    row: Option<(Lease, u64)>,
    /// Whether a task is bringing the tables up to date.
    is_busy: bool,
    waiting: Vec<Waiting>,
}

/// A stream that waits until its row is in the tables.
struct Waiting {
    stream: ClientId,
    version: u64,
    /// The stream's data before, if it was there.
    before: Option<Arc<str>>,
    waiter: Waiter,
}

impl Slot {
    /// Returns the data that counts, or `None` if the member has no stream.
    fn data(&self) -> Option<Arc<str>> {
        let newest = self.streams.last();
        newest.map(|(_, data)| Arc::clone(data))
    }

    fn step(&self, lease: Lease) -> Option<Step> {
        match (self.streams.last(), self.row) {
            (Some(_), Some(row)) if row == (lease, self.version) => None,
            (Some((_, data)), _) => Some(Step::Put {
                data: Arc::clone(data),
                version: self.version,
                is_new: !self.waiting.is_empty(),
            }),
            (None, Some((lease, _))) => Some(Step::Remove {
                lease,
                leaving: self.leaving,
            }),
            (None, None) => None,
        }
    }
}

impl Local {
    /// Makes a stream appear in a topic, with other data, or as another member. Returns the members whose rows change.
    pub(super) fn appear(
        &mut self,
        stream: ClientId,
        (topic, key): (&str, &str),
        data: &str,
        most_topics: usize,
        waiter: Waiter,
    ) -> Result<Vec<Name>, SseError> {
        let topics = self.by_stream.get(&stream);
        let known = topics.and_then(|topics| topics.get(topic));
        if known.is_none() && topics.map_or(0, HashMap::len) >= most_topics {
            return Err(SseError::TooManyJoined { limit: most_topics });
        }
        let name: Name = (topic.into(), key.into());
        let before = known.filter(|before| ***before != *key).cloned();
        let before = before.map(|before| (Arc::clone(&name.0), before));
        let topics = self.by_stream.entry(stream).or_default();
        topics.insert(Arc::clone(&name.0), Arc::clone(&name.1));
        let mut changed = Vec::new();
        if let Some(before) = before {
            self.take_from(&before, stream, Leaving::Final);
            changed.push(before);
        }
        self.version += 1;
        let slot = self.slots.entry(name.clone()).or_default();
        let version = self.version;
        let mut known = slot.streams.iter();
        let known = known.position(|(known, _)| *known == stream);
        let before = known.map(|at| slot.streams.remove(at).1);
        slot.streams.push((stream, data.into()));
        slot.version = version;
        slot.waiting.push(Waiting {
            stream,
            version,
            before,
            waiter,
        });
        changed.push(name);
        Ok(changed)
    }

    /// Removes a stream's member from a topic.
    pub(super) fn disappear(
        &mut self,
        stream: ClientId,
        topic: &str,
        leaving: Leaving,
    ) -> Option<Name> {
        let topics = self.by_stream.get_mut(&stream)?;
        let (topic, key) = topics.remove_entry(topic)?;
        if topics.is_empty() {
            self.by_stream.remove(&stream);
        }
        let name = (topic, key);
        self.take_from(&name, stream, leaving);
        Some(name)
    }

    /// Removes a stream that has ended from all topics.
    pub(super) fn over(&mut self, stream: ClientId, leaving: Leaving) -> Vec<Name> {
        let names: Vec<_> = self
            .by_stream
            .remove(&stream)
            .into_iter()
            .flatten()
            .collect();
        for name in &names {
            self.take_from(name, stream, leaving);
        }
        names
    }

    /// Removes all streams.
    pub(super) fn all_over(&mut self, leaving: Leaving) -> Vec<Name> {
        let streams: Vec<_> = self.by_stream.keys().copied().collect();
        let names: HashSet<_> = streams
            .into_iter()
            .flat_map(|stream| self.over(stream, leaving))
            .collect();
        names.into_iter().collect()
    }

    fn take_from(&mut self, name: &Name, stream: ClientId, leaving: Leaving) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let before = slot.data();
        slot.streams.retain(|(known, _)| *known != stream);
        slot.waiting.retain(|it| it.stream != stream);
        if leaving != Leaving::Undone {
            slot.leaving = leaving;
        }
        // For the tables, a stream that did not count changes nothing.
        if slot.data() != before {
            self.version += 1;
            slot.version = self.version;
        }
    }

    /// Whether the caller should start to bring the row of a member up to date, because no task does.
    pub(super) fn begin(&mut self, name: &Name) -> bool {
        let slot = self.slots.get_mut(name);
        let begins = slot.is_some_and(|slot| !std::mem::replace(&mut slot.is_busy, true));
        self.busy += usize::from(begins);
        begins
    }

    /// Returns the next step for a member. Without one, the member is up to date, and its task ends.
    pub(super) fn next(&mut self, name: &Name, lease: Lease) -> Option<Step> {
        let slot = self.slots.get_mut(name)?;
        let step = slot.step(lease);
        if step.is_none() {
            slot.answer(u64::MAX);
            self.end(name);
        }
        step
    }

    /// Gives up on a member for now.
    pub(super) fn pause(&mut self, name: &Name, error: &SseError) {
        self.give_back(name, u64::MAX, error);
        self.end(name);
    }

    fn end(&mut self, name: &Name) {
        if let Some(slot) = self.slots.get_mut(name) {
            self.busy -= usize::from(std::mem::take(&mut slot.is_busy));
            if slot.streams.is_empty() && slot.row.is_none() {
                self.slots.remove(name);
            }
        }
    }

    /// Records the result of putting a row. Returns false to give up for now.
    pub(super) fn put(
        &mut self,
        name: &Name,
        lease: Lease,
        version: u64,
        outcome: Outcome,
    ) -> bool {
        let Some(slot) = self.slots.get_mut(name) else {
            return false;
        };
        match outcome {
            Outcome::Kept => {
                slot.row = Some((lease, version));
                slot.answer(version);
            }
            // The stream's previous data stays.
            Outcome::Refused(error) => {
                self.give_back(name, version, &error);
                let slot = self.slots.get(name);
                if slot.is_none_or(|slot| slot.version == version) {
                    self.end(name);
                    return false;
                }
            }
            Outcome::Unknown(error) => {
                // Version 0 matches no version, so the row is put or removed again.
                slot.row = Some((lease, 0));
                self.pause(name, &error);
                return false;
            }
            Outcome::LeaseLost => slot.row = None,
        }
        true
    }

    pub(super) fn removed(&mut self, name: &Name) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.row = None;
        }
    }

    /// Fails the streams that wait for their rows up to this version. Restores their previous data, unless a later
    /// change of the stream waits as well.
    fn give_back(&mut self, name: &Name, version: u64, error: &SseError) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let failed = slot.waiting.extract_if(.., |it| it.version <= version);
        let failed: Vec<_> = failed.collect();
        // If a stream has changed several times, the first change holds the data from before all of them.
        for it in failed.into_iter().rev() {
            let later = self
                .slots
                .get_mut(name)
                .and_then(|slot| slot.later(it.stream));
            match (later, it.before) {
                (Some(later), before) => later.before = before,
                (None, Some(before)) => self.set_data(name, it.stream, before),
                (None, None) => drop(self.disappear(it.stream, &name.0, Leaving::Undone)),
            }
            // The receiver may have been dropped.
            let _ = it.waiter.send(Err(error.clone()));
        }
    }

    fn set_data(&mut self, name: &Name, stream: ClientId, data: Arc<str>) {
        self.version += 1;
        if let Some(slot) = self.slots.get_mut(name) {
            let mut streams = slot.streams.iter_mut();
            if let Some((_, known)) = streams.find(|(known, _)| *known == stream) {
                (*known, slot.version) = (data, self.version);
            }
        }
    }

    /// Returns the members whose rows are not what they should be.
    pub(super) fn behind(&self, lease: Lease) -> Vec<Name> {
        let slots = self.slots.iter();
        let behind = slots.filter(|(_, slot)| !slot.is_busy && slot.step(lease).is_some());
        behind.map(|(name, _)| name.clone()).collect()
    }

    /// Whether no member is being brought up to date.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy == 0
    }
}

impl Slot {
    /// Returns the first change that a stream waits for.
    fn later(&mut self, stream: ClientId) -> Option<&mut Waiting> {
        let mut waiting = self.waiting.iter_mut();
        waiting.find(|it| it.stream == stream)
    }

    /// Notifies the streams that wait for this version or an earlier one that their row is there.
    fn answer(&mut self, version: u64) {
        for it in self.waiting.extract_if(.., |it| it.version <= version) {
            // The receiver may have been dropped.
            let _ = it.waiter.send(Ok(()));
        }
    }
}

/// Returns the error for a full topic.
pub(super) fn too_many(limit: usize) -> SseError {
    SseError::Presence(PresenceError::TooManyMembers { limit })
}

#[cfg(test)]
mod tests;
