//! Where a client begins, and which ids it is told.
//!
//! A client that is cut brings back the last id that it was told. So an id is told only if, for every topic that is
//! resumed, the client has everything up to it, from where that topic began for it, or has been told otherwise. These are
//! all the places that tell one, and why each is true:
//!
//! 1. **`ready`, the first event, or `helios-position`, a header of a plain stream** ([`Parts::begin`]). It is the earliest number at which any topic begins, and nothing has
//!    been written before it. Each topic's own beginning is at or above it and is exact: the head is loaded under the
//!    topic's lock ([`Subscription::new`](helios_core::hub::Subscription::new)). It is worked out when the response head
//!    leaves, when no further join can change it. A client that is reset at once is told no id that would hide that if
//!    it were cut before the reset: it keeps the one that it has brought, or has none until then.
//! 2. **Published events.** A reader merges its topics by number and never writes an event above the hub's head that it
//!    loaded before it looked at them, so that what is written with an id comes after everything below that id. What turns
//!    up below the position, a late replay or an event that had to be fetched, is written without its id.
//! 3. **`reset`** ([`Parts::reset`], and [`Parts::keep_up`] for another epoch). It is told before all that is still to be read and has the position: the client has
//!    that already, or has read everything up to it that was for it. It has an id at all because several clients take an
//!    event without one to mean that they have none any more. At the beginning a reset has the id that the client has
//!    brought; one that has brought none gets its first with the last reset.
//! 4. **`ready` behind a reset, or behind the first join of a running stream.** It tells the head of that moment, and is
//!    written when everything up to that number has been and the hooks have answered
//!    ([`QueuedKind::Position`](helios_core::hub::QueuedKind)). It is taken back if an end comes first.
//! 5. **`ready` behind the snapshot of a fresh client** ([`Parts::begin_with_snapshot`]). It tells what the first `ready` would
//!    have told: where the earliest topic begins. Nothing published has been written before it, as the reader is paused
//!    there. The client is told no id before, not even with a reset that comes meanwhile, and this one only when the hooks have
//!    answered ([`QueuedKind::Position`](helios_core::hub::QueuedKind)); an end that comes first takes it back. So a client that
//!    has an id has had its snapshot, and that was taken when the position was reached.
//! 6. **`overloaded`** gives the client its own id back. **`end`** has the end mark, which is no position.
//!
//! A slow client that is closed leaves its topics first: an event written behind a hole would hide the hole from the next
//! connection.
//!
//! Private events, `reconnect` and `error` have no id. All ids are of the epoch of the stream's reader ([`Parts::id_of`]). Where another
//! begins, the stream goes over to it ([`Parts::keep_up`]): the reset has the id of before, as do all that follow until a position
//! or an event of the new epoch is written ([`Parts::last_told`]). A client that brings an id of an epoch that is over is reset,
//! whatever its number: so nothing that such an id says of missing events can be wrong.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use helios_core::hub::{EventId, Replay};
use helios_core::sse::{CloseReason, ResetReason, SseReset};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::control;
use crate::sse::hub::topics::Membership;
use crate::sse::options::StreamOptions;
use crate::sse::stream::route::StreamRequest;

/// What a client without an id brings instead, to be given all that there is.
const EARLIEST: &str = "earliest";

impl StreamRequest {
    /// The id that the client has seen last.
    pub(crate) fn last_seen(&self) -> Option<&str> {
        let id = self.last_event_id.as_deref();
        id.filter(|id| *id != EARLIEST)
    }

    /// Whether the topics that it joins begin with the earliest event, unless they were asked to begin elsewhere.
    pub(super) fn begins_earliest(&self) -> bool {
        self.last_event_id.as_deref() == Some(EARLIEST)
    }

    /// The number in this epoch after which the client wants to go on, or why that cannot be.
    fn resumes_at(&self, epoch: u64) -> Option<Result<u64, ResetReason>> {
        let id = self.last_seen()?;
        let id = id.parse().map_err(|_| ResetReason::Unknown);
        Some(id.and_then(|id| self.route.streams.position_of(id, epoch)))
    }
}

/// What comes of a stream when its head may leave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It opens. A plain one tells its position in the head.
    Open(Option<EventId>),
    /// The client of a plain stream is to begin anew: history does not reach back to where it would go on.
    Gone,
    /// The client of a plain stream has seen its topics to their ends.
    Over,
    /// The client of a plain stream is to come back: it has been decided to send it away.
    SentAway,
}

impl StreamState {
    /// The response head leaves now.
    pub(crate) fn begin(self: &Arc<Self>) -> Beginning {
        match self.request() {
            Some(request) => self.change(|parts, effects| {
                parts.keep_up(request.route.hub(), Some(request), effects);
                let is_over = parts.has_had_all(request) && self.is_left_alone();
                match is_over {
                    true => Beginning::Over,
                    false => parts.begin(request, effects),
                }
            }),
            None => Beginning::Open(None),
        }
    }
}

