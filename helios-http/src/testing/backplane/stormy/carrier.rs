//! Carries events in order, as well as the weather allows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::super::weather::Weather;
use crate::sse::backplane::{BackplaneEvent, BackplaneSink, PastEvent, Status};
use crate::sync::lock;

/// The most events that a tear loses.
const TORN: usize = 20;

/// How many times longer than an event's delay the link is held at times.
const HELD: f64 = 50.0;

/// The state that decides about a link.
pub(super) struct Sky {
    pub(super) weather: Mutex<Weather>,
    pub(super) rng: Mutex<Rng>,
    pub(super) is_held: watch::Sender<bool>,
}

/// An item that travels over the link.
pub(super) enum Item {
    Told(Told),
    /// A call was answered with this id.
    Answer(EventId, oneshot::Sender<()>),
    /// The link breaks here.
    Tear,
}

/// A message that the backplane has handed over.
pub(super) enum Told {
    Event(Box<str>, PastEvent, Option<EventId>),
    Gap(Box<str>, EventId),
    Torn(EventId),
    Link(Status),
}

impl Told {
    pub(super) fn of(event: BackplaneEvent<'_>) -> Self {
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

    /// Returns the newest id that the backplane had assigned here, if the message contains one.
    fn newest(&self) -> Option<EventId> {
        match self {
            Self::Event(_, event, _) => Some(event.id),
            Self::Gap(_, newest) | Self::Torn(newest) => Some(*newest),
            Self::Link(_) => None,
        }
    }
}

impl Sky {
    pub(super) fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    fn chance(&self, rate: f64) -> bool {
        rate > 0.0 && lock(&self.rng).f64() < rate
    }

    /// Waits for up to `longest`, at times.
    pub(super) async fn dawdle(&self, longest: Duration) {
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

    pub(super) fn fails(&self, rate: f64, kind: BackplaneErrorKind) -> Result<(), BackplaneError> {
        match self.chance(rate) {
            true => Err(BackplaneError::new(kind, "bad weather")),
            false => Ok(()),
        }
    }
}

/// Hands items over in order, as well as the weather allows.
pub(super) struct Carrier {
    pub(super) sky: Arc<Sky>,
    pub(super) items: mpsc::UnboundedReceiver<Item>,
    pub(super) sink: BackplaneSink,
    /// The newest id that is known to have been assigned before the next item.
    pub(super) passed: Option<EventId>,
}

impl Carrier {
    pub(super) async fn run(mut self) {
        let mut is_held = self.sky.is_held.subscribe();
        while let Some(item) = self.items.recv().await {
            // The sky lasts as long as the carrier.
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

    /// Returns false if the hub was dropped.
    async fn carry(&mut self, item: Item, weather: Weather) -> bool {
        self.pass(&item);
        match item {
            Item::Answer(_, answer) => {
                // The caller may have been dropped.
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
        // An id of another sequence comes later.
        if let Some(newest) = newest
            && self
                .passed
                .is_none_or(|passed| newest.is_after(passed) != Some(false))
        {
            self.passed = Some(newest);
        }
    }

    /// Loses the items of a moment, and reports that before anything later. Everything up to the newest lost id had
    /// been handed over to this link, and everything newer will be.
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
            // The caller may have been dropped.
            let _ = answer.send(());
        }
        listens
    }
}
