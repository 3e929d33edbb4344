//! Settings of the SSE side of a server.

mod check;
mod drain;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::StartupFault;
use crate::sse::backplane::Backplane;
use crate::sse::network::Network;
use helios_core::hub::{BacklogLimits, EventId, HistoryLimits, LivenessLimits, Ring};
use helios_core::request::RequestContext;
use http::StatusCode;

pub(crate) use drain::DrainTimes;
pub use stream::{Drain, OnError, StreamOptions, StreamTable};

/// The hub looks at its clients no more often than this.
const TICK: Duration = Duration::from_millis(10);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How connections are kept, bounded and ended. [`SseOptions::default`] gives the documented defaults; change them with
/// [`Helios::sse_options`](crate::Helios::sse_options), which starts with what `sse(..)` of `#[server]` says. They hold for
/// all streams of the app.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::{HistoryLimits, SlowClients};
///
/// #[server(controllers = [], sse(enabled = true, retry = "1s"))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     assert_eq!(sse.retry, Duration::from_secs(1));
///     sse.keep_alive = Some(Duration::from_secs(30));
///     sse.max_age = Some(Duration::from_secs(3600));
///     sse.slow_clients = SlowClients::DropOldest;
///     sse.keep_topic("prices:*", HistoryLimits { events: 16, age: Duration::from_secs(10) });
///     sse.connections.total = 10_000;
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SseOptions {
    /// A comment is sent after this much silence, so that proxies keep the connection and vanished peers are
    /// noticed. Default: 15 s. `None` turns it off.
    pub keep_alive: Option<Duration>,
    /// How long a client waits before it reconnects, told in milliseconds at the start of every connection. Clients that are
    /// sent away together are each told up to half more, by chance. Default: 3 s.
    pub retry: Duration,
    /// Starts every connection with `event: welcome` and `{"uuid": ".."}`. Default: off.
    pub welcome: bool,
    /// What the names of control events begin with; no other event may use it. Default: `helios:`.
    pub control_prefix: String,
    /// The largest event, encoded, in bytes; a larger one is an error where it is sent. Default: 256 KiB.
    pub max_event_bytes: usize,
    /// How far one connection may be behind, what is published and what is sent to it alone taken together. Default:
    /// 1,000 events or 1 MiB. It may be further behind for the moment of a burst.
    pub backlog: BacklogLimits,
    /// What becomes of a connection that is further behind. Default: it is closed, and resumes.
    pub slow_clients: SlowClients,
    /// How much of each topic is kept for those who resume. Default: 4,096 events or 5 minutes.
    pub history: HistoryLimits,
    topic_history: Vec<(String, HistoryLimits)>,
    /// What the histories of all topics may hold together, in bytes, with their bookkeeping. The oldest events go first.
    /// Default: 64 MiB.
    pub history_bytes: u64,
    /// How long the key of a published event counts, see [`PublishOptions::key`](crate::sse::PublishOptions::key). Default: 2 minutes.
    pub keep_keys: Duration,
    /// Tells streams that have joined topics while the backplane is down, by `helios:stale` with `{"stale":true}`, and when it is
    /// back, with `false`. Plain streams are told nothing. Default: off.
    pub tell_stale: bool,
    /// In which topics it is known who is there, by name or by a pattern that ends in `*`: `room:*`. In all others presence is off, and
    /// [`SseStream::appear`](crate::sse::SseStream::appear) is an error. Default: none.
    pub presence: Vec<String>,
    /// How long a member may be away, after its last stream has ended, before its topic is told that it has left. Default: 10 s.
    pub presence_grace: Duration,
    /// How many members a topic may have; one more is an error to who appears. All of them are told of each: that is a square of events when
    /// all come at once. Default: 1,000.
    pub max_members: usize,
    /// How many topics there may be; one more is an error to who joins or publishes. One disappears when nobody is in it and
    /// its history has expired. Default: 100,000.
    pub max_topics: usize,
    /// How many topics one connection may be in; one more is an error to who joins. Default: 100.
    pub max_topics_per_connection: usize,
    /// How long an answer may wait for a client that reads nothing; then its connection, or on HTTP/2 its stream, is cut. Helios'
    /// own server applies it to every answer, also where SSE is off; the options of the app that listens count. A stream is
    /// closed as [`SlowClient`](helios_core::sse::CloseReason::SlowClient). Another server, such as axum's, cuts nobody: there
    /// the stream is only closed. Default: 30 s.
    pub stuck_after: Duration,
    /// A close, error, reset or snapshot hook that runs longer than this is dropped. Default: 30 s.
    pub hook_timeout: Duration,
    /// A connection that is older is ended and comes back, so that connections spread over servers again and what a
    /// guard allowed long ago is asked anew. Each connection's own limit is up to a tenth less, by chance. Default: none.
    pub max_age: Option<Duration>,
    /// How long a stream whose app watches [`SseStream::closing`](crate::sse::SseStream::closing) has for its last word. When the
    /// server goes down that is a part of `drain_deadline`; more than half of it is an error at start-up. Default: 1 s, and less
    /// where a shorter `drain_deadline` leaves less.
    pub closing_grace: Option<Duration>,
    /// Whether streams write nothing but the app's events and comments, unless their routes say otherwise. Default: those
    /// of `method = "POST"` do.
    pub plain: Option<bool>,
    /// What becomes of streams when the server goes down, unless their routes say otherwise. Default: plain ones finish, others
    /// reconnect.
    pub drain: Option<Drain>,
    /// How long a stream that may finish has for that when the server goes down; then it breaks off. The drain takes as long if
    /// there is such a stream, and no `drain_deadline` is set. It has to fit into one that is set, or the server does not
    /// start. Default: 25 s, and less where `drain_deadline` leaves less.
    pub finish_within: Option<Duration>,
    /// How long the response head waits for the first event, an error or the end, unless a route says otherwise. Default: 250 ms
    /// for producers and for generators of `Result`s; others do not wait.
    pub head_after: Option<Duration>,
    /// What a client is told of an error that no filter answers, unless its route says otherwise. Default: `event: error`, and on
    /// plain streams a break-off.
    pub on_error: Option<OnError>,
    /// How many connections there may be. Default: 100,000 in all, see [`ConnectionLimits`].
    pub connections: ConnectionLimits,
}