impl Parts {
    /// Whether the client of a plain stream, which knows no end mark, brings an id up to which it has everything that its topics
    /// will ever have.
    fn has_had_all(&self, request: &StreamRequest) -> bool {
        let StreamOptions { plain, restart, .. } = request.route.options;
        let last = request.resumes_at(self.reader.epoch());
        let last = last.and_then(Result::ok);
        let has_all = |seq| self.reader.finished_by(seq, Membership::is_named);
        plain && !restart && self.is_driven && last.is_some_and(has_all)
    }

    /// Puts the reader where it begins, if it has joined topics, and tells the client before everything else. The response
    /// head leaves now: what is joined from here on begins when it is joined.
    fn begin(&mut self, request: &StreamRequest, effects: &mut Effects) -> Beginning {
        self.head = HeadStage::Left;
        let hub = request.route.hub();
        let has_failed = self.lifecycle.closed_reason() == Some(CloseReason::Error);
        if request.route.options.plain && self.breaks_off && !has_failed {
            return Beginning::SentAway;
        }
        if self.joined().next().is_none() {
            return Beginning::Open(None);
        }
        if request.begins_earliest() {
            self.replay_earliest();
        }
        let last = request.resumes_at(self.reader.epoch());
        let start = self.reader.start(last.and_then(Result::ok));
        let (missed, id) = match last {
            Some(Err(reason)) => {
                let all = 0..self.reader.topics().count();
                let missed = all.map(|topic| (topic, reason)).collect();
                self.id_before = request.last_event_id.as_deref().map(Box::from);
                (missed, request.last_event_id.clone())
            }
            Some(Ok(_)) | None => {
                let id = self.id_of(start.position).to_string();
                (start.missed, Some(id))
            }
        };
        let resumed = matches!(last, Some(Ok(_))) && missed.is_empty();
        let mut resets = self.by_reason(&missed);
        resets.extend(self.deferred.take_resets());
        let plain = request.route.options.plain;
        // A client that brings an id begins with that. One that brings none has missed what came between its joins and the
        // new epoch.
        if self.begins_anew && last.is_none() {
            if plain {
                return Beginning::SentAway;
            }
            let all: Vec<_> = (0..self.reader.topics().count()).collect();
            resets.push(SseReset::new(ResetReason::Epoch, self.names(&all)));
        }
        if plain && !resets.is_empty() {
            return Beginning::Gone;
        }
        if last.is_none() && request.route.sends_snapshots() {
            self.begin_with_snapshot(request, start.position, resets, effects);
            return Beginning::Open(None);
        }
        if plain {
            return Beginning::Open(Some(self.id_of(start.position)));
        }
        // A client without an id gets its first one with the last of these.
        let early = id.clone().filter(|_| last.is_some() || resets.is_empty());
        let (options, client) = (hub.options(), self.reader.id());
        let mut first = vec![control::ready(options, client, early.clone(), resumed)];
        for (n, reset) in resets.iter().enumerate() {
            let is_last = n + 1 == resets.len();
            let id = if is_last { &id } else { &early };
            first.push(control::reset(options, id.clone(), reset));
        }
        self.reader.push_control_first(first);
        // The first is answered now; the others follow it.
        for reset in resets {
            self.behind_reset(request, reset, effects);
        }
        Beginning::Open(None)
    }

    /// Every topic that was joined begins with its earliest event, unless it was asked to begin elsewhere.
    fn replay_earliest(&mut self) {
        let all = self.reader.subscriptions().iter_mut();
        let unasked = all.filter(|joined| joined.topic.is_named() && !joined.is_asked_to_replay());
        for subscription in unasked {
            // It asks for what there is, so there is nothing to miss.
            let _ = subscription.replay(Replay::Earliest, |id| Ok(id.seq()));
        }
    }

    /// The id behind which what is joined before the response head leaves begins.
    pub(crate) fn begins_after(&self, request: Option<&StreamRequest>) -> Option<EventId> {
        let epoch = self.reader.epoch();
        let last = request.and_then(|request| request.resumes_at(epoch)?.ok());
        let seq = last.or_else(|| self.reader.first_join())?;
        Some(self.id_of(seq))
    }

    /// The id of a position of this stream.
    pub(super) fn id_of(&self, seq: u64) -> EventId {
        EventId::new(self.reader.epoch(), seq)
    }

    /// The id that the client brings back if it is cut now. One that was reset has its id of before, until it has been written
    /// another.
    pub(super) fn last_told(&self) -> String {
        let before = self.id_before.as_deref();
        match before.filter(|_| !self.reader.has_told()) {
            Some(before) => before.to_owned(),
            None => self.id_of(self.reader.position()).to_string(),
        }
    }

    /// One reset for all topics that are missed for the same reason.
    fn by_reason(&self, missed: &[(usize, ResetReason)]) -> Vec<SseReset> {
        let mut reasons: Vec<ResetReason> = Vec::new();
        for (_, reason) in missed {
            if !reasons.contains(reason) {
                reasons.push(*reason);
            }
        }
        let topics = |reason| {
            let missed = missed.iter().filter(move |(_, of)| *of == reason);
            missed.map(|(topic, _)| *topic).collect::<Vec<_>>()
        };
        let reset = |reason| SseReset::new(reason, self.names(&topics(reason)));
        reasons.into_iter().map(reset).collect()
    }
}
