//! The generated tables: what `#[controller]` and `#[server]` write down and the runtime walks.

use std::pin::Pin;
use std::sync::Arc;

use helios_core::call::Call;
use helios_core::container::Resolver;
use helios_core::error::HttpError;
use helios_core::filter::DynFilter;
use helios_core::guard::DynGuard;
use helios_core::interceptor::{DynInterceptor, MapData};
use helios_core::reply::Reply;
use helios_core::route::{PathParam, RouteMeta};
use helios_core::sse::{CloseReason, SseError, SseReset};

use crate::assemble::Assembly;
use crate::sse::{Outcome, SseCall, SseStream};

/// A boxed future, as the hidden handler functions return it, and a backplane's methods.
///
/// ```
/// use helios::backplane::BoxFuture;
///
/// fn double(n: u32) -> BoxFuture<'static, u32> {
///     Box::pin(async move { 2 * n })
/// }
/// # let _ = double(2);
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The hidden function of a plain route.
pub type HttpHandler<C> = for<'a> fn(&'a C, &'a mut Call) -> BoxFuture<'a, Reply>;

/// The hidden function of an SSE route. The future is the whole stream: it binds, calls, opens and forwards.
pub type SseHandler<C> = fn(Arc<C>, SseCall) -> BoxFuture<'static, Outcome>;

/// The hidden function of `#[on_sse_connection]`.
pub type ConnectionHook<C> =
    for<'a> fn(&'a C, &'a mut Call) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_error]`.
pub type ErrorHook<C> =
    for<'a> fn(&'a C, SseStream, &'a SseError) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_reset]`.
pub type ResetHook<C> =
    for<'a> fn(&'a C, SseStream, &'a SseReset) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_close]`.
pub type CloseHook<C> =
    for<'a> fn(&'a C, SseStream, CloseReason) -> BoxFuture<'a, Result<(), HttpError>>;

/// A type whose impl is marked `#[controller]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a controller",
    label = "no impl of `{Self}` is marked `#[controller]`",
    note = "write `#[controller(prefix = \"..\")]` above `impl {Self} {{ .. }}`"
)]
pub trait Controller: Sized + Send + Sync + 'static {
    /// Its routes and hooks.
    const TABLE: ControllerTable<Self>;
}

/// What `#[controller]` writes down.
pub struct ControllerTable<C: 'static> {
    /// The type's name.
    pub name: &'static str,
    /// The path before all of its routes.
    pub prefix: &'static str,
    /// Controllers below the prefix.
    pub controllers: &'static [ControllerEntry],
    /// Around all its routes and those of nested controllers.
    pub pipeline: PipelineTable,
    /// Its routes.
    pub routes: &'static [Route<C>],
    /// Its SSE hooks.
    pub hooks: Hooks<C>,
    /// Takes the instance from the container, or builds it.
    pub resolve: fn(&mut Resolver<'_>) -> Option<Arc<C>>,
}

/// One route of a controller.
pub struct Route<C: 'static> {
    /// Its description.
    pub meta: RouteMeta,
    /// Around this route alone.
    pub pipeline: PipelineTable,
    /// Singletons that its arguments need.
    pub injects: &'static [InjectEntry],
    /// The hidden function.
    pub handler: Handler<C>,
}

/// The hidden function behind a route.
pub enum Handler<C: 'static> {
    /// Gives one response.
    Http(HttpHandler<C>),
    /// Opens a stream.
    Sse(SseHandler<C>),
}

/// The hidden functions of a controller's SSE hooks.
pub struct Hooks<C: 'static> {
    /// `#[on_sse_connection]`
    pub connection: Option<ConnectionHook<C>>,
    /// `#[on_sse_error]`
    pub error: Option<ErrorHook<C>>,
    /// `#[on_sse_reset]`
    pub reset: Option<ResetHook<C>>,
    /// `#[on_sse_close]`
    pub close: Option<CloseHook<C>>,
    /// What their arguments need, for the check at start-up.
    pub needs: &'static [HookNeeds],
}