/// What becomes of a client that does not read fast enough: that is over `backlog` at two looks in a row, a second apart at
/// most, or that a topic's history has overtaken.
///
/// ```
/// use helios::sse::SlowClients;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// // Positions of ships: who is behind wants the newest, not all.
/// let app = Helios::new(App).sse_options(|sse| sse.slow_clients = SlowClients::DropOldest);
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowClients {
    /// It is closed with [`CloseReason::SlowClient`](helios_core::sse::CloseReason::SlowClient), comes back, and
    /// resumes from the history.
    #[default]
    Disconnect,
    /// It stays, loses the oldest events that it has not read until half the backlog is left, and is told so by a
    /// `helios:reset`.
    DropOldest,
}

/// Whom a connection belongs to, as [`ConnectionLimits::user`] tells; `None` is not counted. It runs after the guards, so it
/// can take what they found out, and must not block.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::UserKey;
///
/// /// A guard has put it among the request's extensions.
/// #[derive(Clone)]
/// struct User(u64);
///
/// let key: UserKey = Arc::new(|request| Some(request.extensions().get::<User>()?.0.to_string()));
/// # #[server(controllers = [], sse(enabled = true))]
/// # struct App;
/// let app = Helios::new(App).sse_options(|sse| {
///     sse.connections.per_user = Some(6);
///     sse.connections.user = Some(key);
/// });
/// # assert!(app.into_service().is_ok());
/// ```
pub type UserKey = Arc<dyn Fn(&RequestContext) -> Option<String> + Send + Sync>;

