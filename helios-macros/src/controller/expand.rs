//! Generates the table from the model.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Generics, parse_quote_spanned};

use super::describe;
use super::handlers::{self, hidden};
use super::hooks::{HOOKS, HookKind};
use super::model::{Binding, Controller, Metadata, Method, Route, RouteKind};
use crate::lints;
use crate::runtime::option;
use crate::types;

/// Returns the generated functions, the table, and the touches.
pub(super) fn expand(controller: &Controller) -> TokenStream {
    let routes = controller.routes.iter().map(|route| {
        let function = handlers::route(controller, route);
        (route.method.is_deprecated, function)
    });
    let hooks = controller.hooks.iter().map(|hook| {
        let function = handlers::hook(controller, hook);
        (hook.method.is_deprecated, function)
    });
    let described = controller.routes.iter().map(|route| {
        let function = describe::route(controller, route);
        (route.method.is_deprecated, function)
    });
    let described_hooks = describe::hooks(controller).map(|hook| {
        let function = describe::hook(controller, hook);
        (hook.method.is_deprecated, function)
    });
    let described = described.chain(described_hooks);
    let all = routes.chain(hooks).chain(described);
    let (deprecated, functions): (Vec<_>, Vec<_>) = all.partition(|(is, _)| *is);
    let functions = hidden_impl(controller, &functions);
    let deprecated = (!deprecated.is_empty()).then(|| {
        let functions = hidden_impl(controller, &deprecated);
        lints::unlinted(&controller.runtime, &controller.cfgs, &functions)
    });
    let (table, touches) = (table(controller), touches(controller));
    quote!(#functions #deprecated #table #touches)
}

/// Returns an impl with generated functions.
fn hidden_impl(controller: &Controller, functions: &[(bool, TokenStream)]) -> TokenStream {
    let Controller {
        self_ty,
        cfgs,
        allowed,
        ..
    } = controller;
    let functions = functions.iter().map(|(_, function)| function);
    let generics = shared_generics(controller);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #(#cfgs)*
        #(#allowed)*
        impl #impl_generics #self_ty #where_clause {
            #(#functions)*
        }
    }
}

/// Returns a table without routes, so that a mistake in the impl does not also cause "not a controller" elsewhere.
pub(super) fn fallback(controller: &Controller) -> TokenStream {
    let touches = touches(controller);
    let name = types::name(&controller.self_ty);
    let has_lifetimes = controller.generics.lifetimes().next().is_some();
    if has_lifetimes || types::borrowed(&controller.self_ty).is_some() || name.is_empty() {
        return touches;
    }
    let rt = controller.runtime.path();
    let table = quote! {
        name: #name,
        docs: #rt::describe!(""),
        prefix: "",
        controllers: &[],
        pipeline: #rt::PipelineTable::EMPTY,
        routes: &[],
        hooks: #rt::Hooks::NONE,
        describe_hooks: #rt::describe!(&[]),
        resolve: |_| #rt::None,
    };
    let table = table_impl(controller, &table);
    quote!(#table #touches)
}

fn table(controller: &Controller) -> TokenStream {
    let (runtime, rt) = (&controller.runtime, controller.runtime.path());
    let name = types::name(&controller.self_ty);
    let prefix = controller.prefix.text();
    let controllers = runtime.controllers(&controller.controllers);
    let pipeline = controller.pipeline.expand(runtime);
    let routes = controller.routes.iter().map(|route| row(controller, route));
    let hooks = HOOKS.iter().map(|kind| hook(controller, kind));
    let needs = needs(controller);
    let describe_hooks = describe::field_of_hooks(controller);
    let resolve = runtime.resolved(&syn::parse_quote!(Self), Span::mixed_site());
    let resolver = Ident::new("resolver", Span::mixed_site());
    let docs = &controller.docs;
    let table = quote! {
        name: #name,
        docs: #rt::describe!(#docs),
        prefix: #prefix,
        controllers: #controllers,
        pipeline: #pipeline,
        routes: &[#(#routes),*],
        hooks: #rt::Hooks { #(#hooks)* needs: &[#(#needs),*] },
        describe_hooks: #describe_hooks,
        resolve: |#resolver| #resolve,
    };
    table_impl(controller, &table)
}

fn table_impl(controller: &Controller, table: &TokenStream) -> TokenStream {
    let (rt, generics) = (controller.runtime.path(), shared_generics(controller));
    let Controller {
        self_ty,
        cfgs,
        allowed,
        ..
    } = controller;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #(#cfgs)*
        #(#allowed)*
        #[automatically_derived]
        impl #impl_generics #rt::Controller for #self_ty #where_clause {
            const TABLE: #rt::ControllerTable<Self> = #rt::ControllerTable { #table };
        }
    }
}

