//! What an app's routes share when they answer.

use axum_core::response::{IntoResponse, Response};
use helios_core::error::HttpError;
use helios_core::request::RequestContext;

/// Set once, at start-up.
pub(crate) struct AppContext {
    /// The largest request body that is bound, in bytes.
    pub(crate) body_limit: usize,
    pub(crate) error_format: Option<ErrorFormat>,
}

/// How errors are written, if not as problem JSON.
pub(crate) type ErrorFormat = Box<dyn Fn(&HttpError, &RequestContext) -> Response + Send + Sync>;

impl AppContext {
    /// The format gets the error as a client may know it; layers find it as it is.
    pub(crate) fn render(&self, error: HttpError, asked: Option<&RequestContext>) -> Response {
        let (Some(format), Some(asked)) = (&self.error_format, asked) else {
            return error.into_response();
        };
        let mut response = format(&error.for_client(), asked);
        response.extensions_mut().insert(error);
        response
    }
}
