//! Start and stop hooks of services.

mod hook;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

#[doc(hidden)]
pub use hook::ladder;
pub use hook::{HookFuture, HookResult, LifecycleOutput};

/// The hooks of a service, which run before the first request and after the last one. Declare them with
/// `#[inject(on_start = connect, on_stop = flush)]` beside `#[derive(Injectable)]`.
pub struct Lifecycle<T> {
    /// Runs before the app accepts requests, and after the start hooks of the services that this one was built from.
    pub on_start: Option<for<'a> fn(&'a T) -> HookFuture<'a>>,
    /// Runs after the last request, and before the stop hooks of the services that this one was built from.
    pub on_stop: Option<for<'a> fn(&'a T) -> HookFuture<'a>>,
}

impl<T> Lifecycle<T> {
    /// No hooks.
    pub const NONE: Self = Self {
        on_start: None,
        on_stop: None,
    };

    pub(crate) const fn is_none(&self) -> bool {
        self.on_start.is_none() && self.on_stop.is_none()
    }
}

/// The error of a service that could not start.
///
/// ```
/// use helios::error::{Error, StartError};
///
/// fn who(error: &Error) -> Option<&str> {
///     match error {
///         Error::Start(StartError { service, .. }) => Some(service),
///         _ => None,
///     }
/// }
/// # assert_eq!(who(&Error::Io(std::io::ErrorKind::Other.into())), None);
/// ```
#[derive(Debug, thiserror::Error)]
#[error("`{service}` could not start: {source}")]
#[non_exhaustive]
pub struct StartError {
    /// The name of the service.
    pub service: String,
    /// The error of its hook.
    pub source: Box<dyn Error + Send + Sync>,
}

/// The services with hooks, in the order in which they were built, dependencies first.
#[derive(Clone, Default)]
pub struct Services(Vec<Arc<dyn Service>>);

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|service| service.name()))
            .finish()
    }
}

impl Services {
    pub(crate) fn add<T: Send + Sync + 'static>(
        &mut self,
        name: String,
        value: Arc<T>,
        lifecycle: Lifecycle<T>,
    ) {
        self.0.push(Arc::new(BoundService {
            name,
            value,
            lifecycle,
        }));
    }

    /// Starts all services, one after the other.
    ///
    /// # Errors
    ///
    /// The error of the first service that fails or panics. Services started before it are stopped again.
    pub async fn start(&self) -> Result<(), StartError> {
        for (n, service) in self.0.iter().enumerate() {
            if let Err(source) = service.start().await {
                stop(&self.0[..n]).await;
                let service = service.name().to_owned();
                return Err(StartError { service, source });
            }
        }
        Ok(())
    }

    /// Stops all services, last built first. Neither an error nor a panic keeps the others from stopping. Returns the
    /// errors by service.
    pub async fn stop(&self) -> Vec<(String, Box<dyn Error + Send + Sync>)> {
        stop(&self.0).await
    }
}

async fn stop(services: &[Arc<dyn Service>]) -> Vec<(String, Box<dyn Error + Send + Sync>)> {
    let mut errors = Vec::new();
    for service in services.iter().rev() {
        if let Err(error) = service.stop().await {
            errors.push((service.name().to_owned(), error));
        }
    }
    errors
}

/// A service with its hooks, with its type erased.
trait Service: Send + Sync {
    fn name(&self) -> &str;
    fn start(&self) -> HookFuture<'_>;
    fn stop(&self) -> HookFuture<'_>;
}

struct BoundService<T> {
    name: String,
    value: Arc<T>,
    lifecycle: Lifecycle<T>,
}

impl<T: Send + Sync> Service for BoundService<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&self) -> HookFuture<'_> {
        Box::pin(hook::run(self.lifecycle.on_start, &*self.value))
    }

    fn stop(&self) -> HookFuture<'_> {
        Box::pin(hook::run(self.lifecycle.on_stop, &*self.value))
    }
}
