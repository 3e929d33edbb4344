//! Server-Sent Events, from the request to the stream, the hub that it reads, and the backplane behind it.

mod address;
pub(crate) mod answer;
pub mod backplane;
pub(crate) mod call;
mod control;
pub(crate) mod disconnects;
mod drain;
mod heartbeat;
pub(crate) mod hooks;
mod hub;
mod limiter;
mod network;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod output;
mod presence;
mod publish;
mod reply;
mod service;
mod standalone;
pub(crate) mod stream;
mod streams;

pub use network::{Network, NetworkError};
pub use options::{
    ConnectionLimits, Drain, OnError, Overload, ProxyHeader, SlowClients, SseOptions,
    StreamOptions, UserKey,
};
pub use publish::PublishOptions;
pub use reply::SseReply;
pub use service::{SseService, SseStats, Topics};
pub use standalone::SseHub;
pub use stream::handle::SseStream;

pub(crate) use hooks::SseHooks;
pub(crate) use streams::Streams;
