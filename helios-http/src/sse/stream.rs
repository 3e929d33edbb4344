//! One stream, with its handle, its state, and the future that runs it.
//!
//! | file | content |
//! | --- | --- |
//! | `handle` | [`SseStream`](handle::SseStream), which the app holds |
//! | `route` | the values that a route fixes for its streams, and those that a stream takes from its request |
//! | `running` | the source and the queues of a stream as one future, which returns chunks |
//! | `state` | the state behind all handles, with one lock, and the effects to carry out after it is released |
//! | `lifecycle`, `deferred`, `task` | parts of that state that use no lock and no clock |
//! | `data` | the app's own values, behind a lock of their own |
//! | `hook_tasks` | runs the error, reset, snapshot and close hooks |
//! | `failure` | ends a stream that has failed, as the filters decide |

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
