//! State shared by the app's routes when they answer.

use std::fmt;
use std::ops::Deref;

use axum_core::response::{IntoResponse, Response};
use helios_core::error::HttpError;
use helios_core::request::RequestContext;

use crate::panics::caught;

/// Set once, at start-up.
pub(crate) struct AppContext {
    /// The largest request body that is bound, in bytes.
    pub(crate) body_limit: usize,
    pub(crate) error_format: Option<ErrorFormat>,
}

/// Writes errors in another format than problem JSON.
pub(crate) type ErrorFormat = Box<dyn Fn(&ErrorReport<'_>) -> Response + Send + Sync>;

/// An error as its client may see it, and the request that it answers. [`error_format`](crate::Helios::error_format)
/// receives it. It derefs to the [`HttpError`]. The one of a 5xx has neither detail nor source, which are for the log.
///
/// ```
/// use helios::axum_core::response::{IntoResponse, Response};
/// use helios::http::ErrorReport;
///
/// fn as_text(error: &ErrorReport<'_>) -> Response {
///     let asked = error.request().uri().path();
///     (error.status(), format!("{asked}: {}", error.title())).into_response()
/// }
/// # let _ = helios::Helios::error_format(helios::Helios::new(App), as_text);
/// # #[helios::server(controllers = [])]
/// # struct App;
/// ```
#[derive(Clone)]
pub struct ErrorReport<'a> {
    error: HttpError,
    request: &'a RequestContext,
}

impl ErrorReport<'_> {
    /// Returns the request as it came to its route, before guards. [`RequestContext::route`] is empty if there is no
    /// route.
    #[must_use]
    pub fn request(&self) -> &RequestContext {
        self.request
    }
}

impl Deref for ErrorReport<'_> {
    type Target = HttpError;

    fn deref(&self) -> &HttpError {
        &self.error
    }
}

impl fmt::Debug for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl IntoResponse for ErrorReport<'_> {
    /// Returns problem JSON, as without a format.
    fn into_response(self) -> Response {
        self.error.into_response()
    }
}

impl AppContext {
    /// Renders an error. The format receives the error as a client may see it. Layers find the full error in the
    /// extensions. If the format panics, the client gets problem JSON for that.
    pub(crate) fn render(&self, error: HttpError, asked: Option<&RequestContext>) -> Response {
        let (Some(format), Some(asked)) = (&self.error_format, asked) else {
            return error.into_response();
        };
        let report = ErrorReport {
            error: error.for_client(),
            request: asked,
        };
        let Some(mut response) = caught("the error format", || format(&report)) else {
            return HttpError::internal("the error format panicked").into_response();
        };
        response.extensions_mut().insert(error);
        response
    }
}
