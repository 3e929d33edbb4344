//! A hub with a [`Backplane`] behind it: what arrives is put into the rings, and what is missing is fetched.
//!
//! # Why no event is lost or comes out of order
//!
//! 1. The backplane numbers events for all servers, and hands them to each hub in the order of their ids.
//! 2. So the hub's head means this: every event up to it that is for a topic watched here is in the topic's ring, or the topic
//!    is [`Behind`] and holds its readers.
//! 3. An event names the one before it in its topic (`prev`). If that is not known here, or the backplane says that it was
//!    interrupted (`Torn`) or has lost something (`Gap`), the topic's readers are held and its history is fetched.
//! 4. Only what cannot be had is told, by a `helios:reset` of reason `gap`. It has the id that the client has already, so it does
//!    not take the client past a gap in another topic that is found next. A client that comes back at once is given what
//!    was lost, if history has it by then.
//! 5. The answer to `watch`, `Torn` and `Gap` have their place in the order, and carry the newest id of that place. Else the
//!    head could neither pass events that are for others only, nor could what is lost be told from what is on its way.
//! 6. `Torn` is one event and not a gap for each topic: all topics must be held before the first of them has caught up.
//! 7. What history gives beyond the head is left to the backplane, which hands it over at its place: else it would overtake
//!    the events of other topics.
//! 8. An event that turns up at or below the head at which its topic was held is late: readers may have been given ids after it
//!    without it. The ring marks that as uncertain. What turns up above that head is not late, since nobody could read past it.
//! 9. The end of a topic travels as an event does, with its place in the order. What is numbered behind it, all hubs ignore. A hub
//!    that watches a topic for the first time is told of its end with the answer.
//! 10. Another epoch begins under `order`, so that nothing is put into a ring meanwhile. Streams learn of it by themselves
//!     (`hub.rs`, `stream/state/reset.rs`).
//! 11. A client may be ahead of the server to which it comes back. What it has seen elsewhere is passed over when it arrives.
//!
//! # Locks
//!
//! `order`, then a topic. Whatever raises the head, or begins a hold, has `order`.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use helios_core::hub::{EventId, Ring, UnnumberedEvent};
use helios_core::sse::{ClientId, SseError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::failure::with_causes;
use crate::panics::caught_in;
use crate::sse::backplane::{
    Backplane, BackplaneError, BackplaneEvent, BackplaneSink, Finished, History, PastEvent, Watched,
};
use crate::sse::hub::feed::{Arrival, Behind, Feed};
use crate::sse::hub::topics::{Topic, TopicState};
use crate::sse::hub::waiters::Wakers;
use crate::sse::hub::{Hub, Publication};
use crate::sync::lock;

/// How long the backplane may take to tell what is missing, or to unwatch. Readers wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What may arrive while earlier events are fetched; what is more is fetched afterwards.
const LONGEST_WAITING: usize = 512;

/// Topics that are caught up with at the same time.
const FETCHES: usize = 64;

pub(crate) struct Replication {
    hub: Arc<Hub>,
    backplane: Arc<dyn Backplane>,
    /// Where it was started.
    runtime: OnceLock<Handle>,
    /// Arrivals are taken one after the other: the head must not pass an event that is not in its ring yet.
    order: Mutex<()>,
    fetches: Semaphore,
}

#[derive(Debug, thiserror::Error)]
#[error("the backplane is not started yet: `listen` does it, or `HeliosService::start`")]
struct NotStarted;

impl Replication {
    pub(crate) fn new(hub: Arc<Hub>, backplane: Arc<dyn Backplane>) -> Self {
        Self {
            hub,
            backplane,
            runtime: OnceLock::new(),
            order: Mutex::default(),
            fetches: Semaphore::new(FETCHES),
        }
    }

    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), BackplaneError> {
        let hub = &self.hub;
        let head = self.backplane.start(BackplaneSink::new(self)).await?;
        hub.restart_at(head);
        // A second start does not exist.
        let _ = self.runtime.set(Handle::current());
        let everyone = Arc::clone(&hub.topics.everyone);
        self.watch(&everyone).await?;
        Ok(())
    }

    /// The backplane, once it is started: it is promised that nothing is asked of it before.
    fn started(&self) -> Result<&dyn Backplane, SseError> {
        match self.runtime.get() {
            Some(_) => Ok(&*self.backplane),
            None => Err(failed(NotStarted.into())),
        }
    }

    pub(crate) async fn publish(
        &self,
        topic: &str,
        publication: &Publication,
    ) -> Result<EventId, SseError> {
        let (bytes, finishes) = (pack(publication), publication.finishes);
        let published = self.started()?.publish(topic, bytes, finishes).await;
        published.map_err(|error| match error.is::<Finished>() {
            true => SseError::TopicFinished(topic.to_owned()),
            false => failed(error),
        })
    }

    /// Asks for the topic's events, unless that was done before.
    pub(crate) async fn watch(self: &Arc<Self>, topic: &Arc<Topic>) -> Result<(), SseError> {
        let backplane = self.started()?;
        let ask = || self.ask(backplane, topic);
        topic.watched.get_or_try_init(ask).await.map_err(failed)?;
        Ok(())
    }

    async fn ask(
        self: &Arc<Self>,
        backplane: &dyn Backplane,
        topic: &Arc<Topic>,
    ) -> Result<(), BackplaneError> {
        let hub = &self.hub;
        let mut asking = Asking::begin(topic);
        loop {
            let epoch = hub.epoch();
            let watched = backplane.watch(&topic.name).await?;
            if self.watched(topic, epoch, &watched) {
                asking.answered = true;
                return Ok(());
            }
        }
    }

    /// The topic is watched, from the event behind the answer's id on. False if that has become void since it was asked for.
    fn watched(self: &Arc<Self>, topic: &Arc<Topic>, asked_in: u64, answer: &Watched) -> bool {
        let (hub, id) = (&self.hub, answer.newest);
        let _order = lock(&self.order);
        if id.epoch() != hub.epoch() {
            if hub.epoch() != asked_in {
                return false;
            }
            self.begin_anew(id);
        }
        hub.advance_to(id);
        let mut state = topic.lock();
        let woken = topic.begin_round(&mut state);
        let is_of_its_sequence = |finish: &&PastEvent| finish.id.epoch() == id.epoch();
        let finish = answer.finish.as_ref().filter(is_of_its_sequence);
        // Nothing was published behind the end, so that is all there is to know from there on.
        let floor = finish.map_or(id.seq(), |finish| finish.id.seq().saturating_sub(1));
        let floor = EventId::new(id.epoch(), floor);
        let ring = hub
            .options()
            .ring(&topic.name, floor)
            .in_place_of(&state.ring);
        hub.topics.change(&mut state.ring, |old| *old = ring);
        if let Some(finish) = finish {
            let end = unpack(&finish.bytes).filter(|publication| publication.finishes);
            let end = end.unwrap_or_else(|| Publication::end(None));
            hub.push(&mut state.ring, finish.id.seq(), &end);
        }
        let settled = settle(hub, &mut state);
        drop(state);
        hub.appended(woken);
        if !settled {
            self.spawn_catch_up(Arc::clone(topic));
        }
        true
    }

    pub(crate) async fn unwatch(&self, topic: &Topic) {
        let Ok(backplane) = self.started() else {
            return;
        };
        match timeout(TIMEOUT, backplane.unwatch(&topic.name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = with_causes(&*error);
                tracing::warn!(topic = &*topic.name, error, "the backplane did not unwatch");
            }
            Err(_) => tracing::warn!(
                topic = &*topic.name,
                "the backplane's unwatch took too long"
            ),
        }
    }

    pub(crate) fn accept(self: &Arc<Self>, event: BackplaneEvent) {
        let hub = &self.hub;
        let _order = lock(&self.order);
        match event {
            BackplaneEvent::Torn { newest } => self.missed(self.hub.topics.all(), newest),
            BackplaneEvent::Gap { topic, newest } => {
                self.missed(self.hub.topics.find(&topic), newest);
            }
            BackplaneEvent::Event {
                topic,
                id,
                prev,
                bytes,
            } => {
                if id.epoch() != hub.epoch() {
                    self.begin_anew(EventId::new(id.epoch(), id.seq().saturating_sub(1)));
                }
                if let Some(topic) = hub.topics.find(&topic) {
                    self.arrived(topic, id, prev, &bytes);
                }
            }
        }
    }

    /// Up to this id events of these topics may be missing.
    fn missed(self: &Arc<Self>, topics: impl IntoIterator<Item = Arc<Topic>>, newest: EventId) {
        let hub = &self.hub;
        if newest.epoch() != hub.epoch() {
            self.begin_anew(newest);
        }
        for topic in topics {
            self.catch_up(topic);
        }
        // With all of them held.
        hub.advance_to(newest);
    }

    fn arrived(
        self: &Arc<Self>,
        topic: Arc<Topic>,
        id: EventId,
        prev: Option<EventId>,
        bytes: &Bytes,
    ) {
        let hub = &self.hub;
        let Some(publication) = unpack(bytes) else {
            tracing::error!(
                topic = &*topic.name,
                "the backplane gave what no hub has published"
            );
            self.catch_up(topic);
            return;
        };
        let arrival = Arrival {
            seq: id.seq(),
            prev: prev.map(EventId::seq),
            publication,
        };
        let mut guard = topic.lock();
        let state = &mut *guard;
        let before = hub.head();
        let woken = match state.feed {
            Feed::Live => topic.begin_round(state),
            // Readers have been held before.
            Feed::Off | Feed::Behind(_) => Wakers::default(),
        };
        hub.advance_to(id);
        match &mut state.feed {
            Feed::Off => {}
            Feed::Behind(behind) if behind.arrivals.len() < LONGEST_WAITING => {
                behind.arrivals.push_back(arrival);
            }
            Feed::Behind(behind) => behind.torn = true,
            Feed::Live if follows(&state.ring, &arrival) => {
                append(hub, state, &arrival, before);
                drop(guard);
                hub.appended(woken);
            }
            Feed::Live => {
                hold(state, before, Some(arrival));
                drop(guard);
                woken.wake();
                self.spawn_catch_up(topic);
            }
        }
    }

    /// The backplane has lost its memory: ids of before mean nothing now. Each stream tells its client so, when it reads next.
    fn begin_anew(&self, floor: EventId) {
        tracing::warn!("the backplane began a new sequence; all clients are reset");
        self.hub.restart_at(floor);
    }

    /// Holds the topic's readers, and fetches what is missing.
    fn catch_up(self: &Arc<Self>, topic: Arc<Topic>) {
        let hub = &self.hub;
        let mut state = topic.lock();
        if state.ring.is_finished() {
            // Nothing is published behind its end.
            return;
        }
        match &mut state.feed {
            Feed::Off => {}
            // What is fetched now may have been looked up before this loss.
            Feed::Behind(behind) => behind.torn = true,
            Feed::Live => {
                let woken = topic.begin_round(&mut state);
                hold(&mut state, hub.head(), None);
                drop(state);
                woken.wake();
                self.spawn_catch_up(topic);
            }
        }
    }

    fn spawn_catch_up(self: &Arc<Self>, topic: Arc<Topic>) {
        let this = Arc::clone(self);
        let Some(runtime) = Handle::try_current().ok().or(self.runtime.get().cloned()) else {
            return;
        };
        runtime.spawn(async move {
            while let Some(asked) = this.look(&topic) {
                let missing = this.missing(&topic, asked.after).await;
                if this.fill(&topic, &asked, missing) {
                    return;
                }
            }
        });
    }

    /// What there is to ask for; `None` when nothing is missing any more.
    fn look(&self, topic: &Topic) -> Option<Asked> {
        let hub = &self.hub;
        let _order = lock(&self.order);
        let mut state = topic.lock();
        let last = state.ring.last();
        let Feed::Behind(behind) = &mut state.feed else {
            return None;
        };
        behind.torn = false;
        Some(Asked {
            after: hub.id(last),
            wanted: behind.arrivals.front().and_then(|next| next.prev),
        })
    }

    /// What was published to a topic after this id; `None` if that cannot be had.
    async fn missing(&self, topic: &Topic, after: EventId) -> Option<Vec<PastEvent>> {
        let _permit = self.fetches.acquire().await;
        let history = timeout(TIMEOUT, self.history(topic, after));
        let history = caught_in("a backplane's `history`", history).await?;
        history.unwrap_or_else(|_| {
            tracing::warn!(
                topic = &*topic.name,
                "the backplane's history took too long"
            );
            None
        })
    }

    async fn history(&self, topic: &Topic, after: EventId) -> Option<Vec<PastEvent>> {
        match self.backplane.history(&topic.name, after).await {
            Ok(History::Events(events)) => {
                let of_one_sequence = events.iter().all(|event| event.id.epoch() == after.epoch());
                of_one_sequence.then_some(events)
            }
            Ok(History::Gone) => None,
            Err(error) => {
                let topic = &*topic.name;
                let error = with_causes(&*error);
                tracing::warn!(topic, error, "the backplane's history failed");
                None
            }
        }
    }

    /// Puts what was missing into the ring, or says that it is lost; then what arrived meanwhile. True when nothing is
    /// missing any more.
    fn fill(&self, topic: &Topic, asked: &Asked, missing: Option<Vec<PastEvent>>) -> bool {
        let hub = &self.hub;
        let _order = lock(&self.order);
        let mut state = topic.lock();
        let woken = topic.begin_round(&mut state);
        // What is of a sequence that is over is void.
        if asked.after.epoch() == hub.epoch() {
            match missing {
                Some(events) => {
                    // The link itself will hand over what is newer, at its place among the events of other topics.
                    let head = hub.head();
                    for event in events.iter().filter(|event| event.id.seq() <= head) {
                        append_past(hub, &mut state, event);
                    }
                    // It was there before history was asked, so that history should have known what is before it.
                    let wanted = asked.wanted.filter(|seq| *seq > state.ring.last());
                    if let Some(wanted) = wanted.filter(|_| !state.ring.is_finished()) {
                        lose(hub, &mut state, wanted);
                    }
                }
                None => {
                    let upto = state.feed.first_missing().unwrap_or_else(|| hub.head());
                    lose(hub, &mut state, upto);
                }
            }
        }
        let settled = settle(hub, &mut state);
        drop(state);
        hub.appended(woken);
        settled
    }

    /// Makes the histories of these topics reach back to this id, as far as the backplane remembers, and is quick enough.
    pub(crate) async fn reach_back(&self, topics: &[Arc<Topic>], after: EventId) {
        let reach = async {
            for topic in topics {
                self.reach_back_in(topic, after).await;
            }
        };
        if timeout(TIMEOUT, reach).await.is_err() {
            tracing::warn!("the backplane's history took too long for a client that came back");
        }
    }

    /// Makes the history of this topic hold its newest `count` events, as far as the backplane remembers all of it, and is
    /// quick enough.
    pub(crate) async fn fetch_newest(&self, topic: &Topic, count: usize) {
        let start = self.hub.id(0);
        let room = self.hub.options().history_of(&topic.name).events;
        let reaches = |ring: &Ring| ring.floor() == 0 || ring.resumable() >= count.min(room);
        let fetch = self.reach_back_unless(reaches, topic, start);
        if timeout(TIMEOUT, fetch).await.is_err() {
            tracing::warn!("the backplane's history took too long for a client that is new");
        }
    }

    async fn reach_back_in(&self, topic: &Topic, after: EventId) {
        let reaches = |ring: &Ring| ring.floor() <= after.seq();
        self.reach_back_unless(reaches, topic, after).await;
    }

    async fn reach_back_unless(
        &self,
        reaches: impl Fn(&Ring) -> bool,
        topic: &Topic,
        after: EventId,
    ) {
        let hub = &self.hub;
        if reaches(&topic.lock().ring) {
            return;
        }
        let _one_by_one = topic.reaching_back.lock().await;
        if reaches(&topic.lock().ring) {
            return;
        }
        let last = topic.lock().ring.last();
        let Some(events) = self.history(topic, after).await else {
            return;
        };
        let mut state = topic.lock();
        let newest = events.last().map_or(last, |event| event.id.seq().max(last));
        // What came and went meanwhile would be a hole between what was fetched and what is held.
        if after.epoch() == hub.epoch() && state.ring.floor() <= newest {
            prepend(hub, &mut state.ring, &events, after.seq());
        }
        drop(state);
        hub.appended(Wakers::default());
    }
}

