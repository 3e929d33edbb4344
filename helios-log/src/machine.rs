//! The machine as the event log sees it, so that tests can pretend another one.

use std::io;
use std::time::SystemTime;

use crate::folder::Boot;

/// What tests pretend.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) boot: Boot,
    pub(crate) now: fn() -> SystemTime,
    /// What the disk answers before it is asked.
    pub(crate) disk: fn(Act) -> io::Result<()>,
}

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Commit,
    Sync,
    Mark,
}
