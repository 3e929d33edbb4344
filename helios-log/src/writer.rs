//! The writer's thread. It commits events that are published at the same time together, hands them over, and answers
//! their publishers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use helios_core::hub::EventId;
use helios_http::sse::backplane::{
    BackplaneError, BackplaneErrorKind, BackplaneEvent, Startup, Status,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::with_causes;
use crate::folder::{Folder, Mark};
use crate::full;
use crate::machine::{Act, Machine};
use crate::sequence::{Event, GROUP_EVENTS, Group, millis};
use crate::shared::Shared;
use crate::store::{Change, LAG, Store, StoreError, caught, key_key, numbers, pack};
use crate::trimming::Trimming;

/// The most bytes that are committed together.
const GROUP_BYTES: usize = 4 << 20;

/// How often written data is synced to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// How long a group waits to become as large as the last one. If each group is synced, the wait can grow to the second
/// value.
const PATIENCE: Duration = Duration::from_micros(20);
const MOST_PATIENCE: Duration = Duration::from_micros(500);

/// How soon a full disk is checked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The same for a check of room for whole tables, which briefly uses up the room that is left.
const LOOK_LONGER: Duration = Duration::from_secs(5);

/// A change of the clock's lag that is worth remembering, in milliseconds.
const JUMP: u64 = 1_000;

/// Says when a publish returns and subscribers see the event.
///
/// | | survives the process, `kill -9` | survives power loss |
/// | --- | --- | --- |
/// | [`Durability::Os`] | each event | all but the last second; then all clients are reset |
/// | [`Durability::Always`] | each event | each event, and no client is reset |
///
/// On systems other than Linux, [`Durability::Os`] resets all clients after a `kill -9` as well, because these systems
/// do not distinguish boots.
///
/// ```
/// use helios::log::{Durability, Log};
///
/// let log = Log::open("data/sse").durability(Durability::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The operating system has the event, and it is synced to the disk within about a second. This is the default.
    #[default]
    Os,
    /// The event has been synced to the disk. Events published at the same time are synced together.
    Always,
}

pub(crate) enum Message {
    Publish(Request),
    /// A row to be written by itself.
    Note(Change, oneshot::Sender<Result<(), BackplaneError>>),
    Stop(oneshot::Sender<()>),
}

/// An event that waits to be published.
pub(crate) struct Request {
    pub(crate) event: Event,
    pub(crate) answer: oneshot::Sender<Result<EventId, BackplaneError>>,
    /// Its place among the events that may wait.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// The result of a request.
#[derive(Clone, Copy)]
enum Outcome {
    /// The event was published before.
    Known(u64),
    /// The event belongs to the group.
    Numbered(u64),
    /// The event comes after an end that belongs to the group.
    AfterEnd,
    Refused(BackplaneErrorKind),
}

#[derive(Debug)]
enum Health {
    Well,
    /// The disk is full.
    Full(Full),
    Failed(String),
}

/// The work to be done when there is room again.
#[derive(Debug, Default)]
struct Full {
    /// Changes that undo or repeat what could not be written.
    amends: Vec<Change>,
    /// The bytes that the store has to write to tables.
    tables: u64,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    folder: Folder,
    mark: Mark,
    disk: fn(Act) -> io::Result<()>,
    startup: Startup,
    durability: Durability,
    trimming: Trimming,
    health: Health,
    /// Whether some data has not been synced to the disk yet.
    is_dirty: bool,
    /// The size of the last group.
    together: usize,
    /// How long to wait for a group of that size.
    patience: Duration,
    looked: Option<Instant>,
    /// The lag of the clock that the store remembers.
    lag: i64,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        folder: Folder,
        mark: Mark,
        machine: Machine,
        startup: Startup,
        durability: Durability,
        max_bytes: u64,
    ) -> Self {
        let (began, lag) = (shared.clock.now(), shared.clock.lag());
        let trimming = Trimming::new(max_bytes, millis(startup.keep_keys), began);
        Self {
            shared,
            folder,
            mark,
            disk: machine.disk,
            startup,
            durability,
            trimming,
            health: Health::Well,
            is_dirty: false,
            together: 0,
            patience: PATIENCE,
            looked: None,
            lag,
        }
    }

