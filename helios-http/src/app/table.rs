//! The tables that `#[controller]` and `#[server]` write down, and what is left of them when their types are forgotten.

use std::any::TypeId;
use std::sync::Arc;

use helios_core::bind::check::ArgumentCheck;
use helios_core::container::Resolver;
use helios_core::route::RouteMeta;

use crate::openapi::{About, Describe, Docs};
use crate::routing::endpoint::{BoundHandler, Handler};
use crate::sse::SseHooks;
use crate::sse::hooks::{ControllerHooks, Hooks};
use crate::sse::options::SseTable;
#[cfg(feature = "openapi")]
use crate::sse::options::StreamTable;
use crate::table::{HookNeeds, InjectEntry, PipelineTable};

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
    /// Its doc comment.
    pub docs: Docs,
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
    /// Its arguments that bind a part of the request.
    pub arguments: &'static [ArgumentCheck],
    /// What its types say of it.
    pub describe: Describe,
    /// The hidden function.
    pub handler: Handler<C>,
}

/// A controller in a list, its type forgotten.
#[derive(Clone, Copy)]
pub struct ControllerEntry {
    pub(crate) id: fn() -> TypeId,
    /// Not the name itself: the table of a controller that is nested in itself would need itself to be built.
    pub(crate) name: fn() -> &'static str,
    pub(crate) open: fn(&mut Resolver<'_>) -> OpenedTable,
}

/// A controller's table, with its instance in place of its type.
pub(crate) struct OpenedTable {
    #[cfg(feature = "openapi")]
    pub(crate) docs: Docs,
    pub(crate) prefix: &'static str,
    pub(crate) controllers: &'static [ControllerEntry],
    pub(crate) pipeline: &'static PipelineTable,
    pub(crate) routes: Vec<OpenedRoute>,
    /// `None` if it has no hooks at all, or no instance.
    pub(crate) hooks: Option<Arc<dyn SseHooks>>,
    pub(crate) hook_needs: &'static [HookNeeds],
}

/// A route's row in the table of its controller.
pub(crate) struct OpenedRoute {
    pub(crate) meta: &'static RouteMeta,
    pub(crate) pipeline: &'static PipelineTable,
    pub(crate) injects: &'static [InjectEntry],
    pub(crate) arguments: &'static [ArgumentCheck],
    #[cfg(feature = "openapi")]
    pub(crate) describe: Describe,
    /// What it says of its streams, if it gives any.
    #[cfg(feature = "openapi")]
    pub(crate) stream: Option<&'static StreamTable>,
    /// `None` if the controller has no instance.
    pub(crate) handler: Option<BoundHandler>,
}

impl ControllerEntry {
    /// The entry of this controller.
    #[must_use]
    pub const fn of<C: Controller>() -> Self {
        Self {
            id: TypeId::of::<C>,
            name: || C::TABLE.name,
            open: open::<C>,
        }
    }
}

/// Resolves the instance of a controller. It is compiled once for each, so it does no more than to forget the type. If
/// there is no instance the resolver has noted why; all the rest is still given, so that one start tells every fault.
fn open<C: Controller>(resolver: &mut Resolver<'_>) -> OpenedTable {
    let table = const { &C::TABLE };
    let controller = (table.resolve)(resolver);
    let open = |route: &'static Route<C>| OpenedRoute {
        meta: &route.meta,
        pipeline: &route.pipeline,
        injects: route.injects,
        arguments: route.arguments,
        #[cfg(feature = "openapi")]
        describe: route.describe,
        #[cfg(feature = "openapi")]
        stream: match &route.handler {
            Handler::Http(_) => None,
            Handler::Sse(_, options) => Some(options),
        },
        handler: controller
            .as_ref()
            .map(|it| BoundHandler::new(it, &route.handler)),
    };
    let hooks = match const { C::TABLE.hooks.is_none() } {
        true => None,
        false => controller
            .as_ref()
            .map(|it| ControllerHooks::of(it, &table.hooks)),
    };
    OpenedTable {
        #[cfg(feature = "openapi")]
        docs: table.docs,
        prefix: table.prefix,
        controllers: table.controllers,
        pipeline: &table.pipeline,
        routes: table.routes.iter().map(open).collect(),
        hooks,
        hook_needs: table.hooks.needs,
    }
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
    /// Its package.
    pub about: About,
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
