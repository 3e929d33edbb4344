//! Runs an app in process, without a socket, or on a free port, and reads its streams event by event.
//!
//! The methods here panic where a test would: a stream that is not one, a body that is not JSON.

mod request;
mod response;
mod server;
mod stream;

use std::sync::Arc;

pub use request::{SseRequest, TestRequest};
pub use response::TestResponse;
pub use server::TestServer;
pub use stream::TestStream;

use crate::error::Error;
use crate::sse::SseService;
use crate::{Helios, HeliosService};
use http::Method;

/// An app about to be tested. It starts as a `#[server]` type, or as the [`Helios`] that the program itself serves.
#[must_use = "start the app"]
pub struct TestAppBuilder(Helios);

impl TestAppBuilder {
    /// Hands in a value, as [`Helios::provide`].
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
        Self(self.0.provide(value))
    }

    /// Replaces what the app would build or was provided with, also behind a trait:
    /// `override_provider::<dyn Mailer>(Arc::new(FakeMailer))`.
    pub fn override_provider<T: ?Sized + Send + Sync + 'static>(self, value: Arc<T>) -> Self {
        Self(self.0.provide_as(value))
    }

    /// Changes anything else of the app.
    pub fn configure(self, change: impl FnOnce(Helios) -> Helios) -> Self {
        Self(change(self.0))
    }

    /// Runs the async factories of what is not replaced, as [`Helios::prepare`]. [`TestAppBuilder::serve`] does it itself.
    pub async fn prepare(self) -> Self {
        Self(self.0.prepare().await)
    }

    /// Assembles the app, without a socket.
    ///
    /// # Errors
    ///
    /// As [`Helios::into_service`].
    pub fn start(self) -> Result<TestApp, Error> {
        let sse = self.0.sse();
        let service = self.0.into_service()?;
        Ok(TestApp { service, sse })
    }

    /// Serves the app on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// As [`Helios::listen`].
    pub async fn serve(self) -> Result<TestServer, Error> {
        TestServer::start(self.0).await
    }
}

/// An app without a socket.
///
/// ```
/// # use helios_http::controller::{PipelineTable, Server, ServerTable};
/// # struct App;
/// # impl Server for App {
/// #     const TABLE: ServerTable = ServerTable {
/// #         prefix: "", controllers: &[], pipeline: PipelineTable::EMPTY, body_limit: None,
/// #         host: None, port: None, sse: None,
/// #     };
/// # }
/// use helios_http::testing::TestApp;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let app = TestApp::new(App).start().unwrap();
/// let response = app.get("/nowhere").await;
/// assert_eq!(response.status(), 404);
/// # });
/// ```
#[derive(Clone)]
pub struct TestApp {
    service: HeliosService,
    sse: SseService,
}

impl TestApp {
    /// An app to be tested: a `#[server]` type or a [`Helios`].
    #[allow(clippy::new_ret_no_self)]
    pub fn new(app: impl Into<Helios>) -> TestAppBuilder {
        TestAppBuilder(app.into())
    }

    /// The way to the app's SSE connections from outside.
    #[must_use]
    pub fn sse_service(&self) -> &SseService {
        &self.sse
    }

    /// A GET, sent when it is awaited.
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// A POST, sent when it is awaited.
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// A PUT, sent when it is awaited.
    pub fn put(&self, path: &str) -> TestRequest {
        self.request(Method::PUT, path)
    }

    /// A PATCH, sent when it is awaited.
    pub fn patch(&self, path: &str) -> TestRequest {
        self.request(Method::PATCH, path)
    }

    /// A DELETE, sent when it is awaited.
    pub fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    /// A request of any method, sent when it is awaited.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self.service.clone(), method, path)
    }

    /// A stream, opened when it is awaited.
    pub fn sse(&self, path: &str) -> SseRequest {
        SseRequest::new(self.get(path))
    }
}
