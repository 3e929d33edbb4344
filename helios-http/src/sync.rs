//! What the standard library and tokio lack by a line: a lock that no panic closes, and waiting for a condition.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Locks, and goes on after a panic elsewhere: no state of the hub is left half changed by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks until there is an answer, each time after a signal. A signal between asking and waiting is not missed.
pub(crate) async fn until<T>(signal: &Notify, mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        let signalled = signal.notified();
        tokio::pin!(signalled);
        signalled.as_mut().enable();
        match ask() {
            Some(answer) => return answer,
            None => signalled.await,
        }
    }
}
