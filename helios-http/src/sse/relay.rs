//! A hub behind a [`Backplane`]: what arrives is put into the rings, and what is missing is fetched.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use helios_core::encode::Numberable;
use helios_core::hub::{EventId, Ring};
use helios_core::sse::{ClientId, CloseReason, SseError};
use tokio::time::timeout;

use super::backplane::{
    Backplane, BackplaneError, BackplaneEvent, BackplaneSink, History, PastEvent,
};
use super::hub::{Hub, lock};
use super::topics::{Topic, TopicState};

/// How long the backplane may take to tell what is missing. The topic's readers wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What may arrive while earlier events are fetched; what is more is fetched afterwards.
const LONGEST_PENDING: usize = 4_096;

pub(crate) struct Relay {
    backplane: Arc<dyn Backplane>,
    /// Arrivals are taken one after the other: the head must not pass an event that is not in its ring yet.
    order: Mutex<()>,
}

/// An event from the backplane.
pub(super) struct Arrival {
    seq: u64,
    prev: Option<u64>,
    event: Numberable,
    except: Option<ClientId>,
}

impl Relay {
    pub(crate) fn new(backplane: Arc<dyn Backplane>) -> Self {
        Self {
            backplane,
            order: Mutex::default(),
        }
    }

    pub(crate) async fn start(&self, hub: &Arc<Hub>) -> Result<(), BackplaneError> {
        let head = self.backplane.start(BackplaneSink::new(hub)).await?;
        hub.restart_at(head);
        let everyone = Arc::clone(&hub.topics.everyone);
        self.watch(hub, &everyone).await?;
        Ok(())
    }

    pub(super) async fn publish(
        &self,
        topic: &str,
        event: &Numberable,
        except: Option<ClientId>,
    ) -> Result<EventId, SseError> {
        let bytes = pack(event, except);
        self.backplane.publish(topic, bytes).await.map_err(failed)
    }

    /// Asks for the topic's events, unless that was done before.
    pub(super) async fn watch(&self, hub: &Hub, topic: &Arc<Topic>) -> Result<(), SseError> {
        let ask = || async {
            // What arrives before the answer has to wait for it.
            topic.lock().pending.get_or_insert_default();
            let last = self.backplane.watch(&topic.name).await?;
            let floor = last.map_or(0, EventId::seq);
            last.into_iter().for_each(|id| hub.advance_to(id));
            let mut state = topic.lock();
            let limits = hub.options().history_of(&topic.name);
            hub.topics
                .change(&mut state.ring, |ring| *ring = Ring::new(limits, floor));
            let pending = state.pending.take().unwrap_or_default();
            let woken = pending
                .iter()
                .flat_map(|arrival| append(hub, &mut state, arrival));
            let woken: Vec<Waker> = woken.collect();
            drop(state);
            hub.appended(woken);
            Ok::<_, BackplaneError>(())
        };
        topic.watched.get_or_try_init(ask).await.map_err(failed)?;
        Ok(())
    }

    pub(super) async fn unwatch(&self, topic: &Topic) {
        if let Err(error) = self.backplane.unwatch(&topic.name).await {
            tracing::warn!(topic = &*topic.name, error, "the backplane did not unwatch");
        }
    }

    pub(super) fn accept(&self, hub: &Arc<Hub>, event: BackplaneEvent) {
        let _order = lock(&self.order);
        match event {
            BackplaneEvent::Gap { topic } => {
                if let Some(topic) = hub.topics.find(&topic) {
                    catch_up(hub, topic);
                }
            }
            BackplaneEvent::Event {
                topic,
                id,
                prev,
                bytes,
            } => {
                if id.epoch() != hub.epoch() {
                    begin_anew(hub, id);
                }
                if let Some(topic) = hub.topics.find(&topic) {
                    arrived(hub, topic, id, prev, bytes);
                }
            }
        }
    }

    /// Makes history reach back to this number, if the backplane remembers it.
    pub(super) async fn reach_back(&self, hub: &Hub, topic: &Topic, after: u64) {
        if topic.lock().ring.floor() <= after {
            return;
        }
        let history = self.backplane.history(&topic.name, hub.id(after));
        let Ok(Ok(History::Events(events))) = timeout(PATIENCE, history).await else {
            return;
        };
        let mut state = topic.lock();
        let oldest = state.ring.oldest();
        let known = oldest.unwrap_or_else(|| state.ring.last().saturating_add(1));
        for event in events.iter().rev().filter(|event| event.id.seq() < known) {
            let Some((numberable, except)) = unpack(&event.bytes) else {
                return;
            };
            let seq = event.id.seq();
            let event = numberable.with_id(&hub.id(seq).to_string());
            let prepend = |ring: &mut Ring| ring.prepend(seq, event, except);
            if !hub.topics.change(&mut state.ring, prepend) {
                return;
            }
        }
        state.ring.reaches_back_to(after);
    }

