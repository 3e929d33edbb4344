//! A backplane on Redis 7 or newer, or on Valkey, which joins several Helios servers into one hub.
//!
//! [`Redis`] is a [`Backplane`]. With the feature `redis` of `helios-rs` its name is `helios::redis::Redis`, and the variable
//! `HELIOS_REDIS_URL` sets it up without code. Nothing else in an app changes. Rooms, presence, resume, broadcasts, events for one
//! client and ends of topics work across all servers of a namespace.
//!
//! ```no_run
//! use helios::prelude::*;
//! use helios::redis::Redis;
//!
//! #[derive(Injectable)]
//! struct News;
//!
//! #[controller]
//! impl News {
//!     #[sse("news")]
//!     async fn news(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
//!         sse.subscribe(["news"]).await
//!     }
//! }
//!
//! #[server(controllers = [News], sse(enabled = true))]
//! struct App;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), helios::Error> {
//!     let redis = Redis::connect("redis://127.0.0.1:6379").namespace("shop");
//!     Helios::new(App).backplane(redis).listen().await
//! }
//! ```
//!
//! # What is promised
//!
//! * A client that has missed an event receives `helios:reset`. There is no silent gap.
//! * An id never names two events.
//! * An event whose publish returned `Ok` is in Redis' memory, and as durable as Redis is configured.
//! * A member of a topic is listed while it has a stream on a server that lives. If Redis has lost members, their servers write them again.
//!
//! A Redis that restarts, or is replaced by a replica, may have lost events that it had acknowledged. It begins another sequence, and
//! every client receives one reset and stays connected. [`Redis::keeps_everything`] is for a Redis that loses nothing.
//!
//! # What Redis needs
//!
//! * `maxmemory-policy noeviction`, the default of Redis. With another policy the app does not start.
//! * `client-output-buffer-limit pubsub` at its default (`32mb 8mb 60`) or larger. A smaller buffer breaks the link at each burst.
//! * A user with the rights `~{shop}:* &{shop}:* +@connection +@scripting +@pubsub +@read +@write +info +time +config|get`, if the namespace
//!   is `shop`. Without `config|get` Helios cannot check these settings. A cluster also needs
//!   `+cluster|keyslot +cluster|info +cluster|slots`.

#![forbid(unsafe_code)]

mod entry;
mod failure;
mod keys;
mod link;
mod members;
mod place;
mod publisher;
mod server;

use std::env;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use helios_http::sse::backplane::{
    Ask, BoxFuture, History, Publish, Started, Startup, Status, Tables, Watched,
};
use redis::{Script, Value};
use tokio::sync::Semaphore;

#[doc(no_inline)]
pub use helios_http::sse::backplane::Backplane;

use crate::failure::{down, with_causes};
use crate::keys::Keys;
use crate::link::{AbortOnDrop, Link, bytes_of, number_of};
use crate::members::Members;
use crate::place::{Access, Place};
use crate::publisher::Publisher;

/// The environment variable with the URL of a Redis.
const VARIABLE: &str = "HELIOS_REDIS_URL";

/// A backplane on Redis that joins all servers of one namespace into one hub.
///
/// It checks its settings and connects when the app starts.
///
/// ```
/// use helios::redis::Redis;
///
/// let one = Redis::connect("redis://127.0.0.1:6379").namespace("shop");
/// let by_sentinels = Redis::sentinel(["10.0.0.1:26379", "10.0.0.2:26379"], "mymaster").password("secret");
/// let cluster = Redis::cluster(["10.0.0.1:7000", "10.0.0.2:7000"]).user("shop").password("secret");
/// assert!(!format!("{cluster:?}").contains("secret"));
/// # let _ = (one, by_sentinels);
/// ```
pub struct Redis {
    place: Place,
    access: Access,
    namespace: String,
    keeps_everything: bool,
    history: Script,
    members: Members,
    running: OnceLock<Running>,
}

/// The number of histories that are asked for at once. One may have megabytes, and others wait for their answers on the same
/// connection: a probe that waits too long breaks the link.
const ASKED_AT_ONCE: usize = 8;

struct Running {
    link: Arc<Link>,
    asking: Semaphore,
    publisher: Publisher,
    tasks: Mutex<Vec<AbortOnDrop>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses may hold passwords.
        f.debug_struct("Redis")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Creates a backplane on the server with this URL: `redis://user:password@host:port/db`. An encrypted link has `rediss://` and needs
    /// the feature `redis-tls`.
    ///
    /// ```
    /// let redis = helios::redis::Redis::connect("redis://127.0.0.1:6379");
    /// ```
    #[must_use]
    pub fn connect(url: impl Into<String>) -> Self {
        Self::at(Place::Url(url.into()))
    }

