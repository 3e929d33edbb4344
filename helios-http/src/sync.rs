//! Small helpers that the standard library and tokio lack: a lock that ignores poisoning, and waiting for a condition.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Locks, ignoring a panic elsewhere. A panic never leaves the state of the hub half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls `ask` until it returns a value, each time after a signal. A signal between asking and waiting is not missed.
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
