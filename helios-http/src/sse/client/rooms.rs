//! The topics of a connection: joining, leaving, and where it goes on after a reconnect.

use std::sync::Arc;
use std::task::Waker;

use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Subscription};
use helios_core::sse::{ResetReason, SseError};

use super::reader::PendingReset;
use super::{Attachment, Client, Phase, State};
use crate::sse::control;
use crate::sse::hub::{Hub, lock};
use crate::sse::topics::{EVERYONE, Membership};

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
        if topic == EVERYONE {
            return Err(SseError::InvalidTopic(topic.to_owned()));
        }
        let Some(hub) = self.known_hub() else {
            return self.want(topic);
        };
        let limit = hub.options().max_topics_per_connection;
        if self.may_join(topic, limit)? {
            let membership = hub.enter(topic).await?;
            if let (From::After(id), Some(relay)) = (from, hub.relay()) {
                relay.reach_back(&hub, &membership.topic, id.seq()).await;
            }
            self.take_up(&hub, membership, from, limit)?;
        }
        Ok(())
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

    /// False if the connection is in the topic already.
    fn may_join(&self, topic: &str, limit: usize) -> Result<bool, SseError> {
        let state = lock(&self.state);
        if let Some(reason) = state.closed_reason() {
            return Err(SseError::Closed(reason));
        }
        if state.is_in(topic) {
            return Ok(false);
        }
        if state.joined().count() >= limit {
            return Err(SseError::TooManyJoined { limit });
        }
        Ok(true)
    }

    fn take_up(
        self: &Arc<Self>,
        hub: &Hub,
        membership: Membership,
        from: From,
        limit: usize,
    ) -> Result<(), SseError> {
        let name = Arc::clone(&membership.topic.name);
        // Another task may have joined or ended meanwhile.
        if !self.may_join(&name, limit)? {
            return Ok(());
        }
        let (waker, reset) = {
            let mut state = lock(&self.state);
            let head = hub.head();
            let mut subscription = Subscription::new(membership, head);
            let missed = match from {
                From::Head => None,
                From::After(id) if id.epoch() != hub.epoch() => Some(ResetReason::Epoch),
                From::After(id) if id.seq() > head => Some(ResetReason::Unknown),
                From::After(id) if subscription.resume_after(id.seq()) => None,
                From::After(_) => Some(ResetReason::Expired),
            };
            state.reader.join(subscription);
            if state.phase == Phase::Live && !state.reader.uses_ids() {
                state.reader.use_ids_from(head);
                let ready = control::ready(hub, self.id, head, false);
                state.reader.push_control(head, ready);
            }
            let reset = missed.and_then(|reason| {
                let attachment = self.attachment.get()?;
                state.reset(attachment, vec![name.to_string()], reason)
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
        if state.joined().next().is_some() || state.reader.uses_ids() {
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
        let topics: Vec<_> = {
            let state = lock(&self.state);
            let joined = state.joined().map(|place| Arc::clone(&place.topic));
            joined.collect()
        };
        if topics.is_empty() {
            return;
        }
        for topic in topics.iter().chain([&hub.topics.everyone]) {
            relay.reach_back(hub, topic, last).await;
        }
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
        if !joined {
            return None;
        }
        let last = attachment.resumes_at();
        let start = state.reader.start(last.and_then(Result::ok));
        let resumed = matches!(last, Some(Ok(_))) && start.gone.is_empty();
        let ready = control::ready(hub, self.id, start.position, resumed);
        state.reader.push_control(start.position, ready);
        let (places, reason) = match last {
            Some(Err(reason)) => ((0..state.reader.logs().count()).collect(), reason),
            _ => (start.gone, ResetReason::Expired),
        };
        if places.is_empty() {
            return None;
        }
        let topics = state.names(&places);
        state.reset(attachment, topics, reason)
    }
}

impl Attachment {
    /// The number after which the client wants to go on, or why that cannot be.
    fn resumes_at(&self) -> Option<Result<u64, ResetReason>> {
        let id = self.last_event_id.as_deref()?;
        Some(match id.parse::<EventId>() {
            Ok(id) if id.epoch() != self.hub.epoch() => Err(ResetReason::Epoch),
            // Another server may have given out what has not arrived here yet.
            Ok(id) if id.seq() > self.hub.head() && self.hub.relay().is_none() => {
                Err(ResetReason::Unknown)
            }
            Ok(id) => Ok(id.seq()),
            Err(_) => Err(ResetReason::Unknown),
        })
    }
}

impl State {
    /// The topics that were joined.
    fn joined(&self) -> impl Iterator<Item = &Membership> {
        let places = self.reader.logs();
        places.filter(|place| *place.topic.name != *EVERYONE)
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
