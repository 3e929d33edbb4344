//! The values provided to an app or a module, and the factories of values that must be awaited.

use std::sync::Arc;

use super::factory::{Factories, Factory};
use super::store::{Container, TypeKey};

/// Values by type, and factories that have not run yet. Each type has one or the other, and a later one replaces the
/// earlier.
#[derive(Debug, Default)]
pub struct Providers {
    values: Container,
    factories: Factories,
}

impl Providers {
    /// Adds a value.
    pub fn provide<T: ?Sized + Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.factories.remove(&TypeKey::of::<T>());
        self.values.provide(value);
    }

    /// Adds a factory. `share` converts its output to the type under which it is requested.
    pub fn provide_async<Args, F: Factory<Args>, T: ?Sized + Send + Sync + 'static>(
        &mut self,
        factory: F,
        share: fn(F::Output) -> Arc<T>,
    ) {
        self.values.remove(&TypeKey::of::<T>());
        self.factories.add(factory, share);
    }

    /// Runs the factories. They get what they need from here, then from `outer`.
    pub async fn prepare(&mut self, outer: &Container) {
        let mut provided = outer.clone();
        provided.extend(self.values.clone());
        let factories = std::mem::take(&mut self.factories);
        self.values.extend(factories.run_all(&provided).await);
    }

    /// Returns the values.
    #[must_use]
    pub fn values(&self) -> &Container {
        &self.values
    }

    /// Returns the values, in a container that knows which factories have not run.
    #[must_use]
    pub fn into_container(self) -> Container {
        let mut container = self.values;
        container.extend(self.factories.pending());
        container
    }
}
