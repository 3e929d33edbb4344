//! The task that polls a stream.

use std::task::Waker;

/// The task that has polled last. It is woken only if it waits. A reader begins to wait under the lock of the stream's
/// state, and a sender checks under the same lock whether it waits. So no wake-up for a private event is lost.
#[derive(Default)]
pub(crate) struct PollTask {
    waker: Option<Waker>,
    waits: bool,
}

impl PollTask {
    /// Records a poll. Returns true if the previous poll was by another task, or there was none.
    pub(crate) fn is_polled_by(&mut self, waker: &Waker) -> bool {
        self.waits = false;
        let known = self.waker.as_ref();
        let is_new = !known.is_some_and(|known| known.will_wake(waker));
        if is_new {
            self.waker = Some(waker.clone());
        }
        is_new
    }

    /// Records that the task waits, because it has received everything.
    pub(crate) fn waits(&mut self) {
        self.waits = true;
    }

    /// Returns the waker of a task that waits, to be woken once the stream's state is unlocked.
    pub(crate) fn wake(&mut self) -> Option<Waker> {
        let waits = std::mem::take(&mut self.waits);
        self.waker.as_ref().filter(|_| waits).cloned()
    }
}
