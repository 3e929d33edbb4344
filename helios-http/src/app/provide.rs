//! The builder methods that an app and a module have in common: both are provided with values.

/// Writes them for a type with a field `providers`, in a file that imports `Arc` and `Factory`.
macro_rules! provider_methods {
    () => {
        /// Hands in a value that controllers, guards and services get as `Arc<T>`; also a controller itself. A later one of the
        /// same type replaces it.
        pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
            self.provide_as(Arc::new(value))
        }

        /// Hands in a value that is shared already, or one behind a trait, as the type that it is asked for by.
        ///
        /// ```
        /// use helios::prelude::*;
        ///
        /// trait Mailer: Send + Sync {}
        ///
        /// struct Smtp;
        /// impl Mailer for Smtp {}
        ///
        /// #[server(controllers = [])]
        /// struct App;
        ///
        /// let app = Helios::new(App).provide_as::<dyn Mailer>(Arc::new(Smtp));
        /// # assert!(app.into_service().is_ok());
        /// ```
        pub fn provide_as<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
            self.providers.provide(value);
            self
        }

        /// Hands in a value that must be awaited to be made, such as a pool of connections. The factory is an async
        /// function, or closure, that takes up to six `Arc`s of what is provided or made by other factories:
        /// `provide_async(connect)` with `async fn connect(settings: Arc<Settings>) -> Result<Pool, E>`.
        ///
        /// Factories run before anything else is resolved, in the order in which they need each other. `listen` lets them
        /// run, [`Helios::prepare`](crate::Helios::prepare) for an app that does not listen; what fails is told with everything
        /// else that keeps the app from starting. Of a type that is provided again later, the factory does not run.
        ///
        /// ```
        /// use std::io;
        ///
        /// use helios::prelude::*;
        ///
        /// #[server(controllers = [])]
        /// struct App;
        ///
        /// struct Settings { url: String }
        /// struct Pool;
        ///
        /// async fn connect(settings: Arc<Settings>) -> Result<Pool, io::Error> {
        ///     Err(io::Error::other(format!("{} does not answer", settings.url)))
        /// }
        ///
        /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
        /// let app = Helios::new(App)
        ///     .provide_async(connect)
        ///     .provide_async(async || Ok::<_, io::Error>(Settings { url: "db:1".into() }));
        /// let error = app.prepare().await.into_service().err().unwrap();
        /// assert!(error.to_string().contains("`Pool` could not be made: db:1 does not answer"));
        /// # });
        /// ```
        pub fn provide_async<Args, F>(mut self, factory: F) -> Self
        where
            F: Factory<Args, Output: Sync>,
        {
            self.providers.provide_async(factory, Arc::new);
            self
        }

        /// As [`provide_async`](Self::provide_async), for a factory that gives an `Arc`, also of a trait:
        /// `Result<Arc<dyn Store>, E>`.
        pub fn provide_async_as<Args, F, T>(mut self, factory: F) -> Self
        where
            F: Factory<Args, Output = Arc<T>>,
            T: ?Sized + Send + Sync + 'static,
        {
            self.providers.provide_async(factory, |value| value);
            self
        }
    };
}

pub(super) use provider_methods;
