//! Who is in which topic on this node: streams appear and end, and the rows that the tables should have follow. It knows neither lock
//! nor store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use helios_core::presence::PresenceError;
use helios_core::presence::table::Lease;
use helios_core::sse::{ClientId, SseError};
use tokio::sync::oneshot;

/// The topic and the key.
pub(super) type Name = (Arc<str>, Arc<str>);

/// Told when a row is in the tables, or why it is not.
pub(super) type Waiter = oneshot::Sender<Result<(), SseError>>;

/// What is to be done with a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Put { data: Arc<str>, version: u64 },
    Remove { lease: Lease, grace: Duration },
}

/// What came of putting a row.
pub(super) enum Outcome {
    Kept,
    /// Nothing was put.
    Refused(SseError),
    /// It may be there.
    Unknown(SseError),
    /// Nothing was put; it will be, under another lease.
    LeaseLost,
}

#[derive(Default)]
pub(super) struct Local {
    slots: HashMap<Name, Slot>,
    by_stream: HashMap<ClientId, HashMap<Arc<str>, Arc<str>>>,
    version: u64,
    /// Members that somebody brings up to date.
    busy: usize,
}

/// One member here.
#[derive(Default)]
struct Slot {
    /// The newest last: its data counts.
    streams: Vec<(ClientId, Arc<str>)>,
    /// Of the last change of `streams`.
    version: u64,
    /// The grace of the member, when there is no stream any more.
    grace: Duration,
    /// The row that the tables may have: of which lease, and at which version.
    row: Option<(Lease, u64)>,
    /// Somebody brings the tables up to date.
    is_busy: bool,
    waiting: Vec<Waiting>,
}

/// A stream that is to be told when its row is there.
struct Waiting {
    stream: ClientId,
    version: u64,
    /// Its data before, if it was there.
    before: Option<Arc<str>>,
    waiter: Waiter,
}

impl Slot {
    fn step(&self, lease: Lease) -> Option<Step> {
        match (self.streams.last(), self.row) {
            (Some(_), Some(row)) if row == (lease, self.version) => None,
            (Some((_, data)), _) => Some(Step::Put {
                data: Arc::clone(data),
                version: self.version,
            }),
            (None, Some((lease, _))) => Some(Step::Remove {
                lease,
                grace: self.grace,
            }),
            (None, None) => None,
        }
    }
}

impl Local {
    /// A stream appears in a topic, with other data, or as somebody else. Gives the members whose rows change.
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
            self.take_from(&before, stream, Duration::ZERO);
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

    /// A stream is in a topic no more.
    pub(super) fn disappear(&mut self, stream: ClientId, topic: &str) -> Option<Name> {
        let topics = self.by_stream.get_mut(&stream)?;
        let (topic, key) = topics.remove_entry(topic)?;
        if topics.is_empty() {
            self.by_stream.remove(&stream);
        }
        let name = (topic, key);
        self.take_from(&name, stream, Duration::ZERO);
        Some(name)
    }

    /// A stream is over.
    pub(super) fn over(&mut self, stream: ClientId, grace: Duration) -> Vec<Name> {
        let names: Vec<_> = self
            .by_stream
            .remove(&stream)
            .into_iter()
            .flatten()
            .collect();
        for name in &names {
            self.take_from(name, stream, grace);
        }
        names
    }

    /// All streams are over.
    pub(super) fn all_over(&mut self, grace: Duration) -> Vec<Name> {
        let streams: Vec<_> = self.by_stream.keys().copied().collect();
        let names: HashSet<_> = streams
            .into_iter()
            .flat_map(|stream| self.over(stream, grace))
            .collect();
        names.into_iter().collect()
    }

    fn take_from(&mut self, name: &Name, stream: ClientId, grace: Duration) {
        self.version += 1;
        if let Some(slot) = self.slots.get_mut(name) {
            slot.streams.retain(|(known, _)| *known != stream);
            slot.waiting.retain(|it| it.stream != stream);
            (slot.version, slot.grace) = (self.version, grace);
        }
    }

    /// Whether somebody is to begin to bring the row of a member up to date.
    pub(super) fn begin(&mut self, name: &Name) -> bool {
        let slot = self.slots.get_mut(name);
        let begins = slot.is_some_and(|slot| !std::mem::replace(&mut slot.is_busy, true));
        self.busy += usize::from(begins);
        begins
    }

    /// The next step; without one, nobody brings it up to date any more.
    pub(super) fn next(&mut self, name: &Name, lease: Lease) -> Option<Step> {
        let slot = self.slots.get_mut(name)?;
        let step = slot.step(lease);
        if step.is_none() {
            slot.answer(u64::MAX);
            self.end(name);
        }
        step
    }

    /// Gives up for now.
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

    /// Notes what came of putting a row; false if it gives up for now.
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
            // What was there stays there.
            Outcome::Refused(error) => {
                self.give_back(name, version, &error);
                let slot = self.slots.get(name);
                if slot.is_none_or(|slot| slot.version == version) {
                    self.end(name);
                    return false;
                }
            }
            Outcome::Unknown(error) => {
                // Of no version: it is put or removed again.
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

    /// Streams that wait for their rows, up to this version, have waited in vain: they are as they were before.
    fn give_back(&mut self, name: &Name, version: u64, error: &SseError) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let failed = slot.waiting.extract_if(.., |it| it.version <= version);
        let failed: Vec<_> = failed.collect();
        // Of several changes of one stream, the first knows what was before all of them.
        for it in failed.into_iter().rev() {
            match it.before {
                Some(before) => self.set_data(name, it.stream, before),
                None => drop(self.disappear(it.stream, &name.0)),
            }
            // Nobody may wait any more.
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

    /// The members whose rows are not what they should be.
    pub(super) fn behind(&self, lease: Lease) -> Vec<Name> {
        let slots = self.slots.iter();
        let behind = slots.filter(|(_, slot)| !slot.is_busy && slot.step(lease).is_some());
        behind.map(|(name, _)| name.clone()).collect()
    }

    /// Whether nobody brings anything up to date.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy == 0
    }
}

impl Slot {
    /// Tells those who wait for this version, or an earlier one, that it is there.
    fn answer(&mut self, version: u64) {
        for it in self.waiting.extract_if(.., |it| it.version <= version) {
            // Nobody may wait any more.
            let _ = it.waiter.send(Ok(()));
        }
    }
}

/// The error of a topic that is full.
pub(super) fn too_many(limit: usize) -> SseError {
    SseError::Presence(PresenceError::TooManyMembers { limit })
}
