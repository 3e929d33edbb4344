//! Mistakes that only show when paths, arguments and routes are checked together.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Type;

use super::hooks::Given;
use super::model::{
    Argument, Controller, Hook, Method, Route, RouteKind, SourceKind, TakesBody, TemplateLiteral,
    Verb,
};
use crate::diagnostics::{Errors, similar};
use crate::types;

pub(super) fn check(controller: &Controller, errors: &mut Errors) {
    check_prefix(controller, errors);
    for route in &controller.routes {
        check_path(controller, route, errors);
        check_params(controller, route, errors);
        check_body(route, errors);
        check_once(&route.method, errors);
        if let RouteKind::Sse(_) = route.kind {
            check_sse(route, errors);
        }
    }
    check_collisions(&controller.routes, errors);
    for (index, hook) in controller.hooks.iter().enumerate() {
        check_single(hook, &controller.hooks[..index], errors);
        check_included(hook, &controller.hooks, errors);
        check_hook(controller, hook, errors);
    }
    // A refused method may have been a stream.
    if errors.is_empty() {
        check_hooks_have_streams(controller, errors);
    }
}

/// Hooks run for the streams of their own controller and of nested ones. A hook under `#[cfg]` may be for other builds.
fn check_hooks_have_streams(controller: &Controller, errors: &mut Errors) {
    let is_stream = |route: &Route| matches!(route.kind, RouteKind::Sse(_));
    if controller.routes.iter().any(is_stream) || !controller.controllers.is_empty() {
        return;
    }
    let built = |hook: &&Hook| hook.method.cfgs.is_empty();
    for hook in controller.hooks.iter().filter(built) {
        let message = "no stream would ever run this hook: it runs for the `#[sse]` routes of this controller, and of \
                       those that are nested in it with `controllers = [..]`";
        errors.at(&hook.attribute, message);
    }
}

fn check_prefix(controller: &Controller, errors: &mut Errors) {
    let prefix = &controller.prefix;
    if let Some(param) = prefix.params().iter().find(|param| param.catch_all) {
        let message = format!(
            "`{{*{}}}` matches everything that follows, so a prefix cannot hold it: write it into the paths of the routes",
            param.name
        );
        errors.at_span(prefix.span, message);
    }
}

/// Checks that the method takes every parameter of its own path. It need not take those of the prefix.
fn check_path(controller: &Controller, route: &Route, errors: &mut Errors) {
    let method = &route.method.name;
    for param in route.path.params() {
        let name = &param.name;
        if controller.prefix.has(name) {
            errors.at_span(
                route.path.span,
                format_args!("`{{{name}}}` is in the prefix already: give it another name"),
            );
        } else if !may_take(&route.method, name) {
            let message =
                format!("`{{{name}}}` is not taken by `{method}`: add `#[param] {name}: ..`");
            errors.at_span(route.path.span, message);
        }
    }
}

/// Whether one of the arguments is the parameter, or could be if its name had not been refused.
fn may_take(method: &Method, param: &str) -> bool {
    takes_whole_path(method)
        || method
            .params()
            .any(|(name, _)| name.text == param || name.text.is_empty())
}

/// Whether an argument is a `Path<T>`, which takes every parameter.
fn takes_whole_path(method: &Method) -> bool {
    method
        .arguments
        .iter()
        .any(|argument| argument.is_unmarked() && types::is_named(&argument.bound, "Path"))
}

fn check_params(controller: &Controller, route: &Route, errors: &mut Errors) {
    let (prefix, path) = (&controller.prefix, &route.path);
    for (name, outer) in route.method.params() {
        let text = &name.text;
        if outer && (prefix.has(text) || path.has(text)) {
            errors.at_span(name.span, not_outer(text));
        } else if !outer && !text.is_empty() && prefix.lacks(text) && path.lacks(text) {
            errors.at_span(name.span, missing_param(text, prefix, path));
        }
    }
    check_twice(&route.method, errors);
}

fn not_outer(param: &str) -> String {
    format!("`{{{param}}}` is in this controller's own path: write `#[param]`")
}

fn missing_param(param: &str, prefix: &TemplateLiteral, path: &TemplateLiteral) -> String {
    let full = format!("/{}/{}", prefix.text(), path.text());
    let full = full.trim_matches('/');
    let in_path: Vec<_> = path
        .params()
        .iter()
        .map(|known| known.name.as_str())
        .collect();
    let fix = match similar(param, &in_path) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => "write it into the path".to_owned(),
    };
    let outer = "if it belongs to an enclosing controller's prefix, write `#[param(outer)]`";
    format!("no `{{{param}}}` in `/{full}`: {fix} ({outer})")
}

