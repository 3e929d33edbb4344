//! A backplane for tests. Several hubs share one log, and each has a link that delays and drops events and breaks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BackplaneEvent, BackplaneSink, BoxFuture,
    History, NodeId, PastEvent, Publish, Started, Startup, Status, Watched, WatchedTopic,
};
use helios::sse::EventId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// How bad a link is. Rates are probabilities from 0 to 1.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// The longest delay of an event, in microseconds.
    pub delay: u64,
    /// The rate of events that are lost without notice.
    pub drop: f64,
    /// The rate of events at which the link breaks for a moment.
    pub tear: f64,
    /// The rate of history requests that fail.
    pub no_history: f64,
    /// The longest delay of a response, in microseconds.
    pub slow: u64,
    /// The rate of publishes that fail, half of them after the event was published.
    pub no_publish: f64,
    /// The rate of watches that fail, half of them after the topic was watched.
    pub no_watch: f64,
}

/// State shared by the servers.
pub struct Log {
    state: Mutex<LogState>,
    /// How many events are kept of each topic.
    keep: usize,
}

struct LogState {
    epoch: u64,
    newest: u64,
    topics: HashMap<String, Past>,
    careless: bool,
    links: Vec<Arc<Wire>>,
    /// Nodes that have a lease.
    alive: HashSet<NodeId>,
    /// Which events follow an id before this number is not known any more.
    horizon: u64,
}

#[derive(Default)]
struct Past {
    events: Vec<PastEvent>,
    last: Option<EventId>,
    /// The event that has finished the topic.
    finish: Option<PastEvent>,
    keys: HashMap<String, EventId>,
    /// Events up to this number are forgotten.
    floor: u64,
}

/// One hub's connection to the log.
struct Wire {
    watched: Mutex<HashSet<String>>,
    queue: mpsc::UnboundedSender<Item>,
}

enum Item {
    Event(Told),
    /// The response to a watch, in its place among the events.
    Answer(oneshot::Sender<()>),
}

/// An item for the sink.
enum Told {
    Event(String, PastEvent, Option<EventId>),
    Gap(String, EventId),
    Torn(EventId),
    Link(Status),
}

impl Told {
    fn to(&self, sink: &BackplaneSink) -> bool {
        sink.accept(match self {
            Self::Event(topic, event, prev) => BackplaneEvent::event(topic, event.clone(), *prev),
            Self::Gap(topic, newest) => BackplaneEvent::gap(topic, *newest),
            Self::Torn(newest) => BackplaneEvent::torn(*newest),
            Self::Link(status) => BackplaneEvent::Link(*status),
        })
    }
}

impl Item {
    fn answer(self) -> Option<oneshot::Sender<()>> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Event(_) => None,
        }
    }
}

