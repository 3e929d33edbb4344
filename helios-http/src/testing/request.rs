//! Requests for tests, built step by step.

use axum_core::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response};
use serde::Serialize;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::HeliosService;
use crate::future::BoxFuture;
use crate::testing::cookies::Cookies;
use crate::testing::multipart::TestMultipart;
use crate::testing::response::TestResponse;
use crate::testing::stream::{DEADLINE, TestStream};

/// A request, sent when it is awaited.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Echo;
///
/// #[controller(prefix = "echo")]
/// impl Echo {
///     #[post]
///     fn echo(&self, #[header] x_user: String, #[body(json, form)] body: serde_json::Value) -> String {
///         format!("{x_user}: {body}")
///     }
/// }
/// # #[server(controllers = [Echo])]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let echo = app.post("/echo").header("x-user", "ann").json(&json!([1, 2])).await;
/// assert_eq!(echo.text(), "ann: [1,2]");
/// let form = app.post("/echo").header("x-user", "bob");
/// let echo = form.content("application/x-www-form-urlencoded", "a=1").await;
/// assert_eq!(echo.text(), r#"bob: {"a":"1"}"#);
/// # }
/// ```
#[must_use = "await the request to send it"]
pub struct TestRequest {
    service: HeliosService,
    cookies: Option<Cookies>,
    request: Request<Body>,
}

impl TestRequest {
    /// # Panics
    ///
    /// If `path` is not a request target.
    pub(super) fn new(
        service: HeliosService,
        cookies: Option<Cookies>,
        method: Method,
        path: &str,
    ) -> Self {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path
            .parse()
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Self {
            service,
            cookies,
            request,
        }
    }

    /// Adds a header. Others of the same name stay.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name
            .parse()
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let value: HeaderValue = value
            .parse()
            .unwrap_or_else(|error| panic!("{value:?}: {error}"));
        self.request.headers_mut().append(name, value);
        self
    }

    /// Sets a JSON body and its content type.
    ///
    /// # Panics
    ///
    /// If the value cannot be serialised.
    pub fn json(self, value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_else(|error| panic!("{error}"));
        self.content("application/json", json)
    }

    /// Sets a body and its content type.
    ///
    /// # Panics
    ///
    /// If `kind` is not a valid header value.
    pub fn content(mut self, kind: &str, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Body::from(body.into());
        self.header(CONTENT_TYPE.as_str(), kind)
    }

    /// Sets a multipart body and its content type.
    pub fn multipart(self, form: TestMultipart) -> Self {
        let (kind, body) = form.written();
        self.content(&kind, body)
    }

    pub(super) async fn send(mut self) -> Response<Body> {
        let target = self.request.uri().clone();
        if let Some(cookies) = &self.cookies {
            cookies.send_with(&mut self.request);
        }
        let response = match self.service.oneshot(self.request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if let Some(cookies) = &self.cookies {
            cookies.keep(&target, response.headers());
        }
        response
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = BoxFuture<'static, TestResponse>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { TestResponse::read(self.send().await).await })
    }
}

/// A request for a stream, which opens when it is awaited. It panics if the response is not an event stream. Use
/// [`TestRequest`] to check a refusal.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[derive(Injectable)]
/// struct Words;
///
/// #[controller]
/// impl Words {
///     #[sse("words", method = "POST")]
///     fn words(&self, #[header("last-event-id")] last: Option<usize>, #[body] text: String) -> impl Stream<Item = SseEvent> {
///         stream! {
///             for (n, word) in text.split(' ').enumerate().skip(last.map_or(0, |n| n.saturating_add(1))) {
///                 yield SseEvent::text(word).id(n);
///             }
///         }
///     }
/// }
/// # #[server(controllers = [Words], sse(enabled = true))]
/// # struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// let request = app.sse("/words").header("x-user", "ann").post_json(&"who is it");
/// let mut words = request.last_event_id("1").await;
/// assert_eq!(words.next().await.unwrap().data, "it");
/// # }
/// ```
#[must_use = "await the request to open the stream"]
pub struct SseRequest {
    request: TestRequest,
}

impl SseRequest {
    pub(super) fn new(request: TestRequest) -> Self {
        Self { request }
    }

    /// Resumes after this event, as a client does that has lost its connection ([WHATWG HTML, section
    /// 9.2.4](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header)).
    ///
    /// # Panics
    ///
    /// If the id is not a valid header value.
    pub fn last_event_id(self, id: &str) -> Self {
        self.header("last-event-id", id)
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// As [`TestRequest::header`].
    pub fn header(self, name: &str, value: &str) -> Self {
        Self::new(self.request.header(name, value))
    }

    /// Opens the stream with a POST of this JSON.
    ///
    /// # Panics
    ///
    /// As [`TestRequest::json`].
    pub fn post_json(self, value: &impl Serialize) -> Self {
        let mut request = self.request.json(value);
        *request.request.method_mut() = Method::POST;
        Self::new(request)
    }
}

impl IntoFuture for SseRequest {
    type Output = TestStream;
    type IntoFuture = BoxFuture<'static, TestStream>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let response = self.request.send().await;
            if TestStream::is_stream(&response) {
                return TestStream::new(response);
            }
            let status = response.status();
            let Ok(response) = timeout(DEADLINE, TestResponse::read(response)).await else {
                panic!("not an event stream: {status}, and a body without an end");
            };
            panic!("not an event stream: {status} {}", response.text())
        })
    }
}
