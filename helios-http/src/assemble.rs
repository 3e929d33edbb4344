//! Start-up: walks the tables, resolves every instance, and gathers every fault before anything is served.

use std::any::TypeId;
use std::sync::Arc;

use helios_core::container::{Container, Resolver};
use helios_core::lifecycle::Services;
use helios_core::route::{PathParam, RouteKind, RouteMeta, Template};
use http::StatusCode;

use crate::controller::{
    Controller, ControllerEntry, HookNeeds, InjectEntry, PipelineTable, Route, ServerTable,
};
use crate::endpoint::{Endpoint, Pipeline, Target};
use crate::error::StartupFault;
use crate::module::Module;
use crate::sse::{ControllerHooks, SseHooks};

/// What the table walk has found so far, and the enclosing scopes of the place where it is.
pub struct Assembly<'a> {
    resolver: Resolver<'a>,
    endpoints: Vec<Endpoint>,
    faults: Vec<StartupFault>,
    sse_enabled: bool,
    scopes: Vec<Scope>,
}

/// What the server, a module or a controller adds to everything below it.
struct Scope {
    controller: Option<TypeId>,
    prefix: String,
    pipeline: Pipeline,
    hooks: Option<Arc<dyn SseHooks>>,
}

/// Everything that the walk gives.
#[derive(Default)]
pub(crate) struct Assembled {
    pub(crate) endpoints: Vec<Endpoint>,
    /// In the order in which they are started.
    pub(crate) services: Vec<Services>,
    pub(crate) faults: Vec<StartupFault>,
}

/// Every endpoint of the app, and everything that is wrong with it. A module sees what the app was provided with, but
/// not what was built for the app.
pub(crate) fn assemble(
    table: &ServerTable,
    provided: Container,
    controllers: &[ControllerEntry],
    modules: Vec<Module>,
) -> Assembled {
    let mut assembled = Assembled::default();
    let sse_enabled = table.sse.is_some_and(|sse| sse.enabled);
    let mut around = Pipeline::default();
    let unmade = provided.unmade();
    assembled.walk(provided.clone(), sse_enabled, |assembly| {
        around = around.with("the server", &table.pipeline, &mut assembly.resolver);
        let scope = Scope::outermost(table.prefix.to_owned(), around.clone());
        assembly.within(scope, |assembly| {
            assembly.mount_all(table.controllers);
            assembly.mount_all(controllers);
        });
        assembly.resolver.check_unmade(&unmade);
    });
    for module in modules {
        let of_module = module.providers.into_container();
        let unmade = of_module.unmade();
        let mut container = provided.clone();
        container.extend(of_module);
        assembled.walk(container, sse_enabled, |assembly| {
            let prefix = format!("{}/{}", table.prefix, module.prefix);
            let scope = Scope::outermost(prefix, around.clone());
            assembly.within(scope, |assembly| assembly.mount_all(&module.controllers));
            assembly.resolver.check_unmade(&unmade);
        });
    }
    assembled
}

impl Assembled {
    /// Walks what shares one container.
    fn walk(
        &mut self,
        mut container: Container,
        sse_enabled: bool,
        visit: impl FnOnce(&mut Assembly<'_>),
    ) {
        let mut assembly = Assembly {
            resolver: Resolver::new(&mut container),
            endpoints: Vec::new(),
            faults: Vec::new(),
            sse_enabled,
            scopes: Vec::new(),
        };
        visit(&mut assembly);
        let Assembly {
            resolver,
            endpoints,
            faults,
            ..
        } = assembly;
        let missing = resolver.into_errors().into_iter().map(StartupFault::Inject);
        self.faults.extend(faults.into_iter().chain(missing));
        self.services.push(container.services().clone());
        let container = Arc::new(container);
        self.endpoints
            .extend(endpoints.into_iter().map(|endpoint| Endpoint {
                container: Arc::clone(&container),
                ..endpoint
            }));
    }
}

impl Scope {
    fn outermost(prefix: String, pipeline: Pipeline) -> Self {
        Self {
            controller: None,
            prefix,
            pipeline,
            hooks: None,
        }
    }
}

impl Assembly<'_> {
    fn within(&mut self, scope: Scope, visit: impl FnOnce(&mut Self)) {
        self.enter(scope);
        visit(self);
        self.leave();
    }

    fn enter(&mut self, scope: Scope) {
        self.scopes.push(scope);
    }

    fn leave(&mut self) {
        self.scopes.pop();
    }

    fn mount_all(&mut self, controllers: &[ControllerEntry]) {
        for entry in controllers {
            (entry.mount)(self);
        }
    }

