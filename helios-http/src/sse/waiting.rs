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

impl Slot {
    /// Whether its waker has not been taken in any round before this one.
    pub(super) fn is_of(&self, round: u64) -> bool {
        self.round == round
    }
}

/// Who is to be woken, once nothing is locked any more.
#[must_use]
#[derive(Default)]
pub(super) struct Woken(Slab<Waker>);

impl Woken {
    pub(super) fn wake(mut self) {
        self.0.drain().for_each(Waker::wake);
    }
}

impl Waiting {
    pub(super) fn register(&mut self, slot: &mut Option<Slot>, waker: &Waker) {
        let current = slot.as_ref().filter(|slot| slot.is_of(self.round));
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
        if let Some(slot) = slot.take().filter(|slot| slot.is_of(self.round)) {
            self.wakers.try_remove(slot.key);
        }
    }

    pub(super) fn round(&self) -> u64 {
        self.round
    }

    pub(super) fn take(&mut self) -> Woken {
        self.round += 1;
        // Most of them will be back.
        let next = Slab::with_capacity(self.wakers.len());
        Woken(std::mem::replace(&mut self.wakers, next))
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
        assert_eq!(waiting.take().0.len(), 1);
    }

    #[test]
    fn a_slot_of_an_earlier_round_removes_nobody_else() {
        let mut waiting = Waiting::default();
        let (mut early, mut late) = (None, None);
        waiting.register(&mut early, Waker::noop());
        waiting.take().wake();
        waiting.register(&mut late, Waker::noop());
        waiting.cancel(&mut early);
        assert_eq!(waiting.take().0.len(), 1);
    }
}
