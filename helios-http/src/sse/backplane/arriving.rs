//! Puts events that arrive from the backplane into the rings, in their order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use helios_core::hub::{EventId, Ring};

use super::payload::unpack;
use super::questions::Status;
use super::replication::{Private, Replication};
use super::sink::BackplaneEvent;
use crate::failure::with_causes;
use crate::sse::hub::feed::{Arrival, Behind, Feed};
use crate::sse::hub::topics::{Topic, TopicState};
use crate::sse::hub::waiters::Wakers;
use crate::sse::hub::{Audience, Hub, Publication};
use crate::sync::lock;

/// The most events that wait while earlier ones are fetched. Further events are fetched afterwards.
const LONGEST_WAITING: usize = 512;

/// The consequences of an arrival, carried out after all locks are released.
#[must_use]
#[derive(Default)]
pub(super) struct Aftermath {
    /// Readers that have something to read.
    pub(super) woken: Wakers,
    /// The same for several topics.
    pub(super) all_woken: Vec<Wakers>,
    /// Topics that have begun to miss events.
    pub(super) behind: Vec<Arc<Topic>>,
    /// Messages that are not kept in a ring, for one client alone or for this server.
    private: Vec<Private>,
    /// The new status of the link, if it has changed.
    link: Option<Status>,
}

impl Aftermath {
    /// Queues the messages for single clients. This is the last step under the replication's order, so that they keep
    /// their place.
    pub(super) fn queue_private(&mut self, replication: &Replication) {
        if !self.private.is_empty() {
            lock(&replication.private).extend(self.private.drain(..));
        }
    }

    pub(super) fn carry_out(self, replication: &Arc<Replication>) {
        replication.arrived.notify_waiters();
        replication.hub.appended(self.woken);
        self.all_woken.into_iter().for_each(Wakers::wake);
        for topic in self.behind {
            replication.spawn_catch_up(topic);
        }
        replication.deliver_private();
        if let Some(status) = self.link {
            replication.link_changed(status);
        }
    }
}

impl Replication {
    pub(super) fn accept(self: &Arc<Self>, event: BackplaneEvent<'_>) {
        let mut aftermath = Aftermath::default();
        {
            let _order = lock(&self.order);
            let topics = &self.hub.topics;
            match event {
                BackplaneEvent::Torn { newest } => {
                    self.missed(topics.all(), newest, &mut aftermath);
                }
                BackplaneEvent::Gap { topic, newest } => {
                    self.missed(topics.find(topic), newest, &mut aftermath);
                }
                BackplaneEvent::Event { topic, event, prev } => {
                    let id = event.id;
                    if id.epoch() != self.hub.epoch() {
                        let before = EventId::new(id.epoch(), id.seq().saturating_sub(1));
                        self.begin_anew(before, &mut aftermath);
                    }
                    if let Some(topic) = topics.find(topic) {
                        self.arrived(topic, id, prev, &event.bytes, &mut aftermath);
                    }
                }
                BackplaneEvent::Link(status) => aftermath.link = Some(status),
            }
            aftermath.queue_private(self);
        }
        aftermath.carry_out(self);
    }

    fn deliver_private(&self) {
        if lock(&self.private).is_empty() {
            return;
        }
        let _one_by_one = lock(&self.delivering);
        loop {
            let next = lock(&self.private).pop_front();
            let Some(next) = next else { return };
            (self.deliver)(next);
        }
    }

    fn link_changed(&self, status: Status) {
        let backplane = self.backplane.name();
        match status {
            Status::Up => tracing::info!(backplane, "the backplane can be reached again"),
            Status::Suspect => tracing::warn!(backplane, "the backplane does not answer"),
            Status::Down => tracing::error!(backplane, "the backplane cannot be reached"),
        }
        (self.tell_link)(status);
    }

    /// Handles the report that events of these topics up to this id may be missing.
    fn missed(
        &self,
        topics: impl IntoIterator<Item = Arc<Topic>>,
        newest: EventId,
        aftermath: &mut Aftermath,
    ) {
        if newest.epoch() != self.hub.epoch() {
            self.begin_anew(newest, aftermath);
        }
        for topic in topics {
            self.fell_behind(topic, aftermath);
        }
        // All of the topics are held by now.
        self.hub.advance_to(newest);
    }

    fn arrived(
        &self,
        topic: Arc<Topic>,
        id: EventId,
        prev: Option<EventId>,
        bytes: &Bytes,
        aftermath: &mut Aftermath,
    ) {
        let hub = &self.hub;
        let Some(publication) = self.read(&topic, bytes) else {
            self.fell_behind(topic, aftermath);
            hub.advance_to(id);
            return;
        };
        let arrival = Arrival {
            seq: id.seq(),
            // A previous event of another sequence cannot be missing here.
            prev: prev
                .filter(|prev| prev.epoch() == id.epoch())
                .map(EventId::seq),
            publication,
        };
        let mut guard = topic.lock();
        let state = &mut *guard;
        let before = hub.head();
        if let Feed::Live = state.feed {
            // Readers of a topic that is behind are held already.
            aftermath.woken = topic.begin_round(state);
        }
        hub.advance_to(id);
        match &mut state.feed {
            Feed::Off => {}
            Feed::Behind(behind) if behind.arrivals.len() < LONGEST_WAITING => {
                behind.arrivals.push_back(arrival);
            }
            Feed::Behind(behind) => behind.torn = true,
            Feed::Live if follows(&state.ring, &arrival) => {
                append(hub, state, &arrival, (before, hub.now()), aftermath);
            }
            Feed::Live => {
                hold(state, before, Some(arrival));
                drop(guard);
                aftermath.behind.push(topic);
            }
        }
    }

