//! State shared by the writer and the readers.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::clock::Clock;
use crate::sequence::Sequence;
use crate::store::{Store, StoreError};

pub(crate) struct Shared {
    pub(crate) sequence: Mutex<Sequence>,
    /// `None` after the end.
    pub(crate) store: RwLock<Option<Store>>,
    pub(crate) clock: Clock,
    /// Set when the writer accepts nothing any more.
    pub(crate) is_down: AtomicBool,
}

impl Shared {
    pub(crate) fn new(store: Store, sequence: Sequence, clock: Clock) -> Self {
        Self {
            sequence: Mutex::new(sequence),
            store: RwLock::new(Some(store)),
            clock,
            is_down: AtomicBool::new(false),
        }
    }

    pub(crate) fn sequence(&self) -> MutexGuard<'_, Sequence> {
        self.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> RwLockReadGuard<'_, Option<Store>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `ask` with the store, or fails if the store is closed.
    pub(crate) fn in_store<T>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.store() {
            Some(store) => ask(store),
            None => Err(StoreError::Failed),
        }
    }

    pub(crate) fn take_store(&self) -> Option<Store> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.take()
    }

    /// Closes the store and opens it again. Readers wait meanwhile.
    pub(crate) fn reopen<T>(
        &self,
        open: impl FnOnce() -> Result<(Store, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        *store = None;
        let (opened, given) = open()?;
        *store = Some(opened);
        Ok(given)
    }
}
