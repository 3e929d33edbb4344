//! The embedded store: its rows, and the operations on it.
//!
//! Events are in a keyspace of their own. They are written once, in the order of their keys if one topic is busy, and
//! then the store appends tables without merging them. The rows of `states` are overwritten again and again. Changes of
//! both are committed together.
//!
//! | key in `events` | value |
//! | --- | --- |
//! | `e` topic, number | the topic's number before it, time, bytes |
//!
//! | key in `states` | value |
//! | --- | --- |
//! | `t` topic | [`Past`], the state of the topic |
//! | `f` topic | the event that has finished the topic: number, time, bytes |
//! | `k` topic, key | the event published with the key: number, time |
//! | `x` time, number | the row `k` of that time |
//! | `p` topic, key | a member that was published to the topic: when it joined, data |
//! | `h` | [`Head`] |
//! | `c` | by how many milliseconds the log's clock was behind the machine's |
//!
//! Numbers and times are eight bytes, big-endian, and times are milliseconds since 1970. A topic that is followed by
//! something is preceded by its length, so that no topic is the beginning of another.

use std::ffi::OsStr;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{AbstractTree, AnyTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

/// The bytes kept in memory before they are written to a table.
const MEMTABLE: u64 = 8 << 20;

/// How many memtables may wait for their tables. With more than this and the one in use, the store would block, even if
/// its thread had died.
const WAITING_MEMTABLES: usize = 2;

/// How many tables may be unsorted. With 30 the store would block as well.
const MOST_RUNS: usize = 20;

/// The store has halted if it makes no table for this long.
const HALTED: Duration = Duration::from_secs(60);

/// The bytes of table blocks that are cached in memory.
const CACHE: u64 = 16 << 20;

/// How many files of the store are kept open.
const OPEN_FILES: usize = 64;

/// The store's list of keyspaces, and its two keyspaces.
const TREES: usize = 3;

/// The errors of the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is no room on the disk")]
    Full(#[source] io::Error),
    #[error("the disk failed")]
    Io(#[source] io::Error),
    #[error("a file of the store cannot be read")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store has failed in the background, and accepts nothing any more.
    #[error("the store has failed in the background")]
    Failed,
    #[error("the store has made no table for {} s", HALTED.as_secs())]
    Halted,
}

impl StoreError {
    pub(crate) fn damaged(text: &str) -> Self {
        Self::Damaged(text.into())
    }

    pub(crate) fn of_io(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(error),
            _ => Self::Io(error),
        }
    }

    /// Returns whether the files are at fault, and not the machine or the user of the process.
    pub(crate) fn is_damage(&self) -> bool {
        use io::ErrorKind::{InvalidInput, NotFound, OutOfMemory, ResourceBusy};
        match self {
            Self::Damaged(_) => true,
            Self::Full(_) | Self::Failed | Self::Halted => false,
            Self::Io(error) => match error.raw_os_error() {
                // The store itself reports this, for example for a file that is too short.
                None => !matches!(error.kind(), ResourceBusy | OutOfMemory),
                // A file of the store is missing, or is read at an offset that it does not have.
                Some(_) => matches!(error.kind(), NotFound | InvalidInput),
            },
        }
    }

    /// Returns whether what was to be read will never be read again. Besides damage, that is a bad place on the disk.
    pub(crate) fn is_lost(&self) -> bool {
        const EIO: i32 = 5;
        let is_bad_place = |error: &io::Error| error.raw_os_error() == Some(EIO);
        self.is_damage() || matches!(self, Self::Io(error) if is_bad_place(error))
    }
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
                Self::of_io(error)
            }
            fjall::Error::Poisoned => Self::Failed,
            fjall::Error::Locked => Self::Io(io::ErrorKind::ResourceBusy.into()),
            other => Self::Damaged(Box::new(other)),
        }
    }
}

/// A change of one row. `None` removes it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

pub(crate) struct Store {
    database: Database,
    events: Keyspace,
    states: Keyspace,
}

