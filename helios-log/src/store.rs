//! The embedded store: its rows, and what is asked of it.
//!
//! | key | value |
//! | --- | --- |
//! | `e` topic, number | the topic's number before it, time, bytes |
//! | `t` topic | [`Past`]: what is known of the topic |
//! | `f` topic | what has finished the topic: number, time, bytes |
//! | `k` topic, key | what was published with the key: number, time |
//! | `x` time, number | the `k` of that time |
//! | `p` topic, key | a member of whom the topic was told: since when it is there, data |
//! | `h` | [`Head`] |
//!
//! Numbers and times are eight bytes, big-endian, and times are milliseconds since 1970. Before a topic that something follows stands its
//! length, so that no topic is the beginning of another.

use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

/// What is kept in memory before it goes into a table.
const MEMTABLE: u64 = 8 << 20;

/// So many of them may wait for their tables. The store would wait at one more than this and the one in use, whether its thread is
/// alive or not.
const WAITING_MEMTABLES: usize = 2;

/// So many tables may lie unsorted: at 30, the store would wait as well.
const MOST_RUNS: usize = 20;

/// It has halted if it makes no table for so long.
const HALTED: Duration = Duration::from_secs(60);

/// Blocks of tables that are kept in memory.
const CACHE: u64 = 16 << 20;

/// Files of the store that are held open.
const OPEN_FILES: usize = 64;

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is no room on the disk")]
    Full(#[source] io::Error),
    #[error("the disk failed")]
    Io(#[source] io::Error),
    #[error("a file of the store cannot be read")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has failed in the background, and takes nothing any more.
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

/// A change of one row: `None` removes it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

pub(crate) struct Store {
    database: Database,
    rows: Keyspace,
}

impl Store {
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for files that are not what the store has written.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        check_manifests(folder)?;
        Self::try_open(folder)
    }

    fn try_open(folder: &Path) -> Result<Self, StoreError> {
        let database = Database::builder(folder)
            .cache_size(CACHE)
            .max_cached_files(Some(OPEN_FILES))
            // The least that it takes.
            .max_journaling_size(64 << 20)
            .worker_threads(1)
            .open()?;
        // Its commits ask its thread for another memtable, each anew while one is too large, in a queue of 1,000 places that the
        // same thread waits for when it is full. So we begin another one ourselves, long before that.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 * MEMTABLE);
        let rows = database.keyspace("rows", options)?;
        Ok(Self { database, rows })
    }

    /// Begins another memtable when one is full. While too many wait for their tables, it waits with them, for as long as the
    /// store is alive: the store itself would wait without end for a thread that has failed.
    fn make_room(&self) -> Result<(), StoreError> {
        let tree = &self.rows.tree;
        if tree.active_memtable().size() < MEMTABLE {
            return Ok(());
        }
        let (mut waiting, mut since) = (usize::MAX, Instant::now());
        loop {
            let left = tree.sealed_memtable_count();
            if left < WAITING_MEMTABLES && tree.l0_run_count() < MOST_RUNS {
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
        self.rows.rotate_memtable()?;
        Ok(())
    }

    /// The bytes that wait to be written into tables.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        let tree = &self.rows.tree;
        tree.active_memtable().size() + tree.sealed_memtable_count() as u64 * 2 * MEMTABLE
    }

    /// Makes all of these changes, or none. They are in the hands of the operating system then.
    pub(crate) fn commit<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        self.make_room()?;
        let mut batch = self.database.batch();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.rows, key.as_slice(), value.as_slice()),
                None => batch.remove(&self.rows, key.as_slice()),
            }
        }
        Ok(batch.durability(Some(PersistMode::Buffer)).commit()?)
    }

    /// Brings to the disk what was committed.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    /// Whether it still takes anything.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.rows.get(key)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The rows from one key to another.
    pub(crate) fn range(
        &self,
        keys: RangeInclusive<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> + use<> {
        self.rows.range(keys).map(|row| {
            let (key, value) = row.into_inner()?;
            Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
        })
    }

    /// The rows of one kind.
    pub(crate) fn all(
        &self,
        kind: u8,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> + use<> {
        self.range(vec![kind]..=vec![kind + 1])
    }
}

/// Reads what may be damaged: the store asserts what it expects of its files.
pub(crate) fn caught<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err(StoreError::damaged("the store panicked")))
}

/// The store writes a checksum of each manifest into the file `current` beside it, and does not look at it. What it then asserts of the
/// manifest ends the process where it opens several of them, as a panic in a panic.
fn check_manifests(folder: &Path) -> Result<(), StoreError> {
    let trees = match std::fs::read_dir(folder.join("keyspaces")) {
        Ok(trees) => trees,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::of_io(error)),
    };
    for tree in trees {
        let tree = tree.map_err(StoreError::of_io)?;
        let is_number = |name: &str| name.parse::<u64>().is_ok();
        if !tree.file_name().to_str().is_some_and(is_number) {
            return Err(StoreError::damaged("a folder that is not the store's"));
        }
        check_manifest(&tree.path())?;
    }
    Ok(())
}

