//! Start-up: walks the tables, resolves every instance, and collects every fault before anything is served.

use std::any::TypeId;
use std::collections::HashSet;
use std::sync::Arc;

use helios_core::bind::check::ArgumentCheck;
use helios_core::container::{Container, Resolver};
use helios_core::lifecycle::Services;
use helios_core::route::{PathParam, RouteKind, RouteMeta, Template, Verb};
#[cfg(feature = "openapi")]
use helios_core::security::Security;
use http::StatusCode;

use crate::app::module::Module;
use crate::app::mounts::{MountEntry, unreachable};
use crate::app::table::{ControllerEntry, OpenedRoute, OpenedTable, ServerTable};
use crate::error::{Place, StartupFault};
#[cfg(feature = "openapi")]
use crate::openapi::operation::{Mounted, Operation};
#[cfg(feature = "openapi")]
use crate::openapi::{Describe, DescribeHooks};
use crate::routing::endpoint::{BoundHandler, Endpoint, Pipeline, Target};
use crate::routing::mount::{Mount, first_segment};
use crate::sse::Streams;
use crate::sse::hooks::SseHooks;
use crate::sse::options::{StreamOptions, StreamTable};
use crate::sse::stream::route::StreamRoute;
use crate::table::{HookNeeds, InjectEntry, PipelineTable};

/// Results of the table walk so far, and the enclosing scopes of the current place.
struct Assembly<'a> {
    resolver: Resolver<'a>,
    streams: &'a Arc<Streams>,
    endpoints: Vec<Endpoint>,
    own: HashSet<String>,
    faults: Vec<StartupFault>,
    sse_enabled: bool,
    scopes: Vec<Scope>,
    #[cfg(feature = "openapi")]
    operations: Vec<Operation>,
}

/// The prefix, pipeline and hooks that a server, module or controller adds to everything below it.
struct Scope {
    controller: Option<TypeId>,
    #[cfg(feature = "openapi")]
    mounted: Option<Arc<Mounted>>,
    prefix: String,
    pipeline: Pipeline,
    hooks: Option<Arc<dyn SseHooks>>,
    #[cfg(feature = "openapi")]
    describe_hooks: DescribeHooks,
}

/// Returns the credentials that the guards declare.
#[cfg(feature = "openapi")]
fn security(pipeline: &Pipeline) -> Vec<Security> {
    let guards = pipeline.guards.iter();
    guards.filter_map(|it| it.security()).collect()
}

/// Returns the names of the interceptors that may change the body of an answer.
#[cfg(feature = "openapi")]
fn changed_by(pipeline: &Pipeline) -> Vec<&'static str> {
    let interceptors = pipeline.interceptors.iter();
    let changing = interceptors.filter(|it| it.changes_body());
    changing.map(|it| it.name()).collect()
}

/// All results of the walk.
#[derive(Default)]
pub(crate) struct Assembled {
    pub(crate) endpoints: Vec<Endpoint>,
    /// The first segments of controllers' prefixes, normalised.
    pub(crate) own: HashSet<String>,
    pub(crate) mounts: Vec<Mount>,
    /// In the order in which they are started.
    pub(crate) services: Vec<Services>,
    pub(crate) faults: Vec<StartupFault>,
    #[cfg(feature = "openapi")]
    pub(crate) operations: Vec<Operation>,
}

/// Collects every endpoint of the app, and everything that is wrong with it. A module sees the values provided to the
/// app, but not the instances built for the app.
pub(crate) fn assemble(
    table: &ServerTable,
    provided: Container,
    controllers: &[ControllerEntry],
    modules: Vec<Module>,
    mounts: Vec<MountEntry>,
    streams: &Arc<Streams>,
) -> Assembled {
    let mut assembled = Assembled::default();
    let sse_enabled = table.sse.is_some_and(|sse| sse.enabled);
    let mut around = Pipeline::default();
    let prefixes: Vec<_> = mounts.iter().map(|mount| mount.prefix.clone()).collect();
    let mut opened = Vec::new();
    let unmade = provided.unmade();
    assembled.walk(provided.clone(), (streams, sse_enabled), |assembly| {
        around = around.with("the server", &table.pipeline, &mut assembly.resolver);
        let scope = Scope::of(table.prefix.to_owned(), around.clone());
        assembly.within(scope, |assembly| {
            assembly.mount_all(table.controllers);
            assembly.mount_all(controllers);
        });
        let open = |mount: MountEntry| mount.open(&around, &mut assembly.resolver);
        opened = mounts.into_iter().map(open).collect();
        assembly.resolver.check_unmade(&unmade);
    });
    for module in modules {
        let of_module = module.providers.into_container();
        let unmade = of_module.unmade();
        let mut container = provided.clone();
        container.extend(of_module);
        assembled.walk(container, (streams, sse_enabled), |assembly| {
            let server = Scope::of(table.prefix.to_owned(), around.clone());
            let scope = Scope::of(module.prefix, around.clone());
            assembly.within(server, |assembly| {
                assembly.within(scope, |assembly| assembly.mount_all(&module.controllers));
            });
            assembly.resolver.check_unmade(&unmade);
        });
    }
    let unreachable = unreachable(&prefixes, &assembled.endpoints);
    assembled.faults.extend(unreachable);
    assembled.mounts = opened;
    assembled
}