    /// Starts with a full disk. These changes wait for room.
    pub(crate) fn waiting_for_room(mut self, amends: Vec<Change>) -> Self {
        let path = self.folder.path().display();
        tracing::error!(%path, "the event log's disk is full: nothing can be published");
        self.health = Health::Full(Full { amends, tables: 0 });
        self
    }

    /// Handles messages until it is stopped, or all senders are dropped.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        let mut ticked = Instant::now();
        let stopped = loop {
            let tick = SYNC.saturating_sub(ticked.elapsed());
            let stop = match messages.recv_timeout(self.wait(tick)) {
                Ok(Message::Publish(first)) => self.take_group(first, messages),
                Ok(Message::Note(row, answer)) => {
                    self.guarded(|this| this.note(row, answer));
                    None
                }
                Ok(Message::Stop(answer)) => Some(Some(answer)),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(None),
            };
            if let Some(answer) = stop {
                break answer;
            }
            self.guarded(Self::trim);
            if ticked.elapsed() >= SYNC {
                ticked = Instant::now();
                self.guarded(Self::tick);
            }
        };
        self.close();
        while let Ok(message) = messages.try_recv() {
            if let Message::Publish(request) = message {
                let _ = request.answer.send(Err(self.down()));
            }
        }
        drop(self);
        if let Some(answer) = stopped {
            let _ = answer.send(());
        }
    }

    /// Returns how long to wait for a message before this tick. While it trims, it waits for none.
    fn wait(&self, tick: Duration) -> Duration {
        match self.is_trimming() {
            true => Duration::ZERO,
            false => tick,
        }
    }

    /// Publishes this event together with those that already wait. Returns the sender to answer if the writer is then
    /// to stop.
    fn take_group(
        &mut self,
        first: Request,
        messages: &Receiver<Message>,
    ) -> Option<Option<oneshot::Sender<()>>> {
        let mut bytes = first.event.bytes.len();
        let mut requests = vec![first];
        let began = Instant::now();
        let stop = loop {
            if requests.len() >= GROUP_EVENTS || bytes >= GROUP_BYTES {
                break None;
            }
            match messages.try_recv() {
                Ok(Message::Publish(request)) => {
                    bytes += request.event.bytes.len();
                    requests.push(request);
                }
                // A note does not depend on an event that waits, because its sender waits for that event first.
                Ok(Message::Note(row, answer)) => self.guarded(|this| this.note(row, answer)),
                Ok(Message::Stop(answer)) => break Some(Some(answer)),
                // Publishers that were just answered are about to publish again. Without them every other group would
                // have one event.
                Err(TryRecvError::Empty)
                    if requests.len() < self.together && began.elapsed() < self.patience =>
                {
                    thread::yield_now();
                }
                Err(TryRecvError::Empty) => break None,
                Err(TryRecvError::Disconnected) => break Some(None),
            }
        };
        self.together = requests.len();
        self.guarded(|this| this.publish(requests));
        stop
    }

    /// Runs a step and catches panics, because the store asserts that its files are correct.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        let caught = catch_unwind(AssertUnwindSafe(|| step(self)));
        if caught.is_err() {
            self.fail("the store panicked".to_owned());
        }
    }

    fn publish(&mut self, requests: Vec<Request>) {
        let answers = self.try_publish(&requests);
        for (request, answer) in requests.into_iter().zip(answers) {
            // The publisher may have given up.
            let _ = request.answer.send(answer);
        }
    }

    fn try_publish(&mut self, requests: &[Request]) -> Vec<Result<EventId, BackplaneError>> {
        if let Err(error) = self.check_health() {
            return requests.iter().map(|_| Err(error.clone())).collect();
        }
        let head = self.shared.sequence().head;
        let mut group = Group::behind(head, self.shared.clock.now());
        let events = requests.iter().map(|request| &request.event);
        let outcomes: Vec<_> = events.map(|event| self.number(&mut group, event)).collect();
        let written = match group.is_empty() {
            true => Ok(()),
            false => self.write(&group),
        };
        let id = |seq| EventId::new(head.epoch, seq);
        let answer = |outcome| match (outcome, &written) {
            (Outcome::Known(seq), _) | (Outcome::Numbered(seq), Ok(())) => Ok(id(seq)),
            (Outcome::Numbered(_) | Outcome::AfterEnd, Err(error)) => Err(error.clone()),
            (Outcome::AfterEnd, Ok(())) => Err(BackplaneErrorKind::Finished.into()),
            (Outcome::Refused(kind), _) => Err(kind.into()),
        };
        outcomes.into_iter().map(answer).collect()
    }

    fn number(&self, group: &mut Group, event: &Event) -> Outcome {
        if let Some(seq) = group.known(event) {
            return Outcome::Numbered(seq);
        }
        match self.known(event) {
            Ok(Some(seq)) => return Outcome::Known(seq),
            Ok(None) => {}
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(error, "the event log cannot look up a key");
                return Outcome::Refused(BackplaneErrorKind::NotPublished);
            }
        }
        let before = || self.shared.sequence().past(&event.topic);
        match group.number(event, before, &self.startup) {
            Ok(seq) => Outcome::Numbered(seq),
            Err(BackplaneErrorKind::Finished) if group.finishes(&event.topic) => Outcome::AfterEnd,
            Err(kind) => Outcome::Refused(kind),
        }
    }

    /// Returns the number of the event published with the same key.
    fn known(&self, event: &Event) -> Result<Option<u64>, StoreError> {
        let Some(key) = &event.key else {
            return Ok(None);
        };
        let row = key_key(&event.topic, key);
        let Some(row) = self.shared.in_store(|store| store.get(&row))? else {
            return Ok(None);
        };
        let ([seq, at], _) = numbers(&row)?;
        // A time in the future comes from a clock that was wrong before the restart.
        let age = self.shared.clock.now().abs_diff(at);
        Ok(Some(seq).filter(|_| age < millis(self.startup.keep_keys)))
    }

    /// Commits a group, applies it, and hands it over.
    fn write(&mut self, group: &Group) -> Result<(), BackplaneError> {
        let states = group.states();
        let changes = || group.changes().iter().chain(&states);
        let commit = || {
            (self.disk)(Act::Commit).map_err(StoreError::of_io)?;
            self.shared.in_store(|store| store.commit(changes()))
        };
        if let Err(error) = commit() {
            let undo = group.undo(&self.shared.sequence());
            return Err(self.not_written(error, undo));
        }
        self.is_dirty = true;
        if self.durability == Durability::Always {
            let began = Instant::now();
            let synced = self.sync_store();
            synced.map_err(|error| self.unknown(&error))?;
            self.patience = (began.elapsed() / 4).min(MOST_PATIENCE);
        }
        let newest = std::mem::replace(&mut self.mark.newest, group.newest());
        let marked = (self.disk)(Act::Mark).and_then(|()| self.folder.set_mark(&self.mark));
        if let Err(error) = marked.map_err(StoreError::of_io) {
            self.mark.newest = newest;
            let undo = group.undo(&self.shared.sequence());
            // The group is in the store already, so the changes that undo it are written down before the publishers are
            // answered.
            return Err(match error {
                StoreError::Full(_) if full::write_amends(&self.folder, &undo).is_ok() => {
                    self.not_written(error, undo)
                }
                error => self.unknown(&error),
            });
        }
        self.shared.sequence().commit(group);
        for (topic, past) in group.pasts() {
            self.trimming.published(topic, past);
        }
        Ok(())
    }

    /// Writes a row beside the events. After a failure it does not matter whether the row is present.
    fn note(&mut self, row: Change, answer: oneshot::Sender<Result<(), BackplaneError>>) {
        let written = self.check_health().and_then(|()| {
            let commit = (self.disk)(Act::Commit).map_err(StoreError::of_io);
            let commit = commit.and_then(|()| self.shared.in_store(|store| store.commit(&[row])));
            commit.map_err(|error| self.not_written(error, Vec::new()))
        });
        self.is_dirty |= written.is_ok();
        // The caller may have given up.
        let _ = answer.send(written);
    }

    fn sync_store(&self) -> Result<(), StoreError> {
        (self.disk)(Act::Sync).map_err(StoreError::of_io)?;
        self.shared.in_store(Store::sync)
    }

    /// Handles a group that the store did not write. `amends` would undo it.
    fn not_written(&mut self, error: StoreError, amends: Vec<Change>) -> BackplaneError {
        match self.settle(error, amends) {
            Ok(()) => BackplaneErrorKind::Full.into(),
            Err(StoreError::Failed | StoreError::Halted) => self.down(),
            Err(error) => self.unknown(&error),
        }
    }

    /// Waits for room if the disk is full. Returns any other error.
    pub(crate) fn settle(
        &mut self,
        error: StoreError,
        amends: Vec<Change>,
    ) -> Result<(), StoreError> {
        let waiting = self.shared.in_store(|store| Ok(store.waiting_bytes()));
        let waiting = waiting.unwrap_or(0);
        let tables = match error {
            StoreError::Full(_) => 0,
            // The store does not report why it has failed in the background.
            StoreError::Failed if !full::has_much_room(&self.folder, waiting) => waiting,
            error => {
                self.fail(with_causes(&error));
                return Err(error);
            }
        };
        let path = self.folder.path().display();
        tracing::error!(%path, "the event log's disk is full: nothing can be published");
        self.health = Health::Full(Full { amends, tables });
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// Handles an error after which the content of the disk is unknown.
    fn unknown(&mut self, error: &(dyn std::error::Error + 'static)) -> BackplaneError {
        let text = with_causes(error);
        self.fail(text.clone());
        BackplaneError::new(BackplaneErrorKind::Unknown, text)
    }

    /// Accepts nothing any more for as long as this process runs.
    pub(crate) fn fail(&mut self, error: String) {
        if let Health::Failed(_) = self.health {
            return;
        }
        let path = self.folder.path().display();
        tracing::error!(%path, error, "the event log has failed; look at its disk, and restart the process to publish again");
        self.health = Health::Failed(error);
        // Events already answered may be lost without any sign of it.
        self.folder.set_failed(&self.mark);
        self.shared.is_down.store(true, Ordering::Release);
        let sink = self.shared.sequence().sink.clone();
        sink.accept(BackplaneEvent::Link(Status::Down));
    }

    fn down(&self) -> BackplaneError {
        let text = match &self.health {
            Health::Failed(error) => error.clone(),
            Health::Well | Health::Full(_) => "it has stopped".to_owned(),
        };
        BackplaneError::new(BackplaneErrorKind::Down, text)
    }

    fn check_health(&mut self) -> Result<(), BackplaneError> {
        let patience = match &self.health {
            Health::Full(full) if full.tables > 0 => LOOK_LONGER,
            _ => LOOK_AGAIN,
        };
        let looked_just_now = self.looked.is_some_and(|at| at.elapsed() < patience);
        match &self.health {
            Health::Well => return Ok(()),
            Health::Full(_) if looked_just_now => {}
            Health::Full(_) => self.heal(),
            Health::Failed(_) => {}
        }
        match &self.health {
            Health::Well => Ok(()),
            Health::Full(_) => Err(BackplaneErrorKind::Full.into()),
            Health::Failed(_) => Err(self.down()),
        }
    }

    /// Opens the store again if the disk has room.
    fn heal(&mut self) {
        self.looked = Some(Instant::now());
        let Health::Full(Full { amends, tables }) = &self.health else {
            return;
        };
        let has_room = full::has_room(&self.folder, *tables);
        if !has_room || full::write_amends(&self.folder, amends).is_err() {
            return;
        }
        let mended = self.shared.reopen(|| {
            let store = caught(|| Store::open(&self.folder.store()))?;
            let mended = full::make_amends(&self.folder, &store, amends);
            Ok((store, mended))
        });
        let mended = mended.and_then(|mended| mended);
        match mended {
            Ok(()) => {
                let path = self.folder.path().display();
                tracing::info!(%path, "the event log's disk has room again");
                self.health = Health::Well;
            }
            Err(StoreError::Full(_)) => {}
            Err(error) => self.fail(with_causes(&error)),
        }
    }

    /// Does the work of every second.
    fn tick(&mut self) {
        match &self.health {
            Health::Failed(_) => return,
            // This checks no more often than is good for the disk.
            Health::Full(_) => return drop(self.check_health()),
            Health::Well => {}
        }
        let synced = match self.is_dirty {
            true => self.sync_store(),
            false => self.shared.in_store(Store::check),
        };
        match synced {
            Ok(()) => {}
            // A sync that found no room has lost events that were already answered, so this failure is final.
            Err(error @ StoreError::Full(_)) => return self.fail(with_causes(&error)),
            Err(error) => return drop(self.settle(error, Vec::new())),
        }
        if self.is_dirty
            && let Err(error) = self.folder.sync()
        {
            return self.fail(with_causes(&error));
        }
        self.is_dirty = false;
        if let Err(error) = self.write_lag() {
            return drop(self.settle(error, Vec::new()));
        }
        let now = self.shared.clock.now();
        self.trimming.look(&self.shared.sequence(), now);
    }

    /// Remembers the lag of the clock for the next process.
    fn write_lag(&mut self) -> Result<(), StoreError> {
        let lag = self.shared.clock.lag();
        if lag.abs_diff(self.lag) < JUMP {
            return Ok(());
        }
        let row = (LAG.to_vec(), Some(pack(&[lag.cast_unsigned()], &[])));
        self.shared.in_store(|store| store.commit(&[row]))?;
        (self.lag, self.is_dirty) = (lag, true);
        Ok(())
    }

    /// Returns whether there is something to trim, on a disk that accepts it.
    fn is_trimming(&self) -> bool {
        matches!(self.health, Health::Well) && !self.trimming.is_idle()
    }

    /// Trims a little.
    fn trim(&mut self) {
        if !self.is_trimming() {
            return;
        }
        let now = self.shared.clock.now();
        match self.trimming.step(&self.shared, now, self.together) {
            Ok(changed) => self.is_dirty |= changed,
            Err((error, amends)) => drop(self.settle(error, amends)),
        }
    }

    /// Syncs everything to the disk and records that, so that the next start continues the sequence.
    fn close(&mut self) {
        if let Health::Well = self.health
            && let Err(error) = self.write_lag()
        {
            // Then the health says what to do.
            let _ = self.settle(error, Vec::new());
        }
        self.shared.is_down.store(true, Ordering::Release);
        let store = self.shared.take_store();
        let Some(store) = store else { return };
        match &self.health {
            Health::Well => {
                self.mark.ended = true;
                let synced = (self.disk)(Act::Sync).map_err(StoreError::of_io);
                let synced = synced.and_then(|()| store.sync());
                let synced = synced.map_err(|error| with_causes(&error));
                let mut mark = || {
                    self.folder.sync()?;
                    self.folder.set_mark(&self.mark)?;
                    self.folder.sync()
                };
                let ended = synced.and_then(|()| mark().map_err(|error| with_causes(&error)));
                if let Err(error) = ended {
                    let path = self.folder.path().display();
                    tracing::error!(%path, error, "the event log did not shut down cleanly");
                    self.folder.set_failed(&self.mark);
                }
            }
            Health::Full(Full { amends, .. }) => {
                if full::write_amends(&self.folder, amends).is_err() {
                    // If the store were closed now, it would write what was refused, and nothing could undo that. It
                    // cannot be closed without writing. So it stays open until the process ends, and until then no
                    // other log of this process can use the folder. This happens only if the disk is full and the room
                    // reserved for amends is too small, or cannot be overwritten.
                    std::mem::forget(store);
                }
            }
            Health::Failed(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::SystemTime;

    use helios_core::sse::NodeId;
    use helios_http::sse::backplane::BackplaneSink;

    use super::*;
    use crate::clock::Clock;
    use crate::sequence::Sequence;
    use crate::store::Head;

    fn writer(path: &std::path::Path) -> Writer {
        let sink = BackplaneSink::new(|_| true);
        let folder = Folder::open(path, Duration::ZERO, || true);
        let folder = folder.unwrap().unwrap();
        let sequence = Sequence {
            head: Head::default(),
            topics: HashMap::new(),
            watched: HashSet::new(),
            bytes: 0,
            sink: sink.clone(),
        };
        let store = Store::open(&folder.store()).unwrap();
        let shared = Shared::new(store, sequence, Clock::behind(SystemTime::now, 0));
        let machine = Machine {
            boot: 5,
            now: SystemTime::now,
            disk: |_| Ok(()),
        };
        let startup = Startup::new(NodeId::new(7).unwrap(), sink);
        let (mark, durability) = (Mark::default(), Durability::Os);
        Writer::new(
            Arc::new(shared),
            folder,
            mark,
            machine,
            startup,
            durability,
            1,
        )
    }

    #[test]
    fn a_disk_that_accepts_nothing_is_not_trimmed_again_and_again() {
        let path = tempfile::tempdir().unwrap();
        let mut writer = writer(path.path());
        assert_eq!(writer.wait(SYNC), Duration::ZERO);
        writer = writer.waiting_for_room(Vec::new());
        assert_eq!(writer.wait(SYNC), SYNC);
        writer.fail("the disk failed".to_owned());
        assert_eq!(writer.wait(SYNC), SYNC);
    }
}
