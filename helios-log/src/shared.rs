//! What the writer and those who read share.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::sequence::Sequence;
use crate::store::{Store, StoreError};

pub(crate) struct Shared {
    pub(crate) sequence: Mutex<Sequence>,
    /// `None` while it is opened anew, and at the end.
    pub(crate) store: RwLock<Option<Store>>,
    /// The writer takes nothing any more.
    pub(crate) is_down: AtomicBool,
}

impl Shared {
    pub(crate) fn sequence(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> RwLockReadGuard<'_, Option<Store>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked of the store.
    pub(crate) fn in_store<T>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.store() {
            Some(store) => ask(store),
            None => Err(StoreError::Failed),
        }
    }

    pub(crate) fn replace_store(&self, store: Option<Store>) -> Option<Store> {
        let mut guard = self.store.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *guard, store)
    }
}
