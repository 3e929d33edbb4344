//! Server-Sent Events: the handle, the hub behind it, and the body that turns cursors into frames.

mod address;
pub mod backplane;
mod call;
mod client;
mod connection;
mod control;
mod drain;
mod heartbeat;
mod hooks;
mod hub;
mod network;
mod options;
mod output;
mod relay;
mod seats;
mod service;
mod standalone;
mod stream;
mod topics;
mod waiting;

pub use call::{Finished, Outcome, Refusal, SseCall};
pub use hooks::{HookArgument, HookPlace, hook_argument, hook_ladder, hook_result};
pub use network::{Network, NetworkError};
pub use options::{ConnectionLimits, Overload, ProxyHeader, SlowClients, SseOptions, UserKey};
pub use output::{SseOutput, ladder};
pub use service::{SseService, SseStats};
pub use standalone::SseHub;
pub use stream::SseStream;

pub(crate) use call::{Around, Opening};
pub(crate) use client::Piece;
pub(crate) use connection::{Connection, Opened};
pub(crate) use hooks::{ControllerHooks, SseHooks};
pub(crate) use hub::Hub;
pub(crate) use relay::Relay;
pub(crate) use seats::Overloaded;
