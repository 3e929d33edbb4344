//! The service that the tests mount.

use axum::Router;
use axum::extract::Request;

/// Responds with its name and the URI that it sees.
pub(super) fn says(name: &'static str) -> Router {
    Router::new().fallback(async move |request: Request| format!("{name} {}", request.uri()))
}
