//! Async factories, which make values that must be awaited. They run before anything is resolved.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::store::{Container, Stored, TypeKey, Unmade};

/// An async function, or closure, that makes a value from others in the container. It accepts up to six `Arc`s and
/// returns a `Result` with any error.
///
/// Its arguments must be provided, or made by another factory. Types that the container builds on demand come later.
///
/// ```
/// use helios::prelude::*;
///
/// struct Settings { url: String }
/// struct Pool(String);
///
/// async fn connect(settings: Arc<Settings>) -> Result<Pool, std::io::Error> {
///     Ok(Pool(settings.url.clone()))
/// }
///
/// #[server(controllers = [])]
/// struct App;
///
/// let app = Helios::new(App).provide(Settings { url: "db:1".into() }).provide_async(connect);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a value for the container",
    label = "not an async function of `Arc`s that gives a `Result`",
    note = "write `async fn connect(settings: Arc<Settings>) -> Result<Pool, E>`, where `E` implements `std::error::Error` or is a text",
    note = "its future must be `Send`: hold no `Rc` and no lock's guard across an `.await`"
)]
pub trait Factory<Args>: Send + 'static {
    /// The type that the factory makes.
    type Output: Send + 'static;

    #[doc(hidden)]
    fn needs() -> Vec<TypeKey>;

    /// Starts the factory, if everything that it needs is present.
    #[doc(hidden)]
    fn make(self, container: &Container) -> Option<FactoryFuture<Self::Output>>;
}

/// The future of a value that is being made.
#[doc(hidden)]
pub type FactoryFuture<T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send>>;

macro_rules! factory_of {
    ($($arg:ident)*) => {
        #[diagnostic::do_not_recommend]
        #[allow(non_snake_case, unused_variables)]
        impl<F, Made, T, E, $($arg,)*> Factory<($(Arc<$arg>,)*)> for F
        where
            F: FnOnce($(Arc<$arg>,)*) -> Made + Send + 'static,
            Made: Future<Output = Result<T, E>> + Send + 'static,
            T: Send + 'static,
            E: Into<Box<dyn Error + Send + Sync>>,
            $($arg: ?Sized + Send + Sync + 'static,)*
        {
            type Output = T;

            fn needs() -> Vec<TypeKey> {
                vec![$(TypeKey::of::<$arg>(),)*]
            }

            fn make(self, container: &Container) -> Option<FactoryFuture<T>> {
                let made = self($(container.get::<$arg>()?,)*);
                Some(Box::pin(async move { made.await.map_err(Into::into) }))
            }
        }
    };
}

factory_of!();
factory_of!(A);
factory_of!(A B);
factory_of!(A B C);
factory_of!(A B C D);
factory_of!(A B C D G);
factory_of!(A B C D G H);

/// Factories that have not run yet, in the order in which they were added.
#[derive(Default)]
pub(super) struct Factories(Vec<Pending>);

struct Pending {
    makes: TypeKey,
    needs: Vec<TypeKey>,
    make: Make,
}

type Make = Box<dyn FnOnce(&Container) -> Option<FactoryFuture<Stored>> + Send>;

impl fmt::Debug for Factories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|pending| &pending.makes.name);
        f.debug_list().entries(names).finish()
    }
}

impl Factories {
    /// Adds a factory and replaces an earlier one of the same type. `share` converts its output to the type under which
    /// it is requested.
    pub(super) fn add<Args, F: Factory<Args>, T: ?Sized + Send + Sync + 'static>(
        &mut self,
        factory: F,
        share: fn(F::Output) -> Arc<T>,
    ) {
        let makes = TypeKey::of::<T>();
        self.remove(&makes);
        let make = move |container: &Container| {
            let making = factory.make(container)?;
            let making: FactoryFuture<Stored> =
                Box::pin(async move { Ok(Arc::new(share(making.await?)) as _) });
            Some(making)
        };
        self.0.push(Pending {
            makes,
            needs: F::needs(),
            make: Box::new(make),
        });
    }

    /// Removes the factory of a type, because something else provides the type.
    pub(super) fn remove(&mut self, key: &TypeKey) {
        self.0.retain(|pending| pending.makes.id != key.id);
    }

    /// Runs all factories, one after the other, each as soon as everything that it needs is present. Returns the values
    /// made, and why the others were not.
    pub(super) async fn run_all(mut self, provided: &Container) -> Container {
        let (mut all, mut made) = (provided.clone(), Container::default());
        while let Some(Pending { makes, make, .. }) = self.next_ready(&all) {
            let Some(making) = make(&all) else { continue };
            match making.await {
                Ok(value) => {
                    all.values.insert(makes.id, Arc::clone(&value));
                    made.values.insert(makes.id, value);
                }
                Err(error) => {
                    let reason = Unmade::Failed(with_sources(&*error));
                    made.unmade.push((makes, reason));
                }
            }
        }
        made.extend(self.left(|pending| Unmade::Lacking(pending.needs)));
        made
    }

    /// Returns a container that knows only that these have not run.
    pub(super) fn pending(self) -> Container {
        self.left(|_| Unmade::Pending)
    }

    fn next_ready(&mut self, all: &Container) -> Option<Pending> {
        let is_ready = |pending: &Pending| pending.needs.iter().all(|need| all.holds(need));
        let next = self.0.iter().position(is_ready)?;
        Some(self.0.remove(next))
    }

    fn left(self, why: impl Fn(Pending) -> Unmade) -> Container {
        let mut container = Container::default();
        for pending in self.0 {
            container.unmade.push((pending.makes.clone(), why(pending)));
        }
        container
    }
}

fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
