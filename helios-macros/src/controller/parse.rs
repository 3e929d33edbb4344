//! Parses the impl into the model, and removes the attributes of Helios on the way.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, FnArg, GenericParam, Generics, ImplItem, ImplItemFn, ItemImpl, Lifetime, Receiver,
    ReceiverKind, ReturnType, Safety, Signature, Type,
};

use super::arguments;
use super::attributes::{self, Extra, MethodAttributes, Role, RoleKind};
use super::model::{Controller, Hook, Method, Route, RouteKind, TemplateLiteral, Used, Verb};
use crate::args::{Args, Key};
use crate::diagnostics::Errors;
use crate::lints::{allowed, is_deprecated};
use crate::listed::CONTROLLER;
use crate::pipeline::Pipeline;
use crate::runtime::{Runtime, cfgs, docs};
use crate::types;

const KEYS: [Key<Controller>; 7] = [
    ("prefix", |controller, arg, errors| {
        if let Some(text) = arg.string("prefix = \"user\"", errors) {
            controller.prefix = attributes::template(&text, errors);
        }
    }),
    ("controllers", |controller, arg, errors| {
        controller.controllers = CONTROLLER.of_key(arg, errors);
    }),
    ("guards", |controller, arg, errors| {
        controller.pipeline.set_guards(arg, errors);
    }),
    ("interceptor", |controller, arg, errors| {
        controller.pipeline.set_interceptor(arg, errors);
    }),
    ("interceptors", |controller, arg, errors| {
        controller.pipeline.set_interceptors(arg, errors);
    }),
    ("filters", |controller, arg, errors| {
        controller.pipeline.set_filters(arg, errors);
    }),
    ("crate", |controller, arg, errors| {
        controller.runtime = Runtime::given(arg, errors);
    }),
];

/// Reads the whole impl.
pub(super) fn parse(args: TokenStream, item: &mut ItemImpl, errors: &mut Errors) -> Controller {
    let mut controller = Controller {
        runtime: Runtime::default(),
        cfgs: cfgs(&item.attrs),
        allowed: allowed(&item.attrs),
        docs: docs(&item.attrs),
        generics: item.generics.clone(),
        self_ty: (*item.self_ty).clone(),
        prefix: TemplateLiteral::absent(Span::call_site()),
        controllers: Vec::new(),
        pipeline: Pipeline::default(),
        routes: Vec::new(),
        hooks: Vec::new(),
        used: Vec::new(),
    };
    head(item, errors);
    let args = Args::parse(args, errors).only_named("controller", "prefix = \"user\"", errors);
    args.set(&mut controller, "controller", &KEYS, errors);
    for item in &mut item.items {
        if let ImplItem::Fn(method) = item {
            controller.method(method, errors);
        }
    }
    if is_deprecated(&item.attrs) {
        controller.deprecate();
    }
    controller
}

/// Checks the head of the impl. It must be an inherent impl of a type that lives as long as the app.
fn head(item: &ItemImpl, errors: &mut Errors) {
    if let Some((path, _)) = &item.trait_ {
        let message = "`#[controller]` belongs on the type's own `impl Type { .. }`, not on an impl of a trait";
        errors.at(path, message);
    }
    if !matches!(&*item.self_ty, Type::Path(_) | Type::Group(_)) {
        errors.at(&item.self_ty, "a controller is a struct or an enum");
    }
    let message = "a controller lives as long as the app: it cannot borrow";
    for param in item.generics.lifetimes() {
        errors.at(param, message);
    }
    if item.generics.lifetimes().next().is_none()
        && let Some(borrowed) = types::borrowed(&item.self_ty)
    {
        errors.at(borrowed, message);
    }
}

impl Controller {
    fn method(&mut self, item: &mut ImplItemFn, errors: &mut Errors) {
        let taken = attributes::take(&mut item.attrs, errors);
        self.note_used(&taken, &cfgs(&item.attrs));
        let Some((role, others)) = taken.roles.split_first() else {
            return without_role(item, &taken, errors);
        };
        refuse_second_role(&item.sig, role, others, errors);
        let method = method(item, errors);
        let attribute = &role.attribute;
        match role.kind {
            RoleKind::Route(verb) => {
                let path = attributes::route(attribute, errors);
                let opened = (path, verb, RouteKind::Http);
                self.route(attribute, opened, &taken.extras, method, errors);
            }
            RoleKind::Sse => {
                let opened = attributes::sse(attribute, errors);
                self.route(attribute, opened, &taken.extras, method, errors);
            }
            RoleKind::Hook(kind) => {
                attributes::hook(attribute, errors);
                refuse_extras(&item.sig, &taken.extras, errors);
                self.hooks.push(Hook {
                    attribute: attribute.path().clone(),
                    kind,
                    method,
                });
            }
        }
    }

