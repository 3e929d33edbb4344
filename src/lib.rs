//! Helios is a web framework in which a server is a set of annotated controllers, and Server-Sent Events are first-class.
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
//!     fn ticks(
//!         &self,
//!         #[header("last-event-id")] last: Option<u64>,
//!     ) -> impl Stream<Item = SseEvent> {
//!         stream! {
//!             for n in last.map_or(0, |n| n.saturating_add(1))..10 {
//!                 let tick = SseEvent::json(json!({ "tick": n }));
//!                 yield tick.event("tick").id(n);
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
//! Start the [`guide`] with [the first app](guide::first_app). If you know NestJS, Dwex, HeliosJS, Danet, S42Core or axum, start with
//! [`guide::coming_from`]. If something does not work as expected, see [`guide::troubleshooting`].
//!
//! # Modules
//!
//! The names that almost every file needs are at the root and in the [`prelude`]. All others are only in the module of their theme:
//!
//! | module | contents |
//! | --- | --- |
//! | [`mod@sse`] | events, streams, topics, their options and limits; reading and writing the wire format |
//! | [`http`] | requests, responses, arguments, guards, interceptors, filters, uploads, listeners |
//! | [`di`] | the container, and async factories |
//! | [`error`] | the errors with which an app does not start |
//! | [`backplane`] | the trait that joins the hubs of several servers |
//! | `redis` | several servers as one hub on Redis or Valkey, behind a feature |
//! | `log` | history that outlives the process, behind a feature |
//! | `openapi` | the document of all routes and events, behind a feature |
//! | [`testing`] | an app in process, without a socket |
//!
//! # Features
//!
//! | feature | by default | provides |
//! | --- | --- | --- |
//! | `validate` | on | validation of bodies, queries, paths and forms with garde: `helios::garde` |
//! | `multipart` | on | uploads: `http::Multipart`, `http::Part` |
//! | `openapi` | off | the OpenAPI document of all routes and events: [`guide::openapi`], `helios::openapi` |
//! | `log` | off | history on this machine's disk, which outlives the process: [`guide::restarts`], `helios::log` |
//! | `redis` | off | several servers as one hub on Redis or Valkey: [`guide::scaling`], `helios::redis` |
//! | `redis-tls` | off | the same over encrypted connections |

#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;
pub mod guide;
pub mod prelude;

/// Makes the code of the README a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use axum_core;
#[cfg(feature = "validate")]
pub use garde;
pub use helios_http::error;
pub use helios_http::openapi::JsonSchema;
pub use helios_http::sse::backplane;
pub use helios_http::testing;
pub use helios_http::{Helios, Module};
pub use helios_macros::*;

#[doc(no_inline)]
pub use self::di::Injectable;
#[doc(no_inline)]
pub use self::error::Error;
#[cfg(feature = "multipart")]
#[doc(no_inline)]
pub use self::http::Multipart;
#[doc(no_inline)]
pub use self::http::{
    Cookie, Filter, Form, Guard, Html, HttpError, Interceptor, Json, Next, Path, Query, Reply,
    RequestContext, ResponseHead,
};
#[doc(no_inline)]
pub use self::sse::{
    ClientId, CloseReason, EventId, IntoSseEvent, Replay, SseError, SseEvent, SseEvents, SseHub,
    SseOptions, SseReply, SseReset, SseService, SseSnapshot, SseStream,
};

/// Lists the guards of a mount by their types. The container builds them, as for `guards = [..]` of [`macro@controller`]. They run in
/// the given order.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct SignedIn;
///
/// impl Guard for SignedIn {
///     async fn check(
///         &self,
///         request: &mut RequestContext,
///     ) -> Result<(), HttpError> {
///         match request.cookie("session") {
///             Some(_) => Ok(()),
///             None => Err(HttpError::unauthorized("sign in first")),
///         }
///     }
/// }
///
/// #[server(controllers = [])]
/// struct App;
///
/// let files = tower_http::services::ServeDir::new("reports");
/// let app = Helios::new(App)
///     .mount_guarded("/reports", guards![SignedIn], files);
/// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
/// # let app = helios::testing::TestApp::start(app).unwrap();
/// assert_eq!(app.get("/reports/2026.pdf").await.status(), 401);
/// # }
/// # run(app);
/// ```
#[macro_export]
macro_rules! guards {
    ($($guard:ty),* $(,)?) => {
        $crate::http::Guards::new(const {
            &[$($crate::__rt::Entry {
                name: stringify!($guard),
                resolve: |resolver| $crate::__rt::guard::<$guard>(
                    $crate::__rt::Dependency::<$guard>::NEW.resolve(resolver)
                ),
            }),*]
        })
    };
}

