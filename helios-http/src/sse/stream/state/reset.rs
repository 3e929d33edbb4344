//! Resets and snapshots. A client that has missed events gets a reset, and the hooks answer before it reads on. They
//! also answer for a client that has no position yet.
//!
//! 1. A reset is sent as soon as it is known, before everything that is still to be read.
//! 2. If there are hooks, the reader is held there. They run in a task of their own (`hook_tasks.rs`).
//! 3. Their answers are written right after the reset, and everything else comes after them.
//! 4. Resets that come meanwhile are also sent at once, and are answered together after the current one.
//! 5. A reset of reason `epoch` covers all topics, and earlier numbers mean nothing after it, see [`Parts::keep_up`].
//! 6. A fresh client of a route with a snapshot hook is held where it begins. It gets no id until its snapshot is
//!    written, not even with a reset that comes meanwhile. If it is cut before, it is fresh again, and gets another
//!    snapshot.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use helios_core::sse::{CloseReason, ResetReason, SnapshotReason, SseReset, SseSnapshot};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::hub::topics::Membership;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::hook_tasks::{self, Question};
use crate::sse::stream::route::StreamRequest;

/// The work for the hooks, once the stream's state is unlocked.
pub(super) struct PendingAnswer {
    /// The argument of the snapshot hooks.
    snapshot: SseSnapshot,
    /// The argument of the reset hooks.
    reset: Option<SseReset>,
    /// The answers of the hooks are written right after this number, and before everything after it.
    at: u64,
    /// Whether all other streams may have to be answered at the same time.
    is_for_all: bool,
}

impl PendingAnswer {
    fn of(reset: SseReset, at: u64) -> Self {
        let reason = SnapshotReason::Reset(reset.reason);
        let is_for_all = reset.reason == ResetReason::Epoch;
        Self {
            is_for_all,
            snapshot: SseSnapshot::new(reason, reset.topics.clone()),
            reset: Some(reset),
            at,
        }
    }

    /// Combines two answers. A fresh client needs all of its topics, whatever resets it gets for some.
    fn and(self, later: Self) -> Self {
        let reason = match self.snapshot.reason {
            SnapshotReason::Fresh => SnapshotReason::Fresh,
            _ => later.snapshot.reason,
        };
        let topics = all_of(self.snapshot.topics, later.snapshot.topics);
        let reset = match (self.reset, later.reset) {
            (Some(before), Some(later)) => {
                let topics = all_of(before.topics, later.topics);
                Some(SseReset::new(later.reason, topics))
            }
            (before, later) => before.or(later),
        };
        Self {
            snapshot: SseSnapshot::new(reason, topics),
            reset,
            at: later.at,
            is_for_all: self.is_for_all || later.is_for_all,
        }
    }

    /// Calls the hooks, for the answer of this number.
    pub(super) fn ask(self, stream: &Arc<StreamState>, number: u64) {
        if let Some(request) = stream.request() {
            let handle = SseStream::answering(Arc::clone(stream), number);
            let question = Question {
                snapshot: self.snapshot,
                reset: self.reset,
                is_for_all: self.is_for_all,
            };
            hook_tasks::spawn_answer(handle, request, question);
        }
    }
}

