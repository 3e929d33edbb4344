//! Types shared by everything that handles a stream: its id, its end, and its errors.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::backplane::{BackplaneError, BackplaneErrorKind};
use crate::error::{HttpError, IntoHttpError};
use crate::event::EventError;
use crate::presence::PresenceError;

/// The id of the event that ends a finished stream. A client that sends it back as `Last-Event-ID` has seen everything.
/// It receives a 204, which stops an `EventSource` for good. No event of an app may have this id.
///
/// ```
/// use helios::sse::END_MARK;
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Once;
///
/// #[controller(prefix = "once")]
/// impl Once {
///     #[sse]
///     fn once(&self) -> impl Stream<Item = SseEvent> {
///         stream! { yield SseEvent::text("all there is") }
///     }
/// }
/// # #[server(controllers = [Once], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let events = app.sse("/once").await.rest().await;
/// assert_eq!(events.last().unwrap().id, END_MARK);
/// let again = app.get("/once").header("last-event-id", END_MARK).await;
/// assert_eq!(again.status(), 204);
/// # }
/// ```
pub const END_MARK: &str = "helios:end";

/// Returns whether this `Last-Event-ID` says that the stream was finished.
#[must_use]
pub fn is_end_mark(id: &str) -> bool {
    id == END_MARK
}

/// The identity of one stream: a UUID, version 8 ([RFC 9562, section
/// 5.8](https://www.rfc-editor.org/rfc/rfc9562#section-5.8)). Its first 32 bits are those of the [`NodeId`], so that
/// another server can find the stream. 90 bits are random. A client that reconnects opens another stream with another
/// id. An app may let anyone who knows the id act for the stream, so show it only to the stream's own client. The
/// client finds it in the data of `helios:ready` (`client`) and of `welcome` (`uuid`).
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Sessions {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "sessions")]
/// impl Sessions {
///     /// The id is bound from a path, a query or a body, and is written as text.
///     #[post("{client}/topics/{topic}")]
///     async fn join(&self, #[param] client: ClientId, #[param] topic: &str) -> Result<(), HttpError> {
///         let found = self.sse.client(client).ok_or_else(|| HttpError::not_found(format!("no client {client}")))?;
///         Ok(found.join(topic).await?)
///     }
/// }
///
/// let id: ClientId = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
/// assert_eq!(json!(id), "67e55044-10b1-426f-9247-bb680e5fe0c8");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(Uuid);

impl ClientId {
    /// Creates an id from these random bytes, for a stream whose server is not known.
    #[must_use]
    pub fn from_random_bytes(bytes: [u8; 16]) -> Self {
        Self::tagged(0, bytes)
    }

    /// Creates an id from these random bytes, for a stream on this server.
    #[must_use]
    pub fn of_node(node: NodeId, bytes: [u8; 16]) -> Self {
        Self::tagged(node.number(), bytes)
    }

    fn tagged(tag: u32, mut bytes: [u8; 16]) -> Self {
        bytes[..4].copy_from_slice(&tag.to_be_bytes());
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns the server that has the stream, or `None` if its handle was made before the server was known.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        let [a, b, c, d, ..] = *self.0.as_bytes();
        NodeId::new(u32::from_be_bytes([a, b, c, d]))
    }

    /// Creates an id from exactly these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns the bytes of the id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({})", self.0)
    }
}

/// The error of parsing a text that is not a [`ClientId`].
///
/// ```
/// use helios::sse::{ClientId, ClientIdError};
///
/// let error: ClientIdError = "7".parse::<ClientId>().unwrap_err();
/// assert!(error.to_string().starts_with("a client id is a UUID"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client id is a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8")]
#[non_exhaustive]
pub struct ClientIdError;

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ClientIdError)
    }
}