impl Store {
    /// Opens the store in this folder.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for files that differ from what the store has written.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        check_version(folder)?;
        check_manifests(folder)?;
        Self::try_open(folder)
    }

    fn try_open(folder: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(folder)
            .cache_size(CACHE)
            .max_cached_files(Some(OPEN_FILES))
            // The least that it accepts.
            .max_journaling_size(64 << 20)
            .worker_threads(1)
            .open()?;
        // Each commit requests another memtable from the store's thread as long as the memtable is too large. The
        // requests go to a queue of 1,000 places, and when it is full, that same thread waits for it. So we begin
        // another memtable ourselves, long before that.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 * MEMTABLE);
        let events = database.keyspace("events", options)?;
        let states = database.keyspace("states", options)?;
        Ok(Self {
            database,
            events,
            states,
        })
    }

    /// Returns the keyspace of the row with this key.
    fn of_key(&self, key: &[u8]) -> &Keyspace {
        match key.first() {
            Some(&EVENT) => &self.events,
            _ => &self.states,
        }
    }

    /// Returns a number for both keyspaces.
    fn of_both<T>(&self, number: impl Fn(&AnyTree) -> T) -> [T; 2] {
        [&self.events, &self.states].map(|keyspace| number(&keyspace.tree))
    }

    /// Returns how many memtables of a keyspace wait for their tables, at most.
    fn waiting(&self) -> usize {
        let [events, states] = self.of_both(AnyTree::sealed_memtable_count);
        events.max(states)
    }

    /// Returns the bytes in the memtables in use.
    fn active_bytes(&self) -> u64 {
        let bytes = self.of_both(|tree| tree.active_memtable().size());
        bytes.iter().sum()
    }

    /// Begins other memtables when those in use are full. Both begin together, because a journal is kept until both
    /// have their tables. If too many wait for their tables, this waits too, as long as the store is alive. The store
    /// itself would wait without end for a thread that has failed.
    fn make_room(&self) -> Result<(), StoreError> {
        if self.active_bytes() < MEMTABLE {
            return Ok(());
        }
        let (mut waiting, mut since) = (usize::MAX, Instant::now());
        loop {
            let left = self.waiting();
            let runs = self.of_both(AnyTree::l0_run_count);
            if left < WAITING_MEMTABLES && runs.iter().all(|runs| *runs < MOST_RUNS) {
                break;
            }
            self.check()?;
            if left < waiting {
                (waiting, since) = (left, Instant::now());
            }
            if since.elapsed() > HALTED {
                return Err(StoreError::Halted);
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.events.rotate_memtable()?;
        self.states.rotate_memtable()?;
        Ok(())
    }

    /// Returns the bytes that wait to be written to tables.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.active_bytes() + self.waiting() as u64 * 2 * MEMTABLE
    }

    /// Makes all of these changes, or none. They are then passed to the operating system.
    pub(crate) fn commit<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        self.make_room()?;
        let mut batch = self.database.batch();
        for (key, value) in changes {
            let keyspace = self.of_key(key);
            match value {
                Some(value) => batch.insert(keyspace, key.as_slice(), value.as_slice()),
                None => batch.remove(keyspace, key.as_slice()),
            }
        }
        Ok(batch.durability(Some(PersistMode::Buffer)).commit()?)
    }

    /// Syncs committed changes to the disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    /// Checks whether the store still accepts changes.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.of_key(key).get(key)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// Returns the rows from one key to another. Both are of one kind.
    pub(crate) fn range(
        &self,
        keys: RangeInclusive<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> + use<> {
        self.of_key(keys.start()).range(keys).map(|row| {
            let (key, value) = row.into_inner()?;
            Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
        })
    }

    /// Returns whether there is any event.
    pub(crate) fn has_events(&self) -> Result<bool, StoreError> {
        Ok(self.all(EVENT).next().transpose()?.is_some())
    }

    /// Reads everything, which shows what cannot be read.
    pub(crate) fn read_all(&self) -> Result<(), StoreError> {
        for keyspace in [&self.events, &self.states] {
            for row in keyspace.iter() {
                row.into_inner()?;
            }
        }
        Ok(())
    }

    /// Returns the rows of one kind.
    pub(crate) fn all(
        &self,
        kind: u8,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> + use<> {
        self.range(vec![kind]..=vec![kind + 1])
    }
}

/// Reads files that may be damaged, and catches panics, because the store asserts that its files are correct.
pub(crate) fn caught<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err(StoreError::damaged("the store panicked")))
}

/// Checks that a store has its file `version`, the last one that a new store gets, and a journal. If a process is killed before
/// that, the store never opens again, because it refuses to create its journal a second time. If its journal is missing, it
/// counts its changes from 0 again, and at the next start it takes the new ones for old.
fn check_version(folder: &Path) -> Result<(), StoreError> {
    let names = names_in(folder)?;
    let is_journal = |name: &PathBuf| name.extension() == Some("jnl".as_ref());
    let has = |name: &str| names.iter().any(|it| it == Path::new(name));
    let has_journal = names.iter().any(is_journal);
    match has("version") {
        true if !has_journal => Err(StoreError::damaged("a store without a journal")),
        false if has_journal || has("keyspaces") => {
            Err(StoreError::damaged("a store without its file `version`"))
        }
        _ => Ok(()),
    }
}