impl Log {
    pub fn new(keep: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(LogState {
                epoch: 0xe1,
                newest: 0,
                topics: HashMap::new(),
                careless: false,
                links: Vec::new(),
                alive: HashSet::new(),
                horizon: 0,
            }),
            keep,
        })
    }

    /// Returns a link to the log, for one hub.
    pub fn link(self: &Arc<Self>, seed: u64) -> Link {
        let (queue, items) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire {
            watched: Mutex::default(),
            queue,
        });
        self.lock().links.push(Arc::clone(&wire));
        Link(Arc::new(Control {
            log: Arc::clone(self),
            wire,
            items: Mutex::new(Some(items)),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            weather: Mutex::default(),
            paused: watch::Sender::new(false),
            lossy: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            swallows: AtomicBool::new(false),
            dawdles: Mutex::default(),
            refuses: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            node: Mutex::default(),
            calls: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap()
    }

    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Loses its memory, and begins a new sequence.
    pub fn forget_all(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.newest = 0;
        state.horizon = 0;
        state.topics.clear();
    }

    /// Returns no history behind an id that is older than the newest one now.
    pub fn forget_old_ids(&self) {
        let mut state = self.lock();
        state.horizon = state.newest;
    }

    /// Numbers an event and sends it to all links in the same order.
    pub fn append(&self, publish: &Publish<'_>) -> Result<EventId, BackplaneError> {
        let (mut state, topic) = (self.lock(), publish.topic);
        let known = publish
            .key
            .and_then(|key| state.topics.get(topic)?.keys.get(key));
        if let Some(id) = known {
            return Ok(*id);
        }
        let is_finished = |past: &Past| past.finish.is_some();
        if state.topics.get(topic).is_some_and(is_finished) && !state.careless {
            return Err(BackplaneErrorKind::Finished.into());
        }
        state.newest += 1;
        let id = EventId::new(state.epoch, state.newest);
        let past = state.topics.entry(topic.to_owned()).or_default();
        let prev = past.last.replace(id);
        let event = PastEvent::new(id, SystemTime::now(), publish.bytes.clone());
        if publish.finishes {
            past.finish.get_or_insert_with(|| event.clone());
        }
        past.keys
            .extend(publish.key.map(|key| (key.to_owned(), id)));
        past.events.push(event.clone());
        if past.events.len() > self.keep {
            past.floor = past.events.remove(0).id.seq();
        }
        for wire in &state.links {
            if wire.watched.lock().unwrap().contains(topic) {
                let told = Told::Event(topic.to_owned(), event.clone(), prev);
                let _ = wire.queue.send(Item::Event(told));
            }
        }
        Ok(id)
    }

    /// Also numbers events after the end of a topic, like a backplane with a race.
    pub fn be_careless(&self) {
        self.lock().careless = true;
    }

    fn history(&self, ask: &Ask<'_>) -> History {
        let state = self.lock();
        let past = state.topics.get(ask.topic);
        let floor = past.map_or(0, |past| past.floor).max(state.horizon);
        let events = past.map_or(&[][..], |past| &past.events);
        match ask.after {
            Some(after) if after.epoch() != state.epoch || after.seq() < floor => History::Gone,
            Some(after) => {
                let is_after = |event: &&PastEvent| event.id.is_after(after) == Some(true);
                ask.answer(events.iter().filter(is_after))
            }
            None => ask.answer(events),
        }
    }

    /// Queues the response to a watch after everything that the link carries now.
    fn watch(&self, topics: &[&str], wire: &Wire, answer: oneshot::Sender<()>) -> Watched {
        let state = self.lock();
        let names = topics.iter().map(|topic| (*topic).to_owned());
        wire.watched.lock().unwrap().extend(names);
        let _ = wire.queue.send(Item::Answer(answer));
        let of_topic = |topic: &&str| match state.topics.get(*topic) {
            Some(past) => WatchedTopic::new(past.last, past.finish.clone()),
            None => WatchedTopic::default(),
        };
        let newest = EventId::new(state.epoch, state.newest);
        Watched::new(newest, topics.iter().map(of_topic).collect())
    }
}

/// A link, as tests use it. Clones refer to the same one.
#[derive(Clone)]
pub struct Link(Arc<Control>);

struct Control {
    log: Arc<Log>,
    wire: Arc<Wire>,
    items: Mutex<Option<mpsc::UnboundedReceiver<Item>>>,
    rng: Mutex<fastrand::Rng>,
    weather: Mutex<Weather>,
    paused: watch::Sender<bool>,
    lossy: AtomicBool,
    silent: AtomicBool,
    mute: AtomicBool,
    swallows: AtomicBool,
    dawdles: Mutex<Duration>,
    refuses: AtomicBool,
    is_down: AtomicBool,
    node: Mutex<Option<NodeId>>,
    calls: Mutex<Vec<String>>,
}

impl Link {
    pub fn set_weather(&self, weather: Weather) {
        *self.0.weather.lock().unwrap() = weather;
    }

    /// Delivers nothing until `resume`.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    pub fn resume(&self) {
        self.0.paused.send_replace(false);
    }

    /// Loses everything from now on without notice.
    pub fn lose(&self, lossy: bool) {
        self.0.lossy.store(lossy, Ordering::SeqCst);
    }

    /// Waits until everything is delivered.
    pub async fn flush(&self) {
        let (sender, answered) = oneshot::channel();
        let _ = self.0.wire.queue.send(Item::Answer(sender));
        let _ = answered.await;
    }

    /// Reports in order that any events may be missing.
    pub fn torn(&self) {
        self.say(Told::Torn);
    }

    /// Reports in order that events of this topic may be missing.
    pub fn gap(&self, topic: &str) {
        let topic = topic.to_owned();
        self.say(|newest| Told::Gap(topic, newest));
    }

    fn say(&self, event: impl FnOnce(EventId) -> Told) {
        let state = self.0.log.lock();
        let event = event(EventId::new(state.epoch, state.newest));
        let _ = self.0.wire.queue.send(Item::Event(event));
    }

    /// Delays histories and watches by this time from now on.
    pub fn dawdle_always(&self, time: Duration) {
        *self.0.dawdles.lock().unwrap() = time;
    }

    /// Publishes events without a response from now on.
    pub fn swallow(&self, swallows: bool) {
        self.0.swallows.store(swallows, Ordering::SeqCst);
    }

    /// Stops responding to history requests and watches from now on.
    pub fn silence(&self, silent: bool) {
        self.0.silent.store(silent, Ordering::SeqCst);
    }

    /// Makes history requests fail from now on.
    pub fn mute(&self, mute: bool) {
        self.0.mute.store(mute, Ordering::SeqCst);
    }

    /// Reports the link as down from now on.
    pub fn go_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
        let status = if is_down { Status::Down } else { Status::Up };
        let _ = self.0.wire.queue.send(Item::Event(Told::Link(status)));
    }

    /// Makes everything else fail from now on.
    pub fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Returns the hub's calls.
    pub fn calls(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().clone()
    }

    pub fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|known| *known == call).count()
    }

    /// Whether its hub still accepts events, as far as the link has noticed.
    pub fn has_hub(&self) -> bool {
        !self.0.wire.queue.is_closed()
    }

    /// Whether its hub has started it, and has not stopped it.
    pub fn is_started(&self) -> bool {
        let node = *self.0.node.lock().unwrap();
        node.is_some_and(|node| self.0.log.lock().alive.contains(&node))
    }

    pub fn is_watched(&self, topic: &str) -> bool {
        self.0.wire.watched.lock().unwrap().contains(topic)
    }
}

