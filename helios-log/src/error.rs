//! The errors of an event log: above all those that keep it from starting.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};

/// The reason why an event log does not start. It is the source of the error that keeps the app from starting.
///
/// ```
/// use helios::log::LogError;
///
/// let error = LogError::Newer { path: "data/sse".into(), version: 2 };
/// assert!(error.to_string().starts_with("a newer version of helios-rs-log has written `data/sse`"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The folder cannot be used, because it is not writable, or the disk is full or failing.
    #[error("the event log's folder `{}` cannot be used{}", path.display(), advice(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process holds the folder and has not ended in time.
    #[error("another process holds the event log's folder `{}`, and has not ended within {waited:?}: \
        stop it, give each process a folder of its own, or wait for longer (`Log::wait_for`)", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// How long the log waited for it.
        waited: Duration,
    },
    /// A newer version has written the folder.
    #[error("a newer version of helios-rs-log has written `{}` (format {version}): update helios-rs, \
        or move the folder away to begin anew", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The version of its format.
        version: u64,
    },
}

/// Returns what to do about an error of the system, if that is known.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded => ": make room on its disk, and start again",
        PermissionDenied | ReadOnlyFilesystem => {
            ": let this process write there, or name another folder"
        }
        OutOfMemory => ": give the process more memory, and start again",
        ResourceBusy => ": another event log of this process has it; name another folder",
        // The process or the machine cannot open any more files.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            ": raise the limit of open files, and start again"
        }
        _ => ": look at its disk, and start again; no event was deleted",
    }
}

/// Returns the error for names that do not fit into a row.
pub(crate) fn too_long() -> BackplaneError {
    let text = "the name of the topic, or the key, is too long for the event log";
    BackplaneError::new(BackplaneErrorKind::Refused, text)
}

/// Returns an error as a text, with its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
