//! Resets and snapshots: a client that has missed events is told so, and the hooks answer before it reads on. So they do for
//! a client that has no position yet.
//!
//! 1. A reset is told as soon as it is known, before all that is still to be read.
//! 2. If there are hooks, the reader is held there. They run in a task of their own (`hook_tasks.rs`).
//! 3. Their answers are written right behind the reset, and only then comes what follows.
//! 4. Resets that come meanwhile are told at once too, and answered together, as the next one.
//! 5. A reset of reason `epoch` is one of all topics, and no number of before means anything behind it: see [`Parts::keep_up`].
//! 6. A fresh client of a route with a snapshot hook is held where it begins. It is told no id until its snapshot is
//!    written, by a reset that comes meanwhile neither: cut before, it is fresh again, and gets the snapshot anew.

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

/// What the hooks have to answer, once the stream's state is unlocked.
pub(super) struct PendingAnswer {
    /// For the snapshot hooks.
    snapshot: SseSnapshot,
    /// For the reset hooks.
    reset: Option<SseReset>,
    /// The answers of the hooks are written right behind this number, and before everything after it.
    at: u64,
    /// All other streams may have to be answered at the same time.
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

    /// Both in one. A fresh client needs all of its topics, whatever else it is told of some.
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

    /// Asks the hooks. It is the answer of this number.
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

/// Each of these names once.
fn all_of(mut names: Vec<String>, more: Vec<String>) -> Vec<String> {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl StreamState {
    /// The hooks have answered. If a reset came meanwhile it is theirs now, else what follows may be read.
    pub(crate) fn hooks_answered(self: &Arc<Self>) {
        self.change(|parts, effects| {
            parts.reader.unpause();
            match parts.next_answer.take() {
                Some(next) => parts.begin_answer(*next, effects),
                // Its position is the next that it is told.
                None => parts.awaits_snapshot = false,
            }
            effects.wake(&mut parts.task);
        });
    }

    /// A hook could not answer: the client is to come back, and to be reset, or fresh, again. Where an end waits for the
    /// answer, the response breaks off.
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
    /// Returns the hub's head, in the epoch of this stream. If another one has begun, the stream goes over to it before. Whatever
    /// reads, or takes a number, comes here first, so that nothing of the new epoch is written before its client is told.
    ///
    /// 1. Its client is told a reset of all topics, where a reset is always told: before all that is still to be read. It has the id
    ///    that the client has already.
    /// 2. Every number that the stream keeps is of the old epoch. The reader gives up its own
    ///    ([`Subscriber::go_over`](helios_core::hub::Subscriber::go_over)), and here those of what the hooks are to answer are given
    ///    up. Nothing else keeps one: a hook's handle knows its answer by how many there were before.
    /// 3. A position that waits to be told is void. Until the next one, or an event of the new epoch, has been written, what tells
    ///    the client's id tells the last one of before ([`Parts::last_told`]): cut until then, it comes back with that, and is
    ///    reset again.
    /// 4. So it is if epochs follow one another. What the hooks are answering goes on, and what they are to answer behind that is
    ///    one.
    /// 5. A number may still be taken of a head that is of a newer epoch, if that begins between this and then. It does no harm:
    ///    nothing is read before the stream comes here again, and then the number is given up.
    ///
    /// To a stream that has no topics nothing has been told that could be void. It only goes on to count in the new epoch.
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
        // Before the head leaves, what everybody gets is resumed too, once the first topic is joined.
        let has_topics = self.joined().next().is_some() || self.reader.uses_ids();
        self.begins_anew |= self.head < HeadStage::Left && !all.is_empty();
        // The name of one that was removed may be another topic's by now: only its client can join that.
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

    /// What becomes of the stream in the new epoch, and of its client.
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
            // What it has not read before its end is not to be had any more.
            _ if self.lifecycle.is_live() && !self.lifecycle.is_well() => self.keep_last_words(),
            (Some(request), _) => self.behind_reset(request, reset, effects),
            (None, Some(request)) if is_gone => {
                let ending = request.route.reconnect_ending(CloseReason::ServerClosed);
                self.end(Some(request), &ending, effects);
            }
            // It is told with where it begins.
            _ if self.head < HeadStage::Left => {}
            (None, Some(request)) => {
                self.end_at_hole(request, close_reason(reset.reason), effects);
            }
            (None, None) => {}
        }
    }

    /// Tells the client that events are missing, at once, before all that is still to be read: cut before it has been told,
    /// the client comes back with an id from before the gap.
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

    /// Begins behind `position` with a snapshot. `resets` say what of that position cannot be had.
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
        // One run answers it all: each topic has one snapshot.
        let resets = resets.into_iter();
        let resets = resets.map(|reset| PendingAnswer::of(reset, position));
        self.hold_for(resets.fold(fresh, PendingAnswer::and), effects);
    }

    /// The number behind which a reset is told.
    fn reset_at(&self, hub: &Hub) -> u64 {
        // A client from another server may be ahead of this one, which is no reason to wait.
        self.reader.position().min(hub.head())
    }

    /// Behind a reset come what the hooks answer, and the new position when all that was published until now has been
    /// written. A stream that ends does not come to it.
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

    /// Tells what is missing, and behind the snapshot the position.
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

    /// Nothing that follows is read until the hooks have answered, which is when they have answered what came before.
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

    /// The number behind which what belongs to this answer of the hooks comes, as long as the reader is held there for it. Answers
    /// are told apart by their count: where the reader is held may be the same number for two, in two epochs.
    pub(super) fn answers(&self, answer: Option<u64>) -> Option<u64> {
        let at = self.reader.paused_at();
        at.filter(|_| answer == Some(self.answers))
    }
}

/// Why a plain stream, which cannot tell a reset, ends instead.
fn close_reason(reason: ResetReason) -> CloseReason {
    match reason {
        ResetReason::Slow => CloseReason::SlowClient,
        _ => CloseReason::Error,
    }
}
