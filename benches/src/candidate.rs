//! What is measured: a subject, as one build of this package has it.
//!
//! An older build is started by a newer one, so this is how it is spoken to, and no revision may change it:
//!
//! ```text
//! helios-benches run SUBJECT    prints its figure, or, if it is a server, `ADDRESS MICROSECONDS` when it is ready, and then
//!                               publishes each `sse::Command` that it reads
//! allocations helios            prints its figure
//! live run helios-sse           the same, and prints the bytes that are allocated on each SIGUSR1
//! ```

use std::io;
use std::path::PathBuf;

/// What runs every subject.
const ALL: &str = "helios-benches";

/// What counts the allocations of servers.
const ALLOCATIONS: &str = "allocations";

/// What counts the bytes that are allocated: slower, and so a program of its own.
const LIVE: &str = "live";

/// The programs of this package, as one revision builds them.
pub(crate) struct Build {
    folder: PathBuf,
}

impl Build {
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder }
    }

    /// The one to which this program belongs.
    pub(crate) fn own() -> io::Result<Self> {
        let mut folder = std::env::current_exe()?;
        folder.pop();
        Ok(Self { folder })
    }

    pub(crate) fn counts_live_bytes(&self) -> bool {
        self.folder.join(LIVE).is_file()
    }
}

/// How the memory of a server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The kernel knows what is resident.
    Resident,
    /// The server counts what it has allocated and not freed yet.
    Live,
}

/// A subject, in one build.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) subject: &'a str,
    pub(crate) build: &'a Build,
    pub(crate) memory: Memory,
}

impl Candidate<'_> {
    /// The program that runs it.
    pub(crate) fn program(&self) -> PathBuf {
        self.build.folder.join(match self.memory {
            Memory::Resident => ALL,
            Memory::Live => LIVE,
        })
    }

    /// The program that counts its allocations.
    pub(crate) fn allocations(&self) -> PathBuf {
        self.build.folder.join(ALLOCATIONS)
    }
}
