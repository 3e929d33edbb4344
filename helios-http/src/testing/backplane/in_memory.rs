//! A backplane in the memory of one process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::sse::backplane::{
    Ask, Backplane, BackplaneEvent, BackplaneSink, History, PastEvent, Publish, Started, Startup,
    Status, Watched, WatchedTopic,
};
use crate::sync::lock;

/// How long a node has a lease.
const LEASE: Duration = Duration::from_secs(15);

/// How much longer than a topic's history its end is known.
const END_OUTLIVES: Duration = Duration::from_secs(60);

/// After so many publishes, topics of which nothing is left are forgotten.
const SWEEP: u32 = 8_192;

/// A backplane in the memory of one process, for tests of apps that run on several servers. It keeps all that is promised of a
/// [`Backplane`], and loses everything with the process.
///
/// Each value is the link of one node; [`node`](Self::node) gives a link of another node to the same log. Events are handed over
/// under the log's lock, at once: what was published has arrived everywhere when its publisher goes on. Keys, leases and history age by
/// tokio's time.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::{TestApp, TestServer};
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
/// let id = one.post("/news").json("it rains").await.text().to_owned();
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
}

/// What one node has of it.
#[derive(Default)]
struct Link {
    startup: OnceLock<Startup>,
}

struct Log {
    epoch: u64,
    newest: u64,
    topics: HashMap<String, Topic>,
    /// Of those that are forgotten as a whole, what was published goes up to this number.
    forgotten: u64,
    links: Vec<Arc<Link>>,
    leases: HashMap<NodeId, Instant>,
    keep_keys: Duration,
    until_sweep: u32,
}

#[derive(Default)]
struct Topic {
    events: VecDeque<(Instant, PastEvent)>,
    kept: Duration,
    last: Option<EventId>,
    /// What was forgotten goes up to this number.
    floor: u64,
    /// What has finished it, and how long that counts.
    finish: Option<(Instant, PastEvent)>,
    keys: HashMap<String, (Instant, EventId)>,
    keys_by_age: VecDeque<String>,
    watchers: Vec<Arc<Link>>,
}

impl InMemory {
    /// A new log, and the link of its first node.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            status: AtomicU8::new(code(Status::Up)),
            log: Mutex::new(Log {
                epoch: any_epoch(),
                newest: 0,
                topics: HashMap::new(),
                forgotten: 0,
                links: Vec::new(),
                leases: HashMap::new(),
                keep_keys: Duration::from_secs(120),
                until_sweep: SWEEP,
            }),
        };
        Self {
            shared: Arc::new(shared),
            link: Arc::default(),
        }
    }

    /// The link of one more node to the same log.
    #[must_use]
    pub fn node(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            link: Arc::default(),
        }
    }

    /// Loses all memory, as a store does that was replaced by an empty one: another sequence begins, and all nodes are told.
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
        let mut log = lock(&self.shared.log);
        let before = log.epoch;
        while log.epoch == before {
            log.epoch = any_epoch();
        }
        (log.newest, log.forgotten) = (0, 0);
        for topic in log.topics.values_mut() {
            let watchers = std::mem::take(&mut topic.watchers);
            *topic = Topic {
                watchers,
                ..Topic::default()
            };
        }
        let newest = log.newest_id();
        log.tell_all(|| BackplaneEvent::torn(newest));
    }

    /// Says how it is reached from now on; all nodes are told. While it is [`Status::Down`], everything that is asked of it fails.
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

    /// An error while it is down.
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

fn any_epoch() -> u64 {
    fastrand::u64(1..1 << 48)
}

const fn code(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Suspect => 1,
        Status::Down => 2,
    }
}

impl Link {
    /// False if nobody listens any more.
    fn hand(&self, event: BackplaneEvent<'_>) -> bool {
        let sink: Option<&BackplaneSink> = self.startup.get().map(|startup| &startup.sink);
        sink.is_some_and(|sink| sink.accept(event))
    }
}

impl Log {
    fn newest_id(&self) -> EventId {
        EventId::new(self.epoch, self.newest)
    }

