//! The folder with its lock, and a small file beside the store that records how far the store has come.
//!
//! A store whose newest file was cut comes back shorter without any sign of it. So its newest number is recorded beside
//! it, after each commit and before any client sees the events. One file has two places, written in turn, each with a
//! checksum.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LogError;
use crate::store::{numbers, pack};

/// The version of the format of everything in the folder.
const VERSION: u64 = 1;

const MAGIC: u64 = u64::from_be_bytes(*b"HELIOLOG");

/// The offsets of the two places in the file, in different sectors.
const PLACES: [u64; 2] = [0, 4096];

const LENGTH: usize = 10 * 8;

/// How often the lock is tried.
const PATIENCE: Duration = Duration::from_millis(50);

/// The boot of the machine, or zero if it is not known.
pub(crate) type Boot = u128;

/// The content of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: u64,
    pub(crate) newest: u64,
    pub(crate) boot: Boot,
    /// The identity of the lock file. A copy has another one.
    pub(crate) lock: [u64; 2],
    /// Whether the last process shut down cleanly and synced everything to the disk.
    pub(crate) ended: bool,
    /// Whether everything was synced to the disk before any client saw it.
    pub(crate) always: bool,
    /// Whether the last process could not write, so that the content of the disk is unknown.
    pub(crate) failed: bool,
}

impl Mark {
    fn pack(&self, turn: u64) -> Vec<u8> {
        self.pack_as(VERSION, turn)
    }

    fn pack_as(&self, version: u64, turn: u64) -> Vec<u8> {
        let flags = [self.ended, self.always, self.failed];
        let flags = (0..).zip(flags).map(|(n, flag)| u64::from(flag) << n).sum();
        let mut packed = pack(&[MAGIC, version, turn, self.epoch, self.newest], &[]);
        packed.extend(self.boot.to_be_bytes());
        packed.extend(pack(&[self.lock[0], self.lock[1]], &[]));
        // The flags share eight bytes with the checksum, whose lower 56 bits are enough.
        let sum = checksum(&packed, flags) << 8 >> 8;
        packed.extend((flags << 56 | sum).to_be_bytes());
        packed
    }

    #[cfg(test)]
    pub(crate) fn write_as_of_version(folder: &Path, version: u64) {
        std::fs::write(folder.join("state"), Self::default().pack_as(version, 1)).unwrap();
    }

    /// Returns the turn of a place, and its content.
    fn unpack(packed: &[u8]) -> Result<(u64, Self), Unreadable> {
        let read = |_| Unreadable::Damaged;
        let ([magic, version, turn, epoch, newest], rest) = numbers(packed).map_err(read)?;
        let ([boot_high, boot_low, inode, born, last], _) = numbers(rest).map_err(read)?;
        let (flags, sum) = (last >> 56, last << 8 >> 8);
        let whole = packed.get(..LENGTH - 8).unwrap_or_default();
        if magic != MAGIC || checksum(whole, flags) << 8 >> 8 != sum {
            return Err(Unreadable::Damaged);
        }
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        let mark = Self {
            epoch,
            newest,
            boot: u128::from(boot_high) << 64 | u128::from(boot_low),
            lock: [inode, born],
            ended: flags & 1 != 0,
            always: flags & 2 != 0,
            failed: flags & 4 != 0,
        };
        Ok((turn, mark))
    }
}

/// The reason why a place cannot be read.
enum Unreadable {
    Damaged,
    Newer(u64),
}

/// FNV-1a, which notices every change of a single byte.
pub(crate) fn checksum(bytes: &[u8], more: u64) -> u64 {
    let more = more.to_be_bytes();
    let all = bytes.iter().chain(&more);
    let sum = all.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Folds the upper bits in, for places that have no room for them.
    sum ^ sum >> 56
}

/// The folder, for as long as this process holds it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
    lock: [u64; 2],
    marks: File,
    turn: u64,
}

