//! Builds requested types, dependencies first, and notes everything that is missing.

use std::any::TypeId;
use std::collections::HashSet;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use super::error::InjectError;
use super::store::{Container, TypeKey, Unmade};
use crate::lifecycle::Lifecycle;

/// A type that the container can build, from other things in the container.
///
/// Derive it: `#[derive(Injectable)]` resolves every `Arc<T>` field and fills fields marked `#[inject(default)]` with
/// their default.
///
/// ```
/// use helios::prelude::*;
///
/// struct Settings { greeting: &'static str }
///
/// #[derive(Injectable)]
/// struct Greeter { settings: Arc<Settings> }
///
/// #[controller(prefix = "hello")]
/// impl Greeter {
///     #[get("{name}")]
///     fn hello(&self, #[param] name: &str) -> String {
///         format!("{}, {name}", self.settings.greeting)
///     }
/// }
///
/// #[server(controllers = [Greeter])]
/// struct App;
///
/// let app = Helios::new(App).provide(Settings { greeting: "good day" });
/// assert!(app.into_service().is_ok());
/// let error = Helios::new(App).into_service().err().unwrap();
/// assert!(error.to_string().contains("nothing provides `Settings`, needed by `Greeter`"));
/// ```
pub trait Injectable: Sized + Send + Sync + 'static {
    /// Builds the value, or notes in `resolver` what is missing. An implementation requests **all** its dependencies
    /// before it gives up, so that one start-up reports every fault.
    fn build(resolver: &mut Resolver<'_>) -> Option<Self>;

    /// The type's hooks, which run before the first request and after the last one.
    const LIFECYCLE: Lifecycle<Self> = Lifecycle::NONE;
}

/// The bound on everything that the container holds. It has a name of its own for use on type parameters, because lints
/// report a bound that is written twice.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shared between threads",
    label = "the container gives it to all of them",
    note = "for a trait object, put the bounds on the trait: write `trait Name: Send + Sync`",
    note = "a type is shared if all of its fields are: `Arc` for `Rc`, a `Mutex` or an atomic for a `Cell`; no field borrows"
)]
pub trait Shared: Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + ?Sized + 'static> Shared for T {}

/// Fills a [`Container`] and notes everything that cannot be resolved.
#[derive(Debug)]
pub struct Resolver<'a> {
    container: &'a mut Container,
    building: Vec<(TypeId, String)>,
    failed: HashSet<TypeId>,
    errors: Vec<InjectError>,
}

impl<'a> Resolver<'a> {
    /// Creates a resolver for these provided values.
    #[must_use]
    pub fn new(container: &'a mut Container) -> Self {
        Self {
            container,
            building: Vec::new(),
            failed: HashSet::new(),
            errors: Vec::new(),
        }
    }

    /// Returns the singleton of a type that must have been provided.
    pub fn provided<T: ?Sized + Send + Sync + 'static>(&mut self) -> Option<Arc<T>> {
        let found = self.container.get();
        if found.is_none() {
            self.lacks(&TypeKey::of::<T>(), false);
        }
        found
    }

    /// Notes why factories did not make these types, whether or not another type needs them.
    pub fn check_unmade(&mut self, keys: &[TypeKey]) {
        for key in keys {
            self.lacks(key, false);
        }
    }

    /// Notes, once, why a type is missing.
    fn lacks(&mut self, key: &TypeKey, by_factory: bool) {
        if self.is_cycle(key) || !self.failed.insert(key.id) {
            return;
        }
        let wanted = key.name.clone();
        let path: Vec<_> = self.building.iter().map(|(_, name)| name.clone()).collect();
        let error = match self.container.why_unmade(key.id).cloned() {
            Some(Unmade::Lacking(needs)) => return self.lacks_for(key, &needs),
            Some(Unmade::Failed(reason)) => InjectError::Failed {
                wanted,
                path,
                reason,
            },
            Some(Unmade::Pending) => InjectError::NotPrepared { wanted, path },
            None => InjectError::Missing {
                wanted,
                path,
                shared: self.container.values.contains_key(&key.shared),
                by_factory,
            },
        };
        self.errors.push(error);
    }

    /// Notes what the factory of `key` lacks.
    fn lacks_for(&mut self, key: &TypeKey, needs: &[TypeKey]) {
        self.building.push((key.id, key.name.clone()));
        for need in needs {
            if !self.container.holds(need) {
                self.lacks(need, true);
            }
        }
        self.building.pop();
    }

    /// Returns the singleton of a type, built now if it was not provided.
    pub fn get<T: Injectable>(&mut self) -> Option<Arc<T>> {
        if let Some(found) = self.container.get() {
            return Some(found);
        }
        let key = TypeKey::of::<T>();
        if !self.begin(&key) {
            return None;
        }
        let built = T::build(self).map(Arc::new);
        self.finish(&key, built.is_some());
        let built = built?;
        self.container.provide(Arc::clone(&built));
        // This is decided at compile time. Most types have no hooks, and nothing is generated for them.
        if const { !T::LIFECYCLE.is_none() } {
            let services = &mut self.container.services;
            services.add(key.name, Arc::clone(&built), T::LIFECYCLE);
        }
        Some(built)
    }

    /// Returns whether it makes sense to build a type. If not, notes why.
    fn begin(&mut self, key: &TypeKey) -> bool {
        if self.container.why_unmade(key.id).is_some() {
            self.lacks(key, false);
            return false;
        }
        if self.failed.contains(&key.id) || self.is_cycle(key) {
            return false;
        }
        self.building.push((key.id, key.name.clone()));
        true
    }

    fn finish(&mut self, key: &TypeKey, built: bool) {
        self.building.pop();
        if !built {
            self.failed.insert(key.id);
        }
    }

    fn is_cycle(&mut self, key: &TypeKey) -> bool {
        let Some(start) = self.building.iter().position(|(known, _)| *known == key.id) else {
            return false;
        };
        let mut path: Vec<_> = self.building[start..]
            .iter()
            .map(|(_, name)| name.clone())
            .collect();
        path.push(key.name.clone());
        self.errors.push(InjectError::Cycle { path });
        true
    }

    /// Calls `resolve`, and names `who` as needing what it requests, for a `who` that the container does not build.
    pub fn needed_by<R>(&mut self, who: &str, resolve: impl FnOnce(&mut Self) -> R) -> R {
        self.building.push((TypeId::of::<()>(), who.to_owned()));
        let result = resolve(self);
        self.building.pop();
        result
    }

    /// Returns everything that could not be resolved.
    #[must_use]
    pub fn into_errors(self) -> Vec<InjectError> {
        self.errors
    }
}

