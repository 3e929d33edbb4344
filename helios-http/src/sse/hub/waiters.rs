//! The readers that wait for the next event of a topic.

use std::task::Waker;

use slab::Slab;

/// The readers that have seen everything. A publish removes them all, and a reader registers again when it has caught
/// up.
#[derive(Default)]
pub(crate) struct Waiters {
    readers: Slab<Reader>,
    /// Counts how often the readers were taken. A [`Registration`] of an earlier round is void.
    round: u64,
}

struct Reader {
    /// The place in the order in which the topic's readers joined.
    turn: u64,
    waker: Waker,
}

/// A reader's registration.
#[derive(Debug)]
pub(crate) struct Registration {
    round: u64,
    key: usize,
}

impl Registration {
    /// Whether its waker has not been taken before this round.
    pub(crate) fn is_of(&self, round: u64) -> bool {
        self.round == round
    }
}

/// The readers to wake after all locks are released.
#[must_use]
#[derive(Default)]
pub(crate) struct Wakers(Slab<Reader>);

impl Wakers {
    /// Wakes the readers in the order in which they joined. The order in which they last read would change a little
    /// each time, because the runtime mixes it. With thousands of connections, a processor would then find none of them
    /// in its cache.
    pub(crate) fn wake(self) {
        let mut readers: Vec<_> = self.0.into_iter().map(|(_, reader)| reader).collect();
        readers.sort_unstable_by_key(|reader| reader.turn);
        readers.into_iter().for_each(|reader| reader.waker.wake());
    }
}

impl Waiters {
    pub(crate) fn register(
        &mut self,
        turn: u64,
        registration: &mut Option<Registration>,
        waker: &Waker,
    ) {
        let current = registration
            .as_ref()
            .filter(|registration| registration.is_of(self.round));
        if let Some(known) = current.and_then(|registration| self.readers.get_mut(registration.key))
        {
            known.waker.clone_from(waker);
            return;
        }
        let waker = waker.clone();
        *registration = Some(Registration {
            round: self.round,
            key: self.readers.insert(Reader { turn, waker }),
        });
    }

    pub(crate) fn cancel(&mut self, registration: &mut Option<Registration>) {
        if let Some(registration) = registration
            .take()
            .filter(|registration| registration.is_of(self.round))
        {
            self.readers.try_remove(registration.key);
        }
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    pub(crate) fn take(&mut self) -> Wakers {
        self.round += 1;
        // Most of them will come back.
        let next = Slab::with_capacity(self.readers.len());
        Wakers(std::mem::replace(&mut self.readers, next))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    #[test]
    fn a_reader_that_leaves_takes_its_waker_along() {
        let mut waiters = Waiters::default();
        let mut registrations = [None, None];
        for registration in &mut registrations {
            waiters.register(0, registration, Waker::noop());
            waiters.register(0, registration, Waker::noop());
        }
        assert_eq!(waiters.readers.len(), 2);
        waiters.cancel(&mut registrations[0]);
        assert_eq!(waiters.take().0.len(), 1);
    }

    #[test]
    fn readers_that_come_and_go_do_not_take_more_room() {
        let mut waiters = Waiters::default();
        for turn in 0..100 {
            let mut registration = None;
            waiters.register(turn, &mut registration, Waker::noop());
            waiters.cancel(&mut registration);
        }
        assert_eq!(waiters.readers.vacant_key(), 0);
    }

    struct Note(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn readers_are_woken_in_the_order_in_which_they_joined() {
        let mut waiters = Waiters::default();
        let woken = Arc::default();
        for turn in [3, 1, 2] {
            let note = Arc::new(Note(turn, Arc::clone(&woken)));
            waiters.register(turn, &mut None, &Waker::from(note));
        }
        waiters.take().wake();
        assert_eq!(*woken.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_registration_of_an_earlier_round_removes_nobody_else() {
        let mut waiters = Waiters::default();
        let (mut early, mut late) = (None, None);
        waiters.register(0, &mut early, Waker::noop());
        waiters.take().wake();
        waiters.register(1, &mut late, Waker::noop());
        waiters.cancel(&mut early);
        assert_eq!(waiters.take().0.len(), 1);
    }
}
