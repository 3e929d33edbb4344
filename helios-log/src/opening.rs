//! Opens a folder. Either its sequence continues, or another one begins and all clients are reset.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use helios_http::sse::backplane::Startup;

use crate::clock::Clock;
use crate::error::{LogError, with_causes};
use crate::folder::{Boot, Folder, Mark};
use crate::full;
use crate::sequence::{GROUP_EVENTS, Sequence, end_is_remembered_until};
use crate::store::{
    Change, HEAD, Head, LAG, Past, Store, StoreError, TOPIC, caught, check_complete, numbers,
    topic_key, topic_of,
};

/// Options for opening a folder.
pub(crate) struct Opening {
    pub(crate) boot: Boot,
    pub(crate) always: bool,
    pub(crate) new_epoch: bool,
    /// The machine's clock.
    pub(crate) now: fn() -> SystemTime,
}

/// A folder that was opened.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) sequence: Sequence,
    pub(crate) mark: Mark,
    pub(crate) clock: Clock,
    /// Why another sequence has begun, if one has.
    pub(crate) why: Option<Why>,
    /// The changes that could not be written because the disk is full.
    pub(crate) amends: Option<Vec<Change>>,
}

/// The reason why a new sequence begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Wanted,
    Copied,
    Boot,
    Failed,
    NoMark,
    Shorter,
    Missing,
    Other,
    Damaged,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wanted => "`new_epoch` requests it",
            Self::Copied => "the folder is a copy",
            Self::Boot => "the machine stopped before everything was on its disk",
            Self::Failed => "the last process could not write to the disk",
            Self::NoMark => "the file `state` is missing or cannot be read",
            Self::Shorter => "the newest events are missing from the store",
            Self::Missing => "events are missing from the middle of the store",
            Self::Other => "the store and the file `state` belong to different sequences",
            Self::Damaged => "the store was damaged",
        })
    }
}

/// Opens the store of a folder, with the states of its topics.
pub(crate) fn open(
    folder: &mut Folder,
    opening: &Opening,
    startup: &Startup,
) -> Result<Opened, LogError> {
    let mark = folder.mark()?;
    let is_new = !folder.store().exists();
    let known = read_or_set_aside(folder, mark.as_ref())?;
    let Known {
        store,
        head,
        mut topics,
        lag,
        mut amends,
    } = known;
    let clock = Clock::behind(opening.now, lag);
    let lasts = topics.values().map(|past| past.last);
    let lasts = lasts.fold(0, u64::wrapping_add);
    let why = match (is_new && mark.is_none(), head) {
        (true, _) => None,
        (false, None) => Some(Why::Damaged),
        (false, Some(head)) => reason(folder, opening, mark, head, lasts),
    };
    let head = match (why, head) {
        (None, Some(head)) => head,
        (_, head) => another(head, mark, lasts),
    };
    let mark = Mark {
        epoch: head.epoch,
        newest: head.newest,
        boot: opening.boot,
        lock: folder.lock(),
        ended: false,
        always: opening.always,
        failed: false,
    };
    let mut changes = vec![(HEAD.to_vec(), Some(head.pack()))];
    changes.extend(cap_ends(&mut topics, clock.now(), startup));
    match write(&store, &mut amends, changes) {
        Ok(()) => {}
        Err(StoreError::Full(_)) if !is_new => {}
        Err(error) => {
            // Some of the changes may be on the disk, and others not.
            folder.set_failed(&mark);
            return Err(refused(folder, error));
        }
    }
    let is_full = !amends.is_empty();
    set_marks(folder, &mark, is_full).map_err(|error| folder.failed(error))?;
    let bytes = topics.values().map(|past| past.bytes).sum();
    let sequence = Sequence {
        head,
        topics,
        watched: HashSet::new(),
        bytes,
        sink: startup.sink.clone(),
    };
    Ok(Opened {
        store,
        sequence,
        mark,
        clock,
        why,
        amends: is_full.then_some(amends),
    })
}

/// Returns the head of another sequence. It begins above all events that the store may hold, those of the last group before
/// its mark too, so that no new event has the number of one that is left.
fn another(head: Option<Head>, mark: Option<Mark>, lasts: u64) -> Head {
    let newest = head
        .map(|head| head.newest)
        .max(mark.map(|mark| mark.newest));
    let above = |newest: u64| newest.saturating_add(GROUP_EVENTS as u64);
    Head {
        epoch: fastrand::u64(1..1 << 48),
        newest: newest.map_or(0, above),
        lasts,
        ..head.unwrap_or_default()
    }
}

fn read_or_set_aside(folder: &Folder, mark: Option<&Mark>) -> Result<Known, LogError> {
    let error = match caught(|| read(folder, mark)) {
        Ok(known) => return Ok(known),
        Err(error) if error.is_damage() => error,
        Err(error) => return Err(refused(folder, error)),
    };
    let aside = folder.set_aside()?;
    let (aside, error) = (aside.display(), with_causes(&error));
    tracing::error!(%aside, error, "the event log's store is damaged: it was moved aside, and a new one begins");
    caught(|| read(folder, mark)).map_err(|error| refused(folder, error))
}

