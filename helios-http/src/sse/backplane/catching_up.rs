//! Fetches missing events from the backplane's history. These are events that were lost on their way, and for clients
//! that come back, those published before a topic was watched here.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use helios_core::hub::{EventId, Ring};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::arriving::{Aftermath, append_past, lose, settle};
use super::questions::{Ask, History, PastEvent, Status};
use super::replication::{FETCHED_KIB, Replication, TIMEOUT, within};
use super::{BackplaneError, BackplaneErrorKind, nodes};
use crate::failure::with_causes;
use crate::panics::caught_in;
use crate::sse::hub::feed::Feed;
use crate::sse::hub::topics::{Topic, TopicState};
use crate::sse::hub::waiters::Wakers;
use crate::sse::hub::{Audience, Publication};
use crate::sync::lock;

/// The size of one request.
const PAGE_EVENTS: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

/// How long requests that fail are repeated while readers are held, and while a client waits that comes back.
const READERS_WAIT: Duration = Duration::from_secs(10);
const CLIENT_WAITS: Duration = TIMEOUT;

/// The shortest and the longest pause before a request is repeated.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The result of fetching a history.
struct Fetched<'a> {
    events: Vec<PastEvent>,
    /// Whether there are earlier events.
    more: bool,
    /// The share of the room for all fetched events.
    _room: Option<SemaphorePermit<'a>>,
}

/// Why a history cannot be fetched.
enum Unfetched {
    /// The backplane does not have these events, or returns them in a way that cannot be used.
    Lost,
    /// The backplane gave no answer. It may give one later.
    Unanswered(BackplaneError),
}

/// How often and how long a request that fails is repeated.
struct Patience {
    limit: Duration,
    since: Instant,
    pause: Duration,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Instant::now(),
            pause: PAUSES.0,
        }
    }

    /// Returns the pause before the next request, or `None` when there were enough.
    fn pause(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (2 * pause).min(PAUSES.1);
        (self.since.elapsed() < self.limit).then_some(pause)
    }
}

/// A request for a topic's history.
struct Asked {
    after: EventId,
    /// The previous event of one that has arrived.
    wanted: Option<u64>,
}

impl Replication {
    pub(super) fn spawn_catch_up(self: &Arc<Self>, topic: Arc<Topic>) {
        let (replication, stopped) = (Arc::downgrade(self), self.stopped.clone());
        self.spawn(async move {
            let catching_up = catch_up(replication, topic);
            stopped.run_until_cancelled_owned(catching_up).await;
        });
    }

    /// Returns the next request, or `None` when nothing is missing any more.
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

