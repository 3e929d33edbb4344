//! The history of a Helios app on this machine's disk: a restart, a deploy or a `kill -9` loses no event and resets no client.
//!
//! [`Log`] is a [`Backplane`] for one process at a time. Users name it `helios::log::Log`, with the feature `log` of `helios-rs`;
//! `#[server(sse(enabled = true, log = "data/sse"))]` and the variable `HELIOS_SSE_LOG` say the same without code. The guide has a
//! chapter on [restarts](https://docs.rs/helios-rs/latest/helios/guide/restarts).
//!
//! ```
//! use helios::log::Log;
//! use helios::prelude::*;
//!
//! #[derive(Injectable)]
//! struct News;
//!
//! #[controller]
//! impl News {
//!     #[sse("news")]
//!     async fn news(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
//!         sse.subscribe(["news"]).await
//!     }
//! }
//!
//! #[server(controllers = [News], sse(enabled = true))]
//! struct App;
//!
//! # #[tokio::main] async fn main() -> Result<(), helios::Error> {
//! # let data = tempfile::tempdir().unwrap();
//! # let folder = data.path().join("sse");
//! let app = Helios::new(App).backplane(Log::open(&folder));
//! # let sse = app.sse();
//! # let app = helios::testing::TestServer::start(app).await?;
//! # let first = sse.publish("news", "it rains").await.unwrap();
//! # app.stop().await?;
//! // After a restart the sequence goes on where it was.
//! let app = Helios::new(App).backplane(Log::open(&folder));
//! # let sse = app.sse();
//! # let app = helios::testing::TestServer::start(app).await?;
//! # assert_eq!(sse.publish("news", "it pours").await.unwrap().is_after(first), Some(true));
//! # app.stop().await
//! # }
//! ```

#![forbid(unsafe_code)]

mod clock;
mod folder;
mod full;
mod history;
mod log;
mod opening;
mod sequence;
mod store;
mod trimming;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[doc(no_inline)]
pub use helios_http::sse::backplane::Backplane;

pub use self::log::Log;

/// When a publish is answered, and subscribers see the event.
///
/// | | survives the process, `kill -9` | survives power loss |
/// | --- | --- | --- |
/// | [`Sync::Os`] | each event | up to the last second; then all clients are told, by a reset |
/// | [`Sync::Always`] | each event | each event, and nobody is reset |
///
/// ```
/// use helios::log::{Log, Sync};
///
/// let log = Log::open("data/sse").sync(Sync::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// The operating system has the event; it is synced to the disk within about a second. The default.
    #[default]
    Os,
    /// The event was synced to the disk. What is published at the same time is synced together.
    Always,
}

/// Why a log does not start: the source of the error that keeps the app from starting.
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
    /// The folder cannot be used: it may not be written, or the disk is full.
    #[error("the log's folder `{}` cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process holds the folder, and has not ended in time.
    #[error("another process holds the log's folder `{}`, and has not ended within {waited:?}: \
        stop it, or give each process a folder of its own", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
        /// How long it was waited for.
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