    /// What was published to a topic after this number; `None` if that cannot be had.
    async fn missing(&self, hub: &Hub, topic: &Topic, after: u64) -> Option<Vec<PastEvent>> {
        let history = self.backplane.history(&topic.name, hub.id(after));
        match timeout(PATIENCE, history).await {
            Ok(Ok(History::Events(events))) => Some(events),
            Ok(Ok(History::Gone)) => None,
            Ok(Err(error)) => {
                tracing::warn!(
                    topic = &*topic.name,
                    error,
                    "the backplane's history failed"
                );
                None
            }
            Err(_) => {
                tracing::warn!(
                    topic = &*topic.name,
                    "the backplane's history took too long"
                );
                None
            }
        }
    }
}

fn failed(error: BackplaneError) -> SseError {
    SseError::Backplane(error.into())
}

/// The backplane has lost its memory: ids of before mean nothing now. Clients come back and are told so.
fn begin_anew(hub: &Arc<Hub>, id: EventId) {
    tracing::warn!("the backplane began a new sequence; all clients are asked to reconnect");
    for client in hub.live_clients() {
        client.end(hub.reconnect_ending(CloseReason::ServerClosed));
    }
    let before = EventId::new(id.epoch(), id.seq().saturating_sub(1));
    hub.restart_at(before);
}

fn arrived(hub: &Arc<Hub>, topic: Arc<Topic>, id: EventId, prev: Option<EventId>, bytes: Bytes) {
    let Some((event, except)) = unpack(&bytes) else {
        tracing::error!(
            topic = &*topic.name,
            "the backplane gave what no hub has published"
        );
        catch_up(hub, topic);
        return;
    };
    let arrival = Arrival {
        seq: id.seq(),
        prev: prev.map(EventId::seq),
        event,
        except,
    };
    let mut state = topic.lock();
    if let Some(pending) = &mut state.pending {
        // What does not fit shows as missing when the next one is looked at.
        if pending.len() < LONGEST_PENDING {
            pending.push(arrival);
        }
        return;
    }
    if follows(&state.ring, &arrival) {
        let woken = append(hub, &mut state, &arrival);
        drop(state);
        hub.appended(woken);
    } else {
        state.ring.catch_up();
        state.pending = Some(vec![arrival]);
        drop(state);
        spawn_catch_up(hub, topic);
    }
}

/// Whether nothing is missing before this event.
fn follows(ring: &Ring, arrival: &Arrival) -> bool {
    arrival.prev.is_none_or(|prev| prev <= ring.last())
}

fn append(hub: &Hub, state: &mut TopicState, arrival: &Arrival) -> Vec<Waker> {
    let seq = arrival.seq;
    if seq <= state.ring.last() {
        return Vec::new();
    }
    // Readers of other topics may be past it: who comes back with one of their ids may not have seen it.
    let head = hub.head();
    if seq <= head {
        state.ring.doubt(seq, head + 1);
    }
    hub.advance_to(hub.id(seq));
    hub.push(state, seq, &arrival.event, arrival.except)
}

/// Holds the topic's readers, and fetches what is missing.
fn catch_up(hub: &Arc<Hub>, topic: Arc<Topic>) {
    {
        let mut state = topic.lock();
        if state.pending.is_some() || state.removed {
            return;
        }
        state.ring.catch_up();
        state.pending = Some(Vec::new());
    }
    spawn_catch_up(hub, topic);
}

fn spawn_catch_up(hub: &Arc<Hub>, topic: Arc<Topic>) {
    let hub = Arc::clone(hub);
    let Some(runtime) = hub.runtime() else { return };
    runtime.spawn(async move {
        let Some(relay) = hub.relay() else { return };
        let mut asked_after = None;
        loop {
            let last = topic.lock().ring.last();
            // Who has nothing to add when asked again has lost it.
            let missing = match asked_after.replace(last) {
                Some(before) if before == last => None,
                _ => relay.missing(&hub, &topic, last).await,
            };
            let _order = lock(&relay.order);
            let mut state = topic.lock();
            let mut woken = fill(&hub, &mut state, missing);
            let (caught_up, more) = take_pending(&hub, &mut state);
            woken.extend(more);
            drop(state);
            hub.appended(woken);
            if caught_up {
                return;
            }
        }
    });
}

