//! The values that an app or a module is provided with, and the factories of those that must be awaited.

use std::sync::Arc;

use super::factory::{Factories, Factory};
use super::store::{Container, TypeKey};

/// Values by type, and factories that have not run yet. Of each type there is one or the other: what comes later
/// replaces what was there.
#[derive(Debug, Default)]
pub struct Providers {
    values: Container,
    factories: Factories,
}

impl Providers {
    /// Hands in a value.
    pub fn provide<T: ?Sized + Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.factories.remove(&TypeKey::of::<T>());
        self.values.provide(value);
    }

    /// Hands in a factory. `share` gives what it makes the type that it is asked for by.
    pub fn provide_async<Args, F: Factory<Args>, T: ?Sized + Send + Sync + 'static>(
        &mut self,
        factory: F,
        share: fn(F::Output) -> Arc<T>,
    ) {
        self.values.remove(&TypeKey::of::<T>());
        self.factories.add(factory, share);
    }

    /// Lets the factories run. What they need they take from here, then from `outer`.
    pub async fn prepare(&mut self, outer: &Container) {
        let mut provided = outer.clone();
        provided.extend(self.values.clone());
        let factories = std::mem::take(&mut self.factories);
        self.values.extend(factories.run_all(&provided).await);
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &Container {
        &self.values
    }

    /// The values, in a container that knows which factories have not run.
    #[must_use]
    pub fn into_container(self) -> Container {
        let mut container = self.values;
        container.extend(self.factories.pending());
        container
    }
}