/// A topic of which the backplane's watch is asked for. If nothing comes of it, nothing waits for the answer.
struct Asking<'a> {
    topic: &'a Topic,
    answered: bool,
}

impl<'a> Asking<'a> {
    fn begin(topic: &'a Topic) -> Self {
        // What arrives before the answer has to wait for it.
        topic.lock().feed = Feed::Behind(Behind::new(0, None));
        Self {
            topic,
            answered: false,
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.topic.lock().feed = Feed::Off;
        }
    }
}

/// A question for a topic's history.
struct Asked {
    after: EventId,
    /// An event that is before one that has arrived.
    wanted: Option<u64>,
}

fn failed(error: BackplaneError) -> SseError {
    SseError::Backplane(error.into())
}

/// Readers read nothing more until what is missing has arrived.
fn hold(state: &mut TopicState, since: u64, first: Option<Arrival>) {
    state.ring.catch_up();
    state.feed = Feed::Behind(Behind::new(since, first));
}

/// Whether nothing is missing before this event. Behind the end of a topic there is nothing to miss: all hubs ignore what is
/// numbered there.
fn follows(ring: &Ring, arrival: &Arrival) -> bool {
    ring.is_finished() || arrival.prev.is_none_or(|prev| prev <= ring.last())
}

/// Appends an event, which is late if its number is not above `since`: readers may have been past it by then.
fn append(hub: &Hub, state: &mut TopicState, arrival: &Arrival, since: u64) {
    let seq = arrival.seq;
    if seq <= state.ring.last() || state.ring.is_finished() {
        return;
    }
    if seq <= since {
        state.ring.mark_uncertain(seq, since.saturating_add(1));
    }
    hub.push(&mut state.ring, seq, &arrival.publication);
}

