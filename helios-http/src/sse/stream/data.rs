//! The values that the app keeps with a stream.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

type Value = Arc<dyn Any + Send + Sync>;

/// One value of each type. No code of the values, such as `Clone` or `Drop`, runs under the lock.
#[derive(Default)]
pub(crate) struct StreamData {
    values: Mutex<HashMap<TypeId, Value>>,
}

impl StreamData {
    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        let before = lock(&self.values).insert(TypeId::of::<T>(), Arc::new(value));
        owned(before?)
    }

    pub(crate) fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = lock(&self.values).get(&TypeId::of::<T>()).cloned();
        owned(value?)
    }

    pub(crate) fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let value = lock(&self.values).remove(&TypeId::of::<T>());
        owned(value?)
    }
}

fn owned<T: Clone + Send + Sync + 'static>(value: Value) -> Option<T> {
    value.downcast().ok().map(Arc::unwrap_or_clone)
}
