//! Responses read by tests.

use axum_core::body::Body;
use bytes::Bytes;
use helios_core::text;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

/// A response with its whole body.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Numbers;
///
/// #[controller(prefix = "numbers")]
/// impl Numbers {
///     #[get]
///     fn list(&self) -> Vec<u32> { vec![1, 2] }
/// }
/// # #[server(controllers = [Numbers])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let response = app.get("/numbers").await;
/// assert_eq!((response.status(), response.header("content-type")), (StatusCode::OK, "application/json"));
/// assert_eq!(response.json::<Vec<u32>>(), [1, 2]);
/// assert_eq!((response.text().as_str(), response.body().len()), ("[1,2]", 5));
/// assert!(!response.headers().contains_key("etag"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TestResponse {
    pub(super) async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .unwrap_or_else(|error| panic!("the body broke off: {error}"));
        Self {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns a header's first value, or an empty string if there is none or it is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = text::values(&self.headers, name).next();
        value.unwrap_or_default()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as text. Invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    ///
    /// If the body is not JSON of this type.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }
}
