//! [`Helios`], the builder of an app.

mod assemble;
mod module;
mod mounts;
mod settings;
pub(crate) mod table;

pub use module::Module;

use std::convert::Infallible;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios_core::container::{Container, Factory, Providers};
use http::Request;
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use crate::app::assemble::{Assembled, assemble};
use crate::app::mounts::MountEntry;
use crate::app::settings::Settings;
use crate::app::table::{Controller, ControllerEntry, Server, ServerTable};
use crate::error::{Error, StartupFault, StartupFaults};
#[cfg(feature = "openapi")]
use crate::openapi::serve::{self, Served};
#[cfg(feature = "openapi")]
use crate::openapi::{OpenApi, OpenApiDocument, Unknown};
#[cfg(feature = "openapi")]
use crate::openapi::{document::document, operation::Whole};
use crate::panics;
use crate::routing::context::{AppContext, ErrorFormat, ErrorReport};
use crate::routing::mount::{self, BoxedService, Mounts};
use crate::routing::router::{Router, Routes};
use crate::routing::service::{BoxedLayer, HeliosService, RouteService, Routing, Stack};
use crate::sse::backplane::Backplane;
use crate::sse::{SseOptions, SseService, Streams};
use crate::table::Guards;

/// A week, which is longer than anybody waits. The clock cannot represent an instant as far away as `Duration::MAX`.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An app: a `#[server]` type, the values provided to it, and the settings that it is served with.
///
/// Helios resolves and opens nothing before [`Helios::listen`] or [`Helios::into_service`].
///
/// ```no_run
/// use helios::prelude::*;
///
/// struct Settings { greeting: String }
///
/// #[derive(Injectable)]
/// struct Greeter { settings: Arc<Settings> }
///
/// #[controller(prefix = "hello")]
/// impl Greeter {
///     #[get]
///     fn hello(&self) -> &str {
///         &self.settings.greeting
///     }
/// }
///
/// #[server(controllers = [Greeter])]
/// struct App;
///
/// #[tokio::main]
/// async fn main() -> Result<(), helios::Error> {
///     Helios::new(App)
///         .provide(Settings { greeting: "good day".into() })
///         .host("0.0.0.0")
///         .port(8080)
///         .body_limit(64 * 1024)
///         .header_timeout(Duration::from_secs(5))
///         .body_timeout(Duration::from_secs(10))
///         .drain_deadline(Duration::from_secs(20))
///         .banner(false)
///         .listen()
///         .await
/// }
/// ```
#[must_use = "an app does nothing until it listens"]
pub struct Helios {
    table: &'static ServerTable,
    providers: Providers,
    controllers: Vec<ControllerEntry>,
    modules: Vec<Module>,
    layers: Vec<BoxedLayer>,
    mounts: Vec<MountEntry>,
    error_format: Option<ErrorFormat>,
    streams: Arc<Streams>,
    /// The fault of a backplane that the environment names, if it cannot be used.
    misnamed: Option<StartupFault>,
    sse: SseOptions,
    pub(crate) settings: Settings,
    #[cfg(feature = "openapi")]
    openapi: Vec<(OpenApi, Served)>,
}

impl Helios {
    /// Creates an app from a type marked `#[server]`.
    pub fn new<S: Server>(_server: S) -> Self {
        let table = const { &S::TABLE };
        panics::keep_backtraces();
        let streams = Streams::new();
        let sse = table.sse.as_ref().filter(|sse| sse.enabled);
        let named = sse.and_then(|sse| sse.log).map(|open| open().choose());
        let misnamed = match named.transpose() {
            Ok(named) => {
                if let Some(named) = named.flatten() {
                    streams.set_default_backplane(named);
                }
                None
            }
            Err(fault) => Some(fault),
        };
        let mut providers = Providers::default();
        providers.provide(Arc::new(SseService::new(Arc::clone(&streams))));
        Self {
            table,
            providers,
            controllers: Vec::new(),
            modules: Vec::new(),
            layers: Vec::new(),
            mounts: Vec::new(),
            error_format: None,
            streams,
            misnamed,
            sse: table
                .sse
                .as_ref()
                .map(SseOptions::from_table)
                .unwrap_or_default(),
            settings: Settings::default(),
            #[cfg(feature = "openapi")]
            openapi: Vec::new(),
        }
    }

