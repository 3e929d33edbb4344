//! Helios: a web server is a set of annotated controllers, and Server-Sent Events are first-class.
//!
//! ```no_run
//! use helios::prelude::*;
//!
//! #[derive(Injectable)]
//! struct Clock;
//!
//! #[controller(prefix = "clock")]
//! impl Clock {
//!     #[get("{zone}")]
//!     fn zone(&self, #[param] zone: String) -> String {
//!         format!("it is late in {zone}")
//!     }
//!
//!     #[sse("ticks")]
//!     fn ticks(&self, #[header("last-event-id")] last: Option<u64>) -> impl Stream<Item = SseEvent> {
//!         stream! {
//!             for n in last.map_or(0, |n| n.saturating_add(1))..10 {
//!                 yield SseEvent::json(json!({ "tick": n })).event("tick").id(n);
//!                 sleep(Duration::from_secs(1)).await;
//!             }
//!         }
//!     }
//! }
//!
//! #[server(controllers = [Clock], sse(enabled = true))]
//! struct App;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), helios::Error> {
//!     Helios::new(App).listen().await
//! }
//! ```
//!
//! The [`guide`] begins with [the first app](guide::first_app); if you know NestJS, Dwex, HeliosJS, Danet, S42Core or axum, begin with
//! [`guide::coming_from`]. When something is not as expected, look into [`guide::troubleshooting`].
//!
//! # Features
//!
//! | feature | by default | gives |
//! | --- | --- | --- |
//! | `validate` | on | validation with garde of bodies, queries, paths and forms; `helios::garde` |
//! | `multipart` | on | uploads: `Multipart`, `Part` |
//! | `unstable-backplane` | off | several servers as one hub: `helios::backplane`, `Helios::backplane`; may change in any release |

#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;
pub mod guide;
pub mod prelude;

/// The code of the README is tested, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use axum_core;
#[cfg(feature = "validate")]
pub use garde;
pub use helios_core::bind::{Form, Json, Path, Query};
pub use helios_core::container::{Factory, Injectable};
pub use helios_core::error::{Fault, HttpError, Location};
pub use helios_core::event::{EventError, IntoSseEvent, SseEvent};
pub use helios_core::filter::Filter;
pub use helios_core::guard::Guard;
pub use helios_core::hub::{BacklogLimits, EventId, EventIdError, HistoryLimits};
pub use helios_core::interceptor::{Interceptor, Next};
#[cfg(feature = "multipart")]
pub use helios_core::multipart::{Multipart, Part};
pub use helios_core::reply::Reply;
pub use helios_core::request::{RequestContext, ResponseHead};
pub use helios_core::route::{RouteKind, Verb};
pub use helios_core::sse::{
    ClientId, ClientIdError, CloseReason, END_MARK, ResetReason, SseError, SseReset,
};
pub use helios_core::{decode, encode};
pub use helios_http::error::{self, Error};
#[cfg(feature = "unstable-backplane")]
pub use helios_http::sse::backplane;
pub use helios_http::sse::{
    ConnectionLimits, Network, NetworkError, Overload, ProxyHeader, SlowClients, SseHub,
    SseOptions, SseService, SseStats, SseStream, UserKey,
};
pub use helios_http::{
    BoxedRoutes, Helios, HeliosService, Listener, Module, RemoteAddr, RouteInfo, Routes, testing,
};
pub use helios_macros::{
    HttpError, Injectable, SseEvents, any, controller, delete, get, head, http_code, on_sse_close,
    on_sse_connection, on_sse_error, on_sse_reset, options, patch, post, put, server, sse,
    use_filters, use_guards, use_interceptors,
};
