//! Guards, which decide whether a request may call a route.

use std::future::Future;
use std::pin::Pin;

use crate::error::HttpError;
use crate::request::RequestContext;
use crate::security::Security;

/// Decides whether a request may reach its handler. Guards run before any part of the request is bound.
///
/// ```
/// use helios::prelude::*;
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
/// # #[derive(Injectable)]
/// # struct Vault;
///
/// #[controller(prefix = "vault", guards = [ApiKey])]
/// impl Vault {
///     #[get]
///     fn open(&self) -> &str { "gold" }
/// }
/// # #[server(controllers = [Vault])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = Helios::new(App).provide(ApiKey("sesame".into()));
/// # let app = helios::testing::TestApp::start(app).unwrap();
/// # assert_eq!(app.get("/vault").await.status(), 401);
/// # assert_eq!(app.get("/vault").header("x-api-key", "sesame").await.text(), "gold");
/// # }
/// ```
///
/// A guard comes from the container. It is provided, or built if its type derives `Injectable`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a guard",
    label = "does not implement `Guard`",
    note = "write `impl Guard for {Self}` with `async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError>`"
)]
pub trait Guard: Send + Sync + 'static {
    /// Accepts or refuses the request. Values for the handler go into [`RequestContext::extensions_mut`]. The future is
    /// dropped at an await if the client disconnects.
    ///
    /// # Errors
    ///
    /// The error is sent to the client. Nothing after this guard runs.
    fn check(
        &self,
        request: &mut RequestContext,
    ) -> impl Future<Output = Result<(), HttpError>> + Send;

    /// Returns the credentials that the guard accepts. Only the app's OpenAPI document uses them. It shows them at
    /// every route behind this guard, with 401 and 403 among the responses. Default: `None`, so the document shows
    /// nothing.
    ///
    /// ```
    /// use helios::http::Security;
    /// use helios::prelude::*;
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
    ///
    ///     fn security(&self) -> Option<Security> {
    ///         Some(Security::header("x-api-key"))
    ///     }
    /// }
    /// ```
    fn security(&self) -> Option<Security> {
        None
    }
}

/// A [`Guard`] behind a pointer, as the runtime stores it.
pub trait DynGuard: Send + Sync {
    /// See [`Guard::check`].
    fn check<'a>(
        &'a self,
        request: &'a mut RequestContext,
    ) -> Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send + 'a>>;

    /// See [`Guard::security`].
    #[cfg(feature = "openapi")]
    fn security(&self) -> Option<Security>;
}

impl<G: Guard> DynGuard for G {
    fn check<'a>(
        &'a self,
        request: &'a mut RequestContext,
    ) -> Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send + 'a>> {
        Box::pin(Guard::check(self, request))
    }

    #[cfg(feature = "openapi")]
    fn security(&self) -> Option<Security> {
        Guard::security(self)
    }
}