impl Folder {
    /// Opens the folder as soon as no other process holds it. Returns `None` if `is_wanted` returns false meanwhile.
    pub(crate) fn open(
        path: &Path,
        wait_for: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Self>, LogError> {
        let failed = |source| LogError::Folder {
            path: path.to_owned(),
            source,
        };
        make_folder(path, &mut private()).map_err(failed)?;
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(path.join(name)).map_err(failed)
        };
        let lock = open("lock")?;
        let began = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            let waited = began.elapsed();
            if waited >= wait_for {
                return Err(LogError::Held {
                    path: path.to_owned(),
                    waited: wait_for,
                });
            }
            if waited < PATIENCE {
                let path = path.display();
                tracing::warn!(%path, limit = ?wait_for, "another process holds the event log's folder; waiting for it to end");
            }
            if !is_wanted() {
                return Ok(None);
            }
            thread::sleep(PATIENCE.min(wait_for - waited));
        }
        let identity = identity(&lock).map_err(failed)?;
        Ok(Some(Self {
            path: path.to_owned(),
            _lock: lock,
            lock: identity,
            marks: open("state")?,
            turn: 0,
        }))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Returns the path of the changes to be made before the store is used, see [`crate::full`].
    pub(crate) fn amends(&self) -> PathBuf {
        self.path.join("amends")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the identity of the lock file.
    pub(crate) fn lock(&self) -> [u64; 2] {
        self.lock
    }

    /// Returns the newest mark, or `None` if none can be read.
    pub(crate) fn mark(&mut self) -> Result<Option<Mark>, LogError> {
        let mut found = None;
        for place in PLACES {
            let mut packed = [0; LENGTH];
            let read = read_at(&self.marks, &mut packed, place).map_err(|e| self.failed(e))?;
            match Mark::unpack(packed.get(..read).unwrap_or_default()) {
                Err(Unreadable::Newer(version)) => {
                    let path = self.path.clone();
                    return Err(LogError::Newer { path, version });
                }
                Ok((turn, mark)) if turn >= self.turn => {
                    self.turn = turn;
                    found = Some(mark);
                }
                Ok(_) | Err(Unreadable::Damaged) => {}
            }
        }
        Ok(found)
    }

    /// Records how far the store has come. The mark survives the process and, after [`sync`](Self::sync), the machine.
    pub(crate) fn set_mark(&mut self, mark: &Mark) -> io::Result<()> {
        self.turn += 1;
        let place = PLACES[usize::from(self.turn % 2 == 1)];
        write_at(&self.marks, &mark.pack(self.turn), place)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.marks.sync_data()
    }

    /// Records that the content of the disk is unknown. If not even that can be written, removes the file, because
    /// without it all clients are reset too.
    pub(crate) fn set_failed(&mut self, mark: &Mark) {
        let mark = Mark {
            failed: true,
            ended: false,
            ..*mark
        };
        let written = self.set_mark(&mark).and_then(|()| self.sync());
        let left = written.or_else(|_| std::fs::remove_file(self.path.join("state")));
        if let Err(error) = left.and_then(|()| sync_folder(&self.path)) {
            let path = self.path.display();
            tracing::error!(%path, %error, "the event log cannot write down that it has failed: remove its file `state` before the next start");
        }
    }

    /// Syncs the list of the folder's files to the disk.
    pub(crate) fn sync_entries(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    /// Moves a store aside to make way for a new one, and returns its new path.
    pub(crate) fn set_aside(&self) -> Result<PathBuf, LogError> {
        let free = (1..).map(|n| self.path.join(format!("damaged-{n}")));
        let mut free = free.filter(|path| !path.exists());
        // There is always a free name.
        let aside = free.next().unwrap_or_default();
        // The amends were for that store, and would change the new one. So they are removed first.
        match std::fs::remove_file(self.amends()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.failed(error));
            }
            _ => {}
        }
        let moved = std::fs::rename(self.store(), &aside);
        moved
            .and_then(|()| self.sync_entries())
            .map_err(|e| self.failed(e))?;
        Ok(aside)
    }

    pub(crate) fn failed(&self, source: io::Error) -> LogError {
        let path = self.path.clone();
        LogError::Folder { path, source }
    }
}

/// Creates a folder if there is none, and syncs its parent to the disk.
fn make_folder(path: &Path, builder: &mut DirBuilder) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above, &mut DirBuilder::new())?;
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(above.unwrap_or(Path::new("."))),
    }
}

/// Creates a folder that only this user can open. It holds what users send each other, and whoever can open the lock can
/// keep the server from starting.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// On other systems, a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the boot of this machine, or zero if it is not known.
pub(crate) fn boot() -> Boot {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let digits: String = id.unwrap_or_default().trim().replace('-', "");
    Boot::from_str_radix(&digits, 16).unwrap_or(0)
}

