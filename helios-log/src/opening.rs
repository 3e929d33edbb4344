//! What becomes of the sequence when a folder is opened: it goes on, or another begins and all clients are told.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use helios_http::sse::backplane::BackplaneSink;

use crate::error::{LogError, with_causes};
use crate::folder::{Boot, Folder, Mark};
use crate::full;
use crate::sequence::Sequence;
use crate::store::{HEAD, Head, Past, Store, StoreError, TOPIC, topic_of};

/// How a folder is to be opened.
pub(crate) struct Opening {
    pub(crate) boot: Boot,
    pub(crate) always: bool,
    pub(crate) new_epoch: bool,
}

/// Why a new sequence begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Wanted,
    Copied,
    Boot,
    NoMark,
    Shorter,
    Other,
    Damaged,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wanted => "it is wanted, by `new_epoch`",
            Self::Copied => "the folder is a copy",
            Self::Boot => "the machine stopped before all was on its disk",
            Self::NoMark => "the file `state` says nothing",
            Self::Shorter => "newest events are missing in the store",
            Self::Other => "the store and the file `state` are not of one sequence",
            Self::Damaged => "the store was damaged",
        })
    }
}

/// Opens the store of a folder, with what is known of its topics. Gives why a new sequence has begun in it, if one has.
pub(crate) fn open(
    folder: &mut Folder,
    opening: &Opening,
    sink: BackplaneSink,
) -> Result<(Store, Sequence, Option<Why>), LogError> {
    let mark = folder.mark()?;
    let is_new = !folder.store().exists();
    let (store, head, topics) = match read(folder) {
        Ok(all) => all,
        Err(error) if is_damage(&error) => {
            let aside = folder.set_aside()?;
            let (aside, error) = (aside.display(), with_causes(&error));
            tracing::error!(%aside, error, "the log's store is damaged: it was moved aside, and a new one begins");
            read(folder).map_err(|error| refused(folder, error))?
        }
        Err(error) => return Err(refused(folder, error)),
    };
    let why = match (is_new && mark.is_none(), head) {
        (true, _) => None,
        (false, None) => Some(Why::Damaged),
        (false, Some(head)) => reason(folder, opening, mark, head),
    };
    let head = match (why, head) {
        (None, Some(head)) => head,
        (_, head) => Head {
            epoch: fastrand::u64(1..1 << 48),
            ..head.unwrap_or_default()
        },
    };
    store
        .commit(&[(HEAD.to_vec(), Some(head.pack()))])
        .and_then(|()| store.sync())
        .map_err(|error| refused(folder, error))?;
    let mark = Mark {
        epoch: head.epoch,
        newest: head.newest,
        boot: opening.boot,
        lock: folder.lock(),
        ended: false,
        always: opening.always,
    };
    let reserved = full::reserve(folder);
    let marked = reserved.and_then(|()| folder.set_mark(&mark));
    let marked = marked.and_then(|()| folder.sync());
    marked.map_err(|error| folder.failed(error))?;
    let bytes = topics.values().map(|past| past.bytes).sum();
    let sequence = Sequence {
        head,
        topics,
        watched: HashSet::new(),
        bytes,
        sink,
    };
    Ok((store, sequence, why))
}

type Known = (Store, Option<Head>, HashMap<Arc<str>, Past>);

/// What the store holds, apart from the events; `None` for the head of one that is empty.
fn read(folder: &Folder) -> Result<Known, StoreError> {
    let store = Store::open(&folder.store())?;
    full::make_amends(folder, &store)?;
    let head = store.get(&HEAD)?;
    let head = head.map(|head| Head::unpack(&head)).transpose()?;
    let mut topics = HashMap::new();
    for row in store.all(TOPIC) {
        let (key, value) = row?;
        if key.first() == Some(&TOPIC) {
            topics.insert(Arc::from(topic_of(&key)?), Past::unpack(&value)?);
        }
    }
    if head.is_none() && !topics.is_empty() {
        return Err(StoreError::damaged("it has topics and no head"));
    }
    Ok((store, head, topics))
}

/// Whether the files are at fault, and not the machine or who started the process.
fn is_damage(error: &StoreError) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    match error {
        StoreError::Full(_) => false,
        StoreError::Io(error) => {
            // No file could be opened any more.
            let no_more_files = matches!(error.raw_os_error(), Some(23 | 24));
            let kind = error.kind();
            let others = [
                OutOfMemory,
                PermissionDenied,
                ReadOnlyFilesystem,
                ResourceBusy,
            ];
            !no_more_files && !others.contains(&kind)
        }
        StoreError::Damaged(_) | StoreError::Failed => true,
    }
}

fn reason(folder: &Folder, opening: &Opening, mark: Option<Mark>, head: Head) -> Option<Why> {
    if opening.new_epoch {
        return Some(Why::Wanted);
    }
    let Some(mark) = mark else {
        return Some(Why::NoMark);
    };
    let same_boot = opening.boot != 0 && mark.boot == opening.boot;
    match () {
        () if mark.lock != folder.lock() => Some(Why::Copied),
        () if mark.epoch != head.epoch => Some(Why::Other),
        () if head.newest < mark.newest => Some(Why::Shorter),
        () if !(mark.ended || mark.always || same_boot) => Some(Why::Boot),
        () => None,
    }
}

fn refused(folder: &Folder, error: StoreError) -> LogError {
    let source = match error {
        StoreError::Full(source) | StoreError::Io(source) => source,
        other => io::Error::other(other),
    };
    folder.failed(source)
}
