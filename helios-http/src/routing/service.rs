//! The assembled app as a `tower::Service`.

use std::convert::Infallible;
use std::future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios_core::error::HttpError;
use helios_core::lifecycle::Services;
use helios_core::request::RequestContext;
use http::header::ALLOW;
use http::{Method, Request, StatusCode};
use pin_project_lite::pin_project;
use tower::{BoxError, ServiceExt};
use tower_service::Service;

use crate::error::Error;
use crate::failure::log_failure;
use crate::future::BoxFuture;
use crate::matched_path::MatchedPath;
use crate::panics::{CaughtIn, caught, caught_in};
use crate::peer::Peer;
use crate::progress::TimedBody;
use crate::remote_addr::RemoteAddr;
use crate::routing::context::AppContext;
use crate::routing::endpoint::Endpoint;
use crate::routing::mount::{BoxedService, Mounts};
use crate::routing::pipeline;
use crate::routing::router::{Matched, Router, Routes};
use crate::sse::Streams;
use crate::sse::answer::Answer;
use crate::trace::RequestTrace;

/// The routes of an app, without the layers around them.
#[derive(Clone)]
pub(crate) struct RouteService {
    routing: Arc<Routing>,
}

/// The targets of routing, and the state that all routes share.
pub(crate) struct Routing {
    pub(crate) router: Router,
    pub(crate) mounts: Mounts,
    pub(crate) context: AppContext,
}

impl RouteService {
    pub(crate) fn new(routing: Routing) -> Self {
        Self {
            routing: Arc::new(routing),
        }
    }

    /// Routes at once, so that the future of an endpoint holds no more than it needs. The answer carries the route if
    /// there are layers.
    fn answer(self, request: Request<Body>, has_layers: bool) -> BoxFuture<'static, Answer> {
        let routing = self.routing;
        match routing.router.find(request.method(), request.uri().path()) {
            Ok(Matched::Endpoint(endpoint, params)) => {
                let (parts, body) = request.into_parts();
                let peer = parts.extensions.get::<Arc<Peer>>().cloned();
                let addr = RemoteAddr::addr_of(&parts.extensions, peer.as_deref());
                let template = Arc::clone(&endpoint.template);
                let request = RequestContext::new(parts, template, params, addr);
                // The pipeline catches panics by itself.
                Box::pin(run_endpoint(
                    routing, endpoint, request, body, peer, has_layers,
                ))
            }
            Ok(Matched::Options(allow)) => {
                let response = (StatusCode::NO_CONTENT, [(ALLOW, allow)]).into_response();
                Box::pin(future::ready(response.into()))
            }
            Err(error) => certain("an answer", miss(routing, request, error)),
        }
    }
}

/// Answers in any case. A panic that was not caught further in is logged and becomes a 500.
fn certain(
    what: &'static str,
    answer: impl Future<Output = Answer> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    Box::pin(Certain {
        answer: caught_in(what, answer),
    })
}

pin_project! {
    /// The future of [`certain`].
    struct Certain<F> {
        #[pin]
        answer: CaughtIn<F>,
    }
}

impl<F: Future<Output = Answer>> Future for Certain<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = self.project().answer.poll(cx);
        answer.map(|answer| answer.unwrap_or_else(|| broken().into()))
    }
}

fn broken() -> Response {
    HttpError::internal("the answer panicked").into_response()
}

impl Service<Request<Body>> for RouteService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.clone().answer(request, true);
        Box::pin(async move { Ok(answer.await.into()) })
    }
}

/// Wraps the service inside it.
pub(crate) type BoxedLayer = Box<dyn FnOnce(BoxedService) -> BoxedService + Send>;

/// The routes, the layers around them, and outermost the timeout of a request's body.
#[derive(Clone)]
pub(crate) struct Stack {
    service: Layered,
    body_timeout: Duration,
}

/// Without layers, a request needs no boxes that hide their types.
#[derive(Clone)]
enum Layered {
    Not(RouteService),
    By(BoxedService),
}

impl Stack {
    /// Creates a stack. The layers are ordered from the innermost outwards.
    pub(crate) fn new(
        routes: RouteService,
        layers: Vec<BoxedLayer>,
        body_timeout: Duration,
    ) -> Self {
        let wrap = |inner, layer: BoxedLayer| layer(inner);
        let service = match layers.is_empty() {
            true => Layered::Not(routes),
            false => Layered::By(layers.into_iter().fold(BoxedService::new(routes), wrap)),
        };
        Self {
            service,
            body_timeout,
        }
    }

    #[cfg(test)]
    pub(crate) fn of(service: BoxedService) -> Self {
        Self {
            service: Layered::By(service),
            body_timeout: Duration::MAX,
        }
    }

    /// Answers a request. With layers the answer is a response, since they may have wrapped anything around it.
    pub(crate) fn answer(self, request: Request<Body>) -> BoxFuture<'static, Answer> {
        let request = self.timed(request);
        match self.service {
            Layered::Not(service) => service.answer(request, false),
            Layered::By(service) => certain("a layer", async move {
                let Ok(response) = service.oneshot(request).await;
                response.into()
            }),
        }
    }

    /// Returns the request with the timeout on its body.
    fn timed(&self, request: Request<Body>) -> Request<Body> {
        request.map(|body| TimedBody::around(body, self.body_timeout))
    }
}

