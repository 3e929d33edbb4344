//! The topics of a connection: joining and leaving.

use std::sync::Arc;
use std::task::Waker;

use helios_core::hub::{EventId, Subscription};
use helios_core::sse::{ResetReason, SseError, SseReset};

use super::reset::PendingReset;
use super::{Attachment, Client, State};
use crate::sse::control;
use crate::sse::hub::{Hub, lock};
use crate::sse::topics::{EVERYONE, Membership, check_name};

/// Where a topic begins. `Head` is now; before the response head has left it is where the client has left off, if it has.
#[derive(Clone, Copy)]
pub(in crate::sse) enum JoinAt {
    Head,
    After(EventId),
}

impl Client {
    /// Joins a topic. A topic that the connection is in already is left as it is.
    pub(in crate::sse) async fn join(
        self: &Arc<Self>,
        topic: &str,
        at: JoinAt,
    ) -> Result<(), SseError> {
        check_name(topic)?;
        let Some(hub) = self.known_hub() else {
            return lock(&self.state).deferred.want(topic, at);
        };
        if !lock(&self.state).may_join(&hub, topic)? {
            return Ok(());
        }
        let membership = hub.enter(topic).await?;
        if let (Some(relay), Some(id)) = (hub.relay(), self.goes_back_to(&hub, at)) {
            let topics = [&membership.topic, &hub.topics.everyone].map(Arc::clone);
            relay.reach_back(&hub, &topics, id).await;
        }
        self.take_up(&hub, membership, at)
    }

    /// Joins what was wanted before the hub was known.
    pub(in crate::sse) async fn join_wanted(self: &Arc<Self>) -> Result<(), SseError> {
        let wanted = lock(&self.state).deferred.take_wanted();
        for (topic, at) in wanted {
            match self.join(&topic, at).await {
                // It was closed already, and still has to say so.
                Err(SseError::Closed(_)) => return Ok(()),
                joined => joined?,
            }
        }
        Ok(())
    }

    /// The id behind which a topic begins, if that is not the head. What is joined before the connection is live is
    /// looked after by [`Client::reach_back`].
    fn goes_back_to(&self, hub: &Hub, at: JoinAt) -> Option<EventId> {
        match at {
            JoinAt::After(id) => Some(id),
            JoinAt::Head => {
                let state = lock(&self.state);
                let is_before_head = state.life.is_live() && !state.head_left;
                is_before_head.then(|| state.begins_after(hub, self.attachment.get()))?
            }
        }
    }

    fn take_up(
        self: &Arc<Self>,
        hub: &Hub,
        membership: Membership,
        at: JoinAt,
    ) -> Result<(), SseError> {
        let (waker, reset) = {
            let mut state = lock(&self.state);
            // Another task may have joined or ended meanwhile. A client of another epoch is about to be sent away.
            if !state.may_join(hub, &membership.topic.name)? || state.is_of_another_epoch(hub) {
                return Ok(());
            }
            let reset = match self.attachment.get() {
                Some(attachment) if state.head_left => {
                    state.join_late(self, attachment, membership, at)
                }
                // What it misses is told with where it begins.
                _ => {
                    state.take_in(hub, membership, at);
                    None
                }
            };
            (state.task.wake(), reset)
        };
        waker.into_iter().for_each(Waker::wake);
        reset.into_iter().for_each(|reset| reset.run(self));
        Ok(())
    }

    /// Leaves a topic. What was published to it and is not written yet is not written any more.
    pub(in crate::sse) fn leave(&self, topic: &str) {
        let waker = {
            let mut state = lock(&self.state);
            state.deferred.leave(topic);
            if topic != EVERYONE {
                state.reader.leave(|place| *place.topic.name == *topic);
            }
            // Other topics may have waited for this one to catch up.
            state.task.wake()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(in crate::sse) fn topics(&self) -> Vec<String> {
        let state = lock(&self.state);
        let joined = state.joined().map(|place| place.topic.name.to_string());
        let wanted = state.deferred.wanted().map(str::to_owned);
        joined.chain(wanted).collect()
    }

    pub(in crate::sse) fn is_in(&self, topic: &str) -> bool {
        lock(&self.state).is_in(topic)
    }

    /// Makes the histories of the topics reach back to where the client begins, as far as the backplane remembers.
    pub(in crate::sse) async fn reach_back(&self, attachment: &Attachment) {
        let hub = &attachment.hub;
        let Some(relay) = hub.relay() else { return };
        let (after, mut topics) = {
            let state = lock(&self.state);
            let joined = state.joined().map(|place| Arc::clone(&place.topic));
            let topics: Vec<_> = joined.collect();
            (state.begins_after(hub, Some(attachment)), topics)
        };
        if let Some(after) = after.filter(|_| !topics.is_empty()) {
            topics.push(Arc::clone(&hub.topics.everyone));
            relay.reach_back(hub, &topics, after).await;
        }
    }

    /// Every connection is in the topic of what is broadcast.
    pub(super) fn join_everyone(&self, hub: &Hub) {
        // Only a topic that is removed has no place, and this one never is.
        if let Some(everyone) = Membership::new(Arc::clone(&hub.topics.everyone)) {
            let mut state = lock(&self.state);
            let everyone = Subscription::new(everyone, || hub.head());
            state.reader.join(everyone);
        }
    }
}

impl State {
    /// False if the connection is in the topic already.
    fn may_join(&self, hub: &Hub, topic: &str) -> Result<bool, SseError> {
        if let Some(reason) = self.life.closed_reason() {
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

    /// Joins a topic while the stream is running.
    fn join_late(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        membership: Membership,
        at: JoinAt,
    ) -> Option<PendingReset> {
        let hub = &attachment.hub;
        if !self.reader.uses_ids() {
            let head = hub.head();
            self.joined_in.get_or_insert(hub.epoch());
            self.reader.use_ids_from(head);
            let id = self.id(hub, head).to_string();
            let ready = control::ready(hub, client.id, Some(id), false);
            self.reader.push_position(head, ready);
        }
        let topic = membership.topic.name.to_string();
        let missed = self.take_in(hub, membership, at)?;
        let reset = SseReset::new(missed, vec![topic]);
        self.reset(client, attachment, reset)
    }

    /// Takes up a topic, and gives the reason if it cannot begin where it is asked to.
    fn take_in(&mut self, hub: &Hub, membership: Membership, at: JoinAt) -> Option<ResetReason> {
        self.joined_in.get_or_insert(hub.epoch());
        let mut subscription = Subscription::new(membership, || hub.head());
        let missed = match at {
            JoinAt::Head => None,
            JoinAt::After(id) => subscription.replay(hub.position_of(id)).err(),
        };
        self.reader.join(subscription);
        missed
    }

    /// The topics that were joined.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Membership> {
        let places = self.reader.topics();
        places.filter(|place| *place.topic.name != *EVERYONE)
    }

    fn is_in(&self, topic: &str) -> bool {
        self.joined().any(|place| *place.topic.name == *topic)
    }

    pub(super) fn names(&self, places: &[usize]) -> Vec<String> {
        let named = self.reader.topics().enumerate();
        let named = named.filter(|(place, _)| places.contains(place));
        named.map(|(_, log)| log.topic.name.to_string()).collect()
    }
}
