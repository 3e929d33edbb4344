//! The event log of a Helios app, which keeps its history on this machine's disk. A restart, a deploy or a `kill -9`
//! loses no event and resets no client. On systems other than Linux, that needs [`Durability::Always`] for the `kill -9`.
//!
//! [`Log`] is a [`Backplane`] for one process at a time. Apps use it as `helios::log::Log`, with the feature `log` of
//! `helios-rs`. Without code, use `#[server(sse(enabled = true, log = "data/sse"))]` or the variable `HELIOS_SSE_LOG`.
//! The guide has a chapter on [restarts](https://docs.rs/helios-rs/latest/helios/guide/restarts).
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
//! # use helios::testing::TestApp;
//! # let data = tempfile::tempdir().unwrap();
//! # let folder = data.path().join("sse");
//! let app = Helios::new(App).backplane(Log::open(&folder));
//! # let app = TestApp::start(app)?;
//! # app.service().start().await?;
//! # let first = app.sse_service().publish("news", "it rains").await.unwrap();
//! # app.service().shutdown(Duration::ZERO).await;
//! // After a restart the sequence continues where it was.
//! let app = Helios::new(App).backplane(Log::open(&folder));
//! # let app = TestApp::start(app)?;
//! # app.service().start().await?;
//! # let second = app.sse_service().publish("news", "it pours").await.unwrap();
//! # assert_eq!(second.is_after(first), Some(true));
//! # app.service().shutdown(Duration::ZERO).await;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod clock;
mod error;
mod folder;
mod full;
mod history;
mod log;
mod machine;
mod members;
mod opening;
mod sequence;
mod shared;
mod store;
mod trimming;
mod writer;

#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::sync::Arc;

#[doc(no_inline)]
pub use helios_http::sse::backplane::Backplane;

pub use self::error::LogError;
pub use self::log::Log;
pub use self::writer::Durability;

/// Opens the event log named by `HELIOS_SSE_LOG`, or else by the attribute. An empty variable turns it off. For
/// generated code.
#[doc(hidden)]
#[must_use]
pub fn open_named(attribute: Option<&'static str>) -> Option<Arc<dyn Backplane>> {
    let folder = env::var_os("HELIOS_SSE_LOG").or(attribute.map(OsString::from))?;
    match folder.is_empty() {
        true => None,
        false => Some(Arc::new(Log::open(folder))),
    }
}
