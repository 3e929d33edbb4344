//! What the tests mount.

use axum::Router;
use axum::extract::Request;

/// Tells its name and what it sees.
pub(super) fn says(name: &'static str) -> Router {
    Router::new().fallback(async move |request: Request| format!("{name} {}", request.uri()))
}