/// Makes these changes, or adds them to those that wait for room.
fn write(store: &Store, amends: &mut Vec<Change>, changes: Vec<Change>) -> Result<(), StoreError> {
    if !amends.is_empty() {
        amends.extend(changes);
        return Ok(());
    }
    let written = store.commit(&changes).and_then(|()| store.sync());
    if let Err(StoreError::Full(_)) = written {
        *amends = changes;
    }
    written
}

/// Records how far the store has come, and reserves room for amends.
fn set_marks(folder: &mut Folder, mark: &Mark, is_full: bool) -> io::Result<()> {
    match full::reserve(folder).map_err(StoreError::of_io) {
        Ok(()) => {}
        // The amends may still be written when they are needed.
        Err(StoreError::Full(_)) if is_full => {}
        Err(error) => return Err(of_system(error)),
    }
    folder.set_mark(mark)?;
    // The second place is written too, because later there may be no room for it.
    folder.set_mark(mark)?;
    folder.sync()?;
    folder.sync_entries()
}

/// Shortens how long ends are remembered, because the clock may have been ahead when they were published. No end is
/// remembered for longer than one published now. Returns the changes.
fn cap_ends(topics: &mut HashMap<Arc<str>, Past>, now: u64, startup: &Startup) -> Vec<Change> {
    let mut changes = Vec::new();
    for (topic, past) in topics.iter_mut().filter(|(_, past)| past.finished > 0) {
        let most = end_is_remembered_until(topic, past.keep_age, now, startup);
        if past.finished_until > most {
            past.finished_until = most;
            changes.push((topic_key(topic), Some(past.pack())));
        }
    }
    changes
}

/// The content of the store, apart from the events.
struct Known {
    store: Store,
    /// `None` if the store is empty.
    head: Option<Head>,
    topics: HashMap<Arc<str>, Past>,
    /// The lag of the last process' clock.
    lag: i64,
    /// Changes that still wait for room. They count as made.
    amends: Vec<Change>,
}

/// Opens the store, and checks it by what its last process has recorded.
fn read(folder: &Folder, mark: Option<&Mark>) -> Result<Known, StoreError> {
    let path = folder.store();
    if mark.is_some() && path.exists() {
        check_complete(&path)?;
    }
    let store = Store::open(&path)?;
    if mark.is_some_and(|mark| mark.failed) {
        // Perhaps because of a part that cannot be read. It would fail again each time that it merges its tables.
        store.read_all().map_err(|error| match error.is_lost() {
            true => StoreError::Damaged(error.into()),
            false => error,
        })?;
    }
    let mut amends = full::amends(folder)?;
    match full::make_amends(folder, &store, &amends) {
        Ok(()) => amends.clear(),
        Err(StoreError::Full(_)) => {}
        Err(error) => return Err(error),
    }
    let mut head = store.get(&HEAD)?;
    let mut rows = HashMap::new();
    for row in store.all(TOPIC) {
        let (key, value) = row?;
        if key.first() == Some(&TOPIC) {
            rows.insert(key, value);
        }
    }
    for (key, value) in &amends {
        let value = value.clone().map(Into::into);
        match (key.first(), value) {
            (Some(first), value) if [*first] == HEAD => head = value,
            (Some(&TOPIC), Some(value)) => drop(rows.insert(key.clone().into(), value)),
            (Some(&TOPIC), None) => drop(rows.remove(key.as_slice())),
            // Nothing above the newest known event is read.
            _ => {}
        }
    }
    let head = head.map(|head| Head::unpack(&head)).transpose()?;
    let mut topics = HashMap::new();
    for (key, value) in rows {
        topics.insert(Arc::from(topic_of(&key)?), Past::unpack(&value)?);
    }
    if head.is_none() && (!topics.is_empty() || store.has_events()?) {
        return Err(StoreError::damaged("it has topics or events, and no head"));
    }
    let lag = store.get(&LAG)?;
    let lag = lag.map(|lag| numbers::<1>(&lag).map(|([lag], _)| lag.cast_signed()));
    Ok(Known {
        store,
        head,
        topics,
        lag: lag.transpose()?.unwrap_or(0),
        amends,
    })
}

fn reason(
    folder: &Folder,
    opening: &Opening,
    mark: Option<Mark>,
    head: Head,
    lasts: u64,
) -> Option<Why> {
    if opening.new_epoch {
        return Some(Why::Wanted);
    }
    let Some(mark) = mark else {
        return Some(Why::NoMark);
    };
    let same_boot = opening.boot != 0 && mark.boot == opening.boot;
    match () {
        () if mark.failed => Some(Why::Failed),
        () if mark.lock != folder.lock() => Some(Why::Copied),
        () if mark.epoch != head.epoch => Some(Why::Other),
        () if head.newest < mark.newest => Some(Why::Shorter),
        () if head.lasts != lasts => Some(Why::Missing),
        () if !(mark.ended || mark.always || same_boot) => Some(Why::Boot),
        () => None,
    }
}

fn refused(folder: &Folder, error: StoreError) -> LogError {
    folder.failed(of_system(error))
}

fn of_system(error: StoreError) -> io::Error {
    match error {
        StoreError::Full(source) | StoreError::Io(source) => source,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_panics_while_it_is_read_is_damaged() {
        let read = caught(|| -> Result<(), _> { panic!("as the store does") });
        assert!(read.unwrap_err().is_damage());
    }
}