fn append_past(hub: &Hub, state: &mut TopicState, past: &PastEvent) {
    let seq = past.id.seq();
    let (Feed::Behind(Behind { since, .. }), true) = (&state.feed, seq > state.ring.last()) else {
        return;
    };
    let since = *since;
    let Some(publication) = unpack(&past.bytes) else {
        lose(hub, state, seq);
        return;
    };
    let arrival = Arrival {
        seq,
        prev: None,
        publication,
    };
    append(hub, state, &arrival, since);
}

/// Gives up what is missing up to this number: readers are told.
fn lose(hub: &Hub, state: &mut TopicState, upto: u64) {
    hub.topics
        .change(&mut state.ring, |ring| ring.lost_up_to(upto));
}

/// Appends what has waited. True if nothing is missing before or behind it.
fn settle(hub: &Hub, state: &mut TopicState) -> bool {
    let Some(mut behind) = state.feed.go_on() else {
        return true;
    };
    while let Some(next) = behind.arrivals.front() {
        if !follows(&state.ring, next) {
            break;
        }
        append(hub, state, next, behind.since);
        behind.arrivals.pop_front();
    }
    let settled = behind.arrivals.is_empty() && !behind.torn;
    if settled {
        state.ring.caught_up();
    } else {
        state.ring.catch_up();
        state.feed = Feed::Behind(behind);
    }
    settled
}