impl<C> Hooks<C> {
    /// No hooks at all.
    pub const NONE: Self = Self {
        connection: None,
        error: None,
        reset: None,
        close: None,
        needs: &[],
    };

    pub(crate) const fn is_none(&self) -> bool {
        let closing = self.error.is_none() && self.reset.is_none() && self.close.is_none();
        self.connection.is_none() && closing
    }
}

/// What the arguments of a hook need.
#[derive(Clone, Copy)]
pub struct HookNeeds {
    /// The method's name.
    pub handler: &'static str,
    /// Parameters of the path.
    pub params: &'static [PathParam],
    /// Singletons.
    pub injects: &'static [InjectEntry],
}

/// A controller in a list, its type forgotten.
#[derive(Clone, Copy)]
pub struct ControllerEntry {
    pub(crate) mount: fn(&mut Assembly<'_>),
}

impl ControllerEntry {
    /// The entry of this controller.
    #[must_use]
    pub const fn of<C: Controller>() -> Self {
        Self {
            mount: |assembly| assembly.mount::<C>(),
        }
    }
}

/// What stands around handlers, outer to inner.
#[derive(Clone, Copy)]
pub struct PipelineTable {
    /// Who may call.
    pub guards: &'static [Entry<dyn DynGuard>],
    /// What wraps binding and the handler.
    pub interceptors: &'static [Entry<dyn DynInterceptor>],
    /// What maps the JSON data that handlers give.
    pub mappers: &'static [&'static dyn MapData],
    /// What answers errors.
    pub filters: &'static [Entry<dyn DynFilter>],
}

impl PipelineTable {
    /// Nothing.
    pub const EMPTY: Self = Self {
        guards: &[],
        interceptors: &[],
        mappers: &[],
        filters: &[],
    };
}

/// A guard, interceptor or filter in a list, its type forgotten.
pub struct Entry<T: ?Sized + 'static> {
    /// The type's name.
    pub name: &'static str,
    /// Takes it from the container, or builds it.
    pub resolve: fn(&mut Resolver<'_>) -> Option<Arc<T>>,
}

/// A singleton that a handler's `#[inject]` argument needs.
#[derive(Clone, Copy)]
pub struct InjectEntry {
    /// The argument's name.
    pub name: &'static str,
    /// Whether the container has it or can build it; notes in the resolver what is missing.
    pub check: fn(&mut Resolver<'_>) -> bool,
}

/// A type marked `#[server]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a server",
    label = "not marked `#[server]`",
    note = "write `#[server(controllers = [..])]` above `struct {Self};`"
)]
pub trait Server {
    /// Its controllers and settings.
    const TABLE: ServerTable;
}

/// What `#[server]` writes down.
pub struct ServerTable {
    /// The path before all of its routes.
    pub prefix: &'static str,
    /// The controllers.
    pub controllers: &'static [ControllerEntry],
    /// Around all routes.
    pub pipeline: PipelineTable,
    /// The largest request body that is bound, in bytes.
    pub body_limit: Option<usize>,
    /// The address to listen on.
    pub host: Option<&'static str>,
    /// The port to listen on; 0 picks a free one.
    pub port: Option<u16>,
    /// The `sse(..)` settings, if there are any.
    pub sse: Option<SseTable>,
}

/// What `sse(..)` of `#[server]` writes down. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SseTable {
    /// Whether SSE routes are served.
    pub enabled: bool,
    /// Silence after which a comment is sent; 0 turns it off.
    pub keep_alive: Option<u64>,
    /// How long a client should wait before it reconnects.
    pub retry: Option<u64>,
    /// Whether every connection starts with `event: welcome` and its id.
    pub welcome: bool,
    /// What the names of control events begin with.
    pub control_prefix: Option<&'static str>,
}
