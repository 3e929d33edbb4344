//! The position at which a client begins, and the ids that it gets.
//!
//! A client that is cut sends the last id that it got. So an id is sent only if the client has everything up to it, for
//! every topic that is resumed, from where that topic began for it, or has been reset. These are all the places that
//! send an id, and why each is correct.
//!
//! 1. **`ready`, the first event, or `helios-position`, a header of a plain stream** ([`Parts::begin`]). It is the
//!    earliest number at which any topic begins, and nothing has been written before it. Each topic's own beginning is
//!    at or above it and is exact, because the head is loaded under the topic's lock
//!    ([`Subscription::new`](helios_core::hub::Subscription::new)). The number is computed when the response head
//!    leaves, when no further join can change it. A client that is reset at once gets no id that would hide the reset
//!    if it were cut before it. It keeps the id that it has sent, or has none until the reset.
//! 2. **Published events.** A reader merges its topics by number. It never writes an event above the hub's head that it
//!    loaded before it looked at the topics. So an event written with an id comes after everything below that id.
//!    Events below the position, from a late replay or a fetch, are written without their ids.
//! 3. **`reset`** ([`Parts::reset`], and [`Parts::keep_up`] for another epoch). It comes before everything that is
//!    still to be read, and has the position. The client has that position already, or has read everything up to it
//!    that was for it. The reset has an id at all because several clients forget their id after an event without one.
//!    At the beginning, a reset has the id that the client has sent. A client that has sent none gets its first id with
//!    the last reset.
//! 4. **`ready` after a reset, or after the first join of a running stream.** It contains the head of that moment,
//!    and is written when everything up to that number has been written and the hooks have answered
//!    ([`QueuedKind::Position`](helios_core::hub::QueuedKind)). It is taken back if an end comes first.
//! 5. **`ready` after the snapshot of a fresh client** ([`Parts::begin_with_snapshot`]). It contains the same position
//!    as the first `ready` would have, where the earliest topic begins. No published event has been written before it,
//!    as the reader is paused there. The client gets no id before it, not even with a reset that comes meanwhile. It
//!    gets this id only when the hooks have answered ([`QueuedKind::Position`](helios_core::hub::QueuedKind)), and an
//!    end that comes first takes it back. So a client that has an id has had its snapshot, and the snapshot was taken
//!    when the position was reached.
//! 6. **`overloaded`** returns the client's own id. **`end`** has the end mark, which is not a position.
//!
//! A slow client that is closed leaves its topics first. Otherwise an event written after a hole would hide the hole
//! from the next connection.
//!
//! Private events, `reconnect` and `error` have no id. All ids are of the epoch of the stream's reader
//! ([`Parts::id_of`]). When another epoch begins, the stream moves to it ([`Parts::keep_up`]). The reset has the
//! previous id, and so do all events that follow until a position or an event of the new epoch is written
//! ([`Parts::last_told`]). A client that sends an id of a past epoch is reset, whatever its number. So such an id
//! cannot hide missing events.

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

/// The value that a client without an id sends instead to get all events.
const EARLIEST: &str = "earliest";

impl StreamRequest {
    /// Returns the id that the client has seen last.
    pub(crate) fn last_seen(&self) -> Option<&str> {
        let id = self.last_event_id.as_deref();
        id.filter(|id| *id != EARLIEST)
    }

    /// Whether the topics that it joins begin with the earliest event, unless a join says otherwise.
    pub(super) fn begins_earliest(&self) -> bool {
        self.last_event_id.as_deref() == Some(EARLIEST)
    }

    /// Returns the number in this epoch after which the client resumes, or the reason why it cannot.
    fn resumes_at(&self, epoch: u64) -> Option<Result<u64, ResetReason>> {
        let id = self.last_seen()?;
        let id = id.parse().map_err(|_| ResetReason::Unknown);
        Some(id.and_then(|id| self.route.streams.position_of(id, epoch)))
    }
}

/// The outcome when the head of a stream may leave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The stream opens. A plain one sends its position in the head.
    Open(Option<EventId>),
    /// The client of a plain stream must begin again, because history does not reach back to where it would resume.
    Gone,
    /// The client of a plain stream has seen its topics to their ends.
    Over,
    /// The client of a plain stream should come back, because it was already decided to send it away.
    SentAway,
}

impl StreamState {
    /// Begins the stream. The response head leaves now.
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
    /// Whether the client of a plain stream has sent an id up to which it has everything that its topics will ever
    /// contain. Such a client knows no end mark.
    fn has_had_all(&self, request: &StreamRequest) -> bool {
        let StreamOptions { plain, restart, .. } = request.route.options;
        let last = request.resumes_at(self.reader.epoch());
        let last = last.and_then(Result::ok);
        let has_all = |seq| self.reader.finished_by(seq, Membership::is_named);
        plain && !restart && self.is_driven && last.is_some_and(has_all)
    }

    /// Puts the reader where it begins, if it has joined topics, and queues the first events for the client. The
    /// response head leaves now, so topics that are joined from here on begin when they are joined.
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
        // A client that sends an id begins there. A client without one has missed the events between its joins and the
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
        // The hooks answer the first now, and the others after it.
        for reset in resets {
            self.behind_reset(request, reset, effects);
        }
        Beginning::Open(None)
    }

    /// Lets every topic that was joined begin with its earliest event, unless its join says otherwise.
    fn replay_earliest(&mut self) {
        let all = self.reader.subscriptions().iter_mut();
        let unasked = all.filter(|joined| joined.topic.is_named() && !joined.is_asked_to_replay());
        for subscription in unasked {
            // It requests the events that there are, so none can be missing.
            let _ = subscription.replay(Replay::Earliest, |id| Ok(id.seq()));
        }
    }

    /// Returns the id after which topics begin that are joined before the response head leaves.
    pub(crate) fn begins_after(&self, request: Option<&StreamRequest>) -> Option<EventId> {
        let epoch = self.reader.epoch();
        let last = request.and_then(|request| request.resumes_at(epoch)?.ok());
        let seq = last.or_else(|| self.reader.first_join())?;
        Some(self.id_of(seq))
    }

    /// Returns the id of a position of this stream.
    pub(super) fn id_of(&self, seq: u64) -> EventId {
        EventId::new(self.reader.epoch(), seq)
    }

    /// Returns the id that the client would send if it were cut now. A client that was reset has its previous id until
    /// another one has been written.
    pub(super) fn last_told(&self) -> String {
        let before = self.id_before.as_deref();
        match before.filter(|_| !self.reader.has_told()) {
            Some(before) => before.to_owned(),
            None => self.id_of(self.reader.position()).to_string(),
        }
    }

    /// Returns one reset for all topics that are missed for the same reason.
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