/// One of several servers behind a backplane, for as long as its process runs.
///
/// ```
/// use helios::backplane::NodeId;
///
/// let node = NodeId::new(7).unwrap();
/// assert_eq!(node.to_string(), "00000007");
/// assert!(NodeId::new(0).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// Creates the node with this number, which is random. Returns `None` if it is 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns the number of the node.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The reason why a stream ended. `#[on_sse_close]` hooks, [`SseError::Closed`] and `SseStream::closed` report it. The
/// first reason counts.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Presence;
///
/// #[controller(prefix = "presence")]
/// impl Presence {
///     #[sse]
///     fn here(&self) -> SseStream {
///         SseStream::new()
///     }
///
///     /// Runs once for each stream that the connection hook accepted.
///     #[on_sse_close]
///     async fn gone(&self, client: SseStream, reason: CloseReason) {
///         match reason {
///             CloseReason::Completed | CloseReason::ServerClosed => println!("{} is through", client.id()),
///             CloseReason::MaxAge | CloseReason::Shutdown => println!("{} will be back", client.id()),
///             other => println!("{} is gone: {other}", client.id()), // "client_disconnected"
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The generator or producer ran to its end, or all topics of a stream without another source are finished. See
    /// `SseService::finish`.
    Completed,
    /// The server ended the stream through its handle, with `close` or with `reconnect_after`. After the latter the
    /// client reconnects.
    ServerClosed,
    /// The client disconnected, or the network failed.
    ClientDisconnected,
    /// The client did not read fast enough, or not at all for `stuck_after`. If it reads again, it reconnects and
    /// resumes.
    SlowClient,
    /// The stream failed or panicked.
    Error,
    /// The stream was refused or dropped before it was opened.
    Rejected,
    /// The stream reached `max_age`. The client reconnects.
    MaxAge,
    /// The client's credential has expired, see `SseStream::expire_at`. The client reconnects, and needs a new one.
    CredentialExpired,
    /// The server is shutting down. The client reconnects.
    Shutdown,
}

impl CloseReason {
    /// Returns the reason in snake case, such as `slow_client`, as clients and logs see it. These words do not change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ServerClosed => "server_closed",
            Self::ClientDisconnected => "client_disconnected",
            Self::SlowClient => "slow_client",
            Self::Error => "error",
            Self::Rejected => "rejected",
            Self::MaxAge => "max_age",
            Self::CredentialExpired => "credential_expired",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reason why a client has to load its data again. Events are missing between those that it has received and those
/// that follow.
///
/// ```
/// use helios::sse::ResetReason;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Prices;
///
/// #[controller(prefix = "prices")]
/// impl Prices {
///     #[sse]
///     async fn prices(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
///         sse.subscribe(["prices"]).await
///     }
///
///     #[on_sse_reset]
///     async fn missed(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
///         // A client that is too slow for the events needs only the newest row.
///         let rows = if reset.reason == ResetReason::Slow { 1 } else { 100 };
///         client.send(SseEvent::json(json!({ "rows": rows })).event("snapshot")).await
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResetReason {
    /// The client's id is not one of this hub. It belongs to another app or was made up.
    Unknown,
    /// The client's id belongs to an earlier run of the server, whose history is lost, or the backplane has lost its
    /// data since.
    Epoch,
    /// History does not reach back to the id.
    Expired,
    /// The client did not read fast enough, and the hub is set to drop the oldest events.
    Slow,
    /// Events were lost on their way between servers.
    Gap,
}

impl ResetReason {
    /// Returns the reason as clients see it, such as `expired`. These words do not change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Epoch => "epoch",
            Self::Expired => "expired",
            Self::Slow => "slow",
            Self::Gap => "gap",
        }
    }
}

/// The argument of an `#[on_sse_reset]` hook, with the topics of which some events will never reach the client.
///
/// ```
/// use helios_core::sse::{ResetReason, SseReset};
///
/// let reset = SseReset::new(ResetReason::Expired, vec!["orders".to_owned()]);
/// assert!(reset.concerns("orders"));
/// assert_eq!(reset.reason.as_str(), "expired");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseReset {
    /// The reason.
    pub reason: ResetReason,
    /// The topics. `*` means the events broadcast to all clients.
    pub topics: Vec<String>,
}

impl SseReset {
    /// Creates a reset of these topics.
    #[must_use]
    pub fn new(reason: ResetReason, topics: Vec<String>) -> Self {
        Self { reason, topics }
    }

    /// Returns whether the reset concerns this topic.
    #[must_use]
    pub fn concerns(&self, topic: &str) -> bool {
        self.topics.iter().any(|name| name == topic)
    }
}