/// Puts before the rest what a client that comes back has missed.
fn prepend(hub: &Hub, ring: &mut Ring, events: &[PastEvent], after: u64) {
    let oldest = ring.oldest();
    let known = oldest.unwrap_or_else(|| ring.last().saturating_add(1));
    let unknown = |event: &&PastEvent| (after + 1..known).contains(&event.id.seq());
    for past in events.iter().rev().filter(unknown) {
        let Some(Publication { event, except, .. }) = unpack(&past.bytes) else {
            return;
        };
        // The end of a topic without a last event is known here.
        let Some(event) = event else { continue };
        let seq = past.id.seq();
        let event = event.with_id(&hub.id(seq).to_string());
        let prepend = |ring: &mut Ring| ring.prepend(seq, event, except, hub.now());
        if !hub.topics.change(ring, prepend) {
            return;
        }
        // There may be no room for those before it.
        ring.reaches_back_to(seq.saturating_sub(1));
    }
    ring.reaches_back_to(after);
}

/// The flags in the first byte of what travels through the backplane.
mod flags {
    /// The client that it is not for follows.
    pub(super) const EXCEPT: u8 = 1;
    /// It ends its topic.
    pub(super) const FINISHES: u8 = 1 << 1;
    /// There is no event.
    pub(super) const EMPTY: u8 = 1 << 2;
}

