//! What only shows when paths, arguments and routes are seen together.

use syn::Type;

use super::model::{Argument, Controller, Hook, HookKind, Method, Name, Route, RouteKind, Source};
use crate::diagnostics::{Errors, similar};
use crate::path::Template;

pub(super) fn check(controller: &Controller, errors: &mut Errors) {
    check_prefix(controller, errors);
    for route in &controller.routes {
        check_path(controller, route, errors);
        check_params(controller, route, errors);
        check_body(route, errors);
        if let RouteKind::Sse { .. } = route.kind {
            check_sse(route, errors);
        }
    }
    check_collisions(&controller.routes, errors);
    for (index, hook) in controller.hooks.iter().enumerate() {
        check_single(hook, &controller.hooks[..index], errors);
        check_hook(controller, hook, errors);
    }
}

fn check_prefix(controller: &Controller, errors: &mut Errors) {
    let prefix = &controller.prefix;
    if let Some(param) = prefix.template.params.iter().find(|param| param.catch_all) {
        let message = format!(
            "`{{*{}}}` takes all that follows: a prefix cannot hold it",
            param.name
        );
        errors.at_span(prefix.span, message);
    }
}

/// Every parameter of a route's own path is taken; those of the prefix may be.
fn check_path(controller: &Controller, route: &Route, errors: &mut Errors) {
    let method = &route.method.name;
    for param in &route.path.template.params {
        let name = &param.name;
        if controller.prefix.template.has(name) {
            errors.at_span(
                route.path.span,
                format_args!("`{{{name}}}` is in the prefix already: give it another name"),
            );
        } else if !own_params(&route.method).any(|(_, taken)| taken.text == *name) {
            let message =
                format!("`{{{name}}}` is not taken by `{method}`: add `#[param] {name}: ..`");
            errors.at_span(route.path.span, message);
        }
    }
}

fn check_params(controller: &Controller, route: &Route, errors: &mut Errors) {
    let (prefix, path) = (&controller.prefix.template, &route.path.template);
    let full = format!(
        "/{}/{}",
        prefix.text.trim_matches('/'),
        path.text.trim_matches('/')
    );
    let full = format!("/{}", full.trim_matches('/'));
    for (_, name) in own_params(&route.method) {
        if !prefix.has(&name.text) && !path.has(&name.text) {
            errors.at_span(name.span, missing_param(&name.text, &full, path));
        }
    }
    check_outer(&route.method, &[prefix, path], errors);
    check_twice(&route.method, errors);
}

fn missing_param(name: &str, full: &str, path: &Template) -> String {
    let names: Vec<_> = path
        .params
        .iter()
        .map(|param| param.name.as_str())
        .collect();
    let fix = match similar(name, &names) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => "write it into the path".to_owned(),
    };
    let outer = "if it belongs to an enclosing controller's prefix, write `#[param(outer)]`";
    format!("no `{{{name}}}` in `{full}`: {fix} ({outer})")
}

/// `outer` is for the prefixes of enclosing controllers only.
fn check_outer(method: &Method, own: &[&Template], errors: &mut Errors) {
    for argument in &method.arguments {
        let Source::Param { name, outer: true } = &argument.source else {
            continue;
        };
        if own.iter().any(|template| template.has(&name.text)) {
            let message = format!(
                "`{{{}}}` is in this controller's own path: write `#[param]`",
                name.text
            );
            errors.at_span(name.span, message);
        }
    }
}

fn check_twice(method: &Method, errors: &mut Errors) {
    let mut taken: Vec<&str> = Vec::new();
    for argument in &method.arguments {
        let Source::Param { name, .. } = &argument.source else {
            continue;
        };
        if taken.contains(&name.text.as_str()) {
            errors.at_span(
                name.span,
                format_args!("`{{{}}}` is taken twice: take it once", name.text),
            );
        }
        taken.push(&name.text);
    }
}

/// The parameters of a controller's own prefix and paths. A name that was refused is empty.
fn own_params(method: &Method) -> impl Iterator<Item = (&Argument, &Name)> {
    method
        .arguments
        .iter()
        .filter_map(|argument| match &argument.source {
            Source::Param { name, outer: false } if !name.text.is_empty() => Some((argument, name)),
            _ => None,
        })
}

