//! Tables that `#[controller]` and `#[server]` generate, and their form without the types of the app.

use std::any::TypeId;
use std::sync::Arc;

use helios_core::bind::check::ArgumentCheck;
use helios_core::container::Resolver;
use helios_core::route::RouteMeta;

use crate::openapi::{About, Describe, DescribeHooks, Docs};
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
    /// The controller's routes and hooks.
    const TABLE: ControllerTable<Self>;
}

/// The table that `#[controller]` generates.
pub struct ControllerTable<C: 'static> {
    /// The name of the type.
    pub name: &'static str,
    /// The doc comment of the type.
    pub docs: Docs,
    /// The path before all routes.
    pub prefix: &'static str,
    /// Controllers nested below the prefix.
    pub controllers: &'static [ControllerEntry],
    /// Guards, interceptors and filters around all routes, including those of nested controllers.
    pub pipeline: PipelineTable,
    /// The routes.
    pub routes: &'static [Route<C>],
    /// The SSE hooks.
    pub hooks: Hooks<C>,
    /// Describe the connection hooks from their types, for the OpenAPI document.
    pub describe_hooks: DescribeHooks,
    /// Takes the instance from the container, or builds it.
    pub resolve: fn(&mut Resolver<'_>) -> Option<Arc<C>>,
}

/// One route of a controller.
pub struct Route<C: 'static> {
    /// The description of the route.
    pub meta: RouteMeta,
    /// Guards, interceptors and filters around this route alone.
    pub pipeline: PipelineTable,
    /// Singletons that the arguments need.
    pub injects: &'static [InjectEntry],
    /// The arguments that bind a part of the request.
    pub arguments: &'static [ArgumentCheck],
    /// Describes the route from its types, for the OpenAPI document.
    pub describe: Describe,
    /// The generated function that calls the method.
    pub handler: Handler<C>,
}

/// A controller in a list, without its type.
#[derive(Clone, Copy)]
pub struct ControllerEntry {
    pub(crate) id: fn() -> TypeId,
    /// A function, since a controller nested in itself would need its own table to build its table.
    pub(crate) name: fn() -> &'static str,
    #[cfg(feature = "openapi")]
    pub(crate) type_name: fn() -> &'static str,
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
    /// `None` if the controller has no hooks at all, or no instance.
    pub(crate) hooks: Option<Arc<dyn SseHooks>>,
    pub(crate) hook_needs: &'static [HookNeeds],
    #[cfg(feature = "openapi")]
    pub(crate) describe_hooks: DescribeHooks,
}

/// A route in the table of its controller.
pub(crate) struct OpenedRoute {
    pub(crate) meta: &'static RouteMeta,
    pub(crate) pipeline: &'static PipelineTable,
    pub(crate) injects: &'static [InjectEntry],
    pub(crate) arguments: &'static [ArgumentCheck],
    #[cfg(feature = "openapi")]
    pub(crate) describe: Describe,
    /// The options of its streams, if it is an SSE route.
    #[cfg(feature = "openapi")]
    pub(crate) stream: Option<&'static StreamTable>,
    /// `None` if the controller has no instance.
    pub(crate) handler: Option<BoundHandler>,
}

impl ControllerEntry {
    /// Returns the entry of this controller.
    #[must_use]
    pub const fn of<C: Controller>() -> Self {
        Self {
            id: TypeId::of::<C>,
            name: || C::TABLE.name,
            #[cfg(feature = "openapi")]
            type_name: std::any::type_name::<C>,
            open: open::<C>,
        }
    }
}

/// Resolves the instance of a controller. The compiler generates this function once per controller, so it only erases
/// the type. If there is no instance, the resolver has recorded why. The rest of the table is still returned, so that
/// one start reports every fault.
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
        #[cfg(feature = "openapi")]
        describe_hooks: table.describe_hooks,
    }
}

/// A type marked `#[server]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a server",
    label = "not marked `#[server]`",
    note = "write `#[server(controllers = [..])]` above `struct {Self};`"
)]
pub trait Server {
    /// The server's controllers and settings.
    const TABLE: ServerTable;
}

/// The table that `#[server]` generates.
pub struct ServerTable {
    /// The name and version of the package.
    pub about: About,
    /// The path before all routes.
    pub prefix: &'static str,
    /// The controllers.
    pub controllers: &'static [ControllerEntry],
    /// Guards, interceptors and filters around all routes.
    pub pipeline: PipelineTable,
    /// The largest request body that is bound, in bytes.
    pub body_limit: Option<usize>,
    /// The address to listen on.
    pub host: Option<&'static str>,
    /// The port to listen on; 0 picks a free one.
    pub port: Option<u16>,
    /// The `sse(..)` settings, if any.
    pub sse: Option<SseTable>,
}
