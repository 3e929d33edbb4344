//! Compares the router with a naive matcher that tries every route in turn.

use std::sync::Arc;

use helios_core::call::Call;
use helios_core::reply::Reply;
use helios_core::route::{RouteKind, RouteMeta, Template};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::future::BoxFuture;
use crate::routing::endpoint::{CallHttp, Pipeline, Target};

struct Nothing;

impl CallHttp for Nothing {
    fn call<'a>(&'a self, _: &'a mut Call) -> BoxFuture<'a, Reply> {
        Box::pin(std::future::pending())
    }
}

type Route = (Verb, String);

fn endpoint((verb, template): &Route) -> Endpoint {
    Endpoint {
        meta: RouteMeta {
            verb: *verb,
            path: "",
            handler: "",
            kind: RouteKind::Http,
            status: None,
            params: &[],
        },
        controller: "",
        template: Arc::new(Template::join([template.as_str()])),
        container: Arc::default(),
        status: None,
        pipeline: Pipeline::default(),
        target: Target::Http(Box::new(Nothing)),
    }
}

/// Creates a router from those of the routes that do not collide.
fn router(routes: Vec<Route>) -> (Router, Vec<Route>) {
    let (mut router, mut kept) = (Router::default(), Vec::new());
    for route in routes {
        kept.push(route);
        let mut faults = Vec::new();
        let next = Router::new(kept.iter().map(endpoint).collect(), &mut faults);
        match faults.is_empty() {
            true => router = next,
            false => drop(kept.pop()),
        }
    }
    (router, kept)
}

/// An answer, in a form to compare and to print.
#[derive(Debug, PartialEq)]
enum Seen {
    /// The verb and the template of the endpoint, and the values of its parameters.
    Endpoint(Verb, String, Vec<String>),
    Allow(String),
    Status(u16),
}

fn text_of(allow: &HeaderValue) -> String {
    helios_core::text::of(allow).unwrap_or_default().to_owned()
}

fn seen(router: &Router, method: &Method, path: &str) -> Seen {
    match router.find(method, path) {
        Ok(Matched::Endpoint(endpoint, values)) => {
            let template = endpoint.template.as_str().to_owned();
            Seen::Endpoint(endpoint.meta.verb, template, values)
        }
        Ok(Matched::Options(allow)) => Seen::Allow(text_of(&allow)),
        Err(error) => match error.headers().get(ALLOW) {
            Some(allow) => Seen::Allow(text_of(allow)),
            None => Seen::Status(error.status().as_u16()),
        },
    }
}

/// How well a segment matches, the best last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Rest,
    End,
    /// A parameter, with the lengths of the texts before and after it.
    Param(usize, usize),
    Literal,
}

/// Splits a text into characters with whether they are escaped. An unreserved one never is, and one that must be
/// escaped always is.
fn characters(text: &str) -> Vec<(u8, bool)> {
    let bytes = text.as_bytes();
    let (mut at, mut characters) = (0, Vec::new());
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        let (byte, escaped, length) = code.map_or((bytes[at], false, 1), |code| (code, true, 3));
        let may_be_bare = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        let must_be_bare = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        characters.push((byte, !must_be_bare && (escaped || !may_be_bare)));
        at += length;
    }
    characters
}

fn naive_segment(template: &str, segment: &str) -> Option<(Fit, Option<Vec<u8>>)> {
    let segment = characters(segment);
    let Some((before, rest)) = template.split_once('{') else {
        return (characters(template) == segment).then_some((Fit::Literal, None));
    };
    let after = characters(rest.split_once('}')?.1);
    let before = characters(before);
    let value = segment.strip_prefix(&*before)?.strip_suffix(&*after)?;
    let value: Vec<_> = value.iter().map(|(byte, _)| *byte).collect();
    let fit = Fit::Param(before.len(), after.len());
    (!value.is_empty()).then_some((fit, Some(value)))
}

