//! Options for the SSE side of a server.

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

/// The hub checks its clients no more often than this.
const TICK: Duration = Duration::from_millis(10);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Options and limits of all event streams of an app. Change them with
/// [`Helios::sse_options`](crate::Helios::sse_options), which starts from the `sse(..)` of `#[server]`.
/// [`SseOptions::default`] returns the documented defaults.
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
    /// The silence after which the server sends a comment, so that proxies keep the connection open and vanished peers
    /// are noticed. `None` turns it off. Default: 15 s.
    pub keep_alive: Option<Duration>,
    /// How long a client waits before it reconnects. The server sends it, in milliseconds, at the start of every
    /// connection. When many clients are disconnected together, each gets up to half more at random. Default: 3 s.
    pub retry: Duration,
    /// Whether every connection starts with `event: welcome` and `{"uuid": ".."}`. Default: off.
    pub welcome: bool,
    /// The prefix of control event names. No other event may use it. Default: `helios:`.
    pub control_prefix: String,
    /// The largest size of an encoded event, in bytes. Sending a larger one is an error. At least 8 KiB with
    /// [`presence`](Self::presence). Default: 256 KiB.
    pub max_event_bytes: usize,
    /// How far one connection may be behind, counting both published events and those sent to it alone. A short burst
    /// may exceed this. Default: 1,000 events or 1 MiB.
    pub backlog: BacklogLimits,
    /// The policy for a connection that is further behind. Default: it is closed and resumes.
    pub slow_clients: SlowClients,
    /// How much of each topic is kept for clients that resume. Default: 4,096 events or 5 minutes.
    pub history: HistoryLimits,
    topic_history: Vec<(String, HistoryLimits)>,
    /// How many bytes the histories of all topics may use together, including their bookkeeping. The oldest events
    /// are dropped first. Default: 64 MiB.
    pub history_bytes: u64,
    /// How long the key of a published event is remembered, see
    /// [`PublishOptions::key`](crate::sse::PublishOptions::key). At least a minute with [`presence`](Self::presence).
    /// Default: 2 minutes.
    pub keep_keys: Duration,
    /// Whether streams that have joined topics receive `helios:stale` with `{"stale":true}` when the backplane goes
    /// down, and with `false` when it is back. Plain streams receive neither. Default: off.
    pub tell_stale: bool,
    /// The topics with presence, by name or by a pattern that ends in `*`, such as `room:*`. In all other topics
    /// presence is off, and [`SseStream::appear`](crate::sse::SseStream::appear) fails. Default: none.
    pub presence: Vec<String>,
    /// How long a member stays in a topic after its last stream has ended. If it comes back in that time, no event is
    /// published. Default: 10 s.
    pub presence_grace: Duration,
    /// How many members a topic may have. Any further [`SseStream::appear`](crate::sse::SseStream::appear) fails. Every
    /// member is announced to all, so the number of events grows with the square of the members when all come at once.
    /// Default: 1,000.
    pub max_members: usize,
    /// How many topics there may be. Joining or publishing to one more fails. A topic disappears when no stream is in
    /// it and its history has expired. Default: 100,000.
    pub max_topics: usize,
    /// How many topics one connection may be in. Joining one more fails. Default: 100.
    pub max_topics_per_connection: usize,
    /// How long a response may wait for a client that reads nothing. After that the server cuts its connection, or its
    /// stream on HTTP/2. Helios' own server applies this to every response, even if SSE is off, with the options of the
    /// app that listens. A stream is closed as [`SlowClient`](helios_core::sse::CloseReason::SlowClient). Other
    /// servers, such as axum's, do not cut connections, so there the stream is only closed. Default: 30 s.
    pub stuck_after: Duration,
    /// How long a close, error, reset or snapshot hook may run before it is dropped. Default: 30 s.
    pub hook_timeout: Duration,
    /// The age at which a connection is ended, so that the client reconnects. Connections then spread over the servers
    /// again, and guards check again what they allowed long ago. Each connection's own limit is up to a tenth less, at
    /// random. Default: none.
    pub max_age: Option<Duration>,
    /// How long a stream has for last events if its app watches
    /// [`SseStream::closing`](crate::sse::SseStream::closing). At shutdown this is part of `drain_deadline`, and more
    /// than half of that is an error at start-up. Default: 1 s, or half of a `drain_deadline` below 2 s.
    pub closing_grace: Option<Duration>,
    /// Whether streams write only the app's events and comments, unless their routes say otherwise. Default: only those
    /// of `method = "POST"` do.
    pub plain: Option<bool>,
    /// How streams end at shutdown, unless their routes say otherwise. Default: plain streams finish, others
    /// reconnect.
    pub drain: Option<Drain>,
    /// How long a stream that may finish has at shutdown before its response breaks off. If there is such a stream and
    /// no `drain_deadline` is set, the drain takes this long. If one is set, this must fit into it, or the server does
    /// not start. Default: 25 s, or less if `drain_deadline` leaves less.
    pub finish_within: Option<Duration>,
    /// How long the response head waits for the first event, an error or the end, unless a route says otherwise.
    /// Default: 250 ms for producers and for generators of `Result`s. Others do not wait.
    pub head_after: Option<Duration>,
    /// How a stream reports an error that no filter handles, unless its route says otherwise. Default: by
    /// `event: error`. Plain streams break off.
    pub on_error: Option<OnError>,
    /// Limits on the number of connections. Default: 100,000 in all, see [`ConnectionLimits`].
    pub connections: ConnectionLimits,
}