fn check_manifest(tree: &Path) -> Result<(), StoreError> {
    let current = match std::fs::read(tree.join("current")) {
        Ok(current) => current,
        // It was not made to the end: the store removes it.
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
        false => Err(StoreError::damaged("a manifest of another checksum")),
    }
}

pub(crate) const HEAD: [u8; 1] = *b"h";
pub(crate) const TOPIC: u8 = b't';
const EVENT: u8 = b'e';
const FINISH: u8 = b'f';
const KEY: u8 = b'k';
pub(crate) const KEY_BY_TIME: u8 = b'x';
pub(crate) const MEMBER: u8 = b'p';

/// About so much the store takes for each row beside its key and its value: lengths, its own number, its part of an index and a filter.
const AROUND_A_ROW: u64 = 24;

/// The longest topic that a key has room for, beside the longest of users' keys.
pub(crate) const LONGEST_TOPIC: usize = 32 * 1024;

fn of_topic(kind: u8, topic: &str, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX);
    [&[kind], &length.to_be_bytes()[..], topic.as_bytes(), rest].concat()
}

pub(crate) fn event_key(topic: &str, seq: u64) -> Vec<u8> {
    of_topic(EVENT, topic, &seq.to_be_bytes())
}

/// What an event takes: its row, and what the store puts around a row.
pub(crate) fn size_of(topic: &str, bytes: &[u8]) -> u64 {
    (event_key(topic, 0).len() + 2 * 8 + bytes.len()) as u64 + AROUND_A_ROW
}

/// The number of an event's row.
pub(crate) fn seq_of(key: &[u8]) -> Result<u64, StoreError> {
    let seq = key.last_chunk().copied().map(u64::from_be_bytes);
    seq.ok_or_else(|| StoreError::damaged("a short key"))
}

pub(crate) fn topic_key(topic: &str) -> Vec<u8> {
    [&[TOPIC], topic.as_bytes()].concat()
}

/// The topic of a [`topic_key`].
pub(crate) fn topic_of(key: &[u8]) -> Result<&str, StoreError> {
    let topic = key
        .strip_prefix(&[TOPIC])
        .and_then(|it| str::from_utf8(it).ok());
    topic.ok_or_else(|| StoreError::damaged("a topic that is no text"))
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

/// The topic and the key of a [`member_key`].
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

/// Numbers one after the other, and bytes behind them.
pub(crate) fn pack(numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(numbers.len() * 8 + bytes.len());
    for number in numbers {
        packed.extend_from_slice(&number.to_be_bytes());
    }
    packed.extend_from_slice(bytes);
    packed
}

/// What [`pack`] has packed.
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

/// What the sequence has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    pub(crate) newest: u64,
    /// Of topics of which nothing is known, something up to this number may have been forgotten.
    pub(crate) forgotten: u64,
    /// The sum of the newest numbers of all topics, which a store that has lost some of its middle does not come to.
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

/// What is known of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Its newest event; 0 if there never was one.
    pub(crate) last: u64,
    /// Events up to this number may have been forgotten.
    pub(crate) floor: u64,
    /// No event that is left is before this number.
    pub(crate) first: u64,
    /// Events that are left.
    pub(crate) events: u64,
    /// Their size, as [`size_of`] counts it.
    pub(crate) bytes: u64,
    /// Events that are to be kept.
    pub(crate) keep_events: u64,
    /// For how long, in milliseconds.
    pub(crate) keep_age: u64,
    /// What has finished it; 0 if nothing has.
    pub(crate) finished: u64,
    /// Until when that is remembered.
    pub(crate) finished_until: u64,
    /// When the oldest event was published; 0 if that is not known. It is not stored.
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
    fn rows_come_back_as_they_were_and_short_ones_are_refused() {
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
        // Beside the tables there are manifests of before, which nobody reads.
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
    fn what_waits_for_a_table_is_bounded_however_fast_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for n in 0_u64..240 {
            // Many small commits while a table is written, and now and then a large one.
            let value = vec![n as u8; if n % 6 == 0 { 1 << 20 } else { 10 }];
            store.commit(&[(event_key("x", n), Some(value))]).unwrap();
            let tree = &store.rows.tree;
            assert!(tree.active_memtable().size() < 2 * MEMTABLE);
            assert!(tree.sealed_memtable_count() <= WAITING_MEMTABLES + 1);
        }
        let rows = store.range(event_key("x", 0)..=event_key("x", 240));
        assert_eq!(rows.count(), 240);
    }
}
