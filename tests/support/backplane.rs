//! A backplane for tests: one log that several hubs share, and a link to each that delays, drops and tears.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use helios::backplane::{
    Backplane, BackplaneError, BackplaneEvent, BackplaneSink, BoxFuture, Finished, History,
    PastEvent, Watched,
};
use helios::sse::EventId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// How bad a link is. Rates are chances from 0 to 1.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// The longest delay of an event, in microseconds.
    pub delay: u64,
    /// Events that are lost and nobody is told.
    pub drop: f64,
    /// Events at which the link breaks for a moment.
    pub tear: f64,
    /// Questions for history that fail.
    pub no_history: f64,
    /// The longest delay of an answer, in microseconds.
    pub slow: u64,
    /// Publishes that fail, half of them after the event was published.
    pub no_publish: f64,
    /// Watches that fail, half of them after the topic was watched.
    pub no_watch: f64,
}

/// What the servers share.
pub struct Log {
    state: Mutex<LogState>,
    /// Events that are kept of each topic.
    keep: usize,
}

struct LogState {
    epoch: u64,
    newest: u64,
    topics: HashMap<String, Past>,
    careless: bool,
    links: Vec<Arc<Wire>>,
}

#[derive(Default)]
struct Past {
    events: Vec<PastEvent>,
    last: Option<EventId>,
    /// What has finished the topic.
    finish: Option<PastEvent>,
    /// What was forgotten goes up to this number.
    floor: u64,
}

/// One hub's connection to the log.
struct Wire {
    watched: Mutex<HashSet<String>>,
    queue: mpsc::UnboundedSender<Item>,
}

enum Item {
    Event(BackplaneEvent),
    /// A watch is answered at its place among the events.
    Answer(oneshot::Sender<()>),
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
            }),
            keep,
        })
    }

    /// A link to it, for one hub.
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
            refuses: AtomicBool::new(false),
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
        state.topics.clear();
    }

    /// Numbers an event and sends it to all links in the same order.
    pub fn append(&self, topic: &str, bytes: Bytes, finishes: bool) -> Result<EventId, Finished> {
        let mut state = self.lock();
        let is_finished = |past: &Past| past.finish.is_some();
        if state.topics.get(topic).is_some_and(is_finished) && !state.careless {
            return Err(Finished);
        }
        state.newest += 1;
        let id = EventId::new(state.epoch, state.newest);
        let past = state.topics.entry(topic.to_owned()).or_default();
        let prev = past.last.replace(id);
        let event = PastEvent {
            id,
            bytes: bytes.clone(),
        };
        if finishes {
            past.finish.get_or_insert_with(|| event.clone());
        }
        past.events.push(event);
        if past.events.len() > self.keep {
            past.floor = past.events.remove(0).id.seq();
        }
        for wire in &state.links {
            if wire.watched.lock().unwrap().contains(topic) {
                let _ = wire.queue.send(Item::Event(BackplaneEvent::Event {
                    topic: topic.to_owned(),
                    id,
                    prev,
                    bytes: bytes.clone(),
                }));
            }
        }
        Ok(id)
    }

    /// Numbers also what is published behind the end of a topic, as a backplane does that races.
    pub fn be_careless(&self) {
        self.lock().careless = true;
    }

    fn history(&self, topic: &str, after: EventId) -> History {
        let state = self.lock();
        if after.epoch() != state.epoch {
            return History::Gone;
        }
        let Some(past) = state.topics.get(topic) else {
            return History::Events(Vec::new());
        };
        if after.seq() < past.floor {
            return History::Gone;
        }
        let events = past.events.iter().filter(|event| event.id > after);
        History::Events(events.cloned().collect())
    }
}

/// A link as tests hold it: clones mean the same one.
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
    refuses: AtomicBool,
    calls: Mutex<Vec<String>>,
}

impl Link {
    pub fn set_weather(&self, weather: Weather) {
        *self.0.weather.lock().unwrap() = weather;
    }