/// The reason why a client needs a snapshot of its topics.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::{ResetReason, SnapshotReason};
///
/// #[derive(Injectable)]
/// struct Prices {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "prices")]
/// impl Prices {
///     #[sse]
///     async fn prices(&self) -> Result<SseStream, SseError> {
///         self.sse.subscribe(["prices"]).await
///     }
///
///     #[on_sse_snapshot]
///     async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
///         // A client that is too slow for the events needs only the newest row.
///         let rows = match snapshot.reason {
///             SnapshotReason::Reset(ResetReason::Slow) => 1,
///             _ => 100,
///         };
///         client.send(SseEvent::json(json!({ "rows": rows })).event("snapshot")).await
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SnapshotReason {
    /// The client has no position in its topics yet. It is new, or its stream ended before it had its snapshot.
    Fresh,
    /// The client has missed events that it will never receive.
    Reset(ResetReason),
}

/// The argument of an `#[on_sse_snapshot]` hook, with the topics of which the client needs a snapshot.
///
/// ```
/// use helios_core::sse::{SnapshotReason, SseSnapshot};
///
/// let snapshot = SseSnapshot::new(SnapshotReason::Fresh, vec!["orders".to_owned()]);
/// assert!(snapshot.concerns("orders"));
/// assert!(!snapshot.concerns("prices"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseSnapshot {
    /// The reason.
    pub reason: SnapshotReason,
    /// The topics. `*` means the events broadcast to all clients.
    pub topics: Vec<String>,
}

impl SseSnapshot {
    /// Creates a snapshot of these topics.
    #[must_use]
    pub fn new(reason: SnapshotReason, topics: Vec<String>) -> Self {
        Self { reason, topics }
    }

    /// Returns whether the snapshot concerns this topic.
    #[must_use]
    pub fn concerns(&self, topic: &str) -> bool {
        self.topics.iter().any(|name| name == topic)
    }
}

/// An error of a stream or of publishing.
///
/// In a handler `?` turns it into an [`HttpError`]. A producer that returns [`SseError::Closed`] has not failed. Its
/// client was no longer there.
///
/// ```
/// use helios::prelude::*;
///
/// async fn tell(sse: &SseService, client: ClientId, score: u32) -> Result<(), SseError> {
///     match sse.send_to_client(client, SseEvent::json(score).event("score")).await {
///         // The client has left. The next one will request the score.
///         Err(SseError::NoSuchClient(_) | SseError::Closed(_)) => Ok(()),
///         told => told,
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let stream = SseStream::new();
/// stream.close();
/// let error = stream.send("too late").await.unwrap_err();
/// assert_eq!(error.to_string(), "the stream is closed (server_closed)");
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// The stream is closed, so nothing can be sent any more.
    #[error("the stream is closed ({0})")]
    Closed(CloseReason),
    /// The client's queue is at its limit, `backlog`. `send().await` waits for room once the stream is attached.
    #[error("the client's queue is full; wait with `send().await`, or drop the event")]
    Full,
    /// The event is larger than `max_event_bytes`.
    #[error("the event has {size} bytes, the limit is {limit}; send a reference to it instead")]
    TooLarge {
        /// The encoded size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The event cannot be written as it is.
    #[error(transparent)]
    Event(EventError),
    /// The event's name begins with the prefix of the framework's own events, or its id is the end mark.
    #[error(
        "`{0}` is reserved for control events; choose another one, or another `control_prefix`"
    )]
    Reserved(String),
    /// The event has an id of its own. The hub numbers published events, and all events of a stream that has joined
    /// topics, so they cannot have one.
    #[error("the hub numbers the events of topics; put the id `{0}` into the data instead")]
    OwnId(String),
    /// A topic's name is empty, longer than 256 bytes, contains a `*`, or begins with `helios:`. `*` means all streams,
    /// never a pattern, and servers use `helios:` among themselves.
    #[error(
        "`{0:.64}` cannot be a topic's name; use 1 to 256 bytes without `*` that do not begin with `helios:`; for everybody use `broadcast`"
    )]
    InvalidTopic(String),
    /// The key of a publish is empty or longer than 256 bytes.
    #[error("a key has 1 to 256 bytes; use a hash of what is longer")]
    InvalidKey,
    /// The topic is finished. Nothing can be published to it for the `age` of its history.
    #[error("the topic `{0:.64}` is finished; nothing can be published to it any more")]
    TopicFinished(String),
    /// There are as many topics as `max_topics` allows. A topic is removed when no stream is in it and its history has
    /// expired.
    #[error("there are {limit} topics already; raise `max_topics`, or use fewer")]
    TooManyTopics {
        /// The limit.
        limit: usize,
    },
    /// The stream is in as many topics as `max_topics_per_connection` allows.
    #[error(
        "the stream is in {limit} topics already; leave one, or raise `max_topics_per_connection`"
    )]
    TooManyJoined {
        /// The limit.
        limit: usize,
    },
    /// The backplane could not be reached or failed to do what was requested.
    #[error(transparent)]
    Backplane(BackplaneError),
    /// A client cannot appear in a topic, or its members cannot be listed.
    #[error(transparent)]
    Presence(PresenceError),
    /// No stream has this id here.
    #[error("no client has the id {0}")]
    NoSuchClient(ClientId),
    /// The handle was returned from a second handler.
    #[error("this `SseStream` was returned from a handler before; make one for each request")]
    AlreadyAttached,
    /// The handle was created by the `SseService` of another app.
    #[error(
        "this `SseStream` belongs to another app; make it with the service of the app that returns it"
    )]
    OtherApp,
    /// The stream itself returned an error.
    #[error("{0}")]
    Failed(#[source] Arc<HttpError>),
    /// The handler, generator or producer panicked.
    #[error("the handler panicked")]
    Panicked,
}

