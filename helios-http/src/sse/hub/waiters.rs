//! Who waits for the next event of a topic.

use std::task::Waker;

use slab::Slab;

/// The readers that have seen everything. A publish takes them all; a reader registers again when it has caught up.
#[derive(Default)]
pub(crate) struct Waiting {
    readers: Slab<Reader>,
    /// Counts the takes: a [`Slot`] of an earlier round is void.
    round: u64,
}

struct Reader {
    /// The number of its place in the topic.
    place: u64,
    waker: Waker,
}

/// A reader's registration.
#[derive(Debug)]
pub(crate) struct Slot {
    round: u64,
    key: usize,
}

impl Slot {
    /// Whether its waker has not been taken in any round before this one.
    pub(crate) fn is_of(&self, round: u64) -> bool {
        self.round == round
    }
}

/// Who is to be woken, once nothing is locked any more.
#[must_use]
#[derive(Default)]
pub(crate) struct Woken(Slab<Reader>);

impl Woken {
    /// In the order in which they came. In the order in which they have read last, which the runtime mixes a little each
    /// time, a processor would find nothing of thousands of connections where it has just been.
    pub(crate) fn wake(self) {
        let mut readers: Vec<_> = self.0.into_iter().map(|(_, reader)| reader).collect();
        readers.sort_unstable_by_key(|reader| reader.place);
        readers.into_iter().for_each(|reader| reader.waker.wake());
    }
}

impl Waiting {
    pub(crate) fn register(&mut self, place: u64, slot: &mut Option<Slot>, waker: &Waker) {
        let current = slot.as_ref().filter(|slot| slot.is_of(self.round));
        if let Some(known) = current.and_then(|slot| self.readers.get_mut(slot.key)) {
            known.waker.clone_from(waker);
            return;
        }
        let waker = waker.clone();
        *slot = Some(Slot {
            round: self.round,
            key: self.readers.insert(Reader { place, waker }),
        });
    }

    pub(crate) fn cancel(&mut self, slot: &mut Option<Slot>) {
        if let Some(slot) = slot.take().filter(|slot| slot.is_of(self.round)) {
            self.readers.try_remove(slot.key);
        }
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    pub(crate) fn take(&mut self) -> Woken {
        self.round += 1;
        // Most of them will be back.
        let next = Slab::with_capacity(self.readers.len());
        Woken(std::mem::replace(&mut self.readers, next))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    #[test]
    fn a_reader_that_leaves_takes_its_waker_along() {
        let mut waiting = Waiting::default();
        let mut slots = [None, None];
        for slot in &mut slots {
            waiting.register(0, slot, Waker::noop());
            waiting.register(0, slot, Waker::noop());
        }
        assert_eq!(waiting.readers.len(), 2);
        waiting.cancel(&mut slots[0]);
        assert_eq!(waiting.take().0.len(), 1);
    }

    #[test]
    fn readers_that_come_and_go_take_no_more_room_than_there_are() {
        let mut waiting = Waiting::default();
        for place in 0..100 {
            let mut slot = None;
            waiting.register(place, &mut slot, Waker::noop());
            waiting.cancel(&mut slot);
        }
        assert_eq!(waiting.readers.vacant_key(), 0);
    }

    struct Note(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn readers_are_woken_in_the_order_in_which_they_came() {
        let mut waiting = Waiting::default();
        let woken = Arc::default();
        for place in [3, 1, 2] {
            let note = Arc::new(Note(place, Arc::clone(&woken)));
            waiting.register(place, &mut None, &Waker::from(note));
        }
        waiting.take().wake();
        assert_eq!(*woken.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_slot_of_an_earlier_round_removes_nobody_else() {
        let mut waiting = Waiting::default();
        let (mut early, mut late) = (None, None);
        waiting.register(0, &mut early, Waker::noop());
        waiting.take().wake();
        waiting.register(1, &mut late, Waker::noop());
        waiting.cancel(&mut early);
        assert_eq!(waiting.take().0.len(), 1);
    }
}
