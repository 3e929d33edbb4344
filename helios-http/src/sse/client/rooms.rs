//! The topics of a connection: joining, leaving, and where it goes on after a reconnect.

use std::sync::Arc;
use std::task::Waker;

use helios_core::hub::{EventId, Subscription};
use helios_core::sse::{ResetReason, SseError, SseReset};

use super::reset::PendingReset;
use super::{Attachment, Client, State};
use crate::sse::control;
use crate::sse::hub::{Hub, lock};
use crate::sse::topics::{EVERYONE, Membership, check_name};

/// Where a topic begins: `Head` is where the client has left off, if the response head has not left yet.
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

    /// The id behind which a topic begins, if that is not the head.
    fn goes_back_to(&self, hub: &Hub, at: JoinAt) -> Option<EventId> {
        match at {
            JoinAt::After(id) => Some(id),
            JoinAt::Head if !lock(&self.state).is_before_head() => None,
            JoinAt::Head => {
                let last = self.attachment.get()?.resumes_at()?.ok()?;
                Some(hub.id(last))
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
            // Another task may have joined or ended meanwhile.
            if !state.may_join(hub, &membership.topic.name)? {
                return Ok(());
            }
            state.joined_in.get_or_insert(hub.epoch());
            let reset = match (self.attachment.get(), at) {
                (Some(attachment), JoinAt::Head) if state.is_before_head() => {
                    state.join_before_head(self, attachment, membership)
                }
                (Some(attachment), _) if state.begun => {
                    state.join_late(self, attachment, membership, at)
                }
                _ => {
                    if let Some(missed) = state.subscribe(hub, membership, at) {
                        state.deferred.miss(missed);
                    }
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

    /// Every connection is in the topic of what is broadcast. One that has joined others begins where the client has left
    /// off.
    pub(super) fn begin(self: &Arc<Self>, attachment: &Attachment) -> Option<PendingReset> {
        let hub = &attachment.hub;
        let mut state = lock(&self.state);
        state.begun = true;
        let starts = state.joined().next().is_some() && !state.is_of_another_epoch(hub);
        // What was broadcast before it was attached is not for a fresh connection.
        if starts && attachment.last_event_id.is_none() {
            let reset = state.start(self, attachment);
            state.join_everyone(hub);
            return reset;
        }
        state.join_everyone(hub);
        starts.then(|| state.start(self, attachment)).flatten()
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

    fn join_everyone(&mut self, hub: &Hub) {
        // Only a topic that is removed has no place, and this one never is.
        if let Some(everyone) = Membership::new(Arc::clone(&hub.topics.everyone)) {
            let head = hub.head();
            self.reader.join(Subscription::new(everyone, head));
        }
    }

    /// Between the connection's begin and the moment when its response head leaves.
    fn is_before_head(&self) -> bool {
        self.begun && !self.head_left
    }

    /// Puts the reader where it begins: where the client has left off, as far as history reaches, else where each topic was
    /// joined. Tells the client.
    fn start(&mut self, client: &Client, attachment: &Attachment) -> Option<PendingReset> {
        let hub = &attachment.hub;
        let last = attachment.resumes_at();
        let start = self.reader.start(last.and_then(Result::ok));
        // Who has to be reset is nowhere before the reset: cut between the two it must come back with the same id.
        let nowhere = matches!(last, Some(Err(_)));
        let resumed = matches!(last, Some(Ok(_))) && start.gone.is_empty();
        let epoch = self.joined_in.unwrap_or_else(|| hub.epoch());
        let id = match nowhere {
            true => attachment.last_event_id.clone(),
            false => Some(EventId::new(epoch, start.position).to_string()),
        };
        let ready = control::ready(hub, client.id, id, resumed);
        // Before everything, also before what is older than its own position.
        self.reader.tell(0, ready);
        let gone = match last {
            Some(Err(reason)) => Some((self.reader.logs().count(), reason)),
            _ => None,
        };
        let (places, reason) = match gone {
            Some((all, reason)) => ((0..all).collect(), reason),
            None => (start.gone, ResetReason::Expired),
        };
        let own = (!places.is_empty()).then(|| SseReset::new(reason, self.names(&places)));
        let missed = self.deferred.take_missed();
        let resets = own.into_iter().chain(missed);
        let pending = resets.filter_map(|reset| self.reset(client, attachment, reset, nowhere));
        // Only the first is to be answered now; the others follow it.
        pending.fold(None, |first, next| first.or(Some(next)))
    }

    /// Joins a topic as if that had been done before the connection began.
    fn join_before_head(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        membership: Membership,
    ) -> Option<PendingReset> {
        let topic = membership.topic.name.to_string();
        let mut subscription = Subscription::new(membership, attachment.hub.head());
        if !self.reader.uses_ids() {
            self.reader.join(subscription);
            return self.start(client, attachment);
        }
        let missed = match attachment.resumes_at() {
            None => None,
            Some(Ok(seq)) if subscription.resume_after(seq) => None,
            Some(Ok(_)) => Some((ResetReason::Expired, false)),
            Some(Err(reason)) => Some((reason, true)),
        };
        self.reader.join(subscription);
        let (reason, nowhere) = missed?;
        let reset = SseReset::new(reason, vec![topic]);
        self.reset(client, attachment, reset, nowhere)
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
            self.reader.use_ids_from(head);
            let ready = control::ready(hub, client.id, Some(hub.id(head).to_string()), false);
            self.reader.tell_position(head, ready);
        }
        let missed = self.subscribe(hub, membership, at)?;
        self.reset(client, attachment, missed, false)
    }

    /// Takes up a topic, and gives what the client has to be told if it cannot begin where it is to.
    fn subscribe(&mut self, hub: &Hub, membership: Membership, at: JoinAt) -> Option<SseReset> {
        let topic = membership.topic.name.to_string();
        let mut subscription = Subscription::new(membership, hub.head());
        let missed = match at {
            JoinAt::Head => None,
            JoinAt::After(id) => match hub.position_of(id) {
                Ok(seq) if subscription.resume_after(seq) => None,
                Ok(_) => Some(ResetReason::Expired),
                Err(reason) => Some(reason),
            },
        };
        self.reader.join(subscription);
        missed.map(|reason| SseReset::new(reason, vec![topic]))
    }

    /// The topics that were joined.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Membership> {
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