impl Control {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && self.rng.lock().unwrap().f64() < rate
    }

    fn random(&self, below: u64) -> u64 {
        self.rng.lock().unwrap().u64(0..below.max(1))
    }

    fn note(&self, call: &str, topic: &str) {
        self.calls.lock().unwrap().push(format!("{call} {topic}"));
    }

    async fn dawdle(&self, longest: u64) {
        if longest > 0 && self.chance(0.2) {
            sleep(Duration::from_micros(self.random(longest))).await;
        } else if self.chance(0.5) {
            tokio::task::yield_now().await;
        }
    }

    async fn never_if_silent(&self) {
        let time = *self.dawdles.lock().unwrap();
        if !time.is_zero() {
            sleep(time).await;
        }
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn refuses(&self, rate: f64) -> Result<(), BackplaneError> {
        if self.refuses.load(Ordering::SeqCst) || self.chance(rate) {
            let text = "the link is down";
            return Err(BackplaneError::new(BackplaneErrorKind::NotPublished, text));
        }
        Ok(())
    }

    /// Delivers items in order, as well as the weather permits.
    async fn deliver(&self, mut items: mpsc::UnboundedReceiver<Item>, sink: BackplaneSink) {
        while let Some(item) = items.recv().await {
            let mut paused = self.paused.subscribe();
            let _ = paused.wait_for(|paused| !paused).await;
            let weather = self.weather();
            self.dawdle(weather.delay).await;
            match item {
                Item::Answer(answer) => {
                    let _ = answer.send(());
                }
                Item::Event(Told::Event(..))
                    if self.lossy.load(Ordering::SeqCst) || self.chance(weather.drop) => {}
                Item::Event(Told::Event(..)) if self.chance(weather.tear) => {
                    self.tear(&mut items, &sink).await;
                }
                Item::Event(event) => {
                    if !event.to(&sink) {
                        return;
                    }
                }
            }
        }
    }

    /// Loses items for a moment, and reports that before anything later.
    async fn tear(&self, items: &mut mpsc::UnboundedReceiver<Item>, sink: &BackplaneSink) {
        let mut answers = Vec::new();
        for _ in 0..self.random(20) {
            match timeout(Duration::from_millis(2), items.recv()).await {
                Ok(Some(item)) => answers.extend(item.answer()),
                Ok(None) | Err(_) => break,
            }
        }
        let newest = {
            let state = self.log.lock();
            while let Ok(item) = items.try_recv() {
                answers.extend(item.answer());
            }
            EventId::new(state.epoch, state.newest)
        };
        sink.accept(BackplaneEvent::torn(newest));
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

impl Backplane for Link {
    fn name(&self) -> &'static str {
        "in memory"
    }

    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move {
            let control = &self.0;
            control.refuses(0.0)?;
            let items = control.items.lock().unwrap().take();
            let items = items.expect("started once");
            let task = Arc::clone(control);
            let sink = startup.sink;
            tokio::spawn(async move { task.deliver(items, sink).await });
            *control.node.lock().unwrap() = Some(startup.node);
            let mut state = control.log.lock();
            state.alive.insert(startup.node);
            Ok(Started::at(EventId::new(state.epoch, state.newest)))
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(node) = *self.0.node.lock().unwrap() {
                self.0.log.lock().alive.remove(&node);
            }
        })
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            control.refuses(weather.no_publish / 2.0)?;
            control.dawdle(weather.delay).await;
            let id = control.log.append(&event)?;
            if control.swallows.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let lost = |_| BackplaneError::from(BackplaneErrorKind::Unknown);
            control.refuses(weather.no_publish / 2.0).map_err(lost)?;
            Ok(id)
        })
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            control.note("history", ask.topic);
            control.dawdle(weather.slow).await;
            if control.mute.load(Ordering::SeqCst) || control.chance(weather.no_history) {
                let text = "history is unavailable";
                return Err(BackplaneError::new(BackplaneErrorKind::Down, text));
            }
            let history = control.log.history(&ask);
            control.never_if_silent().await;
            control.dawdle(weather.slow).await;
            Ok(history)
        })
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            topics.iter().for_each(|topic| control.note("watch", topic));
            control.refuses(weather.no_watch / 2.0)?;
            let (answer, answered) = oneshot::channel();
            let answer_then = control.log.watch(topics, &control.wire, answer);
            control.never_if_silent().await;
            let gone = |_| BackplaneError::from(BackplaneErrorKind::Down);
            answered.await.map_err(gone)?;
            control.refuses(weather.no_watch / 2.0)?;
            Ok(answer_then)
        })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            let control = &self.0;
            topics
                .iter()
                .for_each(|topic| control.note("unwatch", topic));
            control.dawdle(control.weather().slow).await;
            let mut watched = control.wire.watched.lock().unwrap();
            watched.retain(|topic| !topics.contains(&&**topic));
            Ok(())
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        Box::pin(async { Ok(()) })
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        Box::pin(async move { Ok(self.0.log.lock().alive.contains(&node)) })
    }

    fn status(&self) -> Status {
        match self.0.is_down.load(Ordering::SeqCst) {
            true => Status::Down,
            false => Status::Up,
        }
    }
}