/// Returns each of these names once.
fn all_of(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl StreamState {
    /// Ends an answer of the hooks. If a reset came meanwhile, they answer it now. Otherwise the reader reads on.
    pub(crate) fn hooks_answered(self: &Arc<Self>) {
        self.change(|parts, effects| {
            parts.reader.unpause();
            match parts.next_answer.take() {
                Some(next) => parts.begin_answer(*next, effects),
                // Its position is the next id that it gets.
                None => parts.awaits_snapshot = false,
            }
            effects.wake(&mut parts.task);
        });
    }

    /// Handles a hook that failed. The client should come back, and is then reset, or fresh, again. If an end waits for
    /// the answer, the response breaks off.
    pub(crate) fn hook_failed(self: &Arc<Self>) {
        self.send_away(CloseReason::Error);
        self.change(|parts, effects| {
            if parts.reader.is_held_back() {
                parts.reader.abandon().for_each(drop);
                parts.reader.unpause();
                parts.breaks_off = true;
                effects.wake(&mut parts.task);
            }
        });
    }
}

impl Parts {
    /// Returns the hub's head in the epoch of this stream. If another epoch has begun, the stream moves to it first.
    /// All code that reads, or takes a number, calls this first, so that nothing of the new epoch is written before its
    /// client is reset.
    ///
    /// 1. The client gets a reset of all topics, before everything that is still to be read, like any reset. The reset
    ///    has the id that the client has already.
    /// 2. Every number that the stream keeps is of the old epoch. The reader drops its own
    ///    ([`Subscriber::go_over`](helios_core::hub::Subscriber::go_over)), and this drops those of the hooks' pending
    ///    answers. No other numbers are kept. The handle of a hook identifies its answer by the count of answers before
    ///    it.
    /// 3. A position that waits to be sent is void. Until the next position, or an event of the new epoch, has been
    ///    written, everything that contains the client's id contains its previous one ([`Parts::last_told`]). If the
    ///    client is cut before that, it comes back with this id, and is reset again.
    /// 4. The same holds if several epochs follow one another. The hooks finish their current answer, and then give one
    ///    answer for everything after it.
    /// 5. A number may still be taken from the head of a newer epoch, if that begins between this call and the use of
    ///    the number. This does no harm. Nothing is read before the stream calls this again, and then the number is
    ///    dropped.
    ///
    /// A stream without topics has sent nothing that could be void. It only continues to count in the new epoch.
    pub(super) fn keep_up(
        &mut self,
        hub: &Hub,
        request: Option<&StreamRequest>,
        effects: &mut Effects,
    ) -> u64 {
        match hub.head_of(self.reader.epoch()) {
            Some(head) => head,
            None => self.go_over(hub, request, effects),
        }
    }

    #[cold]
    fn go_over(
        &mut self,
        hub: &Hub,
        request: Option<&StreamRequest>,
        effects: &mut Effects,
    ) -> u64 {
        let newest = hub.newest_id();
        let all: Vec<_> = (0..self.reader.topics().count()).collect();
        let reset = SseReset::new(ResetReason::Epoch, self.names(&all));
        // Before the head leaves, broadcasts are resumed too, once the first topic is joined.
        let has_topics = self.joined().next().is_some() || self.reader.uses_ids();
        self.begins_anew |= self.head < HeadStage::Left && !all.is_empty();
        // The name of a removed topic may belong to another topic by now, which only its client can join.
        let mut is_gone = false;
        while self.reader.leave(Membership::is_removed).is_some() {
            is_gone = true;
        }
        let told = request.filter(|request| {
            let begun = self.head == HeadStage::Left && self.lifecycle.is_well();
            begun && has_topics && !is_gone && !request.route.options.plain
        });
        if has_topics {
            self.reader.outbox.drop_positions(|_| true);
        }
        let last = self.last_told();
        if let Some(request) = told {
            let id = Some(last.clone()).filter(|_| !self.awaits_snapshot);
            let told = control::reset(request.route.hub().options(), id, &reset);
            self.reader.push_control(self.reader.position(), told);
        }
        self.id_before = self.reader.uses_ids().then(|| last.into_boxed_str());
        self.reader.go_over(newest.epoch());
        if let Some(next) = &mut self.next_answer {
            next.at = self.reader.position();
        }
        effects.wake(&mut self.task);
        self.gone_over((told, request), has_topics, is_gone, reset, effects);
        newest.seq()
    }

    /// Handles the stream in the new epoch, and its client.
    fn gone_over(
        &mut self,
        (told, request): (Option<&StreamRequest>, Option<&StreamRequest>),
        has_topics: bool,
        is_gone: bool,
        reset: SseReset,
        effects: &mut Effects,
    ) {
        match (told, request) {
            _ if !has_topics || self.lifecycle.finished_reason().is_some() => {}
            // Events that it has not read before its end are not available any more.
            _ if self.lifecycle.is_live() && !self.lifecycle.is_well() => self.keep_last_words(),
            (Some(request), _) => self.behind_reset(request, reset, effects),
            (None, Some(request)) if is_gone => {
                let ending = request.route.reconnect_ending(CloseReason::ServerClosed);
                self.end(Some(request), &ending, effects);
            }
            // The reset is sent where it begins.
            _ if self.head < HeadStage::Left => {}
            (None, Some(request)) => {
                self.end_at_hole(request, close_reason(reset.reason), effects);
            }
            (None, None) => {}
        }
    }

    /// Resets the client at once, before everything that is still to be read. If it is cut before it gets the reset, it
    /// comes back with an id from before the gap.
    pub(super) fn reset(
        &mut self,
        request: &StreamRequest,
        reset: SseReset,
        effects: &mut Effects,
    ) {
        if self.head < HeadStage::Left && self.joined().next().is_some() {
            self.deferred.reset(reset);
            return;
        }
        if request.route.options.plain {
            return self.end_at_hole(request, close_reason(reset.reason), effects);
        }
        let hub = request.route.hub();
        let id = Some(self.last_told()).filter(|_| self.reader.uses_ids() && !self.awaits_snapshot);
        let told = control::reset(hub.options(), id, &reset);
        self.reader.push_control(self.reset_at(hub), told);
        self.behind_reset(request, reset, effects);
    }

    /// Begins after `position` with a snapshot. `resets` describe the events after that position that are not
    /// available.
    pub(super) fn begin_with_snapshot(
        &mut self,
        request: &StreamRequest,
        position: u64,
        resets: Vec<SseReset>,
        effects: &mut Effects,
    ) {
        if !request.route.options.plain {
            self.tell_of_snapshot(request.route.hub(), position, &resets);
        }
        let names = self.reader.topics().map(|log| log.topic.name.to_string());
        let fresh = PendingAnswer {
            snapshot: SseSnapshot::new(SnapshotReason::Fresh, names.collect()),
            reset: None,
            at: position,
            is_for_all: false,
        };
        // The hooks run once for all of them, so each topic has one snapshot.
        let resets = resets.into_iter();
        let resets = resets.map(|reset| PendingAnswer::of(reset, position));
        self.hold_for(resets.fold(fresh, PendingAnswer::and), effects);
    }

    /// Returns the number after which a reset is written.
    fn reset_at(&self, hub: &Hub) -> u64 {
        // A client from another server may be ahead of this one, which is no reason to wait.
        self.reader.position().min(hub.head())
    }

    /// Queues what follows a reset: the answer of the hooks, and the new position when everything published so far has
    /// been written. A stream that ends does not get to it.
    pub(super) fn behind_reset(
        &mut self,
        request: &StreamRequest,
        reset: SseReset,
        effects: &mut Effects,
    ) {
        let hub = request.route.hub();
        let ends = self.lifecycle.is_closing();
        if self.reader.uses_ids() && !ends {
            let head = hub.head();
            let id = self.id_of(self.reader.position().max(head));
            let id = Some(id.to_string());
            let ready = control::ready(hub.options(), self.reader.id(), id, false);
            self.reader.push_position(head, ready);
        }
        let at = self.reset_at(hub);
        if request.route.answers_resets() {
            self.hold_for(PendingAnswer::of(reset, at), effects);
        }
    }

    /// Queues the resets, and after the snapshot the position.
    fn tell_of_snapshot(&mut self, hub: &Hub, position: u64, resets: &[SseReset]) {
        let (options, client) = (hub.options(), self.reader.id());
        let mut first = vec![control::ready(options, client, None, false)];
        let told = resets.iter();
        first.extend(told.map(|reset| control::reset(options, None, reset)));
        self.reader.push_control_first(first);
        let id = Some(self.id_of(position).to_string());
        let ready = control::ready(options, client, id, false);
        self.reader.push_position(position, ready);
        self.awaits_snapshot = true;
    }

    /// Holds the reader until the hooks have answered, after those answers that began before.
    fn hold_for(&mut self, pending: PendingAnswer, effects: &mut Effects) {
        if self.reader.paused_at().is_none() {
            self.begin_answer(pending, effects);
            return;
        }
        self.next_answer = Some(Box::new(match self.next_answer.take() {
            Some(before) => before.and(pending),
            None => pending,
        }));
    }

    fn begin_answer(&mut self, pending: PendingAnswer, effects: &mut Effects) {
        self.reader.pause_at(pending.at);
        self.answers += 1;
        effects.answer = Some((pending, self.answers));
    }

    /// Returns the number after which this answer of the hooks is written, as long as the reader is held there for it.
    /// Answers are identified by their count, because the reader may be held at the same number in two epochs.
    pub(super) fn answers(&self, answer: Option<u64>) -> Option<u64> {
        let at = self.reader.paused_at();
        at.filter(|_| answer == Some(self.answers))
    }
}

/// Returns why a plain stream ends, which cannot report a reset.
fn close_reason(reason: ResetReason) -> CloseReason {
    match reason {
        ResetReason::Slow => CloseReason::SlowClient,
        _ => CloseReason::Error,
    }
}