    fn tell_all<'a>(&mut self, event: impl Fn() -> BackplaneEvent<'a>) {
        self.links.retain(|link| link.hand(event()));
    }

    /// Numbers an event and hands it over, under the log's lock: so the order is the same everywhere.
    fn publish(&mut self, publish: &Publish<'_>) -> Result<EventId, BackplaneError> {
        let now = Instant::now();
        self.sweep(now);
        if !self.topics.contains_key(publish.topic) {
            self.open(publish.topic);
        }
        let Some(topic) = self.topics.get_mut(publish.topic) else {
            return Err(BackplaneErrorKind::NotPublished.into());
        };
        if let Some(id) = topic.known(publish.key, now, self.keep_keys) {
            return Ok(id);
        }
        if topic.is_finished(now) {
            return Err(BackplaneErrorKind::Finished.into());
        }
        self.newest += 1;
        let id = EventId::new(self.epoch, self.newest);
        let event = PastEvent::new(id, SystemTime::now(), publish.bytes.clone());
        if publish.finishes {
            let until = now + publish.limits.age.saturating_add(END_OUTLIVES);
            topic.finish = Some((until, event.clone()));
        }
        if let Some(key) = publish.key {
            topic.keys.insert(key.to_owned(), (now, id));
            topic.keys_by_age.push_back(key.to_owned());
        }
        let prev = topic.last.replace(id);
        let hand =
            |link: &Arc<Link>| link.hand(BackplaneEvent::event(publish.topic, event.clone(), prev));
        topic.watchers.retain(hand);
        topic.events.push_back((now, event));
        topic.kept = publish.limits.age;
        topic.trim(now, publish.limits.events);
        Ok(id)
    }

    fn open(&mut self, name: &str) -> &mut Topic {
        let floor = self.forgotten;
        self.topics.entry(name.to_owned()).or_insert_with(|| Topic {
            floor,
            ..Topic::default()
        })
    }

    fn history(&mut self, ask: &Ask<'_>) -> History {
        let (epoch, forgotten) = (self.epoch, self.forgotten);
        let topic = self.topics.get_mut(ask.topic);
        if let Some(after) = ask.after {
            let floor = topic.as_ref().map_or(forgotten, |topic| topic.floor);
            if after.epoch() != epoch || after.seq() < floor {
                return History::Gone;
            }
        }
        let Some(topic) = topic else {
            return ask.answer(&[]);
        };
        topic.trim(Instant::now(), usize::MAX);
        let after = ask.after.map_or(0, EventId::seq);
        if ask.after.is_some() && after < topic.floor {
            return History::Gone;
        }
        let events = &topic.events;
        let from = events.partition_point(|(_, event)| event.id.seq() <= after);
        ask.answer(events.range(from..).map(|(_, event)| event))
    }

    fn watch(&mut self, link: &Arc<Link>, names: &[&str]) -> Watched {
        let now = Instant::now();
        let topics = names.iter().map(|name| {
            let topic = self.open(name);
            topic.unwatch(link);
            topic.watchers.push(Arc::clone(link));
            let finish = topic.finish.as_ref().filter(|(until, _)| now < *until);
            let finish = finish.map(|(_, event)| event.clone());
            WatchedTopic::new(topic.last, finish)
        });
        let topics = topics.collect();
        // Everything up to it has been handed over, under this lock.
        Watched::new(self.newest_id(), topics)
    }

    /// Forgets topics of which nothing is left, every now and then.
    fn sweep(&mut self, now: Instant) {
        self.until_sweep = self.until_sweep.saturating_sub(1);
        if self.until_sweep > 0 {
            return;
        }
        self.until_sweep = SWEEP;
        let (forgotten, keep_keys) = (&mut self.forgotten, self.keep_keys);
        self.topics.retain(|_, topic| {
            topic.trim(now, usize::MAX);
            topic.forget_keys(now, keep_keys);
            let is_left = topic.is_finished(now) || !topic.watchers.is_empty();
            let is_left = is_left || !topic.events.is_empty() || !topic.keys.is_empty();
            if !is_left {
                *forgotten = topic.floor.max(*forgotten);
            }
            is_left
        });
    }
}

impl Topic {
    /// The id of what was published with this key before.
    fn known(&mut self, key: Option<&str>, now: Instant, kept: Duration) -> Option<EventId> {
        let key = key?;
        self.forget_keys(now, kept);
        self.keys.get(key).map(|(_, id)| *id)
    }

    fn forget_keys(&mut self, now: Instant, kept: Duration) {
        while let Some(oldest) = self.keys_by_age.front() {
            let used = self.keys.get(oldest);
            if used.is_some_and(|(at, _)| now.duration_since(*at) <= kept) {
                return;
            }
            if let Some(oldest) = self.keys_by_age.pop_front() {
                self.keys.remove(&oldest);
            }
        }
    }

    fn is_finished(&mut self, now: Instant) -> bool {
        self.finish.take_if(|(until, _)| now >= *until);
        self.finish.is_some()
    }

    /// Drops what is too old, and what is over this number. The newest event stays while it is young enough.
    fn trim(&mut self, now: Instant, most: usize) {
        let kept = self.kept;
        let too_old = |(at, _): &(Instant, PastEvent)| now.duration_since(*at) > kept;
        while self.events.len() > most.max(1) || self.events.front().is_some_and(too_old) {
            if let Some((_, event)) = self.events.pop_front() {
                self.floor = event.id.seq();
            }
        }
    }

    fn unwatch(&mut self, link: &Arc<Link>) {
        self.watchers.retain(|known| !Arc::ptr_eq(known, link));
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
            // A second start does not exist.
            let _ = self.link.startup.set(startup);
            Ok(Started::at(log.newest_id()))
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut log = lock(&self.shared.log);
            log.links.retain(|link| !Arc::ptr_eq(link, &self.link));
            let topics = log.topics.values_mut();
            topics.for_each(|topic| topic.unwatch(&self.link));
            if let Some(startup) = self.link.startup.get() {
                log.leases.remove(&startup.node);
            }
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
            let mut log = lock(&self.shared.log);
            for name in topics {
                if let Some(topic) = log.topics.get_mut(*name) {
                    topic.unwatch(&self.link);
                }
            }
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

    fn status(&self) -> Status {
        match self.shared.status.load(Ordering::Acquire) {
            0 => Status::Up,
            1 => Status::Suspect,
            _ => Status::Down,
        }
    }
}

#[cfg(test)]
mod tests;