    /// Creates a backplane on the primary with this name, which the Sentinels know. A Sentinel is `host:port`, or a URL if it has a
    /// password of its own. For the primary itself, set [`user`](Self::user), [`password`](Self::password) and
    /// [`encrypted`](Self::encrypted). A failover begins another sequence, and every client receives a reset.
    ///
    /// ```
    /// use helios::redis::Redis;
    ///
    /// let redis = Redis::sentinel(["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"], "mymaster");
    /// ```
    #[must_use]
    pub fn sentinel<S: Into<String>>(
        sentinels: impl IntoIterator<Item = S>,
        primary: impl Into<String>,
    ) -> Self {
        Self::at(Place::Sentinels {
            sentinels: sentinels.into_iter().map(Into::into).collect(),
            primary: primary.into(),
        })
    }

    /// Creates a backplane on a cluster. Helios asks these nodes for the slots of the cluster. A node is `host:port` or a URL. A namespace
    /// is in one slot, so one node carries it. Name all nodes, since Helios skips those that are down.
    ///
    /// ```
    /// use helios::redis::Redis;
    ///
    /// let redis = Redis::cluster(["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000"]).namespace("shop");
    /// ```
    #[must_use]
    pub fn cluster<S: Into<String>>(nodes: impl IntoIterator<Item = S>) -> Self {
        let nodes = nodes.into_iter().map(Into::into).collect();
        Self::at(Place::Cluster { nodes })
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            access: Access::default(),
            namespace: "helios".to_owned(),
            keeps_everything: false,
            history: Script::new(include_str!("scripts/history.lua")),
            members: Members::new(),
            running: OnceLock::new(),
        }
    }

    /// Sets the namespace, which keeps the keys and channels of an app apart from those of other apps on the same Redis. The default is
    /// `helios`. A namespace has no braces and is not empty.
    ///
    /// ```
    /// let redis = helios::redis::Redis::connect("redis://127.0.0.1:6379").namespace("shop");
    /// ```
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        self
    }

    /// Sets the user of Redis' access control list, for addresses that name none.
    ///
    /// ```
    /// let redis = helios::redis::Redis::connect("redis://127.0.0.1:6379").user("shop").password("secret");
    /// ```
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.access.user = Some(name.into());
        self
    }

    /// Sets the password, for addresses that name none. Helios never logs it.
    ///
    /// ```
    /// let redis = helios::redis::Redis::connect("redis://127.0.0.1:6379").password("secret");
    /// assert!(!format!("{redis:?}").contains("secret"));
    /// ```
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.access.password = Some(password.into());
        self
    }

    /// Encrypts the links to servers whose address is `host:port`. A URL says so itself, with `rediss://`.
    ///
    /// ```
    /// use helios::redis::Redis;
    ///
    /// let redis = Redis::sentinel(["10.0.0.1:26379"], "mymaster").encrypted();
    /// ```
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.access.is_encrypted = true;
        self
    }

    /// Trusts this root certificate, in PEM, instead of those that the system trusts.
    ///
    /// ```
    /// use helios::redis::Redis;
    ///
    /// fn of_our_own(pem: Vec<u8>) -> Redis {
    ///     Redis::connect("rediss://redis.internal:6380").root_certificate(pem)
    /// }
    /// ```
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.access.root_certificate = Some(pem.into());
        self
    }

    /// Declares that this Redis never loses a write that it has acknowledged. That requires `appendonly yes` and `appendfsync always`, and
    /// that no other server ever takes its place. A restart of Redis then begins no new sequence and resets no client. If the declaration
    /// is wrong, an id may name two events.
    ///
    /// ```
    /// let redis = helios::redis::Redis::connect("redis://127.0.0.1:6379").keeps_everything();
    /// ```
    #[must_use]
    pub fn keeps_everything(mut self) -> Self {
        self.keeps_everything = true;
        self
    }

    fn running(&self) -> Result<&Running, BackplaneError> {
        self.running.get().ok_or_else(|| down("it is not started"))
    }

    async fn begin(&self, startup: Startup) -> Result<Started, BackplaneError> {
        let keys = self.keys()?;
        let (place, access) = (self.place.clone(), self.access.clone());
        let link = Link::new(place, access, keys, self.keeps_everything, startup);
        let link = Arc::new(link);
        let (newest, connected) = link.open().await.map_err(link::Broken::refused)?;
        self.members.start(&link);
        let (publisher, publishing) = Publisher::new(Arc::clone(&link));
        let tasks = vec![
            link::spawn(Arc::clone(&link).keep(connected)),
            link::spawn(publishing),
        ];
        let running = Running {
            link,
            asking: Semaphore::new(ASKED_AT_ONCE),
            publisher,
            tasks: Mutex::new(tasks),
        };
        // The hub starts a backplane once.
        let _ = self.running.set(running);
        Ok(Started::at(newest))
    }

    fn keys(&self) -> Result<Keys, BackplaneError> {
        let refused = |why: String| Err(BackplaneError::new(BackplaneErrorKind::Refused, why));
        if !Keys::can_be(&self.namespace) {
            let name = &self.namespace;
            return refused(format!(
                "`{name}` cannot be a namespace of Redis: it has no braces, and is not empty"
            ));
        }
        match self.place.check(&self.access) {
            Ok(database) => Ok(Keys::new(&self.namespace, database)),
            Err(error) => refused(error.to_string()),
        }
    }

    async fn renew_lease(&self) -> Result<(), BackplaneError> {
        let link = &self.running()?.link;
        link.renew_lease(&link.server()?).await
    }

    async fn give_lease_up(&self) -> Result<(), BackplaneError> {
        let link = &self.running()?.link;
        let mut del = redis::cmd("DEL");
        del.arg(link.keys.lease(link.startup.node));
        link.query(&link.server()?, &del).await
    }

    async fn has_lease(&self, node: NodeId) -> Result<bool, BackplaneError> {
        let link = &self.running()?.link;
        let mut exists = redis::cmd("EXISTS");
        exists.arg(link.keys.lease(node));
        link.query(&link.server()?, &exists).await
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<History, BackplaneError> {
        let Running { link, asking, .. } = self.running()?;
        let stopped = |_| down("it has stopped");
        let _turn = asking.acquire().await.map_err(stopped)?;
        let server = link.server()?;
        let bound = |most: usize| u64::try_from(most).unwrap_or(u64::MAX).min(1 << 40);
        let after = |after: EventId| i64::try_from(after.seq()).unwrap_or(i64::MAX);
        let mut call = self.history.key(link.keys.sequence());
        call.arg(&link.keys.prefix)
            .arg(ask.after.map_or(0, EventId::epoch))
            .arg(ask.topic)
            .arg(ask.after.map_or(-1, after))
            .arg(bound(ask.events))
            .arg(bound(ask.bytes));
        let mut connection = server.questions.clone();
        let answer = call.invoke_async::<Vec<Value>>(&mut connection).await;
        let answer = answer.map_err(|error| link.not_answered(&server, error))?;
        let is_newest = ask.after.is_none();
        history(answer, is_newest)
            .ok_or_else(|| down("Redis has answered what no script of this version gives"))
    }
}

