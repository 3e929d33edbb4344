//! The effects of a change of a stream's state.

use std::sync::Arc;
use std::task::Waker;

use super::StreamState;
use super::reset::PendingAnswer;
use crate::sse::stream::task::PollTask;

/// The effects to carry out after the state is unlocked. No waker and no hook runs under its lock.
#[derive(Default)]
pub(super) struct Effects {
    /// The waker of the task that polls the stream.
    waker: Option<Waker>,
    /// Whether senders that wait for room in the queue should try again.
    pub(super) made_room: bool,
    /// Whether the end was announced or decided, so that the code that watches for it is notified.
    pub(super) closing: bool,
    /// The answer for which the reset and snapshot hooks run, with its number.
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
