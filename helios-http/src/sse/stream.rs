//! One stream: its handle, its state, and what runs it.
//!
//! | file | what it is |
//! | --- | --- |
//! | `handle` | [`SseStream`](handle::SseStream), what the app holds |
//! | `route` | what a route fixes for its streams, and what a stream learns from its request |
//! | `running` | the source and the queues of a stream as one future, which gives chunks |
//! | `state` | the state behind all handles: one lock, and what is done when it is open again |
//! | `lifecycle`, `deferred`, `task` | the parts of that state, which know neither lock nor clock |
//! | `data` | the app's own values, behind a lock of their own |
//! | `hook_tasks` | runs the hooks of error, reset and close |
//! | `failure` | how a stream that has failed ends: as the filters say |

pub(crate) mod data;
pub(crate) mod deferred;
mod failure;
pub(crate) mod handle;
mod hook_tasks;
pub(crate) mod lifecycle;
pub(crate) mod route;
pub(crate) mod running;
pub(crate) mod state;
mod task;