/// The policy for a client that does not read fast enough. A client is too slow if it is over `backlog` in two checks
/// in a row, which are at most a second apart, or if it falls behind a topic's history.
///
/// ```
/// use helios::sse::SlowClients;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// // Positions of ships: a client that is behind wants the newest, not all.
/// let app = Helios::new(App).sse_options(|sse| sse.slow_clients = SlowClients::DropOldest);
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowClients {
    /// The stream is closed with [`CloseReason::SlowClient`](helios_core::sse::CloseReason::SlowClient). The client
    /// comes back and resumes from the history.
    #[default]
    Disconnect,
    /// The stream stays open, but loses its oldest unread events until half the backlog is left. A `helios:reset`
    /// reports the loss to the client.
    DropOldest,
}

/// A function that returns the user to whom a connection belongs, for [`ConnectionLimits::user`]. Connections for which
/// it returns `None` are not counted. It runs after the guards, so it can read what they stored. It must not block.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::UserKey;
///
/// /// A guard has put this into the request's extensions.
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

/// Limits on SSE connections. A client over a limit gets a stream that contains only `helios:overloaded`, with a
/// `retry`, because any status other than 200 stops an `EventSource` for good.
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
    /// How many connections there may be in all. Default: 100,000.
    pub total: usize,
    /// How many connections one client address may have, or one /64 network for IPv6. Default: no limit, because behind
    /// a proxy many clients share an address (see `trusted_proxies`).
    pub per_address: Option<usize>,
    /// The proxies that are trusted to report a client's address. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The header in which a trusted proxy reports the address. Default: `X-Forwarded-For`.
    pub proxy_header: ProxyHeader,
    /// How many connections one user may have, as identified by `user`. Default: no limit.
    pub per_user: Option<usize>,
    /// Identifies the user of a request. Default: none, so `per_user` counts no connection.
    pub user: Option<UserKey>,
    /// How many new connections there may be per second. That many may arrive at once. Default: no limit.
    pub per_second: Option<f64>,
    /// The response to a client that is over a limit. Default: [`Overload::Event`].
    pub answer: Overload,
    /// The shortest time after which a refused client should try again. Up to half more is added at random. Default: 10
    /// s.
    pub retry: Duration,
}

