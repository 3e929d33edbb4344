//! Resets and snapshots: a client that has missed events is told so, and the hooks answer before it reads on. So they do for
//! a client that has no position yet.
//!
//! 1. A reset is told as soon as it is known, before all that is still to be read.
//! 2. If there are hooks, the reader is held there. They run in a task of their own (`hook_tasks.rs`).
//! 3. Their answers are written right behind the reset, and only then comes what follows.
//! 4. Resets that come meanwhile are told at once too, and answered together, as the next one.
//! 5. A fresh client of a route with a snapshot hook is held where it begins. It is told no id until its snapshot is
//!    written, by a reset that comes meanwhile neither: cut before, it is fresh again, and gets the snapshot anew.

use std::sync::Arc;

use helios_core::sse::{CloseReason, ResetReason, SnapshotReason, SseReset, SseSnapshot};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::hook_tasks;
use crate::sse::stream::route::StreamRequest;

/// What the hooks have to answer, once the stream's state is unlocked.
pub(super) struct PendingAnswer {
    /// For the snapshot hooks.
    snapshot: SseSnapshot,
    /// For the reset hooks.
    reset: Option<SseReset>,
    /// The answers of the hooks are written right behind this number, and before everything after it.
    at: u64,
}

impl PendingAnswer {
    fn of(reset: SseReset, at: u64) -> Self {
        let reason = SnapshotReason::Reset(reset.reason);
        Self {
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
        }
    }

    pub(super) fn ask(self, stream: &Arc<StreamState>) {
        if let Some(request) = stream.request() {
            let handle = SseStream::at_pause(Arc::clone(stream), self.at);
            hook_tasks::spawn_answer(handle, request, self.snapshot, self.reset);
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
            effects.answer = parts.next_answer.take().map(|next| *next);
            match &effects.answer {
                Some(next) => parts.reader.pause_at(next.at),
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
        let id = self.id_of(hub, self.reader.position()).to_string();
        let id = Some(id).filter(|_| self.reader.uses_ids() && !self.awaits_snapshot);
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
        if self.reader.uses_ids() && !ends && !self.is_of_another_epoch(hub) {
            let head = hub.head();
            let id = self.id_of(hub, self.reader.position().max(head));
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
        let id = Some(self.id_of(hub, position).to_string());
        let ready = control::ready(options, client, id, false);
        self.reader.push_position(position, ready);
        self.awaits_snapshot = true;
    }

    /// Nothing that follows is read until the hooks have answered, which is when they have answered what came before.
    fn hold_for(&mut self, pending: PendingAnswer, effects: &mut Effects) {
        if self.reader.paused_at().is_none() {
            self.reader.pause_at(pending.at);
            effects.answer = Some(pending);
            return;
        }
        self.next_answer = Some(Box::new(match self.next_answer.take() {
            Some(before) => before.and(pending),
            None => pending,
        }));
    }

    /// The number behind which an answer of the hooks comes, as long as the reader is held there for it.
    pub(super) fn answers(&self, after: Option<u64>) -> Option<u64> {
        after.filter(|_| self.reader.paused_at() == after)
    }
}

/// Why a plain stream, which cannot tell a reset, ends instead.
fn close_reason(reason: ResetReason) -> CloseReason {
    match reason {
        ResetReason::Slow => CloseReason::SlowClient,
        _ => CloseReason::Error,
    }
}