/// Returns the Redis of `HELIOS_REDIS_URL`, if the variable is set. For generated code.
#[doc(hidden)]
#[must_use]
pub fn connect_named() -> Option<Arc<dyn Backplane>> {
    // The start refuses an address that is not valid UTF-8.
    let url = env::var_os(VARIABLE)?.to_string_lossy().into_owned();
    match url.is_empty() {
        true => None,
        false => Some(Arc::new(Redis::connect(url))),
    }
}

fn history(answer: Vec<Value>, is_newest: bool) -> Option<History> {
    let mut answer = answer.into_iter();
    let epoch = number_of(&answer.next()?).unwrap_or_default();
    let more = match answer.next()? {
        Value::Int(-1) => return Some(History::Gone),
        Value::Int(more) => more == 1,
        _ => return None,
    };
    let entries = answer.map(|entry| entry::of_list(epoch, bytes_of(entry)?));
    let events: Option<Vec<_>> = entries.map(|entry| Some(entry?.event)).collect();
    let mut events = events?;
    if is_newest {
        events.reverse();
    }
    Some(History::events(events, more))
}

impl Backplane for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(self.begin(startup))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Some(running) = self.running.get() else {
                return;
            };
            // First, since a link that connects again would renew the lease.
            running
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            if let Err(error) = self.give_lease_up().await {
                let error = with_causes(&error);
                tracing::debug!(
                    error,
                    "the lease could not be given up and runs out by itself"
                );
            }
            running.link.close();
        })
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(async move { self.running()?.publisher.publish(&event).await })
    }

    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        Box::pin(async move {
            let mut waiting = Vec::with_capacity(events.len());
            for event in &events {
                waiting.push(match self.running() {
                    Ok(running) => running.publisher.send(event).await,
                    Err(error) => Err(error),
                });
            }
            let mut answers = Vec::with_capacity(waiting.len());
            for waiting in waiting {
                answers.push(match waiting {
                    Ok(answered) => {
                        let unknown = |_| Err(BackplaneErrorKind::Unknown.into());
                        answered.await.unwrap_or_else(unknown)
                    }
                    Err(error) => Err(error),
                });
            }
            answers
        })
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(self.ask(ask))
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move { self.running()?.link.watch(topics).await })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move { self.running()?.link.unwatch(topics).await })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        Box::pin(self.renew_lease())
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        Box::pin(self.has_lease(node))
    }

    fn status(&self) -> Status {
        self.running
            .get()
            .map_or(Status::Down, |running| running.link.status())
    }

    fn tables(&self) -> Option<&dyn Tables> {
        Some(&self.members)
    }
}