/// Puts what was missing into the ring, or says that it is lost.
fn fill(hub: &Hub, state: &mut TopicState, missing: Option<Vec<PastEvent>>) -> Vec<Waker> {
    let Some(events) = missing else {
        let first = state.pending.iter().flatten().find_map(|next| next.prev);
        let lost = first.unwrap_or_else(|| hub.head());
        hub.topics
            .change(&mut state.ring, |ring| ring.lost_up_to(lost));
        return state.waiting.take();
    };
    let mut woken = Vec::new();
    for event in events {
        let Some((numberable, except)) = unpack(&event.bytes) else {
            let seq = event.id.seq();
            hub.topics
                .change(&mut state.ring, |ring| ring.lost_up_to(seq));
            continue;
        };
        let arrival = Arrival {
            seq: event.id.seq(),
            prev: None,
            event: numberable,
            except,
        };
        woken.extend(append(hub, state, &arrival));
    }
    woken
}

/// Appends what arrived meanwhile. False if something is still missing before it.
fn take_pending(hub: &Hub, state: &mut TopicState) -> (bool, Vec<Waker>) {
    let mut pending = state.pending.take().unwrap_or_default().into_iter();
    let mut woken = Vec::new();
    while let Some(arrival) = pending.next() {
        if !follows(&state.ring, &arrival) {
            state.pending = Some(std::iter::once(arrival).chain(pending).collect());
            return (false, woken);
        }
        woken.extend(append(hub, state, &arrival));
    }
    state.ring.caught_up();
    woken.extend(state.waiting.take());
    (true, woken)
}

/// What travels through the backplane: whom it is not for, where its id belongs, and the event without it.
fn pack(event: &Numberable, except: Option<ClientId>) -> Bytes {
    let (bytes, id_at) = event.parts();
    let mut packed = BytesMut::with_capacity(bytes.len() + 25);
    match except {
        Some(client) => {
            packed.put_u8(1);
            packed.put_slice(client.as_bytes());
        }
        None => packed.put_u8(0),
    }
    packed.put_u64(id_at.map_or(u64::MAX, |at| at as u64));
    packed.put_slice(bytes);
    packed.freeze()
}

/// `None` for what [`pack`] has not made.
fn unpack(packed: &Bytes) -> Option<(Numberable, Option<ClientId>)> {
    let mut rest = packed.clone();
    let except = match rest.try_get_u8().ok()? {
        0 => None,
        1 => {
            let mut id = [0; 16];
            rest.try_copy_to_slice(&mut id).ok()?;
            Some(ClientId::from_bytes(id))
        }
        _ => return None,
    };
    let id_at = match rest.try_get_u64().ok()? {
        u64::MAX => None,
        at => Some(usize::try_from(at).ok()?),
    };
    Some((Numberable::from_parts(rest, id_at)?, except))
}

#[cfg(test)]
mod tests {
    use helios_core::event::SseEvent;

    use super::*;

    #[test]
    fn an_event_survives_the_journey() {
        let client = ClientId::from_random_bytes([7; 16]);
        let event = Numberable::new(&SseEvent::text("x").event("n")).unwrap();
        for except in [None, Some(client)] {
            let (unpacked, to) = unpack(&pack(&event, except)).unwrap();
            assert_eq!(to, except);
            assert_eq!(unpacked.parts(), event.parts());
        }
        let comment = Numberable::new(&SseEvent::default().comment("c")).unwrap();
        assert_eq!(unpack(&pack(&comment, None)).unwrap().0.parts().1, None);
    }

    #[test]
    fn what_no_hub_has_published_is_refused() {
        let whole = pack(&Numberable::new(&SseEvent::text("x")).unwrap(), None);
        for bad in [
            Bytes::new(),
            Bytes::from_static(&[2]),
            Bytes::from_static(&[1, 2, 3]),
            whole.slice(..5),
            Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 9, b'x']),
        ] {
            assert!(unpack(&bad).is_none(), "{bad:?}");
        }
    }
}
