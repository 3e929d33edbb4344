//! The topics of a connection: joining, leaving, and where it goes on after a reconnect.

use std::sync::Arc;
use std::task::Waker;

use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Subscription};
use helios_core::sse::{ResetReason, SseError, SseReset};

use super::reader::PendingReset;
use super::{Attachment, Client, Phase, State};
use crate::sse::control;
use crate::sse::hub::{Hub, lock};
use crate::sse::topics::{EVERYONE, Membership, check_name};

/// Where a topic that is joined late begins.
#[derive(Clone, Copy)]
pub(in crate::sse) enum From {
    Head,
    After(EventId),
}

impl Client {
    /// Joins a topic. A topic that the connection is in already is left as it is.
    pub(in crate::sse) async fn join(
        self: &Arc<Self>,
        topic: &str,
        from: From,
    ) -> Result<(), SseError> {
        check_name(topic)?;
        let Some(hub) = self.known_hub() else {
            return self.want(topic);
        };
        if !lock(&self.state).may_join(&hub, topic)? {
            return Ok(());
        }
        let membership = hub.enter(topic).await?;
        if let (From::After(id), Some(relay)) = (from, hub.relay()) {
            let topic = std::slice::from_ref(&membership.topic);
            relay.reach_back(&hub, topic, id).await;
        }
        self.take_up(&hub, membership, from)
    }

    /// Keeps the topic in mind until the hub is known.
    fn want(&self, topic: &str) -> Result<(), SseError> {
        const LIMIT: usize = 100;
        let mut state = lock(&self.state);
        if state.wanted.iter().any(|wanted| wanted == topic) {
            return Ok(());
        }
        if state.wanted.len() >= LIMIT {
            return Err(SseError::TooManyJoined { limit: LIMIT });
        }
        state.wanted.push(topic.to_owned());
        Ok(())
    }

    /// Joins what was wanted before the hub was known.
    pub(in crate::sse) async fn join_wanted(self: &Arc<Self>) -> Result<(), SseError> {
        let wanted = std::mem::take(&mut lock(&self.state).wanted);
        for topic in wanted {
            self.join(&topic, From::Head).await?;
        }
        Ok(())
    }

    fn take_up(
        self: &Arc<Self>,
        hub: &Hub,
        membership: Membership,
        from: From,
    ) -> Result<(), SseError> {
        let (waker, reset) = {
            let mut state = lock(&self.state);
            // Another task may have joined or ended meanwhile.
            if !state.may_join(hub, &membership.topic.name)? {
                return Ok(());
            }
            let (epoch, head) = (hub.epoch(), hub.head());
            state.joined_in.get_or_insert(epoch);
            if state.phase == Phase::Live && !state.reader.uses_ids() {
                state.reader.use_ids_from(head);
                let position = EventId::new(epoch, head);
                let ready = control::ready(hub, self.id, Some(position), false);
                state.reader.push_control(head, ready);
            }
            let missed = state.subscribe(hub, membership, from, head);
            let reset = missed.and_then(|reset| {
                let attachment = self.attachment.get()?;
                state.reset(self, attachment, reset, false)
            });
            (state.waker.take(), reset)
        };
        waker.into_iter().for_each(Waker::wake);
        reset.into_iter().for_each(|reset| reset.run(self));
        Ok(())
    }

    /// Leaves a topic. What was published to it and is not written yet is not written any more.
    pub(in crate::sse) fn leave(&self, topic: &str) {
        let mut state = lock(&self.state);
        state.wanted.retain(|wanted| wanted != topic);
        if topic != EVERYONE {
            state.reader.leave(|place| *place.topic.name == *topic);
        }
    }

    pub(in crate::sse) fn topics(&self) -> Vec<String> {
        let state = lock(&self.state);
        let joined = state.joined().map(|place| place.topic.name.to_string());
        joined.chain(state.wanted.iter().cloned()).collect()
    }

    pub(in crate::sse) fn is_in(&self, topic: &str) -> bool {
        lock(&self.state).is_in(topic)
    }

    /// The hub numbers the events of a connection that has joined topics.
    pub(super) fn check_id(&self, event: &SseEvent) -> Result<(), SseError> {
        let Some(id) = event.event_id() else {
            return Ok(());
        };
        let state = lock(&self.state);
        let joins = state.joined().next().is_some() || !state.wanted.is_empty();
        if joins || state.reader.uses_ids() {
            return Err(SseError::OwnId(id.to_owned()));
        }
        Ok(())
    }

    /// Makes the histories of the topics reach back to where the client has left off, as far as the backplane remembers.
    pub(in crate::sse) async fn reach_back(&self, attachment: &Attachment) {
        let hub = &attachment.hub;
        let (Some(relay), Some(Ok(last))) = (hub.relay(), attachment.resumes_at()) else {
            return;
        };
        let mut topics: Vec<_> = {
            let state = lock(&self.state);
            let joined = state.joined().map(|place| Arc::clone(&place.topic));
            joined.collect()
        };
        if topics.is_empty() {
            return;
        }
        topics.push(Arc::clone(&hub.topics.everyone));
        relay.reach_back(hub, &topics, hub.id(last)).await;
    }

