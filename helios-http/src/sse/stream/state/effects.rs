//! What follows from a change of a stream's state.

use std::sync::Arc;
use std::task::Waker;

use super::StreamState;
use super::reset::PendingAnswer;
use crate::sse::stream::task::PollTask;

/// What is to be done when the state is unlocked: nothing is woken, and no hook starts, under its lock.
#[derive(Default)]
pub(super) struct Effects {
    /// The task that polls the stream is woken.
    waker: Option<Waker>,
    /// Those who wait for room in the queue ask again.
    pub(super) made_room: bool,
    /// The end is announced or decided: those who watch for it are told.
    pub(super) closing: bool,
    /// The reset and snapshot hooks are run, for the answer of this number.
    pub(super) answer: Option<(PendingAnswer, u64)>,
}

impl Effects {
    pub(super) fn wake(&mut self, task: &mut PollTask) {
        self.waker = self.waker.take().or(task.wake());
    }

    pub(super) fn carry_out(self, stream: &Arc<StreamState>) {
        if self.made_room {
            stream.room.notify_waiters();
        }
        if self.closing {
            stream.closing.notify_waiters();
        }
        if let Some(waker) = self.waker {
            waker.wake();
        }
        if let Some((pending, number)) = self.answer {
            pending.ask(stream, number);
        }
    }
}