    /// It is compiled once for each controller, so it only forgets the types.
    pub(crate) fn mount<C: Controller>(&mut self) {
        let table = &C::TABLE;
        let id = TypeId::of::<C>();
        if self.is_nested_in_itself(id, table.name) {
            return;
        }
        // If there is none, the resolver has noted why; all the rest is still looked at, so that one start tells
        // everything.
        let controller = (table.resolve)(&mut self.resolver);
        let scope = Scope {
            controller: Some(id),
            prefix: table.prefix.to_owned(),
            pipeline: self.pipeline(table.name, &table.pipeline),
            hooks: controller.as_ref().and_then(ControllerHooks::of),
        };
        self.enter(scope);
        self.check_hooks(table.name, table.hooks.needs);
        for Route {
            meta,
            pipeline,
            injects,
            handler,
        } in table.routes
        {
            let target = controller.as_ref().map(|it| Target::new(it, handler));
            self.add(table.name, meta, pipeline, injects, target);
        }
        self.mount_all(table.controllers);
        self.leave();
    }

    fn is_nested_in_itself(&mut self, id: TypeId, name: &'static str) -> bool {
        let nested = self.scopes.iter().any(|scope| scope.controller == Some(id));
        if nested {
            self.faults.push(StartupFault::NestedInItself(name));
        }
        nested
    }

    /// Without a target the route is only checked.
    fn add(
        &mut self,
        controller: &'static str,
        meta: &RouteMeta,
        pipeline: &PipelineTable,
        injects: &[InjectEntry],
        target: Option<Target>,
    ) {
        let prefixes = self.scopes.iter().map(|scope| scope.prefix.as_str());
        let template = Arc::new(Template::join(prefixes.chain([meta.path])));
        let place = Place {
            controller,
            handler: meta.handler,
        };
        self.check(meta, &template, place);
        let who = format!("{controller}::{}", meta.handler);
        self.check_injects(&who, injects);
        let pipeline = self.pipeline(&who, pipeline);
        let Some(target) = target else { return };
        self.endpoints.push(Endpoint {
            meta: *meta,
            container: Arc::default(),
            controller,
            template,
            status: meta.status.and_then(|code| StatusCode::from_u16(code).ok()),
            pipeline,
            hooks: self
                .scopes
                .iter()
                .filter_map(|scope| scope.hooks.clone())
                .collect(),
            target,
        });
    }

    fn check(&mut self, meta: &RouteMeta, template: &Template, place: Place) {
        if matches!(meta.kind, RouteKind::Sse { .. }) && !self.sse_enabled {
            let path = template.as_str().to_owned();
            self.faults.push(StartupFault::SseDisabled { place, path });
        }
        self.check_outer(meta.params, template, place);
        for (n, name) in template.params().iter().enumerate() {
            if template.params()[..n].contains(name) {
                self.faults.push(StartupFault::RepeatedParam {
                    place,
                    name: name.clone(),
                    path: template.as_str().to_owned(),
                });
            }
        }
    }

    fn check_hooks(&mut self, controller: &'static str, hooks: &[HookNeeds]) {
        for needs in hooks {
            self.check_hook(controller, needs);
        }
    }

    /// A hook runs for every stream below its controller: only what is in the prefixes is always there.
    fn check_hook(&mut self, controller: &'static str, needs: &HookNeeds) {
        let template = Template::join(self.scopes.iter().map(|scope| scope.prefix.as_str()));
        let place = Place {
            controller,
            handler: needs.handler,
        };
        self.check_outer(needs.params, &template, place);
        self.check_injects(&format!("{controller}::{}", needs.handler), needs.injects);
    }

    fn check_outer(&mut self, params: &[PathParam], template: &Template, place: Place) {
        for param in params.iter().filter(|param| param.outer) {
            if !template.params().iter().any(|known| known == param.name) {
                self.faults.push(StartupFault::NoOuterParam {
                    place,
                    name: param.name,
                    path: template.as_str().to_owned(),
                });
            }
        }
    }

    fn check_injects(&mut self, who: &str, injects: &[InjectEntry]) {
        for inject in injects {
            self.resolver
                .needed_by(who, |resolver| (inject.check)(resolver));
        }
    }

    /// The pipeline of the enclosing scopes with what `table` adds.
    fn pipeline(&mut self, who: &str, table: &PipelineTable) -> Pipeline {
        let outer = self.scopes.last().map(|scope| scope.pipeline.clone());
        let outer = outer.unwrap_or_default();
        outer.with(who, table, &mut self.resolver)
    }
}

/// A handler, for error messages.
///
/// ```
/// use helios::error::{Error, Place, StartupFault};
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[sse]
///     fn updates(&self) -> SseStream { SseStream::new() }
/// }
///
/// #[server(controllers = [User])] // without `sse(enabled = true)`
/// struct App;
///
/// fn first_place(error: &Error) -> Option<Place> {
///     let Error::Startup(faults) = error else { return None };
///     faults.0.iter().find_map(|fault| match fault {
///         StartupFault::SseDisabled { place, .. } => Some(*place),
///         _ => None,
///     })
/// }
/// let error = Helios::new(App).into_service().err().unwrap();
/// assert_eq!(first_place(&error).unwrap().to_string(), "`User::updates`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The controller's name.
    pub controller: &'static str,
    /// The method's name.
    pub handler: &'static str,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}::{}`", self.controller, self.handler)
    }
}
