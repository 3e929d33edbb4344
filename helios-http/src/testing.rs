//! Runs an app in process, without a socket, or on a free port, and reads its streams event by event.
//!
//! The methods here panic where a test would: a stream that is not one, a body that is not JSON.
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

/// An app about to be tested. It starts as a `#[server]` type, or as the [`Helios`] that the program itself serves.
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
/// /// What `main` serves.
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

    /// Assembles the app, without a socket. Start and stop hooks of services do not run by themselves:
    /// [`TestApp::service`] runs them. With [`serve`](Self::serve) they do.
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

/// An app without a socket. Clones are cheap and mean the same app.
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
    /// Those of a client that keeps them.
    cookies: Option<Cookies>,
}

impl TestApp {
    /// Assembles an app as it is: a `#[server]` type or a [`Helios`]. Short for [`builder`](Self::builder) and
    /// [`start`](TestAppBuilder::start).
    ///
    /// # Errors
    ///
    /// As [`Helios::into_service`].
    pub fn start(app: impl Into<Helios>) -> Result<Self, Error> {
        Self::builder(app).start()
    }

    /// Begins with an app of which something is replaced or changed for the test.
    pub fn builder(app: impl Into<Helios>) -> TestAppBuilder {
        TestAppBuilder(app.into())
    }

    /// Returns a client of the same app that keeps cookies, as a browser does: what an answer sets is sent with the requests that
    /// follow, streams included, until it is removed. Each call gives another client, without cookies; clones of one share them.
    ///
    /// A cookie goes to its `Path`, and to that alone where it was set with one. `Secure` cookies are sent too, as there is no
    /// network to spy on; `Domain` and `SameSite` are not looked at, as there is one site. `Max-Age=0` removes a cookie; none
    /// ages otherwise, and `Expires` is not looked at. A `cookie` header of the test's own is sent first.
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

    /// The app itself. `service().start()` runs the start hooks, `service().shutdown(..)` ends the streams and runs the
    /// stop hooks, as a server does; it waits until the streams are read to their end, so read them meanwhile
    /// (`tokio::join!`).
    #[must_use]
    pub fn service(&self) -> &HeliosService {
        &self.service
    }

    /// The way to the app's SSE connections from outside.
    #[must_use]
    pub fn sse_service(&self) -> &SseService {
        &self.sse
    }

    /// A GET, sent when it is awaited. `path` is the request target, with its query: `/user?size=20`.
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
        TestRequest::new(self.service.clone(), self.cookies.clone(), method, path)
    }

    /// A stream, opened when it is awaited. See [`TestStream`].
    pub fn sse(&self, path: &str) -> SseRequest {
        SseRequest::new(self.get(path))
    }
}