impl Assembled {
    /// Walks the tables that share one container.
    fn walk(
        &mut self,
        mut container: Container,
        (streams, sse_enabled): (&Arc<Streams>, bool),
        visit: impl FnOnce(&mut Assembly<'_>),
    ) {
        let mut assembly = Assembly {
            resolver: Resolver::new(&mut container),
            streams,
            endpoints: Vec::new(),
            own: HashSet::new(),
            faults: Vec::new(),
            sse_enabled,
            scopes: Vec::new(),
            #[cfg(feature = "openapi")]
            operations: Vec::new(),
        };
        visit(&mut assembly);
        #[cfg(feature = "openapi")]
        self.operations.append(&mut assembly.operations);
        let Assembly {
            resolver,
            endpoints,
            own,
            faults,
            ..
        } = assembly;
        self.own.extend(own);
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
    fn of(prefix: String, pipeline: Pipeline) -> Self {
        Self {
            controller: None,
            #[cfg(feature = "openapi")]
            mounted: None,
            prefix,
            pipeline,
            hooks: None,
            #[cfg(feature = "openapi")]
            describe_hooks: &[],
        }
    }
}

impl Assembly<'_> {
    fn within(&mut self, scope: Scope, visit: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        visit(self);
        self.scopes.pop();
    }

    fn mount_all(&mut self, controllers: &[ControllerEntry]) {
        for entry in controllers {
            self.mount(entry);
        }
    }

    fn mount(&mut self, entry: &ControllerEntry) {
        let (id, name) = ((entry.id)(), (entry.name)());
        if self.is_nested_in_itself(id, name) {
            return;
        }
        let OpenedTable {
            #[cfg(feature = "openapi")]
            docs,
            prefix,
            controllers,
            pipeline,
            routes,
            hooks,
            hook_needs,
            #[cfg(feature = "openapi")]
            describe_hooks,
        } = (entry.open)(&mut self.resolver);
        let scope = Scope {
            controller: Some(id),
            #[cfg(feature = "openapi")]
            mounted: Some(Arc::new(Mounted {
                controller: id,
                type_name: (entry.type_name)(),
                docs,
                within: self.within_server(),
            })),
            prefix: prefix.to_owned(),
            pipeline: self.pipeline(name, pipeline),
            hooks,
            #[cfg(feature = "openapi")]
            describe_hooks,
        };
        self.within(scope, |assembly| {
            assembly.claim();
            assembly.check_hooks(name, hook_needs);
            for route in routes {
                assembly.add(name, route);
            }
            assembly.mount_all(controllers);
        });
    }

    /// Claims the first segment of the controller's whole prefix for the app, unless that segment is a parameter.
    /// Mounts at `/` do not answer below it.
    fn claim(&mut self) {
        let shape = self.prefix().shape();
        let first = first_segment(&shape);
        if !first.is_empty() && !first.contains('{') {
            self.own.insert(first.to_owned());
        }
    }

    /// The prefixes of the enclosing scopes.
    fn prefix(&self) -> Template {
        Template::join(self.scopes.iter().map(|scope| scope.prefix.as_str()))
    }

    fn is_nested_in_itself(&mut self, id: TypeId, name: &'static str) -> bool {
        let nested = self.scopes.iter().any(|scope| scope.controller == Some(id));
        if nested {
            self.faults.push(StartupFault::NestedInItself(name));
        }
        nested
    }

    /// Adds a route. Without a handler the route is only checked.
    fn add(&mut self, controller: &'static str, route: OpenedRoute) {
        let OpenedRoute {
            meta,
            pipeline,
            injects,
            arguments,
            #[cfg(feature = "openapi")]
            describe,
            #[cfg(feature = "openapi")]
            stream,
            handler,
        } = route;
        let prefixes = self.scopes.iter().map(|scope| scope.prefix.as_str());
        let template = Arc::new(Template::join(prefixes.chain([meta.path])));
        let place = Place {
            controller,
            handler: meta.handler,
        };
        self.check(meta, &template, place);
        self.check_arguments(arguments, Some(template.params().len()), place);
        let who = format!("{controller}::{}", meta.handler);
        self.check_injects(&who, injects);
        let pipeline = self.pipeline(&who, pipeline);
        #[cfg(feature = "openapi")]
        self.add_operation((meta, describe, stream), place, &template, &pipeline);
        let Some(handler) = handler else { return };
        let target = match handler {
            BoundHandler::Http(handler) => Target::Http(handler),
            BoundHandler::Sse(handler, options) => {
                let route = self.stream_route((meta.verb, options), &pipeline, place);
                Target::Sse(handler, route)
            }
        };
        self.endpoints.push(Endpoint {
            meta: *meta,
            container: Arc::default(),
            controller,
            template,
            status: meta.status.and_then(|code| StatusCode::from_u16(code).ok()),
            pipeline,
            target,
        });
    }

    /// Adds a route to the OpenAPI document. Connection hooks run for streams only.
    #[cfg(feature = "openapi")]
    fn add_operation(
        &mut self,
        (meta, describe, stream): (&RouteMeta, Describe, Option<&StreamTable>),
        place: Place,
        template: &Arc<Template>,
        pipeline: &Pipeline,
    ) {
        let Some(mounted) = self.scopes.last().and_then(|it| it.mounted.clone()) else {
            return;
        };
        let hooks = self.scopes.iter().flat_map(|scope| scope.describe_hooks);
        let hooks = hooks.filter(|_| stream.is_some()).copied().collect();
        let sse = self.streams.hub.options();
        self.operations.push(Operation {
            place,
            mounted,
            meta: *meta,
            template: Arc::clone(template),
            describe,
            hooks,
            security: security(pipeline),
            is_guarded: !pipeline.guards.is_empty(),
            is_mapped: !pipeline.mappers.is_empty(),
            changed_by: changed_by(pipeline),
            stream: stream.map(|table| StreamOptions::new(table, meta.verb, sse)),
        });
    }

    /// Returns the prefixes of the enclosing scopes without that of the server, which is the outermost.
    #[cfg(feature = "openapi")]
    fn within_server(&self) -> String {
        let inner = self.scopes.iter().skip(1);
        let joined = Template::join(inner.map(|scope| scope.prefix.as_str()));
        joined.as_str().to_owned()
    }

    fn stream_route(
        &mut self,
        (verb, table): (Verb, &StreamTable),
        pipeline: &Pipeline,
        place: Place,
    ) -> Arc<StreamRoute> {
        let options = StreamOptions::new(table, verb, self.streams.hub.options());
        if let Some(mistake) = table.mistake(&options, verb) {
            self.faults
                .push(StartupFault::StreamOptions { place, mistake });
        }
        self.streams.beat_for(options.keep_alive);
        let scopes = self.scopes.iter();
        Arc::new(StreamRoute {
            streams: Arc::clone(self.streams),
            hooks: scopes.filter_map(|scope| scope.hooks.clone()).collect(),
            mappers: Arc::clone(&pipeline.mappers),
            filters: pipeline.filters.clone(),
            may_reply: table.may_reply,
            options,
        })
    }

    fn check(&mut self, meta: &RouteMeta, template: &Template, place: Place) {
        if matches!(meta.kind, RouteKind::Sse) && !self.sse_enabled {
            let path = template.as_str().to_owned();
            self.faults.push(StartupFault::SseDisabled { place, path });
        }
        if let Some(mistake) = template.mistake() {
            let path = template.as_str().to_owned();
            self.faults.push(StartupFault::InvalidPath {
                place,
                path,
                mistake,
            });
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

    /// A hook runs for every stream below its controller, so it can rely only on the parameters of the prefixes.
    fn check_hook(&mut self, controller: &'static str, needs: &HookNeeds) {
        let template = self.prefix();
        let place = Place {
            controller,
            handler: needs.handler,
        };
        self.check_outer(needs.params, &template, place);
        self.check_arguments(needs.arguments, None, place);
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

    fn check_arguments(
        &mut self,
        arguments: &[ArgumentCheck],
        params: Option<usize>,
        place: Place,
    ) {
        for argument in arguments {
            if let Some(mistake) = (argument.mistake)(params) {
                self.faults.push(StartupFault::NeverBound {
                    place,
                    argument: argument.name,
                    mistake,
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