/// Checks that nothing is missing in a store that was complete before. The store itself removes a folder without its file
/// `current`, as one that was not completed, and begins with an empty one.
pub(crate) fn check_complete(folder: &Path) -> Result<(), StoreError> {
    let mut complete = 0;
    for tree in trees_of(folder)? {
        let current = tree.join("current").try_exists();
        complete += usize::from(current.map_err(StoreError::of_io)?);
    }
    match complete < TREES {
        true => Err(StoreError::damaged("a keyspace without its file `current`")),
        false => Ok(()),
    }
}

/// Returns the folders of the keyspaces. Other programs leave files there, such as `.DS_Store`, which the store skips too.
fn trees_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let trees = folder.join("keyspaces");
    let all = names_in(&trees)?.into_iter().map(|name| trees.join(name));
    Ok(all.filter(|tree| !tree.is_file()).collect())
}

/// Returns the names of the files and folders in a folder, if there is one.
fn names_in(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::of_io(error)),
    };
    let names = files.map(|file| file.map(|file| file.file_name().into()));
    names.collect::<io::Result<_>>().map_err(StoreError::of_io)
}

/// Checks the manifests. The store writes the checksum of each manifest to the file `current` beside it, but never
/// checks it. If a manifest is damaged and the store opens several, its assertion panics within a panic, which aborts
/// the process.
fn check_manifests(folder: &Path) -> Result<(), StoreError> {
    for tree in trees_of(folder)? {
        let is_number = |name: &str| name.parse::<u64>().is_ok();
        let name = tree.file_name().and_then(OsStr::to_str);
        if !name.is_some_and(is_number) {
            return Err(StoreError::damaged("a folder that is not the store's"));
        }
        check_manifest(&tree)?;
    }
    Ok(())
}

fn check_manifest(tree: &Path) -> Result<(), StoreError> {
    let current = match std::fs::read(tree.join("current")) {
        Ok(current) => current,
        // The folder was not completed, so the store removes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::of_io(error)),
    };
    let parts = current.split_first_chunk::<8>();
    let parts = parts.and_then(|(version, rest)| Some((version, rest.split_first_chunk::<16>()?)));
    let Some((version, (sum, [0]))) = parts else {
        return Err(StoreError::damaged("a `current` that names no manifest"));
    };
    let manifest = tree.join(format!("v{}", u64::from_le_bytes(*version)));
    let manifest = std::fs::read(manifest).map_err(StoreError::of_io)?;
    match xxhash_rust::xxh3::xxh3_128(&manifest) == u128::from_le_bytes(*sum) {
        true => Ok(()),
        false => Err(StoreError::damaged("a manifest with a wrong checksum")),
    }
}

pub(crate) const HEAD: [u8; 1] = *b"h";
pub(crate) const LAG: [u8; 1] = *b"c";
pub(crate) const TOPIC: u8 = b't';
const EVENT: u8 = b'e';
const FINISH: u8 = b'f';
const KEY: u8 = b'k';
pub(crate) const KEY_BY_TIME: u8 = b'x';
pub(crate) const MEMBER: u8 = b'p';

/// Roughly the bytes that the store needs for each row besides its key and value: lengths, its own number, its share of
/// an index and a filter.
const AROUND_A_ROW: u64 = 24;

/// The longest topic, and the longest key of a user. Together they fit into the key of a row.
const LONGEST_TOPIC: usize = 32 * 1024;
const LONGEST_KEY: usize = 16 * 1024;

/// Returns whether the rows of a topic and of a user's key can be written.
pub(crate) fn fits(topic: &str, key: &str) -> bool {
    topic.len() <= LONGEST_TOPIC && key.len() <= LONGEST_KEY
}

fn of_topic(kind: u8, topic: &str, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    [&[kind], &length.to_be_bytes()[..], topic.as_bytes(), rest].concat()
}

pub(crate) fn event_key(topic: &str, seq: u64) -> Vec<u8> {
    of_topic(EVENT, topic, &seq.to_be_bytes())
}

/// Returns the size of an event: its row, and the store's overhead for a row.
pub(crate) fn size_of(topic: &str, bytes: &[u8]) -> u64 {
    (event_key(topic, 0).len() + 2 * 8 + bytes.len()) as u64 + AROUND_A_ROW
}