fn check_body(route: &Route, errors: &mut Errors) {
    let bodies = route
        .method
        .arguments
        .iter()
        .filter(|argument| matches!(argument.source, Source::Body));
    for (index, argument) in bodies.enumerate() {
        let attribute = &argument.attribute;
        if index > 0 {
            errors.at(
                attribute,
                "a request has one body: take it once, as a struct with all its fields",
            );
        }
        if !route.verb.has_body() {
            errors.at(attribute, no_body(route));
        }
    }
}

fn no_body(route: &Route) -> String {
    let method = route.verb.method();
    let instead = match route.kind {
        RouteKind::Http => "`#[post]`",
        RouteKind::Sse { .. } => "`#[sse(.., method = \"POST\")]`",
    };
    format!("a {method} request has no body: use `#[query]`, or {instead}")
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
                "an SSE route answers with `text/event-stream`",
            );
        }
    }
    if !method.is_async && gives_nothing(method.output.as_ref()) {
        let message = "a sync method that gives `()` streams nothing: return `impl Stream<Item = SseEvent>` or an \
                       `SseStream`, or make it `async` and take an `SseStream` argument";
        errors.at(&method.name, message);
    }
}

fn gives_nothing(output: Option<&Type>) -> bool {
    match output {
        None => true,
        Some(Type::Tuple(tuple)) => tuple.elems.is_empty(),
        Some(_) => false,
    }
}

/// Two routes that match the same requests. Those under `#[cfg]` are left to the check at start-up.
fn check_collisions(routes: &[Route], errors: &mut Errors) {
    let always: Vec<_> = routes
        .iter()
        .filter(|route| route.method.cfgs.is_empty())
        .collect();
    for (index, route) in always.iter().enumerate() {
        let (verb, shape) = (route.verb, route.path.template.shape());
        let same = |other: &&&Route| other.verb == verb && other.path.template.shape() == shape;
        if let Some(first) = always[..index].iter().find(same) {
            let (method, path) = (verb.method(), route.path.template.text.trim_matches('/'));
            let message = format!(
                "`{}` answers {method} `/{path}` already: give `{}` another path or method",
                first.method.name, route.method.name
            );
            errors.at(&route.attribute, message);
        }
    }
}

fn check_single(hook: &Hook, earlier: &[Hook], errors: &mut Errors) {
    if let Some(first) = earlier.iter().find(|other| other.kind == hook.kind) {
        let (name, first) = (hook.kind.attribute(), &first.method.name);
        errors.at(
            &hook.attribute,
            format_args!("`{first}` is `#[{name}]` already: call this method from there"),
        );
    }
}

fn check_hook(controller: &Controller, hook: &Hook, errors: &mut Errors) {
    for argument in &hook.method.arguments {
        let message = match hook.kind {
            HookKind::Connection => refused_on_connection(argument),
            HookKind::Error | HookKind::Close => refused_late(argument),
        };
        if let Some(message) = message {
            errors.at(&argument.attribute, message);
        }
    }
    if hook.kind == HookKind::Connection {
        check_hook_params(controller, hook, errors);
    }
}

fn refused_on_connection(argument: &Argument) -> Option<&'static str> {
    match argument.source {
        Source::Body => Some("the route has read the body: a hook cannot take it"),
        Source::Response => Some("a hook cannot change the response: use `#[res]` on the route"),
        _ => None,
    }
}

fn refused_late(argument: &Argument) -> Option<&'static str> {
    match argument.source {
        Source::Unmarked => None,
        Source::Inject(_) | Source::InjectSse => {
            Some("there is nothing to inject by then: take it as a field of the controller")
        }
        _ => Some("the request is over: keep what you need of it from `#[on_sse_connection]`"),
    }
}

/// A hook runs for the routes of nested controllers too, so that only the prefix is always there.
fn check_hook_params(controller: &Controller, hook: &Hook, errors: &mut Errors) {
    let prefix = &controller.prefix.template;
    for (_, name) in own_params(&hook.method) {
        if !prefix.has(&name.text) {
            let message = format!(
                "no `{{{}}}` in the prefix `/{}`, and the hook runs for every `#[sse]` route below it: take \
                 `#[req] req: &RequestContext` and ask `req.param(\"{}\")`",
                name.text,
                prefix.text.trim_matches('/'),
                name.text
            );
            errors.at_span(name.span, message);
        }
    }
    check_outer(&hook.method, &[prefix], errors);
    check_twice(&hook.method, errors);
}