    /// Provides a value that controllers, guards and services receive as `Arc<T>`. It may also be a controller itself.
    /// A later value of the same type replaces it.
    pub fn provide<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.provide_as(Arc::new(value))
    }

    /// Provides a value that is shared already, or one behind a trait, under the type `T` by which it is injected.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// trait Mailer: Send + Sync {}
    ///
    /// struct Smtp;
    /// impl Mailer for Smtp {}
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let app = Helios::new(App).provide_as::<dyn Mailer>(Arc::new(Smtp));
    /// # assert!(app.into_service().is_ok());
    /// ```
    pub fn provide_as<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.providers.provide(value);
        self
    }

    /// Provides a value that must be awaited to be made, such as a pool of connections. The factory is an async
    /// function or closure. Its arguments are up to six `Arc`s of values that are provided or made by other factories:
    /// `provide_async(connect)` with `async fn connect(settings: Arc<Settings>) -> Result<Pool, E>`.
    ///
    /// Factories run before anything else is resolved, in the order of their dependencies. `listen` runs them. For an
    /// app that does not listen, [`Helios::prepare`] does. A failure is reported together with every other fault that
    /// keeps the app from starting. If a later call provides a value of the same type, the factory does not run.
    ///
    /// ```
    /// use std::io;
    ///
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// struct Settings { url: String }
    /// struct Pool;
    ///
    /// async fn connect(settings: Arc<Settings>) -> Result<Pool, io::Error> {
    ///     Err(io::Error::other(format!("{} does not answer", settings.url)))
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let app = Helios::new(App)
    ///     .provide_async(connect)
    ///     .provide_async(async || Ok::<_, io::Error>(Settings { url: "db:1".into() }));
    /// let error = app.prepare().await.into_service().err().unwrap();
    /// assert!(error.to_string().contains("`Pool` could not be made: db:1 does not answer"));
    /// # });
    /// ```
    pub fn provide_async<Args, F>(mut self, factory: F) -> Self
    where
        F: Factory<Args, Output: Sync>,
    {
        self.providers.provide_async(factory, Arc::new);
        self
    }

    /// Like [`Helios::provide_async`], for a factory that returns an `Arc`, which may be one of a trait:
    /// `Result<Arc<dyn Store>, E>`.
    pub fn provide_async_as<Args, F, T>(mut self, factory: F) -> Self
    where
        F: Factory<Args, Output = Arc<T>>,
        T: ?Sized + Send + Sync + 'static,
    {
        self.providers.provide_async(factory, |value| value);
        self
    }

    /// Runs the factories of [`Helios::provide_async`], including those of modules. [`Helios::into_service`] reports
    /// their failures, together with everything else that is wrong.
    pub async fn prepare(mut self) -> Self {
        self.providers.prepare(&Container::default()).await;
        for module in &mut self.modules {
            module.providers.prepare(self.providers.values()).await;
        }
        self
    }

    /// Adds a controller to those of `#[server]`, below the server's prefix.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Users;
    ///
    /// #[controller(prefix = "users")]
    /// impl Users {}
    ///
    /// fn users(app: Helios) -> Helios {
    ///     app.controller::<Users>()
    /// }
    /// ```
    pub fn controller<C: Controller>(mut self) -> Self {
        self.controllers.push(ControllerEntry::of::<C>());
        self
    }

    /// Adds a set of controllers with values of their own. See [`Module`].
    pub fn module(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// Wraps the app in a tower layer. The layer added last sees a request first. A layer sees every request, including
    /// those that no route answers.
    ///
    /// ```
    /// use helios::axum_core::response::Response;
    /// use helios::prelude::*;
    /// use http::HeaderValue;
    /// use tower::util::MapResponseLayer;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let app = Helios::new(App).layer(MapResponseLayer::new(|mut response: Response| {
    ///     response.headers_mut().insert("server", HeaderValue::from_static("helios"));
    ///     response
    /// }));
    /// # assert!(app.into_service().is_ok());
    /// ```
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<BoxedRoutes> + Send + 'static,
        L::Service: Service<Request<Body>, Response = http::Response<B>, Error: Into<Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers.push(Box::new(move |inner| {
            mount::boxed(layer.layer(BoxedRoutes(inner)))
        }));
        self
    }

    /// Passes requests below `prefix` that have no route to another service:
    /// `mount("/static", ServeDir::new("public"))`. The service sees the path without the prefix, as the client sent
    /// it.
    ///
    /// * **Guards and filters of `#[server]`** apply to it as they do to every route. A guard refuses before the
    ///   service sees anything, even an upgrade to WebSocket. [`Helios::mount_guarded`] adds more guards, and
    ///   [`Helios::mount_public`] leaves out the server's. Interceptors apply to routes only.
    /// * **The longest prefix wins**, whatever the order in which services are mounted. A mount at `/` answers nothing
    ///   below the first segment of a controller's prefix. With `#[controller(prefix = "api/users")]`, every path below
    ///   `/api` without a route or a mount of its own gets the app's 404. A controller without a prefix, or whose
    ///   prefix begins with a parameter, keeps only its routes.
    /// * **A path has one form.** `/%61dmin/` finds the mount at `/admin`. A path with a segment `.` or `..` gets a
    ///   400. So does one with doubled or escaped slashes (`//admin`, `/admin%2Fx`) if another server could read it as
    ///   a path of another mount.
    /// * **When the server shuts down**, an event stream that answers a GET ends between two events, and its client
    ///   reconnects. Any other response may take as long as `finish_within` of the [SSE options](Helios::sse_options),
    ///   25 s by default. After that Helios breaks it off, so that no client takes it for complete. If its head has not
    ///   been sent yet, the client gets a 503 instead.
    ///
    /// A guard protects a mount, but not the folder behind it. Do not mount a folder that contains the folder of
    /// another mount.
    ///
    /// A mount that no request can reach, such as the second of two mounts with one prefix, is a fault at start-up.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use helios::axum_core::{body::Body, response::{IntoResponse, Response}};
    /// use helios::prelude::*;
    /// use http::Request;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let legacy = tower::service_fn(async |request: Request<Body>| {
    ///     let text = format!("{} was here", request.uri().path());
    ///     Ok::<Response, Infallible>(text.into_response())
    /// });
    /// let app = Helios::new(App).mount("/v1", legacy);
    /// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
    /// # let app = helios::testing::TestApp::start(app).unwrap();
    /// # assert_eq!(app.get("/v1/users").await.text(), "/users was here");
    /// # }
    /// # run(app);
    /// ```
    pub fn mount<S, B>(self, prefix: &str, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<B>, Error: Into<Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.add_mount(prefix, mount::boxed(service), Guards::new(&[]), true)
    }

    /// Like [`Helios::mount`], with guards of its own as well. They come from the container, as those of controllers
    /// do, and run after the server's. The service receives the values that they put into the request's extensions.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use helios::axum_core::{body::Body, response::{IntoResponse, Response}};
    /// use helios::prelude::*;
    /// use http::Request;
    ///
    /// struct Staff { key: String }
    ///
    /// impl Guard for Staff {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         match request.header("x-key") {
    ///             Some(key) if key == self.key => Ok(()),
    ///             _ => Err(HttpError::forbidden("for staff only")),
    ///         }
    ///     }
    /// }
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let console = tower::service_fn(async |_: Request<Body>| {
    ///     Ok::<Response, Infallible>("console".into_response())
    /// });
    /// let app = Helios::new(App)
    ///     .provide(Staff { key: "k1".into() })
    ///     .mount_guarded("/admin", guards![Staff], console);
    /// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
    /// # let app = helios::testing::TestApp::start(app).unwrap();
    /// assert_eq!(app.get("/admin/users").await.status(), 403);
    /// assert_eq!(app.get("/admin/users").header("x-key", "k1").await.text(), "console");
    /// # }
    /// # run(app);
    /// ```
    pub fn mount_guarded<S, B>(self, prefix: &str, guards: Guards, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<B>, Error: Into<Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.add_mount(prefix, mount::boxed(service), guards, true)
    }

    /// Like [`Helios::mount`], without the guards of `#[server]`, for something that everybody may see, such as a
    /// sign-in page.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use helios::axum_core::{body::Body, response::{IntoResponse, Response}};
    /// use helios::prelude::*;
    /// use http::Request;
    ///
    /// #[derive(Injectable)]
    /// struct SignedIn;
    ///
    /// impl Guard for SignedIn {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         match request.cookie("session") {
    ///             Some(_) => Ok(()),
    ///             None => Err(HttpError::unauthorized("sign in first")),
    ///         }
    ///     }
    /// }
    ///
    /// #[server(controllers = [], guards = [SignedIn])]
    /// struct App;
    ///
    /// let page = tower::service_fn(async |_: Request<Body>| {
    ///     Ok::<Response, Infallible>("a page".into_response())
    /// });
    /// let app = Helios::new(App).mount("/reports", page).mount_public("/sign-in", page);
    /// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
    /// # let app = helios::testing::TestApp::start(app).unwrap();
    /// assert_eq!(app.get("/reports").await.status(), 401);
    /// assert_eq!(app.get("/sign-in").await.text(), "a page");
    /// # }
    /// # run(app);
    /// ```
    pub fn mount_public<S, B>(self, prefix: &str, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<B>, Error: Into<Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.add_mount(prefix, mount::boxed(service), Guards::new(&[]), false)
    }

    fn add_mount(
        mut self,
        prefix: &str,
        service: BoxedService,
        guards: Guards,
        behind_server: bool,
    ) -> Self {
        self.mounts.push(MountEntry {
            prefix: prefix.to_owned(),
            service,
            guards,
            behind_server,
        });
        self
    }

    /// Changes the SSE options. It is applied after the settings in `#[server]`.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [], sse(enabled = true))]
    /// struct App;
    ///
    /// let app = Helios::new(App).sse_options(|sse| {
    ///     sse.keep_alive = None;
    ///     sse.max_event_bytes = 64 * 1024;
    /// });
    /// # assert!(app.into_service().is_ok());
    /// ```
    pub fn sse_options(mut self, change: impl FnOnce(&mut SseOptions)) -> Self {
        change(&mut self.sse);
        self
    }

    /// Connects the SSE hub with those of other servers, or with its own past before a restart. See [`Backplane`]. Only
    /// the first call counts. It takes precedence over `sse(log = ..)` of `#[server]`, `HELIOS_SSE_LOG` and
    /// `HELIOS_REDIS_URL`.
    pub fn backplane(self, backplane: impl Backplane) -> Self {
        self.streams.set_backplane(Arc::new(backplane));
        self
    }

    /// Serves the OpenAPI document of all routes and of the events of their streams: version 3.2 at this path, and
    /// version 3.1 beside it. [`OpenApi`] has more options, such as the path of a page for people. Each further call
    /// serves another document.
    ///
    /// Like a mount, it is behind the guards of `#[server]`. The document leaves open what no type says; `listen`
    /// prints a list of these places, with what to write. Two operations with one id, such as `Orders.find`, are a
    /// fault at start-up.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize, Serialize, JsonSchema)]
    /// struct Note { text: String }
    ///
    /// #[derive(Injectable)]
    /// struct Notes;
    ///
    /// #[controller(prefix = "notes")]
    /// impl Notes {
    ///     /// Finds a note.
    ///     #[get("{id}")]
    ///     fn find(&self, #[param] id: u64) -> Result<Json<Note>, HttpError> {
    ///         Err(HttpError::not_found(format!("there is no note {id}")))
    ///     }
    /// }
    ///
    /// #[server(controllers = [Notes])]
    /// struct App;
    ///
    /// let app = Helios::new(App).openapi("/openapi.json");
    /// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
    /// # let app = helios::testing::TestApp::start(app).unwrap();
    /// let document: serde_json::Value = app.get("/openapi.json").await.json();
    /// let find = &document["paths"]["/notes/{id}"]["get"];
    /// assert_eq!(find["operationId"], "Notes.find");
    /// assert_eq!(find["parameters"][0]["schema"]["type"], "integer");
    /// # }
    /// # run(app);
    /// ```
    #[cfg(feature = "openapi")]
    pub fn openapi(mut self, openapi: impl Into<OpenApi>) -> Self {
        let (openapi, served) = (openapi.into(), Served::default());
        for (prefix, service) in served.services(&openapi) {
            self = self.add_mount(&prefix, service, Guards::new(&[]), true);
        }
        self.openapi.push((openapi, served));
        self
    }

    /// Returns the OpenAPI document without serving anything, for a file that is checked in or for a test. It does not
    /// matter if provided values are missing, and factories do not run.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] for routes that are wired wrongly, [`Error::Setting`] for an unusable SSE option.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let document = Helios::new(App).openapi_document()?;
    /// assert_eq!(document.v3_1()["openapi"], "3.1.1");
    /// # Ok::<(), helios::Error>(())
    /// ```
    #[cfg(feature = "openapi")]
    pub fn openapi_document(self) -> Result<OpenApiDocument, Error> {
        self.sse.check()?;
        self.streams.hub.configure(self.sse);
        let mut assembled = assemble(
            self.table,
            self.providers.into_container(),
            &self.controllers,
            self.modules,
            self.mounts,
            &self.streams,
        );
        let mut faults = assembled.faults;
        faults.retain(|fault| !matches!(fault, StartupFault::Inject(_)));
        Router::new(std::mem::take(&mut assembled.endpoints), &mut faults);
        if !faults.is_empty() {
            return Err(Error::Startup(StartupFaults(faults)));
        }
        let settings = self.openapi.into_iter().next().unwrap_or_default().0;
        let whole = Whole {
            about: self.table.about,
            sse: self.streams.hub.options(),
            has_error_format: self.error_format.is_some(),
        };
        let document = document(&assembled.operations, &settings, &whole);
        document.map_err(|faults| Error::Startup(StartupFaults(faults)))
    }

    /// Sets the host to listen on. Overrides `HELIOS_HOST` and `#[server(host = ..)]`. Default: `127.0.0.1`.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.settings.host = Some(host.into());
        self
    }

    /// Sets the port to listen on, 0 for a free one. Overrides `HELIOS_PORT` and `#[server(port = ..)]`. Default: 3000.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = Some(port);
        self
    }

    /// Listens on a Unix socket at `path`, instead of host and port.
    ///
    /// Helios removes the socket's file once it accepts no more connections, unless another server has taken over the
    /// path meanwhile. At the start it replaces a socket that nobody listens on, which a killed server leaves behind.
    /// Anything else at the path is left alone and is [`Error::Bind`], such as a socket of a running server or a file
    /// that is no socket. Do not start two servers on one path at the same moment, since each could take the other's
    /// file for a leftover.
    ///
    /// Every user who may write to the file may connect. With the usual umask of 022, only the server's own user may.
    /// [`Helios::unix_socket_mode`] lets others in, such as a proxy.
    ///
    /// ```no_run
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), helios::Error> {
    ///     Helios::new(App).unix_socket("/run/app/app.sock").unix_socket_mode(0o660).listen().await
    /// }
    /// ```
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.unix_socket = Some(path.into());
        self
    }

    /// Sets the mode of the file of [`Helios::unix_socket`], such as `0o660` for the user and a group. It is set before
    /// anybody can connect. Default: the mode that the umask leaves.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// fn behind_a_proxy_of_our_group(app: Helios) -> Helios {
    ///     app.unix_socket("/run/app/app.sock").unix_socket_mode(0o660)
    /// }
    /// ```
    #[cfg(unix)]
    pub fn unix_socket_mode(mut self, mode: u32) -> Self {
        self.settings.unix_socket_mode = Some(mode);
        self
    }

    /// Sets the size of the largest request body that is bound, in bytes. Takes precedence over
    /// `#[server(body_limit = ..)]`. A larger body gets a 413. Default: 2 MiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.body_limit = Some(bytes);
        self
    }

    /// Writes every error of the app in a format of your own, instead of problem JSON: errors of handlers and binders
    /// that no filter answered, and 404 and 405. A 400 to bytes that are not valid HTTP, such as a request without
    /// `Host`, is not among them. The error of a 5xx has neither detail nor source, which are for the log.
    /// [`ErrorReport::request`] returns the request.
    ///
    /// ```
    /// use helios::axum_core::response::IntoResponse;
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// let app = Helios::new(App)
    ///     .error_format(|error| match error.request().header("accept") {
    ///         Some("text/plain") => (error.status(), error.title().to_owned()).into_response(),
    ///         _ => error.clone().into_response(),
    ///     });
    /// # #[tokio::main(flavor = "current_thread")] async fn run(app: Helios) {
    /// # use helios::testing::TestApp;
    /// # let app = TestApp::start(app).unwrap();
    /// assert_eq!(app.get("/nowhere").header("accept", "text/plain").await.text(), "Not Found");
    /// # }
    /// # run(app);
    /// ```
    pub fn error_format(
        mut self,
        format: impl Fn(&ErrorReport<'_>) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.error_format = Some(Box::new(format));
        self
    }

    /// Sets how long a client may take to send the head of a request. Then its connection is closed. Default: 10 s.
    pub fn header_timeout(mut self, limit: Duration) -> Self {
        self.settings.header_timeout = limit.min(LONGEST_WAIT);
        self
    }

    /// Sets how long a client may pause in the middle of a request body. After that it gets a 408. A layer or a mounted
    /// service that reads the body gets an error instead. Default: 30 s.
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.settings.body_timeout = limit;
        self
    }

    /// Sets how long a shutdown may take before the remaining connections are cut. Default: 10 s. While streams are
    /// open that may finish, it is longer, up to `finish_within` of the SSE options and a moment to notify their
    /// clients.
    pub fn drain_deadline(mut self, limit: Duration) -> Self {
        self.settings.drain_deadline = Some(limit.min(LONGEST_WAIT));
        self
    }

    /// Shuts down when `signal` completes, instead of on SIGINT or SIGTERM, which then have their usual effect.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use tokio::sync::oneshot;
    ///
    /// #[server(controllers = [])]
    /// struct App;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (stop, stopped) = oneshot::channel::<()>();
    /// let app = Helios::new(App).port(0).banner(false).shutdown_on(async {
    ///     let _ = stopped.await;
    /// });
    /// let server = tokio::spawn(app.listen());
    /// drop(stop);
    /// server.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_on(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.shutdown = Some(Box::pin(signal));
        self
    }

    /// Sets whether `listen` prints the address and the routes when the server is ready. Default: yes.
    pub fn banner(mut self, banner: bool) -> Self {
        self.settings.banner = banner;
        self
    }

    /// Returns a handle to the app's SSE streams, for code outside of handlers. It works before the app listens, too.
    ///
    /// ```no_run
    /// use helios::prelude::*;
    ///
    /// #[server(controllers = [], sse(enabled = true))]
    /// struct App;
    ///
    /// async fn prices(sse: SseService) -> Result<(), SseError> {
    ///     loop {
    ///         sse.broadcast(SseEvent::json(21.5).event("price")).await?;
    ///         sleep(Duration::from_secs(1)).await;
    ///     }
    /// }
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), helios::Error> {
    ///     let app = Helios::new(App);
    ///     tokio::spawn(prices(app.sse()));
    ///     app.listen().await
    /// }
    /// ```
    #[must_use]
    pub fn sse(&self) -> SseService {
        SseService::new(Arc::clone(&self.streams))
    }

    /// Turns the app into a `tower::Service`, for hyper, for `axum::Router::nest_service`, or for a test. The code that
    /// runs it must call [`Helios::prepare`] before, and [`HeliosService::start`] and [`HeliosService::shutdown`] on
    /// the service. Settings of sockets and of the drain have no effect then.
    ///
    /// # Errors
    ///
    /// [`Error::Startup`] with everything that is wrong with the wiring, [`Error::Setting`] for an unusable SSE option.
    pub fn into_service(self) -> Result<HeliosService, Error> {
        Ok(self.assemble()?.service)
    }

    pub(crate) fn assemble(self) -> Result<Checked, Error> {
        self.sse.check()?;
        self.streams.hub.configure(self.sse);
        let Assembled {
            endpoints,
            own,
            mounts,
            services,
            mut faults,
            #[cfg(feature = "openapi")]
            operations,
        } = assemble(
            self.table,
            self.providers.into_container(),
            &self.controllers,
            self.modules,
            self.mounts,
            &self.streams,
        );
        // A backplane set in code takes precedence over the environment.
        faults.extend(
            self.misnamed
                .filter(|_| !self.streams.has_backplane_of_code()),
        );
        let router = Router::new(endpoints, &mut faults);
        #[cfg(feature = "openapi")]
        let unknown = {
            let whole = Whole {
                about: self.table.about,
                sse: self.streams.hub.options(),
                has_error_format: self.error_format.is_some(),
            };
            serve::set(&self.openapi, &operations, &whole, &mut faults)
        };
        if !faults.is_empty() {
            return Err(Error::Startup(StartupFaults(faults)));
        }
        let routes = Routes::of(&router);
        let service = RouteService::new(Routing {
            router,
            mounts: Mounts::new(mounts, own, Arc::clone(&self.streams.mounted)),
            context: AppContext {
                body_limit: self.settings.body_limit(self.table),
                error_format: self.error_format,
            },
        });
        let stack = Stack::new(service, self.layers, self.settings.body_timeout);
        Ok(Checked {
            service: HeliosService::new(stack, routes, services, self.streams),
            table: self.table,
            settings: self.settings,
            #[cfg(feature = "openapi")]
            unknown,
        })
    }
}