/// What travels through the backplane: the flags, whom it is not for, where the event's id belongs, and the event without it.
fn pack(publication: &Publication) -> Bytes {
    let Publication {
        event,
        except,
        finishes,
    } = publication;
    let set = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    let length = event.as_ref().map_or(0, |event| event.parts().0.len());
    let mut packed = BytesMut::with_capacity(length + 25);
    packed.put_u8(
        set(flags::EXCEPT, except.is_some())
            | set(flags::FINISHES, *finishes)
            | set(flags::EMPTY, event.is_none()),
    );
    if let Some(client) = except {
        packed.put_slice(client.as_bytes());
    }
    if let Some(event) = event {
        let (bytes, id_at) = event.parts();
        packed.put_u64(id_at.map_or(u64::MAX, |at| at as u64));
        packed.put_slice(bytes);
    }
    packed.freeze()
}

/// `None` for what [`pack`] has not made.
fn unpack(packed: &Bytes) -> Option<Publication> {
    let mut rest = packed.clone();
    let set = rest.try_get_u8().ok()?;
    if set & !(flags::EXCEPT | flags::FINISHES | flags::EMPTY) != 0 {
        return None;
    }
    let has = |flag: u8| set & flag != 0;
    let except = match has(flags::EXCEPT) {
        true => {
            let mut id = [0; 16];
            rest.try_copy_to_slice(&mut id).ok()?;
            Some(ClientId::from_bytes(id))
        }
        false => None,
    };
    let event = match has(flags::EMPTY) {
        true if rest.is_empty() => None,
        true => return None,
        false => Some(unpack_event(rest)?),
    };
    Some(Publication {
        event,
        except,
        finishes: has(flags::FINISHES),
    })
}

