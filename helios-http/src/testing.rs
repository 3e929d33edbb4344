//! Runs an app in process without a socket, or on a free port, and reads its streams event by event.
//!
//! The methods here panic where a test would fail, for instance if a response is not a stream or a body is not JSON.
//!
//! ```
//! use helios::prelude::*;
//! use helios::testing::TestApp;
//!
//! #[derive(Injectable)]
//! struct Clock;
//!
//! #[controller(prefix = "clock")]
//! impl Clock {
//!     #[get("{zone}")]
//!     fn zone(&self, #[param] zone: &str) -> String {
//!         format!("it is late in {zone}")
//!     }
//!
//!     #[sse("ticks")]
//!     fn ticks(&self) -> impl Stream<Item = SseEvent> {
//!         stream! {
//!             for n in 1..=2 {
//!                 yield SseEvent::json(n).id(n);
//!             }
//!         }
//!     }
//! }
//!
//! #[server(controllers = [Clock], sse(enabled = true))]
//! struct App;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // in a test: #[tokio::test]
//! let app = TestApp::start(App).unwrap();
//! assert_eq!(app.get("/clock/Oslo").await.text(), "it is late in Oslo");
//! let mut ticks = app.sse("/clock/ticks").await;
//! assert_eq!(ticks.next().await.unwrap().data, "1");
//! # }
//! ```

pub mod backplane;
mod cookies;
mod multipart;
mod request;
mod response;
mod server;
mod stream;

use std::sync::Arc;

pub use multipart::TestMultipart;
pub use request::{SseRequest, TestRequest};
pub use response::TestResponse;
pub use server::TestServer;
pub use stream::TestStream;

use crate::error::Error;
use crate::sse::SseService;
use crate::testing::cookies::Cookies;
use crate::{Helios, HeliosService};
use http::Method;

/// An app to be tested. It is built from a `#[server]` type, or from the [`Helios`] that the program itself serves.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// trait Mailer: Send + Sync {
///     fn send(&self, to: &str) -> bool;
/// }
///
/// struct Smtp;
/// impl Mailer for Smtp {
///     fn send(&self, _to: &str) -> bool { true }
/// }
///
/// struct Broken;
/// impl Mailer for Broken {
///     fn send(&self, _to: &str) -> bool { false }
/// }
///
/// #[derive(Injectable)]
/// struct Team { mailer: Arc<dyn Mailer> }
///
/// #[controller(prefix = "team")]
/// impl Team {
///     #[post("{name}/invitation")]
///     fn invite(&self, #[param] name: &str) -> StatusCode {
///         if self.mailer.send(name) { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
///     }
/// }
///
/// #[server(controllers = [Team])]
/// struct App;
///
/// /// The app that `main` serves.
/// fn app() -> Helios {
///     Helios::new(App).provide_as::<dyn Mailer>(Arc::new(Smtp))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::builder(app())
///     .override_provider::<dyn Mailer>(Arc::new(Broken))
///     .configure(|app| app.body_limit(1024))
///     .start()
///     .unwrap();
/// assert_eq!(app.post("/team/ann/invitation").await.status(), 502);
/// # }
/// ```
#[must_use = "start the app"]
pub struct TestAppBuilder(Helios);

impl TestAppBuilder {
    /// Provides a value, as [`Helios::provide`] does.
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
        Self(self.0.provide(value))
    }

    /// Replaces a service that the app would build or was provided with. It may be behind a trait, as in
    /// `override_provider::<dyn Mailer>(Arc::new(FakeMailer))`.
    pub fn override_provider<T: ?Sized + Send + Sync + 'static>(self, value: Arc<T>) -> Self {
        Self(self.0.provide_as(value))
    }

    /// Changes anything else of the app.
    pub fn configure(self, change: impl FnOnce(Helios) -> Helios) -> Self {
        Self(change(self.0))
    }

    /// Runs the async factories of services that are not replaced, as [`Helios::prepare`] does.
    /// [`TestAppBuilder::serve`] does this itself.
    pub async fn prepare(self) -> Self {
        Self(self.0.prepare().await)
    }

    /// Assembles the app without a socket. Start and stop hooks of services do not run on their own. Run them through
    /// [`TestApp::service`], or use [`serve`](Self::serve), which runs them.
    ///
    /// # Errors
    ///
    /// As [`Helios::into_service`].
    pub fn start(self) -> Result<TestApp, Error> {
        let sse = self.0.sse();
        let service = self.0.into_service()?;
        Ok(TestApp {
            service,
            sse,
            cookies: None,
        })
    }

    /// Serves the app on a free port of the loopback interface. See [`TestServer`].
    ///
    /// # Errors
    ///
    /// As [`TestServer::start`].
    pub async fn serve(self) -> Result<TestServer, Error> {
        TestServer::start(self.0).await
    }
}

