//! [`Html`], text that a browser shows as a page.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};

/// A page, or a part of one, sent as `text/html; charset=utf-8`.
///
/// It holds text or bytes in UTF-8: `String`, `&str`, `Vec<u8>`, `Bytes`. In a tuple, or in `SseReply::response`, a
/// `&str` has to be `'static`, as the result of `include_str!` is.
///
/// **Nothing is escaped.** Text from outside may contain a script, so escape it (`&`, `<`, `>`, and quotes in
/// attributes), or let a template engine write the page.
///
/// ```
/// use helios::prelude::*;
///
/// fn escaped(text: &str) -> String {
///     text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
/// }
///
/// #[derive(Injectable)]
/// struct Pages;
///
/// #[controller]
/// impl Pages {
///     #[get]
///     fn home(&self) -> Html<&str> {
///         Html("<h1>Welcome</h1>")
///     }
///
///     #[get("hello/{name}")]
///     fn hello(&self, #[param] name: &str) -> Html<String> {
///         Html(format!("<p>Hello {}</p>", escaped(name)))
///     }
/// }
/// # #[server(controllers = [Pages])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
/// let app = TestApp::start(App).unwrap();
/// let page = app.get("/hello/%3Cb%3E").await;
/// assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
/// assert_eq!(page.text(), "<p>Hello &lt;b&gt;</p>");
/// # assert_eq!(app.get("/").await.text(), "<h1>Welcome</h1>");
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "return it from a handler"]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.0.into());
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        response
    }
}
