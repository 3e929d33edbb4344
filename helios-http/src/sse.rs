//! Server-Sent Events: the handle, the hub behind it, and the body that turns cursors into frames.

mod address;
pub(crate) mod answer;
pub mod backplane;
pub(crate) mod call;
mod control;
mod drain;
mod heartbeat;
pub(crate) mod hooks;
mod hub;
mod limiter;
mod network;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod output;
mod service;
mod standalone;
mod stream;

pub use call::{Finished, Outcome, Refusal, SseCall};
pub use hooks::{HookArgument, HookPlace, hook_argument, hook_ladder, hook_result};
pub use network::{Network, NetworkError};
pub use options::{ConnectionLimits, Overload, ProxyHeader, SlowClients, SseOptions, UserKey};
pub use output::{SseOutput, ladder};
pub use service::{SseService, SseStats};
pub use standalone::SseHub;
pub use stream::handle::SseStream;

pub(crate) use backplane::replication::Relay;
pub(crate) use hooks::SseHooks;
pub(crate) use hub::Hub;
pub(crate) use stream::running::Connection;
pub(crate) use stream::state::Piece;
