//! The topics of a stream, with joining and leaving.

use std::sync::Arc;

use futures_util::future::try_join_all;
use helios_core::hub::{EventId, Replay, Subscription};
use helios_core::sse::{ResetReason, SseError, SseReset};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::backplane::replication::Replication;
use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::hub::topics::{EVERYONE, Membership, Topic, check_name};
use crate::sse::stream::route::StreamRequest;
use crate::sse::streams::Streams;
use crate::sync::lock;

impl StreamState {
    /// Joins a topic. Does nothing if the stream is in the topic already.
    pub(crate) async fn join(
        self: &Arc<Self>,
        topic: &str,
        replay: Replay,
    ) -> Result<(), SseError> {
        check_name(topic)?;
        let streams = {
            // Locked first, because an attach takes what is wanted until then, and nobody takes what comes later.
            let mut parts = lock(&self.parts);
            match self.streams() {
                Some(streams) => streams,
                None => return parts.deferred.want(topic, replay),
            }
        };
        if !lock(&self.parts).may_join(&streams.hub, topic)? {
            return Ok(());
        }
        let membership = streams.enter(topic).await?;
        if let Some(replication) = streams.replication() {
            self.reach_back_for(&streams.hub, replication, &membership.topic, replay)
                .await;
        }
        self.take_up(&streams, membership, replay)
    }

    /// Joins topics in this order. With a backplane they are all watched at the same time.
    pub(crate) async fn join_all(
        self: &Arc<Self>,
        topics: Vec<String>,
        replay: Replay,
    ) -> Result<(), SseError> {
        let streams = self.streams();
        let entered = match &streams {
            Some(streams) if topics.len() > 1 => self.enter_all(streams, &topics, replay).await?,
            _ => Vec::new(),
        };
        let rest = &topics[entered.len()..];
        if let Some(streams) = &streams {
            for membership in entered {
                self.take_up(streams, membership, replay)?;
            }
        }
        for topic in rest {
            self.join(topic, replay).await?;
        }
        Ok(())
    }

    /// Returns memberships of the first topics, whose histories reach back to where they are to begin. Empty without a
    /// backplane.
    async fn enter_all(
        &self,
        streams: &Arc<Streams>,
        topics: &[String],
        replay: Replay,
    ) -> Result<Vec<Membership>, SseError> {
        let Some(replication) = streams.replication() else {
            return Ok(Vec::new());
        };
        let enter = |topic: String| async move {
            check_name(&topic)?;
            let membership = streams.enter(&topic).await?;
            self.reach_back_for(&streams.hub, replication, &membership.topic, replay)
                .await;
            Ok::<_, SseError>(membership)
        };
        // Topics beyond the limit are not joined.
        let most = streams.hub.options().max_topics_per_connection;
        try_join_all(topics.iter().take(most).cloned().map(enter)).await
    }

    /// Joins the topics that were wanted before the hub was known.
    pub(crate) async fn join_wanted(self: &Arc<Self>) -> Result<(), SseError> {
        let wanted = lock(&self.parts).deferred.take_wanted();
        for (topic, replay) in wanted {
            match self.join(&topic, replay).await {
                // The stream was closed already, and still has to report that.
                Err(SseError::Closed(_)) => return Ok(()),
                joined => joined?,
            }
        }
        Ok(())
    }

    /// Makes the history of a topic reach back to where it is to begin, if that is not the head.
    /// [`StreamState::reach_back`] does this for topics that are joined before the stream is live.
    async fn reach_back_for(
        &self,
        hub: &Hub,
        replication: &Replication,
        topic: &Arc<Topic>,
        replay: Replay,
    ) {
        let after = match replay {
            Replay::After(id) => Some(id),
            Replay::Last(count) => return replication.fetch_newest(&[topic], count).await,
            Replay::Earliest => return replication.fetch_newest(&[topic], usize::MAX).await,
            _ if self.begins_earliest() => {
                return replication.fetch_newest(&[topic], usize::MAX).await;
            }
            _ => self.resumes_before_head(),
        };
        if let Some(id) = after {
            let topics = [topic, &hub.topics.everyone];
            replication.reach_back(&topics, id).await;
        }
    }

    /// Whether a topic that is joined now begins with its earliest event, because the client has requested that.
    fn begins_earliest(&self) -> bool {
        let asks = self.request().is_some_and(StreamRequest::begins_earliest);
        asks && lock(&self.parts).head < HeadStage::Left
    }

    /// Returns the id after which a topic begins that is joined between the start of the stream and its response head.
    fn resumes_before_head(&self) -> Option<EventId> {
        let parts = lock(&self.parts);
        let is_before_head = parts.lifecycle.is_live() && parts.head < HeadStage::Left;
        is_before_head.then(|| parts.begins_after(self.request()))?
    }

    fn take_up(
        self: &Arc<Self>,
        streams: &Streams,
        membership: Membership,
        replay: Replay,
    ) -> Result<(), SseError> {
        self.change(|parts, effects| {
            let hub = &streams.hub;
            let head = parts.keep_up(hub, self.request(), effects);
            // Another task may have joined or ended meanwhile.
            if !parts.may_join(hub, &membership.topic.name)? {
                return Ok(());
            }
            match self.request() {
                Some(request) if parts.head == HeadStage::Left => {
                    parts.join_late(request, head, (membership, replay), effects);
                }
                // Missed events are reported where the stream begins.
                _ => drop(parts.take_in(streams, membership, replay)),
            }
            if parts.lifecycle.is_live() {
                parts.join_everyone(hub);
            }
            effects.wake(&mut parts.task);
            Ok(())
        })
    }

