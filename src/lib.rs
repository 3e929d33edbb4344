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
//! # Where names are
//!
//! What almost every file needs stands at the root, and in the [`prelude`]; all else stands in the module of its theme only:
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`mod@sse`] | events, streams, topics, their options and limits; reading and writing the wire format |
//! | [`http`] | requests, answers, arguments, guards, interceptors, filters, uploads, listeners |
//! | [`di`] | what the container builds, and async factories |
//! | [`error`] | why an app does not start |
//! | `backplane` | several servers as one hub, behind a feature |
//! | [`backplane`] | what joins the hubs of several servers |
//! | `openapi` | the document of all routes and events, behind a feature |
//! | `log` | history that outlives the process, behind a feature |
//! | [`testing`] | an app in process, without a socket |
//!
//! # Features
//!
//! | feature | by default | gives |
//! | --- | --- | --- |
//! | `validate` | on | validation with garde of bodies, queries, paths and forms; `helios::garde` |
//! | `log` | off | history on this machine's disk, which outlives the process: [`guide::restarts`], `helios::log` |
//! | `openapi` | off | the OpenAPI document of all routes and events: `helios::openapi` |
//! | `multipart` | on | uploads: `http::Multipart`, `http::Part` |

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
pub use helios_http::error;
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

/// Lists the guards of a mount: types, which come from the container, as in `guards = [..]` of [`macro@controller`]. They run in the
/// order in which they are written.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct SignedIn;
///
/// impl Guard for SignedIn {
///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
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
/// let app = Helios::new(App).mount_guarded("/reports", guards![SignedIn], files);
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

/// Server-Sent Events: what is sent, the streams it is sent on, and the hub behind them.
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

/// Requests and answers: what a handler is given, what it returns, what stands around it, and how an app is served.
///
/// It is not the crate `http`, which is named `::http` where both could be meant.
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

/// The container: the types that it builds, and the factories of those that must be awaited.
///
/// The guide has a chapter on [services](crate::guide::services).
pub mod di {
    pub use helios_core::container::{Factory, Injectable};
    pub use helios_macros::Injectable;
}

/// The OpenAPI document of an app's routes and events, behind the feature `openapi`. [`Helios::openapi`] serves it.
///
/// Types say most of it: those of arguments and answers that derive [`macro@JsonSchema`], events that derive
/// [`SseEvents`](macro@SseEvents), errors that derive [`HttpError`](macro@HttpError), and guards by
/// [`Guard::security`]. What they do not say is told by [`macro@answers`], [`macro@accepts`] and `#[sse(.., events = T)]`; there a type
/// without a schema is an error of the compiler:
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

/// History on this machine's disk, which outlives the process, behind the feature `log`.
///
/// The guide has a chapter on [restarts](crate::guide::restarts).
#[cfg(feature = "log")]
pub mod log {
    pub use helios_log::{Durability, Log, LogError};
}

/// Several servers as one hub, on Redis or Valkey, behind the feature `redis`; `redis-tls` adds encrypted links.
///
/// `HELIOS_REDIS_URL=redis://user:password@host:port` is enough, without code. What code says with
/// [`Helios::backplane`](crate::Helios::backplane) stands before it.
#[cfg(feature = "redis")]
pub mod redis {
    pub use helios_redis::Redis;
}
