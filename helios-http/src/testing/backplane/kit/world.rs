//! The nodes and the ledger, which all tasks of a round share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helios_core::hub::EventId;
use helios_core::sse::SseError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::rig::Rig;
use super::super::stormy::Stormy;
use super::super::weather::Weather;
use super::Kit;
use super::ledger::{Answer, Ledger, Mark, PostKind};
use super::report::{FaultKind, Found};
use crate::error::Error;
use crate::failure::with_causes;
use crate::sse::{SseHub, SseService};
use crate::sync::lock;

/// One server.
struct Node<R: Rig> {
    hub: SseHub,
    link: Stormy<R::Link>,
}

impl<R: Rig> Clone for Node<R> {
    fn clone(&self) -> Self {
        Self {
            hub: self.hub.clone(),
            link: self.link.clone(),
        }
    }
}

/// All servers. Each may be replaced by another one.
pub(super) struct Nodes<R: Rig> {
    pub(super) rig: R,
    kit: Kit,
    slots: Vec<Mutex<Option<Node<R>>>>,
    made: AtomicUsize,
    weather: Mutex<Weather>,
}

impl<R: Rig> Nodes<R> {
    pub(super) fn new(rig: R, kit: &Kit) -> Self {
        Self {
            rig,
            slots: (0..kit.nodes).map(|_| Mutex::new(None)).collect(),
            kit: kit.clone(),
            made: AtomicUsize::new(0),
            weather: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of a new node.
    pub(super) fn number(&self) -> usize {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the hub of a node, if it is running.
    pub(super) fn hub(&self, n: usize) -> Option<SseHub> {
        let node = lock(&self.slots[n]);
        node.as_ref().map(|node| node.hub.clone())
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        *lock(&self.weather) = weather;
        for slot in &self.slots {
            if let Some(node) = &*lock(slot) {
                node.link.set_weather(weather);
            }
        }
    }

    /// Hands nothing over on this node for this time.
    pub(super) async fn hold(&self, n: usize, time: Duration) {
        let link = lock(&self.slots[n]).as_ref().map(|node| node.link.clone());
        if let Some(link) = link {
            link.hold();
            sleep(time).await;
            link.release();
        }
    }

    /// Replaces a node with a new one, as a deploy does.
    pub(super) async fn replace(&self, n: usize) -> Result<(), Error> {
        let old = lock(&self.slots[n]).take();
        if let Some(old) = old {
            old.link.release();
            old.hub.shutdown(Duration::from_millis(50)).await;
        }
        let number = self.number();
        let seed = self.kit.seed.wrapping_mul(31).wrapping_add(number as u64);
        let link = Stormy::new(self.rig.node(number), seed);
        let history = self.kit.history;
        let hub = SseHub::behind(link.clone(), |sse| {
            sse.history = history;
            sse.retry = Duration::from_millis(1);
        });
        let hub = hub.await?;
        link.set_weather(*lock(&self.weather));
        *lock(&self.slots[n]) = Some(Node { hub, link });
        Ok(())
    }

    /// Replaces a node, and tries again until it starts or the kit's time to heal is over.
    pub(super) async fn replace_in_time(&self, n: usize) -> Result<(), Found> {
        let deadline = Instant::now() + self.kit.heals_within;
        loop {
            match self.replace(n).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let what = format!("a node does not start: {}", with_causes(&error));
                    return Err((FaultKind::Failed, what));
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(super) async fn stop(&self) {
        for slot in &self.slots {
            let node = lock(slot).take();
            if let Some(node) = node {
                node.hub.shutdown(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The newest events, which the clients of a round have to reach when nothing newer is published.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    /// The deadline for the clients.
    pub(super) until: Instant,
    pub(super) epoch: u64,
    pub(super) heads: Arc<HashMap<Arc<str>, u64>>,
    /// Topics that are certainly finished.
    pub(super) finished: Arc<Vec<Arc<str>>>,
}

/// One round.
pub(super) struct World<R: Rig> {
    pub(super) nodes: Arc<Nodes<R>>,
    /// Whether a loss may show only with the next event of its topic.
    pub(super) is_silent: bool,
    pub(super) topics: Vec<Arc<str>>,
    pub(super) everyone: Arc<str>,
    pub(super) ledger: Mutex<Ledger>,
    /// Set when publishers and trouble have to end.
    pub(super) is_calm: AtomicBool,
    pub(super) goal: watch::Sender<Option<Goal>>,
    pub(super) connections: AtomicU64,
}

impl<R: Rig> World<R> {
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Acquire)
    }

    /// Returns the service of a node, or of another one if it is being replaced.
    pub(super) async fn sse(&self, n: usize) -> SseService {
        loop {
            let count = self.nodes.len();
            let hubs = (n..n + count).filter_map(|n| self.nodes.hub(n % count));
            if let Some(hub) = { hubs }.next() {
                return hub.sse().clone();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn begin(&self, topic: &Arc<str>, kind: PostKind) -> Mark {
        lock(&self.ledger).begin(topic, kind)
    }

    pub(super) fn note(&self, mark: Mark, answer: &Result<EventId, SseError>) -> Answer {
        let answer = Answer::of(answer);
        lock(&self.ledger).note(mark, answer);
        answer
    }
}