/// How many SSE connections there may be. Who is over a limit gets a stream that holds nothing but `helios:overloaded`,
/// with a `retry`: any other status than 200 stops an `EventSource` for good.
///
/// ```
/// use helios::sse::ConnectionLimits;
/// use std::sync::Arc;
///
/// let mut limits = ConnectionLimits::default();
/// limits.per_address = Some(20);
/// limits.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
/// limits.per_user = Some(6);
/// limits.user = Some(Arc::new(|request| request.cookie("user")));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// Connections in all. Default: 100,000.
    pub total: usize,
    /// Connections of one client address; of IPv6, one /64 network. Default: no limit, because a proxy hides addresses: see
    /// `trusted_proxies`.
    pub per_address: Option<usize>,
    /// Whose word about the client's address is taken. Default: nobody's.
    pub trusted_proxies: Vec<Network>,
    /// Where a trusted proxy writes the address. Default: `X-Forwarded-For`.
    pub proxy_header: ProxyHeader,
    /// Connections of one user, as `user` tells. Default: no limit.
    pub per_user: Option<usize>,
    /// Whom a request belongs to. Default: nobody knows, and `per_user` counts nobody.
    pub user: Option<UserKey>,
    /// New connections in a second; as many may come at once. Default: no limit.
    pub per_second: Option<f64>,
    /// What who is over a limit is answered. Default: [`Overload::Event`].
    pub answer: Overload,
    /// When it is to try again, at the earliest: up to half more, by chance. Default: 10 s.
    pub retry: Duration,
}

/// The header in which a proxy tells whom it speaks for. A proxy leaves the other one as the client sent it, so that only
/// one can be trusted. Entries are read from the last to the first, as long as a trusted proxy wrote them.
///
/// ```
/// use helios::sse::ProxyHeader;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     let limits = &mut sse.connections;
///     limits.per_address = Some(20);
///     limits.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
///     limits.proxy_header = ProxyHeader::Forwarded;
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// What nginx, HAProxy, Caddy and most clouds write.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// The answer to a connection that is one too many.
///
/// ```
/// use helios::sse::Overload;
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct News;
///
/// #[controller(prefix = "news")]
/// impl News {
///     #[sse]
///     fn news(&self) -> SseStream {
///         SseStream::new()
///     }
/// }
/// # #[server(controllers = [News], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let full = |answer| {
///     let app = Helios::new(App).sse_options(|sse| {
///         sse.connections.total = 0;
///         sse.connections.answer = answer;
///     });
///     TestApp::start(app).unwrap()
/// };
/// let event = full(Overload::Event).sse("/news").await.next().await.unwrap();
/// assert_eq!(event.event, "helios:overloaded");
///
/// // For clients of one's own, which read statuses: up to half more than `retry`, in seconds.
/// let answer = full(Overload::Status(StatusCode::SERVICE_UNAVAILABLE)).get("/news").await;
/// assert_eq!(answer.status(), 503);
/// assert!((10..=15).contains(&answer.header("retry-after").parse().unwrap()));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overload {
    /// 200 and `helios:overloaded`, so that an `EventSource` tries again.
    #[default]
    Event,
    /// This status, with `Retry-After`. It stops an `EventSource` for good.
    Status(StatusCode),
}

/// What `sse(..)` of `#[server]` writes down. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SseTable {
    /// Whether SSE routes are served.
    pub enabled: bool,
    /// Silence after which a comment is sent; 0 turns it off.
    pub keep_alive: Option<u64>,
    /// How long a client should wait before it reconnects.
    pub retry: Option<u64>,
    /// Whether every connection starts with `event: welcome` and its id.
    pub welcome: bool,
    /// What the names of control events begin with.
    pub control_prefix: Option<&'static str>,
    /// Opens the backplane that is named without code.
    pub log: Option<OpenNamed>,
}

/// Opens what `sse(log = ..)` or the environment names.
type OpenNamed = fn() -> Named;

