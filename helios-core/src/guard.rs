//! Guards: who may call a route.

use std::future::Future;
use std::pin::Pin;

use crate::error::HttpError;
use crate::request::RequestContext;

/// Decides whether a request may reach its handler. Guards run before anything of the request is bound.
///
/// ```
/// use helios_core::{error::HttpError, guard::Guard, request::RequestContext};
///
/// struct ApiKey(String);
///
/// impl Guard for ApiKey {
///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
///         match request.header("x-api-key") {
///             Some(key) if key == self.0 => Ok(()),
///             _ => Err(HttpError::unauthorized("send a valid `x-api-key` header")),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a guard",
    label = "does not implement `Guard`",
    note = "write `impl Guard for {Self}` with `async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError>`"
)]
pub trait Guard: Send + Sync + 'static {
    /// Lets the request pass, or refuses it. Values for the handler go into [`RequestContext::extensions_mut`].
    ///
    /// # Errors
    ///
    /// The error is the answer to the client; nothing after this guard runs.
    fn check(
        &self,
        request: &mut RequestContext,
    ) -> impl Future<Output = Result<(), HttpError>> + Send;
}

/// [`Guard`] behind a pointer, as the runtime keeps it.
pub trait DynGuard: Send + Sync {
    /// See [`Guard::check`].
    fn check<'a>(
        &'a self,
        request: &'a mut RequestContext,
    ) -> Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send + 'a>>;
}

impl<G: Guard> DynGuard for G {
    fn check<'a>(
        &'a self,
        request: &'a mut RequestContext,
    ) -> Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send + 'a>> {
        Box::pin(Guard::check(self, request))
    }
}