impl Service<Request<Body>> for Stack {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match &mut self.service {
            Layered::Not(_) => Poll::Ready(Ok(())),
            Layered::By(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let request = self.timed(request);
        match &mut self.service {
            Layered::Not(service) => service.call(request),
            Layered::By(service) => match caught("a layer", || service.call(request)) {
                Some(response) => Box::pin(async move {
                    let response = caught_in("a layer", response).await;
                    response.unwrap_or_else(|| Ok(broken()))
                }),
                None => Box::pin(future::ready(Ok(broken()))),
            },
        }
    }
}

/// Runs an endpoint and returns its answer.
async fn run_endpoint(
    routing: Arc<Routing>,
    endpoint: Arc<Endpoint>,
    request: RequestContext,
    body: Body,
    peer: Option<Arc<Peer>>,
    has_layers: bool,
) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let trace = RequestTrace::start(request.method(), endpoint.template.as_str());
    let answering = pin!(pipeline::answer(
        &endpoint,
        request,
        body,
        &routing.context,
        peer
    ));
    let mut answer = trace.around(answering).await;
    trace.answered(answer.status(), || answer.length());
    if has_layers {
        let path = MatchedPath(Arc::clone(&endpoint.template));
        answer.extensions_mut().insert(path);
    }
    match answer {
        Answer::Response(response) if is_head || response.status() == StatusCode::NO_CONTENT => {
            pipeline::without_body(response).into()
        }
        // The pipeline opens no stream for HEAD.
        answer => answer,
    }
}

/// Answers a request that has no endpoint.
async fn miss(routing: Arc<Routing>, request: Request<Body>, error: HttpError) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let answering = routing.mounts.answer(request, &routing.context, error);
    let response = answering.await;
    match is_head {
        true => pipeline::without_body(response).into(),
        false => response.into(),
    }
}

/// An app with its layers, as a `tower::Service` for hyper, for `axum::Router::nest_service`, or for a test. Clones are
/// cheap and share the app. The code that runs it must start its services and shut it down:
///
/// ```
/// use helios::axum_core::body::Body;
/// use helios::prelude::*;
/// use tower::ServiceExt;
///
/// #[derive(Injectable)]
/// struct Hello;
///
/// #[controller(prefix = "hello")]
/// impl Hello {
///     #[get]
///     fn hello(&self) -> &str { "hello" }
/// }
///
/// #[server(controllers = [Hello])]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Helios::new(App).into_service()?;
/// service.start().await?;
/// let request = http::Request::get("/hello").body(Body::empty())?;
/// let response = service.clone().oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// service.shutdown(Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HeliosService {
    stack: Stack,
    routes: Arc<Routes>,
    services: Arc<[Services]>,
    streams: Arc<Streams>,
}

impl HeliosService {
    pub(crate) fn new(
        stack: Stack,
        routes: Routes,
        services: Vec<Services>,
        streams: Arc<Streams>,
    ) -> Self {
        Self {
            stack,
            routes: Arc::new(routes),
            services: services.into(),
            streams,
        }
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns the part that answers requests, which is cheaper to clone than the whole.
    pub(crate) fn stack(&self) -> Stack {
        self.stack.clone()
    }

    /// Returns the routes of the app, without mounts.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Connects the backplane, if there is one, and runs the start hooks of the services in the order of their
    /// dependencies. `listen` does this itself.
    ///
    /// Not cancel-safe. If the future is dropped, services that it has started are not stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Backplane`] if the backplane does not connect, [`Error::Start`] with the first service that fails. The
    /// services started before it are stopped again.
    pub async fn start(&self) -> Result<(), Error> {
        self.streams.start_backplane().await?;
        for (n, services) in self.services.iter().enumerate() {
            if let Err(error) = services.start().await {
                stop(&self.services[..n]).await;
                self.streams.stop_backplane().await;
                return Err(Error::Start(error));
            }
        }
        Ok(())
    }

    /// Shuts down the app. Open streams end with a request to reconnect, and those that may finish do so. Then it waits
    /// for their close hooks. All of this takes at most `deadline`. After that it runs the stop hooks of the services,
    /// which have no deadline. `listen` does this itself.
    ///
    /// Not cancel-safe. If the future is dropped, streams may still be open and services not stopped. Call it again.
    pub async fn shutdown(&self, deadline: Duration) {
        self.streams.drain_within(deadline).await;
        self.stop_services().await;
        self.stop_backplane().await;
    }

    pub(crate) async fn stop_services(&self) {
        stop(&self.services).await;
    }

    /// Comes after the services, because they may publish events while they stop.
    pub(crate) async fn stop_backplane(&self) {
        self.streams.stop_backplane().await;
    }
}

async fn stop(services: &[Services]) {
    for services in services.iter().rev() {
        for (service, error) in services.stop().await {
            log_failure!(
                error,
                "the stop hook of a service failed",
                &*error,
                service = service
            );
        }
    }
}

impl<B> Service<Request<B>> for HeliosService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.stack.call(request.map(Body::new))
    }
}