    /// Puts the reader where it begins: where the client has left off, as far as history reaches, else at the head. Every
    /// connection is in the topic of what is broadcast.
    pub(super) fn begin(self: &Arc<Self>, attachment: &Attachment) -> Option<PendingReset> {
        let hub = &attachment.hub;
        let mut state = lock(&self.state);
        let joined = state.joined().next().is_some();
        // Only a topic that is removed has no place, and this one never is.
        if let Some(everyone) = Membership::new(Arc::clone(&hub.topics.everyone)) {
            let head = hub.head();
            state.reader.join(Subscription::new(everyone, head));
        }
        if !joined || state.is_of_another_epoch(hub) {
            return None;
        }
        let last = attachment.resumes_at();
        let start = state.reader.start(last.and_then(Result::ok));
        // Who has to be reset is nowhere before the reset: cut between the two it must be reset again.
        let nowhere = matches!(last, Some(Err(_)));
        let resumed = matches!(last, Some(Ok(_))) && start.gone.is_empty();
        let epoch = state.joined_in.unwrap_or_else(|| hub.epoch());
        let position = (!nowhere).then_some(EventId::new(epoch, start.position));
        let ready = control::ready(hub, self.id, position, resumed);
        // A client from another server may be ahead of this one, which is no reason to wait.
        let at = start.position.min(hub.head());
        state.reader.push_control(at, ready);
        let (places, reason) = match last {
            Some(Err(reason)) => ((0..state.reader.logs().count()).collect(), reason),
            _ if start.gone.is_empty() => return None,
            _ => (start.gone, ResetReason::Expired),
        };
        let reset = SseReset::new(reason, state.names(&places));
        state.reset(self, attachment, reset, nowhere)
    }
}

impl Attachment {
    /// The number after which the client wants to go on, or why that cannot be.
    fn resumes_at(&self) -> Option<Result<u64, ResetReason>> {
        let id = self.last_event_id.as_deref()?;
        let id = id.parse().map_err(|_| ResetReason::Unknown);
        Some(id.and_then(|id| self.hub.position_of(id)))
    }
}

impl Hub {
    /// The number after which somebody wants to go on, or why that cannot be.
    fn position_of(&self, id: EventId) -> Result<u64, ResetReason> {
        if id.epoch() != self.epoch() {
            return Err(ResetReason::Epoch);
        }
        // Another server may have given out what has not arrived here yet.
        if id.seq() > self.head() && self.relay().is_none() {
            return Err(ResetReason::Unknown);
        }
        Ok(id.seq())
    }
}

impl State {
    /// False if the connection is in the topic already.
    fn may_join(&self, hub: &Hub, topic: &str) -> Result<bool, SseError> {
        if let Some(reason) = self.closed_reason() {
            return Err(SseError::Closed(reason));
        }
        if self.is_in(topic) {
            return Ok(false);
        }
        let limit = hub.options().max_topics_per_connection;
        if self.joined().count() >= limit {
            return Err(SseError::TooManyJoined { limit });
        }
        Ok(true)
    }

    /// Takes up a topic, and gives what the client has to be told if it cannot begin where it is to.
    fn subscribe(
        &mut self,
        hub: &Hub,
        membership: Membership,
        from: From,
        head: u64,
    ) -> Option<SseReset> {
        let topic = membership.topic.name.to_string();
        let mut subscription = Subscription::new(membership, head);
        let missed = match from {
            From::Head => None,
            From::After(id) => match hub.position_of(id) {
                Ok(seq) if subscription.resume_after(seq) => None,
                Ok(_) => Some(ResetReason::Expired),
                Err(reason) => Some(reason),
            },
        };
        self.reader.join(subscription);
        missed.map(|reason| SseReset::new(reason, vec![topic]))
    }

    /// The topics that were joined.
    fn joined(&self) -> impl Iterator<Item = &Membership> {
        let places = self.reader.logs();
        places.filter(|place| *place.topic.name != *EVERYONE)
    }

    /// Whether another sequence began since the first topic was joined: its places there mean nothing now.
    pub(super) fn is_of_another_epoch(&self, hub: &Hub) -> bool {
        self.joined_in.is_some_and(|epoch| epoch != hub.epoch())
    }

    fn is_in(&self, topic: &str) -> bool {
        self.joined().any(|place| *place.topic.name == *topic)
    }

    pub(super) fn names(&self, places: &[usize]) -> Vec<String> {
        let named = self.reader.logs().enumerate();
        let named = named.filter(|(place, _)| places.contains(place));
        named.map(|(_, log)| log.topic.name.to_string()).collect()
    }
}
