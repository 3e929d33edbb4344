//! A backplane in the memory of one process.

mod log;

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use tokio::time::Instant;

use log::{Link, Log};

use crate::future::BoxFuture;
use crate::sse::backplane::{
    Ask, Backplane, BackplaneEvent, History, Lease, LocalTables, MemberChange, MemberRow, Publish,
    PutAnswer, Started, Startup, Status, Tables, Watched,
};
use crate::sync::lock;

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(15);

/// A backplane in the memory of one process, for tests of apps that run on several servers. It keeps all guarantees of
/// a [`Backplane`], and loses everything with the process.
///
/// Each value is the link of one node. [`node`](Self::node) creates a link of another node to the same log. Events are
/// handed over at once, under the log's lock, so an event has arrived everywhere when its publisher goes on. Keys,
/// leases and history age by tokio's time.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
/// use helios::testing::backplane::InMemory;
///
/// #[derive(Injectable)]
/// struct News { sse: SseService }
///
/// #[controller(prefix = "news")]
/// impl News {
///     #[post]
///     async fn tell(&self, #[body] text: String) -> Result<String, SseError> {
///         let id = self.sse.publish("news", text).await?;
///         Ok(id.to_string())
///     }
///
///     #[sse]
///     async fn news(&self) -> Result<SseStream, SseError> { self.sse.subscribe(["news"]).await }
/// }
///
/// #[server(controllers = [News], sse(enabled = true))]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let backplane = InMemory::new();
/// let app = |backplane| TestApp::start(Helios::new(App).backplane(backplane)).unwrap();
/// let (one, two) = (app(backplane.node()), app(backplane.node()));
/// for app in [&one, &two] {
///     app.service().start().await.unwrap();
/// }
/// let mut reader = two.sse("/news").await;
/// assert_eq!(reader.next().await.unwrap().event, "helios:ready");
/// let id = one.post("/news").json(&"it rains").await.text().to_owned();
/// let event = reader.next().await.unwrap();
/// assert_eq!((event.data, event.id), ("it rains".to_owned(), id));
/// # }
/// ```
pub struct InMemory {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

struct Shared {
    status: AtomicU8,
    log: Mutex<Log>,
    tables: LocalTables,
}

impl InMemory {
    /// Creates a new log, and the link of its first node.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            status: AtomicU8::new(code(Status::Up)),
            log: Mutex::new(Log::new()),
            tables: LocalTables::new(),
        };
        Self {
            shared: Arc::new(shared),
            link: Arc::default(),
        }
    }

    /// Creates the link of one more node to the same log.
    #[must_use]
    pub fn node(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            link: Arc::default(),
        }
    }

    /// Loses all memory, like a store that was replaced by an empty one. Another sequence begins, and all nodes are
    /// notified.
    ///
    /// ```
    /// use helios::SseHub;
    /// use helios::testing::backplane::InMemory;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let backplane = InMemory::new();
    /// let hub = SseHub::behind(backplane.node(), |_| {}).await?;
    /// let before = hub.sse().publish("news", "it rains").await?;
    /// backplane.forget_all();
    /// let after = hub.sse().publish("news", "it shines").await?;
    /// assert_eq!(after.is_after(before), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_all(&self) {
        lock(&self.shared.log).forget_all();
    }

    /// Sets the status from now on, and notifies all nodes. While it is [`Status::Down`], every call fails.
    ///
    /// ```
    /// use helios::SseHub;
    /// use helios::backplane::Status;
    /// use helios::testing::backplane::InMemory;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let backplane = InMemory::new();
    /// let hub = SseHub::behind(backplane.node(), |_| {}).await?;
    /// backplane.set_status(Status::Down);
    /// assert!(hub.sse().publish("news", "it rains").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_status(&self, status: Status) {
        self.shared.status.store(code(status), Ordering::Release);
        let mut log = lock(&self.shared.log);
        log.tell_all(|| BackplaneEvent::Link(status));
    }

    /// Returns the answer to a call, or an error while the backplane is down.
    fn if_reached<'a, T: 'a>(
        &'a self,
        answer: BoxFuture<'a, Result<T, BackplaneError>>,
    ) -> BoxFuture<'a, Result<T, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            answer.await
        })
    }

    /// Returns an error while the backplane is down.
    fn reached(&self) -> Result<(), BackplaneError> {
        match self.status() {
            Status::Down => Err(BackplaneErrorKind::Down.into()),
            Status::Up | Status::Suspect => Ok(()),
        }
    }
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.link.startup.get().map(|startup| startup.node);
        f.debug_struct("InMemory").field("node", &node).finish()
    }
}

const fn code(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Suspect => 1,
        Status::Down => 2,
    }
}

impl Backplane for InMemory {
    fn name(&self) -> &'static str {
        "in memory"
    }

    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            let mut log = lock(&self.shared.log);
            log.leases.insert(startup.node, Instant::now() + LEASE);
            log.keep_keys = startup.keep_keys;
            log.links.push(Arc::clone(&self.link));
            // `start` is called only once.
            let _ = self.link.startup.set(startup);
            Ok(Started::at(log.newest_id()))
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            lock(&self.shared.log).leave(&self.link);
        })
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            lock(&self.shared.log).publish(&event)
        })
    }

    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        Box::pin(async move {
            let mut log = lock(&self.shared.log);
            let publish = |event| self.reached().and_then(|()| log.publish(event));
            events.iter().map(publish).collect()
        })
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            Ok(lock(&self.shared.log).history(&ask))
        })
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            Ok(lock(&self.shared.log).watch(&self.link, topics))
        })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            lock(&self.shared.log).unwatch(&self.link, topics);
            Ok(())
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        Box::pin(async {
            self.reached()?;
            if let Some(startup) = self.link.startup.get() {
                let until = Instant::now() + LEASE;
                lock(&self.shared.log).leases.insert(startup.node, until);
            }
            Ok(())
        })
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        Box::pin(async move {
            self.reached()?;
            let log = lock(&self.shared.log);
            let until = log.leases.get(&node);
            Ok(until.is_some_and(|until| Instant::now() < *until))
        })
    }

    fn tables(&self) -> Option<&dyn Tables> {
        Some(self)
    }

    fn status(&self) -> Status {
        match self.shared.status.load(Ordering::Acquire) {
            0 => Status::Up,
            1 => Status::Suspect,
            _ => Status::Down,
        }
    }
}

impl Tables for InMemory {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        self.if_reached(self.shared.tables.lease(node, incarnation))
    }

    fn put<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        data: &'a str,
        is_new: bool,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>> {
        self.if_reached(
            self.shared
                .tables
                .put(lease, topic, key, data, is_new, most),
        )
    }

    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        self.if_reached(self.shared.tables.remove(lease, topic, key, grace))
    }

    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        self.if_reached(self.shared.tables.told(lease, change))
    }

    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        self.if_reached(self.shared.tables.read(topic))
    }

    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        self.if_reached(self.shared.tables.reap(lease))
    }
}

#[cfg(test)]
mod tests;
