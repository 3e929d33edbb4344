//! The runtime of the Helios framework, on hyper, tokio and tower.
//!
//! Applications depend on the `helios` crate, which re-exports what they need.

mod app;
mod drain;
pub mod error;
mod failure;
mod future;
mod head;
mod matched_path;
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub mod openapi;
#[cfg(not(feature = "openapi"))]
#[doc(hidden)]
#[path = "openapi/off.rs"]
pub mod openapi;
mod panics;
mod peer;
mod progress;
mod remote_addr;
mod reply;
mod routing;
#[doc(hidden)]
pub mod rt;
mod server;
pub mod sse;
mod sync;
mod table;
pub mod testing;
mod trace;

pub use app::{BoxedRoutes, Helios, Module};
pub use matched_path::MatchedPath;
pub use remote_addr::RemoteAddr;
pub use routing::context::ErrorReport;
pub use routing::router::{RouteInfo, Routes};
pub use routing::service::HeliosService;
pub use server::Listener;
pub use table::Guards;

#[doc(hidden)]
pub use helios_core::reply::{Opened as __Opened, Shape as __Shape};
#[doc(hidden)]
pub use std::option::Option as __Option;
#[doc(hidden)]
pub use std::result::Result as __Result;