/// An app without a socket. Clones are cheap and refer to the same app.
///
/// ```
/// use helios::prelude::*;
/// use helios::testing::TestApp;
///
/// #[server(controllers = [])]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let app = TestApp::start(App).unwrap();
/// assert_eq!(app.get("/nowhere").await.status(), 404);
/// assert_eq!(app.request("PURGE".parse().unwrap(), "/nowhere").await.status(), 404);
/// assert_eq!(app.sse_service().stats().connections, 0);
/// # }
/// ```
#[derive(Clone)]
pub struct TestApp {
    service: HeliosService,
    sse: SseService,
    /// The cookies of a client that keeps them.
    cookies: Option<Cookies>,
}

impl TestApp {
    /// Assembles an app as it is, from a `#[server]` type or a [`Helios`]. Short for [`builder`](Self::builder) and
    /// [`start`](TestAppBuilder::start).
    ///
    /// # Errors
    ///
    /// As [`Helios::into_service`].
    pub fn start(app: impl Into<Helios>) -> Result<Self, Error> {
        Self::builder(app).start()
    }

    /// Returns a builder for an app that the test changes or whose services it replaces.
    pub fn builder(app: impl Into<Helios>) -> TestAppBuilder {
        TestAppBuilder(app.into())
    }

    /// Returns a client of the same app that keeps cookies, as a browser does. Cookies that a response sets are sent
    /// with later requests, including streams, until they are removed. Each call returns another client, without
    /// cookies. Clones of a client share its cookies.
    ///
    /// A cookie is sent to its `Path` and below. Without a `Path`, that is the folder of the request that set it.
    /// `Secure` cookies are sent too, because there is no network to spy on. `Domain` and `SameSite` are ignored,
    /// because there is one site. `Max-Age=0` removes a cookie. Otherwise cookies do not expire, and `Expires` is
    /// ignored. A `cookie` header set by the test comes first.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::testing::TestApp;
    ///
    /// #[derive(Injectable)]
    /// struct Session;
    ///
    /// #[controller(prefix = "session")]
    /// impl Session {
    ///     #[post("{name}")]
    ///     fn sign_in(&self, #[param] name: &str, #[res] res: &mut ResponseHead) {
    ///         res.set_cookie(Cookie::new("user", name));
    ///     }
    ///
    ///     #[get]
    ///     fn name(&self, #[cookie] user: Option<String>) -> String {
    ///         user.unwrap_or_else(|| "nobody".into())
    ///     }
    /// }
    /// # #[server(controllers = [Session])]
    /// # struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let app = TestApp::start(App).unwrap();
    /// let (ann, bob) = (app.with_cookies(), app.with_cookies());
    /// ann.post("/session/ann").await;
    /// bob.post("/session/bob").await;
    /// assert_eq!(ann.get("/session").await.text(), "ann");
    /// assert_eq!(bob.get("/session").await.text(), "bob");
    /// assert_eq!(app.get("/session").await.text(), "nobody");
    /// # }
    /// ```
    #[must_use]
    pub fn with_cookies(&self) -> Self {
        Self {
            cookies: Some(Cookies::default()),
            ..self.clone()
        }
    }

    /// Returns the app itself. `service().start()` runs the start hooks. `service().shutdown(..)` ends the streams and
    /// runs the stop hooks, as a server does. It waits until the streams are read to their end, so read them meanwhile
    /// (`tokio::join!`).
    #[must_use]
    pub fn service(&self) -> &HeliosService {
        &self.service
    }

    /// Returns the service to reach the app's SSE streams from outside.
    #[must_use]
    pub fn sse_service(&self) -> &SseService {
        &self.sse
    }

    /// Creates a GET request, sent when it is awaited. `path` is the request target with its query, such as
    /// `/user?size=20`.
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// Creates a POST request, sent when it is awaited.
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Creates a PUT request, sent when it is awaited.
    pub fn put(&self, path: &str) -> TestRequest {
        self.request(Method::PUT, path)
    }

    /// Creates a PATCH request, sent when it is awaited.
    pub fn patch(&self, path: &str) -> TestRequest {
        self.request(Method::PATCH, path)
    }

    /// Creates a DELETE request, sent when it is awaited.
    pub fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    /// Creates a request of any method, sent when it is awaited.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest::new(self.service.clone(), self.cookies.clone(), method, path)
    }

    /// Creates a request for a stream, which opens when it is awaited. See [`TestStream`].
    pub fn sse(&self, path: &str) -> SseRequest {
        SseRequest::new(self.get(path))
    }
}