fn check_twice(method: &Method, errors: &mut Errors) {
    let mut taken: Vec<&str> = Vec::new();
    for (name, _) in method.params().filter(|(name, _)| !name.text.is_empty()) {
        if taken.contains(&name.text.as_str()) {
            errors.at_span(
                name.span,
                format_args!("`{{{}}}` is taken twice: take it once", name.text),
            );
        }
        taken.push(&name.text);
    }
}

fn check_body(route: &Route, errors: &mut Errors) {
    let arguments = &route.method.arguments;
    let bodies: Vec<_> = arguments.iter().filter(|arg| takes_body(arg)).collect();
    let mut types = bodies
        .iter()
        .map(|argument| types::in_result(&argument.bound));
    let message = match types.any(|ty| types::is_named(ty, "Multipart")) {
        true => "a request has one body, and `Multipart` reads it: take the rest as parts of it",
        false => "a request has one body: take it once, as a struct with all its fields",
    };
    for argument in bodies.iter().skip(1) {
        errors.at(attribute_or_type(argument), message);
    }
    for argument in arguments {
        check_method_of_body(route, argument, errors);
    }
    if let [body] = bodies[..]
        && route.verb.has_body()
    {
        check_last(body, arguments, errors);
    }
}

/// Without an attribute, only the last argument can take the body.
fn check_last(body: &Argument, arguments: &[Argument], errors: &mut Errors) {
    let mut unmarked = arguments.iter().filter(|arg| arg.is_unmarked());
    let last = unmarked.next_back().filter(|_| body.is_unmarked());
    if let Some(last) = last.filter(|last| !std::ptr::eq(*last, body)) {
        let (body, last) = (&body.declared, last.shown());
        let message = format!(
            "only the last argument without an attribute can take the body: move this one behind `{last}`"
        );
        errors.at(body, message);
    }
}

/// GET and HEAD have a body only if the route allows it.
fn check_method_of_body(route: &Route, argument: &Argument, errors: &mut Errors) {
    let has_body = route.verb.has_body();
    match argument.source.allow_get {
        Some(span) if has_body => {
            let method = route.verb.method();
            let message = format!("`allow_get` does nothing here: {method} may have a body");
            errors.at_span(span, message);
        }
        None if !has_body && takes_body(argument) => {
            errors.at(attribute_or_type(argument), no_body(route));
        }
        Some(_) | None => {}
    }
}

fn takes_body(argument: &Argument) -> bool {
    match argument.source.kind.takes_body {
        TakesBody::Always => true,
        TakesBody::ByType => !argument.is_refused && is_whole_body(&argument.bound),
        TakesBody::Never => false,
    }
}

/// Refuses a second argument of a kind that is allowed once.
fn check_once(method: &Method, errors: &mut Errors) {
    let mut seen: Vec<&SourceKind> = Vec::new();
    for argument in &method.arguments {
        let kind = argument.source.kind;
        let Some(why) = kind.at_most_once else {
            continue;
        };
        if seen.iter().any(|other| std::ptr::eq(*other, kind)) {
            errors.at(attribute_or_type(argument), why);
        }
        seen.push(kind);
    }
}

fn attribute_or_type(argument: &Argument) -> TokenStream {
    match &argument.attribute {
        Some(attribute) => attribute.to_token_stream(),
        None => argument.declared.to_token_stream(),
    }
}

/// Whether a type is one that takes the whole body, by its usual name. A `Form` with a longer path may be another
/// crate's, which reads the query of a GET.
fn is_whole_body(ty: &Type) -> bool {
    const NAMES: [&str; 5] = ["Json", "Form", "Multipart", "Bytes", "String"];
    let ty = types::in_result(ty);
    let is_short = matches!(ty, Type::Path(path) if path.path.segments.len() == 1);
    is_short && NAMES.iter().any(|name| types::is_named(ty, name))
}

fn no_body(route: &Route) -> String {
    let method = route.verb.method();
    let instead = match route.kind {
        RouteKind::Http => "`#[post]`",
        RouteKind::Sse(_) => "`#[sse(.., method = \"POST\")]`",
    };
    format!(
        "a {method} request has no body: use `#[query]`, or {instead}; if your clients do send one, write \
         `#[body(allow_get)]`"
    )
}