    /// Leaves a topic. Events published to it that are not yet written are dropped.
    pub(crate) fn leave(self: &Arc<Self>, topic: &str) {
        self.change(|parts, effects| {
            parts.deferred.leave(topic);
            if topic != EVERYONE {
                parts.reader.leave(|joined| *joined.topic.name == *topic);
            }
            // Other topics may have waited for this one to catch up.
            effects.wake(&mut parts.task);
        });
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        let parts = lock(&self.parts);
        let joined = parts.joined().map(|joined| joined.topic.name.to_string());
        let wanted = parts.deferred.wanted().map(str::to_owned);
        joined.chain(wanted).collect()
    }

    pub(crate) fn is_in(&self, topic: &str) -> bool {
        lock(&self.parts).is_in(topic)
    }

    /// Makes the histories of the topics reach back to where the client begins, as far as the backplane remembers.
    ///
    /// # Errors
    ///
    /// If they do not reach back, and the backplane cannot be reached. Another server may know the events that are
    /// missing here.
    pub(crate) async fn reach_back(&self, request: &StreamRequest) -> Result<(), SseError> {
        let streams = &request.route.streams;
        let Some(replication) = streams.replication() else {
            return Ok(());
        };
        let (after, mut topics) = {
            let parts = lock(&self.parts);
            let joined = parts.joined().map(|joined| Arc::clone(&joined.topic));
            let topics: Vec<_> = joined.collect();
            (parts.begins_after(Some(request)), topics)
        };
        if request.begins_earliest() {
            let topics: Vec<_> = topics.iter().collect();
            replication.fetch_newest(&topics, usize::MAX).await;
        }
        if let Some(after) = after.filter(|_| !topics.is_empty()) {
            topics.push(Arc::clone(&streams.hub.topics.everyone));
            let topics: Vec<_> = topics.iter().collect();
            replication.reach_back(&topics, after).await;
            let reaches = |topic: &&Arc<Topic>| topic.lock().ring.floor() <= after.seq();
            if !topics.iter().all(reaches) {
                replication.reached().map_err(SseError::Backplane)?;
            }
        }
        Ok(())
    }

    /// Joins the topic of broadcasts. A plain stream that has joined no topic does not, because its client takes all
    /// events for its answer.
    pub(super) fn join_everyone(self: &Arc<Self>, request: &StreamRequest) {
        let hub = request.route.hub();
        self.change(|parts, effects| {
            parts.keep_up(hub, Some(request), effects);
            if !request.route.options.plain || parts.joined().next().is_some() {
                parts.join_everyone(hub);
            }
        });
    }
}

impl Parts {
    /// Returns false if the stream is in the topic already.
    fn may_join(&self, hub: &Hub, topic: &str) -> Result<bool, SseError> {
        if let Some(reason) = self.lifecycle.closed_reason() {
            return Err(SseError::Closed(reason));
        }
        if self.joined().any(|joined| joined.is_of(topic)) {
            return Ok(false);
        }
        let limit = hub.options().max_topics_per_connection;
        if self.joined().count() >= limit {
            return Err(SseError::TooManyJoined { limit });
        }
        Ok(true)
    }

    /// Joins the topic of broadcasts, unless the stream is in it.
    fn join_everyone(&mut self, hub: &Hub) {
        if !self.reader.topics().all(Membership::is_named) {
            return;
        }
        // Only a removed topic accepts no member, and this one is never removed.
        if let Some(everyone) = Membership::new(Arc::clone(&hub.topics.everyone)) {
            self.reader.join(Subscription::new(everyone, || hub.head()));
        }
    }

    /// Joins a topic while the stream is running.
    fn join_late(
        &mut self,
        request: &StreamRequest,
        head: u64,
        (membership, replay): (Membership, Replay),
        effects: &mut Effects,
    ) {
        let streams = &request.route.streams;
        let hub = &streams.hub;
        let is_first = !self.reader.uses_ids();
        if is_first {
            self.reader.use_ids_from(head);
        }
        let topic = membership.topic.name.to_string();
        let missed = self.take_in(streams, membership, replay);
        let reset = missed.map(|missed| SseReset::new(missed, vec![topic]));
        let plain = request.route.options.plain;
        if is_first && request.route.sends_snapshots() && !(plain && reset.is_some()) {
            let resets = reset.into_iter().collect();
            self.begin_with_snapshot(request, head, resets, effects);
            return;
        }
        if is_first && !plain {
            let id = Some(self.id_of(head).to_string());
            let ready = control::ready(hub.options(), self.reader.id(), id, false);
            self.reader.push_position(head, ready);
        }
        if let Some(reset) = reset {
            self.reset(request, reset, effects);
        }
    }

    /// Adds a topic, and returns the reason if it cannot begin where it should.
    fn take_in(
        &mut self,
        streams: &Streams,
        membership: Membership,
        replay: Replay,
    ) -> Option<ResetReason> {
        let hub = &streams.hub;
        let epoch = self.reader.epoch();
        let mut subscription = Subscription::new(membership, || hub.head());
        let replayed = subscription.replay(replay, |id| streams.position_of(id, epoch));
        // A topic that was finished long ago may have made room for another one of its name.
        let name = Arc::clone(&subscription.topic.topic.name);
        self.reader.leave(|before| *before.topic.name == *name);
        self.reader.join(subscription);
        replayed.err()
    }

    /// Returns the topics that were joined.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Membership> {
        let all = self.reader.topics();
        all.filter(|joined| joined.is_named())
    }

    fn is_in(&self, topic: &str) -> bool {
        self.joined().any(|joined| *joined.topic.name == *topic)
    }

    /// Returns the names of the topics with these indexes.
    pub(super) fn names(&self, indexes: &[usize]) -> Vec<String> {
        let named = self.reader.topics().enumerate();
        let named = named.filter(|(index, _)| indexes.contains(index));
        named.map(|(_, log)| log.topic.name.to_string()).collect()
    }
}