fn naive_route(template: &str, path: &str) -> Option<(Vec<Fit>, Vec<Vec<u8>>)> {
    let (mut fits, mut values) = (Vec::new(), Vec::new());
    let mut left = Some(path.strip_prefix('/')?);
    let template = template.trim_matches('/');
    for part in template.split('/').filter(|part| !part.is_empty()) {
        if part.starts_with("{*") {
            fits.push(Fit::Rest);
            values.push(percent_decode_str(left?).collect());
            return Some((fits, values));
        }
        let (segment, next) = match left?.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (left?, None),
        };
        let (fit, value) = naive_segment(part, segment)?;
        fits.push(fit);
        values.extend(value);
        left = next;
    }
    fits.push(Fit::End);
    let is_root = template.is_empty();
    (matches!(left, None | Some("")) || (is_root && left == Some("/"))).then_some((fits, values))
}

fn naive(routes: &[Route], method: &Method, path: &str) -> Seen {
    let verb = Verb::of(method).unwrap_or(Verb::Any);
    let rank = |route: Verb| match (route, verb) {
        (own, _) if own == verb => Some(2),
        (Verb::Get, Verb::Head) => Some(1),
        (Verb::Any, _) => Some(0),
        _ => None,
    };
    let fitting = routes.iter().filter_map(|(verb, template)| {
        let (fits, values) = naive_route(template, path)?;
        Some((fits, rank(*verb)?, *verb, template, values))
    });
    let best = fitting.max_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    if let Some((_, _, verb, template, values)) = best {
        let values: Result<_, _> = values.into_iter().map(String::from_utf8).collect();
        let template = Template::join([template.as_str()]);
        return match values {
            Ok(values) => Seen::Endpoint(verb, template.as_str().to_owned(), values),
            Err(_) => Seen::Status(400),
        };
    }
    let answers = |verb| {
        let mut own = routes.iter().filter(|(own, _)| *own == verb);
        own.any(|(_, template)| naive_route(template, path).is_some())
    };
    let mut allowed: Vec<_> = VERBS.into_iter().filter(|verb| answers(*verb)).collect();
    if allowed.is_empty() {
        return Seen::Status(404);
    }
    if allowed.contains(&Verb::Get) {
        allowed.push(Verb::Head);
    }
    allowed.push(Verb::Options);
    allowed.sort();
    allowed.dedup();
    let names: Vec<_> = allowed.into_iter().map(Verb::as_str).collect();
    Seen::Allow(names.join(", "))
}

/// matchit does not backtrack from a suffix to a shorter one, so only the last segment has a suffix.
fn route() -> impl Strategy<Value = Route> {
    let inner = select(vec![
        "a",
        "%61b",
        "b",
        "café",
        "caf%c3%a9",
        "~x",
        "%7Ex",
        "a%2fb",
        "{p}",
        "{p}",
        "{p}",
        "%69-{p}",
    ]);
    let last = select(vec![
        "",
        "",
        "{*rest}",
        "{*rest}",
        "{p}.png",
        "i-{p}.png",
        "%25",
    ]);
    let parts = (prop::collection::vec(inner, 0..3), last);
    let text = parts.prop_map(|(inner, last)| format!("{}/{last}", inner.join("/")));
    (select(VERBS.to_vec()), text)
}

fn path() -> impl Strategy<Value = String> {
    let segment = select(vec![
        "a",
        "%61",
        "ab",
        "a%62",
        "b",
        "caf%C3%A9",
        "caf%c3%a9",
        "c%61fé",
        "~x",
        "%7ex",
        "%7Ex",
        "a%2Fb",
        "a%2fb",
        "%41.png",
        "i-1",
        "%69-%31",
        "i-1.%70ng",
        "%",
        "%25",
        "%ff",
        "%%361",
        "",
        "{*rest}",
    ]);
    let segments = prop::collection::vec(segment, 0..4);
    segments.prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_meets_what_a_look_at_every_route_finds(
        routes in prop::collection::vec(route(), 1..12),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let (router, routes) = router(routes);
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"];
        for (method, path) in methods.iter().flat_map(|method| paths.iter().map(move |path| (method, path))) {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let (seen, wanted) = (seen(&router, &method, path), naive(&routes, &method, path));
            prop_assert_eq!(seen, wanted, "{} {} of {:?}", method, path, routes);
        }
    }
}

