//! Backplanes that break one promise each. The kit finds every flaw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BackplaneEvent, BackplaneSink, BoxFuture,
    History, Lease, MemberChange, MemberRow, NodeId, PastEvent, Publish, PutAnswer, Started,
    Startup, Status, Tables, Watched,
};
use helios::sse::EventId;
use helios::testing::backplane::{FaultKind, InMemory, Kit, Rig, Weather};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Reorders,
    Drops,
    GivesIdTwice,
    CutsHistory,
    SaysGone,
    AnswersWatchEarly,
    InventsPrev,
    ForgetsFinish,
    HidesFinish,
    ForgetsKeys,
    Denies,
    KeepsHandingOver,
    KeepsLease,
    KnowsOtherSequences,
    HasNoGrace,
    KnowsNoNewestRow,
}

/// How often the flaw shows.
const EVERY: u64 = 12;

struct Broken {
    inner: InMemory,
    flaw: Flaw,
    luck: Arc<AtomicU64>,
    last: Mutex<Option<EventId>>,
}

struct BrokenRig(InMemory, Flaw);

impl Rig for BrokenRig {
    type Link = Broken;

    fn node(&self, _: usize) -> Broken {
        Broken {
            inner: self.0.node(),
            flaw: self.1,
            luck: Arc::default(),
            last: Mutex::default(),
        }
    }
}

fn is_unlucky(luck: &AtomicU64) -> bool {
    luck.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1
}

type Owned = (String, PastEvent, Option<EventId>);

fn hand(sink: &BackplaneSink, (topic, event, prev): &Owned) -> bool {
    sink.accept(BackplaneEvent::event(topic, event.clone(), *prev))
}

/// Returns a sink that delivers every few events after the next one.
fn reordering(sink: BackplaneSink, luck: Arc<AtomicU64>) -> BackplaneSink {
    let kept: Mutex<Option<Owned>> = Mutex::default();
    BackplaneSink::new(move |event| {
        let BackplaneEvent::Event {
            topic, event, prev, ..
        } = event
        else {
            return sink.accept(event);
        };
        let mut kept = kept.lock().unwrap();
        let this = (topic.to_owned(), event, prev);
        if kept.is_none() && is_unlucky(&luck) {
            *kept = Some(this);
            return true;
        }
        let listens = hand(&sink, &this);
        kept.take().is_none_or(|late| hand(&sink, &late)) && listens
    })
}

/// Returns a sink that delivers events a little later.
fn delaying(sink: BackplaneSink) -> BackplaneSink {
    let (queue, mut events) = mpsc::unbounded_channel::<Owned>();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            sleep(Duration::from_millis(1)).await;
            hand(&sink, &event);
        }
    });
    BackplaneSink::new(move |event| match event {
        BackplaneEvent::Event {
            topic, event, prev, ..
        } => queue.send((topic.to_owned(), event, prev)).is_ok(),
        _ => true,
    })
}

/// Returns a sink that now and then names an event of another topic as the previous one.
fn inventing(sink: BackplaneSink, luck: Arc<AtomicU64>) -> BackplaneSink {
    BackplaneSink::new(move |event| match event {
        BackplaneEvent::Event {
            topic, event, prev, ..
        } if prev.is_some() && is_unlucky(&luck) => {
            let invented = EventId::new(event.id.epoch(), event.id.seq() - 1);
            sink.accept(BackplaneEvent::event(topic, event, Some(invented)))
        }
        event => sink.accept(event),
    })
}

impl Broken {
    fn sink(&self, sink: BackplaneSink) -> BackplaneSink {
        let luck = Arc::clone(&self.luck);
        match self.flaw {
            Flaw::Reorders => reordering(sink, luck),
            Flaw::AnswersWatchEarly => delaying(sink),
            Flaw::InventsPrev => inventing(sink, luck),
            _ => sink,
        }
    }

    async fn publish_badly(&self, event: Publish<'_>) -> Result<EventId, BackplaneError> {
        let is_plain = !event.finishes && event.key.is_none();
        let is_unlucky = is_plain && is_unlucky(&self.luck);
        let last = *self.last.lock().unwrap();
        let event = match self.flaw {
            Flaw::Drops if is_unlucky => {
                // It gets an id, but appears in no topic.
                let limits = event.limits;
                Publish::new("nowhere", event.bytes, limits)
            }
            Flaw::GivesIdTwice if is_unlucky && last.is_some() => return Ok(last.unwrap()),
            Flaw::ForgetsFinish => event.finishing(false),
            Flaw::ForgetsKeys => event.with_key(None),
            _ => event,
        };
        let id = self.inner.publish(event).await?;
        *self.last.lock().unwrap() = Some(id);
        match self.flaw {
            Flaw::Denies if is_unlucky => Err(BackplaneErrorKind::NotPublished.into()),
            _ => Ok(id),
        }
    }