/// Selects between building and requiring `T`, by what `T` implements.
///
/// Generated code calls `Dependency::<T>::NEW.resolve(..)`. Method look-up finds the method here for an [`Injectable`]
/// type, and continues to that of [`Provided`] for any other. Both are inherent methods, so no trait has to be
/// imported, which lints would see.
#[derive(Debug)]
pub struct Dependency<T: ?Sized>(Provided<T>);

/// A type that must be provided.
#[derive(Debug)]
pub struct Provided<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T: ?Sized> Dependency<T> {
    /// The only value of the type.
    pub const NEW: Self = Self(Provided(PhantomData));
}

impl<T: Injectable> Dependency<T> {
    /// Returns the singleton, provided or built now.
    pub fn resolve(&self, resolver: &mut Resolver<'_>) -> Option<Arc<T>> {
        resolver.get()
    }
}

impl<T: ?Sized> Deref for Dependency<T> {
    type Target = Provided<T>;

    fn deref(&self) -> &Provided<T> {
        &self.0
    }
}

impl<T: ?Sized> Provided<T> {
    /// Returns the singleton, if it was provided.
    pub fn resolve(&self, resolver: &mut Resolver<'_>) -> Option<Arc<T>>
    where
        T: Shared,
    {
        resolver.provided()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Pool;
    trait Mailer: Send + Sync {}
    struct Users(#[allow(dead_code)] Arc<Pool>);
    struct Orders(Arc<Users>, #[allow(dead_code)] Arc<dyn Mailer>);
    struct Egg(#[allow(dead_code)] Arc<Hen>);
    struct Hen(#[allow(dead_code)] Arc<Egg>);

    impl Injectable for Users {
        fn build(resolver: &mut Resolver<'_>) -> Option<Self> {
            Some(Self(Dependency::<Pool>::NEW.resolve(resolver)?))
        }
    }

    impl Injectable for Orders {
        fn build(resolver: &mut Resolver<'_>) -> Option<Self> {
            let users = Dependency::<Users>::NEW.resolve(resolver);
            let mailer = Dependency::<dyn Mailer>::NEW.resolve(resolver);
            Some(Self(users?, mailer?))
        }
    }

    impl Injectable for Egg {
        fn build(resolver: &mut Resolver<'_>) -> Option<Self> {
            resolver.get().map(Self)
        }
    }

    impl Injectable for Hen {
        fn build(resolver: &mut Resolver<'_>) -> Option<Self> {
            resolver.get().map(Self)
        }
    }

    #[test]
    fn every_missing_provider_is_listed_with_its_chain() {
        let mut container = Container::default();
        container.provide(Arc::new(Arc::new(Pool)));
        let mut resolver = Resolver::new(&mut container);
        assert!(resolver.get::<Orders>().is_none());
        let errors: Vec<_> = resolver
            .into_errors()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors[0].contains("`Pool`, needed by `Orders` -> `Users`"),
            "{}",
            errors[0]
        );
        assert!(errors[0].contains("provide_as"), "{}", errors[0]);
        assert!(
            errors[1].contains("`dyn Mailer`, needed by `Orders`"),
            "{}",
            errors[1]
        );
    }

    #[test]
    fn a_cycle_is_told_with_its_way() {
        let mut container = Container::default();
        let mut resolver = Resolver::new(&mut container);
        assert!(resolver.get::<Hen>().is_none());
        let errors = resolver.into_errors();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("`Hen` -> `Egg` -> `Hen`"));
    }

    #[test]
    fn a_built_value_is_a_singleton() {
        struct Quiet;
        impl Mailer for Quiet {}
        let mut container = Container::default();
        container.provide(Arc::new(Pool));
        container.provide::<dyn Mailer>(Arc::new(Quiet));
        let mut resolver = Resolver::new(&mut container);
        let orders = resolver.get::<Orders>().unwrap();
        let users = resolver.get::<Users>().unwrap();
        assert!(Arc::ptr_eq(&orders.0, &users));
        assert!(resolver.into_errors().is_empty());
    }
}