    /// Fetches what a topic misses. If some of a topic that servers read are gone, fetches the newest that there are,
    /// because nobody is reset for them, and each of these messages counts without those before it.
    async fn missing(&self, topic: &Topic, asked: &Asked) -> Result<Fetched<'_>, Unfetched> {
        let ask = Ask::after(&topic.name, asked.after);
        let missing = self.history_in_time(topic, ask).await;
        if !matches!(missing, Err(Unfetched::Lost)) || !nodes::is_own(&topic.name) {
            return missing;
        }
        let limits = nodes::limits_of(&topic.name, self.hub.options());
        let ask = Ask::newest(&topic.name).at_most(limits.events, usize::MAX);
        let newest = self.history_in_time(topic, ask).await;
        if !matches!(newest, Err(Unfetched::Unanswered(_))) {
            let found = newest.as_ref().map_or(0, |newest| newest.events.len());
            let (topic, backplane) = (&*topic.name, self.backplane.name());
            tracing::warn!(
                backplane,
                topic,
                found,
                "messages from other servers are gone, and only the newest are applied"
            );
        }
        newest
    }

    /// Fetches the requested events for a client that waits. `None` if they cannot all be fetched in time.
    async fn history_for_client(&self, topic: &Topic, ask: Ask<'_>) -> Option<Fetched<'_>> {
        let mut patience = Patience::new(CLIENT_WAITS);
        loop {
            let error = match self.history_in_time(topic, ask.clone()).await {
                Ok(fetched) => return Some(fetched),
                Err(Unfetched::Lost) => return None,
                Err(Unfetched::Unanswered(error)) => error,
            };
            // While the backplane is down, the client is refused.
            let pause = self.reached().is_ok().then(|| patience.pause());
            let Some(pause) = pause.flatten() else {
                self.warn_of(topic, &error);
                return None;
            };
            sleep(pause).await;
        }
    }

    /// Fetches the requested events, page by page.
    async fn history_in_time(&self, topic: &Topic, ask: Ask<'_>) -> Result<Fetched<'_>, Unfetched> {
        let history = async {
            let _permit = self.fetches.acquire().await;
            Ok(self.history(topic, ask).await)
        };
        let history = within(TIMEOUT, BackplaneErrorKind::Down, history);
        match caught_in("a backplane's `history`", history).await {
            Some(history) => history.unwrap_or_else(|late| Err(Unfetched::Unanswered(late))),
            // It panicked, so it is not asked again.
            None => Err(Unfetched::Lost),
        }
    }

    async fn history(&self, topic: &Topic, mut ask: Ask<'_>) -> Result<Fetched<'_>, Unfetched> {
        let mut all: Vec<PastEvent> = Vec::new();
        let mut room: Option<SemaphorePermit<'_>> = None;
        let wanted = ask.events;
        loop {
            let left = wanted - all.len();
            // The newest events come in one page, because earlier ones are not requested. It may be as large as all that is held
            // here.
            let (events, bytes) = match ask.after {
                Some(_) => (PAGE_EVENTS, PAGE_BYTES),
                None => (left, self.most_bytes()),
            };
            ask = ask.at_most(left.min(events), bytes);
            let (events, more) = self.page(topic, ask.clone()).await?;
            let held = room.as_ref().map_or(0, SemaphorePermit::num_permits);
            let taken = self.room.acquire_many(share(&events, held)).await;
            let taken = taken.map_err(|_| Unfetched::Lost)?;
            match &mut room {
                Some(room) => room.merge(taken),
                None => room = Some(taken),
            }
            let last = events.last().map(|event| event.id);
            let is_newest = ask.after.is_none();
            all.extend(events);
            if all.len() > self.most_of(topic) {
                // More than any reader here could use. The events would be dropped before they are read.
                return Err(Unfetched::Lost);
            }
            if more && !is_newest && last.is_none() {
                // The backplane reports more events but does not return them.
                return Err(Unfetched::Lost);
            }
            match last.filter(|_| more && !is_newest && all.len() < wanted) {
                Some(last) => ask = Ask::after(ask.topic, last),
                None => {
                    return Ok(Fetched {
                        events: all,
                        more,
                        _room: room,
                    });
                }
            }
        }
    }

    fn most_bytes(&self) -> usize {
        usize::try_from(self.hub.options().history_bytes).unwrap_or(usize::MAX)
    }

    fn warn_of(&self, topic: &Topic, error: &BackplaneError) {
        let (topic, backplane) = (&*topic.name, self.backplane.name());
        let error = with_causes(error);
        tracing::warn!(backplane, topic, error, "the backplane's history failed");
    }

    /// Returns the most events of a topic that are held here for clients that resume or read, or that this server reads itself.
    fn most_of(&self, topic: &Topic) -> usize {
        let options = self.hub.options();
        let kept = nodes::limits_of(&topic.name, options).events;
        kept.max(options.backlog.events).saturating_add(PAGE_EVENTS)
    }

    /// Fetches a page of a history. Its ids must ascend and be of one sequence.
    async fn page(&self, topic: &Topic, ask: Ask<'_>) -> Result<(Vec<PastEvent>, bool), Unfetched> {
        let after = ask.after.unwrap_or_else(|| self.hub.id(0));
        let history = async { self.reached()?.history(ask).await };
        match history.await.map_err(Unfetched::Unanswered)? {
            History::Events { events, more } => {
                let mut last = after;
                let follows = |event: &PastEvent| {
                    let is_later = event.id.is_after(last) == Some(true);
                    last = event.id;
                    is_later
                };
                if events.iter().all(follows) {
                    return Ok((events, more));
                }
                let (topic, backplane) = (&*topic.name, self.backplane.name());
                tracing::error!(backplane, topic, "the backplane's history is out of order");
                Err(Unfetched::Lost)
            }
            History::Gone => Err(Unfetched::Lost),
        }
    }

    /// Puts the missing events into the ring, or marks them as lost, and then appends the events that arrived
    /// meanwhile. Returns true when nothing is missing any more.
    fn fill(self: &Arc<Self>, topic: &Topic, asked: &Asked, missing: Option<Fetched<'_>>) -> bool {
        let hub = &self.hub;
        let missing = missing.map(|missing| self.read_all(topic, &missing.events));
        let mut aftermath = Aftermath::default();
        let settled = {
            let _order = lock(&self.order);
            let mut state = topic.lock();
            aftermath.woken = topic.begin_round(&mut state);
            // Events of an earlier sequence are void.
            if asked.after.epoch() == hub.epoch() {
                match missing {
                    Some(events) => {
                        // The link itself will hand over newer events, at their place among the events of other topics.
                        let head = hub.head();
                        for (place, publication) in events {
                            if place.0 <= head {
                                append_past(hub, &mut state, place, publication, &mut aftermath);
                            }
                        }
                        // This event was published before the history was requested, so the history should have
                        // contained it.
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
            let settled = settle(hub, &mut state, &mut aftermath);
            aftermath.queue_private(self);
            settled
        };
        aftermath.carry_out(self);
        settled
    }

    /// Returns the numbers, times and publications of events from history.
    fn read_all(
        &self,
        topic: &Topic,
        events: &[PastEvent],
    ) -> Vec<((u64, Duration), Option<Publication>)> {
        let events = events.iter();
        let read = events.map(|past| {
            let place = (past.id.seq(), self.time_in(topic, past));
            (place, self.read(topic, &past.bytes))
        });
        read.collect()
    }

    /// Returns when an event was published, by the hub's clock. The age is limited to half of the topic's history, so
    /// that the clients for whom it was fetched have time to read it.
    fn time_in(&self, topic: &Topic, past: &PastEvent) -> Duration {
        let hub = &self.hub;
        let kept = hub.options().history_of(&topic.name).age;
        hub.time_of(past.at).max(hub.now().saturating_sub(kept / 2))
    }

    /// Makes the histories of these topics reach back to this id, as far as the backplane remembers it and returns it
    /// in time.
    pub(crate) async fn reach_back(&self, topics: &[&Arc<Topic>], after: EventId) {
        let reach = |topic: Arc<Topic>| async move {
            let reaches = |state: &TopicState| state.ring.floor() <= after.seq();
            let ask = Ask::after(&topic.name, after);
            self.reach_back_unless(reaches, &topic, ask).await;
        };
        join_all(topics.iter().copied().cloned().map(reach)).await;
    }

    /// Makes the histories of these topics hold their newest `count` events, as far as the backplane remembers them and
    /// returns them in time.
    pub(crate) async fn fetch_newest(&self, topics: &[&Arc<Topic>], count: usize) {
        let fetch = |topic: Arc<Topic>| async move {
            let room = self.hub.options().history_of(&topic.name).events;
            let count = count.min(room);
            let reaches = |state: &TopicState| {
                let floor = state.ring.floor();
                state.nothing_before == Some(floor) || state.ring.resumable() >= count
            };
            let ask = Ask::newest(&topic.name).at_most(count, usize::MAX);
            self.reach_back_unless(reaches, &topic, ask).await;
        };
        join_all(topics.iter().copied().cloned().map(fetch)).await;
    }

    async fn reach_back_unless(
        &self,
        reaches: impl Fn(&TopicState) -> bool,
        topic: &Topic,
        ask: Ask<'_>,
    ) {
        let hub = &self.hub;
        if reaches(&topic.lock()) {
            return;
        }
        // Otherwise callers would wait for each other's failing requests, one after the other.
        let Ok(_one_by_one) = timeout(TIMEOUT, topic.reaching_back.lock()).await else {
            return;
        };
        if reaches(&topic.lock()) {
            return;
        }
        let (epoch, last) = (hub.epoch(), topic.lock().ring.last());
        let (after, wanted) = (ask.after, ask.events);
        let Some(fetched) = self.history_for_client(topic, ask).await else {
            return;
        };
        let events = &fetched.events;
        let first = events.first().map(|event| event.id);
        if [after, first]
            .iter()
            .flatten()
            .any(|id| id.epoch() != epoch)
        {
            return;
        }
        let events_read = self.read_all(topic, events);
        let mut state = topic.lock();
        let newest = events.last().map_or(last, |event| event.id.seq().max(last));
        // If the ring has dropped events meanwhile, there would be a hole between the fetched events and those held.
        if epoch == state.ring.epoch() && state.ring.floor() <= newest {
            // Nothing is missing after the first of the newest events.
            let after = after.map(EventId::seq);
            let begins = first.map(|id| id.seq().saturating_sub(1));
            if let Some(floor) = after.or(begins) {
                self.prepend(&mut state.ring, events_read, floor);
            }
            // If fewer came than were wanted, there was no room for more.
            if after.is_none() && (!fetched.more || events.len() < wanted) {
                state.nothing_before = Some(state.ring.floor());
            }
        }
        drop(state);
        hub.appended(Wakers::default());
    }

    /// Puts events that a client has missed before those in the ring.
    fn prepend(
        &self,
        ring: &mut Ring,
        events: Vec<((u64, Duration), Option<Publication>)>,
        after: u64,
    ) {
        let hub = &self.hub;
        let oldest = ring.oldest();
        let known = oldest.unwrap_or_else(|| ring.last().saturating_add(1));
        for ((seq, at), publication) in events.into_iter().rev() {
            if !(after + 1..known).contains(&seq) {
                continue;
            }
            let Some(Publication {
                event, audience, ..
            }) = publication
            else {
                return;
            };
            // The end of a topic without a last event is known here.
            let Some(event) = event else { continue };
            let id = EventId::new(ring.epoch(), seq);
            let event = event.with_id(&id.to_string());
            let except = match audience {
                Audience::Except(client) => Some(client),
                Audience::All => None,
                Audience::Only(_) | Audience::Servers => continue,
            };
            let prepend = |ring: &mut Ring| ring.prepend(seq, event, except, at);
            if !hub.topics.change(ring, prepend) {
                return;
            }
            // There may be no room for earlier events.
            ring.reaches_back_to(seq.saturating_sub(1));
        }
        ring.reaches_back_to(after);
    }
}

/// Fetches what a topic misses. As long as the backplane gives no answer, its readers are held, and the request is
/// repeated. Time in which the backplane is down does not count, because no reader could get anything then.
async fn catch_up(replication: Weak<Replication>, topic: Arc<Topic>) {
    let mut patience = Patience::new(READERS_WAIT);
    let mut is_lost = false;
    while let Some(this) = replication.upgrade() {
        let Some(asked) = this.look(&topic) else {
            break;
        };
        let missing = this.missing(&topic, &asked).await;
        if let Err(Unfetched::Unanswered(error)) = &missing {
            if this.status() == Status::Down {
                patience.since = Instant::now();
            }
            if let Some(pause) = patience.pause() {
                // The hub may be dropped meanwhile.
                drop(missing);
                drop(this);
                sleep(pause).await;
                continue;
            }
            this.warn_of(&topic, error);
        }
        is_lost |= missing.is_err();
        if this.fill(&topic, &asked, missing.ok()) {
            break;
        }
    }
    if let Some(this) = replication.upgrade().filter(|_| is_lost) {
        this.look_for_end(&topic).await;
    }
}

/// Returns the part of the room that these events take, in KiB, for a fetch that holds some of it already. A history that is larger
/// than the room takes all of it, because for more it would wait forever.
fn share(events: &[PastEvent], held: usize) -> u32 {
    let bytes: usize = events.iter().map(|event| event.bytes.len()).sum();
    let left = FETCHED_KIB.saturating_sub(held);
    u32::try_from((bytes >> 10).min(left)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_history_never_takes_more_than_the_whole_room() {
        let event = PastEvent {
            id: EventId::new(1, 1),
            at: SystemTime::UNIX_EPOCH,
            bytes: Bytes::from_static(&[0; 1 << 20]),
        };
        let pages = [vec![event.clone(); 60], vec![event; 100]];
        let taken = pages
            .iter()
            .fold(0, |held, page| held + share(page, held) as usize);
        assert_eq!(taken, FETCHED_KIB);
        assert_eq!(share(&pages[0], 0), 60 << 10);
    }
}
