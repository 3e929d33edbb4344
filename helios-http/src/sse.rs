//! Server-Sent Events: the handle, the hub behind it, and the body that turns cursors into frames.

mod call;
mod client;
mod connection;
mod control;
mod hooks;
mod hub;
mod options;
mod output;
mod service;
mod stream;

pub use call::{Finished, Outcome, Refusal, SseCall};
pub use hooks::{HookArgument, HookPlace, hook_argument, hook_ladder, hook_result};
pub use options::SseOptions;
pub use output::{SseOutput, ladder};
pub use service::{SseService, SseStats};
pub use stream::SseStream;

pub(crate) use call::Opening;
pub(crate) use connection::{Connection, Opened};
pub(crate) use hooks::{ControllerHooks, SseHooks};
pub(crate) use hub::Hub;