    async fn history_badly(&self, ask: Ask<'_>) -> Result<History, BackplaneError> {
        let is_behind = ask.after.is_some();
        if self.flaw == Flaw::SaysGone && is_behind {
            return Ok(History::Gone);
        }
        match self.inner.history(ask).await? {
            History::Events {
                mut events, more, ..
            } if self.flaw == Flaw::CutsHistory && is_behind && events.len() > 1 => {
                events.remove(0);
                Ok(History::events(events, more))
            }
            History::Gone if self.flaw == Flaw::KnowsOtherSequences => {
                Ok(History::events(Vec::new(), false))
            }
            history => Ok(history),
        }
    }
}

impl Backplane for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn start(&self, mut startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        startup.sink = self.sink(startup.sink);
        self.inner.start(startup)
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        match self.flaw {
            Flaw::KeepsLease => Box::pin(async {}),
            _ => self.inner.stop(),
        }
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(self.publish_badly(event))
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(self.history_badly(ask))
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            let mut watched = self.inner.watch(topics).await?;
            if self.flaw == Flaw::HidesFinish {
                watched.topics.iter_mut().for_each(|it| it.finish = None);
            }
            Ok(watched)
        })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        match self.flaw {
            Flaw::KeepsHandingOver => Box::pin(async { Ok(()) }),
            _ => self.inner.unwatch(topics),
        }
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        self.inner.renew()
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        self.inner.is_alive(node)
    }

    fn tables(&self) -> Option<&dyn Tables> {
        Some(self)
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

impl Tables for Broken {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        self.inner.lease(node, incarnation)
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
        let is_new = is_new || self.flaw == Flaw::KnowsNoNewestRow;
        self.inner.put(lease, topic, key, data, is_new, most)
    }

    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        let grace = match self.flaw {
            Flaw::HasNoGrace => Some(Duration::ZERO),
            _ => grace,
        };
        self.inner.remove(lease, topic, key, grace)
    }

    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        self.inner.told(lease, change)
    }

    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        self.inner.read(topic)
    }

    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        self.inner.reap(lease)
    }
}

/// Checks that the kit finds faults of these kinds.
async fn is_caught(flaw: Flaw, kinds: &[FaultKind]) {
    is_caught_in(Weather::fine(), flaw, kinds).await;
}

async fn is_caught_in(weather: Weather, flaw: Flaw, kinds: &[FaultKind]) {
    let kit = Kit::from_env()
        .in_weather(weather)
        .lasting(Duration::from_secs(1))
        .heals_within(Duration::from_secs(1));
    let report = kit.run(BrokenRig(InMemory::new(), flaw)).await;
    assert!(!report.is_clean(), "{flaw:?} is not found: {report}");
    for kind in kinds {
        assert!(
            report.has(*kind),
            "{flaw:?} is not found as {kind:?}: {report}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_handed_over_in_another_order_are_found() {
    is_caught(Flaw::Reorders, &[FaultKind::Order]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_lost_and_hidden_is_found() {
    is_caught(Flaw::Drops, &[FaultKind::Missed, FaultKind::History]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_given_twice_is_found() {
    is_caught(Flaw::GivesIdTwice, &[FaultKind::Id]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_cut_short_is_found() {
    is_caught(Flaw::CutsHistory, &[FaultKind::History]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_watch_that_comes_early_is_found() {
    is_caught(Flaw::AnswersWatchEarly, &[FaultKind::WatchPlace]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prev_that_never_was_is_found() {
    is_caught(Flaw::InventsPrev, &[FaultKind::Prev]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_wrongly_called_gone_and_its_resets_are_found() {
    // Links break, and history should make up for that.
    let kinds = [FaultKind::History, FaultKind::Reset];
    is_caught_in(Weather::windy(), Flaw::SaysGone, &kinds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_finish_is_found() {
    is_caught(Flaw::ForgetsFinish, &[FaultKind::BehindEnd]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finish_hidden_from_late_watchers_is_found() {
    is_caught(Flaw::HidesFinish, &[FaultKind::End]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_key_is_found() {
    is_caught(Flaw::ForgetsKeys, &[FaultKind::Key]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_and_denied_is_found() {
    is_caught(Flaw::Denies, &[FaultKind::NotPublished]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unwatch_that_does_nothing_is_found() {
    is_caught(Flaw::KeepsHandingOver, &[FaultKind::Unwatch]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_outlives_its_node_is_found() {
    is_caught(Flaw::KeepsLease, &[FaultKind::Lease]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_does_not_tell_sequences_apart_is_found() {
    is_caught(Flaw::KnowsOtherSequences, &[FaultKind::Epoch]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_has_no_grace_is_found() {
    is_caught(Flaw::HasNoGrace, &[FaultKind::Members]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_pushes_a_newer_one_aside_is_found() {
    is_caught(Flaw::KnowsNoNewestRow, &[FaultKind::Members]).await;
}
