//! A link that delays, drops and tears, before any backplane.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::weather::Weather;
use crate::future::BoxFuture;
use crate::sse::backplane::{
    Ask, Backplane, BackplaneEvent, BackplaneSink, History, PastEvent, Publish, Started, Startup,
    Status, Watched,
};
use crate::sync::lock;

/// The most events that a tear loses, if others do not come at once.
const TORN: usize = 20;

/// How much longer than an event's delay the link is held at times.
const HELD: f64 = 50.0;

/// A backplane behind a link that delays, drops and tears: it stands between one that works and its hub. What it promises of order
/// is kept, and what it loses it tells as the [`Weather`] says. Its luck follows from its seed. Clones mean the same link.
///
/// ```
/// use helios::SseHub;
/// use helios::testing::backplane::{InMemory, Stormy, Weather};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = InMemory::new();
/// let link = Stormy::new(log.node(), 7);
/// let one = SseHub::behind(link.clone(), |_| {}).await?;
/// let two = SseHub::behind(log.node(), |_| {}).await?;
/// link.set_weather(Weather::windy());
/// let reader = one.sse().subscribe(["news"]).await?;
/// for n in 0..100 {
///     two.sse().publish("news", n.to_string()).await?;
/// }
/// # drop(reader);
/// # Ok(())
/// # }
/// ```
pub struct Stormy<B> {
    link: Arc<Link<B>>,
}

struct Link<B> {
    backplane: B,
    sky: Arc<Sky>,
    /// Where answers to `watch` take their place among the events.
    queue: OnceLock<mpsc::UnboundedSender<Item>>,
}

/// What decides about a link.
struct Sky {
    weather: Mutex<Weather>,
    rng: Mutex<Rng>,
    is_held: watch::Sender<bool>,
}

/// What travels over the link.
enum Item {
    Told(Told),
    /// A question was answered with this id.
    Answer(EventId, oneshot::Sender<()>),
    /// The link is to tear here.
    Tear,
}

/// What the backplane has handed over.
enum Told {
    Event(Box<str>, PastEvent, Option<EventId>),
    Gap(Box<str>, EventId),
    Torn(EventId),
    Link(Status),
}

impl<B> Stormy<B> {
    /// A link to this backplane, in fine weather.
    pub fn new(backplane: B, seed: u64) -> Self {
        Self {
            link: Arc::new(Link {
                backplane,
                sky: Arc::new(Sky {
                    weather: Mutex::default(),
                    rng: Mutex::new(Rng::with_seed(seed)),
                    is_held: watch::Sender::new(false),
                }),
                queue: OnceLock::new(),
            }),
        }
    }

    /// Changes the weather, from the next event on.
    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.link.sky.weather) = weather;
    }

    /// Hands nothing over until [`release`](Self::release).
    pub fn hold(&self) {
        self.link.sky.is_held.send_replace(true);
    }

    /// Hands over what was held.
    pub fn release(&self) {
        self.link.sky.is_held.send_replace(false);
    }

    /// Breaks for a moment, behind what it carries now.
    pub fn tear(&self) {
        self.link.enqueue(Item::Tear);
    }
}

impl<B> Clone for Stormy<B> {
    fn clone(&self) -> Self {
        Self {
            link: Arc::clone(&self.link),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for Stormy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weather = *lock(&self.link.sky.weather);
        f.debug_struct("Stormy")
            .field("backplane", &self.link.backplane)
            .field("weather", &weather)
            .finish_non_exhaustive()
    }
}

impl<B> Link<B> {
    fn enqueue(&self, item: Item) {
        if let Some(queue) = self.queue.get() {
            // The hub may be gone.
            let _ = queue.send(item);
        }
    }
}

impl Told {
    fn of(event: BackplaneEvent<'_>) -> Self {
        match event {
            BackplaneEvent::Event { topic, event, prev } => Self::Event(topic.into(), event, prev),
            BackplaneEvent::Gap { topic, newest } => Self::Gap(topic.into(), newest),
            BackplaneEvent::Torn { newest } => Self::Torn(newest),
            BackplaneEvent::Link(status) => Self::Link(status),
        }
    }