/// The backplanes that are named without code.
#[doc(hidden)]
#[derive(Default)]
pub struct Named {
    /// What `HELIOS_REDIS_URL` names; `None` if the facade does not have it.
    pub redis: Option<Option<Arc<dyn Backplane>>>,
    /// What `sse(log = ..)` or `HELIOS_SSE_LOG` names; `None` if the facade does not have it.
    pub log: Option<Option<Arc<dyn Backplane>>>,
}

impl Named {
    /// The one that counts. The environment stands before the attribute.
    pub(crate) fn choose(self) -> Result<Option<Arc<dyn Backplane>>, StartupFault> {
        self.choose_by(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    }

    fn choose_by(
        self,
        is_set: impl Fn(&str) -> bool,
    ) -> Result<Option<Arc<dyn Backplane>>, StartupFault> {
        const REDIS: &str = "HELIOS_REDIS_URL";
        const LOG: &str = "HELIOS_SSE_LOG";
        let Self { redis, log } = self;
        let without = [
            (redis.is_none(), REDIS, "redis"),
            (log.is_none(), LOG, "log"),
        ];
        for (is_without, variable, feature) in without {
            if is_without && is_set(variable) {
                return Err(StartupFault::NeedsFeature { variable, feature });
            }
        }
        match redis.flatten() {
            Some(_) if is_set(LOG) => Err(StartupFault::TwoBackplanes(REDIS, LOG)),
            Some(redis) => Ok(Some(redis)),
            None => Ok(log.flatten()),
        }
    }
}

impl Default for SseOptions {
    fn default() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(15)),
            retry: Duration::from_secs(3),
            welcome: false,
            control_prefix: "helios:".to_owned(),
            max_event_bytes: 256 * 1024,
            backlog: BacklogLimits::default(),
            slow_clients: SlowClients::default(),
            history: HistoryLimits::default(),
            topic_history: Vec::new(),
            history_bytes: 64 << 20,
            keep_keys: Duration::from_secs(120),
            tell_stale: false,
            presence: Vec::new(),
            presence_grace: Duration::from_secs(10),
            max_members: 1_000,
            max_topics: 100_000,
            max_topics_per_connection: 100,
            stuck_after: Duration::from_secs(30),
            hook_timeout: Duration::from_secs(30),
            max_age: None,
            closing_grace: None,
            plain: None,
            drain: None,
            finish_within: None,
            head_after: None,
            on_error: None,
            connections: ConnectionLimits::default(),
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 100_000,
            per_address: None,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            per_user: None,
            user: None,
            per_second: None,
            answer: Overload::default(),
            retry: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimits")
            .field("total", &self.total)
            .field("per_address", &self.per_address)
            .field("per_user", &self.per_user)
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

impl SseOptions {
    /// Keeps topics of this name, or if it ends in `*`, of names that begin so, by limits of their own. The first
    /// pattern that fits counts; a topic that none fits is kept by `history`.
    ///
    /// ```
    /// use helios::sse::{HistoryLimits, SseOptions};
    ///
    /// let kept = |events| HistoryLimits { events, ..HistoryLimits::default() };
    /// let mut options = SseOptions::default();
    /// options.keep_topic("user:admin", kept(1_000)); // before the pattern that fits it, too
    /// options.keep_topic("user:*", kept(50));
    /// ```
    pub fn keep_topic(&mut self, pattern: impl Into<String>, limits: HistoryLimits) {
        self.topic_history.push((pattern.into(), limits));
    }

    pub(crate) fn history_of(&self, topic: &str) -> HistoryLimits {
        let mut own = self.topic_history.iter();
        let own = own.find(|(pattern, _)| fits(pattern, topic));
        own.map_or(self.history, |(_, limits)| *limits)
    }

    /// Whether it is known who is in this topic.
    pub(crate) fn has_presence(&self, topic: &str) -> bool {
        self.presence.iter().any(|pattern| fits(pattern, topic))
    }

