//! What an app's routes share when they answer.

use axum_core::response::{IntoResponse, Response};
use helios_core::error::HttpError;

/// Set once, at start-up.
pub(crate) struct AppContext {
    /// The largest request body that is bound, in bytes.
    pub(crate) body_limit: usize,
    pub(crate) error_format: Option<ErrorFormat>,
}

/// How errors are written, if not as problem JSON.
pub(crate) type ErrorFormat = Box<dyn Fn(&HttpError) -> Response + Send + Sync>;

impl AppContext {
    pub(crate) fn render(&self, error: &HttpError) -> Response {
        match &self.error_format {
            Some(format) => format(error),
            None => error.clone().into_response(),
        }
    }
}