    fn hand(self, sink: &BackplaneSink) -> bool {
        sink.accept(match &self {
            Self::Event(topic, event, prev) => BackplaneEvent::event(topic, event.clone(), *prev),
            Self::Gap(topic, newest) => BackplaneEvent::gap(topic, *newest),
            Self::Torn(newest) => BackplaneEvent::torn(*newest),
            Self::Link(status) => BackplaneEvent::Link(*status),
        })
    }

    /// The newest id that the backplane had given out here, as far as this tells.
    fn newest(&self) -> Option<EventId> {
        match self {
            Self::Event(_, event, _) => Some(event.id),
            Self::Gap(_, newest) | Self::Torn(newest) => Some(*newest),
            Self::Link(_) => None,
        }
    }
}

impl Sky {
    fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && lock(&self.rng).f64() < rate
    }

    /// Takes up to so long, at times.
    async fn dawdle(&self, longest: Duration) {
        if longest.is_zero() {
            return;
        }
        let (often, part) = {
            let mut rng = lock(&self.rng);
            (rng.u8(..10), rng.f64())
        };
        match often {
            0 | 1 => sleep(longest.mul_f64(part)).await,
            2..6 => tokio::task::yield_now().await,
            _ => {}
        }
    }

    fn fails(&self, rate: f64, kind: BackplaneErrorKind) -> Result<(), BackplaneError> {
        match self.chance(rate) {
            true => Err(BackplaneError::new(kind, "bad weather")),
            false => Ok(()),
        }
    }
}

/// Hands over what comes, in order, as well as the weather lets it.
struct Carrier {
    sky: Arc<Sky>,
    items: mpsc::UnboundedReceiver<Item>,
    sink: BackplaneSink,
    /// The newest id that is known to have been given out before what comes next.
    passed: Option<EventId>,
}

impl Carrier {
    async fn run(mut self) {
        let mut is_held = self.sky.is_held.subscribe();
        while let Some(item) = self.items.recv().await {
            // The sky lasts as long as this does.
            let _ = is_held.wait_for(|is_held| !is_held).await;
            let weather = self.sky.weather();
            self.sky.dawdle(weather.delay).await;
            if self.sky.chance(weather.hold) {
                let times = lock(&self.sky.rng).f64() * HELD;
                sleep(weather.delay.mul_f64(times)).await;
            }
            if !self.carry(item, weather).await {
                return;
            }
        }
    }

    /// False if nobody listens any more.
    async fn carry(&mut self, item: Item, weather: Weather) -> bool {
        self.pass(&item);
        match item {
            Item::Answer(_, answer) => {
                // Whoever asked may be gone.
                let _ = answer.send(());
                true
            }
            Item::Told(Told::Event(..)) if self.sky.chance(weather.drop) => true,
            Item::Told(Told::Event(..)) if self.sky.chance(weather.tear) => self.tear().await,
            Item::Told(told) => told.hand(&self.sink),
            Item::Tear => self.tear().await,
        }
    }

    fn pass(&mut self, item: &Item) {
        let newest = match item {
            Item::Told(told) => told.newest(),
            Item::Answer(newest, _) => Some(*newest),
            Item::Tear => None,
        };
        // What comes of another sequence comes later.
        if let Some(newest) = newest
            && self
                .passed
                .is_none_or(|passed| newest.is_after(passed) != Some(false))
        {
            self.passed = Some(newest);
        }
    }

    /// Loses what comes for a moment, and says so before anything later. Everything up to the newest id that was lost had been handed
    /// over to this link, and all that is newer will be.
    async fn tear(&mut self) -> bool {
        let most = lock(&self.sky.rng).usize(..TORN);
        let (mut answers, mut statuses) = (Vec::new(), Vec::new());
        for _ in 0..most {
            let Ok(Some(item)) = timeout(Duration::from_millis(2), self.items.recv()).await else {
                break;
            };
            self.pass(&item);
            match item {
                Item::Answer(_, answer) => answers.push(answer),
                Item::Told(Told::Link(status)) => statuses.push(status),
                Item::Told(_) | Item::Tear => {}
            }
        }
        let torn = self.passed.map(BackplaneEvent::torn);
        let statuses = statuses.into_iter().map(BackplaneEvent::Link);
        let mut listens = true;
        for event in torn.into_iter().chain(statuses) {
            listens &= self.sink.accept(event);
        }
        for answer in answers {
            // Whoever asked may be gone.
            let _ = answer.send(());
        }
        listens
    }
}

