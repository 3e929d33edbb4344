//! Resets: a client that has missed events is told so, and the reset hooks answer before it reads on.
//!
//! 1. A reset is told as soon as it is known, before all that is still to be read.
//! 2. If there are hooks, the reader is held there. They run in a task of their own (`hook_tasks.rs`).
//! 3. Their answers are written right behind the reset, and only then comes what follows.
//! 4. Resets that come meanwhile are told at once too, and answered together, as the next one.

use std::sync::Arc;

use helios_core::sse::{CloseReason, ResetReason, SseReset};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::hook_tasks;
use crate::sse::stream::route::StreamRequest;

/// A reset whose hooks have to be run, once the stream's state is unlocked.
pub(super) struct PendingReset {
    reset: SseReset,
    /// The answers of the hooks are written right behind this number, and before everything after it.
    at: u64,
}

impl PendingReset {
    /// Both in one.
    fn and(mut self, later: Self) -> Self {
        self.reset.topics.extend(later.reset.topics);
        Self {
            reset: SseReset::new(later.reset.reason, self.reset.topics),
            ..later
        }
    }

    pub(super) fn answer(self, stream: &Arc<StreamState>) {
        if let Some(request) = stream.request() {
            let handle = SseStream::at_reset(Arc::clone(stream), self.at);
            hook_tasks::spawn_reset(handle, request, self.reset);
        }
    }
}

impl StreamState {
    /// The hooks of a reset are done. If another reset came meanwhile it is theirs now, else what follows may be read.
    pub(crate) fn reset_answered(self: &Arc<Self>) {
        self.change(|parts, effects| {
            parts.reader.unpause();
            effects.reset = parts.next_reset.take();
            if let Some(next) = &effects.reset {
                parts.reader.pause_at(next.at);
            }
            effects.wake(&mut parts.task);
        });
    }

    /// A hook could not answer a reset: the client is to come back, and to be reset again.
    pub(crate) fn reset_failed(self: &Arc<Self>) {
        self.send_away(CloseReason::Error);
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
        let id = Some(id).filter(|_| self.reader.uses_ids());
        let told = control::reset(hub.options(), id, &reset);
        self.reader.push_control(self.reset_at(hub), told);
        self.behind_reset(request, reset, effects);
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
            self.hold_for(PendingReset { reset, at }, effects);
        }
    }

    /// Nothing that follows is read until the reset has been answered, which is when those before it have been.
    fn hold_for(&mut self, reset: PendingReset, effects: &mut Effects) {
        if self.reader.paused_at().is_none() {
            self.reader.pause_at(reset.at);
            effects.reset = Some(reset);
            return;
        }
        self.next_reset = Some(match self.next_reset.take() {
            Some(before) => before.and(reset),
            None => reset,
        });
    }

    /// The number behind which an answer to a reset comes, as long as the reader is held there for it.
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