/// Returns the number in the key of an event's row.
pub(crate) fn seq_of(key: &[u8]) -> Result<u64, StoreError> {
    let seq = key.last_chunk().copied().map(u64::from_be_bytes);
    seq.ok_or_else(|| StoreError::damaged("a short key"))
}

pub(crate) fn topic_key(topic: &str) -> Vec<u8> {
    [&[TOPIC], topic.as_bytes()].concat()
}

/// Returns the topic of a [`topic_key`].
pub(crate) fn topic_of(key: &[u8]) -> Result<&str, StoreError> {
    let topic = key
        .strip_prefix(&[TOPIC])
        .and_then(|it| str::from_utf8(it).ok());
    topic.ok_or_else(|| StoreError::damaged("a topic that is not text"))
}

pub(crate) fn finish_key(topic: &str) -> Vec<u8> {
    [&[FINISH], topic.as_bytes()].concat()
}

pub(crate) fn key_key(topic: &str, key: &str) -> Vec<u8> {
    of_topic(KEY, topic, key.as_bytes())
}

pub(crate) fn member_key(topic: &str, key: &str) -> Vec<u8> {
    of_topic(MEMBER, topic, key.as_bytes())
}

/// Returns the topic and the key of a [`member_key`].
pub(crate) fn names_of(packed: &[u8]) -> Result<(&str, &str), StoreError> {
    let names = || {
        let (length, rest) = packed.get(1..)?.split_first_chunk()?;
        let (topic, key) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some((str::from_utf8(topic).ok()?, str::from_utf8(key).ok()?))
    };
    names().ok_or_else(|| StoreError::damaged("a member without names"))
}

pub(crate) fn key_by_time(at: u64, seq: u64) -> Vec<u8> {
    [&[KEY_BY_TIME][..], &at.to_be_bytes(), &seq.to_be_bytes()].concat()
}

/// Packs numbers one after the other, with bytes behind them.
pub(crate) fn pack(numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(numbers.len() * 8 + bytes.len());
    for number in numbers {
        packed.extend_from_slice(&number.to_be_bytes());
    }
    packed.extend_from_slice(bytes);
    packed
}

/// Unpacks the result of [`pack`].
pub(crate) fn numbers<const N: usize>(packed: &[u8]) -> Result<([u64; N], &[u8]), StoreError> {
    let mut numbers = [0; N];
    let mut rest = packed;
    for number in &mut numbers {
        let Some((first, behind)) = rest.split_first_chunk() else {
            return Err(StoreError::damaged("a short row"));
        };
        *number = u64::from_be_bytes(*first);
        rest = behind;
    }
    Ok((numbers, rest))
}

/// The state of the sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    pub(crate) newest: u64,
    /// Events up to this number may have been forgotten in topics that are not known.
    pub(crate) forgotten: u64,
    /// The sum of the newest numbers of all topics. It differs if the store has lost rows in its middle.
    pub(crate) lasts: u64,
}

impl Head {
    pub(crate) fn pack(&self) -> Vec<u8> {
        pack(&[self.epoch, self.newest, self.forgotten, self.lasts], &[])
    }

    pub(crate) fn unpack(packed: &[u8]) -> Result<Self, StoreError> {
        let ([epoch, newest, forgotten, lasts], _) = numbers(packed)?;
        Ok(Self {
            epoch,
            newest,
            forgotten,
            lasts,
        })
    }
}

/// The state of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// The number of its newest event, or 0 if there never was one.
    pub(crate) last: u64,
    /// Events up to this number may have been forgotten.
    pub(crate) floor: u64,
    /// No event that is left has a lower number.
    pub(crate) first: u64,
    /// How many events are left.
    pub(crate) events: u64,
    /// The size of these events, as [`size_of`] counts it.
    pub(crate) bytes: u64,
    /// How many events to keep.
    pub(crate) keep_events: u64,
    /// How long to keep them, in milliseconds.
    pub(crate) keep_age: u64,
    /// The number of the event that has finished the topic, or 0 if none has.
    pub(crate) finished: u64,
    /// How long that is remembered, as a time.
    pub(crate) finished_until: u64,
    /// When the oldest event was published, or 0 if that is not known. It is not stored.
    pub(crate) oldest_at: u64,
}

impl Past {
    pub(crate) fn pack(&self) -> Vec<u8> {
        let numbers = [
            self.last,
            self.floor,
            self.first,
            self.events,
            self.bytes,
            self.keep_events,
            self.keep_age,
            self.finished,
            self.finished_until,
        ];
        pack(&numbers, &[])
    }

