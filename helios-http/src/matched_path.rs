//! [`MatchedPath`], the route that answered a request.

use std::fmt;
use std::sync::Arc;

use helios_core::route::Template;
use http::Extensions;

/// The template of the route that answered a request, such as `/user/{id}`, by which logs and metrics count. A layer
/// finds it in the extensions of the response, since layers run before the router. If no route answered, there is none:
/// on a 404, in a mounted service, on an OPTIONS that Helios answers, and if a layer answers by itself or panics.
///
/// Guards, interceptors and filters call [`RequestContext::route`](helios_core::request::RequestContext::route).
///
/// ```
/// use helios::axum_core::response::Response;
/// use helios::http::MatchedPath;
/// use helios::prelude::*;
/// use tower::util::MapResponseLayer;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[get("{id}")]
///     fn find(&self, #[param] id: u64) -> String { id.to_string() }
/// }
///
/// #[server(controllers = [User])]
/// struct App;
///
/// let count = MapResponseLayer::new(|response: Response| {
///     let route = MatchedPath::of(response.extensions()).map_or("none", MatchedPath::as_str);
///     println!("http_requests_total{{route={route:?}, status=\"{}\"}}", response.status().as_u16());
/// #   assert_eq!(route, if response.status() == 200 { "/user/{id}" } else { "none" });
///     response
/// });
/// let app = Helios::new(App).layer(count);
/// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
/// # let app = helios::testing::TestApp::start(app).unwrap();
/// # assert_eq!(app.get("/user/7").await.status(), 200);
/// # assert_eq!(app.get("/users").await.status(), 404);
/// # }
/// # run(app);
/// ```
#[derive(Clone, Debug)]
pub struct MatchedPath(pub(crate) Arc<Template>);

impl MatchedPath {
    /// Returns the path of the route that gave the response with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Returns the template, including the prefixes of its controllers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for MatchedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