impl<B: Backplane> Stormy<B> {
    async fn publish_one(&self, event: Publish<'_>) -> Result<EventId, BackplaneError> {
        let sky = &self.link.sky;
        let Weather {
            no_publish, delay, ..
        } = sky.weather();
        sky.fails(no_publish / 2.0, BackplaneErrorKind::NotPublished)?;
        sky.dawdle(delay).await;
        let id = self.link.backplane.publish(event).await?;
        sky.fails(no_publish / 2.0, BackplaneErrorKind::Unknown)?;
        Ok(id)
    }

    async fn publish_batch(
        &self,
        events: Vec<Publish<'_>>,
    ) -> Vec<Result<EventId, BackplaneError>> {
        let sky = &self.link.sky;
        let Weather {
            no_publish, delay, ..
        } = sky.weather();
        if let Err(error) = sky.fails(no_publish / 2.0, BackplaneErrorKind::NotPublished) {
            return events.iter().map(|_| Err(error.clone())).collect();
        }
        sky.dawdle(delay).await;
        let answers = self.link.backplane.publish_all(events).await;
        let lose = |answer: Result<EventId, BackplaneError>| {
            let lost = sky.fails(no_publish / 2.0, BackplaneErrorKind::Unknown);
            answer.and_then(|id| lost.map(|()| id))
        };
        answers.into_iter().map(lose).collect()
    }

    async fn watch_in_place(&self, topics: &[&str]) -> Result<Watched, BackplaneError> {
        let sky = &self.link.sky;
        let no_watch = sky.weather().no_watch / 2.0;
        sky.fails(no_watch, BackplaneErrorKind::Down)?;
        let watched = self.link.backplane.watch(topics).await?;
        // All that was to be handed over before this is in the queue.
        let (answer, answered) = oneshot::channel();
        self.link.enqueue(Item::Answer(watched.newest, answer));
        let gone = |_| BackplaneError::from(BackplaneErrorKind::Down);
        answered.await.map_err(gone)?;
        sky.fails(no_watch, BackplaneErrorKind::Down)?;
        Ok(watched)
    }
}

impl<B: Backplane> Backplane for Stormy<B> {
    fn name(&self) -> &'static str {
        self.link.backplane.name()
    }

    fn start(&self, mut startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move {
            let (queue, items) = mpsc::unbounded_channel();
            let told = queue.clone();
            let own =
                BackplaneSink::new(move |event| told.send(Item::Told(Told::of(event))).is_ok());
            let sink = std::mem::replace(&mut startup.sink, own);
            // A second start does not exist.
            let _ = self.link.queue.set(queue);
            let started = self.link.backplane.start(startup).await?;
            let carrier = Carrier {
                sky: Arc::clone(&self.link.sky),
                items,
                sink,
                passed: Some(started.newest),
            };
            tokio::spawn(carrier.run());
            Ok(started)
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.link.backplane.stop()
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(self.publish_one(event))
    }

    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        Box::pin(self.publish_batch(events))
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(async move {
            let sky = &self.link.sky;
            let weather = sky.weather();
            sky.dawdle(weather.slow).await;
            sky.fails(weather.no_history, BackplaneErrorKind::Down)?;
            let history = self.link.backplane.history(ask).await?;
            sky.dawdle(weather.slow).await;
            Ok(history)
        })
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(self.watch_in_place(topics))
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            let sky = &self.link.sky;
            sky.dawdle(sky.weather().slow).await;
            self.link.backplane.unwatch(topics).await
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        self.link.backplane.renew()
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        self.link.backplane.is_alive(node)
    }

    fn status(&self) -> Status {
        self.link.backplane.status()
    }
}

#[cfg(test)]
mod tests;
