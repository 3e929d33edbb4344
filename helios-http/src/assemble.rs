//! Start-up: walks the tables, resolves every instance, and gathers every fault before anything is served.

use std::any::TypeId;
use std::sync::Arc;

use helios_core::container::{Container, Resolver};
use helios_core::guard::DynGuard;
use helios_core::interceptor::MapData;
use helios_core::route::{RouteKind, RouteMeta, Template};
use http::StatusCode;

use crate::controller::{Controller, ControllerEntry, GuardEntry, Route, ServerTable};
use crate::endpoint::{Endpoint, Target};
use crate::error::StartupFault;
use crate::sse::{ControllerHooks, SseHooks};

/// What the table walk has found so far, and the enclosing scopes of the place where it is.
pub struct Assembly<'a> {
    resolver: Resolver<'a>,
    endpoints: Vec<Endpoint>,
    faults: Vec<StartupFault>,
    sse_enabled: bool,
    scopes: Vec<Scope>,
}

/// What the server or a controller adds to everything below it.
struct Scope {
    controller: Option<TypeId>,
    prefix: &'static str,
    guards: Vec<Arc<dyn DynGuard>>,
    interceptors: &'static [&'static dyn MapData],
    hooks: Option<Arc<dyn SseHooks>>,
}

/// Every endpoint of the app, and everything that is wrong with it.
pub(crate) fn assemble(
    table: &ServerTable,
    container: &mut Container,
) -> (Vec<Endpoint>, Vec<StartupFault>) {
    let mut assembly = Assembly {
        resolver: Resolver::new(container),
        endpoints: Vec::new(),
        faults: Vec::new(),
        sse_enabled: table.sse.is_some_and(|sse| sse.enabled),
        scopes: Vec::new(),
    };
    let scope = Scope {
        controller: None,
        prefix: "",
        guards: assembly.guards("the server", table.guards),
        interceptors: table.interceptors,
        hooks: None,
    };
    assembly.within(scope, |assembly| assembly.mount_all(table.controllers));
    let Assembly {
        resolver,
        endpoints,
        mut faults,
        ..
    } = assembly;
    faults.extend(resolver.into_errors().into_iter().map(StartupFault::Inject));
    (endpoints, faults)
}

impl Assembly<'_> {
    fn within(&mut self, scope: Scope, visit: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        visit(self);
        self.scopes.pop();
    }

    fn mount_all(&mut self, controllers: &[ControllerEntry]) {
        for entry in controllers {
            (entry.mount)(self);
        }
    }

    pub(crate) fn mount<C: Controller>(&mut self) {
        let table = &C::TABLE;
        let id = TypeId::of::<C>();
        if self.scopes.iter().any(|scope| scope.controller == Some(id)) {
            self.faults.push(StartupFault::NestedInItself(table.name));
            return;
        }
        let Some(controller) = (table.resolve)(&mut self.resolver) else {
            // The resolver has noted why; what is below is still looked at, so that one start tells everything.
            self.mount_all(table.controllers);
            return;
        };
        let scope = Scope {
            controller: Some(id),
            prefix: table.prefix,
            guards: self.guards(table.name, table.guards),
            interceptors: table.interceptors,
            hooks: ControllerHooks::of(&controller),
        };
        self.within(scope, |assembly| {
            for route in table.routes {
                assembly.add(&controller, table.name, route);
            }
            assembly.mount_all(table.controllers);
        });
    }

    fn add<C: Controller>(
        &mut self,
        controller: &Arc<C>,
        name: &'static str,
        route: &'static Route<C>,
    ) {
        let prefixes = self.scopes.iter().map(|scope| scope.prefix);
        let template = Arc::new(Template::join(prefixes.chain([route.meta.path])));
        let place = Place {
            controller: name,
            handler: route.meta.handler,
        };
        self.check(&route.meta, &template, place);
        let who = format!("{name}::{}", route.meta.handler);
        for inject in route.injects {
            self.resolver
                .needed_by(&who, |resolver| (inject.check)(resolver));
        }
        let mut guards: Vec<_> = self
            .scopes
            .iter()
            .flat_map(|scope| scope.guards.clone())
            .collect();
        guards.extend(self.guards(&who, route.guards));
        let outer = self.scopes.iter().flat_map(|scope| scope.interceptors);
        self.endpoints.push(Endpoint {
            meta: route.meta,
            controller: name,
            template,
            status: route
                .meta
                .status
                .and_then(|code| StatusCode::from_u16(code).ok()),
            guards,
            mappers: outer.chain(route.interceptors).copied().collect(),
            hooks: self
                .scopes
                .iter()
                .filter_map(|scope| scope.hooks.clone())
                .collect(),
            target: Target::new(controller, &route.handler),
        });
    }

    fn check(&mut self, meta: &RouteMeta, template: &Template, place: Place) {
        if matches!(meta.kind, RouteKind::Sse { .. }) && !self.sse_enabled {
            let path = template.as_str().to_owned();
            self.faults.push(StartupFault::SseDisabled { place, path });
        }
        for param in meta.params.iter().filter(|param| param.outer) {
            if !template.params().iter().any(|known| known == param.name) {
                self.faults.push(StartupFault::NoOuterParam {
                    place,
                    name: param.name,
                    path: template.as_str().to_owned(),
                });
            }
        }
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

    fn guards(&mut self, who: &str, entries: &[GuardEntry]) -> Vec<Arc<dyn DynGuard>> {
        let resolve = |entry: &GuardEntry| {
            self.resolver
                .needed_by(who, |resolver| (entry.resolve)(resolver))
        };
        entries.iter().filter_map(resolve).collect()
    }
}

/// A handler, for error messages and listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