    /// The log of a new topic, of which nothing up to this id is known. A burst may be longer than its history: who reads it as
    /// it comes is not overtaken.
    pub(crate) fn ring(&self, topic: &str, floor: EventId) -> Ring {
        let ring = Ring::new(self.history_of(topic), floor.seq()).in_epoch(floor.epoch());
        ring.keeping_for_readers(self.for_readers())
    }

    pub(crate) fn for_readers(&self) -> HistoryLimits {
        HistoryLimits {
            events: self.backlog.events,
            age: Duration::from_secs(2),
        }
    }

    /// The defaults with what `sse(..)` of `#[server]` sets.
    pub(crate) fn from_table(table: &SseTable) -> Self {
        let mut options = Self::default();
        if let Some(millis) = table.keep_alive {
            options.keep_alive = (millis > 0).then(|| Duration::from_millis(millis));
        }
        if let Some(millis) = table.retry {
            options.retry = Duration::from_millis(millis);
        }
        if let Some(prefix) = table.control_prefix {
            prefix.clone_into(&mut options.control_prefix);
        }
        options.welcome = table.welcome;
        options
    }

    pub(crate) fn liveness_limits(&self, keep_alive: Option<Duration>) -> LivenessLimits {
        LivenessLimits {
            keep_alive,
            stuck_after: Some(self.stuck_after),
            backlog: self.backlog,
        }
    }

    /// The limit of a new connection's age: not the same for all, or all that came together would go together.
    pub(crate) fn jittered_max_age(&self) -> Option<Duration> {
        let age = self.max_age?;
        Some(age.mul_f64(1.0 - fastrand::f64() / 10.0))
    }

    /// The time that a stream has for its last word, if the server does not go down.
    pub(crate) fn closing_grace(&self) -> Duration {
        self.closing_grace.unwrap_or(Duration::from_secs(1))
    }

    /// How often clients are looked at: fine enough for the shortest of their silences, of which one may be a route's own.
    pub(crate) fn tick(&self, of_routes: Option<Duration>) -> Duration {
        let silences = [self.keep_alive, of_routes].into_iter().flatten();
        let shortest = silences.fold(self.stuck_after, Duration::min) / 8;
        shortest.clamp(TICK, Duration::from_secs(1))
    }
}

/// Whether a topic has this name, or if it ends in `*`, one that begins so.
fn fits(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => topic.starts_with(start),
        None => topic == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_this_program_cannot_follow_is_a_fault_that_names_the_feature() {
        let chosen = |redis, log, variables: &[&str]| {
            let named = Named { redis, log };
            let chosen = named.choose_by(|name| variables.contains(&name));
            chosen.map(|chosen| chosen.is_some())
        };
        let has = || -> Option<Option<Arc<dyn Backplane>>> {
            Some(Some(Arc::new(crate::testing::backplane::InMemory::new())))
        };
        let (redis, log) = ("HELIOS_REDIS_URL", "HELIOS_SSE_LOG");
        let fault = chosen(None, has(), &[redis]).unwrap_err();
        assert!(fault.to_string().contains("--features redis"), "{fault}");
        let fault = chosen(Some(None), None, &[log]).unwrap_err();
        assert!(fault.to_string().contains("--features log"), "{fault}");
        assert!(matches!(chosen(None, None, &[]), Ok(false)));
        assert!(matches!(chosen(Some(None), has(), &[log]), Ok(true)));
        assert!(matches!(chosen(has(), Some(None), &[redis]), Ok(true)));
        let two = chosen(has(), has(), &[redis, log]);
        assert!(matches!(two, Err(StartupFault::TwoBackplanes(..))));
    }

    #[test]
    fn the_first_pattern_that_fits_a_topic_counts() {
        let limits = |events| HistoryLimits {
            events,
            ..HistoryLimits::default()
        };
        let mut options = SseOptions::default();
        options.keep_topic("user:7", limits(7));
        options.keep_topic("user:*", limits(1));
        let events = |topic| options.history_of(topic).events;
        assert_eq!(
            [events("user:7"), events("user:70"), events("users")],
            [7, 1, 4_096]
        );
    }
}