fn check_sse(route: &Route, errors: &mut Errors) {
    let method = &route.method;
    if let Some(status) = route.extras.status {
        errors.at_span(
            status.span,
            "an SSE route answers 200: remove `#[http_code]`",
        );
    }
    for header in &route.extras.headers {
        if header.name.value() == "content-type" {
            errors.at(
                &header.name,
                "an SSE route answers with `text/event-stream`: remove this header",
            );
        }
    }
    if !method.is_async && method.gives_nothing() {
        let message = "a sync method that returns `()` streams nothing: return `impl Stream<Item = SseEvent>` or an \
                       `SseStream`, or make it `async` and take an `SseStream` argument";
        errors.at(&method.name, message);
    }
    if method.is_async && method.gives_unit() && !may_send(method) {
        let message = "a producer sends its events on a stream, but this one has none: take an `SseStream` argument, \
                       or return `impl Stream<Item = SseEvent>`";
        errors.at(&method.name, message);
    }
}

/// Whether one of the arguments may be an `SseStream`. The type may be an alias, so any unmarked one may be.
fn may_send(method: &Method) -> bool {
    method.arguments.iter().any(Argument::is_unmarked)
}

/// Refuses two routes that match the same requests. Routes under `#[cfg]` are checked at start-up.
fn check_collisions(routes: &[Route], errors: &mut Errors) {
    let mut seen: Vec<(Verb, String, &Route)> = Vec::new();
    for route in routes.iter().filter(|route| route.method.cfgs.is_empty()) {
        let Some(template) = &route.path.template else {
            continue;
        };
        let (verb, shape) = (route.verb, template.shape());
        match seen.iter().find(|(v, s, _)| *v == verb && *s == shape) {
            Some((_, _, first)) => errors.at(&route.attribute, collision(first, route)),
            None => seen.push((verb, shape, route)),
        }
    }
}

fn collision(first: &Route, second: &Route) -> String {
    format!(
        "`{}` answers {} `/{}` already: give `{}` another path or method",
        first.method.name,
        second.verb.method(),
        second.path.text(),
        second.method.name
    )
}

/// Refuses a second hook of one kind, unless both are under `#[cfg]`. If both are in one build, rustc refuses them.
fn check_single(hook: &Hook, earlier: &[Hook], errors: &mut Errors) {
    let is_optional = |hook: &Hook| !hook.method.cfgs.is_empty();
    let is_second =
        |other: &&Hook| other.kind == hook.kind && !(is_optional(other) && is_optional(hook));
    if let Some(first) = earlier.iter().find(is_second) {
        let (name, first) = (hook.kind.attribute, &first.method.name);
        errors.at(
            &hook.attribute,
            format_args!("`{first}` is `#[{name}]` already: call this method from there"),
        );
    }
}

/// Refuses a hook beside another one that includes its work.
fn check_included(hook: &Hook, all: &[Hook], errors: &mut Errors) {
    let included = hook.kind.attribute;
    let includes = |other: &&Hook| other.kind.includes == Some(included);
    if let Some(other) = all.iter().find(includes) {
        let (by, does, method) = (other.kind.attribute, &other.method.name, &hook.method.name);
        let message = format!(
            "`{does}` is `#[{by}]`, which runs whenever `#[{included}]` does: do the work of `{method}` there, and remove \
             this attribute"
        );
        errors.at(&hook.attribute, message);
    }
}

fn check_hook(controller: &Controller, hook: &Hook, errors: &mut Errors) {
    for argument in &hook.method.arguments {
        let source = argument.source.kind;
        let refused = match hook.kind.given {
            Given::Request { .. } => source.refused_with_request,
            Given::Event { .. } => source.refused_after_request,
        };
        if let Some(why) = refused {
            errors.at(&argument.attribute, why);
        }
    }
    match hook.kind.given {
        Given::Request { .. } => check_hook_params(controller, hook, errors),
        Given::Event { .. } => {}
    }
}

/// A hook also runs for the routes of nested controllers, so it can rely only on the prefix.
fn check_hook_params(controller: &Controller, hook: &Hook, errors: &mut Errors) {
    let prefix = &controller.prefix;
    for (name, outer) in hook.method.params() {
        let text = &name.text;
        if outer && prefix.has(text) {
            errors.at_span(name.span, not_outer(text));
        } else if !outer && !text.is_empty() && prefix.lacks(text) {
            let message = format!(
                "no `{{{text}}}` in the prefix `/{}`, and the hook runs for every `#[sse]` route below it: take \
                 `#[req] req: &RequestContext` and call `req.param(\"{text}\")`",
                prefix.text(),
            );
            errors.at_span(name.span, message);
        }
    }
    check_twice(&hook.method, errors);
}

#[cfg(test)]
mod tests;