/// Server-Sent Events: events, streams, and the hub behind them.
///
/// The guide has a chapter on [streams](crate::guide::streams) and one on [topics](crate::guide::rooms).
pub mod sse {
    pub use helios_core::decode::{DecodeError, Decoded, DecodedEvent, Decoder, TryFromEventError};
    pub use helios_core::encode::{KEEP_ALIVE, encode, encode_into};
    pub use helios_core::event::{EventError, IntoSseEvent, SseEvent};
    pub use helios_core::hub::{BacklogLimits, EventId, EventIdError, HistoryLimits, Replay};
    pub use helios_core::presence::{Member, MemberStatus, PresenceError, Present, PresentMember};
    pub use helios_core::sse::{
        ClientId, ClientIdError, CloseReason, END_MARK, ResetReason, SnapshotReason, SseError,
        SseReset, SseSnapshot,
    };
    pub use helios_http::sse::{
        ConnectionLimits, Drain, Network, NetworkError, OnError, Overload, ProxyHeader,
        PublishOptions, SlowClients, SseHub, SseOptions, SseReply, SseService, SseStats, SseStream,
        StreamOptions, Topics, UserKey,
    };
    pub use helios_macros::SseEvents;
}

/// Requests and responses: arguments and return values of handlers, guards, interceptors and filters, and types for serving an app.
///
/// This is not the crate `http`. Write `::http` for the crate if both could be meant.
pub mod http {
    pub use helios_core::bind::{Form, Json, Path, Query};
    pub use helios_core::cookie::{Cookie, SameSite};
    pub use helios_core::error::{Fault, HttpError, Location};
    pub use helios_core::filter::{Filter, StreamAnswer};
    pub use helios_core::guard::Guard;
    pub use helios_core::html::Html;
    pub use helios_core::interceptor::{Interceptor, Next};
    #[cfg(feature = "multipart")]
    pub use helios_core::multipart::{Multipart, Part};
    pub use helios_core::reply::Reply;
    pub use helios_core::request::{RequestContext, ResponseHead};
    pub use helios_core::route::{RouteKind, Verb};
    pub use helios_core::same_origin::SameOrigin;
    pub use helios_core::security::{Scheme, Security};
    pub use helios_http::{
        BoxedRoutes, ErrorReport, Guards, HeliosService, Listener, MatchedPath, RemoteAddr,
        RouteInfo, Routes,
    };
    pub use helios_macros::HttpError;
}

/// The container: the trait of the types that it builds, and async factories.
///
/// The guide has a chapter on [services](crate::guide::services).
pub mod di {
    pub use helios_core::container::{Factory, Injectable};
    pub use helios_macros::Injectable;
}

/// The OpenAPI document of an app's routes and events, behind the feature `openapi`. [`Helios::openapi`] serves it.
///
/// Most of the document comes from types: arguments and responses that derive [`macro@JsonSchema`], events that derive
/// [`SseEvents`](macro@SseEvents), errors that derive [`HttpError`](macro@HttpError), and guards that implement
/// [`Guard::security`]. Add what they do not say with [`macro@answers`], [`macro@accepts`] and `#[sse(.., events = T)]`. A type without a
/// schema in one of these does not compile:
///
/// ```compile_fail
/// use helios::prelude::*;
///
/// struct Note; // without `#[derive(JsonSchema)]`
/// # #[derive(Injectable)]
/// # struct Notes;
///
/// #[controller(prefix = "notes")]
/// impl Notes {
///     #[get]
///     #[answers(200, Note)]
///     fn find(&self) -> StatusCode { StatusCode::OK }
/// }
/// ```
#[cfg(feature = "openapi")]
pub mod openapi {
    pub use helios_http::openapi::{OpenApi, OpenApiDocument, Unknown};
}

/// An event log: history on this machine's disk, which outlives the process. Behind the feature `log`.
///
/// The guide has a chapter on [restarts](crate::guide::restarts).
#[cfg(feature = "log")]
pub mod log {
    pub use helios_log::{Durability, Log, LogError};
}

/// A backplane that joins several servers on Redis or Valkey. Behind the feature `redis`; `redis-tls` adds encrypted connections.
///
/// The variable `HELIOS_REDIS_URL=redis://user:password@host:port` is enough, without code. A backplane that is set with
/// [`Helios::backplane`](crate::Helios::backplane) overrides it.
///
/// The guide has a chapter on [several servers](crate::guide::scaling).
#[cfg(feature = "redis")]
pub mod redis {
    pub use helios_redis::Redis;
}