    pub(crate) fn unpack(packed: &[u8]) -> Result<Self, StoreError> {
        let (numbers, _) = numbers::<9>(packed)?;
        let [
            last,
            floor,
            first,
            events,
            bytes,
            keep_events,
            keep_age,
            finished,
            finished_until,
        ] = numbers;
        Ok(Self {
            last,
            floor,
            first,
            events,
            bytes,
            keep_events,
            keep_age,
            finished,
            finished_until,
            oldest_at: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_unchanged_and_short_ones_are_refused() {
        let head = Head {
            epoch: 1,
            newest: 2,
            forgotten: 3,
            lasts: 4,
        };
        assert_eq!(Head::unpack(&head.pack()).unwrap(), head);
        let past = Past {
            last: 1,
            floor: 2,
            finished_until: 9,
            ..Past::default()
        };
        assert_eq!(Past::unpack(&past.pack()).unwrap(), past);
        for length in 0..past.pack().len() {
            assert!(Past::unpack(&past.pack()[..length]).is_err());
        }
        assert_eq!(seq_of(&event_key("a", 7)).unwrap(), 7);
        assert_eq!(topic_of(&topic_key("a")).unwrap(), "a");
        assert!(topic_of(&[TOPIC, 0xff]).is_err());
        assert!(seq_of(b"e").is_err());
    }

    #[test]
    fn only_what_the_files_are_to_blame_for_is_damage() {
        let of_system = |code| StoreError::of_io(io::Error::from_raw_os_error(code));
        // EPERM, EIO, ENOMEM, EACCES, EBUSY, ENFILE, EMFILE, ENOSPC, EROFS
        for code in [1, 5, 12, 13, 16, 23, 24, 28, 30] {
            assert!(!of_system(code).is_damage(), "{code}");
        }
        // ENOENT, EINVAL
        for code in [2, 22] {
            assert!(of_system(code).is_damage(), "{code}");
        }
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData] {
            assert!(StoreError::Io(kind.into()).is_damage(), "{kind}");
        }
        assert!(StoreError::damaged("a short row").is_damage());
        assert!(!StoreError::Failed.is_damage());
        assert!(of_system(5).is_lost() && !of_system(24).is_lost());
        for kind in [io::ErrorKind::ResourceBusy, io::ErrorKind::OutOfMemory] {
            assert!(!StoreError::Io(kind.into()).is_damage(), "{kind}");
        }
    }

    #[test]
    fn events_of_a_topic_stand_together_and_in_their_order() {
        let between = event_key("a", 0)..=event_key("a", u64::MAX);
        assert!(between.contains(&event_key("a", 300)));
        assert!(event_key("a", 255) < event_key("a", 256));
        for other in ["", "aa", "a\0", "b", "\0"] {
            assert!(!between.contains(&event_key(other, 1)), "{other:?}");
        }
    }

    #[test]
    fn a_damaged_manifest_is_found_before_the_store_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        check_manifests(folder.path()).unwrap();
        let trees = std::fs::read_dir(folder.path().join("keyspaces")).unwrap();
        let trees = trees.map(|tree| tree.unwrap().path());
        let files = trees.flat_map(|tree| std::fs::read_dir(tree).unwrap());
        let files = files.map(|file| file.unwrap().path());
        // Besides the tables there are older manifests, which nobody reads.
        let mut found = 0;
        for file in files.filter(|file| file.is_file()) {
            let whole = std::fs::read(&file).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&file, flipped).unwrap();
                found += usize::from(check_manifests(folder.path()).is_err());
            }
            std::fs::write(&file, whole).unwrap();
        }
        let current = 25 * 8 * 2;
        assert!(found > current, "{found}");
        drop(Store::open(folder.path()).unwrap());
    }

    #[test]
    fn memory_that_waits_for_a_table_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for n in 0_u64..240 {
            // Many small commits and a few large ones while a table is written.
            let value = vec![n as u8; if n % 6 == 0 { 1 << 20 } else { 10 }];
            store.commit(&[(event_key("x", n), Some(value))]).unwrap();
            assert!(store.active_bytes() < 2 * MEMTABLE);
            assert!(store.waiting() <= WAITING_MEMTABLES + 1);
        }
        let rows = store.range(event_key("x", 0)..=event_key("x", 240));
        assert_eq!(rows.count(), 240);
    }
}
