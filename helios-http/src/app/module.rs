//! [`Module`], a set of controllers with values of their own.

use std::sync::Arc;

use helios_core::container::{Factory, Providers};

use crate::app::table::{Controller, ControllerEntry};

/// A set of controllers below a path, with values of their own. A plain function creates one from its settings, and an
/// app can hold several of the same kind:
///
/// ```
/// use helios::prelude::*;
///
/// struct Settings { title: &'static str }
///
/// #[derive(Injectable)]
/// struct Blog { settings: Arc<Settings> }
///
/// #[controller(prefix = "blog")]
/// impl Blog {
///     #[get]
///     fn title(&self) -> &str {
///         self.settings.title
///     }
/// }
///
/// fn blog(path: &str, title: &'static str) -> Module {
///     Module::new(path).provide(Settings { title }).controller::<Blog>()
/// }
///
/// #[server(controllers = [])]
/// struct App;
///
/// let app = Helios::new(App).module(blog("news", "News")).module(blog("team", "Team"));
/// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
/// # let app = helios::testing::TestApp::start(app).unwrap();
/// assert_eq!(app.get("/team/blog").await.text(), "Team");
/// # }
/// # run(app);
/// ```
///
/// A module looks up dependencies in its own values first, then in those provided to the app. Instances that the
/// container builds on demand are built separately for each module.
#[must_use = "hand the module to `Helios::module`"]
pub struct Module {
    pub(crate) prefix: String,
    pub(crate) providers: Providers,
    pub(crate) controllers: Vec<ControllerEntry>,
}

impl Module {
    /// Creates an empty module. `prefix` follows that of the server. It may be empty, and it may hold parameters.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            providers: Providers::default(),
            controllers: Vec::new(),
        }
    }

    /// Provides a value that this module's controllers, guards and services receive as `Arc<T>`.
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.provide_as(Arc::new(value))
    }

    /// Provides a value that is shared already, or one behind a trait, like
    /// [`Helios::provide_as`](crate::Helios::provide_as).
    pub fn provide_as<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.providers.provide(value);
        self
    }

    /// Provides a value that must be awaited to be made, like [`Helios::provide_async`](crate::Helios::provide_async).
    pub fn provide_async<Args, F>(mut self, factory: F) -> Self
    where
        F: Factory<Args, Output: Sync>,
    {
        self.providers.provide_async(factory, Arc::new);
        self
    }

    /// Like [`Module::provide_async`], for a factory that returns an `Arc`, which may be one of a trait.
    pub fn provide_async_as<Args, F, T>(mut self, factory: F) -> Self
    where
        F: Factory<Args, Output = Arc<T>>,
        T: ?Sized + Send + Sync + 'static,
    {
        self.providers.provide_async(factory, |value| value);
        self
    }

    /// Adds a controller below the module's prefix.
    pub fn controller<C: Controller>(mut self) -> Self {
        self.controllers.push(ControllerEntry::of::<C>());
        self
    }
}
