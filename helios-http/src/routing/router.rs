//! Finds the endpoint of a method and a path.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use helios_core::bounded::bounded;
use helios_core::error::HttpError;
use helios_core::path::{has_dot_segment, normal_form};
use helios_core::route::{RouteKind, Template, Verb};
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::error::{Place, StartupFault};
use crate::routing::endpoint::Endpoint;
use crate::sse::options::StreamOptions;

/// The longest path that a 404 quotes, in bytes.
const LONGEST_PATH: usize = 200;

/// The verbs, in the order of their discriminants.
const VERBS: [Verb; 8] = [
    Verb::Get,
    Verb::Post,
    Verb::Put,
    Verb::Patch,
    Verb::Delete,
    Verb::Head,
    Verb::Options,
    Verb::Any,
];

/// All routes of an app. Each verb with routes of its own has a tree, and all other methods share one. So a route never
/// hides a path from another verb.
#[derive(Default)]
pub(crate) struct Router {
    endpoints: Vec<Arc<Endpoint>>,
    trees: [Option<Tree>; VERBS.len()],
}

/// The paths that one verb answers. One slash at the end of a path does not matter. `/user/` is answered like `/user`,
/// without a redirect, which would break a cross-origin `EventSource`. Only `{*rest}` sees the slash.
struct Tree {
    paths: matchit::Router<usize>,
    /// For paths that end in a slash, which is cut off first. Needed only if there is a `{*rest}`.
    slashed: Option<matchit::Router<usize>>,
}

/// The result of a lookup.
pub(crate) enum Matched {
    /// An endpoint, with the decoded parameters of the path.
    Endpoint(Arc<Endpoint>, Vec<String>),
    /// No handler, but an answer to OPTIONS.
    Options(HeaderValue),
}

impl Router {
    /// Creates the router. Adds to `faults` the endpoints that cannot be told apart.
    pub(crate) fn new(endpoints: Vec<Endpoint>, faults: &mut Vec<StartupFault>) -> Self {
        let shape = |endpoint: &Endpoint| endpoint.template.shape();
        let shapes: Vec<_> = endpoints.iter().map(shape).collect();
        faults.extend(collisions(&endpoints, &shapes));
        let mut ambiguous = BTreeMap::new();
        let mut router = Self::default();
        for verb in VERBS {
            let own = |endpoint: &Endpoint| endpoint.meta.verb == verb;
            if verb == Verb::Any || endpoints.iter().any(own) {
                let routes = routes_of(verb, &endpoints, &shapes);
                router.trees[verb as usize] = Some(Tree::new(&routes, &mut ambiguous));
            }
        }
        let fault = |(index, reason): (usize, String)| StartupFault::Ambiguous {
            place: place(&endpoints[index]),
            path: endpoints[index].template.as_str().to_owned(),
            reason,
        };
        faults.extend(ambiguous.into_iter().map(fault));
        router.endpoints = endpoints.into_iter().map(Arc::new).collect();
        router
    }

    /// Finds the endpoint of a request.
    ///
    /// # Errors
    ///
    /// 404, 405 with `Allow`, or 400 for a path that has dot segments or is not percent-encoded UTF-8.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<Matched, HttpError> {
        let form = normal_form(path);
        if has_dot_segment(&form) {
            let detail = "a path must not have `.` or `..` as a segment";
            return Err(HttpError::bad_request(detail));
        }
        let tree = self.tree(Verb::of(method).unwrap_or(Verb::Any));
        if let Some(found) = tree.and_then(|tree| tree.at(&form)) {
            let endpoint = &self.endpoints[*found.value];
            let params = decoded_params(&endpoint.template, &form, &found.params)?;
            return Ok(Matched::Endpoint(Arc::clone(endpoint), params));
        }
        let missing =
            || HttpError::not_found(format!("nothing is at {}", bounded(path, LONGEST_PATH)));
        let allowed = self.allowed(&form).ok_or_else(missing)?;
        let allow = HeaderValue::from_str(&allowed).map_err(|_| missing())?;
        if *method == Method::OPTIONS {
            return Ok(Matched::Options(allow));
        }
        let detail = format!("this path answers {allowed}");
        Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_header(ALLOW, allow))
    }

    /// Returns the tree of a verb. That is its own one, for HEAD else that of GET, or else the tree of routes for any
    /// method.
    fn tree(&self, verb: Verb) -> Option<&Tree> {
        let own = |verb: Verb| self.trees[verb as usize].as_ref();
        let head = || match verb {
            Verb::Head => own(Verb::Get),
            _ => None,
        };
        own(verb).or_else(head).or_else(|| own(Verb::Any))
    }

    /// Lists the methods that answer a path, or returns `None` if there are none. The path has no route for any method.
    fn allowed(&self, path: &str) -> Option<String> {
        let answers = |verb: Verb| {
            let tree = self.trees[verb as usize].as_ref();
            tree.is_some_and(|tree| tree.at(path).is_some())
        };
        let get = answers(Verb::Get);
        let is_allowed = |verb: &Verb| match verb {
            Verb::Get => get,
            Verb::Head => get || answers(Verb::Head),
            verb => answers(*verb),
        };
        let mut allowed = VERBS.into_iter().filter(is_allowed).peekable();
        allowed.peek()?;
        // OPTIONS is answered wherever another method is.
        let others = allowed.filter(|verb| *verb != Verb::Options);
        let mut names = String::with_capacity(64);
        for verb in others.chain([Verb::Options]) {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(verb.as_str());
        }
        Some(names)
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().map(Arc::as_ref)
    }
}

