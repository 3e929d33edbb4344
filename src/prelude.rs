//! The names that a file with a controller needs.
//!
//! ```
//! use helios::prelude::*;
//!
//! #[derive(Injectable)]
//! struct Orders;
//!
//! #[controller(prefix = "orders")]
//! impl Orders {
//!     #[get("{id}")]
//!     fn find(&self, #[param] id: u64) -> Result<Json<u64>, HttpError> {
//!         Ok(Json(id))
//!     }
//! }
//! ```

pub use std::sync::Arc;
pub use std::time::Duration;

pub use async_stream::{stream, try_stream};
pub use futures_core::Stream;
pub use http::StatusCode;
pub use serde_json::json;
pub use tokio::time::sleep;

#[doc(no_inline)]
pub use crate::di::Injectable;
#[doc(no_inline)]
pub use crate::http::{
    Cookie, Filter, Form, Guard, Html, HttpError, Interceptor, Json, Next, Path, Query, Reply,
    RequestContext, ResponseHead,
};
#[doc(no_inline)]
pub use crate::sse::{
    ClientId, CloseReason, IntoSseEvent, Replay, SseError, SseEvent, SseEvents, SseReply, SseReset,
    SseService, SseSnapshot, SseStream,
};
#[doc(no_inline)]
pub use crate::{Helios, Module, guards};
#[doc(no_inline)]
pub use helios_http::openapi::JsonSchema;

// Taken from their own crate, because `helios::sse` is a module too. A prelude must not import modules, least of all one that hides a crate.
#[doc(no_inline)]
pub use helios_macros::*;