/// An error that `?` turns into an [`SseError`]. For all other errors, the compiler's message says what to write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become an `SseError`",
    label = "write `.map_err(|error| HttpError::internal(\"what failed\").with_source(error))`, or `.map_err(HttpError::from)` if it derives `HttpError`"
)]
pub trait IntoSseError {
    /// Converts the error.
    fn into_sse_error(self) -> SseError;
}

impl<E: IntoSseError> From<E> for SseError {
    fn from(error: E) -> Self {
        error.into_sse_error()
    }
}

impl IntoSseError for EventError {
    fn into_sse_error(self) -> SseError {
        SseError::Event(self)
    }
}

impl IntoSseError for PresenceError {
    fn into_sse_error(self) -> SseError {
        SseError::Presence(self)
    }
}

impl IntoSseError for HttpError {
    fn into_sse_error(self) -> SseError {
        SseError::Failed(Arc::new(self))
    }
}

impl IntoHttpError for SseError {
    fn into_http_error(self) -> HttpError {
        match self {
            SseError::Failed(error) => HttpError::clone(&error),
            SseError::Backplane(error) if error.kind() == BackplaneErrorKind::Refused => {
                HttpError::internal("the backplane refused").with_source(error)
            }
            full @ (SseError::TooManyTopics { .. } | SseError::Backplane(_)) => HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the event hub is not available",
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static("10"))
            .with_source(full),
            // A name or an id may come from a body, so it is not repeated.
            SseError::InvalidTopic(_) => {
                HttpError::bad_request("a topic has a name of 1 to 256 bytes, without `*`, that does not begin with `helios:`")
                    .with_source(self)
            }
            SseError::TopicFinished(_) => {
                HttpError::new(StatusCode::CONFLICT, "the topic is finished").with_source(self)
            }
            SseError::NoSuchClient(_) => {
                HttpError::not_found("no client has this id").with_source(self)
            }
            SseError::TooManyJoined { .. } | SseError::InvalidKey => {
                HttpError::bad_request(self.to_string())
            }
            SseError::Presence(error) => {
                let status = match &error {
                    PresenceError::TooManyMembers { .. } => StatusCode::SERVICE_UNAVAILABLE,
                    PresenceError::InvalidKey | PresenceError::DataTooLarge { .. } => {
                        StatusCode::BAD_REQUEST
                    }
                    _ => return HttpError::internal("presence failed").with_source(error),
                };
                let text = match &error {
                    PresenceError::TooManyMembers { .. } => "the topic is full".to_owned(),
                    error => error.to_string(),
                };
                HttpError::new(status, text).with_source(error)
            }
            other => HttpError::internal("a stream failed").with_source(other),
        }
    }
}