    /// Nothing is handed over until `resume`.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    pub fn resume(&self) {
        self.0.paused.send_replace(false);
    }

    /// What comes from now on is lost, and nobody is told.
    pub fn lose(&self, lossy: bool) {
        self.0.lossy.store(lossy, Ordering::SeqCst);
    }

    /// Everything is handed over.
    pub async fn flush(&self) {
        let (sender, answered) = oneshot::channel();
        let _ = self.0.wire.queue.send(Item::Answer(sender));
        let _ = answered.await;
    }

    /// Says that anything may be missing, in order with the rest.
    pub fn torn(&self) {
        self.say(|newest| BackplaneEvent::Torn { newest });
    }

    /// Says that events of this topic may be missing, in order with the rest.
    pub fn gap(&self, topic: &str) {
        let topic = topic.to_owned();
        self.say(|newest| BackplaneEvent::Gap { topic, newest });
    }

    fn say(&self, event: impl FnOnce(EventId) -> BackplaneEvent) {
        let state = self.0.log.lock();
        let event = event(EventId::new(state.epoch, state.newest));
        let _ = self.0.wire.queue.send(Item::Event(event));
    }

    /// History and watches are not answered from now on.
    pub fn silence(&self, silent: bool) {
        self.0.silent.store(silent, Ordering::SeqCst);
    }

    /// History fails from now on.
    pub fn mute(&self, mute: bool) {
        self.0.mute.store(mute, Ordering::SeqCst);
    }

    /// Everything else fails from now on.
    pub fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::SeqCst);
    }

    /// What the hub has asked for.
    pub fn calls(&self) -> Vec<String> {
        self.0.calls.lock().unwrap().clone()
    }

    pub fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|known| *known == call).count()
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
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn refuses(&self, rate: f64) -> Result<(), BackplaneError> {
        if self.refuses.load(Ordering::SeqCst) || self.chance(rate) {
            return Err("the link is down".into());
        }
        Ok(())
    }

    /// Hands over what comes, in order, as well as the weather lets it.
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
                Item::Event(BackplaneEvent::Event { .. })
                    if self.lossy.load(Ordering::SeqCst) || self.chance(weather.drop) => {}
                Item::Event(BackplaneEvent::Event { .. }) if self.chance(weather.tear) => {
                    self.tear(&mut items, &sink).await;
                }
                Item::Event(event) => {
                    if !sink.accept(event) {
                        return;
                    }
                }
            }
        }
    }

    /// Loses what comes for a moment, and says so before anything later.
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
        sink.accept(BackplaneEvent::Torn { newest });
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

impl Backplane for Link {
    fn start(&self, sink: BackplaneSink) -> BoxFuture<'_, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            let control = &self.0;
            control.refuses(0.0)?;
            let items = control.items.lock().unwrap().take();
            let items = items.expect("started once");
            let task = Arc::clone(control);
            tokio::spawn(async move { task.deliver(items, sink).await });
            let state = control.log.lock();
            Ok(EventId::new(state.epoch, state.newest))
        })
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        bytes: Bytes,
        finishes: bool,
    ) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            control.refuses(weather.no_publish / 2.0)?;
            control.dawdle(weather.delay).await;
            let id = control.log.append(topic, bytes, finishes)?;
            control.refuses(weather.no_publish / 2.0)?;
            Ok(id)
        })
    }

    fn history<'a>(
        &'a self,
        topic: &'a str,
        after: EventId,
    ) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            control.note("history", topic);
            control.dawdle(weather.slow).await;
            if control.mute.load(Ordering::SeqCst) || control.chance(weather.no_history) {
                return Err("history is not to be had".into());
            }
            let history = control.log.history(topic, after);
            control.never_if_silent().await;
            control.dawdle(weather.slow).await;
            Ok(history)
        })
    }

    fn watch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            let (control, weather) = (&self.0, self.0.weather());
            control.note("watch", topic);
            control.refuses(weather.no_watch / 2.0)?;
            let (answer, answered) = oneshot::channel();
            let answer_then = {
                let state = control.log.lock();
                let mut watched = control.wire.watched.lock().unwrap();
                watched.insert(topic.to_owned());
                let _ = control.wire.queue.send(Item::Answer(answer));
                let past = state.topics.get(topic);
                Watched {
                    newest: EventId::new(state.epoch, state.newest),
                    finish: past.and_then(|past| past.finish.clone()),
                }
            };
            control.never_if_silent().await;
            answered.await?;
            control.refuses(weather.no_watch / 2.0)?;
            Ok(answer_then)
        })
    }

    fn unwatch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            let control = &self.0;
            control.note("unwatch", topic);
            control.dawdle(control.weather().slow).await;
            control.wire.watched.lock().unwrap().remove(topic);
            Ok(())
        })
    }
}
