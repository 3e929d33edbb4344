//! Several Helios servers as one: a backplane on Redis 7 or newer, or Valkey.
//!
//! ```no_run
//! use helios_redis::Redis;
//!
//! let backplane = Redis::connect("redis://127.0.0.1:6379").namespace("shop");
//! # let _ = backplane;
//! ```

mod entry;
mod failure;
mod keys;
mod link;
mod publisher;
mod server;

use std::fmt;
use std::sync::{Arc, OnceLock};

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use helios_http::sse::backplane::{
    Ask, Backplane, BoxFuture, History, Publish, Started, Startup, Status, Watched,
};
use redis::{Client, Script, Value};

use crate::failure::{down, failed};
use crate::keys::Keys;
use crate::link::{AbortOnDrop, Broken, Link, bytes_of, number_of};
use crate::publisher::Publisher;

/// How long a node's lease lasts, in milliseconds.
const LEASE: u64 = 15_000;

/// A backplane on Redis.
pub struct Redis {
    url: String,
    keys: Keys,
    keeps_everything: bool,
    history: Script,
    running: OnceLock<Running>,
}

struct Running {
    link: Arc<Link>,
    publisher: Publisher,
    _tasks: [AbortOnDrop; 2],
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Redis")
            .field("prefix", &self.keys.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// A backplane on the server with this URL: `redis://user:password@host:port`. It is connected to when the app starts.
    #[must_use]
    pub fn connect(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            keys: Keys::new("helios"),
            keeps_everything: false,
            history: Script::new(include_str!("scripts/history.lua")),
            running: OnceLock::new(),
        }
    }

    /// Keeps its keys and channels apart from those of other apps on the same server. Default: `helios`.
    #[must_use]
    pub fn namespace(mut self, name: &str) -> Self {
        self.keys = Keys::new(name);
        self
    }

    /// Says that this Redis never loses what it has answered: `appendfsync always`, and no failover. Then a restart of Redis
    /// begins no new sequence.
    #[must_use]
    pub fn keeps_everything(mut self) -> Self {
        self.keeps_everything = true;
        self
    }

    fn running(&self) -> Result<&Running, BackplaneError> {
        self.running.get().ok_or_else(|| down("it is not started"))
    }

    async fn begin(&self, startup: Startup) -> Result<Started, BackplaneError> {
        let refused = |error| BackplaneError::new(BackplaneErrorKind::Refused, error);
        let client = Client::open(redis_url(&self.url))
            .map_err(|_| refused("the URL of Redis cannot be read"))?;
        let link = Link::new(client, self.keys.clone(), self.keeps_everything, startup);
        let link = Arc::new(link);
        let (newest, pushes) = link.open().await.map_err(not_open)?;
        let (publisher, publishing) = Publisher::new(Arc::clone(&link));
        let tasks = [
            link::spawn(Arc::clone(&link).keep(pushes)),
            link::spawn(publishing),
        ];
        let running = Running {
            link,
            publisher,
            _tasks: tasks,
        };
        // A second start does not exist.
        let _ = self.running.set(running);
        self.renew_lease().await?;
        Ok(Started::at(newest))
    }

    async fn renew_lease(&self) -> Result<(), BackplaneError> {
        let link = &self.running()?.link;
        let mut set = redis::cmd("SET");
        set.arg(link.keys.lease(link.startup.node))
            .arg(1)
            .arg("PX")
            .arg(LEASE);
        let mut connection = link.server()?.connection;
        set.query_async(&mut connection).await.map_err(failed)
    }

    async fn give_lease_up(&self) -> Result<(), BackplaneError> {
        let link = &self.running()?.link;
        let mut del = redis::cmd("DEL");
        del.arg(link.keys.lease(link.startup.node));
        let mut connection = link.server()?.connection;
        del.query_async(&mut connection).await.map_err(failed)
    }

    async fn has_lease(&self, node: NodeId) -> Result<bool, BackplaneError> {
        let link = &self.running()?.link;
        let mut exists = redis::cmd("EXISTS");
        exists.arg(link.keys.lease(node));
        let mut connection = link.server()?.connection;
        exists.query_async(&mut connection).await.map_err(failed)
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<History, BackplaneError> {
        let link = &self.running()?.link;
        let server = link.server()?;
        let age = link.startup.history_of(ask.topic).age.as_millis();
        let bound = |most: usize| u64::try_from(most).unwrap_or(u64::MAX).min(1 << 40);
        let mut call = self.history.key(link.keys.sequence());
        call.arg(&link.keys.prefix)
            .arg(ask.after.map_or(0, EventId::epoch))
            .arg(ask.topic)
            .arg(
                ask.after
                    .map_or(-1, |after| i64::try_from(after.seq()).unwrap_or(i64::MAX)),
            )
            .arg(bound(ask.events))
            .arg(bound(ask.bytes))
            .arg(u64::try_from(age).unwrap_or(u64::MAX).min(1 << 52));
        let mut connection = server.connection;
        let answer: Vec<Value> = call.invoke_async(&mut connection).await.map_err(failed)?;
        let is_newest = ask.after.is_none();
        history(answer, is_newest)
            .ok_or_else(|| down("Redis has answered what no script of this version gives"))
    }
}

/// With the third version of the protocol, in which events come between answers.
fn redis_url(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}protocol=resp3")
}

fn not_open(broken: Broken) -> BackplaneError {
    match broken {
        Broken::Failed(error) => error,
        other => down(other),
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
            if let Err(error) = self.give_lease_up().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the lease runs out by itself"
                );
            }
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
}
