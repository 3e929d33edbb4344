//! Everything that a file with a controller needs.
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

pub use crate::{
    ClientId, CloseReason, Filter, Form, Guard, Helios, HttpError, Injectable, Interceptor,
    IntoSseEvent, Json, Module, Next, Path, Query, Reply, RequestContext, ResponseHead, SseError,
    SseEvent, SseReset, SseService, SseStream,
};

pub use helios_macros::*;
