//! A subject to measure, from one build of this package.
//!
//! A newer build starts an older one, so no revision may change this interface:
//!
//! ```text
//! helios-benches run SUBJECT    prints its figure, or, if it is a server, `ADDRESS MICROSECONDS` when it is ready, and then
//!                               publishes each `sse::Command` that it reads
//! allocations helios            prints its figure
//! live run helios-sse           the same, and prints the bytes that are allocated on each SIGUSR1
//! ```

use std::io;
use std::path::PathBuf;

/// The program that runs every subject.
const ALL: &str = "helios-benches";

/// The program that counts the allocations of servers.
const ALLOCATIONS: &str = "allocations";

/// The program that counts allocated bytes. Counting is slow, so it is a program of its own.
const LIVE: &str = "live";

/// The programs of this package, as built from one revision.
pub(crate) struct Build {
    folder: PathBuf,
}

impl Build {
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder }
    }

    /// Returns the build that this program belongs to.
    pub(crate) fn own() -> io::Result<Self> {
        let mut folder = std::env::current_exe()?;
        folder.pop();
        Ok(Self { folder })
    }

    pub(crate) fn counts_live_bytes(&self) -> bool {
        self.folder.join(LIVE).is_file()
    }
}

/// How to measure the memory of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// By its resident memory, from the kernel.
    Resident,
    /// By the server's own count of bytes allocated and not freed.
    Live,
}

/// A subject, from one build.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) subject: &'a str,
    pub(crate) build: &'a Build,
    pub(crate) memory: Memory,
}

impl Candidate<'_> {
    /// Returns the program that runs the subject.
    pub(crate) fn program(&self) -> PathBuf {
        self.build.folder.join(match self.memory {
            Memory::Resident => ALL,
            Memory::Live => LIVE,
        })
    }

    /// Returns the program that counts its allocations.
    pub(crate) fn allocations(&self) -> PathBuf {
        self.build.folder.join(ALLOCATIONS)
    }
}
