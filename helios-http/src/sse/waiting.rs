//! Who waits for the next event of a topic.

use std::task::Waker;

use slab::Slab;

/// The wakers of the readers that have seen everything. A publish takes them all; a reader registers again when it
/// has caught up.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: Slab<Waker>,
    /// Counts the takes: a [`Slot`] of an earlier round is void.
    round: u64,
}

/// A reader's registration.
#[derive(Debug)]
pub(super) struct Slot {
    round: u64,
    key: usize,
}

impl Waiting {
    pub(super) fn register(&mut self, slot: &mut Option<Slot>, waker: &Waker) {
        let current = slot.as_ref().filter(|slot| slot.round == self.round);
        if let Some(known) = current.and_then(|slot| self.wakers.get_mut(slot.key)) {
            known.clone_from(waker);
            return;
        }
        *slot = Some(Slot {
            round: self.round,
            key: self.wakers.insert(waker.clone()),
        });
    }

    pub(super) fn cancel(&mut self, slot: &mut Option<Slot>) {
        if let Some(slot) = slot.take().filter(|slot| slot.round == self.round) {
            self.wakers.try_remove(slot.key);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Waker> {
        self.round += 1;
        self.wakers.drain().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_leaves_takes_its_waker_along() {
        let mut waiting = Waiting::default();
        let mut slots = [None, None];
        for slot in &mut slots {
            waiting.register(slot, Waker::noop());
            waiting.register(slot, Waker::noop());
        }
        assert_eq!(waiting.wakers.len(), 2);
        waiting.cancel(&mut slots[0]);
        assert_eq!(waiting.take().len(), 1);
    }

    #[test]
    fn a_slot_of_an_earlier_round_removes_nobody_else() {
        let mut waiting = Waiting::default();
        let (mut early, mut late) = (None, None);
        waiting.register(&mut early, Waker::noop());
        waiting.take();
        waiting.register(&mut late, Waker::noop());
        waiting.cancel(&mut early);
        assert_eq!(waiting.take().len(), 1);
    }
}
