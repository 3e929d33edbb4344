//! The singletons by type, and what is known of the missing ones.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::lifecycle::Services;
use crate::type_name::short_name;

/// A value, stored by the key `T`. Behind the pointer is an `Arc<T>`, which is `Sized` even when `T` is `dyn Trait`.
pub(super) type Stored = Arc<dyn Any + Send + Sync>;

/// The singletons of one app, or of one of its modules.
#[derive(Clone, Default)]
pub struct Container {
    pub(super) values: HashMap<TypeId, Stored>,
    /// The types that factories should have made, and why they did not.
    pub(super) unmade: Vec<(TypeKey, Unmade)>,
    pub(super) services: Services,
}

/// A type in the container.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct TypeKey {
    pub(super) id: TypeId,
    /// The id of an `Arc` of the type.
    pub(super) shared: TypeId,
    pub(super) name: String,
}

impl TypeKey {
    pub(super) fn of<T: ?Sized + 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            shared: TypeId::of::<Arc<T>>(),
            name: short_name(type_name::<T>()),
        }
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("values", &self.values.len())
            .finish()
    }
}

impl Container {
    /// Adds a value. A later one of the same type replaces it.
    pub fn provide<T: ?Sized + Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Returns the singleton of this type, if it was provided or has been built.
    #[must_use]
    pub fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref().cloned()
    }

    /// Takes over the values of `other`, which replace those of the same types.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
        self.unmade.extend(other.unmade);
    }

    pub(super) fn remove(&mut self, key: &TypeKey) {
        self.values.remove(&key.id);
    }

    /// Returns the types that factories should have made, but did not.
    #[must_use]
    pub fn unmade(&self) -> Vec<TypeKey> {
        let unmade = self.unmade.iter().map(|(key, _)| key.clone());
        unmade.filter(|key| !self.holds(key)).collect()
    }

    /// Returns the services that were built and have start or stop hooks.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    pub(super) fn holds(&self, key: &TypeKey) -> bool {
        self.values.contains_key(&key.id)
    }

    pub(super) fn why_unmade(&self, id: TypeId) -> Option<&Unmade> {
        let mut unmade = self.unmade.iter();
        unmade
            .find(|(key, _)| key.id == id)
            .map(|(_, reason)| reason)
    }
}

/// The reason why a value that a factory makes is missing.
#[derive(Clone, Debug)]
pub(super) enum Unmade {
    /// The factory's error, with its sources.
    Failed(String),
    /// Some of these are missing, too.
    Lacking(Vec<TypeKey>),
    /// The factory was not run.
    Pending,
}
