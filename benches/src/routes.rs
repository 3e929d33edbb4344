//! An app with any number of routes, in groups of ten.

use axum::body::Body;
use helios::http::HeliosService;
use helios::prelude::*;
use http::{Method, Request, Uri};
use tower_service::Service;

/// A target for each route of a group, below its prefix.
const PATHS: [&str; 10] = [
    "",
    "/recent",
    "/search",
    "/17",
    "/17/author",
    "/17/comments",
    "/17/comments/4",
    "/17/history",
    "/17/likes",
    "/17/tags",
];

#[derive(Injectable)]
struct Articles;

#[controller]
impl Articles {
    #[get]
    async fn list(&self) -> &'static str {
        "list"
    }
    #[get("recent")]
    async fn recent(&self) -> &'static str {
        "recent"
    }
    #[get("search")]
    async fn search(&self) -> &'static str {
        "search"
    }
    #[get("{id}")]
    async fn find(&self, #[param] id: u64) -> String {
        id.to_string()
    }
    #[get("{id}/author")]
    async fn author(&self, #[param] id: u64) -> String {
        id.to_string()
    }
    #[get("{id}/comments")]
    async fn comments(&self, #[param] id: u64) -> String {
        id.to_string()
    }
    #[get("{id}/comments/{comment}")]
    async fn comment(&self, #[param] id: u64, #[param] comment: u64) -> String {
        (id + comment).to_string()
    }
    #[get("{id}/history")]
    async fn history(&self, #[param] id: u64) -> String {
        id.to_string()
    }
    #[get("{id}/likes")]
    async fn likes(&self, #[param] id: u64) -> String {
        id.to_string()
    }
    #[get("{id}/tags")]
    async fn tags(&self, #[param] id: u64) -> String {
        id.to_string()
    }
}

#[server(prefix = "api")]
struct App;

/// Returns an app with this many routes, rounded down to whole groups.
pub fn app(routes: usize) -> Helios {
    groups(routes).fold(Helios::new(App), |app, prefix| {
        app.module(Module::new(prefix).controller::<Articles>())
    })
}

/// Returns one target for each route of [`app`].
#[must_use]
pub fn targets(routes: usize) -> Vec<Uri> {
    let paths = |prefix: String| PATHS.map(|path| format!("/api/{prefix}{path}"));
    let texts = groups(routes).flat_map(paths);
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Requests each of the targets once, in process. The router itself responds to OPTIONS, so with it nothing else is
/// measured.
///
/// # Panics
///
/// Panics if a target is not routed.
pub async fn walk(service: &mut HeliosService, method: &Method, targets: &[Uri]) {
    for target in targets {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.clone();
        let Ok(response) = service.call(request).await;
        assert!(response.status().is_success(), "{target} is not routed");
    }
}

fn groups(routes: usize) -> impl Iterator<Item = String> {
    (0..routes / PATHS.len()).map(|n| format!("resource{n}"))
}
