//! A link that delays, drops and tears, in front of any backplane.

mod carrier;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use fastrand::Rng;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_core::sse::NodeId;
use tokio::sync::{mpsc, oneshot, watch};

use super::weather::Weather;
use crate::future::BoxFuture;
use crate::sse::backplane::{
    Ask, Backplane, BackplaneSink, History, Publish, Started, Startup, Status, Tables, Watched,
};
use crate::sync::lock;
use carrier::{Carrier, Item, Sky, Told};

/// A link that delays, drops and tears, between a working backplane and its hub. It keeps the order that a backplane
/// guarantees, and reports losses as the [`Weather`] says. Its random choices follow from its seed. Clones refer to the
/// same link.
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
    /// The queue in which answers to `watch` take their place among the events.
    queue: OnceLock<mpsc::UnboundedSender<Item>>,
}

impl<B> Stormy<B> {
    /// Creates a link to this backplane, in fine weather.
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

    /// Changes the weather from the next event on.
    pub fn set_weather(&self, weather: Weather) {
        *lock(&self.link.sky.weather) = weather;
    }

    /// Hands nothing over until [`release`](Self::release).
    pub fn hold(&self) {
        self.link.sky.is_held.send_replace(true);
    }

    /// Hands over the events that were held.
    pub fn release(&self) {
        self.link.sky.is_held.send_replace(false);
    }

    /// Breaks the link for a moment, after the events that it carries now.
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
            // The hub may have been dropped.
            let _ = queue.send(item);
        }
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
        // Everything that has to be handed over before this answer is in the queue.
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
            // `start` is called only once.
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

    fn tables(&self) -> Option<&dyn Tables> {
        self.link.backplane.tables()
    }

    fn status(&self) -> Status {
        self.link.backplane.status()
    }
}

#[cfg(test)]
mod tests;