impl Tree {
    /// Creates a tree. Adds to `ambiguous` the routes that cannot be told apart from earlier ones, and why.
    fn new(routes: &[(usize, &str)], ambiguous: &mut BTreeMap<usize, String>) -> Self {
        let mut insert = |paths: &mut matchit::Router<usize>, path: &str, index| {
            if let Err(error) = paths.insert(path, index) {
                ambiguous.entry(index).or_insert_with(|| error.to_string());
            }
        };
        let known: HashSet<_> = routes.iter().map(|(_, shape)| *shape).collect();
        let (mut paths, mut slashed) = (matchit::Router::new(), matchit::Router::new());
        for (index, shape) in routes {
            insert(&mut paths, shape, *index);
            insert(&mut slashed, shape, *index);
        }
        // matchit's `{*rest}` is never empty, so the path without a rest is added as well, unless it has a route
        // already.
        let mut has_rest = false;
        for (index, shape) in routes {
            let Some((before, _)) = shape.rsplit_once("{*") else {
                continue;
            };
            has_rest = true;
            let mut insert_empty = |paths: &mut matchit::Router<usize>, path: &str| {
                if !path.is_empty() && !known.contains(path) {
                    insert(paths, path, *index);
                }
            };
            if before == "/" {
                insert_empty(&mut paths, before);
            }
            insert_empty(&mut slashed, before.trim_end_matches('/'));
            insert_empty(&mut slashed, before);
        }
        let slashed = has_rest.then_some(slashed);
        Self { paths, slashed }
    }

    fn at<'a>(&'a self, path: &'a str) -> Option<matchit::Match<'a, 'a, &'a usize>> {
        let (paths, path) = match path.strip_suffix('/') {
            Some("") | None => (&self.paths, path),
            Some(cut) => (self.slashed.as_ref().unwrap_or(&self.paths), cut),
        };
        paths.at(path).ok()
    }
}

/// Returns the routes in the tree of a verb: its own routes, then for HEAD those of GET, and then those for any method.
fn routes_of<'a>(
    verb: Verb,
    endpoints: &[Endpoint],
    shapes: &'a [String],
) -> Vec<(usize, &'a str)> {
    let layers: &[Verb] = match verb {
        Verb::Head => &[Verb::Head, Verb::Get, Verb::Any],
        verb => &[verb, Verb::Any],
    };
    let routes = |layer: &Verb| {
        let layer = *layer;
        let shapes = shapes.iter().map(String::as_str).enumerate();
        shapes.filter(move |(index, _)| endpoints[*index].meta.verb == layer)
    };
    let mut known = HashSet::new();
    let routes = layers.iter().flat_map(routes);
    routes.filter(|(_, shape)| known.insert(*shape)).collect()
}