impl<S: Server> From<S> for Helios {
    fn from(server: S) -> Self {
        Self::new(server)
    }
}

/// An app that passed its start-up checks.
pub(crate) struct Checked {
    pub(crate) service: HeliosService,
    pub(crate) table: &'static ServerTable,
    pub(crate) settings: Settings,
    /// The places that its OpenAPI document leaves open.
    #[cfg(feature = "openapi")]
    pub(crate) unknown: Vec<Unknown>,
}

/// The service that a layer wraps: the routes and the layers inside of it. It accepts requests with any body.
///
/// ```
/// use helios::axum_core::body::Body;
/// use helios::{Helios, http::BoxedRoutes};
/// use http::Request;
/// use tower::ServiceExt;
///
/// /// Rules that all apps of a company share.
/// fn with_house_rules(app: Helios) -> Helios {
///     app.layer(tower::layer::layer_fn(|routes: BoxedRoutes| {
///         routes.map_request(|mut request: Request<Body>| {
///             request.headers_mut().remove("x-internal");
///             request
///         })
///     }))
/// }
/// # #[helios::server(controllers = [])]
/// # struct App;
/// # assert!(with_house_rules(Helios::new(App)).into_service().is_ok());
/// ```
#[derive(Clone)]
pub struct BoxedRoutes(BoxedService);

impl<B> Service<Request<B>> for BoxedRoutes
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = <BoxedService as Service<Request<Body>>>::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request.map(Body::new))
    }
}
