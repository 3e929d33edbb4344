//! Handling of a full disk. Nothing is published, history can be read, and publishing continues when there is room.
//!
//! A store that could not write accepts nothing more until it is opened again. Part of what it could not write may
//! remain in its memory, and reach the file when the store is closed, after publishers received the answer that nothing
//! was published. So the changes that undo it are first written down as amends. They are made when the store is open
//! again, even if another process opens it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use crate::folder::{Folder, checksum};
use crate::store::{Change, Store, StoreError, numbers, pack};

/// The room required to continue, besides what the store has to write.
const ROOM: u64 = 256 * 1024;

/// If a store failed while there was less room than this, lack of room is assumed to be the reason. The store does not
/// report its reason, and the table that it could not write has been removed.
const MUCH_ROOM: u64 = 64 << 20;

/// The room reserved for amends, which is enough for most groups.
const RESERVED: u64 = 256 * 1024;

/// Returns whether the disk has room again, including this many bytes for tables.
pub(crate) fn has_room(folder: &Folder, tables: u64) -> bool {
    has(folder, tables.saturating_add(ROOM))
}

/// Returns whether there is so much room that a lack of it cannot have been the reason.
pub(crate) fn has_much_room(folder: &Folder, tables: u64) -> bool {
    has(folder, tables.max(MUCH_ROOM))
}

fn has(folder: &Folder, bytes: u64) -> bool {
    let probe = folder.path().join("probe");
    let written = File::create(&probe).and_then(|mut file| {
        io::copy(&mut io::repeat(1).take(bytes), &mut file)?;
        // Syncing a larger file would take long. If there is too little room, the write that needs it finds out.
        if bytes <= 2 * ROOM {
            file.sync_data()
        } else {
            Ok(())
        }
    });
    // A file that is left behind does no harm.
    let _ = std::fs::remove_file(&probe);
    written.is_ok()
}

/// Reserves room for amends while there is some. On most file systems, overwriting needs no more room. Amends that still
/// have to be made stay.
pub(crate) fn reserve(folder: &Folder) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.amends())?;
    let missing = RESERVED.saturating_sub(file.metadata()?.len());
    io::copy(&mut io::repeat(0).take(missing), &mut file).map(drop)
}

/// Writes down the changes to be made when the store is open again.
pub(crate) fn write_amends(folder: &Folder, amends: &[Change]) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut put = |part: Option<&[u8]>| {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        bytes.extend(length.to_be_bytes());
        bytes.extend(part.unwrap_or_default());
    };
    for (key, value) in amends {
        put(Some(key));
        put(value.as_deref());
    }
    let length = bytes.len() as u64;
    let sum = checksum(&bytes, length);
    write_over(folder, &[&pack(&[sum, length], &[]), &bytes])
}

fn write_over(folder: &Folder, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let mut file = options.open(folder.amends())?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Returns the changes that were written down, if any.
pub(crate) fn amends(folder: &Folder) -> Result<Vec<Change>, StoreError> {
    match std::fs::read(folder.amends()) {
        // Amends that were not written completely were not needed yet, because the store had not been closed.
        Ok(bytes) => Ok(read_amends(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::of_io(error)),
    }
}

/// Makes the changes that were written down.
pub(crate) fn make_amends(
    folder: &Folder,
    store: &Store,
    amends: &[Change],
) -> Result<(), StoreError> {
    if amends.is_empty() {
        return Ok(());
    }
    store.commit(amends)?;
    store.sync()?;
    write_over(folder, &[&[0; 16]]).map_err(StoreError::of_io)
}

fn read_amends(bytes: &[u8]) -> Option<Vec<Change>> {
    let ([sum, length], rest) = numbers(bytes).ok()?;
    let mut rest = rest.get(..usize::try_from(length).ok()?)?;
    if sum != checksum(rest, length) {
        return None;
    }
    let mut amends = Vec::new();
    while !rest.is_empty() {
        let key = part(&mut rest)??;
        amends.push((key, part(&mut rest)?));
    }
    Some(amends)
}

fn part(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = u64::from_be_bytes(*length);
    if length == u64::MAX {
        *rest = behind;
        return Some(None);
    }
    let (part, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(Some(part.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn amends_are_made_once_and_only_whole_ones() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path(), Duration::ZERO, || true);
        let folder = folder.unwrap().unwrap();
        let store = Store::open(&folder.store()).unwrap();
        let row = |value: Option<&str>| (b"k".to_vec(), value.map(|it| it.as_bytes().to_vec()));
        store.commit(&[row(Some("there"))]).unwrap();
        reserve(&folder).unwrap();
        make_amends(&folder, &store, &amends(&folder).unwrap()).unwrap();
        write_amends(&folder, &[(b"l".to_vec(), Some(vec![])), row(None)]).unwrap();
        let mut whole = std::fs::read(folder.amends()).unwrap();
        assert_eq!(whole.len() as u64, RESERVED);
        // Two numbers, and two lengths for each of the rows.
        whole.truncate(16 + 2 * 16 + 2);
        for length in 0..whole.len() {
            std::fs::write(folder.amends(), &whole[..length]).unwrap();
            make_amends(&folder, &store, &amends(&folder).unwrap()).unwrap();
            assert!(store.get(b"k").unwrap().is_some(), "{length}");
        }
        std::fs::write(folder.amends(), &whole).unwrap();
        make_amends(&folder, &store, &amends(&folder).unwrap()).unwrap();
        assert!(store.get(b"k").unwrap().is_none());
        assert!(store.get(b"l").unwrap().is_some());
        store.commit(&[row(Some("anew"))]).unwrap();
        make_amends(&folder, &store, &amends(&folder).unwrap()).unwrap();
        assert!(store.get(b"k").unwrap().is_some());
    }

    #[test]
    fn reserving_room_keeps_short_amends() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path(), Duration::ZERO, || true);
        let folder = folder.unwrap().unwrap();
        let row = (b"k".to_vec(), None);
        write_amends(&folder, std::slice::from_ref(&row)).unwrap();
        reserve(&folder).unwrap();
        assert_eq!(amends(&folder).unwrap(), [row]);
        assert_eq!(folder.amends().metadata().unwrap().len(), RESERVED);
    }
}