/// Finds endpoints of one verb at the same path.
fn collisions(endpoints: &[Endpoint], shapes: &[String]) -> Vec<StartupFault> {
    let mut known: HashMap<_, &Endpoint> = HashMap::new();
    let mut faults = Vec::new();
    for (endpoint, shape) in endpoints.iter().zip(shapes) {
        let verb = endpoint.meta.verb;
        let first = *known.entry((verb, shape)).or_insert(endpoint);
        if !std::ptr::eq(first, endpoint) {
            faults.push(StartupFault::Collision {
                first: place(first),
                second: place(endpoint),
                verb,
                path: endpoint.template.as_str().to_owned(),
            });
        }
    }
    faults
}

pub(crate) fn place(endpoint: &Endpoint) -> Place {
    Place {
        controller: endpoint.controller,
        handler: endpoint.meta.handler,
    }
}

/// Decodes the values of a template's parameters, in order.
fn decoded_params(
    template: &Template,
    path: &str,
    found: &matchit::Params<'_, '_>,
) -> Result<Vec<String>, HttpError> {
    let rest = template.rest_of(path);
    let segments = template
        .params()
        .len()
        .saturating_sub(usize::from(rest.is_some()));
    let mut params = Vec::with_capacity(template.params().len());
    for (_, value) in found.iter().take(segments) {
        params.push(decoded(value)?);
    }
    if let Some(rest) = rest {
        params.push(decoded(rest)?);
    }
    Ok(params)
}

fn decoded(value: &str) -> Result<String, HttpError> {
    let text = percent_decode_str(value).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| HttpError::bad_request("the path is not percent-encoded UTF-8"))
}

/// A route in the list of routes.
///
/// ```
/// use helios::http::{RouteInfo, RouteKind, Routes};
///
/// fn streams(routes: &Routes) -> Vec<&RouteInfo> {
///     let is_stream = |route: &&RouteInfo| matches!(route.kind, RouteKind::Sse);
///     routes.0.iter().filter(is_stream).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The method.
    pub verb: Verb,
    /// The whole path template, such as `/api/user/{id}`.
    pub path: String,
    /// Controller and method, such as `User::find`.
    pub handler: String,
    /// Whether it gives a response or a stream.
    pub kind: RouteKind,
    /// The options of its streams, if it is an SSE route.
    pub stream: Option<StreamOptions>,
}

/// The routes of an app, by path and method, from [`HeliosService::routes`](crate::HeliosService::routes). Its
/// `Display` is a table for people, which `listen` prints. It does not list the automatic answers to HEAD and OPTIONS.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[get("{id}")]
///     fn find(&self, #[param] id: u64) -> String { id.to_string() }
///
///     #[post]
///     fn create(&self) {}
/// }
///
/// #[server(prefix = "api", controllers = [User])]
/// struct App;
///
/// let service = Helios::new(App).into_service()?;
/// assert_eq!(service.routes().0[1].handler, "User::find");
/// assert_eq!(
///     service.routes().to_string(),
///     "method   path            handler       kind\n\
///      POST     /api/user       User::create  http\n\
///      GET      /api/user/{id}  User::find    http"
/// );
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(pub Vec<RouteInfo>);

impl Routes {
    pub(crate) fn of(router: &Router) -> Self {
        let mut routes: Vec<_> = router
            .endpoints()
            .map(|endpoint| RouteInfo {
                verb: endpoint.meta.verb,
                path: endpoint.template.as_str().to_owned(),
                handler: format!("{}::{}", endpoint.controller, endpoint.meta.handler),
                kind: endpoint.meta.kind,
                stream: endpoint.stream_options().cloned(),
            })
            .collect();
        routes.sort_by(|a, b| (&a.path, a.verb).cmp(&(&b.path, b.verb)));
        Self(routes)
    }
}

impl std::fmt::Display for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = |width: fn(&RouteInfo) -> usize, title: &str| {
            self.0.iter().map(width).max().unwrap_or(0).max(title.len())
        };
        let path = column(|route| route.path.len(), "path");
        let handler = column(|route| route.handler.len(), "handler");
        write!(
            f,
            "{:<7}  {:<path$}  {:<handler$}  kind",
            "method", "path", "handler"
        )?;
        for route in &self.0 {
            let RouteInfo { verb, kind, .. } = route;
            write!(
                f,
                "\n{verb:<7}  {:<path$}  {:<handler$}  {kind}",
                route.path, route.handler
            )?;
            if let Some(options) = route.stream.as_ref().map(ToString::to_string)
                && !options.is_empty()
            {
                write!(f, "   {options}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