fn of(routes: &[(Verb, &str)]) -> Router {
    let routes = routes
        .iter()
        .map(|(verb, text)| (*verb, (*text).to_owned()));
    let (router, kept) = router(routes.clone().collect());
    assert_eq!(kept.len(), routes.len(), "a route was refused");
    router
}

fn at(router: &Router, method: Method, path: &str) -> String {
    match seen(router, &method, path) {
        Seen::Endpoint(verb, template, values) => format!("{verb} {template} {}", values.join("|")),
        Seen::Allow(allow) => allow,
        Seen::Status(status) => status.to_string(),
    }
}

#[test]
fn a_route_takes_no_path_away_from_another_verb() {
    let router = of(&[
        (Verb::Get, "users/new"),
        (Verb::Delete, "users/{id}"),
        (Verb::Any, "any/{id}"),
        (Verb::Get, "any/new"),
    ]);
    assert_eq!(
        at(&router, Method::DELETE, "/users/new"),
        "DELETE /users/{id} new"
    );
    assert_eq!(
        at(&router, Method::PUT, "/users/new"),
        "GET, DELETE, HEAD, OPTIONS"
    );
    assert_eq!(
        at(&router, Method::OPTIONS, "/users/new"),
        "GET, DELETE, HEAD, OPTIONS"
    );
    assert_eq!(at(&router, Method::GET, "/users/7"), "DELETE, OPTIONS");
    assert_eq!(at(&router, Method::GET, "/any/new"), "GET /any/new ");
    assert_eq!(at(&router, Method::POST, "/any/new"), "ANY /any/{id} new");
    assert_eq!(at(&router, Method::TRACE, "/any/new"), "ANY /any/{id} new");
}

#[test]
fn head_uses_the_get_route_unless_it_has_its_own() {
    let router = of(&[
        (Verb::Head, "users/{id}"),
        (Verb::Get, "users/new"),
        (Verb::Get, "users/{id}"),
        (Verb::Any, "users/{id}"),
    ]);
    assert_eq!(at(&router, Method::HEAD, "/users/new"), "GET /users/new ");
    assert_eq!(at(&router, Method::HEAD, "/users/7"), "HEAD /users/{id} 7");
}

#[test]
fn a_rest_keeps_its_final_slash_and_may_be_empty() {
    let router = of(&[
        (Verb::Get, "files/{*rest}"),
        (Verb::Get, "{page}"),
        (Verb::Get, "own/{*rest}"),
        (Verb::Get, "own"),
    ]);
    let get = |path| at(&router, Method::GET, path);
    assert_eq!(get("/files/a/"), "GET /files/{*rest} a/");
    assert_eq!(get("/files/a"), "GET /files/{*rest} a");
    assert_eq!(get("/files/"), "GET /files/{*rest} ");
    assert_eq!(get("/files//"), "GET /files/{*rest} /");
    assert_eq!(get("/files"), "GET /{page} files");
    assert_eq!(get("/own/"), "GET /own ");
    assert_eq!(get("/own/a/"), "GET /own/{*rest} a/");
    let root = of(&[(Verb::Any, "{*rest}")]);
    assert_eq!(at(&root, Method::GET, "/"), "ANY /{*rest} ");
    assert_eq!(at(&root, Method::GET, "/a//"), "ANY /{*rest} a//");
}

#[test]
fn dot_segments_are_refused_before_anything_is_looked_up() {
    let router = of(&[(Verb::Any, "{*rest}")]);
    for path in ["/..", "/a/../b", "/a/%2e%2E", "/.", "/a/./"] {
        assert_eq!(at(&router, Method::GET, path), "400", "{path}");
    }
    assert_eq!(
        at(&router, Method::GET, "/a%2F..%2fb"),
        "ANY /{*rest} a/../b"
    );
}
