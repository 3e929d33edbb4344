//! The machine as the event log sees it, which tests can replace.

use std::io;
use std::time::SystemTime;

use crate::folder::Boot;

/// Properties of the machine that tests replace.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) boot: Boot,
    pub(crate) now: fn() -> SystemTime,
    /// Returns the disk's result before the disk is used.
    pub(crate) disk: fn(Act) -> io::Result<()>,
}

/// An operation of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Commit,
    Sync,
    Mark,
}