    /// Reads an event that a hub has published. Anything else is logged, and returns `None`.
    pub(super) fn read(&self, topic: &Topic, bytes: &Bytes) -> Option<Publication> {
        let (topic, backplane) = (&*topic.name, self.backplane.name());
        // Another server may be configured to accept larger events.
        let largest = self.hub.options().max_event_bytes + super::payload::LONGEST_HEAD;
        if bytes.len() > largest {
            let size = bytes.len();
            tracing::error!(
                backplane,
                topic,
                size,
                "an event is larger than `max_event_bytes`"
            );
            return None;
        }
        match unpack(bytes) {
            Ok(publication) => Some(publication),
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(backplane, topic, error, "an event cannot be read");
                None
            }
        }
    }

    /// Begins another sequence, because the backplane has lost its data and earlier ids mean nothing now. Each stream
    /// resets its client when it reads next.
    pub(super) fn begin_anew(&self, floor: EventId, aftermath: &mut Aftermath) {
        let backplane = self.backplane.name();
        tracing::warn!(
            backplane,
            "the backplane began a new sequence, so all clients are reset"
        );
        aftermath.all_woken.extend(self.hub.begin_at(floor));
        for topic in self.hub.topics.own() {
            self.fell_behind(Arc::clone(topic), aftermath);
        }
    }

    /// Holds the topic's readers until the missing events have been fetched.
    pub(super) fn fell_behind(&self, topic: Arc<Topic>, aftermath: &mut Aftermath) {
        let mut state = topic.lock();
        if state.ring.is_finished() {
            // Nothing is published after its end.
            return;
        }
        match &mut state.feed {
            Feed::Off => {}
            // The current fetch may have read the history before this loss.
            Feed::Behind(behind) => behind.torn = true,
            Feed::Live => {
                aftermath.all_woken.push(topic.begin_round(&mut state));
                hold(&mut state, self.hub.head(), None);
                drop(state);
                aftermath.behind.push(topic);
            }
        }
    }
}

/// Holds the readers until the missing events have arrived.
fn hold(state: &mut TopicState, since: u64, first: Option<Arrival>) {
    state.ring.catch_up();
    state.feed = Feed::Behind(Behind::new(since, first));
}

/// Whether nothing is missing before this event. Behind the end of a topic nothing can be missing, because all hubs
/// ignore events numbered there.
fn follows(ring: &Ring, arrival: &Arrival) -> bool {
    ring.is_finished() || arrival.prev.is_none_or(|prev| prev <= ring.last())
}

/// Appends an event. It is late if its number is not above `since`, because readers may have been past it by then.
fn append(
    hub: &Hub,
    state: &mut TopicState,
    arrival: &Arrival,
    (since, at): (u64, Duration),
    aftermath: &mut Aftermath,
) {
    let seq = arrival.seq;
    if seq <= state.ring.last() || state.ring.is_finished() {
        return;
    }
    if seq <= since {
        state.ring.mark_uncertain(seq, since.saturating_add(1));
    }
    let publication = &arrival.publication;
    if let Some(event) = &publication.event {
        let bytes = || event.parts().0.clone();
        match publication.audience {
            Audience::Only(client) => aftermath.private.push(Private::Event(client, bytes())),
            Audience::Servers => aftermath.private.push(Private::Disconnect(bytes())),
            Audience::All | Audience::Except(_) => {}
        }
    }
    hub.push_at(&mut state.ring, seq, publication, at);
}

/// Appends an event from history that was published at the time `at`. Without a publication, it could not be read.
pub(super) fn append_past(
    hub: &Hub,
    state: &mut TopicState,
    (seq, at): (u64, Duration),
    publication: Option<Publication>,
    aftermath: &mut Aftermath,
) {
    let (Feed::Behind(Behind { since, .. }), true) = (&state.feed, seq > state.ring.last()) else {
        return;
    };
    let since = *since;
    let Some(publication) = publication else {
        lose(hub, state, seq);
        return;
    };
    let arrival = Arrival {
        seq,
        prev: None,
        publication,
    };
    append(hub, state, &arrival, (since, at), aftermath);
}

/// Gives up the events missing up to this number. Readers reset their clients.
pub(super) fn lose(hub: &Hub, state: &mut TopicState, upto: u64) {
    hub.topics
        .change(&mut state.ring, |ring| ring.lost_up_to(upto));
}

/// Appends the arrivals that have waited. Returns true if nothing is missing before or after them.
pub(super) fn settle(hub: &Hub, state: &mut TopicState, aftermath: &mut Aftermath) -> bool {
    let Some(mut behind) = state.feed.go_on() else {
        return true;
    };
    while let Some(next) = behind.arrivals.front() {
        if !follows(&state.ring, next) {
            break;
        }
        append(hub, state, next, (behind.since, hub.now()), aftermath);
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