    fn route(
        &mut self,
        attribute: &Attribute,
        (path, verb, kind): (TemplateLiteral, Verb, RouteKind),
        extras: &[Extra],
        method: Method,
        errors: &mut Errors,
    ) {
        self.routes.push(Route {
            attribute: attribute.path().clone(),
            verb,
            path,
            kind,
            extras: attributes::extras(extras, errors),
            method,
        });
    }

    fn deprecate(&mut self) {
        let routes = self.routes.iter_mut().map(|route| &mut route.method);
        let hooks = self.hooks.iter_mut().map(|hook| &mut hook.method);
        for method in routes.chain(hooks) {
            method.is_deprecated = true;
        }
    }

    fn note_used(&mut self, taken: &MethodAttributes, cfgs: &[Attribute]) {
        let roles = taken.roles.iter().map(|role| &role.attribute);
        let all = roles.chain(taken.extras.iter().map(|extra| &extra.attribute));
        for attribute in all.filter(|attribute| attributes::is_exported(attribute)) {
            let used = Used {
                path: attribute.path().clone(),
                cfgs: cfgs.to_vec(),
            };
            if !self.used.contains(&used) {
                self.used.push(used);
            }
        }
    }
}

/// Checks an ordinary method of the impl, which must not have attributes of Helios.
fn without_role(item: &mut ImplItemFn, taken: &MethodAttributes, errors: &mut Errors) {
    refuse_extras(&item.sig, &taken.extras, errors);
    arguments::refuse(&mut item.sig, errors);
}

fn refuse_extras(sig: &Signature, extras: &[Extra], errors: &mut Errors) {
    for Extra { attribute, .. } in extras {
        let (path, name) = (attribute.path(), attribute.path().to_token_stream());
        let message = format!(
            "`#[{name}]` does nothing here: `{}` has no route attribute such as `#[get]`",
            sig.ident
        );
        errors.at(path, message);
    }
}

fn refuse_second_role(sig: &Signature, first: &Role, others: &[Role], errors: &mut Errors) {
    let is_hook = |role: &Role| matches!(role.kind, RoleKind::Hook(_));
    for other in others {
        let name = &sig.ident;
        let message = match (is_hook(first), is_hook(other)) {
            (false, false) => {
                format!("`{name}` has a route already: write another method that calls it")
            }
            (true, true) => {
                format!("`{name}` is a hook already: write another method that calls it")
            }
            _ => format!("`{name}` cannot be a route and a hook: write two methods"),
        };
        errors.at(other.attribute.path(), message);
    }
}

fn method(item: &mut ImplItemFn, errors: &mut Errors) -> Method {
    let ImplItemFn { attrs, sig, .. } = item;
    signature(sig, errors);
    let lifetimes: Vec<Lifetime> = sig
        .generics
        .lifetimes()
        .map(|param| param.lifetime.clone())
        .collect();
    let inputs = sig.inputs.iter_mut().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    let arguments = inputs
        .map(|argument| arguments::parse(argument, &lifetimes, errors))
        .collect();
    Method {
        name: sig.ident.clone(),
        cfgs: cfgs(attrs),
        allowed: allowed(attrs),
        docs: docs(attrs),
        is_deprecated: is_deprecated(attrs),
        is_async: sig.asyncness.is_some(),
        output: match &sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, output) => Some((**output).clone()),
        },
        arguments,
    }
}

/// Refuses methods that Helios cannot call as `name(&self, ..)`.
fn signature(sig: &Signature, errors: &mut Errors) {
    match sig.receiver() {
        None => errors.at(
            &sig.ident,
            format_args!("`{}` needs `&self` as its first argument", sig.ident),
        ),
        Some(receiver) if !is_shared(receiver) => {
            errors.at(
                receiver,
                "a controller is shared by all requests: write `&self`",
            );
        }
        Some(_) => {}
    }
    let message = "Helios calls this method itself: it cannot be `const`, `unsafe` or `extern`";
    if let Some(token) = &sig.constness {
        errors.at(token, message);
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.at(token, message);
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, message);
    }
    generics(&sig.generics, errors);
}

fn is_shared(receiver: &Receiver) -> bool {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, mutability) => mutability.is_none(),
        _ => false,
    }
}

fn generics(generics: &Generics, errors: &mut Errors) {
    for param in &generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            errors.at(
                param,
                "Helios calls this method itself, so it cannot be generic: write the type out",
            );
        }
    }
}