/// The header in which a proxy reports the client's address. A proxy passes the other header on as the client sent it,
/// so only one of them can be trusted. Entries are read from the last to the first, as long as a trusted proxy wrote
/// them.
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
    /// `X-Forwarded-For`, as nginx, HAProxy, Caddy and most clouds write it.
    #[default]
    XForwardedFor,
    /// `Forwarded`, as RFC 7239 defines it.
    Forwarded,
}

/// The response to a connection over a limit.
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
/// // For your own clients, which read statuses. `retry-after` is `retry` in seconds, and up to half more.
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
    /// This status, with `Retry-After`, as an error like those of handlers, but not in the log. It stops an
    /// `EventSource` for good.
    Status(StatusCode),
}

/// The `sse(..)` of `#[server]`. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SseTable {
    /// Whether SSE routes are served.
    pub enabled: bool,
    /// The silence after which a comment is sent. 0 turns it off.
    pub keep_alive: Option<u64>,
    /// How long a client should wait before it reconnects.
    pub retry: Option<u64>,
    /// Whether every connection starts with `event: welcome` and its id.
    pub welcome: bool,
    /// The prefix of control event names.
    pub control_prefix: Option<&'static str>,
    /// Opens the backplanes that are configured without code.
    pub log: Option<OpenNamed>,
}

/// Opens the backplanes named by `sse(log = ..)` or the environment.
type OpenNamed = fn() -> Named;

/// The backplanes that are configured without code.
#[doc(hidden)]
#[derive(Default)]
pub struct Named {
    /// The one at `HELIOS_REDIS_URL`. `None` if the facade is built without it.
    pub redis: Option<Option<Arc<dyn Backplane>>>,
    /// The one at `sse(log = ..)` or `HELIOS_SSE_LOG`. `None` if the facade is built without it.
    pub log: Option<Option<Arc<dyn Backplane>>>,
}

impl Named {
    /// Returns the backplane to use. The environment takes precedence over the attribute.
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
    /// Sets the history limits of topics that match a pattern. A pattern is a name, or a prefix followed by `*`. The
    /// first matching pattern counts. All other topics use `history`.
    ///
    /// ```
    /// use helios::sse::{HistoryLimits, SseOptions};
    ///
    /// let kept = |events| HistoryLimits { events, ..HistoryLimits::default() };
    /// let mut options = SseOptions::default();
    /// options.keep_topic("user:admin", kept(1_000)); // before the pattern that also matches it
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

    /// Whether presence is on in this topic.
    pub(crate) fn has_presence(&self, topic: &str) -> bool {
        self.presence.iter().any(|pattern| fits(pattern, topic))
    }

    /// Creates the log of a new topic of which nothing up to `floor` is known. A burst may be longer than the history,
    /// so the log keeps enough for readers that keep up not to be overtaken.
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

    /// Returns the defaults, changed by the `sse(..)` of `#[server]`.
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

    /// Returns the age limit of a new connection. It varies, so that connections that arrived together do not end
    /// together.
    pub(crate) fn jittered_max_age(&self) -> Option<Duration> {
        let age = self.max_age?;
        Some(age.mul_f64(1.0 - fastrand::f64() / 10.0))
    }

    /// Returns how long a stream has for a last event, outside a shutdown.
    pub(crate) fn closing_grace(&self) -> Duration {
        self.closing_grace.unwrap_or(Duration::from_secs(1))
    }

    /// Returns how often clients are checked. It is short enough for the shortest of their silences, which may be a
    /// route's own.
    pub(crate) fn tick(&self, of_routes: Option<Duration>) -> Duration {
        let silences = [self.keep_alive, of_routes].into_iter().flatten();
        let shortest = silences.fold(self.stuck_after, Duration::min) / 8;
        shortest.clamp(TICK, Duration::from_secs(1))
    }
}

/// Whether the pattern is this topic's name, or a prefix of it followed by `*`.
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
    fn a_variable_of_a_missing_feature_is_a_fault() {
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