fn unpack_event(mut packed: Bytes) -> Option<UnnumberedEvent> {
    let id_at = match packed.try_get_u64().ok()? {
        u64::MAX => None,
        at => Some(usize::try_from(at).ok()?),
    };
    UnnumberedEvent::from_parts(packed, id_at)
}

#[cfg(test)]
mod tests {
    use helios_core::event::SseEvent;

    use super::*;

    #[test]
    fn an_event_survives_the_journey() {
        let client = ClientId::from_random_bytes([7; 16]);
        let event = UnnumberedEvent::new(&SseEvent::text("x").event("n")).unwrap();
        let comment = UnnumberedEvent::new(&SseEvent::default().comment("c")).unwrap();
        for event in [Some(event), Some(comment), None] {
            for (except, finishes) in [(None, true), (None, false), (Some(client), false)] {
                let packed = pack(&Publication {
                    event: event.clone(),
                    except,
                    finishes,
                });
                let unpacked = unpack(&packed).unwrap();
                assert_eq!((unpacked.except, unpacked.finishes), (except, finishes));
                let parts = |event: &Option<UnnumberedEvent>| {
                    event.as_ref().map(|event| {
                        let (bytes, id_at) = event.parts();
                        (bytes.clone(), id_at)
                    })
                };
                assert_eq!(parts(&unpacked.event), parts(&event));
            }
        }
    }

    #[test]
    fn what_no_hub_has_published_is_refused() {
        let event = UnnumberedEvent::new(&SseEvent::text("x")).unwrap();
        let whole = pack(&Publication::event(event, None));
        for bad in [
            Bytes::new(),
            Bytes::from_static(&[2]),
            Bytes::from_static(&[8]),
            Bytes::from_static(&[4, 0]),
            Bytes::from_static(&[1, 2, 3]),
            whole.slice(..5),
            Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 9, b'x']),
        ] {
            assert!(unpack(&bad).is_none(), "{bad:?}");
        }
    }
}
