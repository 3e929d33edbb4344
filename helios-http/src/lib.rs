//! The runtime of the Helios framework: router, pipeline, hyper server, SSE service and bodies.
//!
//! Applications depend on the `helios` crate, which re-exports what they need.

mod answer;
mod app;
mod assemble;
mod body;
pub mod controller;
mod endpoint;
pub mod error;
mod module;
mod mount;
mod panics;
mod peer;
mod pipeline;
mod progress;
mod remote_addr;
#[doc(hidden)]
pub mod resolve;
mod router;
mod server;
mod service;
mod settings;
pub mod sse;
pub mod testing;
mod trace;

pub use app::{BoxedRoutes, Helios};
pub use assemble::Assembly;
pub use module::Module;
pub use remote_addr::RemoteAddr;
pub use router::{RouteInfo, Routes};
pub use server::Listener;
pub use service::HeliosService;

#[doc(hidden)]
pub use helios_core::reply::{Opened as __Opened, Shape as __Shape};
#[doc(hidden)]
pub use std::option::Option as __Option;
#[doc(hidden)]
pub use std::result::Result as __Result;
