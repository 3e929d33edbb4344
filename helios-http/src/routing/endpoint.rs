//! A route with everything that it needs, without the type of its controller.

use std::sync::Arc;

use helios_core::call::Call;
use helios_core::container::{Container, Resolver};
use helios_core::filter::DynFilter;
use helios_core::guard::DynGuard;
use helios_core::interceptor::{DynInterceptor, MapData};
use helios_core::reply::Reply;
use helios_core::route::{RouteMeta, Template};
use http::StatusCode;

use crate::future::BoxFuture;
use crate::sse::call::{Outcome, SseCall};
use crate::sse::options::{StreamOptions, StreamTable};
use crate::sse::stream::route::StreamRoute;
use crate::table::{Entry, PipelineTable};

pub(crate) struct Endpoint {
    pub(crate) meta: RouteMeta,
    pub(crate) controller: &'static str,
    pub(crate) template: Arc<Template>,
    /// The container of the app or the module that the route belongs to.
    pub(crate) container: Arc<Container>,
    /// The status of successful responses, unless the handler sets one.
    pub(crate) status: Option<StatusCode>,
    pub(crate) pipeline: Pipeline,
    pub(crate) target: Target,
}

impl Endpoint {
    pub(crate) fn stream_options(&self) -> Option<&StreamOptions> {
        match &self.target {
            Target::Http(_) => None,
            Target::Sse(_, route) => Some(&route.options),
        }
    }
}

/// Guards, interceptors, mappers and filters around a handler, each list from outer to inner.
#[derive(Clone, Default)]
pub(crate) struct Pipeline {
    pub(crate) guards: Vec<Arc<dyn DynGuard>>,
    pub(crate) interceptors: Vec<Arc<dyn DynInterceptor>>,
    pub(crate) mappers: Arc<[&'static dyn MapData]>,
    pub(crate) filters: Vec<Arc<dyn DynFilter>>,
}

impl Pipeline {
    /// Returns this pipeline with the entries of `table` inside it.
    pub(crate) fn with(
        &self,
        who: &str,
        table: &PipelineTable,
        resolver: &mut Resolver<'_>,
    ) -> Self {
        let mut pipeline = self.clone();
        pipeline.guards.extend(resolve(who, table.guards, resolver));
        pipeline
            .interceptors
            .extend(resolve(who, table.interceptors, resolver));
        pipeline.mappers = self.mappers.iter().chain(table.mappers).copied().collect();
        pipeline
            .filters
            .extend(resolve(who, table.filters, resolver));
        pipeline
    }
}

fn resolve<T: ?Sized>(who: &str, entries: &[Entry<T>], resolver: &mut Resolver<'_>) -> Vec<Arc<T>> {
    let entries = entries.iter();
    entries
        .filter_map(|entry| resolver.needed_by(who, |resolver| (entry.resolve)(resolver)))
        .collect()
}

/// The generated function of a plain route.
pub type HttpHandler<C> = for<'a> fn(&'a C, &'a mut Call) -> BoxFuture<'a, Reply>;

/// The generated function of an SSE route. The future is the whole stream. It binds, calls, opens and forwards.
pub type SseHandler<C> = fn(Arc<C>, SseCall) -> BoxFuture<'static, Outcome>;

/// The generated function of a route.
pub enum Handler<C: 'static> {
    /// Returns one response.
    Http(HttpHandler<C>),
    /// Opens a stream with these options.
    Sse(SseHandler<C>, StreamTable),
}

/// The handler with its controller, and the options to open a stream.
pub(crate) enum Target {
    Http(Box<dyn CallHttp>),
    Sse(Box<dyn CallSse>, Arc<StreamRoute>),
}

/// The generated function with its controller, whose type is erased.
pub(crate) enum BoundHandler {
    Http(Box<dyn CallHttp>),
    Sse(Box<dyn CallSse>, &'static StreamTable),
}

impl BoundHandler {
    pub(crate) fn new<C: Send + Sync + 'static>(
        controller: &Arc<C>,
        handler: &'static Handler<C>,
    ) -> Self {
        let controller = Arc::clone(controller);
        match handler {
            Handler::Http(call) => Self::Http(Box::new(Bound(controller, *call))),
            Handler::Sse(call, options) => Self::Sse(Box::new(Bound(controller, *call)), options),
        }
    }
}

struct Bound<C, F>(Arc<C>, F);

pub(crate) trait CallHttp: Send + Sync {
    fn call<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Reply>;
}

impl<C: Send + Sync + 'static> CallHttp for Bound<C, HttpHandler<C>> {
    fn call<'a>(&'a self, call: &'a mut Call) -> BoxFuture<'a, Reply> {
        (self.1)(&self.0, call)
    }
}

pub(crate) trait CallSse: Send + Sync {
    fn call(&self, call: SseCall) -> BoxFuture<'static, Outcome>;
}

impl<C: Send + Sync + 'static> CallSse for Bound<C, SseHandler<C>> {
    fn call(&self, call: SseCall) -> BoxFuture<'static, Outcome> {
        (self.1)(Arc::clone(&self.0), call)
    }
}