/// Returns the identity of a file, which distinguishes it from a copy.
#[cfg(unix)]
fn identity(file: &File) -> io::Result<[u64; 2]> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let born = metadata.created().ok();
    let born = born.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let born = born.and_then(|age| u64::try_from(age.as_nanos()).ok());
    Ok([metadata.ino(), born.unwrap_or(0)])
}

#[cfg(not(unix))]
fn identity(_: &File) -> io::Result<[u64; 2]> {
    Ok([0; 2])
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// Reads as many bytes as there are, and returns how many.
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(newest: u64) -> Mark {
        Mark {
            epoch: 7,
            newest,
            boot: 1 << 100 | 5,
            lock: [3, 4],
            ended: true,
            always: false,
            failed: true,
        }
    }

    fn open(path: &Path) -> Folder {
        let opened = Folder::open(path, Duration::ZERO, || true);
        opened.unwrap().unwrap()
    }

    #[test]
    fn the_newest_mark_that_is_not_damaged_is_read() {
        let path = tempfile::tempdir().unwrap();
        let mut folder = open(path.path());
        assert_eq!(folder.mark().unwrap(), None);
        for newest in 1..=3 {
            folder.set_mark(&mark(newest)).unwrap();
        }
        drop(folder);
        assert_eq!(open(path.path()).mark().unwrap(), Some(mark(3)));
        let place = 4096;
        let whole = std::fs::read(path.path().join("state")).unwrap();
        for bit in 0..LENGTH * 8 {
            let mut flipped = whole.clone();
            flipped[place + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path.path().join("state"), flipped).unwrap();
            assert_eq!(open(path.path()).mark().unwrap(), Some(mark(2)), "{bit}");
        }
        for length in [0, 10, place, place + 20] {
            std::fs::write(path.path().join("state"), &whole[..length]).unwrap();
            let expected = (length >= place).then(|| mark(2));
            assert_eq!(open(path.path()).mark().unwrap(), expected, "{length}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_folder_is_for_its_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let path = tempfile::tempdir().unwrap();
        let above = path.path().join("data");
        open(&above.join("sse"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&above.join("sse")), 0o700);
        std::fs::create_dir(path.path().join("usual")).unwrap();
        assert_eq!(mode(&above), mode(&path.path().join("usual")));
        // The mode of one that exists is its owner's choice.
        std::fs::set_permissions(above.join("sse"), PermissionsExt::from_mode(0o750)).unwrap();
        open(&above.join("sse"));
        assert_eq!(mode(&above.join("sse")), 0o750);
    }

    #[test]
    fn a_held_folder_is_waited_for_and_then_an_error() {
        let path = tempfile::tempdir().unwrap();
        let held = open(path.path());
        let wait = Duration::from_millis(120);
        let error = Folder::open(path.path(), wait, || true).unwrap_err();
        assert!(matches!(error, LogError::Held { .. }), "{error}");
        assert!(Folder::open(path.path(), wait, || false).unwrap().is_none());
        drop(held);
        open(path.path());
    }

    #[test]
    fn a_failure_is_written_down_or_the_file_goes() {
        let path = tempfile::tempdir().unwrap();
        let mut folder = open(path.path());
        folder.set_mark(&mark(1)).unwrap();
        folder.set_failed(&mark(2));
        let found = folder.mark().unwrap().unwrap();
        assert!(found.failed && !found.ended && found.newest == 2);
        // The file cannot be written.
        folder.marks = File::open(path.path().join("state")).unwrap();
        folder.set_failed(&mark(3));
        drop(folder);
        assert_eq!(open(path.path()).mark().unwrap(), None);
    }

    #[test]
    fn a_store_is_set_aside_without_its_amends() {
        let path = tempfile::tempdir().unwrap();
        let folder = open(path.path());
        for n in 1..=2 {
            std::fs::create_dir(folder.store()).unwrap();
            std::fs::write(folder.amends(), "for that store").unwrap();
            let aside = folder.set_aside().unwrap();
            assert_eq!(aside, path.path().join(format!("damaged-{n}")));
            assert!(aside.exists() && !folder.store().exists());
            assert!(!folder.amends().exists());
        }
    }
}