/// All threads share a controller. The bound on its type looks redundant. But if it is not met, it causes one error at
/// the type, instead of one for each route.
fn shared_generics(controller: &Controller) -> Generics {
    let mut generics = types::shared(&controller.runtime.path(), &controller.generics);
    let self_ty = &controller.self_ty;
    let span = self_ty.span();
    let bound = parse_quote_spanned! {span=>
        #self_ty: ::core::marker::Send + ::core::marker::Sync + 'static
    };
    generics.make_where_clause().predicates.push(bound);
    generics
}

fn row(controller: &Controller, route: &Route) -> TokenStream {
    let (runtime, rt) = (&controller.runtime, controller.runtime.path());
    let (meta, cfgs, name) = (meta(&rt, route), &route.method.cfgs, hidden(&route.method));
    let pipeline = route.extras.pipeline.expand(runtime);
    let injects = injects(controller, &route.method);
    let arguments = arguments(controller, &route.method);
    let describe = describe::field(runtime, route);
    let handler = match &route.kind {
        RouteKind::Http => quote!(Http(Self::#name)),
        RouteKind::Sse(options) => {
            let (may_join, may_reply) = (may_join(&route.method), may_reply(&route.method));
            let options = options.expand(&rt, may_join, may_reply);
            quote!(Sse(Self::#name, #options))
        }
    };
    quote! {
        #(#cfgs)*
        #rt::Route {
            meta: #meta,
            pipeline: #pipeline,
            injects: #injects,
            arguments: #arguments,
            describe: #describe,
            handler: #rt::Handler::#handler,
        }
    }
}

/// Whether the method may return a handle, which can join topics. A generator or a producer does not.
fn may_join(method: &Method) -> bool {
    let is_generator = |output| types::impl_trait(output).is_some();
    !method.gives_unit() && !method.output.as_ref().is_some_and(is_generator)
}

/// Whether the method may answer with a response in place of its stream. An alias hides that.
fn may_reply(method: &Method) -> bool {
    let output = method.output.as_ref();
    output.is_some_and(|ty| types::mentions(ty, "SseReply"))
}

fn meta(rt: &TokenStream, route: &Route) -> TokenStream {
    let (verb, path) = (format_ident!("{}", route.verb.variant()), route.path.text());
    let handler = route.method.name.unraw().to_string();
    let kind = match &route.kind {
        RouteKind::Http => quote!(Http),
        RouteKind::Sse(_) => quote!(Sse),
    };
    let status = option(rt, route.extras.status.map(|status| status.code));
    let params = params(rt, &route.method);
    quote! {
        #rt::RouteMeta {
            verb: #rt::Verb::#verb,
            path: #path,
            handler: #handler,
            kind: #rt::RouteKind::#kind,
            status: #status,
            params: #params,
        }
    }
}

fn params(rt: &TokenStream, method: &Method) -> TokenStream {
    let params = method.params().map(|(name, outer)| {
        let name = &name.text;
        quote!(#rt::PathParam { name: #name, outer: #outer })
    });
    quote!(&[#(#params),*])
}

fn injects(controller: &Controller, method: &Method) -> TokenStream {
    let rt = controller.runtime.path();
    let arguments = method.arguments.iter();
    let injected = arguments.filter(|argument| argument.source.kind.metadata == Metadata::Inject);
    let entries = injected.map(|argument| {
        let inner = argument.asked();
        let name = argument.shown();
        let span = argument.declared.span();
        let resolver = Ident::new("resolver", span);
        let resolved = controller.runtime.resolved(inner, span);
        quote!(#rt::InjectEntry { name: #name, check: |#resolver| #resolved.is_some() })
    });
    quote!(&[#(#entries),*])
}

/// Lists the arguments that bind a part of the request, so that start-up can check their types.
fn arguments(controller: &Controller, method: &Method) -> TokenStream {
    let rt = controller.runtime.path();
    let entries = method.arguments.iter().filter_map(|argument| {
        let (ty, span) = (&argument.bound, argument.bound.span());
        let source = match argument.source.kind.binding {
            Binding::Value(function) => Ident::new(function, span),
            Binding::ByType => Ident::new("argument", span),
            Binding::Inside(_) | Binding::Handle(_) | Binding::Body | Binding::Lent(_) => {
                return None;
            }
        };
        let name = argument.shown();
        Some(quote!(#rt::ArgumentCheck { name: #name, mistake: #rt::mistake!(#source, #ty) }))
    });
    quote!(&[#(#entries),*])
}

/// Returns a field of `Hooks`. It is `None` if all hooks of this kind are under `#[cfg]`s that are off.
fn hook(controller: &Controller, kind: &HookKind) -> TokenStream {
    let rt = controller.runtime.path();
    let hooks = controller.hooks.iter().filter(|hook| hook.kind == kind);
    let methods: Vec<&Method> = hooks.clone().map(|hook| &hook.method).collect();
    let given = hooks.map(|hook| {
        let (name, cfgs) = (hidden(&hook.method), &hook.method.cfgs);
        // If a build has two hooks of one kind, rustc's error points to the second one.
        let field = Ident::new(kind.field, hook.attribute.span());
        quote!(#(#cfgs)* #field: #rt::Some(Self::#name),)
    });
    let absent = methods.iter().all(|method| !method.cfgs.is_empty());
    let absent = absent.then(|| {
        let field = Ident::new(kind.field, Span::call_site());
        let off = off(&methods);
        quote!(#off #field: #rt::None,)
    });
    quote!(#(#given)* #absent)
}

/// Returns the `#[cfg]` for builds without any of these methods.
fn off(methods: &[&Method]) -> Option<TokenStream> {
    let conditions = methods.iter().map(|method| {
        let conditions = method.cfgs.iter().filter_map(condition);
        quote!(all(#(#conditions),*))
    });
    (!methods.is_empty()).then(|| quote!(#[cfg(not(any(#(#conditions),*)))]))
}

/// Lists the parameters and services that the arguments of hooks need. Only hooks with a request need any.
fn needs(controller: &Controller) -> impl Iterator<Item = TokenStream> {
    let rt = controller.runtime.path();
    describe::hooks(controller).map(move |hook| {
        let (method, cfgs) = (&hook.method, &hook.method.cfgs);
        let handler = method.name.unraw().to_string();
        let (params, injects) = (params(&rt, method), injects(controller, method));
        let arguments = arguments(controller, method);
        quote! {
            #(#cfgs)*
            #rt::HookNeeds { handler: #handler, params: #params, injects: #injects, arguments: #arguments }
        }
    })
}

fn condition(cfg: &Attribute) -> Option<TokenStream> {
    cfg.meta.require_list().ok().map(|list| list.tokens.clone())
}

/// Calls each macro that was used only as a marker. Otherwise its import would count as unused.
fn touches(controller: &Controller) -> TokenStream {
    let touches = controller.used.iter().map(|used| {
        let (path, cfgs) = (&used.path, controller.cfgs.iter().chain(&used.cfgs));
        quote!(#(#cfgs)* #[#path(__touch)] const _: () = ();)
    });
    touches.collect()
}
