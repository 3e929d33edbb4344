//! Resets: a client that has missed events is told so, and the reset hooks answer before it reads on.
//!
//! A reset is told as soon as it is known. If there are hooks, the reader is held there: they run in a task of their own
//! (`hooks.rs`), what they send is written right behind the reset, and only then comes what follows. Resets that come
//! meanwhile are told at once too, and answered together, as the next one.

use std::sync::Arc;
use std::task::Waker;

use helios_core::sse::{CloseReason, SseReset};

use super::{Attachment, Client, State};
use crate::sse::hub::{Hub, lock};
use crate::sse::stream::SseStream;
use crate::sse::{control, hooks};

/// A reset whose hooks have to be run, once the client's state is unlocked.
pub(super) struct PendingReset {
    reset: SseReset,
    /// What the hooks send is written right behind this number, and before what comes after it.
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

    pub(super) fn run(self, client: &Arc<Client>) {
        if let Some(attachment) = client.attachment.get() {
            let handle = SseStream::at_reset(Arc::clone(client), self.at);
            hooks::spawn_reset(handle, attachment, self.reset);
        }
    }
}

impl Client {
    /// The hooks of a reset are done. If another reset came meanwhile it is theirs now, else what follows may be read.
    pub(in crate::sse) fn reset_answered(self: &Arc<Self>) {
        let (waker, next) = {
            let mut state = lock(&self.state);
            state.reader.unpause();
            let next = state.next_reset.take();
            if let Some(next) = &next {
                state.reader.pause_at(next.at);
            }
            (state.task.wake(), next)
        };
        waker.into_iter().for_each(Waker::wake);
        next.into_iter().for_each(|next| next.run(self));
    }

    /// A hook could not answer a reset: the client is to come back, and to be reset again.
    pub(in crate::sse) fn reset_failed(&self) {
        if let Some(attachment) = self.attachment.get() {
            self.end(attachment.hub.reconnect_ending(CloseReason::Error));
        }
    }
}

impl Attachment {
    fn has_reset_hooks(&self) -> bool {
        self.hooks.iter().any(|hooks| hooks.answers_resets())
    }
}

impl State {
    /// Tells the client that events are missing, at once, before all that is still to be read: cut before it has been told,
    /// the client comes back with an id from before the gap. If hooks are to answer that now, gives what is to be run.
    pub(super) fn reset(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        reset: SseReset,
    ) -> Option<PendingReset> {
        if !self.head_left && self.joined().next().is_some() {
            self.deferred.reset(reset);
            return None;
        }
        let hub = &attachment.hub;
        let id = self.id(hub, self.reader.position()).to_string();
        let id = Some(id).filter(|_| self.reader.uses_ids());
        let told = control::reset(hub, id, &reset);
        self.reader.push_control(self.told_at(hub), told);
        self.behind_reset(client, attachment, reset)
    }

    /// The number behind which a reset is told.
    fn told_at(&self, hub: &Hub) -> u64 {
        // A client from another server may be ahead of this one, which is no reason to wait.
        self.reader.position().min(hub.head())
    }

    /// Behind a reset come what the hooks answer, and the new position when all that was published until now has been
    /// written.
    pub(super) fn behind_reset(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        reset: SseReset,
    ) -> Option<PendingReset> {
        let hub = &attachment.hub;
        if self.reader.uses_ids() && !self.is_of_another_epoch(hub) {
            let head = hub.head();
            let id = self.id(hub, self.reader.position().max(head)).to_string();
            let ready = control::ready(hub, client.id, Some(id), false);
            self.reader.push_position(head, ready);
        }
        let at = self.told_at(hub);
        match attachment.has_reset_hooks() {
            true => self.hold_for(PendingReset { reset, at }),
            false => None,
        }
    }

    /// Nothing that follows is read until the reset has been answered, which is when those before it have been.
    fn hold_for(&mut self, reset: PendingReset) -> Option<PendingReset> {
        if self.reader.paused_at().is_none() {
            self.reader.pause_at(reset.at);
            return Some(reset);
        }
        self.next_reset = Some(match self.next_reset.take() {
            Some(before) => before.and(reset),
            None => reset,
        });
        None
    }

    /// The number behind which an answer to a reset comes, as long as the reader is held there for it.
    pub(super) fn answers(&self, after: Option<u64>) -> Option<u64> {
        after.filter(|_| self.reader.paused_at() == after)
    }
}
